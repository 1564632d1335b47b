"""Activations inside of recurrent cells that Keras 2.12 has otherwise than Keras 3, or not at all.

`hard_sigmoid` is 0.5 + slope * x cut to [0, 1], with the slope 1 / 5 in Keras 2 and 1 / 6 in Keras 3, so that weights
of 5 / 6 make one of the other. Others, and this one where a cell puts it on what no weights make (an LSTM's state),
have no equivalent.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.keras.handlers.activations import function_name
from parity.keras.handlers.recurrent import CellPart, cells_of
from parity.keras.handlers.wrappers import layer_inside, model_inside

Tensors = Mapping[str, npt.NDArray[np.floating[Any]]]
_NAME = "hard_sigmoid"
_FACTOR = 5 / 6
_SETTINGS = ("recurrent_activation", "activation")
# By kind of cell and setting: the blocks of columns that the function works on. A setting whose function works on the
# state too is not there.
_BLOCKS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "LSTM": {"recurrent_activation": (0, 1, 3)},
    "GRU": {"recurrent_activation": (0, 1), "activation": (2,)},
    "SimpleRNN": {"activation": (0,)},
}


def function_without_equivalent(class_name: str, config: Mapping[str, Any], functions: Collection[str]) -> str | None:
    """Return the name of a function in a layer's cells that Keras 2.12 cannot compute, None if there is none.

    Parameters
    ----------
    class_name, config
        The layer.
    functions
        The functions that Keras 2.12 computes otherwise, or has not.
    """
    for part in _parts(class_name, config):
        for setting in _SETTINGS:
            name = function_name(part.config.get(setting))
            if name in functions and (name != _NAME or setting not in _blocks(part)):
                return name
    return None


def weights_for_keras_2(class_name: str, config: Mapping[str, Any], weights: Tensors) -> Tensors:
    """Return the weights of a layer of Keras 3 with which Keras 2 computes the same."""
    scaled = dict(weights)
    for part in _parts(class_name, config):
        used = [setting for setting in _SETTINGS if function_name(part.config.get(setting)) == _NAME]
        blocks = [block for setting in used for block in _blocks(part)[setting]]
        units = int(part.config.get("units") or part.config["filters"])
        for name in (f"{part.prefix}{variable}" for variable in ("kernel", "recurrent_kernel", "bias")):
            if blocks and name in scaled:
                scaled[name] = np.array(scaled[name], np.float64)
                for block in blocks:
                    scaled[name][..., block * units : (block + 1) * units] *= _FACTOR
    return scaled


def _blocks(part: CellPart) -> Mapping[str, tuple[int, ...]]:
    return _BLOCKS["LSTM" if part.kind.startswith("ConvLSTM") else part.kind]


def _parts(class_name: str, config: Mapping[str, Any]) -> Iterator[CellPart]:
    """Yield the cells of a layer, also of what a wrapper runs at every step, with the names of their variables."""
    if class_name != "TimeDistributed":
        yield from cells_of(class_name, config)
        return
    graph = model_inside(config, Path(class_name))
    for node in graph.nodes if graph else ():
        for part in _parts(node.class_name, node.config):
            yield replace(part, prefix=f"{node.name}/{part.prefix}")
    if graph is None:
        yield from _parts(*layer_inside(config))
