"""The result tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from parity.report.headline import headline_sentences
from parity.report.rows import Case, Row, group, reasons
from parity.report.suspects import hints
from parity.report.wording import SHORT, format_number, format_share

WORST = 10
MOST_FAILING = 40

#: Word and shape as well as color: the terminal may have none.
MARKS = {
    "parity": ("✓", "green"),
    "structural": ("≠", "red"),
    "mismatch": ("✗", "red"),
    "reference-defect": ("◆", "magenta"),
    "unjudged": ("?", "grey62"),
    "unsupported": ("–", "bright_black"),
    "error": ("!", "red"),
}


def show_results(console: Console, document: Mapping[str, Any]) -> None:
    """Print what is not green, the ten worst margins, what was not judged, and the headline.

    Sentences and commands go out as one line each, which a terminal folds and a pipe does not.
    """
    for part in _parts(document):
        if isinstance(part, Table):
            for column in (column for column in part.columns if column.header == "model"):
                column.no_wrap = True  # whole, unless nothing else could be
                column.no_wrap = console.measure(part).minimum <= console.width
        console.print(part, soft_wrap=isinstance(part, Text))


def _parts(document: Mapping[str, Any]) -> Iterator[Table | Text]:
    rows = group(document["results"])
    failing = [row for row in rows if not row.ok]
    close = sorted(
        (row for row in rows if row.status == "parity" and row.margin is not None), key=lambda row: -(row.margin or 0)
    )
    if failing:
        yield _table(f"Not green: {len(failing)} of {len(rows)}", failing[:MOST_FAILING], failing=True)
        if len(failing) > MOST_FAILING:
            yield Text(f"… and {len(failing) - MOST_FAILING} more in the report.")
        yield from _reasons("!", [row.worst for row in failing if row.has_no_numbers])
        yield from (Text(f"Fails together: {text}") for text, _ in hints(document, rows))
        if reproduce := failing[0].worst.result.get("reproduce"):
            yield Text(f"Reproduce the first: {reproduce}\n")
    if close:
        yield _table("Worst margins", close[:WORST], failing=False)
    if unjudged := [case for row in rows for case in row.cases if case.status == "unjudged"]:
        mark, color = MARKS["unjudged"]
        yield Text(f"Unjudged: {len(unjudged)} of {len(document['results'])} cases", style=f"bold {color}")
        yield from _reasons(mark, unjudged)
    verdict, *others = headline_sentences(document, rows)
    mark, color = MARKS["parity" if document["summary"]["green"] else "mismatch"]
    yield Text(f"{mark} {verdict}", style=f"bold {color}")
    yield from (Text(f"  {sentence}") for sentence in others)


def _reasons(mark: str, cases: Sequence[Case]) -> Iterator[Text]:
    """Yield why cases have no numbers, each reason once, with the methods it cost."""
    by_reason = reasons(cases)
    for text, methods in list(by_reason.items())[:WORST]:
        more = f" and {len(methods) - 3} more" if len(methods) > 3 else ""
        yield Text(f"{mark} {', '.join(methods[:3])}{more}: {text}")
    if len(by_reason) > WORST:
        yield Text(f"… and {len(by_reason) - WORST} more reasons in the report.")


def _table(title: str, rows: Sequence[Row], *, failing: bool) -> Table:
    """Return a table; what is alike in all rows stands in its title, because 80 columns are few."""
    shown = [row.worst if failing else max(row.cases, key=lambda case: case.margin or 0.0) for row in rows]
    models = {row.model for row in rows}
    inputs = {str(case.result["input"]) for case in shown}
    where = [next(iter(names)) for names in (models, inputs) if len(names) == 1]
    title = f"{title}, all on {', '.join(where)}" if where else title
    table = Table(title=Text(title), title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("status", no_wrap=True)
    table.add_column("method", no_wrap=True)
    if len(models) > 1:
        table.add_column("model", overflow="fold")
    if len(inputs) > 1:
        table.add_column("input", overflow="fold")
    table.add_column("lane", no_wrap=True)
    if failing:
        table.add_column("failed", overflow="fold")
    table.add_column("rel. L2", justify="right", no_wrap=True)
    table.add_column("x limit" if failing else "of limit", justify="right", no_wrap=True)
    # Among passing rows the case closest to its limit is shown, which is what the table is about.
    for row, case in zip(rows, shown, strict=True):
        result = case.result
        mark, color = MARKS[row.standing]
        cells: list[RenderableType] = [Text(f"{mark} {SHORT[row.standing]}", style=color), Text(row.method)]
        if len(models) > 1:
            cells.append(Text(row.model))
        if len(inputs) > 1:
            cells.append(Text(str(result["input"])))
        cells.append(Text(str(result["dtype"])))
        if failing:
            cells.append(Text(str(result.get("failed_check") or "–")))
        cells.append(Text(format_number(result.get("rel_l2"))))
        cells.append(Text(format_share(case.margin)))
        table.add_row(*cells)
    return table
