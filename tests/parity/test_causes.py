"""Each known cause is found where it is, by its proof, and nowhere else.

The wrong ports here are made in other ways than those that the causes are proved by: the mutants of the judge, and
rules written out in NumPy for the dense network.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.keras import KerasModule
from parity.run.mutants import table
from parity.run.mutants.mutant import right
from parity.run.subjects import subject as named
from parity.run.trace.causes import APART, CAUSES, SAME, Proof, explained
from tests.parity.small_networks import dense, flatten, layer, normalization, written
from tests.parity.trace_networks import conv, network, relu

pytestmark = pytest.mark.slow

MUTANTS = {one.name: one for one in table.MUTANTS}
VGG, DENSE, RESNET, SERIES = "vgg_mnist", "dense_mnist", "resnet_mnist", "cnn_timeseries"
CHANNELS, NORM, GATE, POOL = "two channels", "a normalisation", "a gate", "average pooling"
MIXED = "inputs of both signs"


@cache
def _loaded(model: str) -> tuple[KerasModule, np.ndarray]:
    if model in (CHANNELS, POOL):
        with tempfile.TemporaryDirectory() as folder:
            source, x = network("series" if model == CHANNELS else "vgg", Path(folder))
            return source.load("float64"), x.array.astype(np.float64)
    if model == NORM:
        layers = (conv("c", "x", 4, 3, "linear"), normalization("n", "c"), relu("r", "n"), flatten("r"),
                  dense("out", "flat"))  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            source, x = written(Path(folder), [6, 6, 2], *layers)
            return source.load("float64"), x.array.astype(np.float64)
    if model == GATE:
        layers = (dense("a", "x", activation="sigmoid"), dense("b", "x"), layer("Multiply", "m", "a", "b"),
                  dense("out", "m"))  # fmt: skip
        with tempfile.TemporaryDirectory() as folder:
            source, x = written(Path(folder), [4], *layers)
            return source.load("float64"), x.array.astype(np.float64)
    if model == MIXED:
        with tempfile.TemporaryDirectory() as folder:
            source, x = written(
                Path(folder), [6], dense("a", "x", units=5, activation="relu"), dense("out", "a"), seed=4
            )
            return source.load("float64"), x.array.astype(np.float64)
    return resolve(model).load("float64"), next(iter(default_inputs(resolve(model)))).array.astype(np.float64)


def module_of(model: str) -> KerasModule:
    return _loaded(model)[0]


def input_of(model: str) -> np.ndarray:
    return _loaded(model)[1]


def target_of(model: str) -> int:
    return int(module_of(model).logits(input_of(model)[None]).argmax())


def map_of(function: Callable[..., Any], model: str, method: str, target: int | None = None) -> np.ndarray:
    module = module_of(model)
    label = target_of(model) if target is None else target
    made = function(module, module.to_torch(input_of(model)[None]), method, [label])
    return module.to_keras(made if not isinstance(made, torch.Tensor) else made.detach())[0]


def cause_of(subject: np.ndarray, model: str, method: str, target: int | None = None) -> str | None:
    label = target_of(model) if target is None else target
    reference = map_of(right, model, method, label)
    proof = explained(module_of(model), input_of(model), label, method, reference, subject)
    return None if proof is None else proof.cause.name


BY_MUTANT = (
    ("start_at_one", DENSE, "lrp_z", "start_at_one"),
    ("start_at_one", VGG, "lrpsign_epsilon_0_1", "start_at_one"),
    ("guided_starts_at_one", VGG, "guided_backprop", "start_at_one"),
    ("start_at_the_probability", RESNET, "lrp_z", "softmax_kept"),
    ("start_at_the_logit", SERIES, "gradient", "start_at_the_logit"),
    ("all_classes_explained", DENSE, "lrp_z", "classes_summed"),
    ("all_classes_explained", SERIES, "gradient", "classes_summed"),
    ("next_class", DENSE, "lrp_epsilon_0_1", "target_next"),
    ("runner_up", RESNET, "gradient", "runner_up"),
    ("bias_dropped_by_the_rule", SERIES, "lrp_z", "bias_dropped_and_start"),
    ("bias_counted_without_need", SERIES, "lrp_z_IB", "bias_counted"),
    ("epsilon_without_sign", RESNET, "lrp_epsilon_0_1", "epsilon_without_sign"),
    ("epsilon_of_zennit", DENSE, "lrp_epsilon_0_001", "epsilon_1e-6"),
    ("deviation_ddof_1", DENSE, "lrp_epsilon_0_25_std_x", "ddof_1"),
    ("deviation_about_zero", VGG, "lrpsign_epsilon_0_25_std_x", "deviation_about_zero"),
    ("variance_for_deviation", SERIES, "lrp_epsilon_0_5_std_x", "variance"),
    ("sign_of_zero_is_zero", DENSE, "lrpsign_z", "sign_of_zero_is_zero"),
    ("sign_of_zero_is_minus", DENSE, "gradient_x_sign", "sign_of_zero_is_minus"),
    ("sign_after_the_map", VGG, "lrpsign_epsilon_0_1", "sign_afterwards"),
    ("mu_ignored", VGG, "gradient_x_sign_mu_neg_0_5", "mu_ignored"),
    ("mu_itself_is_below", DENSE, "gradient_x_sign_mu_0", "mu_below"),
    ("z_plus_for_z", DENSE, "lrp_z", "z_plus"),
    ("alpha_1_for_2", RESNET, "lrp_alpha_2_beta_1", "alpha_1_beta_0"),
    ("input_rule_nowhere", VGG, "lrpsign_z", "input_rule_missing"),
    ("norm_passes", RESNET, "lrp_z", "norm_passed"),
    ("activations_block", VGG, "lrp_flat", "activations_block"),
    ("deconvnet_as_guided", VGG, "deconvnet", "guided_for_deconvnet"),
    ("guided_as_gradient", SERIES, "guided_backprop", "guided_as_gradient"),
    ("average_as_gradient", POOL, "lrp_z", "average_as_gradient"),
    ("composite_a_for_b", VGG, "lrp_sequential_composite_b", "alpha_1_beta_0"),
)


@pytest.mark.parametrize(("mutant", "model", "method", "cause"), BY_MUTANT, ids=lambda one: str(one))
def test_the_cause_of_a_mutant_is_found(mutant, model, method, cause):
    assert cause_of(map_of(MUTANTS[mutant].function, model, method), model, method) == cause


# --- ports written out here ------------------------------------------------------------------------------------------


def numpy_lrp(
    stable: Callable[[np.ndarray], np.ndarray], bias: float = 1.0, shared: bool = False, start: float | None = None
) -> np.ndarray:
    """LRP of the dense network: `stable` makes the denominators, the bias counts in them `bias` times."""
    layers = [one for one in module_of(DENSE).modules() if isinstance(one, nn.Linear)]
    x, made = input_of(DENSE).reshape(-1), []
    for place, one in enumerate(layers):
        weight, offset = one.weight.numpy(), one.bias.numpy()
        made.append((x, weight, offset, weight @ x + offset))
        x = made[-1][-1] if place == len(layers) - 1 else np.maximum(made[-1][-1], 0)
    relevance = np.zeros_like(x)
    relevance[target_of(DENSE)] = x[target_of(DENSE)] if start is None else start
    for below, weight, offset, z in reversed(made):
        ratio = relevance / stable(weight @ below + bias * offset)
        relevance = below * (weight.T @ ratio)
        if shared:
            relevance = relevance + (offset * ratio).sum() / len(below)
        del z
    return relevance.reshape(input_of(DENSE).shape)


def epsilon(size: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda z: z + size * np.where(z >= 0, 1.0, -1.0)


def test_the_written_out_rule_is_the_ports_own():
    np.testing.assert_allclose(numpy_lrp(epsilon(0.1)), map_of(right, DENSE, "lrp_epsilon_0_1"), rtol=1e-9, atol=1e-15)


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (lambda: numpy_lrp(epsilon(0.1), bias=0.0), "bias_dropped"),
        (lambda: numpy_lrp(epsilon(0.1), shared=True), "bias_shared"),
        (lambda: numpy_lrp(epsilon(0.1), start=1.0), "start_at_one"),
        (lambda: numpy_lrp(lambda z: z), "epsilon_dropped"),
        (lambda: numpy_lrp(lambda z: epsilon(0.1 * np.abs(z).mean())(z)), "epsilon_times_mean"),
        (lambda: numpy_lrp(lambda z: epsilon(0.1 * z.std())(z)), "epsilon_times_deviation"),
        (lambda: numpy_lrp(epsilon(1e-9)), "epsilon_1e-9"),
    ],
    ids=["bias dropped", "bias shared", "one", "none", "mean", "deviation", "captum"],
)
def test_the_cause_of_a_rule_written_out_is_found(wrong, cause):
    found = cause_of(wrong(), DENSE, "lrp_epsilon_0_1")
    # Without epsilon and with a tiny one are the same to the digits that count.
    assert found == cause or {found, cause} == {"epsilon_dropped", "epsilon_1e-9"}


def numpy_alpha_beta(alpha: float, beta: float, negative_inputs: bool = True) -> np.ndarray:
    """Alpha-beta of two dense layers; the whole bias counts in both denominators, as in the originals."""
    x, made = input_of(MIXED), []
    for name in ("a", "out"):
        weight, bias = (one.numpy() for one in module_of(MIXED).get_submodule(name).parameters())
        made.append((x, weight, bias))
        x = np.maximum(weight @ x + bias, 0) if name == "a" else weight @ x + bias
    relevance = np.where(np.arange(len(x)) == target_of(MIXED), x, 0.0)
    for below, weight, bias in reversed(made):
        up, down = np.maximum(below, 0), np.minimum(below, 0) if negative_inputs else np.zeros_like(below)
        more, less = np.maximum(weight, 0), np.minimum(weight, 0)

        def part(mine: np.ndarray, other: np.ndarray, up=up, down=down, bias=bias, arriving=relevance) -> np.ndarray:
            ratio = arriving / (mine @ up + other @ down + bias)
            return up * (mine.T @ ratio) + down * (other.T @ ratio)

        relevance = alpha * part(more, less) - (beta * part(less, more) if beta else 0)
    return relevance


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        (lambda: numpy_alpha_beta(1.0, 2.0), "alpha_beta_exchanged"),
        (lambda: numpy_alpha_beta(2.0, 1.0, negative_inputs=False), "negative_inputs_dropped"),
    ],
    ids=["exchanged", "no negative inputs"],
)
def test_the_cause_of_alpha_beta_written_out_is_found(wrong, cause):
    assert input_of(MIXED).min() < 0 < input_of(MIXED).max()
    np.testing.assert_allclose(numpy_alpha_beta(2.0, 1.0), map_of(right, MIXED, "lrp_alpha_2_beta_1"), rtol=1e-9)
    assert cause_of(wrong(), MIXED, "lrp_alpha_2_beta_1") == cause


def _merged(model: nn.Module, x: torch.Tensor, method: str, target: list[int]) -> Any:
    """Explain a copy in which the normalisation is folded into the convolution before it."""
    spoilt = copy.deepcopy(model)
    conv, norm = spoilt.get_submodule("c"), spoilt.get_submodule("n")
    with torch.no_grad():
        factor = norm.weight / (norm.running_var + norm.eps).sqrt()
        conv.bias.copy_((conv.bias - norm.running_mean) * factor + norm.bias)
        conv.weight.mul_(factor.reshape(-1, 1, 1, 1))
    spoilt.n = nn.Identity()
    return right(spoilt, x, method, target)


def test_a_merged_normalisation_is_found():
    assert cause_of(map_of(_merged, NORM, "lrp_epsilon_0_1"), NORM, "lrp_epsilon_0_1") == "norm_merged"


def test_a_gate_that_gets_relevance_is_found():
    """LRP-z written out, with half of the product's relevance for each factor."""
    layers = {name: module_of(GATE).get_submodule(name) for name in ("a", "b", "out")}
    x = input_of(GATE)
    made = {name: layers[name].weight.numpy() @ x + layers[name].bias.numpy() for name in ("a", "b")}
    product = made["b"] / (1 + np.exp(-made["a"]))
    label = target_of(GATE)
    row = layers["out"].weight.numpy()[label]
    arriving = product * row  # the logit, over itself
    shares = {name: x * (layers[name].weight.numpy().T @ (arriving / 2 / made[name])) for name in made}
    assert cause_of(shares["a"] + shares["b"], GATE, "lrp_z") == "gate_gets_relevance"


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda R: np.maximum(R, 0), "negative_dropped"),
        (np.abs, "absolute"),
        (lambda R: -R, "sign_turned"),
        (lambda R: R.transpose(1, 0, 2), "transposed"),
        (lambda R: R[:, ::-1], "flipped"),
        (lambda R: R / np.abs(R).max(), "over_maximum"),
        (lambda R: (R - R.min()) / (R.max() - R.min()), "between_0_and_1"),
        (lambda R: np.zeros_like(R), "zero"),
        (lambda R: R**2, "squared"),
        (lambda R: R / R.sum(), "over_sum"),
    ],
    ids=["positive", "absolute", "sign", "transposed", "flipped", "maximum", "range", "zero", "squared", "sum"],
)
def test_what_is_done_to_a_map_is_found(change, cause):
    assert cause_of(change(map_of(right, VGG, "lrp_z")), VGG, "lrp_z") == cause


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda R: R.sum(-1, keepdims=True) + 0 * R, "channels_summed"),
        (lambda R: R.mean(-1, keepdims=True) + 0 * R, "channels_averaged"),
        (lambda R: np.abs(R).sum(-1, keepdims=True) + 0 * R, "channels_absolute"),
        (lambda R: R[..., ::-1], "channels_reversed"),
    ],
)
def test_what_is_done_to_channels_is_found(change, cause):
    assert input_of(CHANNELS).shape[-1] > 1
    assert cause_of(change(map_of(right, CHANNELS, "lrp_z")), CHANNELS, "lrp_z") == cause


@pytest.mark.parametrize(
    ("model", "method", "instead", "cause"),
    [
        (SERIES, "guided_backprop", "deconvnet", "deconvnet_for_guided"),
        (VGG, "lrp_alpha_1_beta_0", "lrp_alpha_2_beta_1", "alpha_2_beta_1"),
        (VGG, "gradient_x_input", "gradient", "factor_forgotten"),
        (DENSE, "lrp_epsilon_0_25_std_x", "lrp_epsilon_0_25", "epsilon_for_factor"),
    ],
)
def test_another_method_in_its_place_is_found(model, method, instead, cause):
    def wrong(module, x, asked, target):
        assert asked == method
        return right(module, x, instead, target)

    assert cause_of(map_of(wrong, model, method), model, method) == cause


@pytest.mark.parametrize(
    ("library", "model", "method", "cause"),
    [
        ("zennit", SERIES, "lrp_alpha_2_beta_1", "bias_by_sign"),
        ("zennit", SERIES, "lrp_z_plus", "bias_by_sign"),
        ("numpy_lrp", VGG, "lrp_alpha_1_beta_0", "bias_by_sign"),
        ("zennit", DENSE, "lrp_w_square", "bias_squared"),
        ("zennit", SERIES, "w2lrp_z", "bias_squared"),
        ("zennit", DENSE, "integrated_gradients", "riemann_right"),
        ("captum", DENSE, "integrated_gradients", "gauss_legendre"),
    ],
)
def test_the_cause_of_a_stock_library_is_found(library, model, method, cause):
    pytest.importorskip("captum")
    (answer,) = (
        named(library)
        .attribute_many(module_of(model), input_of(model)[None], [target_of(model)], {method: {}})
        .values()
    )
    assert cause_of(answer.array[0], model, method) == cause


@pytest.mark.parametrize(
    ("method", "instead", "cause"),
    [
        ("integrated_gradients", "innvestigate.integrated_gradients", "riemann_left"),
        ("innvestigate.integrated_gradients", "integrated_gradients", "both_ends"),
    ],
)
def test_the_other_reference_s_path_is_found(method, instead, cause):
    def wrong(module, x, asked, target):
        return right(module, x, instead, target, steps=64 if "." in asked else 50)

    assert cause_of(map_of(wrong, VGG, method), VGG, method) == cause


def test_the_class_before_is_found():
    before = (target_of(VGG) - 1) % 10
    assert cause_of(map_of(right, VGG, "lrp_z", before), VGG, "lrp_z") == "target_before"


def test_the_gradient_of_the_probability_is_found():
    """Written out: p (dz - the mean of all dz under p)."""
    logits = module_of(CHANNELS).logits(input_of(CHANNELS)[None])[0]
    share = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    gradients = [map_of(right, CHANNELS, "gradient", label) for label in range(len(logits))]
    mean = sum(p * one for p, one in zip(share, gradients, strict=True))
    wrong = share[target_of(CHANNELS)] * (gradients[target_of(CHANNELS)] - mean)
    assert cause_of(wrong, CHANNELS, "gradient") == "gradient_of_the_probability"


def test_the_largest_logit_in_place_of_the_target_is_found():
    other = (target_of(VGG) + 3) % 10
    assert cause_of(map_of(right, VGG, "lrp_z"), VGG, "lrp_z", target=other) in ("arg_max",)


# --- where there is no cause -----------------------------------------------------------------------------------------

OTHERWISE_WRONG = (
    ("scaled", lambda R: 1.03 * R),
    ("noisy", lambda R: R * (1 + 1e-3 * np.random.default_rng(0).normal(size=R.shape))),
    ("shifted", lambda R: np.roll(R, 1, axis=0)),
    ("nearly absolute", lambda R: np.abs(R) * (1 + 1e-8)),
    ("nearly positive", lambda R: np.maximum(R, -1e-7 * np.abs(R).max())),
    ("nearly right", lambda R: R * (1 + 1e-9)),
)


@pytest.mark.parametrize(
    ("model", "method"),
    [
        (VGG, "lrp_z"),
        (DENSE, "lrp_epsilon_0_25_std_x"),
        (SERIES, "gradient"),
        (RESNET, "lrp_alpha_2_beta_1"),
        (VGG, "lrpsign_epsilon_0_1"),
    ],
)
@pytest.mark.parametrize(("name", "change"), OTHERWISE_WRONG, ids=[name for name, _ in OTHERWISE_WRONG])
def test_no_cause_is_told_where_it_is_another(name, change, model, method):
    assert cause_of(change(map_of(right, model, method)), model, method) is None


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.name)
def test_a_cause_is_not_found_where_the_mistake_is_not_made(cause):
    """One by one, on maps that are wrong in other ways, and on the right one."""
    for method in ("lrp_z", "lrpsign_epsilon_0_1", "lrp_epsilon_0_25_std_x", "gradient_x_sign", "lrp_alpha_2_beta_1"):
        reference = map_of(right, DENSE, method)
        for subject in (reference, 1.03 * reference, np.roll(reference, 1), reference + np.abs(reference).max()):
            found = explained(module_of(DENSE), input_of(DENSE), target_of(DENSE), method, reference, subject,
                              causes=[cause])  # fmt: skip
            assert found is None


def test_a_port_that_is_not_the_reference_here_proves_nothing():
    reference = 2 * map_of(right, VGG, "lrp_z")
    assert explained(module_of(VGG), input_of(VGG), target_of(VGG), "lrp_z", reference, np.abs(reference)) is None


def test_float32_proves_nothing():
    module = resolve(DENSE).load("float32")
    reference = map_of(right, DENSE, "lrp_z")
    assert explained(module, input_of(DENSE), target_of(DENSE), "lrp_z", reference, np.abs(reference)) is None


def test_the_proof_says_what_and_how_well():
    reference = map_of(right, DENSE, "lrp_z")
    proof = explained(module_of(DENSE), input_of(DENSE), target_of(DENSE), "lrp_z", reference, np.abs(reference))
    assert isinstance(proof, Proof)
    assert proof.rel_l2 <= SAME < APART
    assert str(proof).startswith("The subject's map is the reference's with the absolute values of the map, to ")


def test_names_are_said_once():
    names = [cause.name for cause in CAUSES]
    assert len(set(names)) == len(names) >= 12
