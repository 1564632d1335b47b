"""Base maps of SIGN-XAI that several of its methods ask for alike are computed once in a worker.

`smoothgrad_x_sign_mu_0_5` and ten more begin with the map of `smoothgrad`: the wrappers of the package all call its one
function `calculate_explanation_innvestigate`. That function stays what it is. The worker keeps what it returned, and
gives it again to a call with the same model, input, options and noise. A map that noise was drawn for is kept only when
that was found to be the noise that was asked for.
"""

from __future__ import annotations

import hashlib
import pickle
import weakref
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from parity.reference.request import NoiseSpec
from parity.reference.worker.noise import Drawn, numpy_noise

KEPT_BYTES = 64 << 20
"""Maps are kept up to this size together; those that were asked for longest ago go first."""


@dataclass(frozen=True)
class _Kept:
    """A map, and whether noise was drawn for it."""

    result: np.ndarray
    drew: bool


class Remembered:
    """The package's function, with what it returned before.

    Parameters
    ----------
    calculate
        `signxai.utils.utils.calculate_explanation_innvestigate`.
    most_bytes
        Of all maps that are kept; 0 computes every map anew, as a measurement of time must.
    """

    def __init__(self, calculate: Callable[..., Any], most_bytes: int = KEPT_BYTES) -> None:
        self._calculate, self._most_bytes = calculate, most_bytes
        self._models: weakref.WeakKeyDictionary[Any, object] = weakref.WeakKeyDictionary()
        self._kept: OrderedDict[tuple[object, bytes], _Kept] = OrderedDict()
        self._bytes = 0
        self._noise: NoiseSpec | None = None
        self._drawn: Drawn | None = None
        self._fresh: dict[tuple[object, bytes], _Kept] = {}

    def __call__(self, model: Any, x: Any, *arguments: Any, **options: Any) -> Any:
        """Return a map as the package's function does; nothing is remembered outside of `one_answer`."""
        if self._drawn is None:
            return self._calculate(model, x, *arguments, **options)
        asked = pickle.dumps((np.asarray(x), arguments, sorted(options.items()), self._noise))
        # The object that stands for a model in the keys is its alone, so no later model can be taken for it.
        key = self._models.setdefault(model, object()), hashlib.sha256(asked).digest()
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            if kept.drew:
                self._drawn.held_before()
            return kept.result.copy()
        before = self._drawn.count
        result = self._calculate(model, x, *arguments, **options)
        self._fresh[key] = _Kept(np.array(result), self._drawn.count > before)
        return result

    @contextmanager
    def one_answer(self, noise: NoiseSpec | None, shape: tuple[int, ...]) -> Iterator[None]:
        """Let maps be remembered while one answer is computed, and hold what it draws to its noise.

        Raises
        ------
        NoiseMismatchError
            If the call drew other normal numbers than `noise` says, or any without it.
        """
        self._noise, self._fresh = noise, {}
        try:
            with numpy_noise(noise, shape) as self._drawn:
                yield
        finally:
            self._drawn = None
        for key, kept in self._fresh.items():
            self._kept[key] = kept
            self._bytes += kept.result.nbytes
        while self._bytes > self._most_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.result.nbytes
