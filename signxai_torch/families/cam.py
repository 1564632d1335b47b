"""Grad-CAM, its time-series form and guided Grad-CAM, as SIGN-XAI 1.1.9.2 computes them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from signxai_torch.families.resample import bicubic_8bit, linear
from signxai_torch.lrp.assignment import assign, softmax_at_the_end
from signxai_torch.lrp.backward import backward
from signxai_torch.lrp.composites import ActivationComposite, Composite
from signxai_torch.lrp.passes import keeping, name_of_softmax, recorded, warn_of_softmax
from signxai_torch.lrp.targets import Target, start, target_indices
from signxai_torch.lrp.weightless import GuidedReLU
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.ends import ends_of
from signxai_torch.operations.inputs import Several
from signxai_torch.operations.kind import PARTS, ROWS, Kind
from signxai_torch.operations.model import Model, explaining
from signxai_torch.operations.operation import Operation, Value
from signxai_torch.operations.recorder import Keep, Recorder
from signxai_torch.operations.refusal import refuse


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


def _named_maps(
    model: nn.Module, recorder: Recorder, path: str, with_activation: bool, seen: Sequence[int]
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


def _activated(recorder: Recorder, value: Value) -> Value:
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


def _arranged(value: Value, name: str, x: Tensor, transform: Transform | None) -> Maps:
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


@dataclass(frozen=True)
class Looked:
    """A forward pass with maps that Grad-CAM looks at, and which of the model's inputs they are made of."""

    recorder: Recorder
    logits: Tensor
    output: Value
    maps: Maps
    serves: tuple[int, ...] = (0,)


def look(
    model: Model, x: Tensor, parameters: Mapping[str, Any], axes: int, composite: Composite | None = None
) -> list[Looked]:
    """Record a forward pass and find the maps; see `layer_path` and `last_maps`.

    Parameters
    ----------
    model : Model
        The model.
    x : torch.Tensor
        Input, batch first.
    parameters : mapping
        ``target_layer`` and ``reshape_transform``.
    axes : int
        How many the inputs have whose maps are looked for, the batch's included.
    composite : Composite, optional
        Whose rules the pass is walked with besides the gradient.

    Returns
    -------
    list of Looked
        One, unless a layer makes other maps of other inputs, as the shared layers of siamese nets do.

    Raises
    ------
    NoConvolutionError
        If there are no maps, or if nobody can tell which are meant.
    """
    views = model.inputs.views(x)
    seen = [index for index, view in enumerate(views) if view.dim() == axes]
    layer = parameters.get("target_layer")
    if layer is None and len(seen) > 1:
        names = " and ".join(model.inputs.names[index] for index in seen)
        raise NoConvolutionError(
            f"Grad-CAM cannot tell whose maps to look at: {names} have as many axes; name the layer with target_layer="
        )
    path, with_activation = ("", False) if layer is None else layer_path(model.module, layer)
    composites = [ActivationComposite(None), *([composite] if composite is not None else [])]
    keep = keeping(composites)
    recorder, logits, output = recorded(model, x, _keeping_results(keep), () if layer is None else (path,))
    refuse("Grad-CAM", recorder.obstacles)
    if layer is None:
        value = last_maps(recorder.operations, output, axes, recorder.parts[seen[0]])
        name = str(value.maker) if value.maker is not None else "the input"
        serves = {value: seen}
    else:
        serves, name = _named_maps(model.module, recorder, path, with_activation, seen)
    transform = parameters.get("reshape_transform")
    return [
        Looked(recorder, logits, output, _arranged(value, name, views[indices[0]], transform), tuple(indices))
        for value, indices in serves.items()
    ]


def _keeping_results(keep: Keep) -> Keep:
    return lambda operation: (keep(operation)[0], True)


def class_activation(model: Model, looked: Looked, target: Target) -> tuple[Tensor, Tensor]:
    """Return relu(sum_c mean(df/dA_c) A_c) and the same before the relu, each (N, ...) without channels."""
    logits, maps = looked.logits, looked.maps
    head = start(logits, target_indices(logits, target, model.shape), "one")
    slope = backward(looked.recorder.operations, {looked.output: head}, (maps.value,)).get(maps.value)
    if slope is None:
        raise NoConvolutionError(f"Grad-CAM has nothing to look at: the logits do not depend on {maps.name}")
    slope = maps.arranged(slope)
    weights = slope.mean(dim=tuple(range(2, slope.dim())), keepdim=True)
    heat = (weights * maps.values).sum(dim=1)
    return heat.clamp(min=0), heat


Paint = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Makes the map of an input of what `class_activation` returns, and the input."""


def _painted(model: Model, x: Tensor, looked: Sequence[Looked], target: Target, paint: Paint) -> Tensor:
    """Return the maps of all inputs; those that Grad-CAM's maps are not made of, or have no places, get zeros."""
    views = model.inputs.views(x)
    maps = [torch.zeros_like(view) for view in views]
    for one in looked:
        positive, heat = class_activation(model, one, target)
        for index in one.serves:
            maps[index] = paint(positive, heat, views[index])
    return model.inputs.joined(maps)


def _finished(looked: Sequence[Looked]) -> None:
    """Tell of a softmax at the end, and let go of the recording."""
    warn_of_softmax(name_of_softmax(softmax_at_the_end(looked[0].output)))
    looked[0].recorder.forget()


def grad_cam_layer(model: nn.Module, x: Tensor | Several, target_layer: str | nn.Module | None = None) -> str:
    """Return what made the maps that Grad-CAM looks at, and where; without a layer the one that it takes by itself.

    Raises
    ------
    NoConvolutionError
        If there are none.
    """
    with explaining(model, x) as (explained, batch):
        axes = max(view.dim() for view in explained.inputs.views(batch))
        return look(explained, batch, {"target_layer": target_layer}, axes)[0].maps.name


def grad_cam(model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return the map in the shape of `x`: whole numbers 0 to 255, the same for every channel.

    The reference scales to 8 bits before it resizes (bicubic), and swaps height and width of images that are not
    square; the swap is a defect and not followed. A map without positive evidence is zero. The parameter ``size``,
    (height, width), asks for a map of another size than the input's. Of several inputs each image that the maps are
    made of has them in its own size; other inputs get zeros.
    """
    _check_axes(model, x, IMAGES)
    _check_size(parameters.get("size"), model, method)
    looked = look(model, x, parameters, IMAGES)
    maps = _painted(model, x, looked, target, _image_of(parameters.get("size")))
    _finished(looked)
    return maps


def _check_axes(model: Model, x: Tensor, axes: int) -> None:
    views = model.inputs.views(x)
    if any(view.dim() == axes for view in views):
        return
    shapes = " and ".join(str(tuple(view.shape)) for view in views)
    if axes == IMAGES:
        raise ValueError(f"grad_cam needs images (N, C, H, W), not {shapes}; see grad_cam_timeseries")
    raise ValueError(f"grad_cam_timeseries needs series (N, C, T), not {shapes}; see grad_cam")


def _image_of(size: Sequence[int] | None) -> Paint:
    def paint(positive: Tensor, heat: Tensor, x: Tensor) -> Tensor:
        height, width = x.shape[2:] if size is None else size
        maps = torch.from_numpy(_resized(positive.cpu(), height, width))
        return maps.to(x).unsqueeze(1).repeat(1, x.shape[1], 1, 1)

    return paint


def _check_size(size: Any, model: Model, method: Method) -> None:
    if size is None:
        return
    if not isinstance(size, Sequence) or len(size) != 2 or any(type(one) is not int or one < 1 for one in size):
        raise ValueError(f"size must be (height, width) in pixels, not {size!r}")
    if method.modifiers:
        raise ValueError(f"{method} multiplies by the input, so its map has the input's size; leave out size=")
    if not model.inputs.alone:
        raise ValueError("the maps of several inputs have the inputs' sizes; leave out size=")


def _resized(heat: Tensor, height: int, width: int) -> np.ndarray[Any, Any]:
    """Return heat maps `(N, H, W)` as images of another size, each scaled to its largest value."""
    return bicubic_8bit(np.stack([_in_8_bits(part) for part in heat]), height, width)


def _in_8_bits(heat: Tensor) -> np.ndarray[Any, Any]:
    peak = heat.max()
    if peak <= 0:
        return np.zeros(tuple(heat.shape), np.uint8)
    scaled: np.ndarray[Any, Any] = (heat / peak).numpy()
    scaled = scaled - scaled.min()
    if scaled.max() != 0:
        scaled = scaled / scaled.max()
    return (scaled * 255).astype(np.uint8)


def grad_cam_timeseries(
    model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]
) -> Tensor:
    """Return the map in the shape of `x` (N, C, T), the same for every channel.

    Values are relu(h) / max(h), interpolated linearly; they lie in [0, 1] where h has a positive value. Of several
    inputs each series that the maps are made of has them in its own length; other inputs get zeros.
    """
    _check_axes(model, x, SERIES)
    looked = look(model, x, parameters, SERIES)
    maps = _painted(model, x, looked, target, _curve_of)
    _finished(looked)
    return maps


def _curve_of(positive: Tensor, heat: Tensor, x: Tensor) -> Tensor:
    maps = [
        torch.from_numpy(linear((one / whole.max() if whole.max() != 0 else one).cpu().numpy(), x.shape[2]))
        for one, whole in zip(positive, heat, strict=True)
    ]
    return torch.stack(maps).to(x).unsqueeze(1).repeat(1, x.shape[1], 1)


def guided_grad_cam(model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return grad_cam times the guided gradient of the sum of the layer's activations (not of the class)."""
    _check_axes(model, x, IMAGES)
    composite = ActivationComposite(GuidedReLU())
    looked = look(model, x, parameters, IMAGES, composite)
    recorder, maps = looked[0].recorder, torch.zeros_like(x)
    for one in looked:
        value = one.maps.value
        assigned = assign(recorder.operations, value, composite)
        guided = backward(recorder.operations, {value: torch.ones_like(value.tensor)}, (recorder.input,), assigned)
        if recorder.input in guided:
            maps = maps + _painted(model, x, [one], target, _image_of(None)) * guided[recorder.input]
    _finished(looked)
    return maps
