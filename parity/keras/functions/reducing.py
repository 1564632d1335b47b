"""What makes one value of many, spelled as layers: means, maxima, sums, and pooling by its function."""

from __future__ import annotations

import math
from typing import Any

from parity.keras.functions.spelling import (
    PREVIOUS,
    Arguments,
    NotSpelledError,
    OpenSizeError,
    Spelled,
    Spelling,
    axis_of,
    first_tensor,
)

_POOLED_RANKS = (2, 3, 4)
_IMAGE_AXES = 3


def reduced(kind: str) -> Spelling:
    """Reduce some axes: "Average", "Sum", "Max" or "Min"."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        x = first_tensor(arguments)
        rank, told = len(x.shape), arguments.get("axis")
        axes = sorted({axis_of(axis, rank) for axis in (told if isinstance(told, list) else [told])})
        keep = bool(arguments.get("keepdims"))
        turned = (_scaled(x.name, -1.0),) if kind == "Min" else ()
        source: str | int = PREVIOUS if turned else x.name
        pooling = "Max" if kind in ("Max", "Min") else "Average"
        if axes == list(range(1, rank)) and rank in _POOLED_RANKS:
            settings: dict[str, Any] = {"keepdims": True} if keep else {}
            layers: tuple[Spelled, ...] = (Spelled(f"Global{pooling}Pooling{rank - 1}D", settings, (source,)),)
        else:
            layers = _as_steps(x.shape, axes, keep, pooling, source)
        layers = (*turned, *layers)
        if kind == "Min":
            return (*layers, _scaled(PREVIOUS, -1.0))
        if kind == "Sum":
            sizes = [x.shape[axis - 1] for axis in axes]
            if None in sizes:
                raise OpenSizeError("adds up a number of values that is open")
            return (*layers, _scaled(PREVIOUS, float(math.prod(size for size in sizes if size is not None))))
        return layers

    return spelling


def _scaled(reads: str | int, scale: float) -> Spelled:
    return Spelled("Rescaling", {"scale": scale, "offset": 0.0}, (reads,))


def _as_steps(
    shape: tuple[int | None, ...], axes: list[int], keep: bool, pooling: str, source: str | int
) -> tuple[Spelled, ...]:
    """Return layers that lay the reduced axes out as the steps of a series, and the others as its channels."""
    if None in shape:
        raise OpenSizeError(f"reduces the axes {axes} of a shape with open sizes, and not all but the last")
    sizes = [size for size in shape if size is not None]
    rest = [axis for axis in range(1, len(sizes) + 1) if axis not in axes]
    left = [sizes[axis - 1] for axis in rest]
    kept = [1 if axis in axes else size for axis, size in enumerate(sizes, start=1)] if keep else left
    if not kept:
        raise NotSpelledError(
            "reduces all axes of a sample and keeps none of them, so no axis is left beside the batch"
        )
    layers: list[Spelled] = []

    def add(class_name: str, **config: Any) -> None:
        layers.append(Spelled(class_name, config, (PREVIOUS if layers else source,)))

    if [*axes, *rest] != list(range(1, len(sizes) + 1)):
        add("Permute", dims=[*axes, *rest])
    series = [math.prod(sizes[axis - 1] for axis in axes), math.prod(left)]
    if [sizes[axis - 1] for axis in (*axes, *rest)] != series:
        add("Reshape", target_shape=series)
    add(f"Global{pooling}Pooling1D")
    if kept != [series[1]]:
        add("Reshape", target_shape=kept)
    return tuple(layers)


def pooled(class_name: str) -> Spelling:
    """Windows over an image, channels last."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        x = first_tensor(arguments)
        padding = arguments.get("padding")
        if len(x.shape) != _IMAGE_AXES or arguments.get("data_format") not in (None, "NHWC", "channels_last"):
            raise NotSpelledError("pools something else than images with their channels last")
        if str(padding).upper() not in ("SAME", "VALID"):
            raise NotSpelledError(f"pools with padding={padding!r}")
        size = _sides(arguments.get("ksize", arguments.get("pool_size")), "size")
        strides = size if arguments.get("strides") is None else _sides(arguments["strides"], "strides")
        config = {"pool_size": size, "strides": strides, "padding": str(padding).lower()}
        return (Spelled(class_name, config, (x.name,)),)

    return spelling


def _sides(told: Any, name: str) -> list[int]:
    """Return height and width of one number, one for each, or one for each axis of the tensor."""
    sizes = told if isinstance(told, list) else [told]
    if not sizes or not all(type(size) is int and size > 0 for size in sizes):
        raise NotSpelledError(f"pools with {name}={told!r}")
    if len(sizes) == 4 and sizes[0] == sizes[3] == 1:
        return sizes[1:3]
    if len(sizes) not in (1, 2):
        raise NotSpelledError(f"pools with {name}={told!r}")
    return [sizes[0], sizes[-1]]
