"""What `parity show` draws: maps of a model, explained now, and both sides of a finished run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.errors import ParityError
from parity.keras.module import divided
from parity.run.calls import SEED
from parity.run.cases import Series, select_methods
from parity.run.subjects import DRAWN, SignxaiTorch, parse

Array = npt.NDArray[Any]


@dataclass
class Explained:
    """Maps of some inputs of a model.

    Attributes
    ----------
    maps
        Method -> its maps in Keras layout, batch first; of a model of several inputs a dict of such.
    inputs
        What was explained, as the maps of one method are held; pictures as they are for people, where they are known.
    labels
        Of the inputs: name, and the explained class.
    failed
        Method -> why it has no map.
    """

    maps: dict[str, Any] = field(default_factory=dict)
    inputs: Any = None
    labels: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def explained(series: Series, dtype: str, target: int | None) -> Explained:
    """Explain the inputs of a model, each by itself, with the port.

    Parameters
    ----------
    series : Series
        The model, its inputs and the methods.
    dtype : {"float32", "float64"}
        The precision.
    target : int, optional
        The class; the largest logit of each input if not given.

    Raises
    ------
    ParityError
        If no method has a map, or the inputs are of different shapes.
    """
    module, port, made = series.outline.source.load(dtype), SignxaiTorch(), Explained()
    methods: dict[str, Mapping[str, Any]] = {
        name: {"seed": SEED} if parse(name).family in DRAWN else {} for name in series.outline.methods
    }
    found: dict[str, list[Array]] = {name: [] for name in methods}
    shown: list[Array] = []
    for plan in series.plans():
        for one in plan.inputs:
            x = one.array[None].astype(dtype)
            logits = module.logits(x).reshape(-1)
            chosen = int(np.argmax(logits)) if target is None else target
            for name, answer in port.attribute_many(module, x, [chosen], methods).items():
                if answer.array is None:
                    made.failed.setdefault(name, answer.error or "no map and no error")
                else:
                    found[name].append(answer.array)
            shown.append(one.array if one.display is None else one.display)
            made.labels.append(f"{one.name}\nclass {chosen}")
    if len({values.shape for values in shown}) > 1:
        shapes = ", ".join(sorted({str(values.shape) for values in shown}))
        raise ParityError(f"the inputs have different shapes ({shapes}); name one with --input, or some of one shape")
    parts = series.description.inputs
    for name, arrays in found.items():
        if name not in made.failed:
            made.maps[name] = _apart(np.concatenate(arrays), parts)
    made.inputs = _apart(np.stack(shown), parts)
    if not made.maps:
        raise ParityError("\n".join(f"{name}: {why}" for name, why in made.failed.items()))
    return made


def _apart(batch: Array, parts: Sequence[tuple[str, Any]]) -> Any:
    """Return a batch, or of a model of several inputs, which lie joined in it, each by its name."""
    if len(parts) < 2:
        return batch
    names = [name for name, _ in parts]
    return dict(zip(names, divided(batch, [shape for _, shape in parts]), strict=True))


def chosen_rows(
    document: Mapping[str, Any], patterns: Sequence[str], names: Sequence[str], dtype: str | None, samples: int | None
) -> list[int]:
    """Return which rows of a results document are shown.

    Parameters
    ----------
    document : mapping
        The results.
    patterns : sequence of str
        Methods: names or globs, "all" or "core".
    names : sequence of str
        Inputs; all if there are none.
    dtype : {"float32", "float64"}, optional
        The lane; float64 where the run has it.
    samples : int, optional
        How many inputs of each method and model.

    Raises
    ------
    ParityError
        If there are none.
    """
    rows = document["results"]
    lanes = {row["dtype"] for row in rows}
    lane = dtype or ("float64" if "float64" in lanes else "float32")
    listed = _methods(patterns, list(dict.fromkeys(row["method"] for row in rows)))
    chosen: dict[tuple[str, str], list[int]] = {}
    for index, row in enumerate(rows):
        if row["method"] in listed and row["dtype"] == lane and (not names or row["input"] in names):
            chosen.setdefault((row["model"], row["method"]), []).append(index)
    shown = [index for indices in chosen.values() for index in indices[:samples]]
    if not shown:
        inputs = ", ".join(list(dict.fromkeys(row["input"] for row in rows))[:20])
        raise ParityError(f"the run has no such case in {lane}; its inputs are {inputs}, its lanes {', '.join(lanes)}")
    return shown


def _methods(patterns: Sequence[str], present: Sequence[str]) -> set[str]:
    """Return the methods of a run that patterns name."""
    parts = [part.strip() for text in patterns for part in text.split(",") if part.strip()]
    found = {
        name for part in parts for name in present if fnmatchcase(name, part) or part == "all"
    } | ({*select_methods(["core"])} & {*present} if "core" in parts else set())  # fmt: skip
    if not found:
        some = ", ".join(present[:12]) + (f" and {len(present) - 12} more" if len(present) > 12 else "")
        raise ParityError(f"the run has no method {', '.join(parts)}; it has {some}")
    return found
