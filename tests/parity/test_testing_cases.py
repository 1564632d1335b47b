"""Cases in a project of one's own: the function `judge`, and tests made by the decorator."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import signxai_torch
from parity.errors import ParityError
from parity.testing import cases, judge, parity_case
from tests.parity.echo_client import EchoClient

pytest_plugins = ("pytester",)


def right(model, x, method, target, **parameters):
    return signxai_torch.explain(model, x, method, target=target, **parameters)


def wrong(model, x, method, target, **parameters):
    return 1.01 * right(model, x, method, target, **parameters)


@pytest.fixture(autouse=True)
def port_in_the_references_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(EchoClient, "wrong", frozenset())
    monkeypatch.setattr(EchoClient, "interrupt_after", None)
    monkeypatch.setattr(cases, "_client", lambda options: EchoClient(store=tmp_path / "store"))
    cases._runner.cache_clear()
    yield
    cases._runner.cache_clear()


def test_a_right_function_is_at_parity() -> None:
    judgement = judge(right, model="dense_mnist", method=["lrp_z", "gradient"])
    assert judgement.ok, judgement.text()
    assert {(row["method"], row["dtype"]) for row in judgement.rows} == {
        ("lrp_z", "float64"), ("lrp_z", "float32"), ("gradient", "float64"), ("gradient", "float32"),
    }  # fmt: skip


def test_a_wrong_function_is_told_why() -> None:
    judgement = judge(wrong, model="dense_mnist", method="lrp_z", dtype="float64")
    assert not judgement.ok
    assert "structural: lrp_z on dense_mnist, input " in judgement.text()
    assert "rel_l2" in judgement.text()


def test_a_function_without_the_method_proves_nothing() -> None:
    def none(model, x, method, target, **parameters):
        raise NotImplementedError("only gradients here")

    judgement = judge(none, model="dense_mnist", method="lrp_z")
    assert not judgement.ok
    assert "unsupported" in judgement.text()
    assert "only gradients here" in judgement.text()


def test_what_does_not_exist_is_told() -> None:
    with pytest.raises(ParityError, match="lrp_zz"):
        judge(right, model="dense_mnist", method="lrp_zz")
    with pytest.raises(ParityError, match="nothing_mnist"):
        judge(right, model="nothing_mnist")


@parity_case(model="dense_mnist", method=["lrp_z", "lrp_flat"], dtype="float64")
def test_decorated(model, x, method, target, **parameters):
    """Is a test of each method."""
    return right(model, x, method, target, **parameters)


def test_a_decorated_test_has_markers_and_an_id_for_each_method() -> None:
    names = {mark.name for mark in test_decorated.pytestmark}
    assert names == {"parametrize", "parity_model"}
    assert test_decorated.__doc__ == "Is a test of each method."
    (parametrize,) = (mark for mark in test_decorated.pytestmark if mark.name == "parametrize")
    assert [case.id for case in parametrize.args[1]] == ["lrp_z", "lrp_flat"]


def test_a_decorated_test_of_a_wrong_function_fails() -> None:
    decorated = parity_case(model="dense_mnist", method="lrp_z", dtype="float64")(wrong)
    with pytest.raises(pytest.fail.Exception, match="structural: lrp_z on dense_mnist"):
        decorated(parity_method="lrp_z", parity_record=lambda runner, outcomes: None)


def test_what_was_run_can_be_recorded() -> None:
    seen = []
    judge(right, model="dense_mnist", method="lrp_z", dtype="float64", record=lambda *what: seen.append(what))
    ((runner, outcomes),) = seen
    assert runner.subject.name == "right"
    assert [outcome.row["status"] for outcome in outcomes] == ["parity"]


def test_importing_the_package_loads_nothing_heavy() -> None:
    script = (
        "import sys, parity.testing, parity.testing.plugin\n"
        "heavy = {'torch', 'numpy', 'h5py', 'zennit', 'scipy', 'matplotlib', 'skimage'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
