"""`summary.md` for a CI page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from parity.report.headline import headline_sentences, outcome_phrase
from parity.report.rows import Row, case_standings, group, reasons
from parity.report.suspects import hints
from parity.report.wording import NAMES, format_number, format_share

WORST = 10  # rows in the table of worst margins
MOST_FAILING = 50  # rows in the table of what is not green; the rest is counted
MOST_REASONS = 20  # reasons why cases are unjudged


def summary_markdown(document: Mapping[str, Any]) -> str:
    """Return the run's outcome in Markdown: verdict, counts, what is not green, the worst margins, what is unjudged."""
    rows = group(document["results"])
    standings = ", ".join(f"{count} {NAMES[name]}" for name, count in case_standings(rows).items())
    lines = [f"## Parity: {outcome_phrase(document['summary'])}"]
    for sentence in headline_sentences(document, rows):
        lines += ["", _escape(sentence)]
    lines += ["", f"Cases: {standings or 'none'}."]
    if controls := document["summary"].get("controls"):
        lines += ["", f"Harness controls: {controls['mutants_killed']} of {controls['mutants']} mutants killed."]
        lines += [f"- survived: {_code(name)}" for name in controls.get("survived", [])]
    failing = [row for row in rows if not row.ok]
    if failing:
        lines += ["", f"### Not green ({len(failing)})", "", *_table(failing[:MOST_FAILING])]
        if len(failing) > MOST_FAILING:
            lines += ["", f"… and {len(failing) - MOST_FAILING} more."]
        together = [f"- {_escape(text)}" for text, _ in hints(document, rows)]
        lines += ["", "Fails together:", "", *together] if together else []
    with_margin = sorted(
        (row for row in rows if row.margin is not None and row.status == "parity"), key=lambda row: -(row.margin or 0.0)
    )
    if with_margin:
        lines += ["", "### Worst margins", "", *_table(with_margin[:WORST])]
    lines += _unjudged(rows)
    lines += ["", f"Run on {_escape(document['created'])} by {_code(document['command'])}.", ""]
    return "\n".join(lines)


def _unjudged(rows: Sequence[Row]) -> list[str]:
    cases = [case for row in rows for case in row.cases if case.status == "unjudged"]
    if not cases:
        return []
    by_reason = reasons(cases)
    lines = ["", f"### Unjudged ({len(cases)} {'case' if len(cases) == 1 else 'cases'})", ""]
    for reason, methods in list(by_reason.items())[:MOST_REASONS]:
        lines.append(f"- {_escape(reason)}: {', '.join(map(_code, methods))}")
    if len(by_reason) > MOST_REASONS:
        lines += ["", f"… and {len(by_reason) - MOST_REASONS} more reasons."]
    return lines


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| status | method | model | input | lane | failed check | rel. L2 | share of limit | reproduce |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        result = row.worst.result
        cells = [
            NAMES[row.standing],
            _code(row.method),
            _escape(row.model),
            _escape(str(result["input"])),
            str(result["dtype"]),
            _escape(result.get("failed_check") or "–"),
            format_number(result.get("rel_l2")),
            format_share(row.worst.margin),
            _code(result.get("reproduce") or "–"),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _escape(text: str) -> str:
    """Return text that Markdown shows as it is, on one line."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(text.split()))


def _code(text: str) -> str:
    """Return text as inline code that may itself hold back-ticks and bars."""
    flat = " ".join(text.split()).replace("|", "\\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", flat)), default=0) + 1)
    pad = " " if flat.startswith("`") or flat.endswith("`") else ""
    return f"{fence}{pad}{flat}{pad}{fence}"
