"""`bench.json`: what a run measured, as data."""

from __future__ import annotations

import contextlib
import datetime
import json
import platform
import statistics
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from bench.limits import judge

SCHEMA = 1
PACKAGES = ("torch", "zennit", "captum", "numpy", "pytest-benchmark")


class BenchFileError(Exception):
    """A file is no result of this bench."""


def machine(harness: Mapping[str, Any], threads: int) -> dict[str, Any]:
    """Return what the machine is, from the harness's own record; not its name."""
    info = harness.get("machine_info") or {}
    cpu = info.get("cpu") or {}
    return {
        "cpu": cpu.get("brand_raw") or platform.processor() or platform.machine(),
        "cores": cpu.get("count"),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
    }


def versions(reference: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of Python and of everyone who was measured."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found | {name: reference[name] for name in ("tensorflow", "signxai", "innvestigate") if name in reference}


def timed_entries(harness: Mapping[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the timed cases and the sweeps of the harness's document.

    Each entry has its median, least and largest seconds, the rounds, the median seconds of the unit taken beside
    them, and ``ratio``, the quotient of the two medians; ``ratio_range`` is the range over the single rounds.
    """
    times, sweeps = [], []
    for one in harness["benchmarks"]:
        told = one["extra_info"]
        seconds = told["own_seconds"] or one["stats"]["data"]
        numbers = summary(seconds, told["unit_seconds"]) | {"first": told["first_seconds"]}
        if "case" in told:
            times.append({**told["case"], **numbers, "cosine": told["cosine"]})
        else:
            sweeps.append({**told["sweep"], **numbers, "count": told["count"], "source": "this run"})
    return times, sweeps


def summary(seconds: Sequence[float], units: Sequence[float]) -> dict[str, Any]:
    """Return what is kept of a call's rounds and of the units beside them, in seconds."""
    pairs = [one / unit for one, unit in zip(seconds, units, strict=True)]
    median, unit = statistics.median(seconds), statistics.median(units)
    return {
        "median": median,
        "min": min(seconds),
        "max": max(seconds),
        "rounds": len(seconds),
        "unit": unit,
        "ratio": median / unit,
        "ratio_range": [min(pairs), max(pairs)],
    }


def make(
    command: str,
    quick: bool,
    seconds: float,
    harness: Mapping[str, Any],
    threads: int,
    reference: Mapping[str, str],
    networks: Sequence[Mapping[str, Any]],
    memory: Sequence[Mapping[str, Any]],
    totals: Sequence[Mapping[str, Any]],
    absent: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """Return a run's results, the limits judged.

    Parameters
    ----------
    command, quick, seconds
        How the run was started and how long it took.
    harness : mapping
        What pytest-benchmark wrote.
    threads : int
        Threads of every contender.
    reference : mapping
        Versions of the reference environment; empty if it did not run.
    networks, memory, totals, absent : sequence of mapping
        The networks, the memory measurements, the reference's stored totals (as sweeps), and what could not be
        measured.
    """
    times, sweeps = timed_entries(harness)
    measured = {(one["network"], one["names"], one["how"]) for one in sweeps}
    looked_up = [one for one in totals if (one["network"], one["names"], one["how"]) not in measured]
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "created": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "command": command,
        "quick": quick,
        "seconds": seconds,
        "commit": (harness.get("commit_info") or {}).get("id"),
        "machine": machine(harness, threads),
        "versions": versions(reference),
        "networks": list(networks),
        "times": times,
        "sweeps": [*sweeps, *looked_up],
        "memory": list(memory),
        "absent": list(absent),
    }
    document["limits"] = judge(document)
    return document


def load(path: Path) -> dict[str, Any]:
    """Read a results file.

    Raises
    ------
    BenchFileError
        If it is not one of this schema.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BenchFileError(f"cannot read {path}: {error}") from error
    if not isinstance(document, dict) or document.get("schema") != SCHEMA:
        raise BenchFileError(f"{path} is no results file of this bench (schema {SCHEMA}); run `make bench` again")
    return document
