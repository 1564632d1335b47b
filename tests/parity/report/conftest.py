"""A made-up run, written once for all tests of the report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parity.report import Written, write
from tests.parity.report.synthetic import small_run


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """Return the results document of a small run with every status, and its arrays."""
    return small_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="session")
def written(run: tuple[dict[str, Any], Path], tmp_path_factory: pytest.TempPathFactory) -> Written:
    """Return that run's report."""
    document, arrays = run
    return write(document, arrays, tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="session")
def page(written: Written) -> str:
    """Return the report's HTML."""
    return written.html.read_text(encoding="utf-8")
