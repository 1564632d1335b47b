"""What an opened row shows of one lane: pictures, plots, and each number beside its limit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.report import figures
from parity.report.arrays import Arrays
from parity.report.headline import stored_phrase
from parity.report.plots import Histogram, Scatter, histogram, scatter
from parity.report.rows import Case
from parity.report.wording import NAMES, format_number, format_share, format_similarity, times_limit

Array = npt.NDArray[Any]

FAINT = 0.01
"""Share of the scale's end below which a map looks empty; its caption says so then."""


@dataclass(frozen=True)
class Picture:
    """One picture: the CSS class that shows it, its title, alternative text, range and aspect ratio."""

    css: str
    title: str
    alt: str
    caption: str
    ratio: str


@dataclass(frozen=True)
class Check:
    """One check: its name, value and limit as text, the share of the limit that is used, and what became of it.

    `word` is "yes", "NO", or what it says instead of NO where a failed check spoils nothing.
    """

    name: str
    value: str
    sign: str
    limit: str
    share: str
    word: str


@dataclass(frozen=True)
class Panel:
    """The opened view of one lane's worst case.

    `lead` is what must be read before the numbers, if anything; `not_equal` says so of maps that only look alike.
    """

    dtype: str
    case: Case
    pictures: tuple[Picture, ...]
    swipe: tuple[Picture, Picture] | None
    scale: str
    difference_scale: str
    scatter: Scatter | None
    histogram: Histogram | None
    checks: tuple[Check, ...]
    facts: tuple[tuple[str, str], ...]
    missing: str | None
    lead: str | None
    not_equal: str | None


def make_panel(
    case: Case,
    arrays: Arrays,
    store: figures.Pictures,
    detail: figures.Detail,
    names: tuple[str, str],
) -> Panel:
    """Draw and spell out one case.

    Parameters
    ----------
    case : Case
        The worst case of its lane.
    arrays : Arrays
        The run's arrays.
    store : Pictures
        Where the pictures go.
    detail : Detail
        How fine they are.
    names : (str, str)
        What the reference and the subject are called.
    """
    result = case.result
    reference, subject = arrays.pair(case.index)
    pictures: list[Picture] = []
    shown = arrays.picture(str(result["model"]), str(result["input"]))
    if shown is not None:
        low, high = float(shown.min()), float(shown.max())
        alt = f"Input {result['input']} of {result['model']}, values {low:.4g} to {high:.4g}."
        ratio = _ratio(shown if shown.ndim == 3 else figures.map_plane(shown))
        pictures.append(
            Picture(
                store.input(f"{result['model']}/{result['input']}", shown), "Input", alt, str(result["input"]), ratio
            )
        )
    maps, scale, difference_scale = _maps(reference, subject, result, store, detail, names)
    drawn: tuple[Scatter, Histogram] | None = None
    if reference is not None and subject is not None and reference.shape == subject.shape:
        limits = result.get("limits") or {}
        drawn = (
            scatter(reference, subject, result.get("slope"), result.get("offset"), detail.dots),
            histogram(reference, subject, limits.get("max_err")),
        )
    return Panel(
        dtype=str(result["dtype"]),
        case=case,
        pictures=tuple(pictures + maps),
        swipe=(maps[0], maps[1]) if len(maps) == 3 else None,
        scale=scale,
        difference_scale=difference_scale,
        scatter=drawn[0] if drawn else None,
        histogram=drawn[1] if drawn else None,
        checks=_checks(case),
        facts=_facts(result),
        missing=_missing(reference, subject, names),
        lead=_lead(result),
        not_equal=_not_equal(case),
    )


def map_pictures(
    reference: Array | None,
    subject: Array | None,
    result: Mapping[str, Any],
    store: figures.Pictures,
    detail: figures.Detail,
    names: tuple[str, str],
) -> list[Picture]:
    """Return the pictures of two maps and of their difference."""
    return _maps(reference, subject, result, store, detail, names)[0]


def _maps(
    reference: Array | None,
    subject: Array | None,
    result: Mapping[str, Any],
    store: figures.Pictures,
    detail: figures.Detail,
    names: tuple[str, str],
) -> tuple[list[Picture], str, str]:
    """Return the pictures of the maps and, if both exist and fit, of their difference; and the scales."""
    planes = [
        None if side is None else figures.shrink(figures.map_plane(side), detail.side) for side in (reference, subject)
    ]
    present = [plane for plane in planes if plane is not None]
    if not present:
        return [], "", ""
    scale = figures.map_scale(present[0], present[-1])
    pictures = []
    for name, side, plane in zip(names, (reference, subject), planes, strict=True):
        if side is None or plane is None:
            continue
        low, high, total = _range(side)
        alt = f"Map by {name}: values {low} to {high}, sum {total}; color scale ±{scale:.3g}."
        css = store.plane(plane, scale, "map", detail.levels)
        faint = ", too faint for the shared scale" if 0 < np.nanmax(np.abs(plane), initial=0.0) < FAINT * scale else ""
        pictures.append(Picture(css, name, alt, f"{low} to {high}{faint}", _ratio(plane)))
    end = ""
    if reference is not None and subject is not None and reference.shape == subject.shape:
        whole = figures.difference_plane(reference, subject)
        plane = figures.shrink(whole, detail.side, keep_largest=True)
        width = figures.difference_scale(plane)
        low, high, _ = _range(whole)
        end = f"±{format_number(width)}"
        alt = (
            f"Difference, subject minus reference: {low} to {high}, relative L2 "
            f"{format_number(result.get('rel_l2'))}; color scale {end}."
        )
        css = store.plane(plane, width, "difference", detail.levels)
        pictures.append(Picture(css, "Difference", alt, f"{low} to {high}", _ratio(plane)))
    return pictures, f"±{scale:.3g}", end


def _range(values: Array) -> tuple[str, str, str]:
    finite = values[np.isfinite(values)].astype(np.float64)
    if not finite.size:
        return "no number", "no number", "no number"
    return f"{finite.min():.4g}", f"{finite.max():.4g}", f"{finite.sum():.4g}"


def _ratio(plane: Array) -> str:
    """Return width / height for CSS, nothing for a square; strips are drawn no flatter than 4 to 1."""
    height, width = plane.shape[:2]
    return "" if height == width else f"{width} / {max(height, width / 4):g}"


def _missing(reference: Array | None, subject: Array | None, names: tuple[str, str]) -> str | None:
    absent = [name for name, side in zip(names, (reference, subject), strict=True) if side is None]
    if not absent:
        return None
    return f"There is no map by {' or '.join(absent)} for this case in the arrays file."


def _lead(result: Mapping[str, Any]) -> str | None:
    explained = ("error", "unsupported", "unjudged", "reference-defect")
    if result["status"] in explained or result.get("divergence"):
        return result.get("message")
    return result.get("problem")


def _not_equal(case: Case) -> str | None:
    """Say how far off a map is of which only the published floor holds, so that it is not taken for nearly right."""
    if case.standing != "structural":
        return None
    name = NAMES["structural"]
    return f"{name[0].upper()}{name[1:]}: {times_limit(case.margin)}."


def _checks(case: Case) -> tuple[Check, ...]:
    result = case.result
    limits = result.get("limits")
    without_numbers = all(result.get(key) is None for key in ("rel_l2", "slope", "max_err"))
    if not limits or case.status in ("unjudged", "unsupported", "error") or (case.ok and without_numbers):
        return ()
    checks = []

    def word(held: bool) -> str:
        return "yes" if held else "NO"

    slope = result.get("slope")
    numeric = {
        "relative L2": (result.get("rel_l2"), limits["rel_l2"]),
        "|slope − 1|": (None if slope is None else abs(slope - 1), limits["slope"]),
        "largest error / max|R|": (result.get("max_err"), limits["max_err"]),
    }
    for name, (value, limit) in numeric.items():
        share = None if value is None else value / limit
        held = value is not None and value <= limit
        checks.append(Check(name, format_number(value), "≤", format_number(limit), format_share(share), word(held)))
    for name, key in (("Pearson", "pearson"), ("SSIM", "ssim")):
        value = result.get(key)
        excused = value is None and (
            bool(result.get("constant")) if key == "pearson" else bool(result.get("ssim_note"))
        )
        held = excused or (value is not None and value >= limits[key])
        shown = "has no meaning here" if excused else format_similarity(value)
        checks.append(Check(name, shown, "≥", f"{limits[key]:g}", "", word(held)))
    return tuple(checks)


def _facts(result: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return what else is known about a case, as name and text; what is unknown is left out."""
    floor = result.get("noise_floor")
    at = result.get("max_err_at")
    known = result.get
    stored = known("reference_stored")
    together = known("seconds_subject_shared_by") or 1
    shared = f" (share of {together} methods computed together)" if together > 1 else ""
    facts = {
        "held to": known("held_to"),
        "reference answer": None if stored is None else stored_phrase(stored),
        "how the reference was asked": "; ".join(known("reference_notes") or ()),
        "offset": None if known("offset") is None else format_number(known("offset")),
        "largest error at": None if at is None else f"({', '.join(map(str, at))})",
        "signs equal": None if known("sign_agreement") is None else f"{known('sign_agreement'):.2%}",
        "overlap of top 1 %": None if known("top1_overlap") is None else f"{known('top1_overlap'):.2%}",
        "sum of relevance": None
        if known("reference_sum") is None or known("subject_sum") is None
        else f"reference {known('reference_sum'):.6g}, subject {known('subject_sum'):.6g}",
        "SSIM": known("ssim_note"),
        "noise of the reference": None
        if not floor
        else ", ".join(f"{key.replace('_', ' ')} {format_number(value)}" for key, value in floor.items()),
        "noise measured on": "; ".join(known("noise_samples") or ()),
        "seconds": None
        if known("seconds_reference") is None or known("seconds_subject") is None
        else f"reference {known('seconds_reference'):.3g}, subject {known('seconds_subject'):.3g}{shared}",
    }
    return tuple((name, str(text)) for name, text in facts.items() if text is not None and text != "")
