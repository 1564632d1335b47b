"""Numbers looked up in a run's results: ratios, shares, memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.contenders.everyone import PORT, UNIT


class Figures:
    """A run's results, by what one asks of them. Every answer is None where nothing was measured.

    Parameters
    ----------
    document : mapping
        See `bench.document`.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._times = {_key(one): one for one in document["times"]}
        self._absent = {_key(one["case"]): one for one in document["absent"] if "case" in one}
        self._memory = {(one["network"], one["method"], one["contender"]): one for one in document["memory"]}
        self._sweeps = {(one["network"], one["names"], one["how"]): one for one in document["sweeps"]}

    def time(
        self, network: str, method: str, contender: str, batch: int = 1, side: int | None = None
    ) -> Mapping[str, Any] | None:
        """Return the entry of one timed case."""
        return self._times.get((network, method, contender, batch, side))

    def ratio(self, network: str, method: str, contender: str, batch: int = 1, side: int | None = None) -> float | None:
        """Return a case's time in units."""
        entry = self.time(network, method, contender, batch, side)
        return None if entry is None else entry["ratio"]

    def reason(self, network: str, method: str, contender: str, batch: int = 1) -> Mapping[str, Any] | None:
        """Return why a case was not measured: kind and reason."""
        return self._absent.get((network, method, contender, batch, None))

    def no_counterpart(self, network: str, method: str, contender: str) -> bool:
        """Return whether a contender has no such method."""
        entry = self.reason(network, method, contender)
        return entry is not None and entry["kind"] == "no-counterpart"

    def share(self, network: str, method: str, contender: str, whose: str = PORT, batch: int = 1) -> float | None:
        """Return the port's time as a share of a contender's, both in units taken beside them."""
        return _quotient(self.ratio(network, method, whose, batch), self.ratio(network, method, contender, batch))

    def memory(self, network: str, method: str, contender: str = PORT) -> Mapping[str, Any] | None:
        """Return the entry of one memory measurement."""
        return self._memory.get((network, method, contender))

    def peak(self, network: str, method: str, contender: str = PORT) -> float | None:
        """Return the peak over resident memory before the call, in bytes."""
        entry = self.memory(network, method, contender)
        return None if entry is None else float(entry["peak_bytes"])

    def peak_ratio(self, network: str, method: str, contender: str = PORT) -> float | None:
        """Return a method's peak as a multiple of the unit's."""
        return _quotient(self.peak(network, method, contender), self.peak(network, "gradient", UNIT))

    def copies(self, network: str, method: str, contender: str = PORT) -> float | None:
        """Return how far a method's peak is beyond the unit's, in copies of the weights."""
        peak, own = self.peak(network, method, contender), self.peak(network, "gradient", UNIT)
        entry = self.memory(network, method, contender)
        if peak is None or own is None or entry is None:
            return None
        return (peak - own) / float(entry["weight_bytes"])

    def sweep(self, network: str, names: str, how: str) -> Mapping[str, Any] | None:
        """Return the entry of one sweep."""
        return self._sweeps.get((network, names, how))

    def shared(self, network: str, names: str) -> float | None:
        """Return the time of `explain_many` as a share of the sum of single calls."""
        return _quotient(
            self._sweep_ratio(network, names, "explain_many"), self._sweep_ratio(network, names, "explain")
        )

    def speedup(self, network: str, names: str) -> float | None:
        """Return how many times faster `explain_many` is than the reference, in seconds."""
        theirs, mine = self.sweep(network, names, "tensorflow"), self.sweep(network, names, "explain_many")
        return None if theirs is None or mine is None else _quotient(theirs["median"], mine["median"])

    def _sweep_ratio(self, network: str, names: str, how: str) -> float | None:
        entry = self.sweep(network, names, how)
        return None if entry is None else entry["ratio"]


def _key(entry: Mapping[str, Any]) -> tuple[str, str, str, int, int | None]:
    return entry["network"], entry["method"], entry["contender"], entry["batch"], entry["side"]


def _quotient(above: float | None, below: float | None) -> float | None:
    return None if above is None or below is None or not below > 0 else above / below
