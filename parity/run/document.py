"""The results document (`parity.json`, schema 1) and the arrays beside it, from the outcomes of a run."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import h5py
import numpy as np
import torch

from parity.judge.controls import Controls
from parity.judge.known.table import BY_NAME
from parity.run.outcome import Outcome
from parity.run.records import ModelRecord
from parity.run.results import SCHEMA_VERSION
from parity.run.subjects import list_methods, parse, wrappers
from parity.run.totals import summarize
from parity.run.trace.table import Trace, Untraced

ARRAYS_NAME = "parity-arrays.h5"


class Named(Protocol):
    """What is under test, as the document tells it."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that take part."""


class Document:
    """Collects outcomes; `finish` returns the results document.

    Parameters
    ----------
    directory : Path
        Where the arrays file is written (`parity-arrays.h5`), as the outcomes come.
    command : str
        The command that reproduces the run.
    subject : Named
        The implementation under test.
    """

    def __init__(self, directory: Path, command: str, subject: Named) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.arrays_path = directory / ARRAYS_NAME
        # A name of its own, so that two runs into one directory do not meet.
        self._part = directory / f".{ARRAYS_NAME}.{os.getpid()}.part"
        self._file = h5py.File(self._part, "w")
        self._command, self._subject = command, subject
        self._created = datetime.now(UTC).isoformat(timespec="seconds")
        self._file.attrs["created"] = self._created  # the report refuses the arrays of another run
        self._rows: list[dict[str, Any]] = []
        self._models: list[dict[str, Any]] = []
        self._inputs: list[dict[str, Any]] = []
        self._places: list[tuple[int, ...]] = []
        self._controls = Controls()
        self._limits: dict[tuple[tuple[str, float], ...], dict[str, float]] = {}

    def __enter__(self) -> Document:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None:
            self._part.replace(self.arrays_path)
        else:
            self._part.unlink(missing_ok=True)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows so far."""
        return self._rows

    def add_model(self, record: ModelRecord) -> None:
        """Take in a model and its inputs, or further inputs of a model that is known."""
        known = next((model for model in self._models if model["name"] == record.model["name"]), None)
        if known is None:
            self._models.append(record.model)
        else:
            before = sum(entry["model"] == known["name"] for entry in self._inputs)
            _merge(known, record.model, before, len(record.inputs))
        self._inputs.extend(record.inputs)
        for name, array in record.arrays.items():
            self._file.create_dataset(name, data=array)

    def add(self, outcome: Outcome, place: tuple[int, ...] | None = None) -> None:
        """Take in the outcome of one case; its maps go to the file and are not kept.

        Parameters
        ----------
        outcome : Outcome
            The case.
        place : tuple of int, optional
            Where it stands in the document, for outcomes that come in another order; either all have one or none.
        """
        index = len(self._rows)
        limits = outcome.row["limits"]
        if limits is not None:  # mostly the same numbers: one copy in memory
            outcome.row["limits"] = self._limits.setdefault(tuple(limits.items()), limits)
        self._rows.append(outcome.row)
        self._places.append((index,) if place is None else place)
        self._controls.see(outcome)
        for side in ("reference", "subject"):
            array = getattr(outcome, side)
            if array is not None:
                self._file.create_dataset(f"results/{index}/{side}", data=np.asarray(array), compression="lzf")

    def add_traces(self, traces: Iterable[tuple[dict[str, Any], Trace | Untraced]]) -> int:
        """Take in traces of rows that are here, or why there are none; return how many there were.

        The layer's maps go to the file beside those of the row.
        """
        count = 0
        for row, found in traces:
            if isinstance(found, Untraced):
                row["trace"] = found.to_json()
                continue
            count += 1
            row["first_diverging_layer"] = found.layer
            row["trace"] = found.to_json() | {"maps": list(found.maps)}
            index = next(place for place, one in enumerate(self._rows) if one is row)
            for number, sides in enumerate(found.maps.values()):
                for side, array in zip(("reference", "subject"), sides, strict=True):
                    self._file.create_dataset(f"results/{index}/trace/{number}/{side}", data=array, compression="lzf")
        return count

    def _put_in_order(self) -> None:
        order = sorted(range(len(self._rows)), key=self._places.__getitem__)
        if order == list(range(len(order))):
            return
        self._rows[:] = [self._rows[index] for index in order]
        self._places.sort()
        if "results" not in self._file:
            return
        self._file.move("results", "arrived")
        results, arrived = self._file.create_group("results"), self._file["arrived"]
        for place, index in enumerate(order):
            if str(index) in arrived:
                results[str(place)] = arrived[str(index)]  # a link: nothing is copied
        del self._file["arrived"]

    def finish(
        self,
        environment: Mapping[str, str],
        seconds: float,
        *,
        planned: int,
        stopped: bool = False,
        reference_fault: str | None = None,
    ) -> dict[str, Any]:
        """Return the results document.

        Parameters
        ----------
        environment : mapping
            Versions of the reference side.
        seconds : float
            How long the run took.
        planned : int
            How many cases the run was to make. A method that no reference has may count twice in it, once per lane,
            and has one row per input.
        stopped : bool
            Whether the run ended before its last case. Where rows are missing it did, whatever is said here.
        reference_fault : str, optional
            Why no reference could be asked.
        """
        self._put_in_order()
        methods = {row["method"] for row in self._rows}
        unsupported = sum(row["status"] == "unsupported" for row in self._rows)
        lost = len(self._rows) + unsupported < planned
        summary = summarize(
            self._rows,
            self._controls.to_json(),
            planned=planned if stopped or lost else len(self._rows),
            stopped=stopped or lost,
            reference_fault=reference_fault,
        )
        return {
            "schema": SCHEMA_VERSION,
            "created": self._created,
            "command": self._command,
            "seconds": round(seconds, 2),
            "commit": _commit(),
            "interrupted": summary["stopped"],
            "arrays": ARRAYS_NAME,
            "environment": {
                "python": platform.python_version(),
                "platform": f"{platform.system()} {platform.machine()}",
                "cpu": _cpu(),
                "threads": torch.get_num_threads(),
                "subject": {"name": self._subject.name, "versions": self._subject.versions()},
                "reference": dict(environment),
            },
            "models": [model | {"rules": _jsonable(model["rules"])} for model in self._models],
            "inputs": self._inputs,
            "methods": {name: method_facts(name) for name in sorted(methods)},
            "reference_methods": [name for name in list_methods() if _in_a_reference(name)],
            "divergences": _differences(self._rows),
            "summary": summary,
            "results": self._rows,
        }


def _differences(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return what the table says of the known differences that rows name."""
    names = {name for row in rows if row["divergence"] for name in row["divergence"].split(", ")}
    return {
        name: {key: getattr(BY_NAME[name], key) for key in ("condition", "cause", "evidence")}
        for name in sorted(names & BY_NAME.keys())
    }


def _merge(known: dict[str, Any], more: Mapping[str, Any], before: int, inputs: int) -> None:
    """Take into a model's entry what its next inputs have shown: the worst distance, the mean agreement."""
    for key in ("logits_rel_l2", "logits_rel_l2_float64"):
        distances = [entry[key] for entry in (known, more)]
        known[key] = None if None in distances else max(distances)
    agreements = [entry["top1_agreement"] for entry in (known, more)]
    if None not in agreements and before + inputs:
        known["top1_agreement"] = (agreements[0] * before + agreements[1] * inputs) / (before + inputs)
    for side in ("rules", "reference_rules"):
        known[side] |= {name: rules for name, rules in more[side].items() if name not in known[side]}


def method_facts(name: str) -> dict[str, Any]:
    """Return what the method table says of a method, as JSON values."""
    method = parse(name)
    prefix = method.prefix
    parts = [method.row.formula]
    if prefix is not None and prefix.input_rule is not None:
        parts.append(f"input layer: {prefix.formula}")
    parts += [f"times {what.replace('_', ' ')}{'' if mu is None else f' {mu:g}'}" for what, mu in method.modifiers]
    citations = [method.row.citation]
    if prefix is not None and prefix.citation not in citations:
        citations.append(prefix.citation)
    return {
        "family": method.family,
        "formula": "; ".join(parts),
        "citation": "; ".join(citations),
        "parameters": dict(method.parameters),
        "head": method.head,
        "modifiers": [list(modifier) for modifier in method.modifiers],
        "synonym_of": method.synonym_of,
        "reference": {
            "signxai_wrapper": name in wrappers(),
            "signxai": method.row.signxai or None,
            "innvestigate": method.row.innvestigate or None,
        },
    }


def _in_a_reference(name: str) -> bool:
    method = parse(name)
    return name in wrappers() or (not method.modifiers and bool(method.row.signxai or method.row.innvestigate))


def _jsonable(rules: Mapping[str, list[tuple[str, str, str]]]) -> dict[str, list[list[str]]]:
    return {method: [list(entry) for entry in entries] for method, entries in rules.items()}


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    return f"{name}, {os.cpu_count()} cores" if name else None


def _commit() -> str | None:
    place = Path(__file__).resolve().parents[2] / ".git"
    try:
        if place.is_file():  # a linked worktree: a note of where its own HEAD lies
            place = place.parent / place.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        text = (place / "HEAD").read_text(encoding="utf-8").strip()
        if not text.startswith("ref: "):
            return text
        common = place / "commondir"
        shared = place / common.read_text(encoding="utf-8").strip() if common.is_file() else place
        branch = shared / text[5:]
        if branch.is_file():
            return branch.read_text(encoding="utf-8").strip()
        packed = (shared / "packed-refs").read_text(encoding="utf-8").splitlines()
        return next((line.split()[0] for line in packed if line.endswith(f" {text[5:]}")), None)
    except OSError:
        return None
