"""The command and the test beside each case: executed, they make the same case again."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from parity.assets.inputs import Input, default_inputs
from parity.assets.models import resolve
from parity.commands.cli import main
from parity.run.cases import Options, Plan
from parity.run.reproduce import TESTED, command, methods_with_a_test, pytest_id
from parity.run.session import Session
from parity.run.subjects import list_methods
from tests.parity.echo_client import EchoClient
from tests.parity.keras.keras_files import tiny

pytestmark = pytest.mark.slow

SHAPE = (5, 4, 2)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("parity.run.session.ReferenceClient", EchoClient)
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"lrp_z"}))
    monkeypatch.setattr(EchoClient, "interrupt_after", None)
    folder = tmp_path / "it's [mine] $HOME"
    for sub in (folder, folder / "a", folder / "b"):
        sub.mkdir()
    tiny().write(folder / "my model [v1].h5")
    rng = np.random.default_rng(1)
    for sub in ("a", "b"):
        np.save(folder / sub / "x [0]; y.npy", rng.normal(size=(2, *SHAPE)).astype(np.float32))
    monkeypatch.chdir(folder)
    return folder


def made_again(row: dict[str, Any], elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Run a row's command in another folder; return its inputs' hashes and its rows."""
    monkeypatch.chdir(elsewhere)
    words = shlex.split(row["reproduce"])
    assert words[0] in (".venv/bin/parity", "parity")
    result = CliRunner().invoke(main, words[1:], catch_exceptions=False)
    assert result.exit_code in (0, 1), result.output
    document = json.loads((elsewhere / "reports" / "parity.json").read_text())
    hashes = {one["name"]: one["sha256"] for one in document["inputs"]}
    return [one | {"sha256": hashes[one["input"]]} for one in document["results"]]


@pytest.mark.parametrize("options", [{}, {"target": 2, "store": Path("my store")}])
def test_every_commands_case_is_the_rows_own(options, place: Path, tmp_path: Path, monkeypatch) -> None:
    document = Session(
        ["my model [v1].h5"], ["gradient", "lrp_z"], files=["*/x *.npy"], directory=Path("all"), **options
    ).run()  # fmt: skip
    hashes = {one["name"]: one["sha256"] for one in document["inputs"]}
    assert sorted(hashes) == ["a/x [0]; y[0]", "a/x [0]; y[1]", "b/x [0]; y[0]", "b/x [0]; y[1]"]
    assert len(document["results"]) == 16
    for row in document["results"]:
        again = made_again(row, tmp_path, monkeypatch)
        lanes = {"float64"} if row["dtype"] == "float64" else {"float64", "float32"}
        assert {one["dtype"] for one in again} == lanes
        (same,) = [one for one in again if one["dtype"] == row["dtype"]]
        for key in ("method", "status", "target", "rel_l2", "margin", "model", "reference"):
            assert same[key] == row[key], key
        assert same["sha256"] == hashes[row["input"]]
        assert same["pytest"] is None
        assert same["reproduce"] == row["reproduce"]
    for word in ("--target 2", f"--store {shlex.quote(str(place / 'my store'))}") if options else ():
        assert word in document["results"][0]["reproduce"]


SUBJECT = """
from helper import factor

def doubled(model, x, method, target, **parameters):
    if method == "lrp_flat":
        raise NotImplementedError("no flat rule")
    x.requires_grad_()
    model(x)[range(len(x)), target].sum().backward()
    return factor * x.grad
"""


def test_a_foreign_subjects_case_is_made_again_from_any_folder(place: Path, tmp_path: Path, monkeypatch) -> None:
    (place / "my ports").mkdir()
    (place / "my ports" / "wrong [1].py").write_text(SUBJECT)
    (place / "my ports" / "helper.py").write_text("factor = 2\n")
    document = Session(
        ["my model [v1].h5"], ["gradient", "lrp_flat"], files=["a/x *.npy"], samples=1, directory=Path("all"),
        subject="my ports/wrong [1].py:doubled",
    ).run()  # fmt: skip
    about = document["environment"]["subject"]
    assert about["name"] == "wrong [1].py:doubled"
    assert {"wrong [1].py", "helper.py", "torch", "numpy"} == set(about["versions"])
    spec = f"{place / 'my ports' / 'wrong [1].py'}:doubled"
    for row in document["results"]:
        assert row["pytest"] is None
        assert f"--subject {shlex.quote(spec)}" in row["reproduce"]
        again = made_again(row, tmp_path, monkeypatch)
        (same,) = [each for each in again if each["dtype"] == row["dtype"]]
        for key in ("method", "status", "rel_l2", "slope", "reproduce", "message"):
            assert same.get(key) == row.get(key), key
    statuses = {row["method"]: row["status"] for row in document["results"]}
    assert statuses == {"gradient": "mismatch", "lrp_flat": "unsupported"}


def _plan(model: str, **options: Any) -> tuple[Plan, Input]:
    source = resolve(model)
    names = frozenset(["lrp_z"])
    return Plan(source, (), ("lrp_z",), names, names, options=Options(**options)), default_inputs(source)[0]


def test_options_that_are_not_given_are_not_in_the_command() -> None:
    plan, one = _plan("vgg_mnist")
    words = shlex.split(command(plan, "lrp_z", "float64", one))[1:]
    assert words == "run --model vgg_mnist --input digit_0 --method lrp_z --dtype float64".split()  # noqa: SIM905
    plan, one = _plan("vgg_mnist", reference="innvestigate", subject="other", target=0)
    assert command(plan, "lrp_z", "float32", one).endswith("--target 0 --reference innvestigate --subject other")


def test_the_subject_is_named_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "it's mine").mkdir()
    monkeypatch.chdir(tmp_path)
    for spec, expected in (
        ("it's mine/port.py:f", f"{tmp_path}/it's mine/port.py:f"),
        ("./port.py:f", f"{tmp_path}/port.py:f"),
        ("a.module:f", "a.module:f"),
        ("zennit", "zennit"),
    ):
        plan, one = _plan("vgg_mnist", subject=spec)
        words = shlex.split(command(plan, "lrp_z", "float32", one))
        assert words[words.index("--subject") + 1] == expected
        assert pytest_id(plan, "lrp_z", one) is None, "the tests judge the port"


def test_there_is_a_test_id_only_where_there_is_that_test(tmp_path: Path) -> None:
    plan, one = _plan("vgg_mnist")
    assert pytest_id(plan, "lrp_z", one) == "tests/parity/test_map.py::test_map[vgg_mnist-lrp_z]"
    assert pytest_id(plan, "lrp_epsilon_0_777", one) is None, "it is not listed"
    assert pytest_id(plan, "lrp_z", default_inputs(plan.source)[1]) is None, "the test runs the first input"
    for options in ({"target": 1}, {"reference": "innvestigate"}, {"subject": "other"}):
        assert pytest_id(_plan("vgg_mnist", **options)[0], "lrp_z", one) is None
    (tmp_path / "vgg_mnist.h5").write_bytes(plan.source.path.read_bytes())
    own = Plan(resolve(str(tmp_path / "vgg_mnist.h5")), (), (), frozenset(), frozenset())
    assert pytest_id(own, "lrp_z", one) is None, "a user's model, whatever it is called"


def test_the_test_ids_are_those_that_pytest_collects() -> None:
    from tests.parity.test_map import CASES

    assert ("vgg_mnist", "lrp_flat") in CASES
    assert list(dict.fromkeys(model for model, _ in CASES)) == list(TESTED)
    assert tuple(methods_with_a_test("vgg_mnist")) == tuple(list_methods())
    assert methods_with_a_test("vgg16") == ()


def test_weights_alone_are_named_with_their_architecture(tmp_path: Path) -> None:
    path = tmp_path / "weights.h5"
    source = resolve("vgg_mnist")
    path.write_bytes(source.path.read_bytes())
    own = resolve(str(path))
    assert own.argument == str(path)
    assert resolve(own.argument) == own
