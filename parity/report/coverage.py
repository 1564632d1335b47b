"""The coverage matrix: which combinations of name parts were run, and what became of them.

The parts are read off the names themselves (``prefix_rule`` and ``base_x_modifier``), so this module holds no
list of methods.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from parity.report.rows import STANDINGS, Row

_LRP = re.compile(r"(?P<column>[a-z0-9]*lrp[a-z]*)_(?P<row>[a-z0-9_]+?)(?:_[A-Z][A-Za-z0-9]*)?")
_OTHER = re.compile(r"(?P<row>[a-z0-9_]+?)(?:_(?P<column>x_[a-z0-9_]+))?(?:_[A-Z][A-Za-z0-9]*)?")

PLAIN = "plain"


@dataclass(frozen=True)
class Cell:
    """One combination of name parts.

    `state` is one of `parity.report.rows.STANDINGS`, "not done", "not in the reference" or, where the run does not say
    what the references have, "not in this run".
    """

    method: str | None
    state: str
    models: int = 0


@dataclass(frozen=True)
class Matrix:
    """A table of cells with its title, the word in its corner, its columns and its lines."""

    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def coverage(rows: Sequence[Row], reference_methods: Iterable[str] | None) -> list[Matrix]:
    """Arrange the methods of a run, and those known to the references, as matrices.

    Parameters
    ----------
    rows : sequence of Row
        What was run.
    reference_methods : iterable of str, optional
        Every name a reference defines.
    """
    run: dict[str, list[Row]] = {}
    for row in rows:
        run.setdefault(row.method, []).append(row)
    known = None if reference_methods is None else set(reference_methods)
    names = set(run) | (known or set())
    lrp: dict[tuple[str, str], str] = {}
    other: dict[tuple[str, str], str] = {}
    dotted: dict[tuple[str, str], str] = {}
    for name in sorted(names, key=lambda name: (name not in run, name)):
        if match := _LRP.fullmatch(name):
            lrp.setdefault((match["row"], match["column"]), name)
        elif "." in name:
            base, _, rule = name.partition(".")
            dotted.setdefault((rule, base), name)
        elif match := _OTHER.fullmatch(name):
            other.setdefault((match["row"], match["column"] or PLAIN), name)
    return [
        _matrix(title, corner, places, run, known)
        for title, corner, places in (
            ("LRP: input-layer prefix by rule", "rule", lrp),
            ("Gradient-based: method by modifier", "method", other),
            ("Dotted names of iNNvestigate", "rule", dotted),
        )
        if any(name in run for name in places.values())
    ]


def _matrix(
    title: str,
    corner: str,
    places: Mapping[tuple[str, str], str],
    run: Mapping[str, Sequence[Row]],
    known: set[str] | None,
) -> Matrix:
    columns = sorted({column for _, column in places}, key=_natural)
    lines = sorted({row for row, _ in places}, key=_natural)
    # The unprefixed and unmodified names are what the others vary, so they stand first.
    columns.sort(key=lambda column: column not in ("lrp", PLAIN))

    def cell(line: str, column: str) -> Cell:
        name = places.get((line, column))
        if name is not None and name in run:
            worst = min((row.standing for row in run[name]), key=STANDINGS.index)
            return Cell(name, worst, len(run[name]))
        if known is None:
            return Cell(None, "not in this run")
        return Cell(name, "not done") if name in known else Cell(None, "not in the reference")

    return Matrix(title, corner, tuple(columns), tuple((line, tuple(cell(line, c) for c in columns)) for line in lines))


def _natural(text: str) -> list[tuple[int, float, str]]:
    """Sort key under which 0_5 stands before 5 and 5 before 10."""
    spelled = re.sub(r"(?<=\d)_(?=\d)", ".", text)
    return [
        (1, float(part), "") if re.fullmatch(r"\d+(\.\d+)?", part) else (0, 0.0, part)
        for part in re.split(r"(\d+(?:\.\d+)?)", spelled)
        if part
    ]
