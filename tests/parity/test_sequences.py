"""How models of tokens and of sequences are asked about."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import parity.keras
from parity.judge.known.conditions import input_layers, masked_averages, takes_tokens
from parity.keras import ModelDescription
from parity.keras.network import Network, write_network
from parity.run.calls import NotInReferenceError
from parity.run.noise import samples
from parity.run.questions import question
from parity.run.subjects import parse
from tests.parity.judged import ROWS
from tests.parity.judged.registry import dense, layer, network
from tests.parity.judged.sequences import recurrent


@pytest.fixture
def described(tmp_path):
    def describe(name: str) -> ModelDescription:
        path = tmp_path / f"{name}.h5"
        write_network(ROWS[name].network(np.random.default_rng(0)), path)
        return parity.keras.load(path).description

    return describe


def test_facts(described):
    assert takes_tokens(described("text_cnn"))
    assert not takes_tokens(described("masked_lstm"))
    assert input_layers(described("text_cnn")) == []
    assert masked_averages(described("text_masked_average")) == ("g",)
    assert masked_averages(described("text_masked_conv")) == ()  # a convolution drops the mask


@pytest.mark.parametrize(
    ("name", "method", "words"),
    [
        ("text_cnn", "gradient", "tokens, which have no gradient"),
        ("text_cnn", "smoothgrad", "tokens, which have no gradient"),
        ("text_cnn", "deep_taylor", "gradient of an Embedding"),
        ("lstm", "lrp_z", "rule of LRP for recurrent layers such as 'r'"),
        ("bidirectional", "lrp.epsilon", "rule of LRP for recurrent layers such as 'b'"),
        ("lstm", "deep_lift", "no reference has DeepLIFT for recurrent layers"),
        ("lstm_with_relu", "guided_backprop", "ReLUs of whole layers"),
        ("masked_average", "integrated_gradients", "leaves no step for layer 'g' to average"),
    ],
)
def test_what_no_reference_has(described, name, method, words):
    with pytest.raises(NotInReferenceError, match=words):
        question(parse(method), described(name))


@pytest.mark.parametrize(("method", "is_asked"), [("gradient", False), ("smoothgrad", False), ("input", True)])
def test_neither_reference_hands_states_on(tmp_path, method, is_asked):
    rng = np.random.default_rng(0)
    first = recurrent(rng, "GRU", "first", 3, 4, 3)
    second = replace(recurrent(rng, "GRU", "second", 3, 4, 3), inbound=("x", "first"))
    steps = network((7, 3), first, second, dense(rng, "out", 4, 3))
    path = tmp_path / "states.h5"
    write_network(steps, path)
    model = parity.keras.load(path).description
    if is_asked:
        assert question(parse(method), model).candidates
    else:
        with pytest.raises(NotInReferenceError, match="'second' reads the states of another"):
            question(parse(method), model)


def test_tokens_beside_another_input_are_tokens(tmp_path):
    numbers = layer("InputLayer", "numbers", batch_input_shape=[None, 4])
    tokens = layer("InputLayer", "tokens", batch_input_shape=[None, 2])
    table = {"embeddings": np.ones((7, 3), np.float32)}
    parts = [
        numbers,
        tokens,
        layer("Embedding", "table", "tokens", weights=table, input_dim=7, output_dim=3),
        layer("Flatten", "row", "table"),
        layer("Concatenate", "both", "numbers", "row", axis=-1),
        dense(np.random.default_rng(0), "out", 10, 3, "both"),
    ]
    path = tmp_path / "wide.h5"
    write_network(Network(tuple(parts)), path)
    with pytest.raises(NotInReferenceError, match="an input of the model is tokens"):
        question(parse("gradient"), parity.keras.load(path).description)


@pytest.mark.parametrize(
    ("method", "words"), [("gradient", "tokens, which have no gradient"), ("lrp_z", "'each' looks tokens up at every")]
)
def test_tokens_that_are_looked_up_at_every_step(tmp_path, method, words):
    inside = {"class_name": "Embedding", "config": {"name": "table", "input_dim": 7, "output_dim": 3}}
    table = {"embeddings": np.ones((7, 3), np.float32)}
    parts = network(
        (4, 5),
        layer("TimeDistributed", "each", weights=table, layer=inside),
        layer("Flatten", "row"),
        dense(np.random.default_rng(0), "out", 60, 3),
    )
    path = tmp_path / "tokens.h5"
    write_network(parts, path)
    with pytest.raises(NotInReferenceError, match=words):
        question(parse(method), parity.keras.load(path).description)


def test_tokens_are_held_to_innvestigate(described):
    model = described("text_cnn")
    (candidate,) = question(parse("lrp_z"), model).candidates
    assert candidate.call.backend == "innvestigate"
    assert [one.name for one in candidate.differences] == ["signxai-embedding"]
    # No layer sees the input, so the rule of the input layer is unused and not asked for.
    (candidate,) = question(parse("lrpsign_epsilon_0_1"), model).candidates
    assert candidate.call.name == "lrp.epsilon"
    assert "input_layer_rule" not in candidate.call.options


def test_gradients_of_recurrences_are_held_to_signxai(described):
    (candidate,) = question(parse("gradient.baseline"), described("lstm")).candidates
    assert (candidate.call.backend, candidate.recipe) == ("signxai", "averaged")


def test_tokens_are_never_scaled():
    asked = []

    def ask(inputs, dtype, onednn):
        asked.extend(inputs)
        return []

    x = np.arange(5, dtype=np.float32)
    list(samples(x, "float32", np.ones(5), np.ones(5), ask, [], tokens=True))
    assert asked
    assert all(np.array_equal(one, x) for one in asked)
