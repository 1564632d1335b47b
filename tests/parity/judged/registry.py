"""A row: a small network around one layer, and what each method's verdict on it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from parity.keras.network import Network, NetworkLayer

METHODS = (
    "gradient", "guided_backprop", "integrated_gradients", "lrp_z", "lrp_epsilon_0_1", "lrpsign_epsilon_0_25_std_x",
    "flatlrp_alpha_1_beta_0", "lrp_sequential_composite_a", "lrp.alpha_2_beta_1", "deep_taylor",
)  # fmt: skip
"""One per family, and rules with and without a rule of their own for the input layer, of both references."""

Tensors = Mapping[str, np.ndarray]
ROWS: dict[str, Row] = {}


@dataclass(frozen=True)
class Row:
    """What is judged.

    Attributes
    ----------
    network
        Makes the network from a random generator; see `layer`.
    shape
        Of one input, Keras layout.
    verdicts
        The status of methods that are not at parity, and why, such as ``{"lrp.*": "unsupported"}``; names end in ``*``
        where several are meant.
    sample
        Makes the input of normal random numbers of that shape; None takes them as they are.
    """

    network: Callable[[np.random.Generator], Network]
    shape: tuple[int, ...]
    verdicts: Mapping[str, str] = field(default_factory=dict)
    sample: Callable[[np.ndarray], np.ndarray] | None = None

    def verdict(self, method: str) -> str:
        """Return the status that a method must have."""
        for name, status in self.verdicts.items():
            if method == name or (name.endswith("*") and method.startswith(name[:-1])):
                return status
        return "parity"


def row(
    shape: tuple[int, ...],
    verdicts: Mapping[str, str] | None = None,
    sample: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Callable[[Callable[..., Network]], Callable[..., Network]]:
    """Keep a function from a random generator to a network as a row of its name."""

    def keep(build: Callable[..., Network]) -> Callable[..., Network]:
        ROWS[build.__name__] = Row(build, shape, verdicts or {}, sample)
        return build

    return keep


def network(shape: tuple[int | None, ...], *layers: NetworkLayer) -> Network:
    """Return a network; a layer without inbound names reads the one before it."""
    chained = [NetworkLayer("x", "InputLayer", {"batch_input_shape": [None, *shape]}, ())]
    for one in layers:
        chained.append(replace(one, inbound=one.inbound or (chained[-1].name,)))
    return Network(tuple(chained))


def layer(class_name: str, name: str, *inbound: str, weights: Tensors | None = None, **config: Any) -> NetworkLayer:
    """Return a layer as `Network` has it."""
    return NetworkLayer(name, class_name, {"name": name, **config}, inbound, weights or {})


def kernel(rng: np.random.Generator, *shape: int, bias: bool = True, name: str = "kernel") -> Tensors:
    """Return a kernel of some shape, last axis the units, and a bias."""
    made = {name: rng.normal(size=shape) / np.sqrt(max(np.prod(shape[:-1]), 1))}
    if bias:
        made["bias"] = 0.2 * rng.normal(size=shape[-1])
    return {key: values.astype(np.float32) for key, values in made.items()}


def dense(rng: np.random.Generator, name: str, features: int, units: int, *inbound: str, **config: Any) -> NetworkLayer:
    """Return a Dense layer."""
    return layer("Dense", name, *inbound, weights=kernel(rng, features, units), units=units, **config)


def conv(
    rng: np.random.Generator,
    name: str,
    size: tuple[int, ...],
    channels: int,
    filters: int,
    *inbound: str,
    **config: Any,
) -> NetworkLayer:
    """Return a Conv1D, Conv2D or Conv3D layer."""
    weights = kernel(rng, *size, channels, filters)
    return layer(
        f"Conv{len(size)}D", name, *inbound, weights=weights, kernel_size=list(size), filters=filters, **config
    )
