"""Made-up runs for the tests of the report: no model, no TensorFlow, every status and awkward case."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from parity.hashing import array_sha256
from parity.judge.limits import Limits, NoiseFloor, limits_for
from parity.judge.metrics import compare
from parity.judge.verdict import judge
from parity.report import summarize

DEFECT = "bounded-is-zero"
"""A known difference, made up like everything else here."""
DEFECT_FACTS = {
    "condition": "The input layer has the bounded rule.",
    "cause": "The reference multiplies by zero.",
    "evidence": "Its map is zero; the other reference's is not.",
}
HELD_TO = "innvestigate"
UNJUDGED = "The gradient does not change with the noise, so its variance is zero by definition."
ENDS = ("fc1", "predictions")
FORMULAS = {
    "lrp": "R_i = x_i * sum_j w_ij R_j / (z_j + epsilon * sign(z_j))",
    "gradient": "R = d f_c(x) / dx",
}


def method_names(count: int) -> list[str]:
    """Return `count` names as the harness has them."""
    rules = ["z", *(f"epsilon_{n}" for n in ("0_001", "0_01", "0_1", "0_2", "0_5", "1", "5", "10", "20", "50"))]
    rules += [f"epsilon_{n}_std_x" for n in ("0_1", "0_25", "0_5", "1", "2", "3")]
    rules += ["alpha_1_beta_0", "sequential_composite_a", "sequential_composite_b", "w_square", "flat", "gamma"]
    bases = ["gradient", "guided_backprop", "deconvnet", "smoothgrad", "vargrad", "integrated_gradients"]
    mods = ["", "_x_input", "_x_sign", "_x_sign_mu_0", "_x_sign_mu_0_5", "_x_sign_mu_neg_0_5"]
    names = [base + mod for base in bases for mod in mods]
    names += [f"{p}_{r}" for r in rules for p in ("lrp", "lrpsign", "lrpz", "w2lrp", "flatlrp")]
    names += ["zblrp_z_VGG16ILSVRC", "zblrp_epsilon_0_1_VGG16ILSVRC", "lrp.sequential_preset_a_flat"]
    step = len(names) / count
    return [names[int(i * step)] for i in range(count)]


def family(method: str) -> str:
    return "lrp" if "lrp" in method else "gradient"


def attribution(rng: np.random.Generator, shape: Sequence[int]) -> npt.NDArray[np.float64]:
    """Return a map as they look: heavy-tailed, signed, gathered around the middle, partly exactly zero."""
    values = rng.laplace(size=shape)
    if len(shape) == 3:
        down, across = (np.linspace(-2, 2, side)[:, None] for side in shape[:2])
        values *= np.exp(-(down**2) - (across.T - 0.4) ** 2)[..., None]
    values[rng.random(shape) < 0.15] = 0.0
    return values


class Run:
    """A results document and its arrays, grown case by case."""

    def __init__(self, directory: Path, created: str = "2025-03-04T10:20:30+00:00") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.arrays_path = directory / "parity-arrays.h5"
        self._arrays = h5py.File(self.arrays_path, "w")
        self.document: dict[str, Any] = {
            "schema": 1,
            "created": created,
            "command": "python -m parity run --model vgg_mnist --report reports",
            "seconds": 214.6,
            "commit": "4f0c2d9a7b3e4f0c2d9a7b3e4f0c2d9a7b3e1122",
            "arrays": self.arrays_path.name,
            "environment": {
                "python": "3.11.9",
                "platform": "Linux-6.1-x86_64-with-glibc2.36",
                "cpu": "x86_64, 2 cores",
                "threads": 1,
                "subject": {"name": "signxai_torch", "versions": {"torch": "2.14.1", "zennit": "0.5.1"}},
                "reference": {
                    "python": "3.11.9",
                    "tensorflow": "2.12.1",
                    "innvestigate": "2.1.2",
                    "signxai": "1.1.9.2",
                },
            },
            "models": [],
            "inputs": [],
            "methods": {},
            "divergences": {DEFECT: DEFECT_FACTS},
            "summary": {},
            "results": [],
        }

    def add_model(self, name: str, input_shape: Sequence[int], inputs: Sequence[str]) -> None:
        rng = np.random.default_rng(len(self.document["models"]))
        self.document["models"].append(
            {
                "name": name,
                "source": f"weights/{name}.h5",
                "sha256": array_sha256(np.array(len(name))),
                "input_shape": list(input_shape),
                "layers": 12,
                "parameters": 203_530,
                "top1_agreement": 1.0,
                "logits_rel_l2": 3.1e-7,
                "logits_rel_l2_float64": 2.4e-16,
                "rules": {},
                "reference_rules": {},
            }
        )
        for label, text in enumerate(inputs):
            x = rng.normal(size=tuple(input_shape)).astype(np.float32)
            if len(input_shape) == 3:
                down, across = (np.linspace(-1, 1, side)[:, None] for side in input_shape[:2])
                x = (np.cos(4 * down + label)[..., None] * np.cos(3 * across.T)[..., None] + 0.1 * x).astype("f4")
            self._arrays[f"inputs/{name}/{text}"] = x
            self.document["inputs"].append(
                {
                    "name": text,
                    "model": name,
                    "sha256": array_sha256(x),
                    "shape": list(x.shape),
                    "range": [float(x.min()), float(x.max())],
                    "label": label,
                }
            )

    def add_case(
        self,
        model: str,
        input_name: str,
        method: str,
        dtype: str,
        reference: npt.NDArray | None,
        subject: npt.NDArray | None,
        /,
        *,
        limits: Limits | None = None,
        **fields: Any,
    ) -> dict[str, Any]:
        """Add a case judged from its arrays; `fields` overrule what comes out."""
        index = len(self.document["results"])
        floor = NoiseFloor(2e-6, 3e-7, 4e-6) if dtype == "float32" else None
        limits = limits or limits_for(dtype, floor)
        row: dict[str, Any] = {
            "model": model,
            "input": input_name,
            "target": 7,
            "method": method,
            "family": family(method),
            "reference": "signxai",
            "dtype": dtype,
            "status": "error",
            "failed_check": None,
            "message": None,
            "margin": None,
            "limits": limits.to_json(),
            "divergence": None,
            "held_to": None,
            "noise_floor": floor.to_json() if floor else None,
            "noise_samples": ["float32 against float64"] if floor else [],
            "reference_stored": None if reference is None else "",
            "reference_notes": [],
            "seconds_reference": 0.42,
            "seconds_subject": 0.011,
            "seconds_subject_shared_by": 60 if family(method) == "lrp" else 1,
            "first_diverging_layer": None,
            "reproduce": f"python -m parity run --model {model} --method {method} --dtype {dtype}",
            "pytest": f"tests/parity/test_maps.py::test_map[{model}-{method}]",
        }
        for name, values in (("reference", reference), ("subject", subject)):
            if values is not None:
                self._arrays[f"results/{index}/{name}"] = values
        if reference is not None and subject is not None:
            metrics = compare(reference, subject)
            verdict = judge(metrics, limits)
            row |= metrics.to_json() | {
                "status": verdict.status,
                "failed_check": verdict.failed_check,
                "message": verdict.message,
                "margin": verdict.margin if np.isfinite(verdict.margin) else None,
            }
        row |= fields
        self.document["results"].append(row)
        self.document["methods"].setdefault(
            method,
            {
                "family": family(method),
                "formula": FORMULAS[family(method)],
                "citation": "Bach et al. 2015, doi:10.1371/journal.pone.0130140",
                "parameters": {"epsilon": 0.1},
                "reference": {"signxai": method},
            },
        )
        return row

    def add_rules(self, model: str, method: str) -> None:
        entry = next(entry for entry in self.document["models"] if entry["name"] == model)
        blocks = [f"block{block}_conv{conv}" for block in range(1, 4) for conv in (1, 2)]
        kernels = [*((name, "Conv2d", "Conv2D") for name in blocks), *((name, "Linear", "Dense") for name in ENDS)]
        inputs = ("Flat()", "FlatRule()")
        others = ("Epsilon(epsilon=0.1, bias=True)", "EpsilonRule(epsilon=0.1, bias=True)")
        entry["rules"][method], layers = [], []
        for index, (name, module, kind) in enumerate(kernels):
            mine, theirs = others if index else inputs
            entry["rules"][method].append([name, module, mine])
            layers.append([name, kind, theirs])
            if name.endswith("conv2"):
                layers.append([name.replace("conv2", "pool"), "MaxPooling2D", "GradientReplacementLayer()"])
        entry["reference_rules"][method] = {"reference": "signxai", "layers": layers, "problem": None}

    def close(self, controls: dict[str, int] | None = None, **facts: Any) -> dict[str, Any]:
        self.document["summary"] = summarize(self.document["results"], controls, **facts)
        self.document["interrupted"] = self.document["summary"]["stopped"]
        self._arrays.close()
        return self.document


def small_run(directory: Path) -> tuple[dict[str, Any], Path]:
    """Return a run with every status, two models and both lanes."""
    rng = np.random.default_rng(42)
    run = Run(directory)
    shapes = {"vgg_mnist": (32, 32, 1), "ecg": (96, 3)}
    run.add_model("vgg_mnist", shapes["vgg_mnist"], ["digit-0", "digit-1"])
    run.add_model("ecg", shapes["ecg"], ["beat-0"])
    ordinary = ["gradient", "gradient_x_sign", "lrp_z", "lrp_epsilon_0_1", "lrp_flat", "flatlrp_epsilon_0_1"]
    for model, shape in shapes.items():
        inputs = [entry["name"] for entry in run.document["inputs"] if entry["model"] == model]
        for method in ordinary:
            for input_name in inputs:
                exact = attribution(rng, shape)
                close = exact * (1 + 1e-13 * rng.normal(size=shape)) + 2e-16 * rng.normal(size=shape)
                run.add_case(model, input_name, method, "float64", exact, close)
                rough = exact * (1 + rng.uniform(1e-7, 5e-6) * rng.normal(size=shape))
                run.add_case(model, input_name, method, "float32", exact.astype("f4"), rough.astype("f4"))
            run.add_rules(model, method)
    shape = shapes["vgg_mnist"]
    exact = attribution(rng, shape)
    run.add_case("vgg_mnist", "digit-0", "lrp_w_square", "float64", exact, exact * 1.02)
    run.add_case(
        "vgg_mnist",
        "digit-1",
        "lrp_alpha_1_beta_0",
        "float64",
        exact,
        np.abs(exact),
        first_diverging_layer="block2_conv1",
    )
    broken = exact.copy()
    broken[4, 5, 0] = np.nan
    run.add_case("vgg_mnist", "digit-1", "lrp_gamma", "float32", exact, broken)
    run.add_case(
        "vgg_mnist",
        "digit-0",
        "zblrp_z_VGG16ILSVRC",
        "float64",
        exact,
        exact * (1 + 1e-14),
        status="reference-defect",
        divergence=DEFECT,
        held_to=HELD_TO,
        reference="innvestigate",
        reference_stored="2026-11-02T10:20:30+00:00",
        reference_notes=["asked without oneDNN: the worker died of SIGABRT with it"],
        message=f"Known difference {DEFECT!r}, held to innvestigate instead: {DEFECT_FACTS['cause']}",
    )
    run.add_case(
        "vgg_mnist",
        "digit-0",
        "vargrad",
        "float64",
        exact * 0,
        exact * 0,
        status="unjudged",
        failed_check=None,
        message=UNJUDGED,
    )
    run.add_case(
        "ecg",
        "beat-0",
        "grad_cam",
        "float64",
        None,
        None,
        status="unsupported",
        limits=None,
        message="The reference has no grad_cam for time series.",
    )
    run.add_case(
        "vgg_mnist",
        "digit-0",
        "guided_backprop",
        "float64",
        None,
        exact,
        status="error",
        message="The reference worker crashed (signal 9).\nKilled: out of memory",
    )
    run.document["reference_methods"] = sorted(
        {row["method"] for row in run.document["results"]} - {"gradient_x_sign"}
        | {"lrp_epsilon_10", "lrpsign_z", "deconvnet", "gradient_x_input", "lrp.z"}
    )
    return run.close({"mutants_killed": 23, "mutants": 23}), run.arrays_path


def green_run(directory: Path) -> tuple[dict[str, Any], Path]:
    """Return a run in which every case is at parity."""
    rng = np.random.default_rng(1)
    run = Run(directory)
    run.add_model("vgg_mnist", (32, 32, 1), ["digit-0"])
    for method in ("gradient", "lrp_z", "lrp_flat"):
        exact = attribution(rng, (32, 32, 1))
        run.add_case("vgg_mnist", "digit-0", method, "float64", exact, exact * (1 + 1e-13))
    return run.close(), run.arrays_path


def big_run(
    directory: Path, methods: int = 152, models: int = 4, inputs: int = 3, side: int = 112
) -> tuple[dict[str, Any], Path]:
    """Return a run of the size that the report is budgeted for: distinct maps for every row and lane.

    Only the worst input of a lane has arrays, as only that one is drawn; the others copy its numbers.
    """
    rng = np.random.default_rng(3)
    run = Run(directory)
    shape = (side, side, 1)
    names = [f"photo-{i}" for i in range(inputs)]
    for number in range(models):
        run.add_model(f"vgg_{number}", shape, names)
        for method in method_names(methods):
            exact = attribution(rng, shape)
            run.add_rules(f"vgg_{number}", method)
            # On deep nets float32 alone moves maps by some percent, so that no two pictures are alike.
            rough = 3e-6 if number % 2 else 2e-2
            for dtype, noise in (("float64", 1e-13), ("float32", rough)):
                sides = [exact * (1 + noise * rng.normal(size=shape)) for _ in range(2)]
                floor = NoiseFloor(noise, noise / 10, noise) if dtype == "float32" else None
                row = run.add_case(
                    f"vgg_{number}",
                    names[0],
                    method,
                    dtype,
                    *(side.astype(dtype) for side in sides),
                    limits=limits_for(dtype, floor),
                )
                for other in names[1:]:
                    better = dict(row, input=other, margin=(row["margin"] or 0.0) * 0.9)
                    run.document["results"].append(better)
    return run.close({"mutants_killed": 23, "mutants": 23}), run.arrays_path
