"""What keeps a model of Keras 3 from being converted, all of it, and whose it is."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import parity.keras

os.environ["KERAS_BACKEND"] = "torch"
keras = pytest.importorskip("keras", minversion="3.0", reason="Keras 3 is not installed (extra dev)")
L, ops = keras.layers, keras.ops


def refused(build: Callable[[], Any], folder: Path) -> str:
    path = folder / "model.keras"
    build().save(path)
    with pytest.raises(parity.keras.ConversionError) as error:
        parity.keras.load(path)
    return str(error.value)


def test_all_activations_are_named(tmp_path: Path) -> None:
    def build() -> Any:
        x = L.Input((4,))
        y = L.Dense(3, activation="sparsemax", name="first")(x)
        return keras.Model(x, L.Dense(4, activation="glu", name="second")(y))

    text = refused(build, tmp_path)
    for name, function in (("first", "sparsemax"), ("second", "glu")):
        assert f"'{name}' (Dense) has the activation '{function}', which is Keras' own" in text
    assert "hard_silu" in text, "what is converted is listed"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_a_function_that_is_not_converted_is_no_class_of_the_user(suffix: str, tmp_path: Path) -> None:
    x = L.Input((4,))
    path = tmp_path / f"model{suffix}"
    y = ops.slice(ops.sort(ops.cumsum(x, axis=1)), [0, 0], [1, 2])
    keras.Model(x, L.Dense(3)(y)).save(path)
    with pytest.raises(parity.keras.ConversionError) as error:
        parity.keras.load(path)
    for name in ("ops.Cumsum", "ops.Sort", "ops.Slice"):
        assert f"is a bare operation ({name})" in str(error.value)
    assert "class of yours" not in str(error.value)


def test_quantised_layers(tmp_path: Path) -> None:
    def build() -> Any:
        model = keras.Sequential([L.Input((4,)), L.Dense(3, name="whole")])
        model.quantize("int8")
        return model

    assert "'whole' (Dense) is quantised, which is not supported" in refused(build, tmp_path)


@pytest.mark.parametrize("setting", [{"use_gate": True}, {"sliding_window": 2}])
def test_settings_of_attention_that_change_it(setting: dict[str, Any], tmp_path: Path) -> None:
    def build() -> Any:
        x = L.Input((5, 4))
        try:
            attention = L.MultiHeadAttention(2, 3, **setting)
        except ValueError:
            pytest.skip("this version of Keras 3 has no such setting")
        return keras.Model(x, L.Dense(2)(L.Flatten()(attention(x, x))))

    assert refused(build, tmp_path)


def test_a_tensor_as_attention_mask(tmp_path: Path) -> None:
    def build() -> Any:
        x, mask = L.Input((5, 4)), L.Input((5, 5))
        y = L.MultiHeadAttention(2, 3)(x, x, attention_mask=mask)
        return keras.Model([x, mask], L.Dense(2)(L.Flatten()(y)))

    assert "a tensor as attention_mask" in refused(build, tmp_path)


@keras.saving.register_keras_serializable("mine")
class Own(keras.Model):
    """A model by a class of its own."""

    def __init__(self, **keywords: Any) -> None:
        super().__init__(**keywords)
        self.head = L.Dense(3)

    def call(self, x: Any) -> Any:
        """Run it."""
        return self.head(x)


def test_a_model_of_a_class_of_its_own(tmp_path: Path) -> None:
    def build() -> Any:
        model = Own()
        model(keras.ops.ones((1, 4)))
        return model

    text = refused(build, tmp_path)
    assert "Functional" in text
    assert "class of your own" in text


@pytest.mark.parametrize("axes", [[-2], [0], [2], [1, 1], [], ["1"]])
def test_axes_of_attention_are_counted_from_the_front(axes: list[Any], tmp_path: Path) -> None:
    """Keras 2 takes -2 for the axis of the heads, along which nobody means to attend."""
    x = L.Input((5, 4))
    model = keras.Model(x, L.Dense(3)(L.Flatten()(L.MultiHeadAttention(2, 3, name="attends")(x, x))))
    described = json.loads(model.to_json())
    (layer,) = (one for one in described["config"]["layers"] if one["config"]["name"] == "attends")
    layer["config"]["attention_axes"] = axes
    weights, architecture = tmp_path / "m.weights.h5", tmp_path / "m.json"
    model.save_weights(weights)
    architecture.write_text(json.dumps(described))
    with pytest.raises(parity.keras.ConversionError, match=r"'attends'.*expected some axes from 1 to 1"):
        parity.keras.load(weights, config=architecture)
