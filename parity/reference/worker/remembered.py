"""Base maps of SIGN-XAI that several of its methods ask for alike are computed once in a worker.

`smoothgrad_x_sign_mu_0_5` and ten more begin with the map of `smoothgrad`: the wrappers of the package all call its one
function `calculate_explanation_innvestigate`. That function stays what it is. The worker keeps what it returned, and
gives it again to a call with the same model, input, options and noise. Maps count as returned only when the noise that
was drawn on the way was found to be the noise that was asked for.
"""

from __future__ import annotations

import hashlib
import pickle
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from parity.reference.request import NoiseSpec
from parity.reference.worker.noise import numpy_noise

KEPT_BYTES = 64 << 20
"""Maps are kept up to this size together, per model; the oldest go first."""


class Remembered:
    """The package's function, with what it returned before.

    Parameters
    ----------
    calculate
        `signxai.utils.utils.calculate_explanation_innvestigate`.
    """

    def __init__(self, calculate: Callable[..., Any]) -> None:
        self._calculate = calculate
        self._models: weakref.WeakKeyDictionary[Any, _Maps] = weakref.WeakKeyDictionary()
        self._noise: NoiseSpec | None = None
        self._fresh: list[tuple[_Maps, bytes, np.ndarray]] | None = None
        self._given_again = 0

    def __call__(self, model: Any, x: Any, *arguments: Any, **options: Any) -> Any:
        """Return a map as the package's function does; nothing is remembered outside of `one_answer`."""
        if self._fresh is None:
            return self._calculate(model, x, *arguments, **options)
        maps = self._models.setdefault(model, _Maps())
        key = hashlib.sha256(pickle.dumps((np.asarray(x), arguments, sorted(options.items()), self._noise))).digest()
        kept = maps.get(key)
        if kept is not None:
            self._given_again += 1
            return kept.copy()
        result = self._calculate(model, x, *arguments, **options)
        self._fresh.append((maps, key, np.array(result)))
        return result

    @contextmanager
    def one_answer(self, noise: NoiseSpec | None, shape: tuple[int, ...]) -> Iterator[None]:
        """Let maps be remembered while one answer is computed, and hold what it draws to its noise.

        Raises
        ------
        NoiseMismatchError
            If the call drew other normal numbers than `noise` says, or any without it.
        """
        self._noise, self._fresh, self._given_again = noise, [], 0
        try:
            with numpy_noise(noise, shape) as drawn:
                yield
                if self._given_again:  # under the same noise, which was held to this when the map was computed
                    drawn.held_before()
            for maps, key, result in self._fresh:
                maps.put(key, result)
        finally:
            self._fresh = None


class _Maps:
    """The maps of one model."""

    def __init__(self) -> None:
        self._kept: OrderedDict[bytes, np.ndarray] = OrderedDict()
        self._bytes = 0

    def get(self, key: bytes) -> np.ndarray | None:
        return self._kept.get(key)

    def put(self, key: bytes, result: np.ndarray) -> None:
        if key in self._kept:
            return
        self._kept[key] = result
        self._bytes += result.nbytes
        while self._bytes > KEPT_BYTES:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes
