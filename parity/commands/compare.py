"""`parity compare`: the metrics for two arrays from anywhere."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from parity.commands.consoles import CONTEXT, console, examples
from parity.errors import ParityError

if TYPE_CHECKING:
    import numpy.typing as npt

    from parity.judge.metrics import Metrics

SHOWN = ("rel_l2", "max_err", "slope - 1", "pearson", "ssim", "sign_agreement", "top1_overlap")


@click.command(
    context_settings=CONTEXT,
    short_help="Metrics for two arrays from anywhere.",
    epilog=examples(
        "parity compare tensorflow.npy torch.npy",
        "parity compare a.npz b.npz --key relevance --rel-l2 1e-5",
        "parity compare a.npy b.npy --batch --channels-first --json | jq '.[].rel_l2'",
    ),
)
@click.argument("reference", type=click.Path(path_type=Path))
@click.argument("candidate", type=click.Path(path_type=Path))
@click.option("--key", "keys", multiple=True, help="Only the arrays of this name in an .npz. [all]")
@click.option("--batch", is_flag=True, help="The first axis counts inputs, each compared alone. [with 4 axes]")
@click.option("--channels-first", is_flag=True, help="Torch layout (C, H, W) instead of (H, W, C), for the SSIM.")
@click.option("--rel-l2", "limit", type=click.FloatRange(0), help="Exit 1 if the relative L2 distance is larger.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list, one object per compared map.")
def compare(
    reference: Path,
    candidate: Path,
    keys: Sequence[str],
    batch: bool,
    channels_first: bool,
    limit: float | None,
    as_json: bool,
) -> None:
    """Measure how far the maps in CANDIDATE are from those in REFERENCE (.npy or .npz).

    Exit 0; 1 if maps cannot be compared at all (other shape, NaN, zero) or are further apart than --rel-l2; 2 if
    a file cannot be read or lacks an array.
    """
    pairs = _pairs(_arrays(reference, keys), _arrays(candidate, keys), reference, candidate)
    measured = [pair for key, a, b in pairs for pair in _measured(key, a, b, batch, channels_first)]
    failed = [
        metrics.problem is not None or (limit is not None and not (metrics.rel_l2 <= limit)) for _, metrics in measured
    ]
    if as_json:
        rows = [{"name": name, **metrics.to_json()} for name, metrics in measured]
        click.echo(json.dumps(rows, indent=1, allow_nan=False))
    else:
        _show(measured, failed, limit)
    sys.exit(1 if any(failed) else 0)


def _arrays(path: Path, keys: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a file by key; that of an `.npy` file has the key ''.

    Raises
    ------
    ParityError
        If the file cannot be read or lacks one of `keys`.
    """
    from parity.assets.arrays import read_arrays

    if path.suffix.lower() not in (".npy", ".npz"):
        raise ParityError(f"{path}: the name must end in .npy or .npz")
    if not path.is_file():
        raise ParityError(f"there is no file {path}")
    arrays = {name.removeprefix(path.stem).removeprefix("."): array for name, array in read_arrays(path)}
    if keys and path.suffix.lower() == ".npz":
        missing = [key for key in keys if key not in arrays]
        if missing:
            raise ParityError(f"{path} has no array {missing[0]!r}; it has {', '.join(arrays)}")
        return {key: arrays[key] for key in keys}
    return arrays


def _pairs(
    left: dict[str, npt.NDArray[Any]], right: dict[str, npt.NDArray[Any]], a: Path, b: Path
) -> list[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]:
    """Return (key, array, array); two single arrays go together whatever they are called.

    Raises
    ------
    ParityError
        If an array has no counterpart.
    """
    if len(left) == len(right) == 1:
        (key, array), (_, other) = next(iter(left.items())), next(iter(right.items()))
        return [(key, array, other)]
    for mine, theirs, here, there in ((left, right, a, b), (right, left, b, a)):
        alone = next((key for key in mine if key not in theirs), None)
        if alone is not None:
            raise ParityError(f"array {alone!r} is in {here} but not in {there}; --key names those to compare")
    return [(key, left[key], right[key]) for key in left]


def _measured(
    key: str, a: npt.NDArray[Any], b: npt.NDArray[Any], batch: bool, channels_first: bool
) -> list[tuple[str, Metrics]]:
    """Return the metrics of one pair of arrays, one per input of a batch."""
    import numpy as np

    from parity.judge import metrics

    name = key or "array"
    batch = batch or a.ndim == b.ndim == 4
    if channels_first and a.ndim == b.ndim and a.ndim > 1 + batch:
        a, b = (np.moveaxis(array, int(batch), -1) for array in (a, b))
    try:
        if not batch or a.shape != b.shape or not a.size:
            return [(name, metrics.compare(a, b))]
        return [(f"{name}[{i}]", metrics.compare(x, y)) for i, (x, y) in enumerate(zip(a, b, strict=True))]
    except TypeError as error:
        raise ParityError(f"array {name!r}: {error}") from None


def _show(measured: Sequence[tuple[str, Metrics]], failed: Sequence[bool], limit: float | None) -> None:
    out = console()
    if len(measured) == 1:
        (name, metrics), over = measured[0], failed[0]
        text = None
        if over and metrics.problem is None:
            text = f"Relative L2 distance {metrics.rel_l2:.3g} is over the limit {limit:g}."
        out.print(metrics.message(f"{name}: shape {metrics.shape}", text), markup=False, soft_wrap=True)
        if metrics.problem is None:
            out.print(f"slope - 1: {_cell(metrics, 'slope - 1')}", markup=False)
        return
    table = Table(box=None, pad_edge=False)
    for column in ("map", *SHOWN):
        table.add_column(column, justify="left" if column == "map" else "right", no_wrap=column != "map")
    for (name, metrics), over in zip(measured, failed, strict=True):
        cells = [_cell(metrics, column) for column in SHOWN]
        table.add_row(f"{'✗ ' if over else ''}{name}", *cells, style="red" if over else None)
    out.print(table)
    for name, metrics in measured:
        if metrics.problem:
            out.print(f"{name}: {metrics.problem}", markup=False, soft_wrap=True)
    if any(failed):
        over_limit = "" if limit is None else f" or are further apart than {limit:g} (rel. L2)"
        out.print(f"✗ {sum(failed)} of {len(failed)} maps cannot be compared{over_limit}", markup=False)


def _cell(metrics: Metrics, column: str) -> str:
    """Return a number as text; the slope as its signed distance from 1, which four digits of it would hide."""
    if column == "slope - 1":
        distance = metrics.slope - 1.0
        return "–" if math.isnan(distance) else "0" if distance == 0 else f"{distance:+.2e}"
    value = getattr(metrics, column)
    return "–" if value is None or math.isnan(value) else f"{value:.4g}"
