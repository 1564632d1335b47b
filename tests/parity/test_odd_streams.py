"""`parity run` where the terminal is ASCII, the reader has gone, or the disk is full; and file names of any bytes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from parity.commands.streams import CLOSED_PIPE
from parity.errors import ParityError
from parity.paths import command_line, printable
from parity.report import load
from tests.parity.keras.keras_files import tiny

pytestmark = pytest.mark.slow

pytest_plugins = ("tests.parity.command_line",)

ROOT = Path(__file__).resolve().parents[2]
DRIVER = (
    "from tests.parity.echo_client import EchoClient; import parity.run.session as session; "
    "session.ReferenceClient = EchoClient; from parity.commands.cli import main; main(prog_name='parity')"
)
GREEN = ("run", "--model", "dense_mnist", "--samples", "1", "--method", "lrp_z", "--dtype", "float64")


def _shell(folder: Path, after: str = "", *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """Run `parity` with the port in the reference's place, and what a shell does with its output."""
    command = shlex.join([sys.executable, "-c", DRIVER, *(arguments or GREEN)])
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {after}"],
        cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "", **environment},
        capture_output=True, check=False, timeout=120,
    )  # fmt: skip


def _report(folder: Path) -> None:
    """Require a whole report."""
    document = load(folder / "reports" / "parity.json")
    assert len(document["results"]) == 1
    assert all((folder / "reports" / name).stat().st_size for name in ("parity.html", "junit.xml", "parity-arrays.h5"))


# --- terminals and pipes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "environment",
    [
        {"LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "cp1252"},
    ],
)
def test_a_terminal_that_has_no_tick_gets_another_sign(tmp_path: Path, environment: dict[str, str]) -> None:
    done = _shell(tmp_path, **environment)
    assert done.returncode == 0, done.stderr
    said = done.stdout.decode("ascii")
    assert "+ lrp_z at parity on dense_mnist" in said or "+ All 1" in said or "+ 1 of 1" in said, said
    assert b"Error" not in done.stderr
    _report(tmp_path)


@pytest.mark.parametrize("command", [("doctor", "--quick"), ("run", "--help")])
def test_other_commands_on_an_ascii_terminal(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = _shell(tmp_path, "", *command, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert b"Error" not in done.stderr


def test_a_reader_that_goes_away_costs_no_report(tmp_path: Path) -> None:
    done = _shell(tmp_path, "| true")
    assert done.returncode == CLOSED_PIPE, "as shells have it: 128 + SIGPIPE"
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    _report(tmp_path)


def test_a_reader_of_the_progress_that_goes_away_costs_nothing(tmp_path: Path) -> None:
    done = _shell(tmp_path, "2>&1 >said | true")
    assert done.returncode == 0
    assert "report: reports/parity.html" in (tmp_path / "said").read_text(encoding="utf-8")
    _report(tmp_path)


@pytest.mark.parametrize(
    ("command", "unbuffered"), [(("run", "--help"), ""), (("run", "--help"), "1"), ((*GREEN, "--json", "-"), "")]
)
def test_a_full_disk_behind_stdout_is_told_in_a_sentence(
    tmp_path: Path, command: tuple[str, ...], unbuffered: str
) -> None:
    done = _shell(tmp_path, "> /dev/full", *command, PYTHONUNBUFFERED=unbuffered)
    assert done.returncode == 2
    assert b"error: cannot write to stdout: No space left on device\n" in done.stderr
    assert b"Traceback" not in done.stderr
    assert b"Exception" not in done.stderr
    if command[0] == "run" and "--help" not in command:
        _report(tmp_path)


@pytest.mark.parametrize("after", [">&- 2>&-", "2> /dev/full"])
def test_streams_that_are_closed_or_full_of_errors_cost_nothing(tmp_path: Path, after: str) -> None:
    assert _shell(tmp_path, after).returncode == 0
    _report(tmp_path)


def test_a_copy_that_cannot_be_written_leaves_the_report(parity, tmp_path: Path) -> None:
    result = parity(*GREEN, "--json", "/dev/full", "--save-arrays", "maps.h5")
    assert result.exit_code == 2
    assert "error: cannot write /dev/full: No space left on device" in result.stderr
    assert "report: reports/parity.html" in result.stdout
    assert (tmp_path / "maps.h5").read_bytes() == (tmp_path / "reports" / "parity-arrays.h5").read_bytes()
    result = parity(*GREEN, "--json", "all.json", "--save-arrays", "/dev/full")
    assert result.exit_code == 2
    assert "error: cannot write /dev/full: No space left on device" in result.stderr
    assert "\nThe report in reports is whole.\n" in result.stderr
    assert json.loads((tmp_path / "all.json").read_text())["summary"]["green"]
    _report(tmp_path)


def test_half_a_copy_never_takes_the_place_of_a_whole_one(tmp_path: Path) -> None:
    from parity.commands.outputs import write_whole

    def broken():
        yield b"half"
        raise OSError(28, "No space left on device")

    path = tmp_path / "copy.json"
    path.write_bytes(b"whole")
    with pytest.raises(ParityError, match=r"cannot write .*copy\.json: No space left on device"):
        write_whole(path, broken())
    assert path.read_bytes() == b"whole"
    assert [one.name for one in tmp_path.iterdir()] == ["copy.json"]


def test_json_on_an_ascii_terminal_is_json(tmp_path: Path) -> None:
    done = _shell(tmp_path, "", *GREEN, "--json", "-", PYTHONIOENCODING="ascii")
    assert json.loads(done.stdout.decode("utf-8"))["summary"]["green"]


# --- names of any bytes ------------------------------------------------------------------------------------

NAMES = [b"caf\xe9.npy", b"..npy", b"...npy", b"two\nlines.npy", b"tab\tred\x1b[31m.npy", b"\xff\xfe.npy", b"$'x'.npy",
         b"<b>&amp;.npy", b"caf\xc3\xa9.npy", b"l" * 251 + b".npy", b" .npy", b"-.npy", b"a|b`c.npy",
         b"caf\xe9 \n'.npy"]  # fmt: skip


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[bytes, float]]:
    """A folder with a model and inputs of odd names, each with a value of its own."""
    folder = tmp_path_factory.mktemp("odd")
    tiny().write(folder / "mine.h5")
    rng = np.random.default_rng(0)
    for name in NAMES:
        try:
            with open(os.path.join(os.fsencode(folder), name), "wb") as stream:  # noqa: PTH118, PTH123
                np.save(stream, rng.normal(size=(5, 4, 2)).astype(np.float32))
        except OSError as error:
            pytest.skip(f"this file system does not take {name!r}: {error}")
    return folder, {}


def test_inputs_of_any_name_are_judged_and_told(odd, tmp_path: Path) -> None:
    folder, _ = odd
    files = [part for name in NAMES for part in ("--inputs", os.fsdecode(os.path.join(os.fsencode(folder), name)))]  # noqa: PTH118
    command = ("run", "--model", str(folder / "mine.h5"), *files, "--method", "gradient", "--dtype", "float64")
    done = _shell(tmp_path, "", *command, PYTHONIOENCODING="utf-8")
    assert done.returncode == 0, done.stderr
    document = load(tmp_path / "reports" / "parity.json")
    assert len(document["results"]) == len(NAMES)
    assert {row["status"] for row in document["results"]} == {"parity"}
    told = [one["name"] for one in document["inputs"]]
    assert len(set(told)) == len(NAMES)
    assert told[0] == r"caf\xe9"
    assert "café" in told
    for name in ("parity.json", "parity.html", "summary.md"):
        (tmp_path / "reports" / name).read_text(encoding="utf-8")
    ET.parse(tmp_path / "reports" / "junit.xml")
    again = _shell(tmp_path / "reports", "", "report", "parity.json")
    assert again.returncode == 0, again.stderr


def test_a_row_of_any_name_can_be_made_again(odd, tmp_path: Path) -> None:
    """The command of a row, in a shell."""
    folder, _ = odd
    name = b"caf\xe9 \n'.npy"
    path = os.fsdecode(os.path.join(os.fsencode(folder), name))  # noqa: PTH118
    row_of = tmp_path / "first"
    row_of.mkdir(exist_ok=True)
    _shell(row_of, "", "run", "--model", str(folder / "mine.h5"), "--inputs", path, "--method", "gradient")
    (row,) = [row for row in load(row_of / "reports" / "parity.json")["results"] if row["dtype"] == "float64"]
    words = row["reproduce"].partition(" ")[2]
    command = f"{shlex.join([sys.executable, '-c', DRIVER])} {words} --report {shlex.quote(str(tmp_path / 'again'))}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True,
        check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, (name, done.stderr)
    rows = load(tmp_path / "again" / "parity.json")["results"]
    assert {one["input_sha256"] for one in rows if "input_sha256" in one} <= {row.get("input_sha256")}
    assert len(rows) == 1


@pytest.mark.parametrize("name", [b"caf\xe9\n.npy"])
def test_a_file_that_is_refused_is_named(tmp_path: Path, name: bytes) -> None:
    tiny().write(tmp_path / "mine.h5")
    path = os.path.join(os.fsencode(tmp_path), name)  # noqa: PTH118
    with open(path, "wb") as stream:  # noqa: PTH123
        stream.write(b"no array")
    done = _shell(tmp_path, "", "run", "--model", "mine.h5", "--inputs", os.fsdecode(path), "--method", "gradient")
    assert done.returncode == 2
    assert b"is not an .npy file" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_model_of_any_name(tmp_path: Path) -> None:
    path = os.path.join(os.fsencode(tmp_path), b"mod\xe8le.h5")  # noqa: PTH118
    tiny().write(tmp_path / "mine.h5")
    os.rename(tmp_path / "mine.h5", path)  # noqa: PTH104
    np.save(tmp_path / "x.npy", np.ones((5, 4, 2), np.float32))
    words = ("run", "--model", os.fsdecode(path), "--inputs", "x.npy", "--method", "gradient", "--dtype", "float64")
    done = _shell(tmp_path, "", *words)
    assert done.returncode == 0, done.stderr
    document = load(tmp_path / "reports" / "parity.json")
    assert document["models"][0]["name"] == r"mod\xe8le"


def test_words_come_back_from_a_shell_as_they_were() -> None:
    words = [os.fsdecode(one) for one in (*NAMES, b"it's", b"", b"a b", b"back\\slash\n", b"\xe9a")]
    said = subprocess.run(["bash", "-c", f"printf '%s\\0' {command_line(words)}"], capture_output=True, check=True)
    assert said.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in words]
    assert command_line(words).isprintable()


def test_names_as_text() -> None:
    assert printable(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    assert printable("café") == "café"
