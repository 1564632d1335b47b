"""Models that leave sizes of their input open, where a layer or the output depends on them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

import parity.keras
from parity.commands.own_file import ShapeType
from tests.parity.keras.keras_3_built import L, keras, ops


def last_step() -> Any:
    x = L.Input((None, 3))
    return keras.Model(x, L.Dense(2)(L.Conv1D(4, 3, padding="causal", activation="relu")(x)[:, -1]))


def classes_of_pixels() -> Any:
    x = L.Input((None, None, 3))
    return keras.Model(x, L.Conv2D(2, 1)(L.UpSampling2D()(L.MaxPooling2D()(L.Conv2D(4, 3, padding="same")(x)))))


def classes_of_steps() -> Any:
    x = L.Input((None, 3))
    return keras.Model(x, L.Dense(2, activation="softmax")(L.GRU(4, return_sequences=True)(x)))


def resized() -> Any:
    x = L.Input((None, None, 3))
    return keras.Model(x, L.Dense(2)(L.Flatten()(L.Resizing(4, 5, interpolation="nearest")(x))))


def mean_of_rows() -> Any:
    x = L.Input((None, 6, 3))
    return keras.Model(x, L.Dense(2)(L.Flatten()(ops.mean(L.Conv2D(4, 2)(x), axis=1))))


def two_series() -> Any:
    a, b = L.Input((None, 3), name="a"), L.Input((4,), name="b")
    return keras.Model([a, b], L.Dense(2)(L.Concatenate()([L.Dense(3)(a)[:, -1], b])))


MODELS: dict[Callable[[], Any], tuple[int, ...]] = {
    last_step: (7, 3), classes_of_pixels: (8, 6, 3), classes_of_steps: (5, 3), resized: (8, 10, 3),
    mean_of_rows: (5, 6, 3),
}  # fmt: skip


def saved(build: Callable[[], Any], folder: Path) -> tuple[Any, Path]:
    path = folder / "model.keras"
    model = build()
    model.save(path)
    return model, path


@pytest.mark.parametrize("build", MODELS)
def test_without_the_sizes_the_error_says_how_to_tell_them(build: Callable[[], Any], tmp_path: Path) -> None:
    _, path = saved(build, tmp_path)
    with pytest.raises(parity.keras.ConversionError, match="Tell the sizes of the input: input_shape="):
        parity.keras.load(path)


@pytest.mark.parametrize("build", MODELS)
def test_logits_at_the_sizes_that_are_told(build: Callable[[], Any], tmp_path: Path) -> None:
    model, path = saved(build, tmp_path)
    shape = MODELS[build]
    images = np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32)
    last = model.layers[-1]
    if getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
    port = parity.keras.load(path, input_shape=shape)
    np.testing.assert_allclose(port.logits(images), np.asarray(model(images).detach()), atol=1e-5)
    assert port.description.input_shape == shape
    assert "sizes of the input that the file leaves open" in port.description.spelled


def test_several_inputs_by_name(tmp_path: Path) -> None:
    _, path = saved(two_series, tmp_path)
    assert parity.keras.load(path, input_shape={"a": (6, 3)}).description.inputs == (("a", (6, 3)), ("b", (4,)))
    with pytest.raises(parity.keras.ConversionError, match=r"several inputs \(a, b\), and input_shape tells one shape"):
        parity.keras.load(path, input_shape=(6, 3))
    with pytest.raises(parity.keras.ConversionError, match="told of 'c'; the model's inputs are a, b"):
        parity.keras.load(path, input_shape={"c": (6, 3)})


@pytest.mark.parametrize("shape", [(7, 4), (7,), (1, 7, 3), (0, 3), (-1, 3), (2.5, 3), (True, 3)])
def test_a_shape_that_contradicts_the_model_is_refused(shape: tuple[Any, ...], tmp_path: Path) -> None:
    _, path = saved(last_step, tmp_path)
    with pytest.raises(
        parity.keras.ConversionError, match=r"takes \(None, 3\), None for any size and without the batch"
    ):
        parity.keras.load(path, input_shape=shape)


def test_sizes_of_numpy_are_sizes_and_one_number_is_no_shape(tmp_path: Path) -> None:
    _, path = saved(last_step, tmp_path)
    assert parity.keras.load(path, input_shape=np.array([7, 3])).description.input_shape == (7, 3)
    assert parity.keras.load(path, input_shape=(np.int64(7), np.int64(3))).description.input_shape == (7, 3)
    with pytest.raises(parity.keras.ConversionError, match="input_shape is 7, expected a tuple of sizes"):
        parity.keras.load(path, input_shape=7)  # type: ignore[arg-type]


def test_a_size_that_is_not_told_stays_open(tmp_path: Path) -> None:
    _, path = saved(resized, tmp_path)
    with pytest.raises(parity.keras.ConversionError, match="is open"):
        parity.keras.load(path, input_shape=(8, None, 3))


@pytest.mark.parametrize(
    ("text", "shape"), [("64,48,3", ("", (64, 48, 3))), ("7, 3", ("", (7, 3))), ("left:2:9,3", ("left:2", (9, 3)))]
)
def test_at_the_command_line(text: str, shape: tuple[str, tuple[int, ...]]) -> None:
    assert ShapeType().convert(text, None, None) == shape


@pytest.mark.parametrize("text", ["", "a", "64x48x3", "0,3", "-1,3", "3,", "name:"])
def test_what_is_no_shape_at_the_command_line(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is no shape such as 64,64,3"):
        ShapeType().convert(text, None, None)
