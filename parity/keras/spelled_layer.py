"""What it takes to spell a layer as others: the parts that it becomes, and why it has none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from parity.keras.stored_tensor import StoredTensor

Tensors = Mapping[str, StoredTensor]


class CannotSpellError(Exception):
    """No layers compute the same; the text says why, as a sentence without its end."""


@dataclass(frozen=True)
class Part:
    """One of the layers that a layer is spelled as.

    Attributes
    ----------
    class_name, config
        Of the part.
    suffix
        Of its name; the last part has none, and the layer's own name.
    reads
        Suffixes of the parts that it reads, "" for what the layer reads; nothing for the part before.
    tensors
        Its variables.
    told
        What a bare operation is told by place behind what it reads.
    """

    class_name: str
    config: Mapping[str, Any]
    suffix: str = ""
    reads: tuple[str, ...] = ()
    tensors: Tensors = field(default_factory=dict)
    told: tuple[Any, ...] = ()
