"""Tokens, masks and recurrent layers: what is refused, and that the recipes would notice a wrong port."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import parity.keras
from parity.keras.handlers.table import HANDLERS
from parity.keras.modules import attention, recurrent
from parity.keras.modules.tokens import StepMask, TokenMask
from parity.keras.network import Network, NetworkLayer, write_network
from tests.parity.judged.registry import dense, layer, network
from tests.parity.judged.sequences import TOKENS, both_ways, embedding
from tests.parity.judged.sequences import recurrent as steps
from tests.parity.keras.test_logits_against_keras import LIMITS, difference
from tests.parity.keras.test_refusals import refusal


def _series(*layers) -> Network:
    return network((7, 3), *layers)


def _lstm(**config) -> Network:
    rng = np.random.default_rng(0)
    return _series(steps(rng, "LSTM", "r", 3, 4, 4, **config), dense(rng, "out", 4, 3))


def _both(**config) -> Network:
    rng = np.random.default_rng(0)
    merge = config.pop("merge_mode", "sum")
    return _series(
        layer("Masking", "m", mask_value=0.0), both_ways(rng, "r", 3, 4, merge, **config), layer("Flatten", "f")
    )


def _masked(*layers) -> Network:
    return network((7,), embedding(np.random.default_rng(0), "e", 3, mask_zero=True), *layers, layer("Flatten", "f"))


_LENGTHS = (("x", 7), ("y", 1))


def _two_lengths() -> Network:
    """Join a masked sequence with a masked sequence of one step."""
    return Network((
        *(NetworkLayer(name, "InputLayer", {"batch_input_shape": [None, steps, 3]}, ()) for name, steps in _LENGTHS),
        *(NetworkLayer(f"{name}_mask", "Masking", {"mask_value": 0.0}, (name,)) for name, _ in _LENGTHS),
        NetworkLayer("j", "Multiply", {}, tuple(f"{name}_mask" for name, _ in _LENGTHS)),
        NetworkLayer("f", "Flatten", {}, ("j",)),
    ))  # fmt: skip


def _cells(*cells: str) -> Network:
    entries = [{"class_name": cell, "config": {"units": 4}} for cell in cells]
    return _series(layer("RNN", "r", cell={"class_name": "StackedRNNCells", "config": {"cells": entries}}))


REFUSED = {
    "stateful": (_lstm(stateful=True), ["'r' (LSTM)", "stateful=True", "Rebuild the layer with stateful=False"]),
    "time_major": (_lstm(time_major=True), ["time_major=True", "time_major=False"]),
    "two outputs": (_both(merge_mode=None), ["'r' (Bidirectional)", "merge_mode is None", "go_backwards=True"]),
    "a mask from the wrong end": (_both(unroll=True, return_sequences=True), ["unroll=True", "wrong end"]),
    "a cell of the user": (_cells("LSTMCell", "MyCell"), ["'r' (RNN)", "cells that are not supported"]),
    "a mask on a softmax": (
        _masked(layer("Softmax", "s")),
        ["'s' (Softmax)", "masks channels", "Activation('softmax')"],
    ),
    "a mask on steps that cannot have one": (
        _masked(layer("TimeDistributed", "s", layer={"class_name": "Reshape", "config": {"target_shape": [3, 1]}})),
        ["'s' (TimeDistributed)", "a Reshape", "the mask of each step", "without masks"],
    ),
    "masks of different lengths": (_two_lengths(), ["'j' (Multiply)", "different lengths", "which Keras cannot"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_layers(tmp_path, case):
    made, words = REFUSED[case]
    path = tmp_path / "model.h5"
    write_network(made, path)
    message = refusal(path)
    for word in ("model.h5", *words):
        assert word in message


def test_tokens_without_a_vector(tmp_path):
    path = tmp_path / "model.h5"
    write_network(_masked(), path)
    module = parity.keras.load(path)
    for token in (-1, TOKENS):
        with pytest.raises(IndexError, match=f"token {token} has no vector .* from 0 to {TOKENS - 1}"):
            module(torch.full((1, 7), float(token)))


def test_tokens_are_cut_to_whole_ones_as_keras_does(tmp_path):
    path = tmp_path / "model.h5"
    write_network(_masked(), path)
    module = parity.keras.load(path)
    assert torch.equal(module(torch.full((1, 7), 3.9)), module(torch.full((1, 7), 3.0)))


# Mutants of the converter: each must make the logits differ by far more than the limit.


def _gates_of_torch(monkeypatch):
    """Take Keras' gates of a GRU (update, reset) in torch's order."""
    split = torch.Tensor.split

    def turned(tensor, size, dim=0):
        parts = split(tensor, size, dim)
        return (parts[1], parts[0], *parts[2:]) if dim == 1 else parts

    monkeypatch.setattr(torch.Tensor, "split", turned)


def _no_masks(monkeypatch):
    for kind in (StepMask, TokenMask):
        forward = kind.forward
        monkeypatch.setattr(kind, "forward", lambda self, x, forward=forward: torch.ones_like(forward(self, x)))


def _masked_steps_keep_their_result(monkeypatch):
    made = recurrent.Recurrence.__init__

    def never_zeros(self, cell, backwards, sequences, zeros=False):
        made(self, cell, backwards, sequences, zeros=False)

    monkeypatch.setattr(recurrent.Recurrence, "__init__", never_zeros)


def _not_turned_around(monkeypatch):
    monkeypatch.setattr(torch.Tensor, "flip", lambda self, *_: self)


def _mask_ends_at(kind: str):
    def mutate(monkeypatch):
        monkeypatch.setitem(HANDLERS, kind, replace(HANDLERS[kind], mask="ends"))

    return mutate


def _mask_of_the_value_for_the_query(monkeypatch):
    def turned(tensors, masked):
        given, masks = apart(tensors, masked)
        return given, masks[1::-1] + masks[2:]

    apart = attention._with_masks
    monkeypatch.setattr(attention, "_with_masks", turned)


def _hidden_lightly(monkeypatch):
    """Take less off the scores of steps that must not be seen."""
    monkeypatch.setattr(attention, "_HIDDEN", 5.0)


MUTANTS = {
    "masks of query and value change places": (_mask_of_the_value_for_the_query, "attention_masked"),
    "masked steps are seen a little": (_hidden_lightly, "attention_masked"),
    "a mask ends at a merge": (_mask_ends_at("Multiply"), "masked_merges"),
    "a mask ends at a normalization": (_mask_ends_at("UnitNormalization"), "masked_normalizations"),
    "gates of a GRU in torch's order": (_gates_of_torch, "recurrent_gru"),
    "masks are ignored": (_no_masks, "recurrent_gru_masked"),
    "masks of tokens are ignored": (_no_masks, "text_classifier"),
    "masked steps of both ways are no zeros": (_masked_steps_keep_their_result, "recurrent_both_concat_masked"),
    "what ran backwards is not turned around": (_not_turned_around, "recurrent_both_concat_masked"),
    "a mask ends at a dense layer": (_mask_ends_at("Dense"), "text_masked_average"),
}


@pytest.mark.reference
@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_caught(truth, monkeypatch, mutant):
    mutate, name = MUTANTS[mutant]
    mutate(monkeypatch)
    module = parity.keras.load(truth / f"{name}.h5")
    assert difference(module, truth, name, "float32") > 100 * LIMITS["float32"]
