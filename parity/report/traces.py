"""What an opened row shows of a trace: a line per layer, a curve of the error by depth, the maps where it parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from parity.report import figures
from parity.report.arrays import Arrays
from parity.report.panels import Picture, map_pictures
from parity.report.plots import Curve, curve
from parity.report.wording import format_number


@dataclass(frozen=True)
class TraceLine:
    """One layer as the table shows it; what is not known is "–"."""

    layer: str
    class_name: str
    reference_rule: str
    subject_rule: str
    made: str
    arrived: str
    handed: str
    slope: str
    sums: str
    parts: bool


@dataclass(frozen=True)
class TraceView:
    """A trace as it is shown."""

    says: str
    cause: str
    lines: tuple[TraceLine, ...]
    curve: Curve
    pictures: tuple[Picture, ...]
    problem: str


def trace_view(
    case: Any, arrays: Arrays, store: figures.Pictures, detail: figures.Detail, names: tuple[str, str]
) -> TraceView | None:
    """Return how the trace of a case is shown, or None if it has none.

    Parameters
    ----------
    case : parity.report.rows.Case
        The case.
    arrays, store, detail, names
        As `parity.report.panels.make_panel` takes them.
    """
    told: Mapping[str, Any] | None = case.result.get("trace")
    if not told:
        return None
    if told.get("problem"):
        return TraceView("", told.get("cause") or "", (), curve([], [], 1.0), (), str(told["problem"]))
    layers = told["layers"]
    pictures: list[Picture] = []
    for number, to in enumerate(told.get("maps") or ()):
        reference, subject = arrays.traced(case.index, number)
        sides = tuple(f"{name}: what {told['layer']} hands to {to}" for name in names)
        pictures += map_pictures(reference, subject, {"rel_l2": _numbers(layers, told["layer"], to)}, store, detail,
                                 (sides[0], sides[1]))  # fmt: skip
    return TraceView(
        says=told["says"],
        cause=told.get("cause") or "",
        lines=tuple(line for layer in layers for line in _lines(layer, told["layer"])),
        curve=curve([_worst(layer) for layer in layers], [layer["made"]["rel_l2"] for layer in layers], told["limit"]),
        pictures=tuple(pictures),
        problem="",
    )


def _lines(layer: Mapping[str, Any], parting: str | None) -> list[TraceLine]:
    lines = []
    for place, one in enumerate(layer["handed"]):
        first = place == 0
        to = f" to {one['to']}" if len(layer["handed"]) > 1 else ""
        sums = [one["reference_sum"], one["subject_sum"]]
        lines.append(
            TraceLine(
                layer=layer["name"] if first else "",
                class_name=layer["class_name"] if first else "",
                reference_rule=layer["reference_rule"] if first else "",
                subject_rule=layer["subject_rule"] if first else "",
                made=_number(layer["made"]) if first else "",
                arrived=("starts here" if layer["arrived"] is None else _number(layer["arrived"])) if first else "",
                handed=f"{_number(one)}{to}",
                slope="–" if one["slope"] is None else f"{one['slope']:.6g}",
                sums="–" if None in sums else f"{sums[0]:.4g}, {sums[1]:.4g}",
                parts=layer["name"] == parting,
            )
        )
    return lines


def _number(numbers: Mapping[str, Any]) -> str:
    return "–" if numbers["rel_l2"] is None else format_number(numbers["rel_l2"])


def _worst(layer: Mapping[str, Any]) -> float | None:
    return max((one["rel_l2"] for one in layer["handed"] if one["rel_l2"] is not None), default=None)


def _numbers(layers: Sequence[Mapping[str, Any]], name: str | None, to: str) -> float | None:
    found = [one["rel_l2"] for layer in layers if layer["name"] == name for one in layer["handed"] if one["to"] == to]
    return found[0] if found else None
