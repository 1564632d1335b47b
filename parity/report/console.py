"""The result tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from parity.errors import first_line
from parity.report.rows import Row, format_number, format_share, group, verdict_sentence
from parity.report.suspects import sentence, suspects

WORST = 10
MOST_FAILING = 40

#: Word and shape as well as color: the terminal may have none.
MARKS = {
    "parity": ("✓", "green"),
    "structural": ("▲", "yellow"),
    "mismatch": ("✗", "red"),
    "reference-defect": ("◆", "magenta"),
    "unsupported": ("–", "bright_black"),
    "error": ("!", "red"),
}


def show_results(console: Console, document: Mapping[str, Any]) -> None:
    """Print what is not green, the ten worst margins, and the verdict sentence.

    Sentences and commands go out as one line each, which a terminal folds and a pipe does not.
    """
    for part in _parts(document):
        if isinstance(part, Table):
            for column in (one for one in part.columns if one.header == "model"):
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
        yield from _reasons(failing)
        yield from (Text(f"Fails together: {sentence(one, rows)}") for one in suspects(document, rows))
        if reproduce := failing[0].worst.result.get("reproduce"):
            yield Text(f"Reproduce the first: {reproduce}\n")
    if close:
        yield _table("Worst margins", close[:WORST], failing=False)
    green = bool(document["summary"]["green"])
    mark, color = MARKS["parity" if green else "mismatch"]
    yield Text(f"{mark} {verdict_sentence(document, rows)}", style=f"bold {color}")


def _reasons(rows: Sequence[Row]) -> Iterator[Text]:
    """Yield why rows have no numbers, each reason once, with the methods it cost."""
    said: dict[str, list[str]] = {}
    for row in rows:
        if row.status == "error" or row.worst.result.get("failed_check") == "logits":
            said.setdefault(first_line(row.worst.result.get("message")) or "no message", []).append(row.method)
    for text, methods in list(said.items())[:WORST]:
        names = list(dict.fromkeys(methods))
        more = f" and {len(names) - 3} more" if len(names) > 3 else ""
        yield Text(f"! {', '.join(names[:3])}{more}: {text}")
    if len(said) > WORST:
        yield Text(f"… and {len(said) - WORST} more reasons in the report.")


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
    if not failing:
        table.add_column("of limit", justify="right", no_wrap=True)
    # Among passing rows the case closest to its limit is shown, which is what the table is about.
    for row, case in zip(rows, shown, strict=True):
        result = case.result
        mark, color = MARKS[row.status]
        cells: list[RenderableType] = [Text(f"{mark} {row.status}", style=color), Text(row.method)]
        if len(models) > 1:
            cells.append(Text(row.model))
        if len(inputs) > 1:
            cells.append(Text(str(result["input"])))
        cells.append(Text(str(result["dtype"])))
        if failing:
            cells.append(Text(str(result.get("failed_check") or "–")))
        cells.append(Text(format_number(case.judged.get("rel_l2"))))
        if not failing:
            cells.append(Text(format_share(case.margin)))
        table.add_row(*cells)
    return table
