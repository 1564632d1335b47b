"""What a results document says besides its rows: of methods, known differences, and the commit it was made with."""

from __future__ import annotations

import platform
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from parity.judge.known.table import BY_NAME
from parity.run.machine import cpu
from parity.run.subjects import list_methods, parse, wrappers


class Named(Protocol):
    """What is under test, as the document tells it."""

    @property
    def name(self) -> str:
        """What reports call it."""

    def versions(self) -> dict[str, str]:
        """Return the versions of the packages that take part."""


def facts_of_run(created: str, command: str, subject: Named) -> dict[str, Any]:
    """Return what is known of a run before its first case."""
    return {
        "created": created,
        "command": command,
        "commit": commit(),
        "environment": {
            "python": platform.python_version(),
            "platform": f"{platform.system()} {platform.machine()}",
            "cpu": cpu(),
            "threads": torch.get_num_threads(),
            "subject": {"name": subject.name, "versions": subject.versions()},
        },
    }


def differences_named(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, str]]:
    """Return what the table says of the known differences that rows name."""
    names = {name for row in rows if row["divergence"] for name in row["divergence"].split(", ")}
    return {
        name: {key: getattr(BY_NAME[name], key) for key in ("condition", "cause", "evidence")}
        for name in sorted(names & BY_NAME.keys())
    }


def method_facts(name: str) -> dict[str, Any]:
    """Return what the method table says of a method, as JSON values."""
    method = parse(name)
    return {
        "family": method.family,
        "formula": method.formula,
        "citation": method.citation,
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


def reference_methods() -> list[str]:
    """Return the methods that one of the references has."""
    return [name for name in list_methods() if _in_a_reference(name)]


def _in_a_reference(name: str) -> bool:
    method = parse(name)
    return name in wrappers() or (not method.modifiers and bool(method.row.signxai or method.row.innvestigate))


def plain_rules(rules: Mapping[str, list[tuple[str, str, str]]]) -> dict[str, list[list[str]]]:
    """Return the rules of a model's entry as JSON values."""
    return {method: [list(entry) for entry in entries] for method, entries in rules.items()}


def commit() -> str | None:
    """Return the commit of the clone that this package runs from, None elsewhere."""
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
