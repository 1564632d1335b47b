"""Ports that are wrong in gradients at many points, Grad-CAM, DeepLIFT, and the maps that explain little."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.run.mutants.maps import DENSE, RESNET, SERIES, VGG
from parity.run.mutants.mutant import (
    Map,
    Mutant,
    SubjectFunction,
    inside,
    map_changed,
    map_changed_by_input,
    named,
    replaced,
    right,
    same,
)
from signxai_torch.families import cam
from signxai_torch.lrp.backward import backward
from signxai_torch.operations.model import Model

INTEGRATED = ("integrated_gradients",)
MISSING = "signxai-deep-lift-missing"


def _noise_counted_in(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Count the clean input among the noisy ones."""
    samples = int(parameters.get("samples", 50))
    clean = right(model, x, "gradient", target)
    return (right(model, x, method, target, **parameters) * (samples - 1) + clean) / samples


def _sample_variance(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    samples = int(parameters.get("samples", 50))
    return right(model, x, method, target, **parameters) * (samples / (samples - 1))


def _second_moment(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Take the mean square of the gradients for their variance."""
    mean = right(model, x, method.replace("vargrad", "smoothgrad"), target, **parameters)
    out: Map = right(model, x, method, target, **parameters) + mean**2
    return out


def _fewer(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    return right(model, x, method, target, **{**parameters, "samples": int(parameters.get("samples", 50)) - 1})


def _less_noise(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    scale = float(parameters.get("noise_scale", 0.2))
    return right(model, x, method, target, **{**parameters, "noise_scale": scale * 1.01})


def _another_class_of_noisy_inputs(
    model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any
) -> Map:
    """Explain the class that each noisy input gets, not that of the clean one: a single point stands for them."""
    with torch.no_grad():
        second = model(x).topk(2, dim=1).indices[:, 1].tolist()
    return (9 * right(model, x, method, target, **parameters) + right(model, x, method, second, **parameters)) / 10


def _path_from_the_mean(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    return right(model, x, method, target, **{**parameters, "baseline": float(x.mean())})


def _without_the_difference(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Forget to multiply the mean gradient by the way from the baseline."""
    found = right(model, x, method, target, **parameters)
    values = x.numpy()
    return (found / np.where(values == 0, 1, values)).astype(found.dtype)


def _right_ends(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Take the right end of each interval in place of both ends."""
    left = right(model, x, method, target, **{**parameters, "grid": "left"})
    steps = int(parameters.get("steps", 50))
    ends = right(model, x, "gradient", target) - right(model, torch.zeros_like(x), "gradient", target)
    out: Map = (left + x.numpy() * ends / steps).astype(left.dtype)
    return out


def _smooth_heat(heat: Tensor, height: int, width: int) -> Map:
    """Resize linearly and without rounding to 8 bits."""
    sizes = (height, width)
    grown = nn.functional.interpolate(_scaled(heat)[:, None], size=sizes, mode="bilinear", align_corners=False)
    return grown[:, 0].numpy() * 255  # type: ignore[no-any-return]


def _nearest_heat(heat: Tensor, height: int, width: int) -> Map:
    return nn.functional.interpolate(_scaled(heat)[:, None], size=(height, width))[:, 0].mul(255).byte().numpy()


def _scaled(heat: Tensor) -> Tensor:
    peak = heat.amax(dim=(1, 2), keepdim=True)
    return torch.where(peak > 0, heat / peak, 0.0)


def _heat(weigh: Callable[[Tensor, Tensor], Tensor]) -> SubjectFunction:
    """Return a port whose Grad-CAM makes its heat map in another way, of activations and their gradient."""

    def function(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
        def activation(explained: Model, looked: cam.Looked, labels: list[int]) -> tuple[Tensor, Tensor]:
            maps, chosen = looked.maps, torch.zeros_like(looked.logits)
            chosen[range(len(labels)), labels] = 1
            slope = backward(looked.recorder.operations, {looked.output: chosen}, (maps.value,))[maps.value]
            heat = weigh(maps.values, maps.arranged(slope))
            return heat.clamp(min=0), heat

        with replaced(cam, "class_activation", activation)():
            return right(model, x, method, target, **parameters)

    return function


def _mean_slope(slope: Tensor) -> Tensor:
    return slope.mean(dim=tuple(range(2, slope.dim())), keepdim=True)


def _before_the_activation(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Look at the convolution itself, not at its activation."""
    layer = model.get_submodule(str(parameters["target_layer"]))
    return right(model, x, method, target, **{**parameters, "target_layer": layer})


def _gradient_times_input(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    return right(model, x, "gradient_x_input", target)


def _plain_gradient(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    return right(model, x, "gradient", target)


def _even_along_the_last_axis(values: Map) -> Map:
    return np.broadcast_to(values.mean(axis=-1, keepdims=True), values.shape).copy()


def _neighbours_swapped(values: Map) -> Map:
    out = values.copy()
    size = values.shape[-1] // 2 * 2
    out[..., 0:size:2], out[..., 1:size:2] = values[..., 1:size:2], values[..., 0:size:2]
    return out


def _lost_and_given(values: Map) -> Map:
    """Move a tenth of the largest value to the smallest: the sum stays."""
    out = values.copy()
    for sample in out:
        flat = sample.reshape(-1)
        top, bottom = int(np.abs(flat).argmax()), int(np.abs(flat).argmin())
        moved = flat[top] / 10
        flat[top] -= moved
        flat[bottom] += moved
    return out


def _moved_among_inputs(values: Map, x: Map) -> Map:
    """Move a tenth of the largest value to another place whose input is not zero: the sum and all zeros stay."""
    out = values.copy()
    for sample, given in zip(out, x, strict=True):
        places = np.flatnonzero(given)
        if len(places) > 1:
            flat = sample.reshape(-1)
            top = places[int(np.abs(flat[places]).argmax())]
            other = places[0] if top != places[0] else places[-1]
            moved = flat[top] / 10
            flat[top] -= moved
            flat[other] += moved
    return out


PATHS = (
    Mutant("one_step_less", "Integrated gradients take 49 steps in place of 50.", named(same, steps=49), "rel_l2",
           (VGG, DENSE), INTEGRATED),
    Mutant("left_ends_only", "Integrated gradients leave out the input itself.", named(same, grid="left"), "rel_l2",
           (SERIES,), INTEGRATED),
    Mutant("right_ends_only", "Integrated gradients leave out the baseline itself.", _right_ends, "rel_l2", (VGG,),
           INTEGRATED),
    Mutant("path_from_the_mean", "The path begins at the input's mean in place of zero.", _path_from_the_mean,
           "rel_l2", (DENSE,), INTEGRATED),
    Mutant("mean_gradient_alone", "The mean gradient is not multiplied by the way.", _without_the_difference,
           "rel_l2", (SERIES,), INTEGRATED),
)  # fmt: skip

NOISY = (
    Mutant("other_seed", "SmoothGrad draws other noise.", named(same, seed=1), "rel_l2", (VGG, SERIES),
           ("smoothgrad",)),
    Mutant("one_sample_less", "SmoothGrad takes 49 samples in place of 50.", _fewer, "rel_l2", (VGG,),
           ("smoothgrad",)),
    Mutant("one_percent_more_noise", "The noise is 1 % larger.", _less_noise, "rel_l2", (SERIES, DENSE),
           ("smoothgrad", "vargrad")),
    Mutant("clean_input_counted", "The clean input counts as one of the noisy ones.", _noise_counted_in, "rel_l2",
           (VGG,), ("smoothgrad",)),
    Mutant("class_of_the_noisy_input", "A tenth of the noisy inputs is explained for another class.",
           _another_class_of_noisy_inputs, "rel_l2", (RESNET,), ("smoothgrad",), where="class"),
    Mutant("variance_of_the_sample", "VarGrad takes the sample's variance (ddof 1).", _sample_variance, "slope",
           (SERIES, VGG), ("vargrad",)),
    Mutant("second_moment", "VarGrad takes the mean square in place of the variance.", _second_moment, "rel_l2",
           (DENSE, SERIES), ("vargrad",)),
    Mutant("deviation_for_variance", "VarGrad takes the standard deviation.", map_changed(np.sqrt), "rel_l2", (VGG,),
           ("vargrad",)),
)  # fmt: skip

GRAD_CAM = (
    Mutant("grad_cam_linear", "The heat map is resized linearly and not rounded to 8 bits.",
           inside(cam, "_resized", _smooth_heat), "rel_l2", (VGG, RESNET), ("grad_cam",)),
    Mutant("grad_cam_nearest", "The heat map is resized to the nearest place.", inside(cam, "_resized", _nearest_heat),
           "rel_l2", (VGG,), ("grad_cam",)),
    Mutant("grad_cam_of_the_layer_below", "An earlier convolution is looked at.",
           named(same, target_layer="block2_conv2"), "rel_l2", (VGG,), ("grad_cam",),
           where="layer"),
    Mutant("grad_cam_before_the_activation", "The convolution is looked at, not its activation.",
           _before_the_activation, "rel_l2", (VGG,), ("grad_cam",), where="layer"),
    Mutant("grad_cam_unweighted", "All channels weigh the same.", _heat(lambda maps, slope: maps.sum(dim=1)), "rel_l2",
           (VGG,), ("grad_cam",)),
    Mutant("grad_cam_by_size", "The channels are weighed by the size of their gradient.",
           _heat(lambda maps, slope: (_mean_slope(slope).abs() * maps).sum(dim=1)), "rel_l2", (RESNET,),
           ("grad_cam",)),
    Mutant("grad_cam_by_places", "Each place is weighed by its own gradient.",
           _heat(lambda maps, slope: (slope * maps).sum(dim=1)), "rel_l2", (SERIES,), ("grad_cam_timeseries",),
           beside="signxai-grad-cam-of-nothing"),
    Mutant("grad_cam_of_the_other_sign", "What speaks against the class is shown.",
           _heat(lambda maps, slope: -(_mean_slope(slope) * maps).sum(dim=1)), "rel_l2", (SERIES,),
           ("grad_cam_timeseries",), beside="signxai-grad-cam-of-nothing"),
    Mutant("grad_cam_reversed_in_time", "The heat map runs backwards.", map_changed(lambda values: values[..., ::-1]),
           "rel_l2", (SERIES,), ("grad_cam_timeseries",), beside="signxai-grad-cam-of-nothing"),
    Mutant("grad_cam_scaled_to_one", "The heat map ends at 1 in place of 255.",
           map_changed(lambda values: values / 255), "slope", (VGG,), ("grad_cam",)),
)  # fmt: skip

DEEP_LIFT = (
    Mutant("deep_lift_even", "DeepLIFT's sum is spread evenly.",
           map_changed(lambda values: np.full_like(values, values.mean(dtype=np.float64))),
           "nothing_where_nothing_changes", (VGG, DENSE), ("deep_lift",), beside=MISSING),
    Mutant("deep_lift_mirrored", "DeepLIFT's map is mirrored.", map_changed(lambda values: values[..., ::-1].copy()),
           "nothing_where_nothing_changes", (VGG, DENSE, SERIES), ("deep_lift",), beside=MISSING),
    Mutant("deep_lift_1_01", "DeepLIFT's map is 1 % too large.", map_changed(lambda values: values * 1.01),
           "sums_to_the_change", (RESNET, DENSE), ("deep_lift",), beside=MISSING),
    Mutant("deep_lift_as_gradient", "The gradient times the input stands for DeepLIFT.", _gradient_times_input,
           "sums_to_the_change", (VGG, SERIES), ("deep_lift",), beside=MISSING),
    Mutant("deep_lift_from_another_baseline", "DeepLIFT compares with 0.1 in place of zero.", named(same, baseline=0.1),
           "sums_to_the_change", (VGG,), ("deep_lift",), beside=MISSING),
    Mutant("deep_lift_even_along_an_axis", "DeepLIFT's map is even along the last axis.",
           map_changed(_even_along_the_last_axis), "nothing_where_nothing_changes", (VGG,), ("deep_lift",),
           beside=MISSING),
    Mutant("deep_lift_neighbours_swapped", "Each two neighbours of DeepLIFT's map are swapped.",
           map_changed(_neighbours_swapped), "nothing_where_nothing_changes", (SERIES,), ("deep_lift",),
           beside=MISSING),
    Mutant("deep_lift_moved", "A tenth of DeepLIFT's largest value stands elsewhere; the sum stays.",
           map_changed(_lost_and_given), "nothing_where_nothing_changes", (VGG,), ("deep_lift",), where="two values",
           beside=MISSING),
    Mutant("deep_lift_moved_among_inputs", "A tenth of the largest value stands elsewhere; sum and zeros stay.",
           map_changed_by_input(_moved_among_inputs), "rel_l2", (VGG, SERIES), ("deep_lift",), where="two values",
           beside=MISSING),
    Mutant("deep_lift_nan", "DeepLIFT's map is not a number.", map_changed(lambda values: np.full_like(values, np.nan)),
           "finite", (RESNET,), ("deep_lift",), beside=MISSING),
    Mutant("integrated_for_deep_lift", "Integrated gradients stand for DeepLIFT.", named("integrated_gradients"),
           "sums_to_the_change", (VGG,), ("deep_lift",), beside=MISSING),
)  # fmt: skip

LITTLE = (
    Mutant("another_random_map", "The random map has another seed.", named(same, seed=2), "rel_l2", (VGG,),
           ("random_uniform",)),
    Mutant("input_negated", "The input's negative stands for the input.", map_changed(np.negative), "slope", (SERIES,),
           ("input",)),
    Mutant("noise_alone", "The noise lacks the input.", named(same, noise_scale=2.0), "rel_l2", (DENSE,), ("random",)),
)  # fmt: skip

OTHER_METHODS = (
    Mutant("gradient_for_guided", "The gradient stands for guided backpropagation.",
           named(lambda name: name.replace("guided_backprop", "gradient")), "rel_l2", (RESNET,), ("guided_backprop",)),
    Mutant("gradient_for_integrated", "The gradient times the input stands for integrated gradients.",
           _gradient_times_input, "rel_l2", (VGG,), INTEGRATED),
    Mutant("gradient_for_smoothgrad", "The gradient stands for SmoothGrad.", _plain_gradient, "rel_l2", (DENSE,),
           ("smoothgrad",)),
    Mutant("lrp_for_gradient", "lrp_z stands for the gradient times the input.", named("lrp_z"), "rel_l2",
           (RESNET,), ("gradient_x_input",)),
    Mutant("deep_taylor_for_lrp", "Deep Taylor stands for alpha 1 beta 0.", named("deep_taylor"), "rel_l2", (SERIES,),
           ("lrp_alpha_1_beta_0",)),
    Mutant("input_for_lrp", "The input stands for the map.", named("input"), "rel_l2", (DENSE,), ("lrp_z",)),
    Mutant("flat_for_epsilon", "lrp_flat stands for lrp_epsilon.", named("lrp_flat"), "rel_l2", (VGG,),
           ("lrp_epsilon_0_1",)),
)  # fmt: skip

MUTANTS: tuple[Mutant, ...] = (*PATHS, *NOISY, *GRAD_CAM, *DEEP_LIFT, *LITTLE, *OTHER_METHODS)
"""The mutants of this file."""
