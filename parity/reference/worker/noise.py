"""Shared noise: the reference adds the numbers that the harness knows, and this is checked, not assumed.

The signxai backend draws from NumPy's global generator, so seeding it is enough; what it draws is hashed on
the way. The innvestigate backend draws inside its graph, so there the drawing itself is replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from parity.reference.request import NoiseSpec, noise_array


class NoiseMismatchError(Exception):
    """The reference did not draw the noise that was asked for."""


class Drawn:
    """The normal numbers that one call of the signxai backend drew.

    Attributes
    ----------
    count
        How many times it drew.
    """

    def __init__(self) -> None:
        self._digest, self._held_before = hashlib.sha256(), False
        self.count = 0

    def take(self, numbers: Any) -> None:
        """Take note of numbers that were drawn."""
        self.count += 1
        self._digest.update(np.ascontiguousarray(numbers, dtype=np.float64).tobytes())

    def held_before(self) -> None:
        """Take note that the map is one whose noise was found right when it was computed."""
        self._held_before = True

    def check(self, spec: NoiseSpec | None, shape: tuple[int, ...]) -> None:
        """Raise `NoiseMismatchError` if these are not the numbers of the spec."""
        if self._held_before and not self.count:
            return
        if spec is None:
            if self.count:
                raise NoiseMismatchError(f"the method drew noise {self.count} times, but the request has no noise")
        elif self._digest.digest() != hashlib.sha256(noise_array(spec, shape).tobytes()).digest():
            raise NoiseMismatchError(
                f"the method drew noise {self.count} times, and not what seed {spec.seed}, {spec.samples} samples and "
                f"scale {spec.scale} give for an input of shape {shape}"
            )


@contextlib.contextmanager
def numpy_noise(spec: NoiseSpec | None, shape: tuple[int, ...]) -> Iterator[Drawn]:
    """Seed NumPy for one call of the signxai backend and compare its draws with `noise_array`.

    Raises
    ------
    NoiseMismatchError
        If the call drew other normal numbers than `spec` says, or any without a spec.
    """
    draw, drawn = np.random.normal, Drawn()

    def recorded(*args: Any, **kwargs: Any) -> Any:
        numbers = draw(*args, **kwargs)
        drawn.take(numbers)
        return numbers

    if spec is not None:
        np.random.seed(spec.seed)
    np.random.normal = recorded
    try:
        yield drawn
    finally:
        np.random.normal = draw
    drawn.check(spec, shape)


class GraphNoise:
    """The noise that the innvestigate backend adds, in place of its own.

    `use` says what the next analyzer adds; it stays in the graph that is built then.
    """

    def __init__(self) -> None:
        self._spec: NoiseSpec | None = None
        self._generator: np.random.RandomState | None = None

    def install(self) -> None:
        """Replace the two places where the backend draws noise, in this process only."""
        import innvestigate.backend
        import innvestigate.layers

        noise = self

        # Not converted, so that a mismatch is reported in its own words and not as a failure of a rewrite.
        def call(layer: Any, inputs: Any, *_args: Any, **_kwargs: Any) -> Any:
            return inputs + noise._constant(inputs, augmented=True) * layer.stddev

        def add_gaussian_noise(inputs: Any, mean: float = 0.0, stddev: float = 1.0) -> Any:
            return inputs + (mean + noise._constant(inputs, augmented=False) * stddev)

        innvestigate.layers.AddGaussianNoise.call = tf.autograph.experimental.do_not_convert(call)
        innvestigate.backend.add_gaussian_noise = add_gaussian_noise

    def use(self, spec: NoiseSpec | None) -> None:
        """Say what the next analyzer adds to its input.

        Raises
        ------
        NoiseMismatchError
            If the scale is not 1, the only one that this backend has.
        """
        if spec is not None and spec.scale != 1:
            raise NoiseMismatchError(f"noise scale {spec.scale}: innvestigate ignores noise_scale and always adds 1")
        self._spec, self._generator = spec, None

    def check_used(self) -> None:
        """Raise `NoiseMismatchError` if there was noise to add and none was added."""
        if self._spec is not None and self._generator is None:
            raise NoiseMismatchError("the request has noise, but the analyzer added none")

    def _constant(self, inputs: Any, *, augmented: bool) -> Any:
        """Return the noise for a tensor of shape (batch, samples, ...) if augmented, else (batch, ...)."""
        spec = self._spec
        if spec is None:
            raise NoiseMismatchError("the analyzer adds noise, but the request has none")
        shape = tuple(int(n) for n in inputs.shape[1:])
        samples = shape[0] if augmented else 1
        if samples != spec.samples:
            raise NoiseMismatchError(f"the analyzer takes {samples} noisy samples, the request says {spec.samples}")
        if self._generator is None or samples > 1:
            self._generator = np.random.RandomState(spec.seed)
        # Several inputs get one sample each, one after another. Of several samples each input begins at the seed again:
        # there the graph of one input may be built twice, and this backend explains no samples of several inputs.
        drawn = noise_array(spec, shape[1:] if augmented else shape, self._generator)
        return tf.constant(drawn[np.newaxis] if augmented else drawn, dtype=inputs.dtype)
