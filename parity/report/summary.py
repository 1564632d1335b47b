"""`summary.md` for a CI page and `junit.xml` for its test view."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree as ET

from parity.errors import first_line
from parity.judge.verdict import is_ok
from parity.report.rows import Row, case_standings, format_number, format_share, group, verdict_sentence
from parity.report.suspects import sentence, suspects

WORST = 10  # rows in the table of worst margins
MOST_FAILING = 50  # rows in the table of what is not green; the rest is counted


def summary_markdown(document: Mapping[str, Any]) -> str:
    """Return the run's outcome in Markdown: verdict, counts, what is not green, the worst margins."""
    rows = group(document["results"])
    green = document["summary"]["green"]
    lines = [
        f"## Parity: {'passed' if green else 'FAILED'}",
        "",
        _escape(verdict_sentence(document, rows)),
        "",
        "Cases: " + (", ".join(f"{count} {name}" for name, count in case_standings(rows).items()) or "none") + ".",
    ]
    if controls := document["summary"].get("controls"):
        lines += ["", f"Harness controls: {controls['mutants_killed']} of {controls['mutants']} mutants killed."]
        lines += [f"- survived: {_code(name)}" for name in controls.get("survived", [])]
    failing = [row for row in rows if not row.ok]
    if failing:
        lines += ["", f"### Not green ({len(failing)})", "", *_table(failing[:MOST_FAILING])]
        if len(failing) > MOST_FAILING:
            lines += ["", f"… and {len(failing) - MOST_FAILING} more."]
        together = [f"- {_escape(sentence(one, rows))}" for one in suspects(document, rows)]
        lines += ["", "Fails together:", "", *together] if together else []
    with_margin = sorted(
        (row for row in rows if row.margin is not None and row.status == "parity"), key=lambda row: -(row.margin or 0.0)
    )
    if with_margin:
        lines += ["", "### Worst margins", "", *_table(with_margin[:WORST])]
    lines += ["", f"Run on {_escape(document['created'])} by {_code(document['command'])}.", ""]
    return "\n".join(lines)


def _table(rows: Sequence[Row]) -> list[str]:
    lines = [
        "| status | method | model | input | lane | failed check | rel. L2 | share of limit | reproduce |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        result = row.worst.result
        cells = [
            row.status,
            _code(row.method),
            _escape(row.model),
            _escape(str(result["input"])),
            str(result["dtype"]),
            _escape(result.get("failed_check") or "–"),
            format_number(row.worst.judged.get("rel_l2")),
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


def junit_parts(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the run as JUnit XML: one test case per case; a covered divergence passes, with its name."""
    results = document["results"]
    suite = ET.Element(
        "testsuite",
        name="parity",
        tests=str(len(results)),
        failures=str(sum(_outcome(row) == "failure" for row in results)),
        errors=str(sum(_outcome(row) == "error" for row in results)),
        skipped=str(sum(_outcome(row) == "skipped" for row in results)),
        time=f"{document['seconds']:.3f}",
        timestamp=_clean(document["created"]),
    )
    head, end = ET.tostring(suite, encoding="unicode", short_empty_elements=False).split("><")
    yield f"<?xml version='1.0' encoding='utf-8'?>\n{head}>\n"
    for row in results:
        seconds = (row.get("seconds_reference") or 0.0) + (row.get("seconds_subject") or 0.0)
        case = ET.Element(
            "testcase",
            classname=_clean(f"parity.{row['model']}.{row['family']}"),
            name=_clean(f"{row['method']}[{row['model']}-{row['input']}-{row['dtype']}]"),
            time=f"{seconds:.3f}",
        )
        properties = ET.SubElement(case, "properties")
        shown = {**row, **(row.get("imitation") or {})}  # the numbers that the margin is of
        for key in ("status", "failed_check", "divergence", "rel_l2", "margin", "pearson", "ssim", "reproduce"):
            if shown.get(key) is not None:
                ET.SubElement(properties, "property", name=key, value=_clean(str(shown[key])))
        outcome = _outcome(row)
        if outcome is not None:
            reason = first_line(row.get("message")) or row["status"]
            part = ET.SubElement(case, outcome, message=_clean(f"{row['status']}: {reason}"))
            part.text = _clean(f"{row.get('message') or ''}\n{row.get('reproduce') or ''}")
        ET.indent(case, level=1)
        yield f"  {ET.tostring(case, encoding='unicode')}\n"
    yield f"<{end}\n"


def _outcome(row: Mapping[str, Any]) -> str | None:
    if is_ok(row["status"], row.get("divergence")):
        return None
    # JUnit's word for "was not tried". The run itself is not green for it.
    return {"error": "error", "unsupported": "skipped"}.get(row["status"], "failure")


def _clean(text: str) -> str:
    """Return text without the characters that XML 1.0 cannot carry (a worker's stderr may hold them)."""
    return re.sub(r"[^\t\n\r -\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", "\N{REPLACEMENT CHARACTER}", text)
