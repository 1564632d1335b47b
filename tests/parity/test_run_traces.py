"""A failing row of a run is followed layer by layer by itself; the results and the report name the layer."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from parity.assets.source import ModelSource
from parity.commands.cli import main
from parity.report import load
from tests.parity import broken_subjects
from tests.parity.trace_networks import network

pytest_plugins = ("tests.parity.command_line",)


@pytest.fixture
def vgg(tmp_path: Path) -> tuple[str, str]:
    """The files of a network and of its input."""
    source, x = network("vgg", tmp_path)
    np.save(tmp_path / "x.npy", x.array)
    return str(source.path), str(tmp_path / "x.npy")


def spec(name: str) -> str:
    return f"{broken_subjects.__file__}:{name}"


def test_without_a_trace_a_failing_row_says_why_and_the_run_goes_on(parity, monkeypatch):
    from tests.parity.echo_client import EchoClient

    monkeypatch.setattr(EchoClient, "wrong", frozenset({"lrp_z"}))
    result = parity("run", "--model", "dense_mnist", "--method", "lrp_z,gradient", "--samples", "1")
    assert result.exit_code == 1, result.output
    rows = {(row["method"], row["dtype"]): row for row in load(Path("reports/parity.json"))["results"]}
    told = rows["lrp_z", "float64"]["trace"]
    assert "no trace of layers" in told["problem"]
    assert rows["lrp_z", "float64"]["first_diverging_layer"] is None
    assert "trace" not in rows["gradient", "float64"]
    assert "no trace of layers" in Path("reports/parity.html").read_text(encoding="utf-8")


def test_a_run_on_stored_answers_asks_nobody_for_a_trace(parity, monkeypatch):
    """The maps are stored and the traces are not: that is told, and is no fault of the environment."""
    from tests.parity.echo_client import EchoClient

    asked = []
    answer = EchoClient.answer
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"lrp_z"}))
    monkeypatch.setattr(EchoClient, "unable", "no interpreter")
    monkeypatch.setattr(EchoClient, "answer", lambda self, request: asked.append(request.call) or answer(self, request))
    parity("run", "--model", "dense_mnist", "--method", "lrp_z", "--samples", "1")
    rows = load(Path("reports/parity.json"))["results"]
    assert any("it is not stored, and there is no reference to ask" in row["trace"]["problem"] for row in rows
               if "trace" in row)  # fmt: skip
    assert not [call for call in asked if call.asked_for_trace is not None]


def test_traces_can_be_left_out(parity, monkeypatch):
    from tests.parity.echo_client import EchoClient

    monkeypatch.setattr(EchoClient, "wrong", frozenset({"lrp_z"}))
    result = parity("run", "--model", "dense_mnist", "--method", "lrp_z", "--samples", "1", "--traces", "0")
    assert result.exit_code == 1, result.output
    assert all("trace" not in row for row in load(Path("reports/parity.json"))["results"])


@pytest.mark.reference
def test_results_and_report_name_the_layer(vgg, tmp_path):
    model, x = vgg
    folder = tmp_path / "report"
    arguments = ["run", "--model", model, "--inputs", x, "--method", "lrp_z,lrp_epsilon_0_1,gradient", "--report",
                 str(folder), "--store", str(tmp_path / "store"), "--subject", spec("scaled_c5")]  # fmt: skip
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 1, result.output
    document = load(folder / "parity.json")
    traced = {row["method"]: row for row in document["results"] if row.get("trace")}
    assert set(traced) == {"lrp_z", "lrp_epsilon_0_1"}  # the gradient has no rule that could be broken
    for row in traced.values():
        assert row["dtype"] == "float64"
        assert row["first_diverging_layer"] == row["trace"]["layer"] == "c5"
        assert row["trace"]["maps"] == ["p2"]
    page = (folder / "parity.html").read_text(encoding="utf-8")
    assert page.count("The relevance parts at c5 (Conv2D)") == 2
    assert "what c5 hands to p2" in page
    assert "Error by depth" in page


@pytest.mark.reference
def test_the_cause_of_a_method_without_a_trace_is_told(vgg, tmp_path):
    model, x = vgg
    folder = tmp_path / "report"
    arguments = ["run", "--model", model, "--inputs", x, "--method", "integrated_gradients", "--report", str(folder),
                 "--store", str(tmp_path / "store"), "--subject", "zennit"]  # fmt: skip
    assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 1
    (row,) = [row for row in load(folder / "parity.json")["results"] if "trace" in row]
    assert "has no trace" in row["trace"]["problem"]
    assert "the path in even steps, each at its end" in row["trace"]["cause"]
    assert "the path in even steps, each at its end" in (folder / "parity.html").read_text(encoding="utf-8")


@pytest.mark.reference
def test_a_fault_of_the_converter_is_told_in_the_results(vgg, tmp_path, monkeypatch):
    """Such a run compares no map, because the logits differ; the trace says where the networks part."""
    model, x = vgg
    load_right = ModelSource.load

    def spoilt(self, dtype="float32"):
        module = load_right(self, dtype)
        with torch.no_grad():
            module.get_submodule("c3").bias[0] += 0.5
        return module

    monkeypatch.setattr(ModelSource, "load", spoilt)
    arguments = ["run", "--model", model, "--inputs", x, "--method", "lrp_z,smoothgrad", "--dtype", "float64",
                 "--report", str(tmp_path / "report"), "--store", str(tmp_path / "store")]  # fmt: skip
    assert CliRunner().invoke(main, arguments, catch_exceptions=False).exit_code == 1
    rows = {row["method"]: row for row in load(tmp_path / "report" / "parity.json")["results"]}
    assert rows["lrp_z"]["failed_check"] == "logits"
    assert rows["lrp_z"]["first_diverging_layer"] == "c3"
    assert rows["lrp_z"]["trace"]["kind"] == "network"
    assert "smoothgrad has no trace" in rows["smoothgrad"]["trace"]["problem"]


@pytest.mark.reference
def test_the_command_shows_the_table_and_the_layer(vgg, tmp_path):
    model, x = vgg
    base = ["trace", "--model", model, "--inputs", x, "--method", "lrp_z", "--store", str(tmp_path / "store")]
    wrong = CliRunner().invoke(
        main, [*base, "--subject", spec("biasless_c3"), "--json", str(tmp_path / "t.json")], catch_exceptions=False
    )
    assert wrong.exit_code == 1, wrong.output
    assert "The relevance parts at c3 (Conv2D): what arrives agrees to" in wrong.output
    (told,) = json.loads((tmp_path / "t.json").read_text())["traces"]
    assert (told["kind"], told["layer"]) == ("relevance", "c3")
    right = CliRunner().invoke(main, [*base, "--json", "-"], catch_exceptions=False)
    assert right.exit_code == 0, right.output
    assert json.loads(right.stdout)["traces"][0]["layer"] is None


@pytest.mark.reference
def test_a_method_without_layers_is_refused_with_the_reason(vgg):
    model, x = vgg
    result = CliRunner().invoke(main, ["trace", "--model", model, "--inputs", x, "--method", "smoothgrad"])
    assert result.exit_code == 2
    assert "smoothgrad has no trace: it averages over many noisy inputs" in result.output.replace("\n", " ")
