"""`parity.html`: one file that opens offline. A pure function of the results and the arrays."""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from markupsafe import Markup

from parity.report import figures
from parity.report.arrays import Arrays
from parity.report.coverage import coverage
from parity.report.headline import headline_sentences, outcome_title
from parity.report.pages import page_of
from parity.report.panels import make_panel
from parity.report.rows import (
    LANES,
    Case,
    Row,
    case_standings,
    group,
    reasons,
    row_id,
    row_standings,
)
from parity.report.rule_names import LayerRules, side_by_side
from parity.report.suspects import MOST, Suspect, hints, layers_by_rule, named, suspects
from parity.report.traces import trace_view
from parity.report.wording import NAMES, SHORT, format_number, format_share, format_similarity

#: What each status means, for the legend.
MEANING = {
    "parity": "Every check holds: shape, numbers, zeros, relative L2, slope and largest error.",
    "structural": (
        "The maps are not equal: only Pearson and SSIM reach 0.95, what earlier comparisons called equal. "
        "Fails the run. In parity.json its status is structural."
    ),
    "mismatch": "The maps differ in structure or shape, hold no numbers, or one of them is zero.",
    "reference-defect": (
        "The reference is wrong here, and the subject was held to something else: counted apart, the evidence is in "
        "the opened row."
    ),
    "unjudged": "Nothing could be compared, for the reason in the opened row: counted apart, never green.",
    "unsupported": "No reference or not the subject has the method, or the model lacks what it needs: not counted.",
    "error": "Something broke on one side; the other cases went on.",
}


#: Cases of an opened row that are listed besides those that are drawn, the worst; all are in `parity.json`.
MOST_OTHERS = 30


def render(document: Mapping[str, Any], arrays_path: Path | None = None) -> str:
    """Return the report as one HTML page.

    Parameters
    ----------
    document : mapping
        A valid results document (see `parity.report.load`).
    arrays_path : Path, optional
        The run's arrays file; without it the report has no pictures.

    Raises
    ------
    ReportError
        If the arrays file cannot be read.
    """
    rows = group(document["results"])
    store = figures.Pictures()
    detail = figures.detail_for(len(rows))
    suspected = suspects(document, rows)
    with Arrays(arrays_path, document["created"]) as arrays:
        entries = _entries(document, rows, arrays, store, detail, suspected)
    script = _asset("report.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    lanes = [lane for lane in LANES if any(lane in row.lanes for row in rows)]
    filters: dict[str, Callable[..., Any]] = {
        "number": format_number,
        "share": format_share,
        "similarity": format_similarity,
        "breakable": _breakable,
        "compact": _compact,
        "spelled": _spelled,
        "date": _date,
        "duration": _duration,
    }
    return page_of(
        "report.html",
        filters,
        document=document,
        title=outcome_title(document["summary"]),
        headline=headline_sentences(document, rows),
        green=document["summary"]["green"],
        names=NAMES,
        short=SHORT,
        entries=entries,
        lanes=lanes,
        # Rows beside methods: where a method has one row, as on one model, these are the sentence's numbers.
        counts=row_standings(rows),
        case_counts=case_standings(rows),
        families=sorted({row.family for row in rows}),
        models=list(dict.fromkeys(row.model for row in rows)),
        matrices=coverage(rows, document.get("reference_methods")),
        row_ids={row.method: row_id(row) for row in reversed(rows)},
        compared=document.get("compared"),
        hints=[
            {"text": text, "rows": [(row_id(row), row) for row in concerned]}
            for text, concerned in hints(document, rows)
        ],
        unjudged=_unjudged(rows),
        meaning=MEANING,
        detail=detail,
        clip=figures.CLIP,
        # Our own files and base64 pictures; nothing of a run goes in unescaped.
        css=Markup(_asset("report.css")),
        pictures=Markup(store.css()),
        script=Markup(script),
        script_digest=digest,
        map_gradient=figures.palette_css("map"),
        difference_gradient=figures.palette_css("difference"),
    )


def _entries(
    document: Mapping[str, Any],
    rows: Sequence[Row],
    arrays: Arrays,
    store: figures.Pictures,
    detail: figures.Detail,
    suspected: Sequence[Suspect],
) -> list[dict[str, Any]]:
    subject = str(document["environment"]["subject"]["name"])
    models = {model["name"]: model for model in document["models"]}
    divergences = document.get("divergences") or {}
    entries = []
    for row in rows:
        shown = {case.index for case in row.lanes.values()}
        others = [case for case in row.cases if case.index not in shown]
        divergence_names = sorted(
            {name for case in row.cases for name in str(case.result.get("divergence") or "").split(", ")} - {""}
        )
        entries.append(
            {
                "row": row,
                "id": row_id(row),
                "text": f"{row.method} {row.model} {row.family}".lower(),
                "lanes": {dtype: _lane(case) for dtype, case in row.lanes.items()},
                "pearson": _least(row, "pearson"),
                "ssim": _least(row, "ssim"),
                "method": document["methods"].get(row.method, {}),
                "rules": _rules(models.get(row.model, {}), row.method),
                "suspects": _suspects_of(row, models.get(row.model, {}), suspected),
                # Maps were compared and differ; what could not be computed says nothing of the rules.
                "wrong": not row.ok and row.status in ("mismatch", "structural"),
                "others": others[:MOST_OTHERS],
                "more": len(others) - MOST_OTHERS,
                "tests": list(dict.fromkeys(case.result["pytest"] for case in row.cases if case.result.get("pytest"))),
                "divergences": [(name, divergences.get(name)) for name in divergence_names],
                "panels": [
                    make_panel(case, arrays, store, detail, (_reference_name(case), f"torch ({subject})"))
                    for case in sorted(row.lanes.values(), key=lambda case: LANES.index(case.result["dtype"]))
                ],
                "traces": [
                    (case, view)
                    for case in sorted(row.cases, key=lambda case: LANES.index(case.result["dtype"]))
                    if (view := trace_view(case, arrays, store, detail, (_reference_name(case), f"torch ({subject})")))
                ],
            }
        )
    return entries


def _reference_name(case: Case) -> str:
    reference = case.result.get("reference")
    return f"TensorFlow ({reference})" if reference else "TensorFlow"


def _lane(case: Case) -> dict[str, Any]:
    margin = case.margin
    return {
        "word": SHORT[case.standing],
        "rel_l2": case.result.get("rel_l2"),
        "margin": margin,
        # The bar's limit mark stands at 80 % of its width, so that an overrun has room to show.
        "bar": 0.0 if margin is None else round(min(margin * 80, 100), 2),
        "over": margin is not None and margin > 1 and not case.ok,
        "times": margin is not None and 1 < margin < math.inf and not case.ok,
    }


def _least(row: Row, key: str) -> float | None:
    values = [case.result[key] for case in row.cases if case.result.get(key) is not None]
    return min(values, default=None)


@dataclass(frozen=True)
class _Rules:
    """The rules of both sides: layers that are alike in one line, what differs first; how many are of each kind."""

    lines: list[dict[str, Any]]
    differing: list[LayerRules]
    unknown: int
    total: int
    reference: str
    problem: str | None


def _rules(model: Mapping[str, Any], method: str) -> _Rules | None:
    subject = (model.get("rules") or {}).get(method) or []
    told = (model.get("reference_rules") or {}).get(method)
    if not subject and not told:
        return None
    problem = told["problem"] if told else "this run did not ask the reference"
    layers = side_by_side(subject, None if told is None or problem else told["layers"])
    gathered: dict[LayerRules, list[str]] = {}
    for layer_rules in layers:
        gathered.setdefault(replace(layer_rules, layer=""), []).append(layer_rules.layer)
    lines = [{"rules": rules, "layers": names} for rules, names in gathered.items()]
    return _Rules(
        lines=sorted(lines, key=lambda line: line["rules"].agreement != "differs"),
        differing=[rules for rules in layers if rules.agreement == "differs"],
        unknown=sum(rules.agreement == "unknown" for rules in layers),
        total=len(layers),
        reference=f"TensorFlow ({told['reference']})" if told else "TensorFlow",
        problem=problem,
    )


def _suspects_of(row: Row, model: Mapping[str, Any], suspected: Sequence[Suspect]) -> list[dict[str, Any]]:
    """Return what only failing rows have and this one too: parts that fit equally, each with the layers of a rule."""
    layers = layers_by_rule(model, row.method)
    return [
        {
            "text": named(suspect.parts),
            "rules": named([part for part in suspect.parts if part.kind == "rule"]),
            "equally": len(suspect.parts) > 1,
            "parts": [
                {"text": str(part), "layers": layers.get(part.name, []) if part.kind == "rule" else []}
                for part in suspect.parts[:MOST]
            ],
            "more": len(suspect.parts) - MOST,
        }
        for suspect in suspected
        if row in suspect.rows
    ]


def _unjudged(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return why cases are unjudged, each reason once, with its rows."""
    by_reason: dict[str, list[Row]] = {}
    for row in rows:
        for reason in reasons(case for case in row.cases if case.status == "unjudged"):
            by_reason.setdefault(reason, []).append(row)
    return [
        {"reason": reason, "rows": [(row_id(row), row) for row in concerned]} for reason, concerned in by_reason.items()
    ]


def _asset(name: str) -> str:
    return resources.files("parity.report").joinpath(name).read_text(encoding="utf-8")


def _breakable(name: str) -> Markup:
    """Return a long name that may be broken after its underscores."""
    return Markup("_<wbr>").join(name.split("_"))


def _spelled(value: Any) -> str:
    """Return a JSON value for people; what is empty or false in a mapping is left out."""
    if isinstance(value, Mapping):
        return "; ".join(
            name if item is True else f"{name} = {_spelled(item)}"
            for name, item in value.items()
            if item not in (None, False, "")
        )
    if isinstance(value, list):
        return ", ".join(_spelled(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _compact(text: str) -> Markup:
    """Return escaped HTML without the line breaks between tags: half of a large page's nodes."""
    # Text from a run holds no bare angle bracket any more, so that this meets our own tags only.
    return Markup(re.sub(r">\s*\n\s*<", "><", text))


def _date(text: str) -> str:
    """Return an ISO date for people; anything else as it is."""
    try:
        return datetime.fromisoformat(text).strftime("%-d %B %Y, %H:%M %Z").strip()
    except ValueError:
        return text


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
