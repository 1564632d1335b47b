"""Tokens, masks, recurrent layers, and the same layer at every step."""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from tests.signxai_torch.oracles.kernels import kernel_of
from tests.signxai_torch.oracles.layer import Array, Inner, Layer, activation_of

States = tuple[Array, ...]
Step = Callable[[Layer, Array, States], States]
"""From a step's input and the states to the new states, whose first is what the step puts out."""


def embedding(layer: Layer, tokens: Array) -> Array:
    return layer.weights["embeddings"].astype(np.float64)[tokens.real.astype(int)]


def masking(layer: Layer, x: Array) -> Array:
    return x * _holds_another(layer, x)[..., None]


def _holds_another(layer: Layer, x: Array) -> Array:
    return (x.real != layer.config.get("mask_value", 0.0)).any(-1)


def mask_of_tokens(layer: Layer, tokens: Array) -> Array | None:
    return tokens.real != 0 if layer.config.get("mask_zero") else None


def mask_of_steps(layer: Layer, x: Array) -> Array:
    return _holds_another(layer, x)


def _weight(layer: Layer, name: str) -> Array:
    return layer.weights[name].astype(np.float64)


def simple_rnn(layer: Layer, x: Array, states: States) -> States:
    bent = activation_of(layer, default="tanh")
    return (bent(x @ _weight(layer, "kernel") + states[0] @ _weight(layer, "recurrent_kernel") + _bias(layer)),)


def _bias(layer: Layer) -> Array:
    return _weight(layer, "bias") if "bias" in layer.weights else np.zeros(layer.weights["kernel"].shape[-1])


def lstm(layer: Layer, x: Array, states: States) -> States:
    sums = x @ _weight(layer, "kernel") + states[0] @ _weight(layer, "recurrent_kernel") + _bias(layer)
    return _lstm_states(layer, sums, states[1])


def _lstm_states(layer: Layer, sums: Array, carried: Array) -> States:
    """Hochreiter and Schmidhuber, with a forget gate; Keras' order: input, forget, candidate, output."""
    gate, bent = activation_of(layer, "recurrent_activation", "sigmoid"), activation_of(layer, default="tanh")
    enter, forget, candidate, show = np.split(sums, 4, axis=-1)
    carried = gate(forget) * carried + gate(enter) * bent(candidate)
    return gate(show) * bent(carried), carried


def gru(layer: Layer, x: Array, states: States) -> States:
    """Cho et al.; Keras' order: update, reset, candidate. `reset_after`: the reset comes after the product."""
    gate, bent = activation_of(layer, "recurrent_activation", "sigmoid"), activation_of(layer, default="tanh")
    before = states[0]
    after = bool(layer.config.get("reset_after", True))
    bias = _bias(layer)
    of_input, of_state = bias if after and bias.ndim == 2 else (bias, np.zeros_like(bias))
    xz, xr, xh = np.split(x @ _weight(layer, "kernel") + of_input, 3)
    uz, ur, uh = np.split(_weight(layer, "recurrent_kernel"), 3, axis=1)
    bz, br, bh = np.split(of_state, 3)
    update = gate(xz + before @ uz + bz)
    reset = gate(xr + before @ ur + br)
    from_state = reset * (before @ uh + bh) if after else (reset * before) @ uh
    return (update * before + (1 - update) * bent(xh + from_state),)


def conv_lstm(layer: Layer, x: Array, states: States) -> States:
    """An LSTM whose products are convolutions; that of the state keeps the size."""
    of_input, of_state = (kernel_of(_convolution(layer, name, one.ndim - 1), one.shape).preactivation(one)
                          for name, one in (("kernel", x), ("recurrent_kernel", states[0])))  # fmt: skip
    return _lstm_states(layer, of_input + of_state, states[1])


@functools.cache
def _convolution(layer: Layer, which: str, axes: int) -> Layer:
    """Return one of the two convolutions as a layer."""
    weights, settings = {"kernel": layer.weights[which]}, {"padding": "same"}
    if which == "kernel":
        settings = {**layer.config, "activation": None}
        weights |= {"bias": layer.weights["bias"]} if "bias" in layer.weights else {}
    return Inner(f"Conv{axes}D", settings, weights)


def _first_states(layer: Layer, x: Array) -> States:
    """Return zeros in the shape of what a layer puts out in one step, as often as it has states."""
    count = 2 if "LSTM" in layer.class_name else 1
    if layer.class_name.startswith("Conv"):
        convolved = kernel_of(_convolution(layer, "kernel", x.ndim - 1), x.shape).output
        return (np.zeros((*convolved[:-1], convolved[-1] // 4)),) * count
    return (np.zeros(layer.weights["recurrent_kernel"].shape[0]),) * count


STEPS: dict[str, Step] = {"SimpleRNN": simple_rnn, "LSTM": lstm, "GRU": gru,
                          **{f"ConvLSTM{n}D": conv_lstm for n in (1, 2, 3)}}  # fmt: skip


def recurrent(layer: Layer, x: Array, mask: Array | None = None) -> Array:
    """Step by step; a step that is off in the mask repeats what was put out before and changes no state."""
    step = STEPS[layer.class_name]
    states = _first_states(layer, x[0])
    shown, made = np.zeros_like(states[0]), []
    order = range(len(x))[::-1] if layer.config.get("go_backwards") else range(len(x))
    for at in order:
        if mask is None or mask[at]:
            states = step(layer, x[at], states)
            shown = states[0]
        made.append(shown)
    return np.stack(made) if layer.config.get("return_sequences") else made[-1]


def on_each_other(layer: Layer, x: Array, mask: Array | None = None) -> Array:
    """`RNN` of a cell, or of cells each of which reads what the one before puts out."""
    cell = layer.config["cell"]
    cells = cell["config"]["cells"] if cell["class_name"] == "StackedRNNCells" else [cell]
    for number, one in enumerate(cells):
        prefix = f"cell_{number}_" if len(cells) > 1 else ""
        weights = {name.removeprefix(prefix): w for name, w in layer.weights.items() if name.startswith(prefix)}
        sequences = number + 1 < len(cells) or layer.config.get("return_sequences")
        backwards = number == 0 and layer.config.get("go_backwards")
        config = {**one["config"], "return_sequences": sequences, "go_backwards": backwards}
        x = recurrent(Inner(one["class_name"].removesuffix("Cell"), config, weights), x, mask)
    return x


MERGES: dict[str, Callable[[Array, Array], Array]] = {
    "concat": lambda there, back: np.concatenate([there, back], -1),
    "sum": lambda there, back: there + back,
    "ave": lambda there, back: (there + back) / 2,
    "mul": lambda there, back: there * back,
}


def bidirectional(layer: Layer, x: Array, mask: Array | None = None) -> Array:
    """The same kind of layer over the series and over its reverse, whose results are turned around again."""
    there, back = (recurrent(_one_way(layer, way), x, mask) for way in ("forward", "backward"))
    if layer.config["layer"]["config"].get("return_sequences"):
        back = back[::-1]
    return MERGES[layer.config["merge_mode"]](there, back)


@functools.cache
def _one_way(layer: Layer, way: str) -> Layer:
    wrapped = layer.config["layer"]
    weights = {name.removeprefix(f"{way}_"): w for name, w in layer.weights.items() if name.startswith(way)}
    return Inner(wrapped["class_name"], {**wrapped["config"], "go_backwards": way == "backward"}, weights)


@functools.cache
def each_step(layer: Layer) -> Layer:
    """Return the layer inside a `TimeDistributed`."""
    wrapped = layer.config["layer"]
    return Inner(wrapped["class_name"], wrapped["config"], layer.weights)
