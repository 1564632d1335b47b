"""What makes a case again: a command for a shell, and a test of this repository where there is one."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from parity.assets.inputs import Input, default_inputs
from parity.assets.models import shipped_names
from parity.assets.source import ModelSource
from parity.paths import command_line
from parity.run.cases import FIRST, Options, Plan
from parity.run.subjects import list_methods
from parity.run.subjects.door import absolute

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


def command(plan: Plan, method: str, dtype: str, sample: Input) -> str:
    """Return the command line that makes a case again, whatever signs its names hold.

    It names every file by its absolute path, the subject's too. A case in float32 comes with its twin in float64
    where it had one: some verdicts need both.
    """
    options = plan.options
    words = [_program(), "run", "--model", plan.source.argument]
    if plan.source.config is not None:
        words += ["--config", str(plan.source.config)]
    if plan.source.output is not None:
        words += ["--output", plan.source.output]
    for name, shape in plan.source.input_shape:
        words += ["--input-shape", (f"{name}:" if name else "") + ",".join(map(str, shape))]
    if sample.file is not None:
        words += ["--inputs", str(sample.file.absolute())]
    words += ["--input", sample.name_in_file or sample.name, "--method", method]
    if plan.dtypes(method) != ("float64", "float32") or dtype == "float64":
        words += ["--dtype", dtype]
    if options.target is not None:
        words += ["--target", str(options.target)]
    if options.reference != Options.reference:
        words += ["--reference", options.reference]
    if options.subject != Options.subject:
        words += ["--subject", absolute(options.subject)]
    if options.store is not None:
        words += ["--store", str(options.store.absolute())]
    return command_line(words)


def pytest_id(plan: Plan, method: str, sample: Input) -> str | None:
    """Return the id of the test that makes this very case, or None if there is none.

    The tests judge the port of this repository, so no other subject's case has one.
    """
    source, options = plan.source, plan.options
    asked = (options.target, options.reference, options.subject)
    if (
        source.own
        or method not in methods_with_a_test(source.name)
        or asked != (None, Options.reference, Options.subject)
    ):
        return None
    if sample.sha256 != _first(source):
        return None
    return f"tests/parity/test_map.py::test_map[{source.name}-{method}]"


def _program() -> str:
    """Return the program as the README calls it; elsewhere than in a clone with its environment, as it is installed."""
    of_a_clone = Path(".venv/bin/parity")
    return str(of_a_clone) if (_ROOT / of_a_clone).exists() else "parity"


@cache
def _first(source: ModelSource) -> str:
    return default_inputs(source)[0].sha256
