"""Run in the reference environment: what a worker remembers, against the same asked of a worker that has not begun."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

if sys.argv[1] == "innvestigate":
    tf.compat.v1.disable_eager_execution()

from parity.hashing import array_sha256, file_sha256
from parity.reference.request import NoiseSpec, ReferenceCall, rules_call
from parity.reference.worker.calls import Calls
from parity.reference.worker.methods import InnvestigateMethods, SignxaiMethods
from parity.reference.worker.models import Models

FILE = Path(__file__).resolve().parents[3] / "weights" / "cnn_timeseries.h5"
SOURCE = {"path": str(FILE), "architecture": None, "sha256": file_sha256(FILE)}
SHAPE = (150, 1)
NOISE = NoiseSpec(1, 50, 0.2)


def wrapper(name: str, noise: NoiseSpec | None = None, *modifiers: str) -> ReferenceCall:
    return ReferenceCall("signxai", "wrapper", name, {}, tuple((modifier, None) for modifier in modifiers), noise)


def of_signxai() -> dict[str, Any]:
    models = Models(graph=False)
    inputs = [np.random.RandomState(seed).randn(*SHAPE).astype("float32") for seed in (1, 2)]
    counted = [0]

    def worker(remember: bool = True) -> Calls:
        """Return the calls of a worker that remembers nothing yet, over the package's own function."""
        calls = Calls(models, SignxaiMethods(remember))
        package = calls._methods._calculate._calculate  # type: ignore[union-attr]

        def calculate(*arguments: Any, **options: Any) -> Any:
            counted[0] += 1
            return package(*arguments, **options)

        calls._methods._calculate._calculate = calculate  # type: ignore[union-attr]
        return calls

    def ask(calls: Calls, call: ReferenceCall, x: np.ndarray, target: int) -> str:
        before = counted[0]
        try:
            analyze, _ = calls.prepare(call, SOURCE, "float32")
            return f"{array_sha256(analyze(x, target))} {counted[0] - before}"
        except Exception as error:  # of the package, or the noise
            return f"{type(error).__name__} {counted[0] - before}"

    asked = {
        "smoothgrad": (wrapper("smoothgrad", NOISE), 0, 1),
        "the same again": (wrapper("smoothgrad", NOISE), 0, 1),
        "with a modifier": (wrapper("smoothgrad", NOISE, "x_input"), 0, 1),
        "a wrapper of it": (wrapper("smoothgrad_x_sign", NOISE), 0, 1),
        "another seed": (wrapper("smoothgrad", replace(NOISE, seed=2)), 0, 1),
        "another input": (wrapper("smoothgrad", NOISE), 1, 1),
        "another class": (wrapper("smoothgrad", NOISE), 0, 0),
        "noise that it does not draw": (wrapper("smoothgrad", replace(NOISE, scale=0.3)), 0, 1),
        "the same noise again": (wrapper("smoothgrad", replace(NOISE, scale=0.3)), 0, 1),
        "noise where none was asked for": (wrapper("smoothgrad"), 0, 1),
        "none again": (wrapper("smoothgrad"), 0, 1),
        "gradient": (wrapper("gradient"), 0, 1),
        "gradient times sign": (wrapper("gradient", None, "x_sign"), 0, 1),
        "epsilon": (wrapper("lrp_epsilon_0_1"), 0, 1),
        "another epsilon": (wrapper("lrp_epsilon_1"), 0, 1),
        "another input rule": (wrapper("lrpsign_epsilon_0_1"), 0, 1),
        "rules": (rules_call(wrapper("lrp_epsilon_0_1")), 0, 1),
    }
    same_worker = worker()
    together = {name: ask(same_worker, call, inputs[place], target) for name, (call, place, target) in asked.items()}
    alone = {name: ask(worker(), call, inputs[place], target) for name, (call, place, target) in asked.items()}
    forgetful = worker(remember=False)
    forgotten = {name: ask(forgetful, call, inputs[place], target) for name, (call, place, target) in asked.items()}
    return {"together": together, "alone": alone, "forgotten": forgotten}


def of_innvestigate() -> dict[str, Any]:
    counted = [0]
    models = Models(graph=True)
    get = models.get

    def counting(*arguments: Any, **told: Any) -> Any:
        counted[0] += 1
        return get(*arguments, **told)

    models.get = counting  # type: ignore[method-assign]
    call = ReferenceCall("innvestigate", "analyzer", "lrp.epsilon", {"epsilon": 0.1})
    asked = {
        "map": (call, "float32", 1),
        "rules": (rules_call(call), "float32", 1),
        "rules in the other lane": (rules_call(call), "float64", 1),
        "rules of another epsilon": (rules_call(replace(call, options={"epsilon": 0.2})), "float32", 1),
        "rules of a class that is not there": (rules_call(call), "float32", 77),
        "gradient": (replace(call, name="gradient", options={}), "float32", 1),
        "rules of the gradient": (rules_call(replace(call, name="gradient", options={})), "float32", 1),
    }

    def ask(calls: Calls, call: ReferenceCall, dtype: str, target: int) -> str:
        before = counted[0]
        x = np.random.RandomState(1).randn(*SHAPE).astype(dtype)
        try:
            analyze, _ = calls.prepare(call, SOURCE, dtype)
            answer = analyze(x, target)
            return f"{array_sha256(answer) if answer.dtype.kind == 'f' else answer.tolist()} {counted[0] - before}"
        except Exception as error:  # of the package
            return f"{type(error).__name__} {counted[0] - before}"

    methods = InnvestigateMethods()
    same_worker = Calls(models, methods)
    together = {name: ask(same_worker, *how) for name, how in asked.items()}
    alone = {name: ask(Calls(models, methods), *how) for name, how in asked.items()}
    return {"together": together, "alone": alone}


if __name__ == "__main__":
    json.dump(of_signxai() if sys.argv[1] == "signxai" else of_innvestigate(), sys.stdout)
