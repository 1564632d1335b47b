"""Where no reference gives a map, DeepLIFT is held to its definition and to a gradient elsewhere: mutants of both."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.judge.known.promises import PROMISES, piecewise_linear, probes
from parity.judge.known.table import KNOWN_DIFFERENCES
from parity.reference.request import ReferenceAnswer
from parity.run.runner import Runner
from parity.run.subjects import SignxaiTorch, SubjectAnswer
from tests.parity.echo_client import EchoClient
from tests.parity.small_networks import conv, dense, described, flatten, layer, normalization, plan, written

SUM, ZEROS = "sums_to_the_change", "nothing_where_nothing_changes"
NAME = "signxai-deep-lift-missing"
Change = Callable[[np.ndarray], np.ndarray]


def right(array: np.ndarray) -> np.ndarray:
    return array


def with_nan(array: np.ndarray) -> np.ndarray:
    return np.where(np.arange(array.size).reshape(array.shape) == 3, np.nan, array).astype(array.dtype)


MUTANTS: dict[str, tuple[str, Change]] = {
    "one percent more": (SUM, lambda array: array * 1.01),
    "of the other sign": (SUM, lambda array: -array),
    "zero": (SUM, np.zeros_like),
    "an offset": (SUM, lambda array: array + 1e-2 * np.abs(array).max()),
    "nan": ("finite", with_nan),
    "upside down": (ZEROS, lambda array: array[:, ::-1].copy()),
    "mirrored": (ZEROS, lambda array: array[:, :, ::-1].copy()),
    "shifted by a pixel": (ZEROS, lambda array: np.roll(array, 1, axis=2)),
    "constant": (ZEROS, lambda array: np.full_like(array, array.mean(dtype=np.float64))),
    "of another shape": ("shape", lambda array: array[:, 1:]),
}


class WithoutOffsets(EchoClient):
    """Spoils what is said of the network without offsets; the gradient of the model itself is never asked for."""

    def __init__(self, change: Change | None = None) -> None:
        super().__init__()
        self.change = change

    def map_of(self, module, call, array, target):
        relevance = super().map_of(module, call, array, target)
        return self.change(relevance) if self.change is not None and call.kind != "logits" else relevance


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelSource, Input]:
    """Return a model with offsets, and an input with some zeros."""
    layers = [conv("f", "x"), flatten("f"), dense("h", "flat", units=8, activation="relu"), dense("o", "h")]
    return written(tmp_path_factory.mktemp("model"), [6, 5, 3], *layers, seed=2)


class Mutated(SignxaiTorch):
    """The port with its maps changed: of the model, where parts of the input are zero, or without offsets."""

    def __init__(self, real: Change = right, elsewhere: Change = right, probe: Change = right) -> None:
        self.real, self.elsewhere, self.probe = real, elsewhere, probe
        self.model: tuple[ModelSource, Input] | None = None

    def attribute_many(self, module, inputs, targets, methods):
        answers = super().attribute_many(module, inputs, targets, methods)
        assert self.model is not None
        source, x = self.model
        of_the_model = module.description.source_sha256 == source.sha256
        of_the_input = np.array_equal(inputs[0], x.array.astype(inputs.dtype))
        change = (self.real if of_the_input else self.probe) if of_the_model else self.elsewhere
        return {
            name: SubjectAnswer(None if said.array is None else change(said.array), said.seconds, said.error)
            for name, said in answers.items()
        }


Rows = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def rows(model: tuple[ModelSource, Input]) -> Rows:
    def run(subject: SignxaiTorch, client: EchoClient | None = None) -> list[dict[str, Any]]:
        if isinstance(subject, Mutated):
            subject.model = model
        runner = Runner(plan(*model, "deep_lift"), client or WithoutOffsets(), subject)
        return [outcome.row for outcome in runner.run()]

    return run


def test_the_ports_own_map_is_as_promised_and_held_to_the_gradient_elsewhere(rows: Rows) -> None:
    right_rows = rows(Mutated())
    assert [(row["status"], row["divergence"]) for row in right_rows] == [("reference-defect", NAME)] * 2
    for row in right_rows:
        assert row["held_to"] == "what the method promises, and signxai on the network without offsets"
        assert (row["failed_check"], row["rel_l2"] < 1e-5) == (None, True)
        assert row["limits"] is not None


@pytest.mark.parametrize("name", MUTANTS)
@pytest.mark.parametrize("where", ["the model", "inputs with parts set to zero", "everywhere"])
def test_a_map_that_breaks_a_promise_is_a_mismatch(name: str, where: str, rows: Rows) -> None:
    check, mutant = MUTANTS[name]
    subject = {
        "the model": Mutated(real=mutant),
        "inputs with parts set to zero": Mutated(probe=mutant),
        "everywhere": Mutated(mutant, mutant, mutant),
    }[where]
    for row in rows(subject):
        assert (row["status"], row["failed_check"]) == ("mismatch", check), row["message"]
        elsewhere = where == "inputs with parts set to zero" and check in (SUM, ZEROS)
        assert row["message"].endswith("(of an input with parts set to zero)") == elsewhere


@pytest.mark.parametrize("name", MUTANTS)
def test_a_map_that_is_wrong_on_the_network_without_offsets_is_a_mismatch(name: str, rows: Rows) -> None:
    for row in rows(Mutated(elsewhere=MUTANTS[name][1])):
        assert row["status"] in ("mismatch", "structural"), row["message"]
        assert row["failed_check"]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_port_that_is_right_on_the_network_without_offsets_only_is_a_mismatch(name: str, rows: Rows) -> None:
    mutant = MUTANTS[name][1]
    for row in rows(Mutated(real=mutant, probe=mutant)):
        assert row["status"] == "mismatch"


def test_a_gradient_passes_no_promise(rows: Rows) -> None:
    """The input times the gradient is what DeepLIFT is without offsets; with them its sum is wrong."""

    class Gradient(SignxaiTorch):
        def attribute_many(self, module, inputs, targets, methods):
            answers = super().attribute_many(module, inputs, targets, {"input_t_gradient": {}})
            return dict.fromkeys(methods, answers["input_t_gradient"])

    assert {(row["status"], row["failed_check"]) for row in rows(Gradient())} == {("mismatch", SUM)}


def test_a_subject_without_the_method_or_that_breaks_on_zeros(rows: Rows) -> None:
    class Lacking(SignxaiTorch):
        def attribute_many(self, module, inputs, targets, methods):
            return {name: SubjectAnswer(None, error="no such method", unsupported=True) for name in methods}

    assert {(row["status"], row["divergence"]) for row in rows(Lacking())} == {("unsupported", None)}

    class Breaking(Mutated):
        def attribute_many(self, module, inputs, targets, methods):
            answers = super().attribute_many(module, inputs, targets, methods)
            sparse = np.count_nonzero(inputs) == 1
            broken = {name: SubjectAnswer(None, error="ValueError") for name in methods}
            return broken if sparse else answers

    for row in rows(Breaking()):
        assert row["status"] == "error"
        assert "on an input of zeros and values: ValueError" in row["message"]


@pytest.mark.parametrize("change", [lambda array: array * np.nan, lambda array: array[:1]], ids=["nan", "shape"])
def test_a_broken_gradient_of_the_reference_is_an_error(change: Change, rows: Rows) -> None:
    for row in rows(Mutated(), WithoutOffsets(change)):
        assert row["status"] == "error", row["message"]


def test_a_reference_that_raises_there_is_an_error(rows: Rows) -> None:
    class Raising(EchoClient):
        def answer(self, request):
            if request.call.kind == "logits":
                return super().answer(request)
            return [ReferenceAnswer(None, error="ImportError: no", error_kind="method") for _ in request.inputs]

    assert {row["status"] for row in rows(Mutated(), Raising())} == {"error"}


# The table and what it promises


def test_one_known_difference_is_held_to_promises() -> None:
    assert [entry.name for entry in KNOWN_DIFFERENCES if entry.recipe == "promised"] == [NAME]
    assert set(PROMISES) == {SUM, ZEROS}


def test_probes_set_parts_to_zero_and_keep_the_rest() -> None:
    x = np.random.default_rng(0).normal(size=(5, 4, 2)).astype(np.float32)
    inputs = probes(x)
    assert len(inputs) == 6
    for probe in inputs:
        assert (probe.dtype, probe.shape) == (x.dtype, x.shape)
        assert np.all((probe == 0) | (probe == x))
        assert 0 < np.count_nonzero(probe) < x.size
    np.testing.assert_array_equal(inputs[0] + inputs[1], x)
    largest = np.sort(np.abs(x).ravel())[-2:]
    assert sorted(float(np.abs(probe).max()) for probe in inputs[-2:]) == largest.tolist()
    assert {np.count_nonzero(probe) for probe in inputs[-2:]} == {1}


def test_a_network_without_offsets_is_homogeneous_only_if_it_is_piecewise_linear(tmp_path) -> None:
    def pool(name: str, before: str) -> dict:
        return layer("MaxPooling2D", name, before, pool_size=[2, 2], strides=[2, 2], padding="valid")

    ends = (flatten("p"), dense("o", "flat"))
    assert piecewise_linear(described(tmp_path, [6, 6, 3], conv("f", "x"), pool("p", "f"), *ends))
    assert piecewise_linear(described(tmp_path, [5], dense("h", "x"), normalization("bn", "h"), dense("o", "bn")))
    for layers in (
        [conv("f", "x", activation="linear"), pool("p", "f")],  # of negative values the rule credits the baseline
        [conv("f", "x", activation="tanh"), layer("ReLU", "p", "f")],
        [conv("f", "x"), layer("ReLU", "p", "f", max_value=6.0)],
        [conv("f", "x"), layer("ReLU", "p", "f", threshold=0.5)],
        [conv("f", "x"), layer("LeakyReLU", "p", "f", alpha=0.1)],
        [conv("f", "x"), layer("ELU", "p", "f")],
    ):
        assert not piecewise_linear(described(tmp_path, [6, 6, 3], *layers, *ends))
