"""The command line for tests, in an empty folder; TensorFlow is never started (`EchoClient`).

A test file that calls it names this module in its `pytest_plugins`.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from parity.commands.cli import main
from tests.parity.echo_client import EchoClient


@pytest.fixture
def parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Calls the command line in an empty folder, with the port in the reference's place."""
    monkeypatch.setattr("parity.run.session.ReferenceClient", EchoClient)
    monkeypatch.setattr("parity.reference.ReferenceClient", EchoClient)
    monkeypatch.setattr(EchoClient, "wrong", frozenset())
    monkeypatch.setattr(EchoClient, "interrupt_after", None)
    monkeypatch.delenv("PARITY_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARITY_STORE", str(tmp_path / "store"))

    def call(*arguments: str) -> Result:
        return CliRunner().invoke(main, arguments, catch_exceptions=False)

    return call
