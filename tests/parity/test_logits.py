"""Before any map is believed the logits tell whether both sides have the same network; float64 decides."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from parity.reference.environment import ReferenceEnvironmentError
from parity.reference.request import ReferenceAnswer, ReferenceRequest
from parity.run.cases import Plan
from parity.run.file_logits import widened
from parity.run.runner import Runner
from parity.run.subjects import SignxaiTorch
from tests.parity.echo_client import EchoClient
from tests.parity.small_networks import dense, plan, written

LAYERS = [dense("h", "x", units=6, activation="relu"), dense("o", "h")]
NUDGED = 1e-3


class Shifted(EchoClient):
    """Answers logits with a relative error in each lane, and others for inputs scaled by a few last digits."""

    def __init__(self, float64: float = 0.0, float32: float = 0.0, nudged: float | None = None) -> None:
        super().__init__()
        self.errors = {"float64": float64, "float32": float32}
        self.nudged = nudged
        self.x: np.ndarray | None = None

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        answers = super().answer(request)
        if not request.call.asks_for_logits:
            return answers
        if self.x is None:
            self.x = request.inputs[0]
        for x, answer in zip(request.inputs, answers, strict=True):
            itself = np.array_equal(np.asarray(x, np.float32), self.x.astype(np.float32))
            error = self.errors[request.dtype] if itself or self.nudged is None else self.nudged
            answer.array = np.asarray(answer.array) * (1 + error)
        return answers


def run(folder: Path, client: EchoClient, large: bool = False) -> tuple[Runner, dict[str, tuple[str, str | None]]]:
    source, x = written(folder, [5], *LAYERS)
    asked = plan(source, x, "lrp_z")
    if large:
        asked = Plan(source, (x,), ("lrp_z",), frozenset(), frozenset(["lrp_z"]), large=True)
    runner = Runner(asked, client, SignxaiTorch())
    rows = [outcome.row for outcome in runner.run()]
    return runner, {row["dtype"]: (row["status"], row["failed_check"]) for row in rows}


PARITY, WRONG = ("parity", None), ("mismatch", "logits")


@pytest.mark.parametrize(
    ("client", "float64", "float32"),
    [
        (Shifted(), PARITY, PARITY),
        (Shifted(1e-10, 0), WRONG, WRONG),  # another network, in whatever lane
        (Shifted(1e-3, 1e-3), WRONG, WRONG),
        (Shifted(0, 1e-3), PARITY, PARITY),  # the reference's own float32 is so far from its float64
        (Shifted(np.nan, 0), WRONG, WRONG),
    ],
    ids=["equal", "float64 is off", "both are off", "the reference's float32 is off", "nan"],
)
def test_float64_decides_whether_it_is_the_same_network(
    client: Shifted, float64: tuple, float32: tuple, tmp_path: Path
) -> None:
    runner, verdicts = run(tmp_path, client)
    assert verdicts == {"float64": float64, "float32": float32}
    distances = runner.facts.logits_rel_l2
    assert np.isfinite(list(distances.values())).all(), "a results file holds no other numbers"
    assert set(distances) == ({"float32"} if np.isnan(client.errors["float64"]) else {"float64", "float32"})


def test_float32_alone_costs_only_the_rows_of_float32(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The port's float32 logits are off while the reference's own two lanes agree."""
    from parity.run import logits

    right = logits._logits

    def off(module, inputs):
        values = right(module, inputs)
        return values * 1.001 if str(module.dtype) == "torch.float32" else values

    monkeypatch.setattr(logits, "_logits", off)
    runner, verdicts = run(tmp_path, Shifted())
    assert verdicts == {"float64": PARITY, "float32": WRONG}
    assert set(runner.facts.problems) == {"float32"}
    assert "rel. L2 0.001 in float32" in runner.facts.problems["float32"]


@pytest.mark.parametrize(("noise", "same"), [(NUDGED, True), (NUDGED / 10, False), (np.nan, False)])
def test_the_float32_limit_follows_what_the_reference_does_to_scaled_inputs(
    noise: float, same: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from parity.run import logits

    right = logits._logits
    monkeypatch.setattr(
        logits, "_logits",
        lambda module, x: right(module, x) * (1.001 if str(module.dtype) == "torch.float32" else 1.0),
    )  # fmt: skip
    client = Shifted(nudged=noise)
    _, verdicts = run(tmp_path, client)
    assert verdicts["float32"] == (PARITY if same else WRONG)
    assert verdicts["float64"] == PARITY


def test_a_small_distance_asks_for_no_more_logits(tmp_path: Path) -> None:
    client = Shifted()
    run(tmp_path, client)
    assert [request.dtype for request in client.requests if request.call.asks_for_logits] == ["float64", "float32"]


@pytest.mark.parametrize("theirs", [0.0, 1.0])
def test_logits_that_only_one_side_has_are_a_mismatch(theirs: float, tmp_path: Path) -> None:
    class Wrong(EchoClient):
        def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
            return [ReferenceAnswer(np.full(3, theirs, request.dtype)) for _ in request.inputs]

    assert run(tmp_path, Wrong())[1] == {"float64": WRONG, "float32": WRONG}


def test_another_number_of_classes_is_a_mismatch(tmp_path: Path) -> None:
    class Fewer(EchoClient):
        def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
            return [ReferenceAnswer(np.ones(2, request.dtype)) for _ in request.inputs]

    assert run(tmp_path, Fewer())[1] == {"float64": WRONG, "float32": WRONG}


def test_a_large_model_is_told_by_float32_alone(tmp_path: Path) -> None:
    runner, verdicts = run(tmp_path, Shifted(1.0, 0.0), large=True)
    assert verdicts == {"float32": PARITY}
    assert set(runner.facts.logits_rel_l2) == {"float32"}
    assert run(tmp_path, Shifted(0.0, 1e-3), large=True)[1] == {"float32": WRONG}


def test_logits_that_the_reference_cannot_compute_are_errors(tmp_path: Path) -> None:
    class Broken(EchoClient):
        def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
            return [ReferenceAnswer(None, error="ValueError: cannot build", error_kind="method")]

    runner, verdicts = run(tmp_path, Broken())
    assert verdicts == {"float64": ("error", "logits"), "float32": ("error", "logits")}
    assert runner.facts.broken


def test_without_a_reference_nothing_is_run(tmp_path: Path) -> None:
    class Nobody(EchoClient):
        def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
            return [ReferenceAnswer(None, error="no TensorFlow here", error_kind="environment")]

    with pytest.raises(ReferenceEnvironmentError, match="no TensorFlow here"):
        run(tmp_path, Nobody())


@pytest.mark.parametrize("target", [3, -1])
def test_a_target_that_the_model_has_not_is_refused(target: int, tmp_path: Path) -> None:
    source, x = written(tmp_path, [5], *LAYERS)
    with pytest.raises(IndexError, match=f"target {target} is out of range: the model has 3 classes"):
        Runner(plan(source, x, "lrp_z"), EchoClient(), SignxaiTorch(), target=target)


@pytest.mark.parametrize(("noise", "expected"), [(1.0, 3.0), (1e-9, 1e-5), (float("inf"), 1e-5), (float("nan"), 1e-5)])
def test_noise_that_is_no_finite_number_widens_no_limit(noise: float, expected: float) -> None:
    assert widened(1e-5, noise) == expected
