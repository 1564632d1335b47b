"""Ports that are wrong in one dtype only: float32 faults that a float64 lane cannot see, and the reverse."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.run.mutants.maps import DENSE, RESNET, SERIES, VGG, noisy, scaled
from parity.run.mutants.models import (
    every_bias,
    first_layer_flattened_last,
    kernels,
    one_bias,
    one_kernel,
    quantised,
)
from parity.run.mutants.mutant import (
    Map,
    Mutant,
    input_changed,
    map_changed,
    model_changed,
    named,
    replaced,
    right,
    same,
    under,
)
from signxai_torch.lrp import arithmetic
from signxai_torch.lrp import rule as rule_module


def _bfloat16(values: Tensor) -> Tensor:
    return values.bfloat16().to(values.dtype)


def _tf32(values: Tensor) -> Tensor:
    """Round to the 10 bits of mantissa that tensor cores multiply."""
    bits = values.float().contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32).to(values.dtype)


def _every_parameter(change: Any) -> Any:
    def spoil(model: nn.Module) -> None:
        for parameter in model.parameters():
            parameter.copy_(change(parameter))

    return spoil


def _tf32_throughout(model: nn.Module) -> None:
    """Round weights, and what goes into every layer with a kernel."""
    _every_parameter(_tf32)(model)
    for kernel in kernels(model):
        kernel.register_forward_pre_hook(lambda module, inputs: (_Rounded.apply(inputs[0]), *inputs[1:]), prepend=True)


class _Rounded(torch.autograd.Function):
    """TF32 forward, and the gradient as it comes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return _tf32(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def in_float32(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Compute in float32 and return float64."""
    return right(copy.deepcopy(model).float(), x.float(), method, target, **parameters).astype(np.float64)


def input_through_float32(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Round an intermediate result to float32: the input divided by 3 and multiplied by 3 again."""
    return right(model, ((x / 3).float() * 3).to(x.dtype), method, target, **parameters)


def finite_differences(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Take the gradient as differences of the logit over steps of 0.01."""
    step = 0.01
    out = np.zeros(tuple(x.shape), x.numpy().dtype)
    for index, (sample, label) in enumerate(zip(x, target, strict=True)):
        flat = torch.eye(sample.numel(), dtype=x.dtype) * step
        moves = flat.reshape(-1, *sample.shape)
        with torch.no_grad():
            rise = model(sample[None] + moves)[:, label] - model(sample[None] - moves)[:, label]
        out[index] = (rise / (2 * step)).reshape(sample.shape).numpy()
    return out


def _sum_in_half_precision(values: Map) -> Map:
    """Add up in float16 what the last step adds up: relevance and minus a half of it, and half of it again."""
    half = (values / 2).astype(np.float16)
    return (half + (values - half).astype(np.float16)).astype(values.dtype)


def _stabilizer(epsilon: float) -> Any:
    return under(
        replaced(
            rule_module,
            "divide",
            lambda relevance, z, guard: arithmetic.over(relevance, arithmetic.stabilize(z, epsilon)),
        )
    )


def _small_values_lost(values: Map) -> Map:
    return np.where(np.abs(values) < 1e-4, 0, values).astype(values.dtype)


def _every_second_value_off(values: Map) -> Map:
    """Let every second value come from a sum whose last digits were lost."""
    out = values.copy()
    out[..., ::2] *= values.dtype.type(1 + 3e-4)
    return out


MUTANTS: tuple[Mutant, ...] = (
    Mutant("scale_1_002_in_float32", "Float32 maps are 0.2 % too large.", scaled(1.002), "slope",
           (VGG, DENSE, SERIES), ("gradient", "lrp_epsilon_0_1"), "float32"),
    Mutant("scale_1_25_in_float32", "Float32 maps are a quarter too large.", scaled(1.25), "slope",
           (VGG, DENSE, RESNET, SERIES), ("gradient", "lrp_z", "lrpsign_z"), "float32"),
    Mutant("noise_2_percent_in_float32", "Float32 maps carry noise of 2 % of their norm.", noisy(0.02), "rel_l2",
           (VGG, DENSE, SERIES), ("gradient", "lrp_epsilon_0_1"), "float32"),
    Mutant("noise_20_percent_in_float32", "Float32 maps carry noise of 20 % of their norm.", noisy(0.2), "rel_l2",
           (VGG, RESNET), ("lrp_z", "lrp_flat"), "float32"),
    Mutant("bfloat16_map", "Float32 maps are rounded to bfloat16, as mixed precision would.",
           map_changed(lambda values: _bfloat16(torch.from_numpy(values)).numpy()), "rel_l2", (VGG, DENSE, SERIES),
           ("gradient",), "float32"),
    Mutant("bfloat16_weights", "In float32 the weights are rounded to bfloat16.",
           model_changed(_every_parameter(_bfloat16)), "rel_l2", (DENSE, SERIES), ("lrp_z", "gradient"), "float32",
           "weights of all layers"),
    Mutant("bfloat16_input", "In float32 the input is rounded to bfloat16.", input_changed(_bfloat16), "rel_l2",
           (DENSE,), ("lrp_epsilon_0_1", "gradient_x_input"), "float32", "input"),
    Mutant("half_precision_weights", "In float32 the weights are rounded to float16.",
           model_changed(_every_parameter(lambda values: values.half().to(values.dtype))), "rel_l2", (VGG,),
           ("gradient",), "float32", "weights of all layers"),
    Mutant("tf32_weights", "In float32 the weights are rounded to the 10 bits of TF32.",
           model_changed(_every_parameter(_tf32)), "rel_l2", (DENSE, VGG), ("lrp_epsilon_1", "gradient"), "float32",
           "weights of all layers"),
    Mutant("tf32_products", "In float32 weights and layer inputs are rounded to the 10 bits of TF32.",
           model_changed(_tf32_throughout), "rel_l2", (SERIES,), ("gradient", "gradient_x_input"), "float32",
           "all layers"),
    Mutant("eight_bit_weights", "In float32 the weights are rounded to 8 bits a layer.",
           model_changed(quantised(127)), "rel_l2", (SERIES,), ("lrp_z",), "float32", "weights of all layers"),
    Mutant("biases_forgotten_in_float32", "In float32 no layer has its bias.", model_changed(every_bias(0.0)),
           "rel_l2", (DENSE, VGG), ("lrp_z", "gradient", "lrp_alpha_1_beta_0"), "float32", "biases of all layers"),
    Mutant("one_bias_forgotten_in_float32", "In float32 one layer lacks its bias.", model_changed(one_bias("conv2", 0)),
           "rel_l2", (SERIES,), ("lrp_alpha_1_beta_0",), "float32", "bias of one layer"),
    Mutant("weights_1_001_in_float32", "In float32 one layer's weights are 0.1 % too large.",
           model_changed(one_kernel("fc2", 1.001)), "slope", (DENSE,), ("gradient",), "float32", "one layer"),
    Mutant("epsilon_10_percent_off_in_float32", "Epsilon is 0.11 in place of 0.1, in float32.",
           named(lambda name: name.replace("0_1", "0_11")), "rel_l2", (SERIES, DENSE),
           ("lrp_epsilon_0_1", "lrpsign_epsilon_0_1"), "float32"),
    Mutant("epsilon_times_10_in_float32", "Epsilon depends on the dtype: 1 in place of 0.1 in float32.",
           named(lambda name: name.replace("0_1", "1")), "rel_l2", (VGG,), ("lrp_epsilon_0_1",), "float32"),
    Mutant("stabilizer_of_the_dtype", "The Z rule moves every denominator by the root of the dtype's last digit.",
           _stabilizer(float(np.finfo(np.float32).eps) ** 0.5), "rel_l2", (SERIES, DENSE), ("lrp_z",), "float32"),
    Mutant("stabilizer_1e_7_everywhere", "The Z rule moves every denominator by 1e-7, not only zeros.",
           _stabilizer(1e-7), "rel_l2", (DENSE,), ("lrp_z",), "float64"),
    Mutant("channels_last_order_lost", "In float32 a dense layer reads the flattened channels in the other order.",
           model_changed(first_layer_flattened_last), "rel_l2", (VGG, SERIES), ("gradient", "lrp_z"), "float32",
           "first dense layer"),
    Mutant("finite_differences", "In float32 the gradient is taken as differences over steps of 0.01.",
           finite_differences, "rel_l2", (DENSE,), ("gradient",), "float32"),
    Mutant("half_precision_sum", "In float32 relevance is added up in float16.", map_changed(_sum_in_half_precision),
           "rel_l2", (VGG,), ("lrp_epsilon_10",), "float32"),
    Mutant("small_relevance_flushed", "In float32 relevance under 1e-4 is flushed to zero.",
           map_changed(_small_values_lost), "rel_l2", (VGG,), ("lrp_epsilon_1",), "float32", "small values"),
    Mutant("every_second_value_off", "In float32 every second value is 3e-4 of itself too large.",
           map_changed(_every_second_value_off), "rel_l2", (DENSE,), ("lrp_epsilon_1",), "float32",
           "every second value"),
    Mutant("other_noise_in_float32", "In float32 SmoothGrad draws other noise.", named(same, seed=1), "rel_l2",
           (SERIES,), ("smoothgrad",), "float32"),
    Mutant("float64_in_float32", "Float64 maps are computed in float32.", in_float32, "rel_l2", (VGG, DENSE),
           ("gradient", "lrp_z"), "float64"),
    Mutant("float64_input_in_float32", "In float64 the input goes through float32 once.", input_through_float32,
           "rel_l2", (SERIES,), ("gradient_x_input",), "float64", "input"),
)  # fmt: skip
"""The mutants of this file."""
