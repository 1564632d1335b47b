"""Which models are asked without oneDNN, because a worker died of them with it: known to all threads and later runs.

On some processors TensorFlow 2.12 spoils its own memory in a 1 x 1 convolution with stride 2, which every residual net
has: the process aborts, at once or some requests later. Without oneDNN it does not.
"""

from __future__ import annotations

import threading

from parity.reference.store import ResultStore


class ModelsWithoutOnednn:
    """The models a worker died of with oneDNN, in memory and in a file of the store.

    Parameters
    ----------
    store
        Where it is kept for later runs, and where other runs may have left theirs.
    """

    def __init__(self, store: ResultStore) -> None:
        self._store = store
        self._reasons: dict[str, str] = {}
        self._lock = threading.Lock()

    def reason(self, sha256: str) -> str | None:
        """Return how a worker died of this model with oneDNN, or None if none is known to have died.

        Parameters
        ----------
        sha256
            Of the model's file.
        """
        with self._lock:
            if sha256 not in self._reasons:
                # Read each time: another run, or another client of this one, may have met the model meanwhile.
                self._reasons |= self._store.without_onednn()
            return self._reasons.get(sha256)

    def remember(self, sha256: str, reason: str) -> None:
        """Remember how a worker died of a model; the first reason stays.

        Raises
        ------
        StoreError
            If it cannot be written for later runs. In memory it is kept all the same.
        """
        with self._lock:
            if sha256 in self._reasons:
                return
            self._reasons[sha256] = reason
            self._store.put_without_onednn(sha256, reason)


def note_of(reason: str) -> str:
    """Return the note of an answer that was asked without oneDNN, from how the worker died with it."""
    return f"asked without oneDNN: {reason} with it"
