"""A Keras model as data: read, edited, written again, and the same function all the while."""

from __future__ import annotations

import json
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from parity import keras
from parity.assets.models import resolve
from parity.hashing import file_sha256
from parity.keras.network import Network, NetworkLayer, keras_order, network_of, read_network, write_network
from tests.parity.keras.keras_files import KerasModel, input_layer, sequential, tiny, tiny_branches
from tests.parity.keras.keras_files import layer as layer_entry
from tests.parity.odd_networks import nested
from tests.parity.small_networks import conv, dense, flatten, layer, written

SHIPPED = ("vgg_mnist", "dense_mnist", "resnet_mnist", "cnn_timeseries")


def read(path: Path) -> Network:
    return read_network(path, None, keras.load(path).description)


def logits(path: Path, seed: int = 0) -> np.ndarray:
    module = keras.load(path, dtype=torch.float64)
    shape = tuple(size or 8 for size in module.description.input_shape)
    x = np.random.default_rng(seed).normal(size=(3, *shape))
    with torch.no_grad():
        return module(module.to_torch(x)).numpy()


def same_network(network: Network, other: Network) -> None:
    assert [(layer.name, layer.class_name, layer.inbound, layer.shape) for layer in network] == [
        (layer.name, layer.class_name, layer.inbound, layer.shape) for layer in other
    ]
    for left, right in zip(network, other, strict=True):
        assert list(left.weights) == list(right.weights)
        for name, values in left.weights.items():
            np.testing.assert_array_equal(values, right.weights[name])


@pytest.mark.parametrize("model", SHIPPED)
def test_a_shipped_model_comes_back_from_the_file_it_is_written_to(model: str, tmp_path: Path) -> None:
    original, path = resolve(model).path, tmp_path / "net.h5"
    network = read(original)
    write_network(network, path)
    np.testing.assert_array_equal(logits(path), logits(original))
    same_network(network, read(path))


def test_a_model_whose_last_layer_is_a_model_is_read_again(tmp_path: Path) -> None:
    architecture = sequential(
        input_layer(4),
        sequential(layer_entry("Dense", "h", units=3), layer_entry("Dense", "o", units=2), name="inside"),
        name="outside",
    )
    rng = np.random.default_rng(0)
    inner = {"h/kernel": rng.normal(size=(4, 3)), "h/bias": rng.normal(size=3),
             "o/kernel": rng.normal(size=(3, 2)), "o/bias": rng.normal(size=2)}  # fmt: skip
    path = tmp_path / "model.h5"
    KerasModel(architecture, {"inside": inner}).write(path)
    network = read(path)
    assert [one.name for one in network] == ["x", "inside_h", "inside_o"]
    write_network(network, tmp_path / "flat.h5")
    np.testing.assert_array_equal(logits(tmp_path / "flat.h5"), logits(path))


def test_the_same_network_is_written_to_the_same_bytes_at_any_time(tmp_path: Path) -> None:
    network = read(resolve("resnet_mnist").path)
    hashes = set()
    for name in ("a.h5", "b.h5"):
        write_network(network, tmp_path / name)
        hashes.add(file_sha256(tmp_path / name))
        time.sleep(1.1)  # an HDF5 file could hold when it was written, to the second
    assert len(hashes) == 1


def test_one_changed_number_is_another_file(tmp_path: Path) -> None:
    network = read(resolve("dense_mnist").path)
    last = network.output
    kernel = last.weights["kernel"].copy()
    kernel[0, 0] = np.nextafter(kernel[0, 0], np.inf)
    changed = network.with_layer(NetworkLayer(
        last.name, last.class_name, last.config, last.inbound, {**last.weights, "kernel": kernel}, last.shape
    ))  # fmt: skip
    write_network(network, tmp_path / "a.h5")
    write_network(changed, tmp_path / "b.h5")
    assert file_sha256(tmp_path / "a.h5") != file_sha256(tmp_path / "b.h5")


def test_a_softmax_at_the_end_is_off_and_the_weights_keep_their_order(tmp_path: Path) -> None:
    network = read(tiny().write(tmp_path / "tiny.h5"))
    assert network.output.config["activation"] == "linear"
    assert [(layer.name, list(layer.weights)) for layer in network if layer.weights] == [
        ("conv", ["kernel", "bias"]), ("dense", ["kernel", "bias"]),
    ]  # fmt: skip
    write_network(network, tmp_path / "again.h5")
    np.testing.assert_array_equal(logits(tmp_path / "again.h5"), logits(tmp_path / "tiny.h5"))
    assert not keras.load(tmp_path / "again.h5").description.removed_softmax


@pytest.mark.parametrize("kind", ["Softmax", "Activation"])
def test_a_softmax_layer_stays_as_a_linear_activation(kind: str, tmp_path: Path) -> None:
    settings = {} if kind == "Softmax" else {"activation": "softmax"}
    source, _ = written(tmp_path, [5], dense("o", "x"), layer(kind, "s", "o", **settings))
    network = read(source.path)
    assert (network.output.name, network.output.class_name) == ("s", "Activation")
    assert network.output.config["activation"] == "linear"
    write_network(network, tmp_path / "again.h5")
    np.testing.assert_array_equal(logits(tmp_path / "again.h5"), logits(source.path))


def test_branches_keep_their_producers_in_order(tmp_path: Path) -> None:
    network = read(tiny_branches().write(tmp_path / "branches.h5"))
    assert network["add"].inbound == ("left", "right")
    assert [layer.name for layer in network.consumers("x")] == ["left", "right"]
    write_network(network, tmp_path / "again.h5")
    np.testing.assert_array_equal(logits(tmp_path / "again.h5"), logits(tmp_path / "branches.h5"))


def test_a_nested_model_is_flattened_with_names_that_a_file_can_hold(tmp_path: Path) -> None:
    (inner, _), _ = nested(tmp_path / "nested.h5")
    assert any("/" in layer.name for layer in keras.load(inner.path).description.layers)
    network = read(inner.path)
    names = [layer.name for layer in network]
    assert not any("/" in name for name in names)
    assert len(set(names)) == len(names)
    write_network(network, tmp_path / "again.h5")
    np.testing.assert_array_equal(logits(tmp_path / "again.h5"), logits(inner.path))
    with h5py.File(tmp_path / "again.h5", "r") as file:
        config = json.loads(file.attrs["model_config"])
    assert {entry["class_name"] for entry in config["config"]["layers"]}.isdisjoint({"Functional", "Sequential"})


# Editing


def chain() -> Network:
    layers = (("x", "InputLayer", ()), ("a", "Dense", ("x",)), ("b", "Dense", ("a",)))
    return Network(tuple(NetworkLayer(name, kind, {}, inbound) for name, kind, inbound in layers))


def extra(name: str) -> NetworkLayer:
    return NetworkLayer(name, "Activation", {"activation": "linear"}, ())


def test_layers_are_inserted_behind_a_layer_for_all_that_read_it_or_some() -> None:
    both = Network((*chain().layers, NetworkLayer("c", "Add", {}, ("a", "b"))))
    everywhere = both.inserted("a", extra("n"), extra("m"))
    assert [(layer.name, layer.inbound) for layer in everywhere] == [
        ("x", ()), ("a", ("x",)), ("n", ("a",)), ("m", ("n",)), ("b", ("m",)), ("c", ("m", "b")),
    ]  # fmt: skip
    some = both.inserted("a", extra("n"), consumers=["c"])
    assert (some["b"].inbound, some["c"].inbound) == (("a",), ("n", "b"))
    assert chain().inserted("b", extra("n")).output.name == "n"
    assert both["c"].inbound == ("a", "b"), "the network itself is not changed"


def test_a_free_name_is_no_layers() -> None:
    assert chain().free_name("n") == "n"
    assert chain().free_name("a") not in ("x", "a", "b")


def test_a_layer_is_configured_and_put_in_place_of_the_one_of_its_name() -> None:
    changed = chain().with_layer(chain()["a"].configured(units=7))
    assert changed["a"].config["units"] == 7
    assert [layer.name for layer in changed] == ["x", "a", "b"]


def test_layers_are_kept_by_depth_and_then_as_a_walk_from_the_output_meets_them() -> None:
    network = Network((
        NetworkLayer("x", "InputLayer", {}, ()),
        NetworkLayer("late", "Dense", {}, ("x",)),
        NetworkLayer("deep", "Dense", {}, ("x",)),
        NetworkLayer("deeper", "Dense", {}, ("deep",)),
        NetworkLayer("unread", "Dense", {}, ("x",)),
        NetworkLayer("sum", "Add", {}, ("deeper", "late")),
    ))  # fmt: skip
    assert [layer.name for layer in keras_order(network)] == ["x", "deep", "deeper", "late", "sum"]


def test_tensors_by_name_are_met_in_the_order_of_their_names_whatever_the_file_says() -> None:
    """TensorFlow sorts them; in another order the weights of `value` and `key` would change places on loading."""
    inputs = tuple(NetworkLayer(name, "Dense", {}, ("x",)) for name in ("q", "v", "k"))
    attention = NetworkLayer("a", "MultiHeadAttention", {}, ("q", "v", "k"), keywords=(None, "value", "key"))
    network = Network((NetworkLayer("x", "InputLayer", {}, ()), *inputs, attention))
    assert [layer.name for layer in keras_order(network)] == ["x", "q", "k", "v", "a"]


def test_a_description_alone_gives_the_network_without_weights(tmp_path: Path) -> None:
    source, _ = written(tmp_path, [6, 5, 3], conv("f", "x"), flatten("f"), dense("o", "flat"))
    bare, full = network_of(keras.load(source.path).description), read(source.path)
    assert not any(layer.weights for layer in bare)
    assert [(layer.name, layer.shape) for layer in bare] == [(layer.name, layer.shape) for layer in full]
