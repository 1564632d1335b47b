"""From a model and what the user chose to what is compared for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from parity.assets.inputs import Input, default_inputs, expand, stream_inputs
from parity.assets.source import ModelSource
from parity.errors import ParityError
from parity.keras import ModelDescription
from parity.run.cases import CHUNK, DTYPES, LARGE, Options, Plan, Series, one_per_combination, select_inputs
from parity.run.runner import in_order
from parity.run.sameness import model_id

SAMPLES = 3  # inputs of a small model unless told otherwise


def series_of(
    source: ModelSource,
    methods: tuple[str, ...],
    options: Options,
    *,
    dtype: str,
    files: Sequence[str],
    names: Sequence[str],
    samples: int | None,
) -> Series:
    """Return what is compared for a model; every input is read once and found good.

    Parameters
    ----------
    source : ModelSource
        The model.
    methods : tuple of str
        Their names.
    options : Options
        What else the user chose.
    dtype : {"both", "float64", "float32"}
        The lanes.
    files, names, samples
        Files of inputs, or none for those that are shipped; the names of those that are wanted; how many.

    Raises
    ------
    ParityError
        If the target, the model or an input is not what it should be.
    """
    description = source.load().description
    if options.target is not None and not 0 <= options.target < description.classes:
        raise ParityError(
            f"target {options.target} is out of range: {source.name} has {description.classes} classes, "
            f"0 to {description.classes - 1}"
        )
    large = description.parameters >= LARGE
    samples = samples or (None if files else 1 if large else SAMPLES)
    chosen, read, unread = _inputs(source, description, files, names, samples)
    if dtype == "both":
        float64 = [name for name in methods if not large or name in one_per_combination()]
        lanes = {"float64": float64, "float32": list(methods)}
    else:
        lanes = {name: list(methods) if name == dtype else [] for name in DTYPES}
    outline = Plan(source, (), methods, frozenset(lanes["float64"]), frozenset(lanes["float32"]), large, options)
    return Series(outline, description, chosen, read, unread)


def _inputs(
    source: ModelSource,
    description: ModelDescription,
    files: Sequence[str],
    names: Sequence[str],
    samples: int | None,
) -> tuple[dict[str, str], Callable[[], Iterable[Input]], list[str]]:
    """Return name -> hash of the inputs, each read once and found good, what reads them again, and what then fails."""
    read: Callable[[], Iterable[Input]]
    again: Callable[[], Iterable[Input]]
    unread: list[str] = []
    if files:
        # The same files again, whatever a glob finds then.
        arguments = expand(files), description.input_shape, source.preprocessing, description.inputs
        read, again = partial(stream_inputs, *arguments), partial(stream_inputs, *arguments, unread)
    else:
        read = again = partial(default_inputs, source)
    kept: list[Input] = []
    hashes: dict[str, str] = {}

    def seen() -> Iterator[str]:
        for one in read():
            kept.append(one)
            del kept[CHUNK + 1 :]
            hashes[one.name] = one.sha256
            yield one.name

    chosen = {name: hashes[name] for name in select_inputs(seen(), names, samples)}
    # So few are kept instead of being read again.
    return chosen, (lambda: kept) if len(kept) <= CHUNK else again, unread


def order_of(number: int, series: Series, reference: str) -> Callable[[Mapping[str, Any]], tuple[int, ...]]:
    """Return what says where a row of the `number`-th model stands: method by method, lane by lane, input by input."""
    asked = in_order(series.outline.methods, series.description, reference)
    methods = {method.name: index for index, (method, _) in enumerate(asked)}
    inputs = {name: index for index, name in enumerate(series.inputs)}

    def order(row: Mapping[str, Any]) -> tuple[int, ...]:
        return number, methods[row["method"]], DTYPES.index(row["dtype"]), inputs[row["input"]]

    return order


def cases_of(plans: Sequence[Series]) -> dict[str, dict[str, Any]]:
    """Return by model what tells it from another of its name, the methods of each lane, and the inputs' hashes."""
    return {
        plan.source.name: {
            "id": model_id(plan.source, plan.large),
            "float64": sorted(plan.float64 & set(plan.methods)),
            "float32": sorted(plan.float32 & set(plan.methods)),
            "inputs": dict(series.inputs),
        }
        for series, plan in ((series, series.outline) for series in plans)
    }
