"""Grad-CAM, its time-series form and guided Grad-CAM, as SIGN-XAI 1.1.9.2 computes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from signxai_torch.families.cam_maps import (
    IMAGES,
    SERIES,
    Maps,
    NoConvolutionError,
    arranged,
    last_maps,
    layer_path,
    named_maps,
)
from signxai_torch.families.resample import bicubic_8bit, linear
from signxai_torch.lrp.assignment import assign, softmax_at_the_end
from signxai_torch.lrp.backward import backward
from signxai_torch.lrp.composites import ActivationComposite, Composite
from signxai_torch.lrp.passes import keeping, name_of_softmax, recorded, warn_of_softmax
from signxai_torch.lrp.targets import Target, start, target_indices
from signxai_torch.lrp.weightless import GuidedReLU
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.inputs import Several
from signxai_torch.operations.model import Model, Recording, explaining
from signxai_torch.operations.operation import Value
from signxai_torch.operations.recorder import Keep
from signxai_torch.operations.refusal import refuse


@dataclass(frozen=True)
class Looked:
    """A forward pass with maps that Grad-CAM looks at, and which of the model's inputs they are made of."""

    recorder: Recording
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
        serves, name = named_maps(model.module, recorder, path, with_activation, seen)
    transform = parameters.get("reshape_transform")
    return [
        Looked(recorder, logits, output, arranged(value, name, views[indices[0]], transform), tuple(indices))
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
    for view in looked:
        positive, heat = class_activation(model, view, target)
        for index in view.serves:
            maps[index] = paint(positive, heat, views[index])
    return model.inputs.joined(maps)


def _finished(looked: Sequence[Looked]) -> None:
    """Tell of a softmax at the end, and let go of the recording."""
    warn_of_softmax(name_of_softmax(softmax_at_the_end(looked[0].output)))
    looked[0].recorder.forget()


def grad_cam_layer(model: nn.Module, x: Tensor | Several, target_layer: str | nn.Module | None = None) -> str:
    """Return what made the maps that Grad-CAM looks at, and where; without a layer the one that it takes by itself.

    Parameters
    ----------
    model : torch.nn.Module
        The model; it is only read.
    x : torch.Tensor, or tuple, list or dict of str to torch.Tensor
        Inputs in torch layout, batch first, as for `signxai_torch.explain`.
    target_layer : str or torch.nn.Module, optional
        A layer by its name, or a module, as `signxai_torch.explain` takes it.

    Returns
    -------
    str
        The layer, or the operation with its place in the model.

    Raises
    ------
    NoConvolutionError
        If the model has no maps to look at.

    Examples
    --------
    >>> import torch, signxai_torch
    >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)
    >>> signxai_torch.grad_cam_layer(torch.nn.Sequential(*layers), torch.ones(1, 3, 8, 8))
    'relu in 1'
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
