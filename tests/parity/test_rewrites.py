"""Equivalent networks: the same function, on which the difference that they are made for no longer applies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parity import keras
from parity.assets.source import ModelSource
from parity.judge.known import rewrites
from parity.judge.known.arrival import arrival_order
from parity.judge.known.conditions import masked
from parity.judge.known.rewrite import NoEquivalentError, Rewrite
from parity.judge.known.rewrites import REWRITES, without_offsets
from parity.judge.known.table import BY_NAME
from parity.keras.network import Network, NetworkLayer, network_of, read_network, write_network
from parity.run.subjects import parse
from tests.parity.odd_networks import nested
from tests.parity.small_networks import Layer, conv, dense, flatten, layer, normalization, written, written_row

TARGETS = (0, 2)


def relu(name: str, before: str) -> Layer:
    return layer("ReLU", name, before)


def joined(*order: str) -> Layer:
    return layer("Concatenate", "join", *order, axis=-1)


BRANCHES = [dense("s", "x", activation="relu"), dense("a", "s"), dense("b", "s"), layer("Add", "sum", "a", "b"),
            dense("o", "sum")]  # fmt: skip
SWAPPED = [dense("f", "x", units=4), joined("x", "f"), dense("o", "join")]
DEEP = [dense("f", "x"), dense("g", "f"), dense("h", "g", units=2), joined("x", "f", "h"), dense("o", "join")]
TWICE = [dense("f", "x", units=4), joined("x", "f"), dense("g", "join"),
         layer("Concatenate", "again", "join", "g", axis=-1), dense("o", "again")]  # fmt: skip
# No order of x's readers will do: "x2" waits for "p" alone, "x5" for "h" alone, and "x1" for both.
CELL = [dense("p", "x", units=3), dense("h", "x", units=3), layer("Add", "x1", "h", "p"), dense("x2", "p", units=2),
        dense("x5", "h", units=4), joined("p", "x1", "x2", "x5"), dense("o", "join")]  # fmt: skip
PERMUTED = [layer("Permute", "p", "x", dims=[3, 2, 1]), flatten("p"), dense("h", "flat"), dense("o", "h")]

# Rewrite, input, layers, and (difference, method) that applies before and no longer afterwards.
# (layers may be the name of a network in tests/parity/judged).
Example = tuple[Rewrite, list[int], list[Layer] | str, list[tuple[str, str]]]
EXAMPLES: dict[str, Example] = {
    "branch": (rewrites.NO_BRANCH_AT_A_LAYER, [5], BRANCHES, [("signxai-input-rule-on-a-branch", "lrpsign_z")]),
    "relu layer": (
        rewrites.RELU_ATTRIBUTE,
        [5, 4, 2],
        [conv("f", "x", activation="linear"), relu("r", "f"), flatten("r"), dense("o", "flat")],
        [("signxai-deconvnet-relu-layer", "deconvnet"), ("innvestigate-deconvnet-relu-layer", "deconvnet")],
    ),
    "no offset": (
        rewrites.ZERO_OFFSET,
        [5, 4, 2],
        [conv("f", "x"), normalization("bn", "f", center=False), flatten("bn"), dense("o", "flat")],
        [("signxai-batch-normalization-without-offset", "lrp_z")],
    ),
    "no offset, no scale": (
        rewrites.ZERO_OFFSET,
        [5],
        [dense("h", "x"), layer("BatchNormalization", "bn", "h", epsilon=1e-3, scale=False, center=False),
         dense("o", "bn")],
        [("signxai-batch-normalization-without-offset", "lrp_z")],
    ),
    "permute": (
        rewrites.PERMUTE_THROUGH_ANOTHER_SHAPE, [4, 5, 4], PERMUTED, [("signxai-permute-of-equal-sizes", "lrp_z")],
    ),
    "permute a series": (
        rewrites.PERMUTE_THROUGH_ANOTHER_SHAPE,
        [4, 4],
        [layer("Permute", "p", "x", dims=[2, 1]), flatten("p"), dense("h", "flat"), dense("o", "h")],
        [("signxai-permute-of-equal-sizes", "lrp_z")],
    ),
    "permute round": (
        rewrites.PERMUTE_THROUGH_ANOTHER_SHAPE,
        [3, 3, 3],
        [layer("Permute", "p", "x", dims=[2, 3, 1]), layer("Permute", "q", "p", dims=[2, 1, 3]), flatten("q"),
         dense("o", "flat")],
        [("signxai-permute-of-equal-sizes", "lrp_z")],
    ),
    "order": (rewrites.IN_ORDER_OF_ARRIVAL, [3], SWAPPED, [("signxai-concatenate-order", "gradient")]),
    "order of three": (rewrites.IN_ORDER_OF_ARRIVAL, [3], DEEP, [("signxai-concatenate-order", "gradient")]),
    "order twice": (rewrites.IN_ORDER_OF_ARRIVAL, [3], TWICE, [("signxai-concatenate-order", "gradient")]),
    "order of a cell": (rewrites.IN_ORDER_OF_ARRIVAL, [3], CELL, [("signxai-concatenate-order", "gradient")]),
    "class": (
        rewrites.ONLY_THE_TARGET,
        [5],
        [dense("h", "x"), dense("o", "h"), layer("Activation", "a", "o", activation="tanh")],
        [("signxai-relevance-of-all-classes", "lrp_z")],
    ),
    "class of a normalization": (
        rewrites.ONLY_THE_TARGET,
        [5],
        [dense("h", "x"), dense("o", "h"), normalization("bn", "o")],
        [("signxai-batch-normalization-at-the-end", "lrp_flat")],
    ),
    "behind": (
        rewrites.LAYER_BEHIND_THE_OUTPUT,
        [5],
        [dense("o", "x")],
        [("signxai-sign-rule-on-the-last-layer", "lrpsign_z")],
    ),
    "behind a relu": (
        rewrites.LAYER_BEHIND_THE_OUTPUT,
        [5],
        [dense("h", "x"), dense("o", "h", activation="relu")],
        [("signxai-deconvnet-relu-on-the-output", "deconvnet")],
    ),
    "leaky relu": (
        rewrites.FUNCTION_OF_AN_ACTIVATION,
        [5, 4, 2],
        [conv("f", "x", activation="linear"), layer("LeakyReLU", "r", "f", alpha=0.25), flatten("r"),
         dense("o", "flat")],
        [("innvestigate-derivative-in-lrp", "lrp.z"), ("innvestigate-derivative-in-lrp", "lrp.flat")],
    ),
    "relu with a slope, a bound and a threshold": (
        rewrites.FUNCTION_OF_AN_ACTIVATION,
        [5, 4, 2],
        [conv("f", "x", activation="linear"),
         layer("ReLU", "r", "f", negative_slope=0.1, max_value=0.5, threshold=0.1), flatten("r"),
         layer("ELU", "e", "flat", alpha=0.7), dense("o", "e")],
        [("innvestigate-derivative-in-lrp", "lrp.alpha_2_beta_1")],
    ),
    "normalization": (
        rewrites.NORMALIZATION_AS_DENSE,
        [23], "two_inputs_normalized",
        [("innvestigate-batch-normalization-of-several-inputs", "gradient")],
    ),
    "augmentation": (
        rewrites.AUGMENTATION_OFF,
        [7, 5, 3],
        [layer("RandomFlip", "r", "x", mode="horizontal", seed=None), conv("f", "r"),
         layer("RandomContrast", "c", "f", factor=0.3, seed=None), flatten("c"), dense("o", "flat")],
        [("augmentation", "gradient")],
    ),
    "resized for several": (
        rewrites.ROUNDED_ONCE, [4, 5, 2],
        [layer("Resizing", "r", "x", height=6, width=7), conv("f", "r"), layer("Concatenate", "c", "r", "r", axis=-1),
         conv("g", "c"), layer("Add", "s", "f", "g"), flatten("s"), dense("o", "flat")],
        [("signxai-rounded-for-each-reader", "lrp_z"), ("signxai-rounded-for-each-reader", "gradient")],
    ),
    "attention": (
        rewrites.ATTENTION_BY_HEADS, [5, 4], "attention_with_a_key",
        [("signxai-tensors-by-name", "lrp_z"), ("innvestigate-tensors-by-name", "lrp.z")],
    ),
    "attention twice": (
        rewrites.ATTENTION_BY_HEADS, [5, 4], "two_attentions",
        [("signxai-tensors-by-name", "gradient"), ("innvestigate-several-attentions", "lrp.z")],
    ),
    "causal attention": (
        rewrites.ATTENTION_BY_HEADS, [5, 4], "causal_attention_of_heads",
        [("signxai-tensors-by-name", "lrp_z"), ("innvestigate-causal-attention", "lrp.z")],
    ),
    "read twice": (
        rewrites.EACH_READ_ONCE, [5], [dense("f", "x"), joined("f", "f"), dense("o", "join")],
        [("signxai-read-twice", "lrp_z"), ("innvestigate-read-twice", "lrp.z")],
    ),
    "read twice by way of what hands it on": (
        rewrites.EACH_READ_ONCE, [5],
        [dense("f", "x"), layer("Activation", "same", "f", activation="linear"),
         layer("GaussianNoise", "noise", "same", stddev=0.5), joined("f", "noise"), dense("o", "join")],
        [("signxai-read-twice", "lrp_z")],
    ),
    "read twice by way of an augmentation": (
        rewrites.EACH_READ_ONCE, [6, 5, 3],
        [conv("f", "x"), layer("RandomFlip", "r", "f", mode="horizontal", seed=None), layer("Add", "sum", "f", "r"),
         flatten("sum"), dense("o", "flat")],
        [("signxai-read-twice", "lrp_z")],
    ),
    "read twice beside others": (
        rewrites.EACH_READ_ONCE, [5],
        [dense("f", "x", units=5), joined("f", "x", "f"), layer("Subtract", "gone", "join", "join"),
         layer("Add", "sum", "gone", "join", "gone"), dense("o", "sum")],
        [("signxai-read-twice", "gradient"), ("innvestigate-read-twice", "lrp.alpha_2_beta_1")],
    ),
    "read twice, and in another order": (
        rewrites.EACH_READ_ONCE, [3],
        [*CELL[:-2], joined("p", "x1", "x2", "x5", "p"), dense("o", "join")], [("signxai-read-twice", "gradient")],
    ),
    "open length": (rewrites.SIZED, [6, 3], "padded_of_open_length", []),
    "on its side": (
        rewrites.PERMUTED_INPUT, [7, 5, 3], [conv("f", "x"), flatten("f"), dense("o", "flat")], [],
    ),
}  # fmt: skip


def example_file(folder: Path, shape: list[int], layers: list[Layer] | str, seed: int = 1) -> ModelSource:
    if isinstance(layers, str):
        return written_row(layers, folder)[0]
    return written(folder, shape, *layers, seed=seed)[0]


def read(path: Path) -> Network:
    return read_network(path, None, keras.load(path).description)


def logits(path: Path, x: np.ndarray) -> np.ndarray:
    return keras.load(path, dtype=torch.float64).logits(x[None])[0]


def test_every_rewrite_has_an_example() -> None:
    assert {example[0] for example in EXAMPLES.values()} == set(REWRITES)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", EXAMPLES)
def test_a_rewritten_network_has_the_same_logits(name: str, seed: int, tmp_path: Path) -> None:
    rewrite, shape, layers, _ = EXAMPLES[name]
    source = example_file(tmp_path, shape, layers, seed)
    for target in TARGETS:
        write_network(rewrite.network(read(source.path), target), tmp_path / f"{target}.h5")
        x = np.random.default_rng(seed).normal(size=shape)
        before = logits(source.path, x)
        after = logits(tmp_path / f"{target}.h5", rewrite.inputs(x))
        expected = before[target : target + 1] if rewrite.one_class else before
        assert after.shape == expected.shape
        np.testing.assert_allclose(after, expected, rtol=0, atol=1e-14 * np.abs(before).max())


@pytest.mark.parametrize("name", [name for name, example in EXAMPLES.items() if example[3]])
def test_the_difference_applies_before_and_no_longer_afterwards(name: str, tmp_path: Path) -> None:
    rewrite, shape, layers, differences = EXAMPLES[name]
    source = example_file(tmp_path, shape, layers)
    write_network(rewrite.network(read(source.path), 1), tmp_path / "there.h5")
    before, after = (keras.load(path).description for path in (source.path, tmp_path / "there.h5"))
    for difference, method in differences:
        assert rewrite in BY_NAME[difference].rewrites
        assert BY_NAME[difference].applies(parse(method), before)
        assert not BY_NAME[difference].applies(parse(method), after)


def test_a_network_for_inputs_of_one_size_leaves_none_open(tmp_path: Path) -> None:
    source, x = written_row("padded_of_open_length", tmp_path)
    write_network(rewrites.of_size(read(source.path), x.array.shape), tmp_path / "there.h5")
    array = x.array.astype(float)
    np.testing.assert_array_equal(logits(tmp_path / "there.h5", array), logits(source.path, array))
    before, after = (keras.load(path).description for path in (source.path, tmp_path / "there.h5"))
    difference = BY_NAME["signxai-open-sizes"]
    assert difference.applies(parse("lrp_z"), before)
    assert not difference.applies(parse("gradient"), before)
    assert not difference.applies(parse("lrp_z"), after)


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_rewrite_works_on_a_network_without_weights_and_leaves_the_original(name: str, tmp_path: Path) -> None:
    rewrite, shape, layers, _ = EXAMPLES[name]
    source = example_file(tmp_path, shape, layers)
    full, bare = read(source.path), network_of(keras.load(source.path).description)
    names = [layer.name for layer in full]
    assert [layer.name for layer in rewrite.network(bare, 0)] == [layer.name for layer in rewrite.network(full, 0)]
    assert [layer.name for layer in full] == names


def test_a_nested_model_is_written_as_one_model(tmp_path: Path) -> None:
    (inner, x), _ = nested(tmp_path / "nested.h5")
    write_network(read(inner.path), tmp_path / "there.h5")
    array = x.array.astype(float)
    np.testing.assert_array_equal(logits(tmp_path / "there.h5", array), logits(inner.path, array))
    before, after = (keras.load(path).description for path in (inner.path, tmp_path / "there.h5"))
    assert before.spelled == ("models inside of models taken apart",)
    assert after.spelled == ()


def test_all_rewrites_of_a_network_with_several_differences_go_together(tmp_path: Path) -> None:
    layers = [
        conv("f", "x", 6),
        layer("Permute", "p", "f", dims=[3, 2, 1]),
        normalization("bn", "p", center=False),
        relu("r", "bn"),
        flatten("r"),
        dense("h", "flat", units=4),
        joined("flat", "h"),
        dense("o", "join"),
        layer("Activation", "a", "o", activation="tanh"),
    ]
    source, x = written(tmp_path, [6, 4, 6], *layers)
    network = read(source.path)
    for rewrite in REWRITES:
        # It is for networks whose other layers have rules of iNNvestigate's own list.
        if rewrite is not rewrites.FUNCTION_OF_AN_ACTIVATION:
            network = rewrite.network(network, 1)
    write_network(network, tmp_path / "there.h5")
    array = x.array.astype(float)
    before = logits(source.path, array)
    after = logits(tmp_path / "there.h5", np.swapaxes(array, 0, 1))
    np.testing.assert_allclose(after, before[1:2], rtol=0, atol=1e-14 * np.abs(before).max())
    description = keras.load(tmp_path / "there.h5").description
    for name, method in (
        ("signxai-batch-normalization-without-offset", "lrp_z"),
        ("signxai-permute-of-equal-sizes", "lrp_z"),
        ("signxai-concatenate-order", "lrp_z"),
        ("signxai-relevance-of-all-classes", "lrp_z"),
        ("signxai-deconvnet-relu-layer", "deconvnet"),
    ):
        assert not BY_NAME[name].applies(parse(method), description), name


# Where there is no equivalent


@pytest.mark.parametrize(
    ("rewrite", "shape", "layers", "words"),
    [
        (rewrites.RELU_ATTRIBUTE, [5], [layer("ReLU", "r", "x", max_value=6.0), dense("o", "r")], "more than a ReLU"),
        (rewrites.RELU_ATTRIBUTE, [5], [layer("ReLU", "r", "x", threshold=0.5), dense("o", "r")], "more than a ReLU"),
        (rewrites.RELU_ATTRIBUTE, [5], [layer("ReLU", "r", "x", negative_slope=0.1), dense("o", "r")], "more than"),
        (rewrites.RELU_ATTRIBUTE, [5], [layer("LeakyReLU", "r", "x", alpha=0.1), dense("o", "r")], "is no ReLU"),
        (rewrites.ONLY_THE_TARGET, [5, 4, 2], [conv("f", "x"), flatten("f", "o")], "'o' .Flatten."),
        (rewrites.ONLY_THE_TARGET, [5], [dense("o", "x"), layer("Add", "sum", "o", "o")], "'sum' .Add."),
        (rewrites.ONLY_THE_TARGET, [4, 2], [layer("GlobalAveragePooling1D", "o", "x")], "GlobalAveragePooling1D"),
    ],
)  # fmt: skip
def test_a_network_without_an_equivalent_says_why(
    rewrite: Rewrite, shape: list[int], layers: list[Layer], words: str, tmp_path: Path
) -> None:
    source, _ = written(tmp_path, shape, *layers)
    for network in (read(source.path), network_of(keras.load(source.path).description)):
        with pytest.raises(NoEquivalentError, match=words):
            rewrite.network(network, 0)


def test_a_softmax_in_the_middle_needs_all_classes(tmp_path: Path) -> None:
    layers = [dense("o", "x", activation="softmax"), layer("Activation", "a", "o", activation="tanh")]
    source, _ = written(tmp_path, [5], *layers)
    with pytest.raises(NoEquivalentError, match="softmax needs all classes"):
        rewrites.ONLY_THE_TARGET.network(read(source.path), 0)


def test_the_order_of_arrival_follows_the_order_of_the_layers(tmp_path: Path) -> None:
    source, _ = written(tmp_path, [3], *SWAPPED)
    network = read(source.path)
    assert arrival_order(network.layers) == {"join": ("f", "x")} or arrival_order(network.layers) == {}
    assert arrival_order(rewrites.IN_ORDER_OF_ARRIVAL.network(network, 0).layers) == {}


def test_many_ways_through_a_network_are_walked_once() -> None:
    """A dense net has two ways past each layer: 2 to the power of its layers in all."""
    layers = [NetworkLayer("x", "InputLayer", {}, ())]
    for number in range(60):
        layers.append(NetworkLayer(f"f{number}", "Dense", {"units": 2}, (layers[-1].name,)))
        layers.append(NetworkLayer(f"join{number}", "Concatenate", {"axis": -1}, (layers[-2].name, f"f{number}")))
    network = rewrites.IN_ORDER_OF_ARRIVAL.network(Network(tuple(layers)), 0)
    assert arrival_order(network.layers) == {}
    attended = NetworkLayer("look", "MultiHeadAttention", {}, ("join59", "join59"))
    assert masked(Network((*layers, attended))) == set()


def test_layers_may_be_nested_deeper_than_calls_of_python() -> None:
    layers = [NetworkLayer("0", "InputLayer", {}, ())]
    layers += [NetworkLayer(str(number), "Dense", {}, (str(number - 1),)) for number in range(1, 3000)]
    layers.append(NetworkLayer("join", "Concatenate", {}, ("0", "2999")))
    assert arrival_order(layers) == {"join": ("2999", "0")}


# The network without offsets


def test_without_offsets_a_network_of_relus_is_homogeneous(tmp_path: Path) -> None:
    layers = [conv("f", "x"), normalization("bn", "f"), relu("r", "bn"), flatten("r"), dense("o", "flat")]
    source, x = written(tmp_path, [5, 4, 2], *layers)
    write_network(without_offsets(read(source.path)), tmp_path / "there.h5")
    array = x.array.astype(float)
    for factor in (0.0, 0.5, 3.0):
        np.testing.assert_allclose(
            logits(tmp_path / "there.h5", factor * array), factor * logits(tmp_path / "there.h5", array), atol=1e-12
        )
    assert not np.allclose(logits(source.path, array), logits(tmp_path / "there.h5", array))
