"""What a test leaves of its cases: rows as text for the test report, maps as files beside it.

Light on purpose: an xdist worker that runs no parity case must not import torch for this.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from parity.reference.environment import ReferenceEnvironmentError
from parity.run.records import model_record

if TYPE_CHECKING:
    from parity.run.outcome import Outcome
    from parity.run.runner import Runner


class Recorder:
    """Turns outcomes into payloads, in the process that made them.

    Parameters
    ----------
    parts : Path
        Folder for the arrays, shared by all processes of the test run.
    """

    def __init__(self, parts: Path) -> None:
        self.parts = parts
        self._model_files: dict[str, str] = {}

    def record(self, runner: Runner, outcomes: list[Outcome]) -> str:
        """Return the payload of a test: JSON with rows, the model, and the names of files in `parts`."""
        facts = runner.facts
        record = model_record(facts)
        name = record.model["name"]
        if name not in self._model_files:
            self._model_files[name] = self._save(dict(record.arrays))
        arrays = {
            f"{index}/{side}": np.asarray(array)
            for index, outcome in enumerate(outcomes)
            for side in ("reference", "subject")
            if (array := getattr(outcome, side)) is not None
        }
        methods = {outcome.row["method"] for outcome in outcomes}
        # The runner goes on to other tests' methods; each test tells of its own.
        rules = {
            kind: {method: record.model[kind][method] for method in sorted(methods) if method in record.model[kind]}
            for kind in ("rules", "reference_rules")
        }
        try:
            environment = runner.client.environment()
        except ReferenceEnvironmentError:
            environment = {}  # the rows say so
        payload = {
            "model": record.model | rules,
            "inputs": record.inputs,
            "model_arrays": self._model_files[name],
            "rows": [outcome.row for outcome in outcomes],
            "arrays": self._save(arrays),
            "environment": environment,
            "subject": {"name": runner.subject.name, "versions": runner.subject.versions()},
            "store_problems": [str(error) for error in runner.client.store_errors],
            # `unable`: there is no reference environment, though the store may have had every answer.
            "reference_fault": getattr(runner.client, "fault", None) or runner.client.unable,
        }
        return json.dumps(payload, allow_nan=False)

    def broken(self, names: Mapping[str, Any], nodeid: str, text: str) -> str:
        """Return the payload of a test that failed before it had an outcome: a row that says so.

        Parameters
        ----------
        names : mapping
            What the test's markers say: "model", "method", "family", each possibly None.
        nodeid : str
            The test.
        text : str
            What pytest says of the failure.
        """
        row = {
            "model": names["model"] or "unknown",
            "input": "none",
            "target": None,
            "method": names["method"],
            "family": names["family"] or "",
            "reference": None,
            "dtype": "float32",
            "status": "error",
            "failed_check": None,
            "message": f"the test failed before anything was compared:\n{text}",
            "margin": None,
            "limits": None,
            "divergence": None,
            "reproduce": f"pytest '{nodeid}'",
            "pytest": nodeid,
        }
        return json.dumps({"rows": [row]})

    def _save(self, arrays: dict[str, Any]) -> str:
        path = self.parts / f"{uuid.uuid4().hex}.npz"
        np.savez(path, **arrays)
        return path.name
