"""The report of a test run: gathers what the tests recorded, in this process and in xdist's workers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.claimed import ClaimedFolder, sweep
from parity.errors import ParityError
from parity.report import Written
from parity.run.records import ModelRecord

PARTS = ".parity-parts-"
"""Begins the name of the folder in which tests leave their maps."""


@dataclass(frozen=True)
class Judged:
    """What the tests judged, as the results document names it: one implementation, or several together.

    Attributes
    ----------
    name : str
        Their names.
    told : mapping
        Versions of what takes part.
    """

    name: str
    told: Mapping[str, str]

    def versions(self) -> dict[str, str]:
        """Return the versions."""
        return dict(self.told)


class ReportWriter:
    """A plugin for the process that writes the report: pytest's own, or the controller of xdist.

    Parameters
    ----------
    directory : Path
        Where the report goes; made if it does not exist.
    command : str
        How the tests were started.

    Attributes
    ----------
    parts : Path
        Folder in which tests leave their maps until the end.
    """

    NAME = "parity-report"

    def __init__(self, directory: Path, command: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        sweep(directory, PARTS)
        self._folder = ClaimedFolder.make(directory.absolute(), PARTS)
        self.parts = self._folder.path
        self._directory, self._command = directory, command
        self._begun = time.perf_counter()
        self._payloads: list[dict[str, Any]] = []
        self._without_case: list[str] = []
        self._lines: list[str] = []

    def close(self) -> None:
        """Remove the parts."""
        self._folder.remove()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take in what a test recorded."""
        text = getattr(report, "parity", None)
        if text is not None:
            self._payloads.append(json.loads(text))
        elif report.failed:
            self._without_case.append(report.nodeid)

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        """Write the report; one that cannot be written, or that is not green, fails the run."""
        try:
            if not self._payloads:
                raise ParityError("no parity case ran")
            early = exitstatus == pytest.ExitCode.INTERRUPTED or bool(session.shouldstop or session.shouldfail)
            written = self._write(stopped=early)
            self._tell(written)
            if not written.document["summary"]["green"] and exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
                self._lines.append("The tests passed, but the report is not green, so the run fails.")
        except (ParityError, OSError) as error:
            self._lines.append(f"NO REPORT: {error}")
            if exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Say where the report is and what it says."""
        terminalreporter.section("parity")
        for line in self._lines:
            terminalreporter.write_line(line)

    def _write(self, stopped: bool) -> Written:
        from parity.report import write
        from parity.run.document import Document

        subjects = [payload["subject"] for payload in self._payloads if "subject" in payload]
        names = dict.fromkeys(one["name"] for one in subjects)
        versions = {package: version for one in subjects for package, version in one["versions"].items()}
        judged = Judged(", ".join(names) or "unknown", versions)
        environment: dict[str, str] = {}
        fault: str | None = None
        models: dict[str, dict[str, Any]] = {}
        with Document(self._directory, self._command, judged) as document:
            for payload in self._payloads:
                environment |= payload.get("environment", {})
                fault = fault or payload.get("reference_fault")
                model = payload.get("model")
                if model is not None and model["name"] in models:
                    for kind in ("rules", "reference_rules"):
                        models[model["name"]][kind] |= model[kind]
                elif model is not None:
                    models[model["name"]] = model
                    arrays = self._arrays(payload["model_arrays"])
                    document.add_model(ModelRecord(model, payload["inputs"], arrays))
                self._add_rows(document, payload)
            results: dict[str, Any] = document.finish(
                environment,
                time.perf_counter() - self._begun,
                planned=len(document.rows),  # how many cases the tests that did not run have, nobody knows
                stopped=stopped,
                reference_fault=fault,
            )
            written = write(results, document.write_arrays(), self._directory, move_arrays=True)
            document.complete = True  # a test run begins anew
        return written

    def _add_rows(self, document: Any, payload: dict[str, Any]) -> None:
        from parity.run.outcome import Outcome

        arrays = self._arrays(payload["arrays"]) if "arrays" in payload else {}
        for index, row in enumerate(payload["rows"]):
            document.add(Outcome(row, arrays.get(f"{index}/reference"), arrays.get(f"{index}/subject")))

    def _arrays(self, name: str) -> dict[str, Any]:
        with np.load(self.parts / name, allow_pickle=False) as file:
            return {key: file[key] for key in file.files}

    def _tell(self, written: Written) -> None:
        from parity.report import headline_sentences
        from parity.report.rows import group

        document = written.document
        self._lines += headline_sentences(document, group(document["results"]))
        problems = dict.fromkeys(text for payload in self._payloads for text in payload.get("store_problems", ()))
        self._lines += [f"store: {text}" for text in problems]
        if self._without_case:
            self._lines.append(f"failed tests that are no case of the report: {', '.join(self._without_case)}")
        self._lines.append(f"report: {written.html}")
