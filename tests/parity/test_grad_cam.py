"""Grad-CAM: the layer it looks at, and images that are not square, whose maps SIGN-XAI transposes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from parity import keras
from parity.judge.known.rewrites import PERMUTED_INPUT
from parity.run.calls import NotInReferenceError
from parity.run.questions import Question, question
from parity.run.runner import Runner, in_order
from parity.run.subjects import SignxaiTorch, parse
from signxai_torch import explain
from tests.parity.echo_client import EchoClient
from tests.parity.small_networks import conv, dense, described, flatten, layer, plan, written

SHAPE = [7, 5, 3]
LAYERS = [conv("f", "x"), flatten("f"), dense("o", "flat")]
NAME = "signxai-grad-cam-is-transposed"


class Mutant(SignxaiTorch):
    """The port, with something done to the map that it gives."""

    def __init__(self, change: Callable[[np.ndarray], np.ndarray]) -> None:
        self.change = change

    def attribute_many(self, module, inputs, targets, methods):
        answers = super().attribute_many(module, inputs, targets, methods)
        return {name: replace(said, array=self.change(np.asarray(said.array))) for name, said in answers.items()}


def noise(array: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, array.shape).astype(array.dtype)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda array: array, "reference-defect"),
        (noise, "mismatch"),
        (lambda array: array * 1.001, "mismatch"),
        (lambda array: array[:, ::-1], "mismatch"),
        (lambda array: np.swapaxes(array, 1, 2), "mismatch"),
        (lambda array: np.swapaxes(array, 1, 2).reshape(array.shape), "mismatch"),
        (lambda array: array * 0, "mismatch"),
        (lambda array: array * np.nan, "mismatch"),
    ],
    ids=["the port", "noise", "scaled", "upside down", "transposed", "transposed numbers", "zero", "nan"],
)
@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_x_input", "grad_cam_x_sign"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_map_of_an_image_that_is_not_square_is_compared_in_numbers(
    tmp_path: Path, change: Callable, status: str, method: str, dtype: str
) -> None:
    source, image = written(tmp_path, SHAPE, *LAYERS, seed=3)
    client = EchoClient()
    runner = Runner(plan(source, image, method, dtypes=(dtype,)), client, Mutant(change))
    (row,) = [outcome.row for outcome in runner.run()]
    red = ("structural", "mismatch") if status == "mismatch" else (status,)
    assert row["status"] in red, row["message"]
    assert row["divergence"] == NAME
    assert {request.call.name for request in client.requests if not request.call.asks_for_logits} == {"grad_cam"}


def test_the_map_that_it_is_held_to_is_that_of_the_upright_image(tmp_path: Path) -> None:
    """SIGN-XAI asked about the image itself gives a map of the shape of the transposed image."""
    source, image = written(tmp_path, SHAPE, *LAYERS, seed=3)
    client = EchoClient()
    runner = Runner(plan(source, image, "grad_cam", dtypes=("float64",)), client, SignxaiTorch())
    (outcome,) = runner.run()
    assert outcome.reference is not None
    assert outcome.reference.shape == image.array.shape
    assert outcome.reference.any()
    placed = [request.inputs[0].shape for request in client.requests if request.call.name == "grad_cam"]
    assert set(placed) == {(5, 7, 3)}


def test_it_follows_from_the_sizes_of_the_input_where_the_model_leaves_them_open(tmp_path: Path) -> None:
    model = described(tmp_path, SHAPE, conv("f", "x"), layer("GlobalMaxPooling2D", "all", "f"), dense("o", "all"))
    for shape, rewrites in (((7, 5, 3), (PERMUTED_INPUT,)), ((6, 6, 3), ())):
        ((_, how),) = in_order(["grad_cam"], model.at(shape), "auto")
        assert isinstance(how, Question)
        assert [way.rewrites for way in how.candidates] == [rewrites]


def test_a_layer_that_gives_no_maps_is_refused(tmp_path: Path) -> None:
    flat = layer("Reshape", "rows", "f", target_shape=[35, 4])
    series = layer("Conv1D", "g", "rows", filters=2, kernel_size=[3], strides=[1], padding="valid",
                   activation="relu", use_bias=True)  # fmt: skip
    model = described(tmp_path, SHAPE, conv("f", "x"), flat, series, flatten("g"), dense("o", "flat"))
    for method in ("grad_cam", "grad_cam_timeseries"):
        with pytest.raises(NotInReferenceError, match=r"layer 'g' gives \(33, 2\)|not made for inputs"):
            question(parse(method), model)


def test_a_layer_of_keras_ends_behind_its_own_activation_and_no_other(tmp_path: Path) -> None:
    bare = conv("bare", "f", activation="linear")
    source, _ = written(tmp_path, SHAPE, conv("f", "x"), bare, layer("ReLU", "relu", "bare"), flatten("relu"),
                        dense("o", "flat"), seed=3)  # fmt: skip
    module = keras.load(source.path)
    assert module.layer_outputs["f"] == "f_activation"
    assert module.layer_outputs["bare"] == "bare"
    assert module.layer_outputs["relu"] == "relu"
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(1, 3, 7, 5)), dtype=torch.float32)
    # Without a name it is no layer of Keras that is looked at, but the last maps that the head reads.
    for name, end in {"bare": "bare", "f": "f_activation", "relu": "relu", None: "relu"}.items():
        expected = explain(module, x, "grad_cam", 1, target_layer=module.get_submodule(end))
        assert np.array_equal(explain(module, x, "grad_cam", 1, target_layer=name), expected)
