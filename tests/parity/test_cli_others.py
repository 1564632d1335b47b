"""`parity convert`, lists, completion, and what all commands share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from parity import keras
from parity.assets.models import WEIGHTS
from parity.commands import completion
from parity.commands.cli import main
from tests.parity.echo_client import EchoClient

pytestmark = pytest.mark.slow

pytest_plugins = ("tests.parity.command_line",)
ROOT = Path(__file__).resolve().parents[2]


def test_convert_writes_what_torch_reads_without_unpickling(parity) -> None:
    result = parity("convert", "resnet_mnist", "out.pt")
    assert result.exit_code == 0, result.output
    assert "logits on digit_0: rel. L2 0 from Keras" in result.stdout
    module = keras.load(WEIGHTS / "resnet_mnist.h5")
    for layer in module.description.layers:
        assert layer.name in result.stdout
    assert f"{module.description.parameters:,}" in result.stdout
    content = torch.load("out.pt", weights_only=True)
    module.load_state_dict(content["state_dict"], strict=True)
    assert [layer["name"] for layer in content["config"]["layers"]] == [
        layer.name for layer in module.description.layers
    ]


def test_convert_says_that_logits_were_not_checked(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    from parity.reference.client import ReferenceClient

    monkeypatch.setattr("parity.reference.ReferenceClient", ReferenceClient)
    monkeypatch.setenv("REFERENCE_PYTHON", "/no/such/python")
    result = parity("convert", "dense_mnist", "out.pt", "--store", "empty", "--quiet")
    assert result.exit_code == 0
    assert "logits: not checked: no reference environment: REFERENCE_PYTHON: /no/such/python" in result.stdout
    assert Path("out.pt").exists()


def test_convert_writes_nothing_when_the_logits_differ(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(EchoClient):
        def answer(self, request):
            answers = super().answer(request)
            answers[0].array = answers[0].array * 1.001
            return answers

    monkeypatch.setattr("parity.reference.ReferenceClient", Other)
    result = parity("convert", "dense_mnist", "out.pt")
    assert result.exit_code == 1
    assert "nothing was written" in result.stdout
    assert not Path("out.pt").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["missing.h5", "out.pt"], "there is no file missing.h5"),
        (["dense_mnist", "out.pt", "--torchvision"], "not a VGG16 or VGG19"),
        (["dense_mnist", "no/out.pt"], "there is no folder no"),
        (["dense_mnist", "out.onnx"], "cannot write out.onnx: what is written is a file for torch.load"),
        (["bad.h5", "out.pt"], "cannot be opened as HDF5"),
    ],
)
def test_convert_refuses(parity, arguments: list[str], words: str) -> None:
    Path("bad.h5").write_bytes(b"nothing")
    result = parity("convert", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not Path("out.pt").exists()


def test_the_list_of_commands_cuts_no_sentence_off(parity) -> None:
    assert "..." not in parity("--help").stdout.split("Commands:")[1].split("Begin with:")[0]


def test_every_command_has_examples(parity) -> None:
    assert "_PARITY_COMPLETE=bash_source" in parity("--help").stdout
    for name in main.commands:
        text = parity(name, "--help").stdout
        assert "Examples:" in text
        assert f"parity {name}" in text


def test_lists(parity) -> None:
    assert parity("methods", "lrp_flat").stdout.startswith("lrp_flat ")
    assert json.loads(parity("methods", "--json", "lrp_flat").stdout)["family"] == "lrp"
    assert "vgg_mnist" in parity("models").stdout
    assert parity("methods", "nope").exit_code == 2


def test_completion_of_methods_and_models(parity, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completion, "cache_folder", lambda: tmp_path / "cache")

    def complete(words: str) -> list[str]:
        environment = {"_PARITY_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        return CliRunner().invoke(main, env=environment, prog_name="parity").stdout.split()

    assert "plain,lrp_flat_x_input" in complete("parity run --method lrp_flat")
    assert (tmp_path / "cache" / "method-names.json").exists()
    assert "plain,lrp_z,core" in complete("parity run --method lrp_z,co")
    assert "plain,dense_mnist" in complete("parity run --model dense")
    assert "plain,resnet_mnist" in complete("parity convert res")
    # A damaged cache is made anew.
    (tmp_path / "cache" / "method-names.json").write_text("[")
    assert "plain,lrp_flat" in complete("parity methods lrp_flat")


def test_a_closed_pipe_and_no_color() -> None:
    command = f"{sys.executable} -m parity models | head -c 5"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    environment = {**os.environ, "NO_COLOR": "1", "FORCE_COLOR": "1"}
    failed = subprocess.run(
        [sys.executable, "-m", "parity", "report", "none.json"], cwd=ROOT, env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert failed.returncode == 2
    assert "\x1b[31" not in failed.stderr
    assert "\x1b[1;31" not in failed.stderr
