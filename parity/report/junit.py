"""`junit.xml` for the test view of a CI page."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET

from parity.errors import first_line
from parity.judge.verdict import is_ok
from parity.report.headline import counts_phrase, outcome_phrase, reference_sentences, stopped_phrase
from parity.report.rows import NOT_JUDGED
from parity.report.wording import NAMES
from parity.run.totals import missed

_PROPERTIES = (
    "status", "failed_check", "divergence", "held_to", "rel_l2", "margin", "pearson", "ssim", "reference_stored",
    "reproduce",
)  # fmt: skip


def junit_parts(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the run as JUnit XML: one test case per case, and one in error for each thing that is wrong with the run.

    What was not judged is skipped, with the reason. What was held to something else passes, with the name.
    """
    results = document["results"]
    outcomes = Counter(_outcome(row) for row in results)
    problems = _problems(document["summary"])
    suite = ET.Element(
        "testsuite",
        name="parity",
        tests=str(len(results) + len(problems)),
        failures=str(outcomes["failure"]),
        errors=str(outcomes["error"] + len(problems)),
        skipped=str(outcomes["skipped"]),
        time=f"{document['seconds']:.3f}",
        timestamp=_clean(document["created"]),
    )
    head, end = ET.tostring(suite, encoding="unicode", short_empty_elements=False).split("><")
    yield f"<?xml version='1.0' encoding='utf-8'?>\n{head}>\n"
    yield _indented(_headline(document["summary"]))
    for name, text in problems.items():
        case = ET.Element("testcase", classname="parity.run", name=_clean(name), time="0.000")
        ET.SubElement(case, "error", message=_clean(name)).text = _clean(text)
        yield _indented(case)
    for row in results:
        yield _indented(_case(row))
    yield f"<{end}\n"


def _headline(summary: Mapping[str, Any]) -> ET.Element:
    """Return the properties of the suite; they must not take memory that grows with the rows."""
    properties = ET.Element("properties")
    sentences = {
        "outcome": outcome_phrase(summary),
        "cases": counts_phrase(summary),
        "reference": " ".join(reference_sentences(summary)),
    }
    _add_properties(properties, sentences)
    return properties


def _case(row: Mapping[str, Any]) -> ET.Element:
    seconds = (row.get("seconds_reference") or 0.0) + (row.get("seconds_subject") or 0.0)
    case = ET.Element(
        "testcase",
        classname=_clean(f"parity.{row['model']}.{row['family']}"),
        name=_clean(f"{row['method']}[{row['model']}-{row['input']}-{row['dtype']}]"),
        time=f"{seconds:.3f}",
    )
    _add_properties(ET.SubElement(case, "properties"), {key: row.get(key) for key in _PROPERTIES})
    outcome = _outcome(row)
    if outcome is not None:
        reason = first_line(row.get("message"))
        said = NAMES[row["status"]] + (f": {reason}" if reason else "")
        part = ET.SubElement(case, outcome, message=_clean(said))
        part.text = _clean(f"{row.get('message') or ''}\n{row.get('reproduce') or ''}")
    return case


def _problems(summary: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with a run as a whole, which no case of it shows: name -> what it means."""
    problems = {}
    if summary["stopped"]:
        problems[stopped_phrase(summary)] = "The run ended early: what it did not reach was not compared."
    if summary["compared"] + summary["held"] == 0:
        problems["nothing was compared"] = "No map of the subject was held to anything, so the run shows nothing."
    if wrong := missed(controls := summary.get("controls")):
        survived = ", ".join((controls or {}).get("survived") or [])
        name = f"the judge accepted {wrong} of {(controls or {})['mutants']} maps that are wrong on purpose"
        problems[name] = f"The verdicts of this run prove nothing. Accepted: {survived or 'not named'}."
    return problems


def _outcome(row: Mapping[str, Any]) -> str | None:
    if is_ok(row["status"], row.get("divergence")):
        return None
    # JUnit's word for "was not tried". The run is not green for it.
    if row["status"] in NOT_JUDGED:
        return "skipped"
    return "error" if row["status"] == "error" else "failure"


def _add_properties(parent: ET.Element, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        if value is not None and value != "":
            ET.SubElement(parent, "property", name=name, value=_clean(str(value)))


def _indented(element: ET.Element) -> str:
    ET.indent(element, level=1)
    return f"  {ET.tostring(element, encoding='unicode')}\n"


def _clean(text: str) -> str:
    """Return text without the characters that XML 1.0 cannot carry (a worker's stderr may hold them)."""
    return re.sub(r"[^\t\n\r -\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]", "\N{REPLACEMENT CHARACTER}", text)
