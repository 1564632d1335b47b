"""What names can do to a terminal: nothing. Signs that would steer it are spelled."""

from __future__ import annotations

import io
import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from rich.table import Table
from rich.text import Text

from parity.commands.cli import main
from parity.commands.consoles import console, echo, echo_json, escaped, visible
from tests.parity.keras.keras_files import input_layer, layer, sequential, tiny

EVIL = "a\x1b[2J\x1b]0;title\x07\x9b31m\u202egreen\u2066\x7f"
SPELLED = r"a\x1b[2J\x1b]0;title\x07\x9b31m\u202egreen\u2066\x7f"
STEERS = ("\x1b", "\x07", "\x9b", "\u202e", "\u2066", "\x7f")


def assert_harmless(text: str) -> None:
    assert not any(sign in text for sign in STEERS), text.encode("unicode_escape")


def test_signs_that_steer_are_spelled_and_others_stay() -> None:
    assert visible(EVIL) == SPELLED
    assert visible("\udce9") == r"\udce9"
    for text in ("two\nlines\tand a tab", "ü ε ✓ 漢字 [bold]", ""):
        assert visible(text) == text


def test_whatever_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    out = console()
    table = Table("name", EVIL, title=EVIL)
    table.add_row(escaped(EVIL), Text(EVIL))
    for one in (EVIL, escaped(EVIL), Text(EVIL), table):
        out.print(one, soft_wrap=True)
    out.print(EVIL, markup=False)
    echo(EVIL)
    echo(EVIL, err=True)
    written = capsys.readouterr()
    assert_harmless(written.out + written.err)
    assert written.out.count(r"\x1b[2J") == 9
    assert written.err.strip() == SPELLED


def test_colours_are_still_colours() -> None:
    out = console()
    out.file, out._force_terminal, out._color_system = io.StringIO(), True, out._color_system
    out.print(f"[bold red]error:[/] {escaped(EVIL)}")
    assert r"\x1b[2J" in out.file.getvalue()
    assert "\x1b[2J" not in out.file.getvalue()


def test_json_stays_the_same_data(capsys: pytest.CaptureFixture[str]) -> None:
    data = {EVIL: [EVIL, "ü\n\t"]}
    echo_json(json.dumps(data, ensure_ascii=False, indent=1))
    text = capsys.readouterr().out
    assert_harmless(text)
    assert json.loads(text) == data


def evil_model(path: Path) -> Path:
    model = tiny()
    model.architecture["config"]["name"] = EVIL
    for entry in model.layers:
        entry["config"]["name"] = EVIL + entry["config"]["name"].replace("/", "")
    model.weights = {EVIL + name: tensors for name, tensors in model.weights.items()}
    return model.write(path)


def evil_class(path: Path) -> Path:
    model = tiny()
    model.layers[2]["class_name"] = EVIL
    return model.write(path)


def evil_tensor(path: Path) -> Path:
    tiny().write(path)
    with h5py.File(path, "a") as file:
        file[f"model_weights/dense/{EVIL}"] = np.ones(3)
    return path


@pytest.mark.parametrize("write", [evil_model, evil_class, evil_tensor])
@pytest.mark.parametrize("arguments", [[], ["--debug"]])
def test_convert(write, arguments, tmp_path: Path) -> None:
    path = write(tmp_path / f"{EVIL}.h5")
    result = CliRunner().invoke(main, [*arguments, "convert", "--no-check", str(path), str(tmp_path / "out.pt")])
    assert r"\x1b[2J" in result.output
    assert "unexpected" not in result.output
    assert_harmless(result.output)


@pytest.mark.parametrize("suffix", ["npy", "npz", "png"])
def test_inputs(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"{EVIL}.{suffix}"
    path.write_bytes(b"nothing of the kind")
    model = tiny().write(tmp_path / "m.h5")
    result = CliRunner().invoke(main, ["run", "--model", str(model), "--inputs", str(path)])
    assert result.exit_code == 2
    assert r"\x1b[2J" in result.output
    assert_harmless(result.output)


def test_a_config_beside_the_weights(tmp_path: Path) -> None:
    path = tiny().write_weights(tmp_path / "m.h5")
    architecture = sequential(input_layer(5, 4, 2), layer(EVIL, EVIL))
    (tmp_path / "m.json").write_text(json.dumps(architecture))
    result = CliRunner().invoke(main, ["convert", "--no-check", str(path), str(tmp_path / "out.pt")])
    assert result.exit_code == 2
    assert_harmless(result.output)
