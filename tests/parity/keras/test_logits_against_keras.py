"""Logits of converted models against Keras's own, in both precisions and from every file format."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import parity.keras
from parity.keras import ConversionError, KerasModule, stored, weights
from parity.keras.config import Config
from parity.keras.handlers import kernels, layouts, local, shapes, transposed, windows
from parity.keras.handlers.table import HANDLERS
from parity.keras.modules import padding, pooling, tokens
from parity.keras.modules.padding import pad_argument, same_margin
from tests.parity.keras.recipes import ALL_FORMATS, RECIPES, ROUNDED

pytestmark = pytest.mark.reference

LIMITS = {"float32": 1e-5, "float64": 1e-12}
NAMED = [name for name in RECIPES if not name.startswith("random_")]
FORMATS = ["-by-name.h5", "-by-position.weights.h5", ".keras"]


def difference(module: KerasModule, truth: Path, name: str, precision: str) -> float:
    """Return the relative L2 distance of the module's logits to Keras's."""
    with np.load(truth / f"{name}.npz") as truths:
        x, expected = truths["x"], truths[precision]
    assert np.isfinite(expected).all()
    assert np.linalg.norm(expected) > 1e-3, "logits of zero would agree with anything"
    logits = module.logits(x)
    assert logits.shape == expected.shape
    return float(np.linalg.norm(logits - expected) / np.linalg.norm(expected))


def file_of(name: str, precision: str) -> str:
    """Return the file whose logits Keras computed in a precision."""
    return f"{name}-float64.h5" if precision == "float64" and name in ROUNDED else f"{name}.h5"


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("name", RECIPES)
def test_logits(truth, name, precision):
    module = parity.keras.load(truth / file_of(name, precision), dtype=getattr(torch, precision))
    assert difference(module, truth, name, precision) <= LIMITS[precision]


@pytest.mark.parametrize("name", ["valid", "residual", "separable", "conv1d", "nested_frozen", "layer_leaky_alpha"])
def test_logits_of_a_float64_file(truth, name):
    module = parity.keras.load(truth / f"{name}-float64.h5", dtype=torch.float64)
    assert difference(module, truth, name, "float64") <= LIMITS["float64"]


@pytest.mark.parametrize("ending", FORMATS)
@pytest.mark.parametrize("name", ALL_FORMATS)
def test_file_formats(truth, name, ending):
    module = parity.keras.load(truth / f"{name}{ending}", dtype=torch.float64)
    assert difference(module, truth, name, "float64") <= LIMITS["float64"]


@pytest.mark.parametrize("ending", [".h5", "-by-name.h5"])
def test_layers_for_gpus_are_plain_ones_also_where_the_architecture_says_so_already(truth, ending):
    module = parity.keras.load(truth / f"layers_for_gpus{ending}")
    assert difference(module, truth, "layers_for_gpus", "float32") <= LIMITS["float32"]
    assert "layers for GPUs as plain ones" in module.description.spelled


def test_config_beside_weights_can_be_named(truth, tmp_path):
    config = tmp_path / "elsewhere.json"
    config.write_text((truth / "residual-by-name.json").read_text())
    weights = tmp_path / "w.h5"
    weights.write_bytes((truth / "residual-by-name.h5").read_bytes())
    module = parity.keras.load(weights, config=config, dtype=torch.float64)
    assert difference(module, truth, "residual", "float64") <= LIMITS["float64"]


@pytest.mark.parametrize("name", NAMED)
def test_softmax_of_the_logits_is_the_saved_models_output(truth, name):
    """What was recorded as removed, and nothing else, was removed."""
    module = parity.keras.load(truth / file_of(name, "float64"), dtype=torch.float64)
    with np.load(truth / f"{name}.npz") as truths:
        x, expected = truths["x"], truths["output"]
    logits = torch.from_numpy(module.logits(x))
    output = logits.softmax(-1) if module.description.removed_softmax else logits
    np.testing.assert_allclose(output.numpy(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in NAMED if not name.startswith(("activation_", "layer_"))])
def test_every_submodule_is_called_exactly_once(truth, name):
    module = parity.keras.load(truth / f"{name}.h5")
    calls = {child_name: 0 for child_name, _ in module.named_children()}
    for child_name, child in module.named_children():
        child.register_forward_hook(lambda *_, n=child_name: calls.__setitem__(n, calls[n] + 1))
    with np.load(truth / f"{name}.npz") as truths:
        module.logits(truths["x"])
    assert set(calls.values()) == {1}


def test_nested_weights_in_layer_order_are_refused(truth, monkeypatch):
    """The recipe is worth its name: Keras stores these weights in another order than that of the layers."""
    everything_trains = weights._stored_order

    def in_layer_order(nodes, variables_of):
        trains = lambda node: tuple(replace(variable, trainable=True) for variable in variables_of(node))  # noqa: E731
        return everything_trains([replace(node, config={**node.config, "trainable": True}) for node in nodes], trains)

    monkeypatch.setattr(weights, "_stored_order", in_layer_order)
    with pytest.raises(ConversionError, match="stands where"):
        parity.keras.load(truth / "nested_frozen.h5")


# Mutants of the converter: each must make the logits differ by far more than the limit.


def _chw_flatten(monkeypatch):
    monkeypatch.setattr(shapes, "flatten_order", lambda sizes: None)


def _even_same_padding(monkeypatch):
    def moved(*arguments):
        place = windows.window(*arguments)
        margins = tuple((after, before) for before, after in place.margins)
        return windows.Window(place.kernel, place.stride, place.dilation, margins, place.spatial)

    monkeypatch.setattr(kernels, "window", moved)


def _padding_counted(monkeypatch):
    monkeypatch.setattr(pooling.PaddedAvgPool2d, "forward", _average_with_padding)


def _average_with_padding(self, x):
    return nn.AvgPool2d.forward(self, functional.pad(x, pad_argument(self.margins)))


def _zero_padded_max(monkeypatch):
    monkeypatch.setattr(
        pooling.PaddedMaxPool2d,
        "forward",
        lambda self, x: nn.MaxPool2d.forward(self, functional.pad(x, pad_argument(self.margins))),
    )


def _default_epsilon(monkeypatch):
    number = Config.number
    monkeypatch.setattr(
        Config, "number", lambda self, key, *rest: 1e-5 if key == "epsilon" else number(self, key, *rest)
    )


def _scale_and_offset_exchanged(monkeypatch):
    variables = shapes.batch_normalization_variables

    def exchanged(config):
        gamma, beta, *moving = variables(config)
        return beta, gamma, *moving

    mutant = replace(HANDLERS["BatchNormalization"], variables=exchanged)
    monkeypatch.setitem(HANDLERS, "BatchNormalization", mutant)
    monkeypatch.setattr(weights, "_cross_check", lambda *arguments: None)


def _keras_3_names(monkeypatch):
    monkeypatch.setattr(stored, "_keras_major", lambda *arguments: 3)


def _margins_of_same_moved(monkeypatch):
    monkeypatch.setattr(padding, "same_margin", lambda *sizes: same_margin(*sizes)[::-1])


def _transposed_cut_moved(monkeypatch):
    cut = transposed._cut
    monkeypatch.setattr(transposed, "_cut", lambda *arguments: cut(*arguments)[::-1])


def _bias_moved_with_the_channels(monkeypatch):
    monkeypatch.setattr(local, "shaped_bias", lambda values, channels_first: np.moveaxis(values, -1, 0))


def _axis_of_channels_kept(monkeypatch):
    monkeypatch.setattr(layouts, "_axis_of", lambda axis, rank: -1 if rank == 1 else rank - 1)


def _mask_of_zeros(monkeypatch):
    monkeypatch.setattr(tokens.Masking, "forward", lambda self, x: x)


MUTANTS = {
    "open length: the odd place at the start": (_margins_of_same_moved, "open_length_same_strides"),
    "transposed convolution: the odd place cut at the start": (_transposed_cut_moved, "transposed_2d_same_3_2"),
    "unshared kernel: bias moved with the channels": (_bias_moved_with_the_channels, "first_connected_2d_1"),
    "channels first: another axis is normalised": (_axis_of_channels_kept, "first_images_axis"),
    "mask without effect": (_mask_of_zeros, "masking"),
    "flatten channels first": (_chw_flatten, "valid"),
    "flatten series channels first": (_chw_flatten, "flattened_series"),
    "same padding: odd pixel at the start": (_even_same_padding, "same_even_kernel_stride_2"),
    "average pooling counts the padding": (_padding_counted, "pooling_2d"),
    "max pooling pads zeros": (_zero_padded_max, "pooling_2d"),
    "epsilon not copied": (_default_epsilon, "residual"),
    "scale and offset of batch normalisation exchanged": (_scale_and_offset_exchanged, "batch_normalization_axes"),
    "hard_sigmoid of Keras 3": (_keras_3_names, "activation_hard_sigmoid"),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_caught(truth, monkeypatch, mutant):
    mutate, name = MUTANTS[mutant]
    mutate(monkeypatch)
    module = parity.keras.load(truth / f"{name}.h5")
    assert difference(module, truth, name, "float32") > 100 * LIMITS["float32"]
