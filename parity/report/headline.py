"""What a run says in its first lines: whether it is green, what was compared with what, and who answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from parity.report.rows import Row, method_standings
from parity.report.wording import counted, times_limit
from parity.run.totals import AGE_UNKNOWN, missed

Summary = Mapping[str, Any]


def headline_sentences(document: Mapping[str, Any], rows: Sequence[Row]) -> list[str]:
    """Return the first sentences of a report: the verdict, the counts, and where the reference answers came from."""
    summary = document["summary"]
    sentences = [verdict_sentence(document, rows), f"{counts_phrase(summary)}."]
    return [*sentences, *reference_sentences(summary)]


def outcome_phrase(summary: Summary) -> str:
    """Return the run's outcome in a few words: passed, FAILED, or how far it came."""
    if summary["stopped"]:
        return stopped_phrase(summary)
    if summary["green"]:
        return "passed"
    return "FAILED" if _has_red(summary) else "nothing was compared"


def outcome_title(summary: Summary) -> str:
    """Return the outcome as the title of a page."""
    if summary["stopped"]:
        return "Parity run stopped early"
    if summary["green"]:
        return "Parity holds"
    return "Parity fails" if _has_red(summary) else "Nothing was compared"


def _has_red(summary: Summary) -> bool:
    """Return whether something speaks against parity, rather than nothing for it."""
    return bool(summary["compared"] + summary["held"] + summary["errors"] + missed(summary.get("controls")))


def stopped_phrase(summary: Summary) -> str:
    """Return how far a run came that ended early; the number of cases is left out where nobody knew it."""
    finished, planned = sum(summary["counts"].values()), summary["planned"]
    of_planned = f" of {planned}" if planned > finished else ""
    return f"stopped after {finished}{of_planned} {'case' if finished == 1 and not of_planned else 'cases'}"


def counts_phrase(summary: Summary) -> str:
    """Return how much was compared with what: n of m cases compared; k held to something else; u unjudged."""
    judgeable = summary["planned"] - summary["unsupported"]
    parts = [
        f"{summary['compared']} of {judgeable} cases compared",
        f"{summary['held']} held to something else",
        f"{summary['unjudged']} unjudged",
    ]
    if summary["errors"]:
        parts.append(counted(summary["errors"], "error"))
    if summary["unsupported"]:
        parts.append(f"{summary['unsupported']} unsupported, not counted")
    return "; ".join(parts)


def reference_sentences(summary: Summary) -> list[str]:
    """Say how many reference answers are stored ones, how old they are, and why no reference could be asked."""
    answers, fault = summary["reference_answers"], summary.get("reference_fault")
    stored, total = answers["stored"], answers["stored"] + answers["computed"]
    sentences = []
    if stored:
        age = f", the oldest of {_day(answers['oldest'])}" if answers["oldest"] else ", of unknown age"
        sentences.append(f"{stored} of {total} reference answers are stored ones{age}.")
    elif total:
        sentences.append(f"{total} reference {'answer was' if total == 1 else 'answers were'} computed in this run.")
    if fault:
        start = "The reference failed" if answers["computed"] else "No reference could be asked"
        sentences.append(f"{start} in this run: {' '.join(str(fault).split()).rstrip('.')}.")
    return sentences


def stored_phrase(origin: str) -> str:
    """Return in words what `reference_stored` of a row says."""
    if not origin:
        return "computed in this run"
    return f"a stored one, {'of unknown age' if origin == AGE_UNKNOWN else f'computed {origin}'}"


def _day(moment: str) -> str:
    try:
        return datetime.fromisoformat(moment).date().isoformat()
    except ValueError:
        return moment


def verdict_sentence(document: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """Say in one sentence how the methods of a run stand.

    Each method is counted once, by its worst case on any model; its numbers add up to that of the methods.
    """
    summary = document["summary"]
    early = f"{stopped_phrase(summary).capitalize()}: " if summary["stopped"] else ""
    if not rows:
        return f"{early}nothing was compared." if early else "Nothing was compared."
    counts = method_standings(rows)
    at_parity, total = counts.pop("parity", 0), len({row.method for row in rows})
    models = {row.model for row in rows}
    start = f"All {total}" if at_parity == total and total > 1 and not early else f"{at_parity} of {total}"
    names = ", ".join(sorted(models)) if len(models) <= 2 else f"{len(models)} models"
    method = "method" if total == 1 else "methods"
    parts = [f"{early}{start} {method} at parity on {names}{_somewhere_unsupported(rows)}"]
    parts += [counted(count, standing) for standing, count in counts.items()]
    if wrong := missed(controls := summary.get("controls")):
        parts.append(f"the judge accepted {wrong} of {controls['mutants']} maps that are wrong on purpose")
    worst = summary.get("worst_margin")
    if worst is not None:
        parts.append(f"worst margin {worst['method']} on {worst['model']}: {times_limit(worst['value'])}")
    return "; ".join(parts) + "."


def _somewhere_unsupported(rows: Sequence[Row]) -> str:
    """Return what must be said of methods that are at parity wherever they were judged, but were not everywhere."""
    standings: dict[str, set[str]] = {}
    for row in rows:
        standings.setdefault(row.method, set()).update(case.standing for case in row.cases)
    count = sum(reached == {"parity", "unsupported"} for reached in standings.values())
    return f" ({count} of them unsupported on some)" if count else ""
