"""For every kind of layer that has an oracle a mistake that a port could make with it, and the comparison sees it.

The mistake is made on the oracle's side of the comparison, which knows no sides.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from tests.signxai_torch.against_oracle import by_oracle, subject
from tests.signxai_torch.oracles import kernels, network, places, sequences, table
from tests.signxai_torch.oracles.formulas import Array
from tests.signxai_torch.oracles.kernels import KERNELS, kernel_of
from tests.signxai_torch.oracles.layer import Inner, Layer, Windows, windows
from tests.signxai_torch.oracles.network import Oracle
from tests.signxai_torch.oracles.table import FORWARD
from tests.signxai_torch.oracles.weightless import RULES, Rule, Site, by_shape, shared
from tests.signxai_torch.single_layers import distance

EXACT, FAR = 1e-10, 1e-6  # what the oracles' tests let pass, and ten thousand times that
Patch = Callable[[pytest.MonkeyPatch], None]


def _entry(entries: dict[str, Any], key: str, value: object) -> Patch:
    return lambda patch: patch.setitem(entries, key, value)


def _replace(target: object, name: str, value: object) -> Patch:
    return lambda patch: patch.setattr(target, name, value)


def _weights_changed(class_name: str, change: Callable[[Array], Array], name: str = "kernel") -> Patch:
    """The layer reads a kernel in another way."""
    right = KERNELS[class_name]

    def wrong(layer: Layer, shape: tuple[int, ...]) -> kernels.Kernel:
        changed = {**layer.weights, name: change(layer.weights[name])}
        return right(Inner(layer.class_name, layer.config, changed), shape)

    return _entry(KERNELS, class_name, wrong)


def _settings_changed(class_name: str, **settings: Callable[[Any], Any]) -> Patch:
    right = FORWARD[class_name]

    def wrong(layer: Layer, *read: Array, **known: Array) -> Array:
        config = {**layer.config, **{name: change(layer.config[name]) for name, change in settings.items()}}
        return right(Inner(class_name, config, layer.weights, layer.keywords), *read, **known)

    return _entry(FORWARD, class_name, wrong)


def _rule(class_name: str, rule: Rule) -> Patch:
    return _entry(RULES, class_name, rule)


def _flipped(w: Array) -> Array:
    return w[::-1]


def _ends_swapped(margins: list[list[int]]) -> list[list[int]]:
    return [pair[::-1] for pair in margins]


def _odd_place_before(*arguments: Any, **settings: Any) -> Windows:
    right = windows(*arguments, **settings)
    spare = [
        (n - 1) * step + taps - size
        for n, step, taps, size in zip(right.output, right.stride, right.kernel, right.size, strict=True)
    ]
    return Windows(
        right.size, right.kernel, right.stride, right.dilation,
        tuple(first + (extra % 2 if extra > 0 else 0) for first, extra in zip(right.before, spare, strict=True)),
        right.output,
    )  # fmt: skip


def _padding_counted(layer: Layer, x: Array) -> Array:
    count = np.prod(layer.config["pool_size"])
    return places._pooled(layer, x, lambda values: values.sum(0) / count)


def _tiled(layer: Layer, x: Array) -> Array:
    return np.tile(x, (*np.atleast_1d(layer.config["size"]), 1))


def _corners_aligned(layer: Layer, x: Array) -> Array:
    for axis, factor in enumerate(layer.config["size"]):
        at = np.linspace(0, x.shape[axis] - 1, x.shape[axis] * factor)
        weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(x.shape[axis])))
        x = np.moveaxis(np.tensordot(weights, x, (1, axis)), 0, axis)
    return x


def _in_equal_parts(site: Site, R: Array) -> list[Array]:
    return [R / len(site.read)] * len(site.read)


def _all_to_each(site: Site, R: Array) -> list[Array]:
    return [R] * len(site.read)


def _weights_of_attention_are_constants(site: Site, R: Array) -> list[Array]:
    of_query, *others = site.derivative(R)
    return [0 * of_query, *others]


def _tokens_averaged(site: Site, R: Array) -> list[Array]:
    return [R.mean(-1)]


def _repeats_averaged(site: Site, R: Array) -> list[Array]:
    return [R.mean(0)]


def _deaf_to_masks(class_name: str) -> Patch:
    right = FORWARD[class_name]
    return _entry(FORWARD, class_name, lambda layer, x, mask=None: right(layer, x))


def _step(class_name: str, **changes: Callable[[Array], Array]) -> Patch:
    """The layer reads its variables in another way."""
    right = sequences.STEPS[class_name]

    @functools.cache
    def changed(layer: Layer) -> Layer:
        weights = {name: changes.get(name, np.asarray)(values) for name, values in layer.weights.items()}
        return Inner(class_name, layer.config, weights)

    return _entry(sequences.STEPS, class_name, lambda layer, x, states: right(changed(layer), x, states))


def _backwards(class_name: str) -> Patch:
    right = FORWARD[class_name]
    return _entry(FORWARD, class_name, lambda layer, x, mask=None: right(layer, x[::-1]))


def _gates_swapped(class_name: str, count: int) -> Patch:
    """The first two of them."""

    def swapped(w: Array) -> Array:
        first, second, *rest = np.split(w, count, axis=-1)
        return np.concatenate([second, first, *rest], -1)

    return _step(class_name, kernel=swapped, recurrent_kernel=swapped, bias=swapped)


def _reset_before(patch: pytest.MonkeyPatch) -> None:
    right = sequences.STEPS["GRU"]

    def wrong(layer: Layer, x: Array, states: sequences.States) -> sequences.States:
        weights = {**layer.weights, "bias": layer.weights["bias"].sum(0)}
        return right(Inner("GRU", {**layer.config, "reset_after": False}, weights), x, states)

    patch.setitem(sequences.STEPS, "GRU", wrong)


def _not_turned_around(patch: pytest.MonkeyPatch) -> None:
    def wrong(layer: Layer, x: Array, mask: Array | None = None) -> Array:
        ways = [sequences.recurrent(sequences._one_way(layer, way), x, mask) for way in ("forward", "backward")]
        return sequences.MERGES[layer.config["merge_mode"]](*ways)

    patch.setitem(FORWARD, "Bidirectional", wrong)


def _second_call_forgotten(patch: pytest.MonkeyPatch) -> None:
    right = Oracle._by_kernel

    def wrong(self: Oracle, layer: Any, read: Array, R: Array, method: Any) -> Array:
        return right(self, layer, read, R, method) * (not layer.name.endswith("_again"))

    patch.setattr(Oracle, "_by_kernel", wrong)


def _inputs_in_another_order(patch: pytest.MonkeyPatch) -> None:
    right = Oracle.relevance
    patch.setattr(Oracle, "relevance", lambda *arguments: right(*arguments)[::-1])


def _another_position(patch: pytest.MonkeyPatch) -> None:
    right = Oracle.relevance
    patch.setattr(Oracle, "relevance", lambda self, method, place: right(self, method, (place[0] - 1, *place[1:])))


EPSILON, GRADIENT = "lrp_epsilon_0_1", "gradient"
# name: (the layers that have it, the network that must notice by a method, what is done)
MISTAKES: dict[str, tuple[str, str, str, Patch]] = {
    "kernel_flipped": ("Conv3D", "conv3d_same_stride_dilation", EPSILON, _weights_changed("Conv3D", _flipped)),
    "odd_place_before": (
        "Conv3D", "conv3d_same_stride_dilation", EPSILON, _replace(kernels, "windows", _odd_place_before)
    ),
    "transposed_kernel_flipped_1d": (
        "Conv1DTranspose", "conv1d_transpose", EPSILON, _weights_changed("Conv1DTranspose", _flipped)
    ),
    "transposed_kernel_flipped_2d": (
        "Conv2DTranspose", "conv2d_transpose", EPSILON, _weights_changed("Conv2DTranspose", _flipped)
    ),
    "transposed_kernel_flipped_3d": (
        "Conv3DTranspose", "conv3d_transpose", EPSILON, _weights_changed("Conv3DTranspose", _flipped)
    ),
    "transposed_cut_at_the_other_end": (
        "Conv2DTranspose", "conv2d_transpose_same_uneven", EPSILON, _replace(kernels, "windows", _odd_place_before)
    ),
    "places_in_reverse": (
        "LocallyConnected1D", "locally_connected1d", EPSILON, _weights_changed("LocallyConnected1D", _flipped)
    ),
    "kernels_in_reverse": (
        "LocallyConnected2D", "locally_connected2d", EPSILON, _weights_changed("LocallyConnected2D", _flipped)
    ),
    "first_of_ties_in_3d": (
        "MaxPooling3D", "max_pooling3d_ties", EPSILON,
        _entry(FORWARD, "MaxPooling3D", lambda layer, x: places._pooled(layer, x, places.first_maximum)),
    ),
    "all_of_ties_in_2d": (
        "MaxPooling2D", "max_pooling2d_ties", EPSILON,
        _entry(FORWARD, "MaxPooling2D", lambda layer, x: places._pooled(layer, x, places.shared_maximum)),
    ),
    "first_of_ties_globally": (
        "GlobalMaxPooling2D", "global_max_pooling2d_ties", EPSILON,
        _entry(FORWARD, "GlobalMaxPooling2D", lambda layer, x: places.first_maximum(x.reshape(-1, x.shape[-1]))),
    ),
    "padding_counted": (
        "AveragePooling3D", "average_pooling3d_overlap", GRADIENT, _entry(FORWARD, "AveragePooling3D", _padding_counted)
    ),
    "averages_by_the_derivative": (
        "AveragePooling3D GlobalAveragePooling3D", "conv3d_global_average_pooling3d", EPSILON,
        _rule("GlobalAveragePooling3D", Site.derivative),
    ),
    "cropped_at_the_other_end": (
        "Cropping3D", "cropping_and_padding3d", EPSILON, _settings_changed("Cropping3D", cropping=_ends_swapped)
    ),
    "padded_at_the_other_end": (
        "ZeroPadding3D", "cropping_and_padding3d", EPSILON, _settings_changed("ZeroPadding3D", padding=_ends_swapped)
    ),
    "padding_hides_the_input": (
        "ZeroPadding3D", "conv3d_average_pooling3d", "flatlrp_alpha_1_beta_0", _replace(network, "SEEN_THROUGH", ())
    ),
    "tiled_1d": ("UpSampling1D", "up_sampling1d", EPSILON, _entry(FORWARD, "UpSampling1D", _tiled)),
    "tiled_2d": ("UpSampling2D", "up_sampling2d", EPSILON, _entry(FORWARD, "UpSampling2D", _tiled)),
    "tiled_3d": ("UpSampling3D", "up_sampling3d", EPSILON, _entry(FORWARD, "UpSampling3D", _tiled)),
    "corners_aligned": (
        "UpSampling2D", "up_sampling2d_bilinear", EPSILON, _entry(FORWARD, "UpSampling2D", _corners_aligned)
    ),
    "nearest_by_corners": (
        "Resizing", "resizing_nearest", EPSILON,
        _entry(FORWARD, "Resizing", lambda layer, x: x[np.arange(6) * 9 // 6][:, np.arange(5) * 7 // 5]),
    ),
    "repeats_averaged": ("RepeatVector", "repeat_vector", EPSILON, _rule("RepeatVector", _repeats_averaged)),
    "permute_moves_nothing": ("Permute", "permute_of_a_square", EPSILON, _rule("Permute", by_shape)),
    "product_in_equal_parts": ("Multiply", "multiply", EPSILON, _rule("Multiply", _in_equal_parts)),
    "gate_takes_nothing": (
        "Multiply", "squeeze_and_excite", EPSILON, _rule("Multiply", lambda site, R: [R, np.zeros(site.read[1].shape)])
    ),
    "mean_by_shares": ("Average", "average_three", EPSILON, _rule("Average", shared)),
    "sum_by_the_derivative": ("Add", "add_three", EPSILON, _rule("Add", Site.derivative)),
    "largest_shares_ties": ("Maximum", "maximum_of_equals", EPSILON, _rule("Maximum", _in_equal_parts)),
    "smallest_shares_ties": ("Minimum", "minimum_of_equals", EPSILON, _rule("Minimum", _in_equal_parts)),
    "sign_forgotten": ("Subtract", "subtract", EPSILON, _rule("Subtract", _all_to_each)),
    "dot_by_shares": ("Dot", "dot", EPSILON, _rule("Dot", shared)),
    "scale_forgotten": (
        "Custom>CustomScaleLayer", "custom_scale", EPSILON, _rule("Custom>CustomScaleLayer", _all_to_each)
    ),
    "tokens_averaged": ("Embedding", "text_cnn", EPSILON, _rule("Embedding", _tokens_averaged)),
    "mask_made_of_another_token": (
        "Embedding", "text_masked_average", EPSILON,
        _entry(table.MAKES_MASK, "Embedding", lambda layer, tokens: tokens.real != 1),
    ),
    "masked_steps_averaged": (
        "GlobalAveragePooling1D", "masked_average", EPSILON, _deaf_to_masks("GlobalAveragePooling1D")
    ),
    "masked_steps_kept": (
        "Masking", "masking", EPSILON, _entry(FORWARD, "Masking", lambda layer, x: x)
    ),
    "mask_not_read": ("LSTM Masking", "masked_lstm", GRADIENT, _deaf_to_masks("LSTM")),
    "steps_by_the_derivative": (
        "TimeDistributed", "time_distributed_keeps_the_shape", EPSILON, _rule("TimeDistributed", Site.derivative)
    ),
    "steps_by_shares": ("TimeDistributed", "time_distributed", EPSILON, _rule("TimeDistributed", shared)),
    **{
        f"{class_name}_by_the_derivative": (class_name, name, EPSILON, _rule(class_name, Site.derivative))
        for class_name, name in (
            ("Rescaling", "rescaling"), ("Normalization", "normalization"), ("LayerScale", "layer_scale"),
            ("LayerNormalization", "layer_normalization"), ("GroupNormalization", "group_normalization"),
            ("UnitNormalization", "unit_normalization"), ("BatchNormalization", "conv3d_batch_normalization"),
            ("BatchNormalizationV1", "batch_normalization_of_tensorflow_1"),
        )
    },
    **{
        f"{class_name}_with_constant_weights": (
            class_name, name, EPSILON, _rule(class_name, _weights_of_attention_are_constants)
        )
        for class_name, name in (
            ("Attention", "attention"), ("AdditiveAttention", "additive_attention"),
            ("MultiHeadAttention", "multi_head_attention"),
        )
    },
    **{
        f"{class_name}_by_the_derivative": (class_name, name, EPSILON, _rule(class_name, Site.derivative))
        for class_name, name in (
            ("ReLU", "relu_with_everything"), ("LeakyReLU", "leaky_relu"), ("ELU", "elu"), ("PReLU", "prelu"),
        )
    },
    "theta_forgotten": ("ThresholdedReLU", "thresholded_relu", GRADIENT, _settings_changed(
        "ThresholdedReLU", theta=lambda value: 0.0
    )),
    "softmax_over_another_axis": ("Softmax", "softmax_over_columns", GRADIENT, _settings_changed(
        "Softmax", axis=lambda value: 1
    )),
    "threshold_forgotten": (
        "ReLU", "relu_with_everything", GRADIENT, _settings_changed("ReLU", threshold=lambda value: 0.0)
    ),
    "sum_of_tensors_by_the_derivative": (
        "TFOpLambda", "sums_and_products", EPSILON, _rule("TFOpLambda", Site.derivative)
    ),
    "function_by_the_derivative": (
        "TFOpLambda", "functions_without_a_layer", EPSILON, _rule("TFOpLambda", Site.derivative)
    ),
    "parts_move_nothing": ("SlicingOpLambda", "parts_of_all_axes", EPSILON, _rule("SlicingOpLambda", by_shape)),
    "mask_ends_at_a_product": (
        "Multiply", "masked_product", EPSILON, _replace(table, "PASSES_MASK", ("Dense", "TimeDistributed"))
    ),
    "attention_sees_all_steps": (
        "Attention", "masked_attention", GRADIENT, _replace(table, "READS_EACH_MASK", ())
    ),
    "LSTM_gates_swapped": ("LSTM", "lstm", GRADIENT, _gates_swapped("LSTM", 4)),
    "GRU_gates_swapped": ("GRU", "gru", GRADIENT, _gates_swapped("GRU", 3)),
    "reset_before_the_product": ("GRU", "masked_recurrences", GRADIENT, _reset_before),
    "recurrent_kernel_transposed": (
        "SimpleRNN", "simple_rnn", GRADIENT, _step("SimpleRNN", recurrent_kernel=np.transpose)
    ),
    "not_turned_around": ("Bidirectional", "bidirectional", GRADIENT, _not_turned_around),
    "state_kernel_flipped_1d": ("ConvLSTM1D", "conv_lstm1d", GRADIENT, _step("ConvLSTM1D", recurrent_kernel=_flipped)),
    "state_kernel_flipped_2d": ("ConvLSTM2D", "conv_lstm", GRADIENT, _step("ConvLSTM2D", recurrent_kernel=_flipped)),
    "cells_from_the_end": ("RNN", "cells_on_each_other", GRADIENT, _backwards("RNN")),
    **{
        f"channels_of_{class_name}_swapped": (
            class_name, name, EPSILON,
            _weights_changed(class_name, lambda kernel: kernel[..., ::-1, :], "depthwise_kernel"),
        )
        for class_name, name in (
            ("DepthwiseConv1D", "depthwise_of_sequences"), ("DepthwiseConv2D", "depthwise_of_pictures"),
            ("SeparableConv1D", "separable_of_sequences"), ("SeparableConv2D", "separable_of_pictures"),
        )
    },
    "second_call_forgotten": ("Dense", "called_on_its_own_result", EPSILON, _second_call_forgotten),
    "one_call_of_two": ("Conv2D", "called_twice_on_one_tensor", EPSILON, _second_call_forgotten),
    "inputs_in_another_order": ("Conv2D", "siamese", EPSILON, _inputs_in_another_order),
    "another_position": ("Dense", "an_output_per_position", EPSILON, _another_position),
    "another_pixel": ("Conv2D", "an_output_per_pixel", EPSILON, _another_position),
}  # fmt: skip
ELSEWHERE = {
    "in test_oracle_can_fail, as single layers": {
        "Conv1D", "MaxPooling1D", "AveragePooling1D", "AveragePooling2D", "GlobalAveragePooling2D",
        "GlobalMaxPooling1D",
    },
    "as those of other dimensions": {"GlobalMaxPooling3D", "ZeroPadding1D", "ZeroPadding2D", "Cropping1D",
                                     "Cropping2D", "ConvLSTM3D"},
    "only move values, or pass them on": {"Flatten", "Reshape", "Concatenate", "CenterCrop", "Activation",
                                          *table.IDENTITIES},
}  # fmt: skip


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Patch], None]]:
    yield lambda patch: patch(monkeypatch)
    kernel_of.cache_clear()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_oracle_notices(mistake, make):
    _, name, method, patch = MISTAKES[mistake]
    one = subject(name, 0)
    found = one.by_port(method)
    assert distance(found, by_oracle(one.oracles, method, one.targets)) <= EXACT
    kernel_of.cache_clear()
    make(patch)
    assert not distance(found, by_oracle(one.fresh_oracles(), method, one.targets)) <= FAR


def test_every_layer_has_a_mistake():
    made = {class_name for classes, *_ in MISTAKES.values() for class_name in classes.split()}
    assert set(FORWARD) - made - set().union(*ELSEWHERE.values()) == set()
