"""The maps that Grad-CAM weighs: those of a layer by its name, or the last that the head of a model reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from signxai_torch.operations.ends import ends_of
from signxai_torch.operations.kind import PARTS, ROWS, Kind
from signxai_torch.operations.model import Recording
from signxai_torch.operations.operation import Operation, Value


class NoConvolutionError(ValueError):
    """The model has no maps for Grad-CAM to look at, or not those named."""


Transform = Callable[[Tensor], Tensor]
IMAGES, SERIES = 4, 3
"""How many axes pictures (N, C, H, W) and time series (N, C, T) have."""


@dataclass(frozen=True)
class Maps:
    """The maps that Grad-CAM weighs.

    Attributes
    ----------
    value : Value
        What they are in the recorded forward pass.
    name : str
        What made them, and where.
    values : torch.Tensor
        (N, channels, places...).
    arranged : callable
        Brings values and slopes into that order.
    """

    value: Value
    name: str
    values: Tensor
    arranged: Transform


def layer_path(model: nn.Module, target_layer: str | nn.Module) -> tuple[str, bool]:
    """Return the path of the module whose result Grad-CAM weighs, and whether an activation behind it counts instead.

    A module stands for its own output, a name for a layer, and a layer of Keras includes its activation: in a model
    that says where its layers end (`signxai_torch.operations.ends`, as converted models do) that module is taken; in
    any other it is the named module or, where an activation reads its output, that activation.

    Raises
    ------
    NoConvolutionError
        If there is no such layer; the message lists the model's convolutions.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    convolutions = [
        name for name, module in modules.items() if hasattr(module, "kernel_size") and hasattr(module, "weight")
    ]
    there = f"its convolutions are {', '.join(convolutions) or 'none'} (pass target_layer=)"
    if isinstance(target_layer, nn.Module):
        path = next((name for name, module in modules.items() if module is target_layer), None)
        if path is None:
            raise NoConvolutionError(f"target_layer is a {type(target_layer).__name__} that the model has not; {there}")
        return path, False
    if not isinstance(target_layer, str) or not target_layer:
        raise NoConvolutionError(f"target_layer must be a layer's name or a module, not {target_layer!r}; {there}")
    ends = ends_of(model)
    name = ends.get(target_layer, target_layer)
    if name not in modules:
        raise NoConvolutionError(f"the model has no layer {target_layer!r}; {there}")
    return name, target_layer not in ends


_POOLS = ("max_pool", "avg_pool", "adaptive_max_pool", "adaptive_avg_pool")


def _is_pool(operation: Operation | None) -> bool:
    if operation is None:
        return False
    return operation.function.name.startswith(_POOLS) or (
        operation.declared is not None and operation.kind in (Kind.AVERAGE, Kind.MAXIMUM)
    )


def _is_spatial(operation: Operation) -> bool:
    """Return whether an operation works on places: a convolution, pooling, or batch normalisation."""
    return operation.kind in (Kind.CONVOLUTION, Kind.NORM) or _is_pool(operation)


_ONE_BY_ONE = (Kind.ACTIVATION, Kind.SUM, Kind.SCALE, Kind.PRODUCT, Kind.NORM)
_JOINS = ("cat", "concat", "concatenate", "pad", "contiguous", "clone", "chunk", "split", "channel_shuffle")


def _stacked(operation: Operation) -> tuple[Value, ...]:
    """Return what an operation sums, or averages, along the axis that it was stacked on; nothing if it does not."""
    maker = operation.sources[0].maker
    stacked = operation.kind is Kind.AVERAGE and maker is not None and maker.function.name == "stack"
    return maker.sources if stacked and maker is not None and operation.shape == maker.shapes[0] else ()


def last_maps(operations: Sequence[Operation], output: Value, axes: int, seen: Value) -> Value:
    """Return the last maps with places that the head of a model reads, before they are pooled.

    Parameters
    ----------
    operations : sequence of Operation
        A recorded forward pass.
    output : Value
        The logits.
    axes : int
        How many axes the input has, which maps have too.
    seen : Value
        The input whose maps they are; what the model makes of others counts for nothing.

    Raises
    ------
    NoConvolutionError
        If there are none, or the model goes on with tokens made of them.
    """
    reached, maps, shapes = {output}, set(), {}
    behind, last = _made_of(operations, seen), _at_the_end(output)
    for operation in operations:
        shapes[operation.results[0]] = operation.shape
        spatial = _is_spatial(operation) and len(operation.shapes[0]) == axes
        if spatial:
            maps.add(operation.sources[0])
        joined = _stacked(operation)
        carried = bool(joined) or operation.kind in _ONE_BY_ONE or operation.function.name in _JOINS
        if (spatial or (carried and any(source in maps for source in joined or operation.sources))) and (
            len(operation.shape) == axes
        ):
            maps.add(operation.results[0])
    # A map may be known as one only by what reads it, so the search goes from the end. What the head reads is a tensor
    # that everything goes through, not one branch of several.
    for operation in reversed(operations):
        made = operation.results[0]
        if made not in reached or operation.function is PARTS:
            continue
        if made in maps and reached == {made} and _places(shapes[made]) > 1:
            break
        tokens = operation.kind is Kind.DENSE and _places(operation.shapes[0], last=True) > 1
        if tokens and axes == IMAGES and not (operation is last and _reads_maps_with_channels_last(operation, maps)):
            raise NoConvolutionError(
                f"Grad-CAM needs maps with places, and the head of this model reads tokens ({operation}); name a layer "
                "with target_layer= and say with reshape_transform= how (N, tokens, channels) becomes "
                "(N, channels, height, width)"
            )
        reached.discard(made)
        reached.update(source for source in operation.sources if source in behind)
    else:
        raise NoConvolutionError("Grad-CAM needs a convolution, and the model has none that its logits depend on")
    while made.maker is not None and _is_pool(made.maker) and made.maker.sources[0] is not seen:
        made = made.maker.sources[0]
    return made


def _made_of(operations: Sequence[Operation], value: Value) -> set[Value]:
    """Return a value and all that is made of it."""
    behind = {value}
    for operation in operations:
        if any(source in behind for source in operation.sources):
            behind.update(operation.results)
    return behind


def _at_the_end(output: Value) -> Operation | None:
    """Return what makes the output, up to activations: the classifier of a model that ends in one."""
    maker = output.maker
    while maker is not None and (maker.function is ROWS or maker.kind in (Kind.ACTIVATION, Kind.SOFTMAX)):
        maker = maker.sources[0].maker
    return maker


def _reads_maps_with_channels_last(operation: Operation, maps: Collection[Value]) -> bool:
    """Return whether an operation reads maps whose channels were moved to the end, as a classifier of pixels does."""
    mover = operation.sources[0].maker
    moves = mover is not None and mover.function.name in ("permute", "movedim", "moveaxis")
    return moves and mover is not None and mover.sources[0] in maps


def _places(shape: Sequence[int], last: bool = False) -> int:
    places = 1
    for size in shape[1:-1] if last else shape[2:]:
        places *= size
    return places


def named_maps(
    model: nn.Module, recorder: Recording, path: str, with_activation: bool, seen: Sequence[int]
) -> tuple[dict[Value, list[int]], str]:
    """Return what a layer made last of each of some inputs, with the places of those inputs; and its name."""
    name = f"layer {path!r} ({type(dict(model.named_modules())[path]).__name__})"
    found = recorder.results[path]
    if not found:
        raise NoConvolutionError(f"Grad-CAM has nothing to look at: {name} does not run in the model's forward pass")
    serves: dict[Value, list[int]] = {}
    for index in seen:
        behind = _made_of(recorder.operations, recorder.parts[index])
        value = next((one for one in reversed(found) if one is not None and one in behind), None)
        if value is not None:
            serves.setdefault(value, []).append(index)
    if not serves:
        raise NoConvolutionError(
            f"Grad-CAM has nothing to look at: {name} does not depend on the input, or is no tensor"
        )
    if with_activation:
        serves = {_activated(recorder, value): indices for value, indices in serves.items()}
    return serves, name


def _activated(recorder: Recording, value: Value) -> Value:
    readers = (one for one in recorder.operations if one.kind is Kind.ACTIVATION and value in one.sources)
    reader = next(readers, None)
    return value if reader is None else reader.results[0]


def _has_channels_last(value: Value) -> bool:
    """Return whether what made a tensor works on its last axis, so that channels lie there."""
    maker = value.maker
    while maker is not None:
        if maker.kind is Kind.DENSE or maker.function.name in ("layer_norm", "rms_norm"):
            return True
        if maker.kind not in (*_ONE_BY_ONE, Kind.SCALE):
            return False
        maker = maker.sources[0].maker
    return False


def arranged(value: Value, name: str, x: Tensor, transform: Transform | None) -> Maps:
    """Return a recorded tensor as maps over the axes of an input.

    Raises
    ------
    NoConvolutionError
        If it is none, or one of a single place.
    """
    made = value.tensor
    if transform is not None:
        arrange = transform
    elif made.dim() == len("NCHW") and _has_channels_last(value):
        arrange = _channels_first
    else:
        arrange = _as_they_are
    maps = arrange(made)
    if maps.dim() != x.dim() or len(maps) != len(x):
        raise NoConvolutionError(
            f"Grad-CAM needs a layer that gives maps over the axes of the input {tuple(x.shape)}; {name} gives "
            f"{tuple(maps.shape)}, so name an earlier convolution (pass target_layer=), or say with reshape_transform= "
            "how tokens become maps"
        )
    if _places(maps.shape) == 1:
        raise NoConvolutionError(
            f"Grad-CAM of {name} is zero by construction: its maps {tuple(maps.shape)} have a single place; name an "
            "earlier convolution (pass target_layer=)"
        )
    return Maps(value, name, maps, arrange)


def _as_they_are(maps: Tensor) -> Tensor:
    return maps


def _channels_first(maps: Tensor) -> Tensor:
    return maps.movedim(-1, 1)
