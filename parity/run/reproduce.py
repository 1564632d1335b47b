"""What makes a case again: a command for a shell in the repository's folder, and a test where there is one."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from parity.assets.inputs import Input, default_inputs
from parity.assets.models import ModelSource, shipped_names
from parity.run.cases import FIRST, Options, Plan
from parity.run.subjects import list_methods

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROOT = Path(__file__).resolve().parents[2]
TESTED = shipped_names()
"""Models of `tests/parity/test_map.py`, which explains the first shipped input of each."""


def methods_with_a_test(model: str) -> Sequence[str]:
    """Return the methods that `tests/parity/test_map.py` runs on a model."""
    if model not in TESTED:
        return ()
    return list_methods() if model == TESTED[0] else FIRST


def command(plan: Plan, method: str, dtype: str, one: Input) -> str:
    """Return the command line that makes a case again, whatever signs its names hold.

    A case in float32 comes with its twin in float64 where it had one: some verdicts need both.
    """
    options = plan.options
    words = [_program(), "run", "--model", plan.source.argument]
    if one.file is not None:
        words += ["--inputs", str(one.file.absolute())]
    words += ["--input", one.name_in_file or one.name, "--method", method]
    if plan.dtypes(method) != ("float64", "float32") or dtype == "float64":
        words += ["--dtype", dtype]
    if options.target is not None:
        words += ["--target", str(options.target)]
    if options.reference != Options.reference:
        words += ["--reference", options.reference]
    if options.subject != Options.subject:
        words += ["--subject", options.subject]
    if options.store is not None:
        words += ["--store", str(options.store.absolute())]
    return shlex.join(words)


def pytest_id(plan: Plan, method: str, one: Input) -> str | None:
    """Return the id of the test that makes this very case, or None if there is none."""
    source, options = plan.source, plan.options
    asked = (options.target, options.reference, options.subject)
    if (
        source.own
        or method not in methods_with_a_test(source.name)
        or asked != (None, Options.reference, Options.subject)
    ):
        return None
    if one.sha256 != _first(source):
        return None
    return f"tests/parity/test_map.py::test_map[{source.name}-{method}]"


def _program() -> str:
    """Return the program as the README calls it; elsewhere than in a clone with its environment, as it is installed."""
    own = Path(".venv/bin/parity")
    return str(own) if (_ROOT / own).exists() else "parity"


@cache
def _first(source: ModelSource) -> str:
    return default_inputs(source)[0].sha256
