"""Two VarGrad maps that are the variance of last digits prove nothing, and nothing more than that is let off."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from parity.run.nothing import is_nothing
from parity.run.outcome import Case, Outcome
from parity.run.runner import Runner
from parity.run.subjects import FunctionSubject, SignxaiTorch, parse
from tests.fuzz.networks import write
from tests.parity.echo_client import EchoClient
from tests.parity.small_networks import plan
from tests.parity.wrong_ports import right

LINEAR = Path(__file__).parents[1] / "fuzz" / "regressions" / "variance_of_a_gradient_that_does_not_change.json"


def runner_of(
    folder: Path, method: str, dtype: str = "float64", client: EchoClient | None = None, subject=None
) -> Runner:
    source, x = write(json.loads(LINEAR.read_text(encoding="utf-8")), folder / "net.h5")
    return Runner(plan(source, x, method, dtypes=(dtype,)), client or EchoClient(), subject or SignxaiTorch())


@pytest.mark.parametrize(
    ("reference", "subject", "method", "passes"),
    [
        (1e-31, 3e-33, "vargrad", True),
        (1e-31, 0.0, "vargrad", True),
        (1e-31, 3e-33, "vargrad_x_input", True),
        (1e-20, 3e-33, "vargrad", False),
        (1e-31, 1e-20, "vargrad", False),
        (1e-31, -1e-20, "vargrad", False),
        (1e-31, np.nan, "vargrad", False),
        (np.nan, np.nan, "vargrad", False),
        (np.inf, 3e-33, "vargrad", False),
        (1e-31, 3e-33, "gradient", False),
        (1e-31, 3e-33, "smoothgrad", False),
        (None, 3e-33, "vargrad", False),
        (1e-31, None, "vargrad", False),
    ],
)
def test_only_a_variance_of_last_digits_is_nothing(
    tmp_path: Path, reference: float | None, subject: float | None, method: str, passes: bool
) -> None:
    runner = runner_of(tmp_path, method)
    x = runner.plan.inputs[0]
    maps = [None if value is None else np.full(x.array.shape, value) for value in (reference, subject)]
    case = Case(runner.plan, parse(method), "float64", x, 0)
    assert is_nothing(Outcome({}, *maps), case, runner.facts.description, runner.side) == passes


def test_a_map_of_another_shape_is_not_nothing(tmp_path: Path) -> None:
    runner = runner_of(tmp_path, "vargrad")
    x = runner.plan.inputs[0]
    case = Case(runner.plan, parse("vargrad"), "float64", x, 0)
    outcome = Outcome({}, np.zeros(x.array.shape), np.zeros((1, *x.array.shape)))
    assert not is_nothing(outcome, case, runner.facts.description, runner.side)


def test_float32_has_more_last_digits(tmp_path: Path) -> None:
    runner = runner_of(tmp_path, "vargrad", "float32")
    x = runner.plan.inputs[0]
    outcome = Outcome({}, *[np.full(x.array.shape, 1e-13, np.float32)] * 2)
    for dtype, passes in (("float32", True), ("float64", False)):
        case = Case(runner.plan, parse("vargrad"), dtype, x, 0)
        assert is_nothing(outcome, case, runner.facts.description, runner.side) == passes


class Rounding(EchoClient):
    """Answers VarGrad with the rounding of another order of sums."""

    def map_of(self, module, call, array, target):
        return np.full(array.shape, 1e-31) if call.name == "vargrad" else super().map_of(module, call, array, target)


def spoilt(change):
    def subject(model, x, method, target, **parameters):
        return change(right(model, x, method, target, **parameters))

    return FunctionSubject(subject, "spoilt")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda array: array, "unjudged"),
        (lambda array: array + 3e-33, "unjudged"),
        (lambda array: array + 1.0, "mismatch"),
        (lambda array: array * np.nan, "mismatch"),
    ],
    ids=["the port", "rounding", "one", "nan"],
)
def test_a_run_leaves_such_maps_unjudged_and_no_other(tmp_path: Path, change, status: str) -> None:
    (outcome,) = runner_of(tmp_path, "vargrad", client=Rounding(), subject=spoilt(change)).run()
    assert outcome.row["status"] == status, outcome.row["message"]
    if status == "unjudged":
        assert "variance of a gradient that does not change" in outcome.row["message"]
        assert (outcome.row["margin"], outcome.row["divergence"]) == (None, None)
