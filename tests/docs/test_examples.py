"""Every code block of the README and of the site.

Python blocks are run, all of a page in one namespace and in an empty folder with the files that the pages speak of. A
block for another package (``# with package``) is run after them if that package is installed, else only compiled.
Shell blocks are not run, but for the first `parity run` of the quick start: a command of `parity` is parsed by click
with all its options, a target of `make` must be in the Makefile, an extra of `pip install` in pyproject.toml, and a
test named for pytest must exist.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
import types
import warnings
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
import torch
from click.testing import CliRunner

import signxai_torch
from docs.extensions import differences
from parity.assets.models import resolve
from parity.commands.cli import main
from parity.testing import cases
from tests.docs.blocks import PAGES, ROOT, blocks, commands
from tests.parity.keras.keras_files import KerasModel, input_layer, layer, sequential

NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
EXTRAS = re.findall(r"^(\w+) = \[", PYPROJECT.split("[project.optional-dependencies]")[1].split("\n[")[0], re.MULTILINE)
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def port(model: torch.nn.Module, x: torch.Tensor, method: str, target: Any, **parameters: Any) -> np.ndarray:
    return signxai_torch.explain(model, x, method, target=target, **parameters)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the pages name; references come from the shipped pack alone."""
    shutil.copyfile(resolve("vgg_mnist").path, tmp_path / "mine.h5")
    np.save(tmp_path / "x.npy", np.zeros((32, 32, 1), np.float32))
    KerasModel(sequential(input_layer(4), layer("Lambda", "code", function=["4wE=", None, None]))).write(
        tmp_path / "odd.h5"
    )
    (tmp_path / "references.zip").touch()
    (tmp_path / "reports").mkdir()
    library = types.ModuleType("my_library")
    library.attribute = lambda model, x, target, rule: port(model, x, rule, target)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_library", library)
    monkeypatch.setattr(cases, "_no_environment", lambda: True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(code: str, names: dict[str, Any], page: str, line: int) -> None:
    padded = "\n" * (line - 1) + code  # so that a traceback tells the line of the page
    exec(compile(padded, str(ROOT / page), "exec"), names)


@pytest.mark.parametrize("page", [name for name in NAMES if "```python" in (ROOT / name).read_text(encoding="utf-8")])
def test_python_blocks_run(page: str, folder: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "page", "my_function": port}
    torch.manual_seed(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in blocks(text, "python"):
            if block.other is None:
                run(block.code, names, page, block.line)
        for block in blocks(text, "python"):
            if block.other is None:
                continue
            if importlib.util.find_spec(block.other) is None:
                compile(block.code, page, "exec")
            else:
                run(block.code, dict(names), page, block.line)


@pytest.mark.parametrize("page", NAMES)
def test_shell_blocks_name_what_there_is(page: str, folder: Path) -> None:
    for words in commands((ROOT / page).read_text(encoding="utf-8")):
        check(words)


def test_the_command_of_the_quick_start_that_needs_no_reference_environment_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARITY_STORE", str(folder / "store"))  # with nothing in it
    lines = commands((ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8"))
    (words,) = (words for words in lines if "--offline" in words)
    ended = CliRunner().invoke(main, words[1:])
    assert ended.exit_code == 0, ended.output
    assert (folder / "reports" / "parity.html").is_file()


def test_the_commands_that_show_known_differences_name_what_there_is(folder: Path) -> None:
    found = list(commands(differences.page()))
    assert len(found) >= len(differences.KNOWN_DIFFERENCES)
    for words in found:
        check(words)


def check(words: list[str]) -> None:
    """Check a command line as far as it can be without running it."""
    program, *arguments = words
    program = program.removeprefix(".venv/bin/")
    if program == "parity":
        parsed(main, "parity", arguments)
    elif program == "make":
        assert [word for word in arguments if "=" not in word and word not in TARGETS] == []
    elif program == "pip":
        asked = re.findall(r"\[([\w,]+)\]", " ".join(arguments))
        assert [extra for group in asked for extra in group.split(",") if extra not in EXTRAS] == []
    elif program == "pytest":
        for path in (word for word in arguments if word.endswith(".py") and word.startswith("tests/")):
            assert (ROOT / path).is_file()
        if "-k" in arguments and "test_differential" in " ".join(arguments):
            name = arguments[arguments.index("-k") + 1]
            assert (ROOT / "tests" / "fuzz" / "regressions" / f"{name}.json").is_file()


def parsed(command: click.Command, name: str, arguments: list[str]) -> None:
    """Parse a command line and its subcommands, without running any."""
    if "|" in arguments:
        arguments = arguments[: arguments.index("|")]
    context = command.make_context(name, list(arguments))
    if isinstance(command, click.Group):
        subname, subcommand, left = command.resolve_command(context, [*context._protected_args, *context.args])
        assert subname is not None
        assert subcommand is not None
        parsed(subcommand, subname, left)


@pytest.mark.parametrize(
    "words", ["parity run --no-such-option", "parity nothing", "make nothing", "pip install '.[x]'"]
)
def test_a_command_that_does_not_exist_is_found(words: str, folder: Path) -> None:
    (line,) = commands(f"```sh\n{words}\n```\n")
    with pytest.raises((click.UsageError, AssertionError)):
        check(line)
