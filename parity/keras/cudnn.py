"""`CuDNNLSTM` and `CuDNNGRU`, which run on GPUs alone, as the LSTM and the GRU that compute the same.

Keras 2 keeps their weights as NVIDIA's library wants them, and turns them when it loads them into a plain layer; so it
is done here, also for a file whose architecture names the plain layer already.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from parity.keras.stored_tensor import Floats, StoredTensor

_PLAIN = {"CuDNNLSTM": "LSTM", "CuDNNGRU": "GRU"}
_INSIDE = ("layer", "backward_layer")
MAY_HOLD_WEIGHTS_OF_GPUS = (*_PLAIN.values(), "Bidirectional", "TimeDistributed")
"""The plain layers whose weights in a file may be for GPUs."""
_LSTM_GATES, _GRU_GATES = 4, 3


def plain_entry(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the entry of a layer with plain layers in place of those for GPUs, also inside of a `Bidirectional`."""
    class_name, config = str(entry.get("class_name")), entry.get("config")
    if not isinstance(config, Mapping):
        return entry
    if class_name == "Bidirectional":
        inside = {key: plain_entry(config[key]) for key in _INSIDE if isinstance(config.get(key), Mapping)}
        return {**entry, "config": {**config, **inside}}
    if class_name not in _PLAIN:
        return entry
    settings = {"activation": "tanh", "recurrent_activation": "sigmoid", "use_bias": True, "reset_after": True}
    if _PLAIN[class_name] == "LSTM":
        del settings["reset_after"]
    return {**entry, "class_name": _PLAIN[class_name], "config": {**config, **settings}}


def plain_tensors(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Return the tensors of a layer as plain layers have them; which are for GPUs is told by the size of the bias."""
    plain = dict(tensors)
    for prefix in ("", "forward_", "backward_"):
        kernel, recurrent, bias = (tensors.get(prefix + name) for name in ("kernel", "recurrent_kernel", "bias"))
        if kernel is None or recurrent is None or bias is None or len(recurrent.shape) != 2 or not recurrent.shape[0]:
            continue
        units, width = recurrent.shape
        gates = width // units
        if gates not in (_LSTM_GATES, _GRU_GATES) or bias.shape != (2 * gates * units,):
            continue
        plain[f"{prefix}kernel"] = kernel.changed(_by_gate(gates, lambda block: block.reshape(block.shape[1], -1).T))
        plain[f"{prefix}recurrent_kernel"] = recurrent.changed(_by_gate(gates, lambda block: block.T))
        if gates == _LSTM_GATES:
            plain[f"{prefix}bias"] = bias.changed(lambda values: values.reshape(2, -1).sum(0), (gates * units,))
        else:
            plain[f"{prefix}bias"] = bias.changed(lambda values: values.reshape(2, -1), (2, gates * units))
    return plain


def _by_gate(gates: int, change: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    return lambda values: np.concatenate([change(block) for block in np.split(values, gates, axis=1)], axis=1)
