"""Grad-CAM, its time-series form and guided Grad-CAM, as SIGN-XAI 1.1.9.2 computes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from zennit.types import Activation, Convolution

from signxai_torch.composites import ActivationComposite
from signxai_torch.grammar import Method
from signxai_torch.layers import GuidedReLU
from signxai_torch.resample import bicubic_8bit, linear
from signxai_torch.targets import Target, start, target_indices
from signxai_torch.unhooked import RECTIFIERS, calls_of


class NoConvolutionError(ValueError):
    """The model has no convolution for Grad-CAM to look at, or not the one named."""


def find_layer(model: nn.Module, target_layer: str | nn.Module | None) -> nn.Module:
    """Return the layer whose activations Grad-CAM weighs: the one named, or the last convolution.

    Raises
    ------
    NoConvolutionError
        If there is none; the message lists the model's convolutions.
    """
    if isinstance(target_layer, nn.Module):
        return target_layer
    modules: dict[str, nn.Module] = dict(model.named_modules())
    convolutions = [name for name, module in modules.items() if isinstance(module, Convolution)]
    if target_layer is None:
        if not convolutions:
            raise NoConvolutionError("Grad-CAM needs a convolution, and the model has none")
        return modules[convolutions[-1]]
    if target_layer not in modules:
        raise NoConvolutionError(
            f"the model has no layer {target_layer!r}; its convolutions are {', '.join(convolutions) or 'none'} "
            "(pass target_layer=)"
        )
    return modules[target_layer]


@contextmanager
def _activations(model: nn.Module, layer: nn.Module) -> Iterator[list[Tensor]]:
    # A Keras convolution includes its activation, so the activation module fed by the layer is what counts.
    found: list[Tensor] = []
    fed: set[nn.Module] = set()

    def arrive(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if found and inputs and inputs[0] is found[-1]:
            fed.add(module)

    def keep(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if module is layer or module in fed:
            fed.discard(module)
            found.append(output)

    handles = [layer.register_forward_hook(keep)]
    for module in model.modules():
        if isinstance(module, Activation) and module is not layer:
            # Ahead of the rules' hooks, which hand the module another tensor.
            handles += [module.register_forward_pre_hook(arrive, prepend=True), module.register_forward_hook(keep)]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def class_activation(
    model: nn.Module, x: Tensor, target: Target, target_layer: str | nn.Module | None
) -> tuple[Tensor, Tensor]:
    """Return relu(sum_c mean(df/dA_c) A_c) and the same before the relu, each (N, ...) without channels."""
    layer = find_layer(model, target_layer)
    with _activations(model, layer) as found, torch.enable_grad():
        output = model(x.detach().requires_grad_())
        activation = found[-1]
        (slope,) = torch.autograd.grad(output, activation, start(output, target_indices(output, target), "one"))
    weights = slope.mean(dim=tuple(range(2, slope.dim())), keepdim=True)
    with torch.no_grad():
        heat = (weights * activation.detach()).sum(dim=1)
    return heat.clamp(min=0), heat


def grad_cam(model: nn.Module, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return the map in the shape of `x`: whole numbers 0 to 255, the same for every channel.

    The reference scales to 8 bits before it resizes (bicubic), and swaps height and width of images that are not
    square; the swap is a defect and not followed. A map without positive evidence is zero.
    """
    if x.dim() != 4:
        raise ValueError(f"grad_cam needs images (N, C, H, W), not {tuple(x.shape)}; see grad_cam_timeseries")
    heat, _ = class_activation(model, x, target, parameters["target_layer"])
    maps = [torch.from_numpy(_to_input_size(one, *x.shape[2:])) for one in heat]
    return torch.stack(maps).to(x).unsqueeze(1).expand_as(x).clone()


def _to_input_size(heat: Tensor, height: int, width: int) -> np.ndarray[Any, Any]:
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
    return torch.stack(maps).to(x).unsqueeze(1).expand_as(x).clone()


def guided_grad_cam(
    model: nn.Module, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]
) -> Tensor:
    """Return grad_cam times the guided gradient of the sum of the layer's activations (not of the class)."""
    layer = find_layer(model, parameters["target_layer"])
    with (
        ActivationComposite(GuidedReLU).context(model),
        calls_of(model) as calls,
        _activations(model, layer) as found,
        torch.enable_grad(),
    ):
        point = x.detach().requires_grad_()
        model(point)
        calls.check(found[-1], RECTIFIERS)
        (guided,) = torch.autograd.grad(found[-1].sum(), point)
    return grad_cam(model, x, target, method, parameters) * guided
