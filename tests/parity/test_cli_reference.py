"""`parity reference`, and runs without TensorFlow from what it packed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from parity.commands.cli import main
from parity.reference.environment import ReferenceEnvironmentError, find_python
from parity.reference.packed import SHIPPED

pytestmark = pytest.mark.slow


def parity(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pack", "references.zip"], "--pack goes with --offline"),
        (["--offline", "--refresh"], "--refresh asks TensorFlow, and --offline starts none"),
    ],
    ids=["pack", "refresh"],
)
def test_options_that_contradict_each_other_are_refused(arguments: list[str], message: str) -> None:
    result = parity("run", *arguments)
    assert result.exit_code == 2
    assert message in result.output


def test_a_file_that_is_no_pack_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "references.zip"
    path.write_text("no zip")
    result = parity("reference", "verify", str(path))
    assert result.exit_code == 2
    assert "is no pack of references" in " ".join(result.output.split())


@pytest.mark.reference
def test_packed_references_judge_without_tensorflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("REFERENCE_PYTHON", str(find_python()))
    except ReferenceEnvironmentError as error:
        pytest.skip(str(error))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARITY_STORE", str(tmp_path / "store"))
    cases = ["--model", "dense_mnist", "--method", "gradient", "--method", "lrp_flat"]
    done = parity("reference", "pack", "references.zip", *cases, "--jobs", "1", "--traces")
    assert done.exit_code == 0, done.output
    assert "references.zip" in done.output
    verified = parity("reference", "verify", "references.zip", *cases, "--jobs", "1", "--traces")
    assert verified.exit_code == 0, verified.output
    assert "0 differ" in verified.output

    monkeypatch.setenv("REFERENCE_PYTHON", str(tmp_path / "nothing"))
    offline = ["--samples", "1", "--offline", "--pack", "references.zip"]
    judged = parity("run", *cases, *offline)
    assert judged.exit_code == 0, judged.output
    document = json.loads((tmp_path / "reports" / "parity.json").read_text(encoding="utf-8"))
    assert document["summary"]["green"]
    assert document["summary"]["reference_answers"]["computed"] == 0
    assert document["environment"]["reference"]["tensorflow"].startswith("2.12")
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\n\ndef wrong(model, x, method, target, **parameters):\n"
        "    import signxai_torch\n\n    return 1.01 * signxai_torch.explain(model, x, method, target=target)\n"
    )
    wrong = parity("run", *cases, *offline, "--subject", "mine.py:wrong")
    assert wrong.exit_code == 1
    rows = json.loads((tmp_path / "reports" / "parity.json").read_text(encoding="utf-8"))["results"]
    traces = {row["method"]: row["trace"] for row in rows if "trace" in row}
    assert set(traces) == {"gradient", "lrp_flat"}
    assert traces["gradient"]["layer"] == traces["lrp_flat"]["layer"] == "predictions"  # wrong from the first layer on
    other = parity("run", "--model", "dense_mnist", "--method", "lrp_epsilon_75", *offline)
    assert other.exit_code == 1
    assert "no TensorFlow is started (--offline)" in " ".join(other.output.split())


def test_the_shipped_pack_judges_the_core_methods_without_tensorflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARITY_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("REFERENCE_PYTHON", str(tmp_path / "nothing"))
    judged = parity("run", "--model", "all", "--method", "core", "--samples", "1", "--offline")
    assert judged.exit_code == 0, judged.output
    document = json.loads((tmp_path / "reports" / "parity.json").read_text(encoding="utf-8"))
    assert document["summary"]["reference_answers"]["computed"] == 0
    assert document["summary"]["counts"]["parity"] > 150
    assert not document["summary"]["counts"].get("error")


def test_the_shipped_pack_is_small() -> None:
    assert SHIPPED.stat().st_size < 10e6
