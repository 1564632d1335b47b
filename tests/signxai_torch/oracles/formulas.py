"""A third opinion on every rule: float64 NumPy, one sample at a time, written from the formulas alone.

Nothing here knows torch, zennit or the port. A kernel layer is the explicit matrix of its weights
(`tests.signxai_torch.oracles.matrices` fills it in, tap by tap), a rule is a few matrix products on it:
``VJP_{L(.; A)}(x; t)`` is ``A.T @ t``. Names and formulas are those of the two TensorFlow references (SIGN-XAI
1.1.9.2, iNNvestigate 2.1.2), whose rules the port implements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Array = np.ndarray
PartOf = Callable[[Array], Array]
TINY = 1e-7  # keras.backend.epsilon()


@dataclass(frozen=True)
class Affine:
    """``L(u; A, p) = A u + p`` on flattened single samples.

    `matrix(part)` is the (outputs, inputs) matrix with `part` applied to the layer's weights; `bias` has one value
    per output.
    """

    matrix: Callable[[PartOf], Array]
    bias: Array


def whole(w: Array) -> Array:
    return w


def plus(w: Array) -> Array:
    return w * (w > 0)


def minus(w: Array) -> Array:
    return w * (w < 0)


def nothing(w: Array) -> Array:
    return 0.0 * w


def safe_divide(a: Array, b: Array) -> Array:
    """1e-7 is added where the denominator is exactly zero, and nowhere else."""
    return a / (b + TINY * (b == 0))


def epsilon_divide(a: Array, b: Array, epsilon: float) -> Array:
    """Zero counts as positive, -0.0 too."""
    moved = [value + epsilon if value >= 0 else value - epsilon for value in b]
    return a / np.array(moved)


def bias_of(layer: Affine, counted: bool) -> Array:
    return layer.bias if counted else np.zeros_like(layer.bias)


def z(layer: Affine, x: Array, R: Array, *, bias: bool = True) -> Array:
    W = layer.matrix(whole)
    return x * (W.T @ safe_divide(R, W @ x + bias_of(layer, bias)))


def epsilon(layer: Affine, x: Array, R: Array, *, epsilon: float, bias: bool = True) -> Array:
    W = layer.matrix(whole)
    return x * (W.T @ epsilon_divide(R, W @ x + bias_of(layer, bias), epsilon))


def population_std(values: Array) -> float:
    mean = sum(values.ravel()) / values.size
    return float(np.sqrt(sum((value - mean) ** 2 for value in values.ravel()) / values.size))


def stdx_epsilon(layer: Affine, x: Array, R: Array, *, stdfactor: float, bias: bool = True) -> Array:
    """With one sample the reference's std over the whole batch is the std of that sample."""
    return epsilon(layer, x, R, epsilon=stdfactor * population_std(x), bias=bias)


def sign_of(value: float) -> float:
    return -1.0 if value < 0 else 1.0


def sign(layer: Affine, x: Array, R: Array, *, bias: bool = True) -> Array:
    W = layer.matrix(whole)
    signs = np.array([sign_of(value) for value in x])
    return signs * (W.T @ safe_divide(R, W @ x + bias_of(layer, bias)))


def signs_mu(x: Array, mu: float, low: float = -1.0, high: float = 1.0) -> Array:
    """The reference's two assignments, one after the other, on the same array."""
    s = x.copy()
    s[s < mu] = low
    s[s >= mu] = high
    return s


def sign_mu(layer: Affine, x: Array, R: Array, *, mu: float, bias: bool = True) -> Array:
    W = layer.matrix(whole)
    return signs_mu(x, mu) * (W.T @ safe_divide(R, W @ x + bias_of(layer, bias)))


def of_ones(layer: Affine, x: Array, R: Array, part: PartOf) -> Array:
    A = layer.matrix(part)
    return A.T @ safe_divide(R, A @ np.ones_like(x))


def w_square(layer: Affine, x: Array, R: Array) -> Array:
    return of_ones(layer, x, R, lambda w: w * w)


def flat(layer: Affine, x: Array, R: Array) -> Array:
    return of_ones(layer, x, R, lambda w: np.ones(w.shape))


def alpha_beta(layer: Affine, x: Array, R: Array, *, alpha: float, beta: float, bias: bool = True) -> Array:
    b = bias_of(layer, bias)
    up, down = layer.matrix(plus), layer.matrix(minus)

    def f(A: Array, p: Array, B: Array, q: Array) -> Array:
        t = safe_divide(R, A @ plus(x) + p + B @ minus(x) + q)
        return plus(x) * (A.T @ t) + minus(x) * (B.T @ t)

    result = alpha * f(up, plus(b), down, minus(b))
    if beta != 0:
        result = result - beta * f(down, minus(b), up, plus(b))
    return result


def z_plus(layer: Affine, x: Array, R: Array) -> Array:
    return alpha_beta(layer, x, R, alpha=1.0, beta=0.0, bias=False)


def z_plus_fast(layer: Affine, x: Array, R: Array) -> Array:
    A = layer.matrix(plus)
    return x * (A.T @ safe_divide(R, A @ x))


def gamma(layer: Affine, x: Array, R: Array, *, gamma: float, bias: bool = True) -> Array:
    b = bias_of(layer, bias)
    W, up = layer.matrix(whole), layer.matrix(plus)

    def h(A: Array, p: Array, B: Array, q: Array) -> Array:
        t = safe_divide(R, A @ plus(x) + p + B @ x + q)
        return plus(x) * (A.T @ t) + x * (B.T @ t)

    return gamma * h(up, plus(b), W, b) - h(W, b, up, plus(b))


def bounded(layer: Affine, x: Array, R: Array, *, low: float, high: float) -> Array:
    W, up, down = layer.matrix(whole), layer.matrix(plus), layer.matrix(minus)
    lo, hi = np.full_like(x, low), np.full_like(x, high)
    t = safe_divide(R, W @ x - up @ lo - down @ hi)
    return x * (W.T @ t) - lo * (up.T @ t) - hi * (down.T @ t)


def batch_norm(x: Array, R: Array, *, weight: float, beta: float, mean: float, variance: float, eps: float) -> Array:
    """All values of one channel; `weight` is the layer's own gamma."""
    y = weight * (x - mean) / np.sqrt(variance + eps) + beta
    denominator = (x - mean) * y
    return safe_divide(x * (y - beta) * R, denominator + TINY * np.where(denominator >= 0, 1.0, -1.0))
