"""Runs that did not end: which cases are finished in a report's folder, and which run may go on with which.

`finished_cases` is the question to ask from outside.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from parity.claimed import left, sweep
from parity.run.journal import LINES, PREFIX, Journal, JournalError, Place, Reader, Record
from parity.run.results import JSON_NAME, load
from parity.run.sameness import LooseFiles, Packages, unchanged

Key = tuple[str, str, str, str]
"""Model, input, method and lane: what a case is called in one folder."""
LANES = ("float64", "float32")


@dataclass
class Run:
    """What decides the cases of a run, for the next one that may go on with it.

    Attributes
    ----------
    decides : mapping or None
        See `parity.run.sameness.decides`; None is the same as nothing.
    models : mapping
        By name: "id" (see `parity.run.sameness.model_id`), the methods of each lane, and the inputs' hashes.
    planned : int
        How many cases it is to make.
    anew : bool
        Whether it takes nothing over.
    asked : mapping
        What the user asked of it besides models, inputs and methods, as JSON values: the subject, which reference and
        which target. A report of other ones does not have its cases.
    """

    decides: Mapping[str, Any] | None = None
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    planned: int = 0
    anew: bool = False
    asked: Mapping[str, Any] = field(default_factory=dict)
    _files: LooseFiles = field(default_factory=LooseFiles)
    _packages: Packages = field(default_factory=Packages)

    @property
    def ids(self) -> dict[str, str]:
        """The models' ids by name."""
        return {name: model["id"] for name, model in self.models.items()}

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal keeps it."""
        return {"decides": self.decides, "cases": self.models, "planned": self.planned, "asked": self.asked}

    def loaded(self) -> dict[str, dict[str, str]]:
        """Return the Python files and the packages that were loaded since the last call and may decide a case."""
        if self.decides is None:
            return {}
        news = {"files": self._files.news(), "packages": self._packages.news()}
        return {what: new for what, new in news.items() if new}

    def goes_on(self, earlier: Finished) -> bool:
        """Return whether this run makes every case of an earlier one again, with nothing changed that decides them.

        A model or an input that has changed is seen case by case.
        """
        if self.anew or self.decides is None or self.decides != earlier.run.get("decides"):
            return False
        for name, theirs in earlier.run.get("cases", {}).items():
            mine = self.models.get(name)
            if mine is None or any(not set(theirs[lane]) <= set(mine[lane]) for lane in LANES):
                return False
        return unchanged(earlier.files, earlier.packages)

    def supersedes(self, earlier: Finished, cases: Collection[Key]) -> bool:
        """Return whether nobody needs the cases of an earlier run any more once this run has a report of `cases`."""
        models = {model for model, *_ in earlier.rows}
        same = all(earlier.ids.get(model) == self.ids.get(model, "") for model in models)
        return same and earlier.run.get("asked") == self.asked and earlier.rows.keys() <= set(cases)


@dataclass
class Finished:
    """What a journal holds; of each case the last row counts.

    Attributes
    ----------
    run : dict
        What the last run that wrote it said of itself.
    rows, traces : dict
        Case -> where its record lies.
    inputs : dict
        Model and input -> its hash, and where its record lies.
    environment : dict
        Versions of the reference side.
    files : dict
        Python files that the runs had loaded, with their hashes.
    packages : dict
        Installed packages that the runs had loaded, with their versions.
    seconds : float
        How long they took.
    """

    run: Record = field(default_factory=dict)
    rows: dict[Key, Place] = field(default_factory=dict)
    traces: dict[Key, Place] = field(default_factory=dict)
    inputs: dict[tuple[str, str], tuple[str, Place]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    packages: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    _models: dict[str, Record] = field(default_factory=dict)

    @classmethod
    def of(cls, journal: Journal | Reader) -> Finished:
        """Return what a journal holds."""
        found = cls()
        for place, record in journal.records():
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):  # another version wrote it
                found._take(place, record)
        return found

    def _take(self, place: Place, record: Record) -> None:
        kind = record.get("kind")
        if kind == "row":
            row = record["row"]
            # The few names there are, once in memory.
            key = (sys.intern(row["model"]), row["input"], sys.intern(row["method"]), sys.intern(row["dtype"]))
            self.rows[key] = place
            self.traces.pop(key, None)
            self.seconds = record["seconds"]
        elif kind == "trace":
            model, sample, method, dtype = record["case"]
            self.traces[model, sample, method, dtype] = place
        elif kind == "input":
            entry = record["input"]
            self.inputs[entry["model"], entry["name"]] = entry["sha256"], place
        elif kind == "model":
            entry, known = record["model"], self._models.get(record["model"]["name"])
            if known is not None and known["id"] == record["id"]:
                entry |= {side: known["model"][side] for side in ("rules", "reference_rules")}
            self._models[entry["name"]] = {"id": record["id"], "model": entry}
        elif kind == "rules" and record["model"] in self._models:
            self._models[record["model"]]["model"][record["side"]][record["method"]] = record["rules"]
        elif kind == "run":
            self.run = record
        elif kind == "loaded":
            self.files |= record.get("files", {})
            self.packages |= record.get("packages", {})
        elif kind == "environment":
            self.environment = record["environment"]

    @property
    def ids(self) -> dict[str, str]:
        """The models' ids by name."""
        return {name: model["id"] for name, model in self._models.items()}

    def model(self, name: str, model_id: str) -> dict[str, Any] | None:
        """Return the entry of a model; None if there is none, or it is of another model of this name."""
        found = self._models.get(name)
        return None if found is None or found["id"] != model_id else found["model"]

    def sha256(self, model: str, name: str) -> str:
        """Return the hash of an input as the last run planned it; as it was last, if that run has no such input."""
        planned = self.run.get("cases", {}).get(model, {}).get("inputs", {}).get(name)
        return planned or self.inputs.get((model, name), ("",))[0]

    def is_whole(self, rows: Collection[Mapping[str, Any]]) -> bool:
        """Return whether every case that the last run planned is among `rows`; not if nobody knows what it planned."""
        there = {(row["model"], row["input"], row["method"], row["dtype"]) for row in rows}
        models = self.run.get("cases", {})
        return bool(models) and all(
            "inputs" in model
            and all(
                (name, one, method, lane) in there
                for lane in LANES
                for method in model[lane]
                for one in model["inputs"]
            )
            for name, model in models.items()
        )


def go_on(directory: Path, run: Run) -> tuple[Journal, Finished] | None:
    """Claim the journal that a run goes on with: of those it may, the one with the most cases; None if there is none.

    What killed processes have left that holds no case is removed.

    Raises
    ------
    JournalError
        If it cannot be written.
    """
    sweep(directory, PREFIX, _is_debris)
    best: tuple[Journal, Finished] | None = None
    for folder in left(directory, PREFIX):
        try:
            journal = Journal(folder)
        except JournalError:
            folder.release()
            raise
        found = Finished.of(journal)
        if not run.goes_on(found) or (best is not None and len(best[1].rows) >= len(found.rows)):
            journal.keep()
            continue
        if best is not None:
            best[0].keep()
        best = journal, found
    return best


def forget_superseded(directory: Path, run: Run, rows: Collection[Mapping[str, Any]]) -> None:
    """Remove journals that nobody holds and that a run supersedes, whose report beside them has `rows`."""
    cases = {(row["model"], row["input"], row["method"], row["dtype"]) for row in rows}
    for folder in left(directory, PREFIX):
        with contextlib.ExitStack() as stack:
            stack.callback(folder.release)
            with contextlib.suppress(OSError), Reader(folder.path) as journal:
                if run.supersedes(Finished.of(journal), cases):
                    stack.pop_all()
                    folder.remove()


def unfinished_runs(directory: Path) -> Iterator[tuple[Path, Finished]]:
    """Yield the journals of a report's folder that hold cases, the last one first, also those of runs under way."""
    found = []
    for path in directory.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), Reader(path) as journal:
            finished = Finished.of(journal)
            if finished.rows and finished.run:
                found.append((str(finished.run["begun"]), path, finished))
    for _, path, finished in sorted(found, key=lambda one: one[:2], reverse=True):
        yield path, finished


def finished_cases(directory: Path) -> list[Key]:
    """Return the cases that are finished in a report's folder: those of its last run, wherever they lie.

    A run that did not end, or is under way, has them in its journal, and each is there once; else they are the rows
    of `parity.json`, as often as they are there. Error rows count as finished in neither.

    Raises
    ------
    ReportError
        If there is a `parity.json`, no newer journal, and it cannot be read.
    """
    path = directory / JSON_NAME
    last = last_unfinished(directory)
    if last is not None:
        with Reader(last[0]) as journal:
            return [key for key, place in last[1].rows.items() if journal.record(place)["row"]["status"] != "error"]
    rows = load(path)["results"] if path.exists() else []
    return [(row["model"], row["input"], row["method"], row["dtype"]) for row in rows if row["status"] != "error"]


def last_unfinished(directory: Path) -> tuple[Path, Finished] | None:
    """Return the journal of a folder's last run; None if its `parity.json` is newer, or there is none."""
    found = next(unfinished_runs(directory), None)
    if found is None:
        return None
    try:
        document = json.loads((directory / JSON_NAME).read_text(encoding="utf-8"))
        # A run that went on keeps the time of the first one as "created".
        begun = document.get("begun") or document["created"]
        newer = datetime.fromisoformat(begun) > datetime.fromisoformat(str(found[1].run["begun"]))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):  # damaged, or none: the journal is what there is
        return found
    return None if newer else found


def _is_debris(path: Path) -> bool:
    """Return whether a folder holds no case: its process was killed before the first, or while it removed it."""
    try:
        with Reader(path) as journal:
            return not Finished.of(journal).rows
    except OSError:
        return not (path / LINES).exists()
