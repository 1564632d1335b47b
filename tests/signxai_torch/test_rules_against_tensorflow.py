"""The rules on one-layer Keras models, held to TensorFlow in float64.

The models have one layer and a dense head. Where the two references differ, the one that the method table follows
is asked: the bounded rule is iNNvestigate's (SIGN-XAI's is zero but for rounding, which is shown here), and so is
everything about channels that SIGN-XAI's fork has no name for.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np
import pytest

from parity.assets.source import ModelSource
from parity.hashing import file_sha256
from parity.keras import KerasModule, load
from parity.reference import ReferenceCall, ReferenceClient, ReferenceEnvironmentError, ReferenceRequest
from parity.reference.environment import find_python, package_versions
from signxai_torch import explain

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.reference

SCRIPT = Path(__file__).with_name("make_layers.py")
EXACT = 1e-10
LAYERS = (
    "dense", "dense_relu", "dense_behind_flatten", "conv1d_causal", "conv2d_same_uneven", "conv2d_dilation_no_bias",
    "conv2d_groups", "separable2d", "average_pool", "max_pool", "global_average", "global_max",
)  # fmt: skip


class Question(NamedTuple):
    """One rule as both sides are asked for it."""

    backend: str
    kind: str
    name: str
    options: dict[str, Any]
    method: str
    parameters: dict[str, Any]


def signxai(name: str, method: str, parameters: dict[str, Any] | None = None, **options: Any) -> Question:
    return Question("signxai", "analyzer", name, options, method, parameters or {})


def innvestigate(name: str, method: str, parameters: dict[str, Any] | None = None, **options: Any) -> Question:
    return Question("innvestigate", "analyzer", name, options, method, parameters or {})


QUESTIONS: dict[str, Question] = {
    "Z": signxai("lrp.z", "lrp_z"),
    "Z_IB": signxai("lrp.z_IB", "lrp_z_IB"),
    "Epsilon": signxai("lrp.epsilon", "lrp_epsilon_0_1", epsilon=0.1),
    "Epsilon_IB": signxai("lrp.epsilon_IB", "lrp_epsilon_IB"),
    "StdxEpsilon": signxai("lrp.stdxepsilon", "lrp_epsilon_0_5_std_x", stdfactor=0.5),
    "WSquare": signxai("lrp.w_square", "lrp_w_square"),
    "Flat": signxai("lrp.flat", "lrp_flat"),
    "AlphaBeta_1_0": signxai("lrp.alpha_1_beta_0", "lrp_alpha_1_beta_0"),
    "AlphaBeta_1_0_IB": signxai("lrp.alpha_1_beta_0_IB", "lrp_alpha_1_beta_0_IB"),
    "AlphaBeta_2_1": signxai("lrp.alpha_2_beta_1", "lrp_alpha_2_beta_1"),
    "AlphaBeta_2_1_IB": signxai("lrp.alpha_2_beta_1_IB", "lrp_alpha_2_beta_1_IB"),
    "AlphaBeta_1_5_0_5": signxai("lrp.alpha_beta", "lrp_alpha_1_5_beta_0_5", alpha=1.5, beta=0.5),
    "Gamma": signxai("lrp.gamma", "lrp_gamma"),
    "Gamma_2": signxai("lrp.gamma", "lrp_gamma_2", gamma=2.0),
    "ZPlus": signxai("lrp.z_plus", "lrp_z_plus"),
    "ZPlusFast": signxai("lrp.z_plus_fast", "lrp_z_plus_fast"),
}
AT_THE_INPUT: dict[str, Question] = {
    "SIGN": signxai("lrp.z", "lrpsign_z", input_layer_rule="SIGN"),
    "SIGNmu": signxai("lrp.epsilon", "lrpsign_epsilon_0_1_mu_0_5", epsilon=0.1, input_layer_rule="SIGNmu", mu=0.5),
    "WSquare_first": signxai("lrp.epsilon", "w2lrp_epsilon_0_1", epsilon=0.1, input_layer_rule="WSquare"),
    "Bounded": innvestigate("lrp.z", "zblrp_z", {"low": -4.0, "high": 3.0}, input_layer_rule=[-4, 3]),
}
INNVESTIGATE: dict[str, Question] = {
    "Z": innvestigate("lrp.z", "lrp_z"),
    "Epsilon": innvestigate("lrp.epsilon", "lrp_epsilon_0_1", epsilon=0.1),
    "WSquare": innvestigate("lrp.w_square", "lrp_w_square"),
    "Flat": innvestigate("lrp.flat", "lrp_flat"),
    "AlphaBeta_2_1": innvestigate("lrp.alpha_2_beta_1", "lrp_alpha_2_beta_1"),
    "AlphaBeta_1_5_0_5": innvestigate("lrp.alpha_beta", "lrp_alpha_1_5_beta_0_5", alpha=1.5, beta=0.5),
    "ZPlusFast": innvestigate("lrp.z_plus_fast", "lrp_z_plus_fast"),
}
# A rule is a rule: all of them on two layers, and on every layer one that splits weights, inputs and biases, one
# that uses neither, and one that takes the spread of the input. More would cost time and show nothing new; the
# oracle's tests have every rule on every layer.
FULL = ("dense_relu", "conv2d_same_uneven")
THOROUGH = ("AlphaBeta_1_5_0_5", "Flat", "StdxEpsilon")
CASES = [(layer, rule) for layer in LAYERS for rule in QUESTIONS if layer in FULL or rule in THOROUGH]


@pytest.fixture(scope="module")
def python() -> Path:
    try:
        found = find_python()
        package_versions(found)
    except ReferenceEnvironmentError as error:
        pytest.skip(str(error))
    return found


@pytest.fixture(scope="module")
def folder(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("layers")
    done = subprocess.run([str(python), "-s", str(SCRIPT), str(made)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture(scope="module")
def client(python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceClient]:
    store = tmp_path_factory.mktemp("answers")
    with ReferenceClient(python, store, keep_both=True, threads=1, timeout=120) as one:
        yield one


def sample(model: KerasModule, seed: int = 3) -> np.ndarray:
    """Both signs, with exact zeros, values at the threshold of SIGNmu, and a dark corner."""
    shape = model.description.input_shape
    x = (np.round(np.random.RandomState(seed).normal(0, 1, shape) * 64) / 64).astype(np.float32)
    x.reshape(-1)[::5] = 0.0
    x.reshape(-1)[1::7] = 0.5
    if len(shape) > 1:
        x[:2, :2] = 0.0
    return x.clip(-4, 3)


@pytest.fixture
def both(folder: Path, client: ReferenceClient) -> Callable[[str, Question], tuple[np.ndarray, np.ndarray]]:
    """`both(layer, question)` -> the port's map and the reference's, Keras layout."""

    def ask(layer: str, question: Question) -> tuple[np.ndarray, np.ndarray]:
        path = folder / f"{layer}.h5"
        model = load(path, dtype=torch.float64)
        x = sample(model)
        point = model.to_torch(x[None])
        target = int(model(point).argmax())
        call = ReferenceCall(question.backend, question.kind, question.name, question.options)
        source = ModelSource(layer, path, None, file_sha256(path), "none", "", "one layer")
        (answer,) = client.answer(ReferenceRequest(source, (x,), (target,), call, "float64"))
        assert answer.error is None, answer.error
        assert answer.array is not None
        found = explain(model, point, question.method, target, **question.parameters)
        return model.to_keras(torch.as_tensor(found))[0], answer.array

    return ask


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    assert expected.dtype == np.float64
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def test_the_models_are_those_of_the_script(folder):
    assert {path.stem for path in folder.glob("*.h5")} == set(LAYERS)
    with h5py.File(folder / "separable2d.h5") as file:
        config = json.loads(file.attrs["model_config"])
    assert "SeparableConv2D" in [layer["class_name"] for layer in config["config"]["layers"]]


@pytest.mark.parametrize(("layer", "rule"), [pytest.param(*case, id="-".join(case)) for case in CASES])
def test_rule(layer, rule, both):
    found, expected = both(layer, QUESTIONS[rule])
    assert distance(found, expected) <= EXACT


@pytest.mark.parametrize("layer", FULL)
@pytest.mark.parametrize("rule", AT_THE_INPUT)
def test_rule_of_the_input_layer(layer, rule, both):
    found, expected = both(layer, AT_THE_INPUT[rule])
    assert distance(found, expected) <= EXACT


@pytest.mark.parametrize("layer", FULL)
@pytest.mark.parametrize("rule", INNVESTIGATE)
def test_rule_of_innvestigate(layer, rule, both):
    found, expected = both(layer, INNVESTIGATE[rule])
    assert distance(found, expected) <= EXACT


@pytest.mark.parametrize("layer", FULL)
def test_the_bounded_rule_of_signxai_is_rounding_noise(layer, both):
    """The factors x, low and high are missing there, so the terms cancel: why iNNvestigate is asked instead."""
    question = signxai("lrp.z", "zblrp_z", {"low": -4.0, "high": 3.0}, input_layer_rule=[-4, 3])
    found, expected = both(layer, question)
    assert np.abs(expected).max() < 1e-12
    assert np.abs(found).max() > 1e-3


def test_a_deviation_would_be_seen(both):
    found, expected = both("conv2d_same_uneven", QUESTIONS["Epsilon"])
    assert distance(found * (1 + 1e-9), expected) > EXACT
    other, _ = both("conv2d_same_uneven", QUESTIONS["Epsilon"]._replace(method="lrp_epsilon_0_1001"))
    assert distance(other, expected) > EXACT
