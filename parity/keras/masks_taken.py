"""Masks that are gone when Keras 3 runs a model: a `MultiHeadAttention` takes them off the tensors that it reads.

Who reads such a tensor later sees no mask, so the order in which Keras runs the layers matters.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from parity.keras.graph import Node

_TAKES_OFF = "MultiHeadAttention"


class MasksTaken:
    """Which layers find no mask on a tensor that has one.

    Parameters
    ----------
    nodes
        All layers of a model of Keras 3; none where Keras 2 wrote it, whose attention leaves masks on.
    output
        The layer that makes the output.
    idle
        Those that do nothing at inference: what they give is the tensor that they read, so that both lose their mask.
    """

    def __init__(self, nodes: Sequence[Node], output: str, idle: Collection[str]) -> None:
        self._order = run_order({node.name: node.inbound for node in nodes}, output)
        self._same: dict[str, str] = {}
        self._takers: dict[str, list[str]] = {}
        for node in nodes:  # each comes after those it reads
            if node.name in idle:
                self._same[node.name] = self._tensor(node.inbound[0])
            if node.class_name == _TAKES_OFF:
                for name in node.inbound:
                    self._takers.setdefault(self._tensor(name), []).append(node.name)

    def _tensor(self, name: str) -> str:
        """Return the layer that made the tensor that a layer gives."""
        return self._same.get(name, name)

    def before(self, reader: str, result: str) -> bool:
        """Return whether the mask of a layer's result is taken off before another layer reads it."""
        takers, last = self._takers.get(self._tensor(result), ()), len(self._order)
        here = self._order.get(reader, last)
        return any(taker != reader and self._order.get(taker, last) < here for taker in takers)


def run_order(reads: Mapping[str, Sequence[str]], output: str) -> dict[str, int]:
    """Return the place of each layer in the order in which Keras 3 runs them (`keras.src.ops.function`).

    Those farthest from the output come first; of those equally far, the ones that a walk from the output reaches first.

    Parameters
    ----------
    reads
        By layer, what it reads.
    output
        Where the walk begins.
    """
    met: set[str] = set()
    finished: list[str] = []
    stack = [(output, False)]
    while stack:
        name, done = stack.pop()
        if done:
            finished.append(name)
        elif name in reads and name not in met:
            met.add(name)
            stack.append((name, True))
            stack += [(read, False) for read in reversed(reads[name])]
    depths: dict[str, int] = {}
    for name in reversed(finished):
        depth = depths.setdefault(name, 0)
        for read in reads[name]:
            if read in met:
                depths[read] = max(depth + 1, depths.get(read, 0))
    ordered = sorted(depths, key=lambda name: -depths[name])
    return {name: place for place, name in enumerate(ordered)}
