"""Several subjects beside each other: of the results of a run each, one table per model, in Markdown and as a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from markupsafe import Markup

from parity.judge.limits import PUBLISHED_FLOOR
from parity.report.pages import page_of
from parity.report.rows import LANES, NOT_JUDGED, Case, Row, group, row_id
from parity.report.wording import NAMES, SHORT, format_number

_PROOF = re.compile(r", to [^ ]+ \(relative L2\)\.$")
WITH_NUMBERS = ("parity", "structural", "mismatch", "reference-defect")
"""How cases stand whose two maps were compared."""
MOST = 6
"""Cases that are named one by one for one finding."""


@dataclass(frozen=True)
class Cell:
    """What became of one method of one subject on one model.

    Attributes
    ----------
    standing
        Of the worst case; one of `parity.report.rows.STANDINGS`.
    distances
        By lane, the relative L2 distance of the worst case; None where there is no number.
    equal
        By lane, whether every case is at parity, or held to something else and equal to that.
    good
        By lane, whether no case spoils a run: beyond a limit, or broken.
    floor
        Whether the published floor (Pearson and SSIM) holds in every case, and none is broken.
    layer, cause
        What the trace of a failing case says: where the relevance parts, and the cause that was proved.
    message
        The worst case's message.
    link
        Where the report of the run shows the row.
    """

    standing: str
    distances: Mapping[str, float | None]
    equal: Mapping[str, bool]
    good: Mapping[str, bool]
    floor: bool
    layer: str
    cause: str
    message: str
    link: str

    @property
    def has_numbers(self) -> bool:
        """Whether two maps were compared."""
        return any(value is not None for value in self.distances.values())


@dataclass(frozen=True)
class Judged:
    """One subject's results.

    Attributes
    ----------
    name : str
        What it is called.
    versions : mapping
        Of the packages that take part.
    cells : mapping
        By model and method.
    """

    name: str
    versions: Mapping[str, str]
    cells: Mapping[tuple[str, str], Cell]


@dataclass(frozen=True)
class Total:
    """What a subject's cells on all models add up to.

    Attributes
    ----------
    offered
        How many the subject has: all that were judged, or broke.
    equal
        By lane, how many of them are equal to the original.
    floor
        How many hold the published floor.
    errors
        How many broke.
    lacking
        How many some subject has, but not this one.
    """

    offered: int
    equal: Mapping[str, int]
    floor: int
    errors: int
    lacking: int


@dataclass(frozen=True)
class Finding:
    """What was found of a subject in several cases alike.

    Attributes
    ----------
    subject : str
        Its name.
    sentence : str
        What was found.
    cases : tuple of (str, str)
        Method and model.
    """

    subject: str
    sentence: str
    cases: tuple[tuple[str, str], ...]

    @property
    def shown(self) -> tuple[tuple[str, str], ...]:
        """The cases that are named one by one."""
        return self.cases[:MOST]

    @property
    def more(self) -> int:
        """How many others there are."""
        return max(0, len(self.cases) - MOST)


def judged(documents: Iterable[Mapping[str, Any]], links: Iterable[str]) -> Judged:
    """Return a subject's results.

    Parameters
    ----------
    documents : iterable of mapping
        Results documents of one subject, on other models each.
    links : iterable of str
        Where the page of each lies, as the comparison links to it; empty for no link.
    """
    name, versions = "", {}
    cells: dict[tuple[str, str], Cell] = {}
    for document, link in zip(documents, links, strict=True):
        subject = document["environment"]["subject"]
        name, versions = str(subject["name"]), dict(subject["versions"])
        for row in group(document["results"]):
            cells[row.model, row.method] = _cell(row, f"{link}#{row_id(row)}" if link else "")
    return Judged(name, versions, cells)


def _cell(row: Row, link: str) -> Cell:
    traces: list[Mapping[str, Any]] = [case.result.get("trace") or {} for case in row.cases]
    traced = next((trace for trace in traces if trace.get("says") or trace.get("cause")), {})
    return Cell(
        standing=row.standing,
        distances={lane: _distance(case) for lane, case in row.lanes.items()},
        equal={lane: _all_equal(row, lane) for lane in row.lanes},
        good={lane: all(case.ok for case in row.cases if case.result["dtype"] == lane) for lane in row.lanes},
        floor=_all_hold_floor(row),
        layer=str(traced.get("layer") or "") if any(map(_distance, row.cases)) else "",
        cause=str(traced.get("cause") or ""),
        message=str(row.worst.result.get("message") or "").partition("\n")[0],
        link=link,
    )


def _distance(case: Case) -> float | None:
    value = case.result.get("rel_l2")
    return None if value is None or case.status not in WITH_NUMBERS else float(value)


def _all_equal(row: Row, lane: str) -> bool:
    statuses = {case.status for case in row.cases if case.result["dtype"] == lane}
    return bool(statuses) and statuses <= {"parity", "reference-defect"}


def _all_hold_floor(row: Row) -> bool:
    """Return whether the floor holds in every case; a map that is NaN or of another shape does not hold it."""
    compared = [case for case in row.cases if case.status in WITH_NUMBERS]
    broken = any(case.status == "error" for case in row.cases)
    return bool(compared) and not broken and all(_holds_floor(case) for case in compared)


def _holds_floor(case: Case) -> bool:
    if case.status != "mismatch":  # any other verdict holds it; constant maps have no correlation that could
        return True
    pearson, ssim = case.result.get("pearson"), case.result.get("ssim")
    return pearson is not None and pearson >= PUBLISHED_FLOOR and (ssim is None or ssim >= PUBLISHED_FLOOR)


def models(subjects: Sequence[Judged]) -> dict[str, list[str]]:
    """Return the methods of each model that some subject offers, by name; models in the order of the first run."""
    offered: dict[str, dict[str, None]] = {}
    for subject in subjects:
        for (model, method), cell in subject.cells.items():
            if cell.standing != "unsupported":
                offered.setdefault(model, {})[method] = None
    return {model: sorted(methods) for model, methods in offered.items()}


def total(subject: Judged, asked: Mapping[str, Sequence[str]]) -> Total:
    """Return what a subject's cells add up to."""
    keys = [(model, method) for model, methods in asked.items() for method in methods]
    cells = [subject.cells[key] for key in keys if key in subject.cells]
    offered = [cell for cell in cells if cell.standing not in NOT_JUDGED]
    return Total(
        len(offered),
        {lane: sum(cell.equal.get(lane, False) for cell in offered) for lane in LANES},
        sum(cell.floor for cell in offered),
        sum(cell.standing == "error" for cell in offered),
        sum(key not in subject.cells or subject.cells[key].standing == "unsupported" for key in keys),
    )


def parting(subjects: Sequence[Judged]) -> list[Finding]:
    """Return where subjects part from the originals, by what was proved of their maps."""
    said: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for subject in subjects:
        for (model, method), cell in subject.cells.items():
            if cell.cause:
                # How well the proof holds differs from method to method; each is in its own report.
                cause = _PROOF.sub(".", cell.cause)
                said.setdefault((subject.name, cause), []).append((method, model))
    return [Finding(name, cause, tuple(cases)) for (name, cause), cases in said.items()]


def broken(subjects: Sequence[Judged]) -> list[Finding]:
    """Return why subjects have no numbers, by what was raised, or what is wrong with their maps."""
    said: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for subject in subjects:
        for (model, method), cell in subject.cells.items():
            if cell.standing == "error" or (cell.standing == "mismatch" and not cell.has_numbers):
                message = cell.message.removeprefix(f"{subject.name}: ")
                said.setdefault((subject.name, message), []).append((method, model))
    return [Finding(name, message, tuple(cases)) for (name, message), cases in said.items()]


# --- Markdown --------------------------------------------------------------------------------------------------------


def totals_table(subjects: Sequence[Judged]) -> list[str]:
    """Return the lines of the table of totals."""
    asked = models(subjects)
    lines = [
        "| subject | offered | equal in float64 | equal in float32 | published floor | errors | not offered |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for subject in subjects:
        sums = total(subject, asked)
        cells = [
            subject.name,
            sums.offered,
            *(sums.equal[lane] for lane in LANES),
            sums.floor,
            sums.errors,
            sums.lacking,
        ]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    return lines


def model_table(subjects: Sequence[Judged], model: str, methods: Sequence[str]) -> list[str]:
    """Return the lines of a model's table: per subject the distance in float64 and in float32."""
    names = [subject.name for subject in subjects]
    lines = [f"| method | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for method in methods:
        cells = [subject.cells.get((model, method)) for subject in subjects]
        lines.append(f"| `{method}` | {' | '.join(_markdown(cell) for cell in cells)} |")
    return lines


def _markdown(cell: Cell | None) -> str:
    if cell is None or cell.standing == "unsupported":
        return "-"
    if not cell.has_numbers:
        return SHORT[cell.standing] if cell.standing in NOT_JUDGED else f"**{SHORT[cell.standing]}**"
    lanes = [
        _bold(format_number(distance), not cell.good[lane])
        for lane in LANES
        if (distance := cell.distances.get(lane)) is not None
    ]
    if cell.standing == "error":
        lanes.insert(0, "**error**")
    return " / ".join(lanes) + (f" at {cell.layer}" if cell.layer else "")


def _bold(text: str, loud: bool) -> str:
    return f"**{text}**" if loud else text


# --- the page --------------------------------------------------------------------------------------------------------


def page(subjects: Sequence[Judged]) -> str:
    """Return the comparison as one HTML page."""
    asked = models(subjects)
    return page_of(
        "subjects.html",
        {"number": format_number},
        subjects=subjects,
        totals=[total(subject, asked) for subject in subjects],
        models=asked,
        lanes=LANES,
        names=NAMES,
        short=SHORT,
        parting=parting(subjects),
        broken=broken(subjects),
        css=Markup(resources.files("parity.report").joinpath("report.css").read_text(encoding="utf-8")),
    )


def text(subjects: Sequence[Judged]) -> str:
    """Return the comparison in Markdown."""
    lines = ["# Subjects side by side", "", *totals_table(subjects)]
    for model, methods in models(subjects).items():
        lines += ["", f"## {model}", "", *model_table(subjects, model, methods)]
    lines += said_of("## Where they part, and why", parting(subjects))
    lines += said_of("## What has no numbers", broken(subjects))
    return "\n".join([*lines, ""])


def said_of(title: str, findings: Sequence[Finding]) -> list[str]:
    """Return a section of what was found of subjects; empty if nothing was."""
    if not findings:
        return []
    lines = ["", title, ""]
    for one in findings:
        shown = ", ".join(f"`{method}` on {model}" for method, model in one.shown)
        lines.append(f"- {one.subject}: {one.sentence} ({shown}{f' and {one.more} more' if one.more else ''})")
    return lines
