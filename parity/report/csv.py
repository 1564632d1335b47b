"""The rows of a run as CSV, for spreadsheets and data frames: one line per case, numbers in full.

RFC 4180: commas, CRLF, quotes where a cell needs them; UTF-8. Names and messages come from files, so two things are
done to text: a sign that is not printed (a line break, what steers a terminal) is spelled by its escape, which leaves
one line per case; and a text that a spreadsheet would run as a formula, since it begins with = + - or @, gets an
apostrophe in front, as spreadsheets themselves mark text. `parity.json` has every text as it is.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from parity.errors import first_line

_LIMITED = ("rel_l2", "slope", "max_err", "pearson", "ssim")
_NUMBERS = (
    "offset", "sign_agreement", "top1_overlap", "reference_sum", "subject_sum", "reference_max", "subject_max", "n",
)  # fmt: skip
_NOISE = ("rel_l2", "slope", "max_err")
COLUMNS = (
    "model", "input", "target", "method", "family", "reference", "dtype", "status", "failed_check", "message", "margin",
    *(f"{name}{end}" for name in _LIMITED for end in ("", "_limit")),
    *_NUMBERS, *(f"noise_{name}" for name in _NOISE),
    "divergence", "held_to", "first_diverging_layer", "seconds_reference", "seconds_subject", "reproduce",
)  # fmt: skip
"""The header. Columns are added at the end, and never renamed; what they mean is said in `schema.json`.

``slope_limit`` is of ``|slope - 1|``, ``pearson_limit`` and ``ssim_limit`` are the least, all others the most.
"""
_FORMULA = "=+-@\uff1d\uff0b\uff0d\uff20"  # Excel in Japanese takes the wide signs alike


def csv_parts(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield a results document as CSV, line by line."""
    yield from csv_lines(COLUMNS, (_cells(row) for row in document["results"]))


def csv_lines(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield a table as CSV, line by line; None is an empty cell, and text is made harmless."""
    yield _line(header)
    for row in rows:
        yield _line(row)


def _line(cells: Sequence[Any]) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerow([_harmless(cell) if isinstance(cell, str) else cell for cell in cells])
    return stream.getvalue()


def _harmless(text: str) -> str:
    plain = "".join(
        sign if sign.isprintable() else sign.encode("unicode_escape", "surrogatepass").decode("ascii") for sign in text
    )
    return f"'{plain}" if plain.lstrip()[:1] in tuple(_FORMULA) else plain


def _cells(row: Mapping[str, Any]) -> list[Any]:
    limits, noise = row.get("limits") or {}, row.get("noise_floor") or {}
    values = dict(row) | {"message": first_line(row.get("message"))}
    values |= {f"{name}_limit": limits.get(name) for name in _LIMITED}
    values |= {f"noise_{name}": noise.get(name) for name in _NOISE}
    return [values.get(column) for column in COLUMNS]
