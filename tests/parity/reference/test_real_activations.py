"""Layers whose activation is a Keras layer of its own, as in `Conv2D(activation=LeakyReLU(0.1))`, in the real packages.

What SIGN-XAI and iNNvestigate make of them is held to the same network with the activation as a separate layer, where
they are sound there, and to the gradient times input, which LRP-z is in a network of piecewise linear parts.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.reference import ReferenceAnswer, ReferenceCall, ReferenceClient, ReferenceRequest
from tests.parity.keras.keras_files import KerasModel, functional, input_layer, layer
from tests.parity.reference.conftest import source

pytestmark = pytest.mark.reference

LEAKY = {"class_name": "LeakyReLU", "config": {"name": "leaky_re_lu", "dtype": "float32", "alpha": 0.1}}
FORMS: dict[str, Any] = {
    "leaky": LEAKY,
    "leaky, with its module": {**LEAKY, "module": "keras.layers", "registered_name": None},
    "elu": {"class_name": "ELU", "config": {"name": "elu", "dtype": "float32", "alpha": 0.7}},
    "bounded": {"class_name": "ReLU", "config": {"name": "re_lu", "max_value": 1.0, "negative_slope": 0.0}},
    "thresholded": {"class_name": "ThresholdedReLU", "config": {"name": "thresholded_re_lu", "theta": 0.3}},
    "activation": {"class_name": "Activation", "config": {"name": "activation", "activation": "tanh"}},
    "function": {"class_name": "function", "config": "tanh", "module": "builtins", "registered_name": "tanh"},
}
VALUES = {
    "leaky": lambda z: np.where(z > 0, z, np.float32(0.1) * z),
    "leaky, with its module": lambda z: np.where(z > 0, z, np.float32(0.1) * z),
    "elu": lambda z: np.where(z > 0, z, 0.7 * np.expm1(np.minimum(z, 0))),
    "bounded": lambda z: np.clip(z, 0, 1),
    "thresholded": lambda z: np.where(z > 0.3, z, 0),
    "activation": np.tanh,
    "function": np.tanh,
}
X = np.random.default_rng(2).normal(size=(6, 5, 2)).astype(np.float32)


def network(activation: Any, separate: bool) -> KerasModel:
    """A convolution of 1 x 1 and two dense layers, with the activation in the layers or behind them."""
    random = np.random.default_rng(1)
    shapes = {"c": (1, 1, 2, 3), "d": (90, 5), "out": (5, 3)}
    weights = {
        name: {"kernel": random.normal(0, shape[-2] ** -0.5, shape), "bias": random.normal(0, 0.3, shape[-1])}
        for name, shape in shapes.items()
    }
    inside = {} if separate else {"activation": activation}
    layers = [input_layer(6, 5, 2, inbound=[])]
    last = "x"
    for kind, name, config in (
        ("Conv2D", "c", {"filters": 3, "kernel_size": [1, 1]}),
        ("Flatten", "f", None),
        ("Dense", "d", {"units": 5}),
    ):
        layers.append(layer(kind, name, last, **({**config, **inside} if config else {})))
        last = name
        if separate and config:
            last = f"{name}_activation"
            settings = {key: value for key, value in activation["config"].items() if key != "name"}
            layers.append(layer(activation["class_name"], last, name, **settings))
    layers.append(layer("Dense", "out", last, units=3))
    return KerasModel(functional(*layers), weights)


def logits(activation: Any) -> Any:
    weights = network(None, False).weights
    hidden = activation(X @ weights["c"]["kernel"][0, 0] + weights["c"]["bias"]).reshape(-1)
    hidden = activation(hidden @ weights["d"]["kernel"] + weights["d"]["bias"])
    return hidden @ weights["out"]["kernel"] + weights["out"]["bias"]


@pytest.fixture(scope="module")
def real(reference_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceClient]:
    store = tmp_path_factory.mktemp("activations") / "store"
    with ReferenceClient(reference_python, store, keep_both=True, threads=1, timeout=120) as client:
        yield client


@pytest.fixture
def ask(real: ReferenceClient, tmp_path: Path) -> Any:
    """`ask("leaky", "signxai", "lrp.z")` -> the answer for logit 1."""

    def explain(form: str, backend: Any, name: str, separate: bool = False, dtype: Any = "float64") -> ReferenceAnswer:
        path = network(FORMS[form], separate).write(tmp_path / f"{separate}.h5")
        call = ReferenceCall(backend, "analyzer" if name else "logits", name)
        return real.answer(ReferenceRequest(source(path), (X,), (1,), call, dtype))[0]

    return explain


def distance(array: Any, expected: Any) -> float:
    return float(np.linalg.norm(array - expected) / np.linalg.norm(expected))


@pytest.mark.parametrize("backend", ["signxai", "innvestigate"])
@pytest.mark.parametrize("form", FORMS)
def test_the_network_is_built_and_computes_in_its_dtype(ask: Any, form: str, backend: str) -> None:
    for dtype, limit in (("float64", 1e-7), ("float32", 1e-5)):  # TensorFlow keeps slopes and thresholds as float32
        answer = ask(form, backend, "", dtype=dtype)
        assert answer.error is None, answer.error
        assert answer.array.dtype == dtype
        assert distance(answer.array, logits(VALUES[form])) < limit


@pytest.mark.parametrize("name", ["gradient", "input_t_gradient", "lrp.z", "lrp.epsilon", "guided_backprop"])
@pytest.mark.parametrize("form", ["leaky", "elu", "bounded"])
def test_signxai_explains_it_like_a_separate_layer(ask: Any, form: str, name: str) -> None:
    answer, separate = ask(form, "signxai", name), ask(form, "signxai", name, separate=True)
    assert (answer.error, separate.error) == (None, None)
    assert distance(answer.array, separate.array) < 1e-12


@pytest.mark.parametrize("backend", ["signxai", "innvestigate"])
def test_lrp_z_of_a_leaky_network_is_gradient_times_input(ask: Any, backend: str) -> None:
    product = ask("leaky", backend, "input_t_gradient").array
    assert distance(ask("leaky", backend, "lrp.z").array, product) < 1e-12
    # A separate layer gets the gradient from iNNvestigate, where LRP hands relevance on unchanged.
    separate = ask("leaky", backend, "lrp.z", separate=True).array
    assert (distance(separate, product) < 1e-12) == (backend == "signxai")


def test_signxais_deconvnet_runs_inside_a_layer_and_not_as_a_separate_one(ask: Any) -> None:
    assert ask("leaky", "signxai", "deconvnet").error is None
    separate = ask("leaky", "signxai", "deconvnet", separate=True)
    assert separate.error_kind == "method"
    assert "Keyword argument not understood:', 'activation'" in separate.error


@pytest.mark.parametrize("name", ["guided_backprop", "deconvnet"])
def test_innvestigate_refuses_relu_methods_for_it_either_way(ask: Any, name: str) -> None:
    for separate in (False, True):
        answer = ask("leaky", "innvestigate", name, separate=separate)
        assert answer.error_kind == "method"
        assert "only specified for networks with ReLU activations" in answer.error
