"""Beside every known difference a right port is green and a wrong port red, however the reference fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.judge.known.table import KNOWN_DIFFERENCES
from parity.judge.verdict import is_ok
from parity.reference.request import ReferenceAnswer, ReferenceRequest
from parity.run.mutants.mutant import replaced
from parity.run.runner import Runner
from parity.run.subjects import FunctionSubject, SignxaiTorch, Subject
from signxai_torch import explain
from tests.parity.echo_client import EchoClient
from tests.parity.small_networks import conv, dense, flatten, layer, normalization, plan, written, written_row
from tests.parity.wrong_ports import constant, mirrored, nan, right

pytestmark = pytest.mark.slow

BRANCHES = [dense("s", "x", units=4, activation="relu"), dense("a", "s", units=4, activation="relu"),
            dense("b", "s", units=4), layer("Add", "sum", "a", "b"), dense("o", "sum")]  # fmt: skip
AGAIN = [dense("f", "x", units=4, activation="relu"), layer("Concatenate", "join", "f", "f", axis=-1),
         dense("o", "join")]  # fmt: skip
NORMALIZED = [conv("f", "x"), normalization("bn", "f"), flatten("bn"), dense("o", "flat")]
IMAGE = [conv("f", "x"), flatten("f"), dense("o", "flat")]
BENT = [conv("f", "x", activation="linear"), layer("ReLU", "r", "f"), flatten("r"), dense("o", "flat")]
# Difference -> method, input, layers; or method, nothing, the name of a network in tests/parity/judged.
CASES: dict[str, tuple[str, list[int], list[dict] | str]] = {
    "signxai-bounded-is-zero": ("zblrp_epsilon_0_25_std_x_VGG16ILSVRC", [6, 5, 3], IMAGE),
    "signxai-deep-lift-missing": ("deep_lift", [6, 5, 3], IMAGE),
    "signxai-relu-per-consumer": ("guided_backprop", [5], BRANCHES),
    "signxai-deconvnet-relu-layer": ("deconvnet", [6, 5, 3], BENT),
    "signxai-concatenate-order": (
        "lrpsign_z", [3],
        [dense("f", "x", units=4), layer("Concatenate", "join", "x", "f", axis=-1), dense("o", "join")],
    ),
    "signxai-input-rule-on-a-branch": ("lrpsign_z", [5], BRANCHES),
    "signxai-grad-cam-is-transposed": ("grad_cam", [7, 5, 3], IMAGE),
    "signxai-sign-rule-on-the-last-layer": ("lrpsign_z", [5], [dense("o", "x")]),
    "signxai-permute-of-equal-sizes": (
        "lrp_gamma", [4, 5, 4],
        [layer("Permute", "p", "x", dims=[3, 2, 1]), flatten("p"), dense("h", "flat"), dense("o", "h")],
    ),
    "signxai-open-sizes": ("lrp_gamma", [], "padded_of_open_length"),
    "signxai-relevance-of-all-classes": (
        "lrp_gamma", [5], [dense("h", "x"), dense("o", "h"), layer("Activation", "a", "o", activation="tanh")],
    ),
    "signxai-deconvnet-relu-on-the-output": (
        "deconvnet", [5], [dense("h", "x", activation="relu"), dense("o", "h", activation="relu")],
    ),
    "signxai-batch-normalization-without-offset": (
        "lrp_z", [5, 4, 2],
        [conv("f", "x"), normalization("bn", "f", center=False), flatten("bn"), dense("o", "flat")],
    ),
    "signxai-batch-normalization-at-the-end": (
        "lrp_gamma", [5], [dense("h", "x"), dense("o", "h"), normalization("bn", "o")],
    ),
    "innvestigate-deconvnet-relu-layer": ("deconvnet", [6, 5, 3], BENT),
    "innvestigate-batch-normalization": ("lrp.z", [5, 4, 2], NORMALIZED),
    "innvestigate-batch-normalization-graph": ("innvestigate.smoothgrad", [5, 4, 2], NORMALIZED),
    "innvestigate-input-rule-behind-padding": (
        "lrp.sequential_preset_b_flat", [5, 4, 2],
        [layer("ZeroPadding2D", "p", "x", padding=[[1, 1], [1, 1]]), conv("f", "p"), flatten("f"), dense("o", "flat")],
    ),
    "augmentation": (
        "gradient", [6, 5, 3],
        [layer("RandomFlip", "r", "x", mode="horizontal", seed=None), conv("f", "r"), flatten("f"), dense("o", "flat")],
    ),
    "signxai-rounded-for-each-reader": (
        "lrp_z", [4, 5, 2],
        [layer("Resizing", "r", "x", height=6, width=7), conv("f", "r"), conv("g", "r"), layer("Add", "s", "f", "g"),
         flatten("s"), dense("o", "flat")],
    ),
    "innvestigate-statistics-of-a-sample": (
        "lrp.z", [6, 5, 3],
        [conv("f", "x"), layer("UnitNormalization", "u", "f", axis=[3]), flatten("u"), dense("o", "flat")],
    ),
    "innvestigate-sizes-at-every-step": (
        "lrp.z", [5, 4, 2],
        [layer("TimeDistributed", "t", "x", layer={"class_name": "UnitNormalization", "config": {"name": "u"}}),
         flatten("t"), dense("o", "flat")],
    ),
    "innvestigate-derivative-in-lrp": (
        "lrp.z", [5], [dense("h", "x"), layer("LeakyReLU", "l", "h", alpha=0.25), dense("o", "l")],
    ),
    "signxai-several-inputs": ("lrp_z", [], "two_inputs"),
    "innvestigate-index-of-several-inputs": ("lrp.z", [], "two_inputs"),
    "innvestigate-copies-of-several-inputs": ("innvestigate.integrated_gradients", [], "two_inputs"),
    "innvestigate-batch-normalization-of-several-inputs": ("gradient", [], "two_inputs_normalized"),
    "innvestigate-copies-of-open-sizes": ("innvestigate.integrated_gradients", [], "padded_of_open_length"),
    "signxai-embedding": ("lrp_z", [], "text_cnn"),
    "signxai-tensors-by-name": ("lrp_z", [], "self_attention"),
    "innvestigate-tensors-by-name": ("lrp.z", [], "attention_of_a_query_to_a_value"),
    "innvestigate-masked-attention": ("lrp.z", [], "masked_attention"),
    "innvestigate-several-attentions": ("lrp.z", [], "two_attentions"),
    "innvestigate-causal-attention": ("lrp.z", [], "causal_attention_of_heads"),
    "signxai-read-twice": ("lrp_z", [5], AGAIN),
    "innvestigate-read-twice": ("lrp.z", [5], AGAIN),
    "innvestigate-recurrence": ("innvestigate.integrated_gradients", [], "lstm"),
    "innvestigate-masked-average": ("lrp.z", [], "masked_average"),
}  # fmt: skip


def network(name: str, folder: Path) -> tuple[ModelSource, Input]:
    _, shape, layers = CASES[name]
    if isinstance(layers, str):
        return written_row(layers, folder)
    return written(folder, shape, *layers, seed=3)


def run(
    source: ModelSource, x: Input, method: str, client: EchoClient, subject: Any, reference: str = "auto"
) -> list[dict[str, Any]]:
    told: Subject = subject if isinstance(subject, SignxaiTorch) else FunctionSubject(subject, "function")
    runner = Runner(plan(source, x, method), client, told, reference)
    return [outcome.row for outcome in runner.run()]


def reference_of(name: str) -> str:
    """Return which reference must be asked for; SIGN-XAI would be asked first where both copy a layer wrongly."""
    return "innvestigate" if name == "innvestigate-deconvnet-relu-layer" else "auto"


def of_each_input(wrong: Callable) -> Callable:
    """Return a wrong port that spoils the map of each of several inputs as it would that of an only one."""

    def port(model, x, method, target, **parameters):
        if not isinstance(x, tuple):
            return wrong(model, x, method, target, **parameters)
        maps = explain(model, x, method, target=target, **parameters)
        spoilt = []
        for part, relevance in zip(x, maps, strict=True):
            with replaced(wrong.__globals__, "right", lambda *_, relevance=relevance, **__: relevance)():
                spoilt.append(wrong(model, part, method, target, **parameters))
        return tuple(spoilt)

    return port


class Defective(EchoClient):
    """Says of the model itself what a defect makes of it; of other networks, and of logits, what is right."""

    def __init__(self, path: Path, defect: Callable[[np.ndarray], np.ndarray | None]) -> None:
        super().__init__()
        self.path, self.defect = path, defect

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        answers = super().answer(request)
        if request.call.asks_for_logits or request.model.path != self.path:
            return answers
        maps = [self.defect(np.asarray(answer.array)) for answer in answers]
        raised = ReferenceAnswer(None, error="TypeError: defect", error_kind="method")
        return [raised if array is None else ReferenceAnswer(array) for array in maps]


def test_every_difference_has_a_case() -> None:
    assert {entry.name for entry in KNOWN_DIFFERENCES if entry.by_values is None} == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_the_port_is_held_to_something_else_and_holds(name: str, tmp_path: Path) -> None:
    source, x = network(name, tmp_path)
    for row in run(source, x, CASES[name][0], EchoClient(), SignxaiTorch(), reference_of(name)):
        assert (row["status"], row["failed_check"]) == ("reference-defect", None), row["message"]
        assert name in row["divergence"].split(", ")
        assert row["message"].startswith(f"Held to {row['held_to']}. ")
        assert is_ok(row["status"], row["divergence"])


def scaled(model, x, method, target, **parameters):
    return right(model, x, method, target, **parameters) * 1.001


def zero(model, x, method, target, **parameters):
    return right(model, x, method, target, **parameters) * 0


def infinite(model, x, method, target, **parameters):
    relevance = right(model, x, method, target, **parameters)
    relevance.flat[0] = np.inf
    return relevance


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("wrong", [nan, infinite, zero, scaled, mirrored, constant], ids=lambda wrong: wrong.__name__)
def test_a_wrong_port_beside_it_is_red(name: str, wrong: Callable, tmp_path: Path) -> None:
    source, x = network(name, tmp_path)
    for row in run(source, x, CASES[name][0], EchoClient(), of_each_input(wrong), reference_of(name)):
        assert row["status"] in ("mismatch", "structural"), row["message"]
        assert not is_ok(row["status"], row["divergence"])


# Those where no reference is asked about the model itself.
ELSEWHERE = (
    "signxai-bounded-is-zero", "signxai-deconvnet-relu-layer", "signxai-concatenate-order",
    "signxai-input-rule-on-a-branch", "signxai-grad-cam-is-transposed", "signxai-sign-rule-on-the-last-layer",
    "signxai-permute-of-equal-sizes", "signxai-relevance-of-all-classes", "signxai-open-sizes",
    "signxai-batch-normalization-without-offset", "signxai-batch-normalization-at-the-end", "signxai-read-twice",
)  # fmt: skip
DEFECTS: dict[str, Callable[[np.ndarray], np.ndarray | None]] = {
    "raises": lambda _: None,
    "nan": lambda array: array * np.nan,
    "another shape": lambda array: array[:-1],
    "zero": lambda array: array * 0,
    "another map": lambda array: -2 * array[::-1] + 1,
}


@pytest.mark.parametrize("defect", DEFECTS)
@pytest.mark.parametrize("name", ELSEWHERE)
def test_what_the_reference_does_on_the_model_itself_changes_nothing(name: str, defect: str, tmp_path: Path) -> None:
    source, x = network(name, tmp_path)
    client = Defective(source.path, DEFECTS[defect])
    rows = run(source, x, CASES[name][0], client, SignxaiTorch())
    assert {row["status"] for row in rows} == {"reference-defect"}


@pytest.mark.parametrize("name", ["signxai-permute-of-equal-sizes", "signxai-concatenate-order"])
def test_agreeing_with_a_reference_that_is_wrong_there_is_no_parity(name: str, tmp_path: Path) -> None:
    source, x = network(name, tmp_path)
    first = 2 if x.array.ndim == 3 else 1  # the first axis of Keras' layout, in torch's

    def copied(model, x, method, target, **parameters):
        return -2 * np.flip(right(model, x, method, target, **parameters), first) + 1

    client = Defective(source.path, DEFECTS["another map"])
    for row in run(source, x, CASES[name][0], client, copied):
        assert row["status"] == "mismatch"
    (spoilt,) = client.answer(replace(client.requests[-1], model=source))
    assert spoilt.array is not None, "the reference has that defect on the model itself"


# A reference that does not explain the model at all


class Saying(EchoClient):
    """Says something instead of maps, for the backends named."""

    def __init__(self, said: str, *backends: str, kind: str = "method") -> None:
        super().__init__()
        self.said, self.backends, self.kind = said, backends, kind

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        if request.call.asks_for_logits or request.call.backend not in self.backends:
            return super().answer(request)
        self.requests.append(request)
        return [ReferenceAnswer(None, error=self.said, error_kind=self.kind) for _ in request.inputs]


REFUSAL = "NotAnalyzeableModelException: not for such a model"
BOTH = ("signxai", "innvestigate")


def test_a_refusal_goes_to_the_next_and_the_last_leaves_the_method_unsupported(tmp_path: Path) -> None:
    source, x = written(tmp_path, [6, 5, 3], *IMAGE)
    for row in run(source, x, "lrp_z", Saying(REFUSAL, "signxai"), SignxaiTorch()):
        assert (row["status"], row["reference"]) == ("parity", "innvestigate")
        assert row["message"].startswith(f"signxai does not explain such a model: {REFUSAL}")
    for row in run(source, x, "lrp_z", Saying(REFUSAL, *BOTH), SignxaiTorch()):
        assert (row["status"], row["reference"]) == ("unsupported", "innvestigate")
    for row in run(source, x, "lrpsign_z", Saying(REFUSAL, "signxai"), SignxaiTorch()):
        assert row["status"] == "unsupported"


@pytest.mark.parametrize(
    ("said", "kind"),
    [("TypeError: no argument 'foo'", "method"), ("You must feed a value for placeholder tensor", "method"),
     ("the worker died of SIGABRT", "crash"), (REFUSAL, "crash"), ("too slow", "timeout")],
)  # fmt: skip
@pytest.mark.parametrize("method", ["lrp_z", "zblrp_epsilon_0_25_std_x_VGG16ILSVRC", "gradient_x_input"])
def test_whatever_else_a_reference_says_is_an_error_and_no_other_stands_in(
    said: str, kind: str, method: str, tmp_path: Path
) -> None:
    source, x = written(tmp_path, [6, 5, 3], *IMAGE)
    for row in run(source, x, method, Saying(said, "signxai", kind=kind), SignxaiTorch()):
        assert row["status"] == "error"
        assert said in row["message"]


@pytest.mark.parametrize("client", [Saying("TypeError: what", *BOTH), Saying(REFUSAL, *BOTH), EchoClient()])
@pytest.mark.parametrize("method", ["lrp_z", "gradient", "zblrp_epsilon_0_25_std_x_VGG16ILSVRC", "deep_lift"])
def test_nan_of_the_subject_is_a_mismatch_whatever_the_reference_says(
    client: EchoClient, method: str, tmp_path: Path
) -> None:
    source, x = written(tmp_path, [6, 5, 3], *IMAGE)
    for row in run(source, x, method, client, nan):
        assert (row["status"], row["failed_check"]) == ("mismatch", "finite")


# Where nothing is left


def test_where_nothing_is_left_a_map_is_unjudged_unless_it_is_broken_by_itself(tmp_path: Path) -> None:
    source, x = written(tmp_path, [5, 4, 2], *NORMALIZED)

    def raising(model, x, method, target, **parameters):
        raise ValueError("broken")

    def lacking(model, x, method, target, **parameters):
        raise NotImplementedError("none")

    def wide(model, x, method, target, **parameters):
        return np.ones((1, 2, 5, 5))

    expected = {
        right: ("unjudged", None), mirrored: ("unjudged", None), nan: ("mismatch", "finite"),
        wide: ("mismatch", "shape"), raising: ("error", None), lacking: ("unsupported", None),
    }  # fmt: skip
    for subject, outcome in expected.items():
        client = EchoClient()
        rows = run(source, x, "deep_taylor", client, subject)
        assert {(row["status"], row["failed_check"]) for row in rows} == {outcome}
        assert all(request.call.asks_for_logits for request in client.requests)
        if outcome[0] == "unjudged":
            assert "no reference is left for deep_taylor on such a model" in rows[0]["message"]
