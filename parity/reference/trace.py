"""What a reference did layer by layer: what each layer made, what relevance reached it, what it handed on.

Both sides read this file, and it needs NumPy alone: the worker packs a trace into one array, so that it travels and is
stored, hashed and checked like every other answer; the harness unpacks it.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.hashing import array_sha256

Array = npt.NDArray[Any]
_TABLE = "table"


@dataclass(frozen=True, eq=False)
class TracedLayer:
    """One Keras layer of a reference while it explained one input; arrays in Keras layout without batch axis.

    Attributes
    ----------
    name, class_name
        As Keras calls them.
    rule
        The rule that handed relevance on; empty for an input.
    inbound
        The layers whose outputs it read, each once.
    made
        Its output; None where the reference was not seen to compute it.
    arrived
        The relevance that reached its output, summed over the layers that read it; None where relevance starts.
    handed
        By place in `inbound`: the relevance that it gave to that input.
    """

    name: str
    class_name: str
    rule: str
    inbound: tuple[str, ...]
    made: Array | None
    arrived: Array | None
    handed: tuple[Array, ...]


def packed(layers: Sequence[TracedLayer]) -> Array:
    """Return a trace as one array of bytes; arrays that are equal are kept once."""
    members: dict[str, Any] = {}

    def kept(array: Array | None) -> str | None:
        if array is None:
            return None
        key = array_sha256(array)[:32]
        members.setdefault(key, np.ascontiguousarray(array).reshape(array.shape))
        return key

    table = [
        {
            "name": layer.name,
            "class_name": layer.class_name,
            "rule": layer.rule,
            "inbound": list(layer.inbound),
            "made": kept(layer.made),
            "arrived": kept(layer.arrived),
            "handed": [kept(array) for array in layer.handed],
        }
        for layer in layers
    ]
    stream = io.BytesIO()
    members[_TABLE] = np.frombuffer(json.dumps(table).encode(), np.uint8)
    np.savez(stream, **members)
    return np.frombuffer(stream.getvalue(), dtype=np.uint8).copy()


def unpacked(array: Array | None) -> tuple[TracedLayer, ...]:
    """Return the layers that `packed` made one array of, input to output.

    Raises
    ------
    ValueError
        If the array is none of this kind.
    """
    if array is None or array.ndim != 1 or array.dtype != np.uint8:
        raise ValueError("the answer is no trace of layers")
    try:
        with np.load(io.BytesIO(array.tobytes()), allow_pickle=False) as file:
            table = json.loads(file[_TABLE].tobytes())
            arrays = {name: file[name] for name in file.files if name != _TABLE}
    except (OSError, KeyError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"the answer is no trace of layers: {error}") from error

    def of(key: str | None) -> Array | None:
        return None if key is None else arrays[key]

    return tuple(
        TracedLayer(
            line["name"], line["class_name"], line["rule"], tuple(line["inbound"]), of(line["made"]),
            of(line["arrived"]), tuple(arrays[key] for key in line["handed"]),
        )
        for line in table
    )  # fmt: skip
