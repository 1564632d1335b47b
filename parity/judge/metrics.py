"""Numbers that say how far one attribution map is from another.

Everything is taken in float64 on the raw signed maps of ONE input, before any normalizing: a metric that
rescales first cannot see a wrong scale. Nothing here decides; `parity.judge.verdict` does.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt
from skimage.metrics import structural_similarity

ProblemCheck = Literal["shape", "finite", "zero"]

SSIM_WINDOW = 11  # the window that sigma 1.5 cut at 3.5 sigma has
SSIM_SIGMA = 1.5
TOP_SHARE = 0.01  # top-k overlap looks at this share of the values
SIGN_SUPPORT = 1e-3  # signs are compared where |reference| exceeds this share of its largest value
CONSTANT_EPS = 1e3  # a spread under this many machine epsilons of the largest value is rounding, not structure

_NAN = math.nan


class _Notebooks:
    """What a notebook shows; `parity.judge.notebook`, which knows the limits, brings the table."""

    table: ClassVar[Callable[[Any], str] | None] = None

    def _repr_html_(self) -> str | None:
        table = type(self).table
        return None if table is None else table(self)


@dataclass(frozen=True)
class Metrics(_Notebooks):
    """The numbers of one comparison; a number that could not be taken is NaN.

    Attributes
    ----------
    n : int
        Number of values of the reference.
    shape : tuple of int
        Shape of the reference (Keras layout, no batch axis).
    pearson : float
        Correlation over all values. NaN where a map is constant (see `constant`).
    ssim : float or None
        Mean structural similarity of the channel-summed maps, range `2 * max|reference|` (of the summed
        reference), Gaussian weights. None where it has no meaning; `ssim_note` then says why.
    ssim_window : int or None
        Side of the window: 11 (sigma 1.5), or the largest odd number that fits into a smaller map, with
        sigma shrunk in proportion.
    ssim_note : str or None
        What is particular about `ssim`: a smaller window, one dimension, or why there is none.
    rel_l2 : float
        ``|candidate - reference|_2 / |reference|_2``.
    max_err : float
        ``max |candidate - reference| / max |reference|``, found at index `max_err_at`.
    slope, offset : float
        Least squares fit ``candidate ~ slope * reference + offset``. Where both maps are constant the slope
        is the ratio of their means and the offset 0.
    top1_overlap : float
        Jaccard overlap of the largest 1 % of the values by absolute value (at least one value).
    sign_agreement : float
        Share of equal signs where ``|reference| > 1e-3 max |reference|``.
    reference_sum, subject_sum, reference_max, subject_max : float
        Sum, and largest absolute value, of each map.
    constant : bool
        Both maps are constant (to rounding) and not zero: Pearson has no meaning then, and only the other
        numbers can show equality.
    problem : str or None
        Why the maps cannot be compared at all. No verdict can be good while this is set.
    problem_check : {"shape", "finite", "zero"} or None
        Which check found the problem.
    """

    n: int
    shape: tuple[int, ...]
    pearson: float = _NAN
    ssim: float | None = _NAN
    ssim_window: int | None = None
    ssim_note: str | None = None
    rel_l2: float = _NAN
    max_err: float = _NAN
    max_err_at: tuple[int, ...] | None = None
    slope: float = _NAN
    offset: float = _NAN
    top1_overlap: float = _NAN
    sign_agreement: float = _NAN
    reference_sum: float = _NAN
    subject_sum: float = _NAN
    reference_max: float = _NAN
    subject_max: float = _NAN
    constant: bool = False
    problem: str | None = None
    problem_check: ProblemCheck | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values; NaN and infinity become None."""
        return {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(self).items()
        } | {
            "shape": list(self.shape),
            "max_err_at": None if self.max_err_at is None else list(self.max_err_at),
        }

    def checked(self) -> dict[str, Any]:
        """Return those that a verdict is made of, as JSON values, with what excuses one that has no meaning."""
        keys = ("pearson", "ssim", "ssim_note", "rel_l2", "slope", "max_err", "constant")
        return {key: value for key, value in self.to_json().items() if key in keys}

    def message(
        self,
        title: str = "Attribution maps are not equal!",
        failed: str | None = None,
        allowed: float | None = None,
    ) -> str:
        """Describe the comparison in a few lines, greatest difference and its place included.

        Parameters
        ----------
        title : str
            First line.
        failed : str, optional
            What failed, as a sentence; it follows the title.
        allowed : float, optional
            The largest `max_err` that would have passed.
        """
        lines = [title, ""]
        if failed:
            lines.append(failed)
        if self.problem:
            lines.append(self.problem)
        else:
            where = f" at index {self.max_err_at}" if self.max_err_at is not None else ""
            upto = f" (up to {allowed:.3g} allowed)" if allowed is not None else ""
            lines += [
                f"Greatest difference, over the reference's largest value: {self.max_err:.4g}{where}{upto}",
                f"Relative L2 difference: {self.rel_l2:.4g}",
                f"Fit: subject = {self.slope:.10g} * reference + {self.offset:.4g}",
                f"Pearson {_show(self.pearson)}, SSIM {_show(self.ssim)}"
                + (f" ({self.ssim_note})" if self.ssim_note else ""),
                f"Signs equal: {self.sign_agreement:.2%}; overlap of the top 1 %: {self.top1_overlap:.2%}",
                f"Sum: reference {self.reference_sum:.6g}, subject {self.subject_sum:.6g}; "
                f"max |R|: {self.reference_max:.6g}, {self.subject_max:.6g}; {self.n} values",
            ]
        return "\n".join(lines)


def compare(reference: npt.ArrayLike, candidate: npt.ArrayLike) -> Metrics:
    """Measure how far `candidate` is from `reference`.

    Parameters
    ----------
    reference, candidate : array
        Maps of one input in Keras layout without the batch axis: (H, W, C), (T, C) or (F,). Real numbers.

    Returns
    -------
    Metrics
        With `problem` set, and the numbers NaN, if the shapes differ, a value on either side is not finite, or a map
        is zero (of two zero maps the distances are 0: only the check for zeros tells them from parity). Nothing is
        masked, and nothing is broadcast.

    Raises
    ------
    TypeError
        If a map does not hold real numbers.

    Examples
    --------
    >>> import numpy as np, parity
    >>> found = np.linspace(-1, 1, 16).reshape(4, 4, 1)
    >>> numbers = parity.compare(found, 1.02 * found)
    >>> round(numbers.rel_l2, 6), round(numbers.slope, 6), round(numbers.pearson, 6)
    (0.02, 1.02, 1.0)
    """
    ref_in, cand_in = _real(reference, "reference"), _real(candidate, "candidate")
    ref, cand = ref_in.astype(np.float64), cand_in.astype(np.float64)
    base: dict[str, Any] = {"n": int(ref.size), "shape": tuple(int(side) for side in ref.shape)}

    def stop(check: ProblemCheck, text: str) -> Metrics:
        return Metrics(**base, problem=text, problem_check=check)

    if ref.shape != cand.shape:
        return stop("shape", f"The shapes differ: reference {ref.shape}, subject {cand.shape}.")
    if ref.size == 0:
        return stop("shape", f"The maps are empty: shape {ref.shape}.")
    broken = [_not_finite(name, array) for name, array in (("reference", ref), ("subject", cand))]
    if any(broken):
        return stop("finite", " ".join(text for text in broken if text))

    ref_max, cand_max = float(np.abs(ref).max()), float(np.abs(cand).max())
    base |= {
        "reference_sum": float(ref.sum()),
        "subject_sum": float(cand.sum()),
        "reference_max": ref_max,
        "subject_max": cand_max,
    }
    zero = [name for name, top in (("reference", ref_max), ("subject", cand_max)) if top == 0.0]
    if zero:
        which = "Both maps are" if len(zero) == 2 else f"The {zero[0]}'s map is"
        advice = " Another target or input may give one that does." if len(zero) == 2 else ""
        base |= {"rel_l2": 0.0, "max_err": 0.0, "slope": 1.0} if len(zero) == 2 else {}
        return stop("zero", f"{which} zero everywhere; a zero map proves nothing.{advice}")

    # Dividing by the reference's largest value first keeps squares of very large or small maps in range.
    unit_ref, unit_cand = ref / ref_max, cand / ref_max
    error = np.abs(unit_cand - unit_ref)
    at = np.unravel_index(int(error.argmax()), error.shape)
    base |= {
        "rel_l2": float(np.linalg.norm(unit_cand - unit_ref) / np.linalg.norm(unit_ref)),
        "max_err": float(error.max()),
        "max_err_at": tuple(int(i) for i in at),
        "top1_overlap": _top_overlap(ref, cand),
        "sign_agreement": _sign_agreement(ref, cand, ref_max),
    }
    ssim, window, note = _ssim(ref, cand)
    base |= {"ssim": ssim, "ssim_window": window, "ssim_note": note}
    constant = [_is_constant(ref, ref_in.dtype), _is_constant(cand, cand_in.dtype)]
    if constant[0]:  # there is nothing to fit: the slope is the ratio of the means
        ratio = float(unit_cand.mean() / unit_ref.mean())
        return Metrics(**base, slope=ratio, offset=0.0, constant=all(constant))

    ref_mean, cand_mean = unit_ref.mean(), unit_cand.mean()
    ref_dev, cand_dev = unit_ref - ref_mean, unit_cand - cand_mean
    covariance, ref_var, cand_var = (ref_dev * cand_dev).sum(), (ref_dev**2).sum(), (cand_dev**2).sum()
    slope = float(covariance / ref_var)
    return Metrics(
        **base,
        pearson=_NAN if constant[1] else float(covariance / math.sqrt(ref_var) / math.sqrt(cand_var)),
        slope=slope,
        offset=float((cand_mean - slope * ref_mean) * ref_max),
    )


def _show(value: float | None) -> str:
    return "none" if value is None else f"{value:.6f}"


def _real(array: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    values = np.asarray(array)
    if values.dtype.kind not in "fiu":
        raise TypeError(f"The {name} holds {values.dtype} values; real numbers are needed.")
    return values


def _not_finite(name: str, array: npt.NDArray[np.float64]) -> str | None:
    bad = ~np.isfinite(array)
    count = int(bad.sum())
    if not count:
        return None
    first = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"The {name} holds {count} values of {array.size} that are not finite, the first at index {first}."


def _is_constant(array: npt.NDArray[np.float64], dtype: np.dtype[Any]) -> bool:
    # The dtype in which the map was computed says how much spread is mere rounding.
    epsilon = np.finfo(dtype).eps if dtype.kind == "f" else np.finfo(np.float64).eps
    return bool(np.ptp(array) <= CONSTANT_EPS * epsilon * np.abs(array).max())


def _top_overlap(ref: npt.NDArray[np.float64], cand: npt.NDArray[np.float64]) -> float:
    k = max(1, round(TOP_SHARE * ref.size))
    # A stable sort breaks ties by position, alike on both sides.
    tops = [set(np.argsort(-np.abs(a).ravel(), kind="stable")[:k].tolist()) for a in (ref, cand)]
    return len(tops[0] & tops[1]) / len(tops[0] | tops[1])


def _sign_agreement(ref: npt.NDArray[np.float64], cand: npt.NDArray[np.float64], ref_max: float) -> float:
    support = np.abs(ref) > SIGN_SUPPORT * ref_max
    return float((np.sign(ref[support]) == np.sign(cand[support])).mean())


def _ssim(ref: npt.NDArray[np.float64], cand: npt.NDArray[np.float64]) -> tuple[float | None, int | None, str | None]:
    """Return mean SSIM of the channel-summed maps, the window's side, and what is particular about it."""
    if ref.ndim < 2:
        return None, None, "a flat feature vector has no neighbourhoods"
    ref_map, cand_map = ref.sum(axis=-1), cand.sum(axis=-1)
    thin = tuple(axis for axis, side in enumerate(ref_map.shape) if side == 1)
    ref_map, cand_map = ref_map.squeeze(thin), cand_map.squeeze(thin)
    if ref_map.ndim == 0 or min(ref_map.shape) < 3:
        return None, None, f"a map of {ref.shape[:-1]} positions is smaller than any window"
    top = float(np.abs(ref_map).max())
    if top == 0.0:
        if np.any(cand_map):
            return _NAN, None, "the reference's channels cancel everywhere, the subject's do not"
        return None, None, "the channels cancel everywhere on both sides"
    window = min(SSIM_WINDOW, min(ref_map.shape) // 2 * 2 - 1 + 2 * (min(ref_map.shape) % 2))
    # scikit-image takes the filter's reach from sigma alone, so a smaller window needs a smaller sigma.
    sigma = SSIM_SIGMA * window / SSIM_WINDOW
    notes = []
    if ref_map.ndim == 1:
        notes.append("one-dimensional, along time")
    if window < SSIM_WINDOW:
        notes.append(f"window {window}, sigma {sigma:.3g}, because the map is small")
    value = structural_similarity(
        ref_map / top,
        cand_map / top,
        win_size=window,
        data_range=2.0,
        gaussian_weights=True,
        sigma=sigma,
        use_sample_covariance=False,
    )
    return float(value), window, "; ".join(notes) or None
