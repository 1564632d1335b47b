"""Where relevance starts on converted models: at what makes the output, behind an activation layer of its own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from parity import keras
from signxai_torch import explain
from tests.parity.small_networks import Layer, dense, layer, written

X = torch.linspace(-1, 1, 5, dtype=torch.float64)[None]


def loaded(folder: Path, *layers: Layer) -> keras.KerasModule:
    return keras.load(written(folder, [5], *layers)[0].path, dtype=torch.float64)


@pytest.mark.parametrize("units", [1, 3])
def test_an_activation_that_is_a_layer_of_its_own_is_where_relevance_starts(tmp_path: Path, units: int) -> None:
    starts = {}
    for what, layers in {
        "own": [dense("o", "x", units=units), layer("Activation", "a", "o", activation="tanh")],
        "attribute": [dense("o", "x", units=units, activation="tanh")],
    }.items():
        module = loaded(tmp_path, *layers)
        starts[what] = explain(module, X, "lrp_z_IB", 0).sum()  # without a bias nothing is lost on the way
        value = module(X)[0, 0].item()
    assert starts["own"] == pytest.approx(value)
    assert starts["attribute"] != pytest.approx(value, rel=1e-3)


def test_every_class_starts_from_its_own_value(tmp_path: Path) -> None:
    module = loaded(tmp_path, dense("o", "x"), layer("Activation", "a", "o", activation="tanh"))
    for target, value in enumerate(module(X)[0].tolist()):
        assert explain(module, X, "lrp.flat", target).sum() == pytest.approx(value)


def test_what_does_nothing_at_the_end_is_no_layer(tmp_path: Path) -> None:
    """A linear activation, as Keras may write it, as a layer in an attribute, or as one of its own."""
    as_a_layer = {"class_name": "Activation", "config": {"name": "linear", "activation": "linear", "dtype": "float32"}}
    hidden = dense("h", "x", activation="relu")
    sums = [
        explain(loaded(tmp_path, *layers), X, "lrp_z_IB", 1).sum()
        for layers in (
            [hidden, dense("o", "h")],
            [hidden, dense("o", "h", activation=as_a_layer)],
            [hidden, dense("o", "h"), layer("Activation", "a", "o", activation="linear")],
        )
    ]
    assert sums == pytest.approx(sums[:1] * 3)
