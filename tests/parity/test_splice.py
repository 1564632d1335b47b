"""A network cut behind its input layer: both parts together are the network, and give the port's own bounded map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parity import keras
from parity.judge.known.splice import NoCutError, above, below, can_be_cut, readout
from parity.keras.network import Network, read_network, write_network
from parity.run.questions import question
from parity.run.reference_side import ReferenceSide
from parity.run.subjects import parse
from signxai_torch import explain
from tests.parity.echo_client import EchoClient
from tests.parity.small_networks import Layer, conv, dense, described, flatten, layer, normalization, written

CHAINS: dict[str, tuple[list[int], list[Layer]]] = {
    "image": ([6, 5, 3], [conv("f", "x"), conv("g", "f"), flatten("g"), dense("h", "flat"), dense("o", "h")]),
    "features": ([7], [dense("f", "x", units=6, activation="relu"), dense("h", "f"), dense("o", "h")]),
    "moved first": ([4, 6], [layer("Permute", "p", "x", dims=[2, 1]), layer("Flatten", "flat", "p"),
                             dense("f", "flat", units=6), dense("o", "f")]),
    "normalized above": ([5, 4, 2], [conv("f", "x"), normalization("bn", "f"), flatten("bn"), dense("o", "flat")]),
    "branch above": ([5], [dense("f", "x", units=6, activation="relu"), dense("a", "f"), dense("b", "f"),
                           layer("Add", "sum", "a", "b"), dense("o", "sum")]),
}  # fmt: skip


def logits(network: Network, x: np.ndarray, path: Path) -> np.ndarray:
    write_network(network, path)
    module = keras.load(path, dtype=torch.float64)
    with torch.no_grad():
        return module.to_keras(module(module.to_torch(x[None])))[0]


@pytest.mark.parametrize("name", CHAINS)
def test_the_parts_one_after_the_other_are_the_network(name: str, tmp_path: Path) -> None:
    shape, layers = CHAINS[name]
    source, x = written(tmp_path, shape, *layers)
    description = keras.load(source.path).description
    assert can_be_cut(description)
    network = read_network(source.path, None, description)
    hidden = logits(below(network, x.array.shape), x.array, tmp_path / "below.h5")
    start = above(network).layers[0].shape
    assert start is not None
    whole = logits(network, x.array, tmp_path / "whole.h5")
    parts = logits(above(network), hidden.reshape(start), tmp_path / "above.h5")
    np.testing.assert_allclose(parts, whole, rtol=0, atol=1e-14 * np.abs(whole).max())


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("method", ["zblrp_epsilon_0_1_VGG16ILSVRC", "zblrp_epsilon_0_25_std_x_VGG16ILSVRC",
                                    "zblrp_alpha_1_beta_0_VGG16ILSVRC", "zblrp_sequential_composite_b"])  # fmt: skip
@pytest.mark.parametrize("name", CHAINS)
def test_the_spliced_map_is_the_ports_own(name: str, method: str, dtype: str, tmp_path: Path) -> None:
    shape, layers = CHAINS[name]
    source, x = written(tmp_path, shape, *layers)
    module = keras.load(source.path, dtype=getattr(torch, dtype))
    parsed = parse(method)
    (way,) = (way for way in question(parsed, module.description).candidates if way.recipe == "spliced")
    side = ReferenceSide(EchoClient(), source, module.description)
    batch = module.to_torch(x.array[None])
    target = int(module(batch).argmax())
    (answer,) = side.maps(way, parsed, [x.array], [target], dtype)
    assert answer.error is None
    right = module.to_keras(explain(module, batch, method, target))[0]
    limit = 1e-12 if dtype == "float64" else 1e-4
    np.testing.assert_allclose(answer.array, right, rtol=0, atol=limit * np.abs(right).max())
    assert np.abs(right).max() > 0


@pytest.mark.parametrize(
    ("shape", "layers"),
    [
        ([6, 6, 3], [layer("ZeroPadding2D", "p", "x", padding=[[1, 1], [1, 1]]), conv("f", "p"), flatten("f"),
                     dense("o", "flat")]),
        ([5], [dense("a", "x"), dense("b", "x"), layer("Add", "sum", "a", "b"), dense("o", "sum")]),
        ([5], [dense("f", "x", units=5), layer("Add", "sum", "x", "f"), dense("o", "sum")]),
        ([5], [dense("o", "x")]),
        ([5], [layer("Activation", "a", "x", activation="relu"), dense("o", "a")]),
    ],
    ids=["padding", "two input layers", "a branch beside it", "nothing above", "no input layer"],
)  # fmt: skip
def test_what_cannot_be_cut(shape: list[int], layers: list[Layer], tmp_path: Path) -> None:
    assert not can_be_cut(described(tmp_path, shape, *layers))


# The readout


def lower_part(folder: Path) -> tuple[Network, np.ndarray]:
    source, x = written(folder, [6, 5, 3], conv("f", "x"), flatten("f"), dense("o", "flat"))
    return below(read_network(source.path, None, keras.load(source.path).description), x.array.shape), x.array


def test_the_readout_shares_its_value_out_as_the_relevance_lies(tmp_path: Path) -> None:
    lower, x = lower_part(tmp_path)
    values = logits(lower, x, tmp_path / "below.h5").reshape(-1)
    relevance = np.where(values == 0, 0, np.random.default_rng(0).normal(size=values.shape))
    assert (values == 0).any()
    whole = readout(lower, values, relevance)
    (share,) = logits(whole, x, tmp_path / "readout.h5")
    assert share == pytest.approx(relevance.sum())
    weights = whole.output.weights["kernel"][:, 0]
    np.testing.assert_allclose(weights * values, relevance, atol=1e-12)
    assert not weights[values == 0].any()


def test_a_silent_unit_with_relevance_cannot_be_read_out(tmp_path: Path) -> None:
    lower, _ = lower_part(tmp_path)
    values = np.array([1.0, 0.0, 2.0])
    readout(lower, values, np.array([3.0, 0.0, -1.0]))
    for relevance in ([3.0, 1e-30, -1.0], [0.0, np.nan, 0.0]):
        with pytest.raises(NoCutError, match="value is 0 has relevance"):
            readout(lower, values, np.array(relevance))


def test_relevance_that_no_readout_can_give_is_told_and_no_map_is_made(tmp_path: Path) -> None:
    """The flat rule gives relevance to units that are off."""

    class Flat(EchoClient):
        def map_of(self, module, call, array, target):
            relevance = super().map_of(module, call, array, target)
            return np.ones_like(relevance) if call.name.endswith("epsilon_0_25_std_x") else relevance

    source, x = written(tmp_path, [6, 5, 3], conv("f", "x"), flatten("f"), dense("o", "flat"))
    description = keras.load(source.path).description
    parsed = parse("zblrp_epsilon_0_25_std_x_VGG16ILSVRC")
    side = ReferenceSide(Flat(), source, description)
    (answer,) = side.maps(question(parsed, description).candidates[0], parsed, [x.array], [1], "float64")
    assert answer.array is None
    assert answer.error_kind == "protocol"
    assert "no readout can give it" in (answer.error or "")
