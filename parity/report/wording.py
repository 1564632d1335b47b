"""The words of a report: what a status is called, and numbers in few characters."""

from __future__ import annotations

import math

NAMES = {
    "parity": "parity",
    "structural": "not equal (only the published floor holds)",
    "mismatch": "mismatch",
    "reference-defect": "held to something else (reference defect)",
    "unjudged": "unjudged",
    "unsupported": "unsupported",
    "error": "error",
}
"""What a standing is called in full."""

SHORT = NAMES | {"structural": "not equal", "reference-defect": "reference-defect"}
"""What it is called where there is little room."""

_PLURALS = {"mismatch": "mismatches", "error": "errors", "reference defect": "reference defects"}


def counted(count: int, standing: str) -> str:
    """Return a number of methods or cases with the name of how they stand: 2 mismatches."""
    name = "reference defect" if standing == "reference-defect" else NAMES[standing]
    return f"{count} {name if count == 1 else _PLURALS.get(name, name)}"


def times_limit(margin: float | None) -> str:
    """Return how a margin stands to its limit: 0.4 of its limit, 3e8 times its limit."""
    return f"{format_share(margin)} {'of' if margin is not None and margin <= 1 else 'times'} its limit"


def format_share(value: float | None) -> str:
    """Return a share of a limit in few characters: 0.4, 1.02, 3e-05, 250."""
    if value is None:
        return "–"
    if math.isinf(value):
        return "no number"
    if value == 0:
        return "0"
    if value < 0.01:
        return f"{value:.0e}".replace("e-0", "e-")
    if value < 10:
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return f"{value:,.0f}" if value < 1e5 else f"{value:.0e}".replace("e+0", "e").replace("e+", "e")


def format_number(value: float | None) -> str:
    """Return a small number in scientific notation, two digits: 2.1e-16; a dash for none."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    if math.isnan(value) or math.isinf(value):
        return "no number"
    if 0.01 <= abs(value) < 1000:
        return f"{value:.3g}"
    return f"{value:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")


def format_similarity(value: float | None, digits: int = 6) -> str:
    """Return a correlation with a fixed number of digits; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}"
