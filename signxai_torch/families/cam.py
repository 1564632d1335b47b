"""Grad-CAM, its time-series form and guided Grad-CAM, as SIGN-XAI 1.1.9.2 computes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from zennit.types import Activation, Convolution

from signxai_torch.families.resample import bicubic_8bit, linear
from signxai_torch.lrp.composites import ActivationComposite
from signxai_torch.lrp.layers import GuidedReLU
from signxai_torch.lrp.targets import Target, start, target_indices
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.ends import ends_of
from signxai_torch.operations.hook import made_by
from signxai_torch.operations.unhooked import RECTIFIERS, calls_of, refuse_hidden_layers


class NoConvolutionError(ValueError):
    """The model has no convolution for Grad-CAM to look at, or not the one named."""


def find_layer(model: nn.Module, target_layer: str | nn.Module | None) -> tuple[nn.Module, bool]:
    """Return the module whose output Grad-CAM weighs, and whether an activation that reads it counts instead.

    A module stands for its own output. A name, or None for the last convolution, stands for a layer, and a layer of
    Keras includes its activation: in a model that says where its layers end (`signxai_torch.operations.ends`, as
    converted models do) that module is taken; in any other it is the named module or, where an activation module reads
    its output, that activation.

    Raises
    ------
    NoConvolutionError
        If there is no such layer; the message lists the model's convolutions.
    """
    modules: dict[str, nn.Module] = dict(model.named_modules())
    convolutions = [name for name, module in modules.items() if isinstance(module, Convolution)]
    there = f"its convolutions are {', '.join(convolutions) or 'none'} (pass target_layer=)"
    if isinstance(target_layer, nn.Module):
        if all(module is not target_layer for module in modules.values()):
            raise NoConvolutionError(f"target_layer is a {type(target_layer).__name__} that the model has not; {there}")
        return target_layer, False
    if target_layer is None:
        if not convolutions:
            raise NoConvolutionError("Grad-CAM needs a convolution, and the model has none")
        target_layer = convolutions[-1]
    if not isinstance(target_layer, str) or not target_layer:
        raise NoConvolutionError(f"target_layer must be a layer's name or a module, not {target_layer!r}; {there}")
    ends = ends_of(model)
    name = ends.get(target_layer, target_layer)
    if name not in modules:
        raise NoConvolutionError(f"the model has no layer {target_layer!r}; {there}")
    return modules[name], target_layer not in ends


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are one tensor, up to a full backward hook of the user between the two."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor):
        return False
    return one is other or (one.grad_fn is not None and made_by(one) is made_by(other))


@contextmanager
def _outputs(model: nn.Module, layer: nn.Module, with_activation: bool) -> Iterator[list[Any]]:
    """Collect what a layer gives, call by call; the first activation that reads it gives its output instead."""
    found: list[Any] = []
    bare: list[Any] = []  # the layer's own output, until an activation has read it
    fed: set[nn.Module] = set()

    def arrive(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if bare and inputs and _same(inputs[0], bare[0]):
            fed.add(module)

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if module is layer:
            found.append(output)
            bare[:] = [output]
        elif module in fed:
            found[-1] = output
            bare.clear()
            fed.clear()

    handles = [layer.register_forward_hook(keep)]
    for module in model.modules() if with_activation else ():
        if isinstance(module, Activation) and module is not layer:
            # Ahead of the rules' hooks, which hand the module another tensor.
            handles += [module.register_forward_pre_hook(arrive, prepend=True), module.register_forward_hook(keep)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _maps_of(model: nn.Module, layer: nn.Module, found: Sequence[Any], x: Tensor) -> Tensor:
    """Return what a layer gave last, which must be maps over the input's axes that depend on the input."""
    name = next(f"layer {name!r} ({type(one).__name__})" for name, one in model.named_modules() if one is layer)
    if not found:
        raise NoConvolutionError(f"Grad-CAM has nothing to look at: {name} does not run in the model's forward pass")
    maps = found[-1]
    if not isinstance(maps, Tensor) or maps.dim() != x.dim() or len(maps) != len(x):
        what = tuple(maps.shape) if isinstance(maps, Tensor) else type(maps).__name__
        raise NoConvolutionError(
            f"Grad-CAM needs a layer that gives maps over the axes of the input {tuple(x.shape)}; {name} gives {what}, "
            "so name an earlier convolution (pass target_layer=)"
        )
    if not maps.requires_grad:
        raise NoConvolutionError(f"Grad-CAM has nothing to look at: {name} does not depend on the input")
    return maps


def class_activation(
    model: nn.Module, x: Tensor, target: Target, target_layer: str | nn.Module | None
) -> tuple[Tensor, Tensor]:
    """Return relu(sum_c mean(df/dA_c) A_c) and the same before the relu, each (N, ...) without channels."""
    refuse_hidden_layers(model)
    layer, with_activation = find_layer(model, target_layer)
    with _outputs(model, layer, with_activation) as found, torch.enable_grad():
        output = model(x.detach().requires_grad_())
        head = start(output, target_indices(output, target), "one")
        activation = _maps_of(model, layer, found, x)
        (slope,) = torch.autograd.grad(output, activation, head, allow_unused=True)
    if slope is None:
        raise NoConvolutionError(
            "Grad-CAM has nothing to look at: the logits do not depend on the target layer's output"
        )
    weights = slope.mean(dim=tuple(range(2, slope.dim())), keepdim=True)
    with torch.no_grad():
        heat = (weights * activation.detach()).sum(dim=1)
    return heat.clamp(min=0), heat


def grad_cam(model: nn.Module, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return the map in the shape of `x`: whole numbers 0 to 255, the same for every channel.

    The reference scales to 8 bits before it resizes (bicubic), and swaps height and width of images that are not
    square; the swap is a defect and not followed. A map without positive evidence is zero. The parameter ``size``,
    (height, width), asks for a map of another size than the input's.
    """
    if x.dim() != 4:
        raise ValueError(f"grad_cam needs images (N, C, H, W), not {tuple(x.shape)}; see grad_cam_timeseries")
    height, width = _size(parameters.get("size"), x, method)
    heat, _ = class_activation(model, x, target, parameters["target_layer"])
    maps = [torch.from_numpy(_resized(one, height, width)) for one in heat]
    return torch.stack(maps).to(x).unsqueeze(1).repeat(1, x.shape[1], 1, 1)


def _size(size: Any, x: Tensor, method: Method) -> tuple[int, int]:
    if size is None:
        return x.shape[2], x.shape[3]
    if not isinstance(size, Sequence) or len(size) != 2 or any(type(one) is not int or one < 1 for one in size):
        raise ValueError(f"size must be (height, width) in pixels, not {size!r}")
    if method.modifiers:
        raise ValueError(f"{method} multiplies by the input, so its map has the input's size; leave out size=")
    return size[0], size[1]


def _resized(heat: Tensor, height: int, width: int) -> np.ndarray[Any, Any]:
    peak = heat.max()
    if peak <= 0:
        return np.zeros((height, width), np.uint8)
    scaled = (heat / peak).cpu().numpy()
    scaled = scaled - scaled.min()
    if scaled.max() != 0:
        scaled = scaled / scaled.max()
    return bicubic_8bit((scaled * 255).astype(np.uint8), height, width)


def grad_cam_timeseries(
    model: nn.Module, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]
) -> Tensor:
    """Return the map in the shape of `x` (N, C, T), the same for every channel.

    Values are relu(h) / max(h), interpolated linearly; they lie in [0, 1] where h has a positive value.
    """
    if x.dim() != 3:
        raise ValueError(f"grad_cam_timeseries needs series (N, C, T), not {tuple(x.shape)}; see grad_cam")
    positive, heat = class_activation(model, x, target, parameters["target_layer"])
    maps = [
        torch.from_numpy(linear((one / whole.max() if whole.max() != 0 else one).cpu().numpy(), x.shape[2]))
        for one, whole in zip(positive, heat, strict=True)
    ]
    return torch.stack(maps).to(x).unsqueeze(1).repeat(1, x.shape[1], 1)


def guided_grad_cam(
    model: nn.Module, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]
) -> Tensor:
    """Return grad_cam times the guided gradient of the sum of the layer's activations (not of the class)."""
    layer, with_activation = find_layer(model, parameters["target_layer"])
    with (
        ActivationComposite(GuidedReLU).context(model),
        calls_of(model) as calls,
        _outputs(model, layer, with_activation) as found,
        torch.enable_grad(),
    ):
        point = x.detach().requires_grad_()
        model(point)
        maps = _maps_of(model, layer, found, x)
        calls.check(maps, RECTIFIERS)
        (guided,) = torch.autograd.grad(maps.sum(), point)
    return grad_cam(model, x, target, method, parameters) * guided
