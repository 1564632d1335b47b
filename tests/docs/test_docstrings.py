"""The docstring of every public name: complete by numpydoc's own validation, with examples that are run."""

from __future__ import annotations

import doctest
import inspect
from importlib import import_module
from typing import Any

import pytest

from docs.extensions.api import MODULES, page, public_names

validate = pytest.importorskip("numpydoc.validate", reason="numpydoc is not installed (extra docs)").validate

CHECKED = (
    "GL01", "GL03", "GL07", "GL08",  # there is a docstring, its sections are in order
    "SS02", "SS03", "SS04", "SS05",  # its first line is a sentence
    "PR01", "PR02", "PR03", "PR04", "PR07", "PR10",  # every parameter with its type and what it is
    "RT01", "RT03",  # what comes back, and what it is
    "YD01",
)  # fmt: skip
"""numpydoc's checks that hold for every public name."""
WITH_EXAMPLES = ("signxai_torch", "parity", "parity.keras", "parity.testing")
"""Modules whose functions show an example; those with other packages' names are shown on the pages about moving."""
NAMES = [(module, name) for module in MODULES for name in public_names(module)]


def thing(module: str, name: str) -> Any:
    return getattr(import_module(module), name)


def faults(module: str, name: str) -> list[str]:
    """Return what numpydoc finds; a class may describe its fields as attributes, an exception takes a message."""
    documented = thing(module, name)
    told = validate(f"{module}.{name}")["errors"]
    attributes = "Attributes\n" in (inspect.getdoc(documented) or "")
    message = inspect.isclass(documented) and issubclass(documented, Exception)
    excused = {"PR01"} if attributes or message else set()
    return [f"{code}: {text}" for code, text in told if code in CHECKED and code not in excused]


@pytest.mark.parametrize(("module", "name"), [pair for pair in NAMES if callable(thing(*pair))])
def test_a_public_name_is_documented(module: str, name: str) -> None:
    assert faults(module, name) == []


@pytest.mark.parametrize("module", WITH_EXAMPLES)
def test_every_function_shows_an_example(module: str) -> None:
    functions = [name for name in public_names(module) if inspect.isfunction(thing(module, name))]
    assert [name for name in functions if ">>>" not in (inspect.getdoc(thing(module, name)) or "")] == []


@pytest.mark.parametrize(("module", "name"), [pair for pair in NAMES if ">>>" in (inspect.getdoc(thing(*pair)) or "")])
def test_the_example_of_a_docstring_runs(module: str, name: str) -> None:
    documented = thing(module, name)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for example in doctest.DocTestFinder(recurse=False).find(documented, name, globs={name: documented}):
        assert runner.run(example).failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_a_module_and_all_its_public_names_are_on_its_page(module: str) -> None:
    text = page(module)
    assert [name for name in public_names(module) if f":: {module}.{name}\n" not in text] == []
    assert inspect.getdoc(import_module(module))


def test_what_dir_shows_is_documented() -> None:
    import signxai_torch

    shown = [name for name in dir(signxai_torch) if not name.startswith("_")]
    assert set(shown) == set(public_names("signxai_torch"))
    assert len(shown) < 25
