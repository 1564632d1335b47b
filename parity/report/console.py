"""The result tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

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


def result_tables(document: Mapping[str, Any]) -> RenderableType:
    """Return what is not green, the ten worst margins, and the verdict sentence, for `rich.console.Console.print`."""
    rows = group(document["results"])
    failing = [row for row in rows if not row.ok]
    close = sorted(
        (row for row in rows if row.status == "parity" and row.margin is not None), key=lambda row: -(row.margin or 0)
    )
    parts: list[RenderableType] = []
    if failing:
        parts.append(_table(f"Not green: {len(failing)} of {len(rows)}", failing[:MOST_FAILING], failing=True))
        if len(failing) > MOST_FAILING:
            parts.append(Text(f"… and {len(failing) - MOST_FAILING} more in the report."))
        reproduce = failing[0].worst.result.get("reproduce")
        parts += [Text(f"Fails together: {sentence(one, rows)}") for one in suspects(document, rows)]
        if reproduce:
            parts.append(Text(f"Reproduce the first: {reproduce}\n"))
    if close:
        parts.append(_table("Worst margins", close[:WORST], failing=False))
    green = bool(document["summary"]["green"])
    mark, color = MARKS["parity" if green else "mismatch"]
    parts.append(Text(f"{mark} {verdict_sentence(document, rows)}", style=f"bold {color}"))
    return Group(*parts)


def _table(title: str, rows: Sequence[Row], *, failing: bool) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("status", no_wrap=True)
    table.add_column("method", no_wrap=True)
    table.add_column("model", overflow="fold")
    table.add_column("input", overflow="fold")
    table.add_column("lane", no_wrap=True)
    if failing:
        table.add_column("failed", overflow="fold")
    table.add_column("rel. L2", justify="right", no_wrap=True)
    if not failing:
        table.add_column("of limit", justify="right", no_wrap=True)
    for row in rows:
        # Among passing rows the case closest to its limit is shown, which is what the table is about.
        case = row.worst if failing else max(row.cases, key=lambda case: case.margin or 0.0)
        result = case.result
        mark, color = MARKS[row.status]
        cells: list[RenderableType] = [
            Text(f"{mark} {row.status}", style=color),
            Text(row.method),
            Text(row.model),
            Text(str(result["input"])),
            Text(str(result["dtype"])),
        ]
        if failing:
            cells.append(Text(str(result.get("failed_check") or "–")))
        cells.append(Text(format_number(result.get("rel_l2"))))
        if not failing:
            cells.append(Text(format_share(case.margin)))
        table.add_row(*cells)
    return table
