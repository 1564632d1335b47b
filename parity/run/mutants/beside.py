"""Ports that are wrong where a reference is known to be wrong: its defect must not excuse them, nor be copied."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from parity.keras.modules.attention import MultiHeadAttention
from parity.keras.modules.tokens import StepMask
from parity.run.mutants.families import MISSING
from parity.run.mutants.layers import gradient_of
from parity.run.mutants.maps import DENSE, RESNET, SERIES
from parity.run.mutants.models import assign, layer, modules_replaced
from parity.run.mutants.mutant import (
    Map,
    Mutant,
    SubjectFunction,
    inside,
    map_changed,
    model_changed,
    named,
    replaced,
    right,
    same,
    target_changed,
)
from signxai_torch.lrp import targets
from signxai_torch.lrp import weightless as port
from signxai_torch.lrp.composites import RuleComposite
from signxai_torch.lrp.rule import Relevances, Rule
from signxai_torch.operations.operation import Operation, Value
from signxai_torch.sweep import walk

CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    "signxai-grad-cam-of-nothing": (SERIES, ("grad_cam_timeseries",)),
    "signxai-bounded-is-zero": (RESNET, ("zblrp_epsilon_0_1_VGG16ILSVRC", "zblrp_z_VGG16ILSVRC")),
    "signxai-deep-lift-missing": (DENSE, ("deep_lift",)),
    "signxai-relu-per-consumer": (RESNET, ("guided_backprop",)),
    "signxai-deconvnet-relu-layer": (RESNET, ("deconvnet", "deconvnet_x_sign")),
    "signxai-concatenate-order": ("concatenate", ("gradient", "lrp_z", "lrpsign_z")),
    "signxai-input-rule-on-a-branch": ("branched_input", ("lrpsign_z", "lrpsign_epsilon_0_1")),
    "signxai-grad-cam-is-transposed": ("not_square", ("grad_cam",)),
    "signxai-sign-rule-on-the-last-layer": ("single_layer", ("lrpsign_z",)),
    "signxai-permute-of-equal-sizes": ("permuted", ("lrp_gamma", "lrpsign_z", "lrp_epsilon_0_25_std_x")),
    "signxai-open-sizes": ("open_length", ("lrp_gamma", "lrp_z", "lrpsign_z")),
    "signxai-relevance-of-all-classes": ("sigmoid_at_the_end", ("lrp_gamma", "lrp_epsilon_0_25_std_x")),
    "signxai-deconvnet-relu-on-the-output": ("relu_at_the_end", ("deconvnet",)),
    "signxai-batch-normalization-without-offset": ("norm_without_offset", ("lrp_z", "lrp_flat")),
    "signxai-batch-normalization-at-the-end": ("norm_at_the_end", ("lrp_z", "lrp_flat")),
    "kink-at-the-baseline": ("ties_at_the_baseline", ("integrated_gradients",)),
    "innvestigate-deconvnet-relu-layer": (RESNET, ("deconvnet",)),
    "innvestigate-batch-normalization": (RESNET, ("lrp.z", "lrp.epsilon")),
    "innvestigate-batch-normalization-graph": (RESNET, ("innvestigate.integrated_gradients", "gradient.baseline")),
    "innvestigate-input-rule-behind-padding": ("behind_padding", ("lrp.sequential_preset_b_flat",)),
    "augmentation": ("augmented", ("gradient", "lrp_z")),
    "signxai-rounded-for-each-reader": ("resized", ("lrp_z", "gradient")),
    "innvestigate-statistics-of-a-sample": (
        "unit_length",
        ("lrp.alpha_2_beta_1", "lrp.z", "innvestigate.integrated_gradients"),
    ),
    "innvestigate-sizes-at-every-step": ("normalized_frames", ("lrp.z", "innvestigate.integrated_gradients")),
    "innvestigate-derivative-in-lrp": ("leaky", ("lrp.flat", "lrp.z")),
    "signxai-several-inputs": ("two_inputs", ("gradient", "lrp_z")),
    "innvestigate-index-of-several-inputs": ("two_inputs", ("lrp.z", "lrp.alpha_2_beta_1")),
    "innvestigate-copies-of-several-inputs": ("two_inputs", ("innvestigate.integrated_gradients",)),
    "innvestigate-batch-normalization-of-several-inputs": ("two_inputs_normalized", ("gradient", "guided_backprop")),
    "innvestigate-copies-of-open-sizes": ("open_length", ("innvestigate.smoothgrad",)),
    "signxai-embedding": ("text", ("lrp_z", "lrp_epsilon_0_1")),
    "signxai-tensors-by-name": ("attended", ("gradient", "lrp_z")),
    "innvestigate-tensors-by-name": ("attended", ("lrp.z", "lrp.alpha_2_beta_1")),
    "innvestigate-masked-attention": ("masked_attended", ("lrp.z", "lrp.alpha_2_beta_1")),
    "innvestigate-several-attentions": ("attended_twice", ("lrp.z", "gradient.baseline")),
    "innvestigate-causal-attention": ("attended_causally", ("lrp.z", "gradient.baseline")),
    "signxai-read-twice": ("read_twice", ("lrp_z", "gradient", "lrpsign_z")),
    "innvestigate-read-twice": ("read_twice", ("lrp.z", "lrp.alpha_2_beta_1")),
    "innvestigate-recurrence": ("recurrent", ("innvestigate.integrated_gradients",)),
    "innvestigate-masked-average": ("masked", ("lrp.z",)),
}
"""For each known difference a model and methods to which it applies."""


def _short(difference: str) -> str:
    return difference.replace("-", "_")


def _reversed(values: Map) -> Map:
    return values.reshape(len(values), -1)[:, ::-1].reshape(values.shape).copy()


def _beside_each() -> Iterator[Mutant]:
    """Yield three ports that are wrong beside each known difference, each in its own way."""
    kinds: tuple[tuple[str, str, Callable[[Map], Any], str], ...] = (
        ("nan", "Not a number, everywhere", lambda values: np.full_like(values, np.nan), "finite"),
        ("scale_1_01", "The map is 1 % too large", lambda values: values * values.dtype.type(1.01), "slope"),
        ("reversed", "All values stand in reverse order", _reversed, "rel_l2"),
    )
    for difference, (model, methods) in CASES.items():
        for name, wrong, change, check in kinds:
            if difference == MISSING and check != "finite":
                check = "sums_to_the_change" if check == "slope" else "nothing_where_nothing_changes"
            yield Mutant(
                f"{name}_beside_{_short(difference)}", f"{wrong}.", map_changed(change), check, (model,), methods[:1],
                beside=difference,
            )  # fmt: skip


def _relu_per_consumer(model: Any) -> None:
    """Rectify what arrives from each reader of a branching ReLU, before it is added up.

    Behind a ReLU another one changes no value, and guided backpropagation rectifies there too.
    """

    def rectify(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        return torch.relu(inputs[0])

    def rectify_first(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
        branches = inputs[0]
        return torch.stack([torch.relu(branches[..., 0]), branches[..., 1]], -1)

    for name in ("block1_1_conv", "block2_1_conv", "block2_0_conv", "block3_1_conv", "block3_0_conv"):
        layer(model, name).register_forward_pre_hook(rectify)
    layer(model, "block1_add").register_forward_pre_hook(rectify_first)


def _of_all_classes(output: Tensor, indices: Tensor, head: str) -> Tensor:
    """Start with the relevance of the chosen class in every class."""
    relevance = _START(output, indices, head)
    return relevance.sum(dim=1, keepdim=True).expand_as(relevance)


_START = targets.start


def _halves_swapped(name: str) -> Callable[[nn.Module], None]:
    """Return what makes a dense layer read its two halves in the other order."""

    def change(model: nn.Module) -> None:
        size = layer(model, name).in_features // 2
        assign(layer(model, name), lambda weight: torch.cat([weight[:, size:], weight[:, :size]], dim=1))

    return change


def _unmoved(self: RuleComposite, operation: Operation, step: int = 0) -> Rule | None:
    """Let a Permute that keeps the shape pass relevance as it is."""
    passes = operation.function.name == "permute" and operation.keeps_shape
    return port.Pass() if passes else _RULE_OF(self, operation, step)


_RULE_OF = RuleComposite.rule_of


def _turned_channels(model: nn.Module) -> None:
    assign(layer(model, "first"), lambda weight: weight.flip(1))


def _rows_for_columns(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Resize the heat map with height and width swapped, as SIGN-XAI does."""
    return right(model, x, method, target, **{**parameters, "size": (x.shape[3], x.shape[2])})


def _rows_for_columns_in_shape(model: nn.Module, x: Tensor, method: str, target: list[int], **given: Any) -> Map:
    """Read the values of the swapped map into the shape of the input."""
    return _rows_for_columns(model, x, method, target, **given).reshape(tuple(x.shape))


def _activations_by_derivative(model: nn.Module, x: Tensor, method: str, target: list[int], **given: Any) -> Map:
    """Multiply relevance by the derivative of activations that are layers, as iNNvestigate does."""
    with replaced(port.Pass, "needs_inputs", True)(), replaced(port.Pass, "relevance", gradient_of)():
        return right(model, x, method, target, **given)


def _chosen_output_for_all(self: port.BatchNorm, operation: Operation, arriving: Tensor) -> Relevances:
    """Take the chosen class's output for that of every unit, and give relevance to all of them."""
    if len(operation.shape) != 2:
        return _NORM(self, operation, arriving)
    label = int(arriving.abs().argmax())
    chosen = operation.output[:, label : label + 1].repeat(1, operation.shape[1])
    with_chosen = replace(operation, results=(Value(operation, kept=chosen),))
    return _NORM(self, with_chosen, arriving.sum(dim=1, keepdim=True).expand_as(arriving))


_NORM = port.BatchNorm.relevance


def _norm_at_the_end(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    with replaced(port.BatchNorm, "relevance", _chosen_output_for_all)():
        return right(model, x, method, target, **parameters)


def _norm_passes(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    with replaced(port.BatchNorm, "relevance", lambda self, operation, arriving: (arriving,))():
        return right(model, x, method, target, **parameters)


def _every_step_counts(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, StepMask):
            module.value = float("inf")


def _later_steps_seen(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, MultiHeadAttention):
            module.causal = False


class _ThroughTheQuery(nn.Module):
    """An attention whose value and key are constants to its gradient."""

    signxai_operation: ClassVar[str] = "derivative"

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.attention = attention

    def forward(self, query: Tensor, *others: Tensor) -> Tensor:
        """Return what the attention returns."""
        mixed: Tensor = self.attention(query, *(other.detach() for other in others))
        return mixed


def _without_the_baseline(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
    """Take the mean of the gradients at all 50 points but the first, which is the baseline of zeros."""
    at_baseline = right(model, torch.zeros_like(x), "gradient", target)
    whole = right(model, x, method, target, **parameters)
    out: Map = ((50 * whole - x.numpy() * at_baseline) / 49).astype(whole.dtype)
    return out


def _random(values: Map) -> Map:
    return np.random.default_rng(1).normal(size=values.shape).astype(values.dtype)


def _narrow(values: Map) -> Map:
    return values[..., :3]


RUNNER_UP: SubjectFunction = target_changed(lambda logits: logits.topk(2, dim=1).indices[:, 1])


def _mutant(
    name: str, wrong: str, function: SubjectFunction, check: str, difference: str, where: str = "everywhere"
) -> Mutant:
    """Return a row on the case of a known difference."""
    model, methods = CASES[difference]
    return Mutant(name, wrong, function, check, (model,), methods, where=where, beside=difference)


COPIED = (
    _mutant("relu_per_consumer", "Each reader of a branching ReLU is rectified alone: the defect of SIGN-XAI, copied.",
            model_changed(_relu_per_consumer), "rel_l2", "signxai-relu-per-consumer", "branching activations"),
    _mutant("concatenated_in_order_of_arrival", "Concatenate reads in order of arrival: SIGN-XAI's defect, copied.",
            model_changed(_halves_swapped("out")), "rel_l2", "signxai-concatenate-order", "Concatenate"),
    _mutant("grad_cam_transposed", "The map has height and width swapped: the defect of SIGN-XAI, copied.",
            _rows_for_columns, "shape", "signxai-grad-cam-is-transposed"),
    _mutant("grad_cam_transposed_in_shape", "The map with height and width swapped is read into the input's shape.",
            _rows_for_columns_in_shape, "rel_l2", "signxai-grad-cam-is-transposed"),
    _mutant("permute_moves_nothing", "Permute hands relevance on where it was: the defect of SIGN-XAI, copied.",
            inside(RuleComposite, "rule_of", _unmoved), "rel_l2", "signxai-permute-of-equal-sizes", "Permute"),
    _mutant("relevance_of_all_classes", "Every class gets the relevance of the chosen one: SIGN-XAI's defect, copied.",
            inside(walk, "start", _of_all_classes), "rel_l2", "signxai-relevance-of-all-classes", "output"),
    _mutant("chosen_output_for_all", "The last normalisation takes one output for all: SIGN-XAI's defect, copied.",
            _norm_at_the_end, "rel_l2", "signxai-batch-normalization-at-the-end", "last layer"),
    _mutant("input_rule_unused_behind_padding", "The input rule stays unused: the defect of iNNvestigate, copied.",
            named("lrp.sequential_preset_b"), "rel_l2", "innvestigate-input-rule-behind-padding", "first layer"),
    _mutant("derivative_in_lrp", "Relevance is multiplied by a layer's derivative: iNNvestigate's defect, copied.",
            _activations_by_derivative, "rel_l2", "innvestigate-derivative-in-lrp", "activations"),
    _mutant("attention_through_the_query", "Nothing comes by value and key: the defect of iNNvestigate, copied.",
            model_changed(modules_replaced(MultiHeadAttention, _ThroughTheQuery)), "rel_l2",
            "innvestigate-tensors-by-name", "attention"),
    _mutant("later_steps_attended", "Each step sees those behind it, where it must not.",
            model_changed(_later_steps_seen), "rel_l2", "innvestigate-causal-attention", "attention"),
    _mutant("masked_steps_attended", "Steps that do not count are seen like others.",
            model_changed(_every_step_counts), "rel_l2", "innvestigate-masked-attention", "attention"),
    Mutant("derivative_of_a_bounded_relu", "Relevance takes the derivative of a ReLU with a bound, as in iNNvestigate.",
           _activations_by_derivative, "rel_l2", ("bounded",), ("lrp.alpha_2_beta_1", "lrp.z"), where="activations",
           beside="innvestigate-derivative-in-lrp"),
)  # fmt: skip

EXCUSED = (
    _mutant("random_beside_bounded", "Standard normal numbers, where both references are wrong.",
            map_changed(_random), "rel_l2", "signxai-bounded-is-zero"),
    _mutant("narrow_beside_deconvnet", "Only the first three columns are there.", map_changed(_narrow), "shape",
            "signxai-deconvnet-relu-layer"),
    _mutant("deconvnet_as_gradient_beside_relu_layers", "The gradient stands for deconvnet.",
            named(lambda name: name.replace("deconvnet", "gradient")), "rel_l2", "innvestigate-deconvnet-relu-layer"),
    _mutant("plain_rule_on_a_branch", "The input layer takes the rule of the others.",
            named(lambda name: name.replace("lrpsign", "lrp")), "rel_l2", "signxai-input-rule-on-a-branch",
            "first layer"),
    _mutant("sign_forgotten_on_the_last_layer", "The only layer takes the Z rule.", named("lrp_z"), "rel_l2",
            "signxai-sign-rule-on-the-last-layer", "first layer"),
    _mutant("runner_up_beside_a_relu_at_the_end", "The second best class is explained.", RUNNER_UP, "rel_l2",
            "signxai-deconvnet-relu-on-the-output", "class"),
    _mutant("norm_passes_without_offset", "Batch normalisation passes relevance on as it is.", _norm_passes, "rel_l2",
            "signxai-batch-normalization-without-offset", "normalisation"),
    _mutant("weights_off_behind_a_permute", "The first layer reads its channels in reverse order.",
            model_changed(_turned_channels), "rel_l2", "signxai-permute-of-equal-sizes", "one layer"),
    _mutant("baseline_left_out", "Integrated gradients leave out the baseline, at which the gradient jumps.",
            _without_the_baseline, "rel_l2", "kink-at-the-baseline", "baseline"),
    _mutant("one_step_less_beside_a_kink", "Integrated gradients take 49 steps in place of 50.", named(same, steps=49),
            "rel_l2", "kink-at-the-baseline"),
    _mutant("both_ends_for_left", "Integrated gradients are SIGN-XAI's in place of iNNvestigate's.",
            named(lambda name: name.removeprefix("innvestigate.").replace("gradient.baseline", "gradient_x_input")),
            "rel_l2", "innvestigate-batch-normalization-graph"),
)  # fmt: skip

TURNED = ("grad_cam_x_input", "grad_cam_x_sign")

PICTURES = (
    Mutant("nan_beside_a_turned_grad_cam_times_input", "Not a number, where the reference stops.",
           map_changed(lambda values: np.full_like(values, np.nan)), "finite", ("not_square",), TURNED,
           beside="signxai-grad-cam-is-transposed"),
    Mutant("grad_cam_times_input_unturned", "The map lacks its factor, where the reference stops.",
           named(lambda name: name.partition("_x_")[0]), "rel_l2", ("not_square",), TURNED,
           beside="signxai-grad-cam-is-transposed"),
    Mutant("colours_reversed", "The map's colours stand in reverse order (BGR).",
           map_changed(lambda values: values[:, ::-1].copy()), "rel_l2", ("colour",), ("gradient", "lrp_z"),
           where="colours"),
    Mutant("input_colours_reversed", "The input's colours are read in reverse order (BGR).",
           model_changed(_turned_channels), "rel_l2", ("colour",), ("gradient", "lrp_flat"), where="input"),
    Mutant("channels_last_memory", "In float32 the memory of a channels-last map is read channels first.",
           map_changed(lambda values: np.moveaxis(values, 1, -1).copy().reshape(values.shape)), "rel_l2", ("colour",),
           ("gradient", "lrp_z"), "float32"),
    Mutant("colours_averaged", "All colours get their mean.",
           map_changed(lambda values: np.broadcast_to(values.mean(axis=1, keepdims=True), values.shape).copy()),
           "rel_l2", ("colour",), ("lrp_z",), where="colours"),
)  # fmt: skip

MUTANTS: tuple[Mutant, ...] = (*_beside_each(), *COPIED, *EXCUSED, *PICTURES)
"""The mutants of this file."""
