"""What an installation without extras says, and that the table of extras is that of pyproject.toml."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from parity.extras import EXTRAS, MissingPackageError, named, sentence
from parity.reference.program import CHECKOUT

BARE = """
import runpy, sys
import importlib.abc

class Missing(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in missing:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

missing, what, sys.argv = sys.argv[1].split(","), sys.argv[2], ["parity", *sys.argv[3:]]
sys.meta_path.insert(0, Missing())
if what == "parity":
    runpy.run_module("parity", run_name="__main__", alter_sys=True)
else:
    exec(what)
"""
HARNESS = ",".join(EXTRAS["parity"].values())


def _without(missing: str, what: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line, or a line of Python, where modules are not installed."""
    return subprocess.run(
        [sys.executable, "-c", BARE, missing, what, *arguments], env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [(), ("run", "--help"), ("--version",)])
def test_the_command_line_says_which_extra_it_needs(arguments: tuple[str, ...]) -> None:
    done = _without(HARNESS, "parity", *arguments)
    assert done.returncode == 2
    assert re.fullmatch(
        r"error: parity needs \S+, which is not installed: pip install 'signxai-torch-parity\[parity\]'\n", done.stderr
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import parity.keras; parity.keras.load('x.h5')", "parity.keras needs h5py"),
        ("from parity.keras import load", "parity.keras needs h5py"),
        ("import parity; parity.compare", "parity.compare needs scikit-image"),
    ],
)
def test_python_says_which_extra_it_needs(line: str, words: str) -> None:
    done = _without(HARNESS, line)
    assert f"MissingPackageError: {words}, which is not installed: pip install" in done.stderr


def test_a_command_that_needs_one_package_more_says_so() -> None:
    done = _without("h5py", "parity", "models")
    assert done.returncode == 2
    assert "error: parity needs h5py, which is not installed: pip install 'signxai-torch-parity[parity]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_pictures_say_which_extra_they_need(tmp_path: Path) -> None:
    arguments = ("dense_mnist", "--method", "gradient", "--save", str(tmp_path / "map.png"))
    done = _without("matplotlib", "parity", "show", *arguments)
    assert done.returncode == 2
    assert "which is not installed: pip install 'signxai-torch-parity[show]'" in done.stderr
    assert "Traceback" not in done.stderr
    assert "unexpected" not in done.stderr


def test_pytest_starts_where_the_plugin_is_and_the_harness_is_not() -> None:
    done = _without(HARNESS, "import parity.testing.plugin; print('loaded')")
    assert done.stdout == "loaded\n", done.stderr


def test_another_missing_module_stays_what_it_is() -> None:
    assert sentence("no_such_package.inner") is None
    with pytest.raises(ModuleNotFoundError) as caught, named("this"):
        raise ModuleNotFoundError("No module named 'other'", name="other")
    assert not isinstance(caught.value, MissingPackageError)
    assert sentence("skimage.metrics") == (
        "this needs scikit-image, which is not installed: pip install 'signxai-torch-parity[parity]'"
    )


def test_the_extras_are_those_of_pyproject() -> None:
    text = Path(CHECKOUT, "pyproject.toml").read_text(encoding="utf-8")
    for extra, packages in EXTRAS.items():
        declared = re.search(rf"^{extra} = \[(.*?)\]", text, re.MULTILINE | re.DOTALL)
        assert declared is not None
        assert set(re.findall(r'"([A-Za-z0-9-]+)>=', declared[1])) == set(packages)
