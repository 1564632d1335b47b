"""The limits that a case is held to, from what was measured on the reference alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from statistics import median

from parity.judge.metrics import Metrics

PUBLISHED_FLOOR = 0.95  # Pearson and SSIM: what earlier comparisons called equal
FLOAT64_REL_L2 = 1e-10
FLOAT64_SLOPE = 1e-10
FLOAT64_MAX_ERR = 1e-9
FLOAT64_MOST = 1e-8  # a map that rounds worse in float64 says nothing about the rule
FLOAT32_LEAST = 1e-5
TIMES_NOISE = 3.0
ROUNDING_SAMPLES = 5  # two of them may cross an edge of the input, such as a ReLU's, without moving the median
# A relative L2 difference beyond this makes Pearson fall under the published floor; a limit above it would be
# no limit at all, however noisy float32 is.
FLOAT32_MOST = math.sqrt(1.0 - PUBLISHED_FLOOR**2)
FLOAT32_MOST_MAX_ERR = 0.5


@dataclass(frozen=True)
class NoiseFloor:
    """How far the reference is from itself on the same case: relative numbers, all >= 0.

    `slope` is ``|slope - 1|``.

    Raises
    ------
    ValueError
        If a number is negative or not finite: a floor that could not be measured must not become a limit.
    """

    rel_l2: float
    slope: float
    max_err: float

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not (value >= 0.0 and math.isfinite(value)):
                raise ValueError(f"The noise floor's {name} is {value}; a finite number >= 0 is needed.")

    @classmethod
    def from_metrics(cls, metrics: Metrics) -> NoiseFloor:
        """Make the floor of the comparison of two maps of the reference.

        Raises
        ------
        ValueError
            If the two maps could not be compared.
        """
        if metrics.problem:
            raise ValueError(f"The reference's noise could not be measured. {metrics.problem}")
        return cls(metrics.rel_l2, abs(metrics.slope - 1.0), metrics.max_err)

    @classmethod
    def largest(cls, floors: Iterable[NoiseFloor]) -> NoiseFloor:
        """Return the largest of each number; zeros if there are none."""
        parts = [(floor.rel_l2, floor.slope, floor.max_err) for floor in floors]
        return cls(*(max(column) for column in zip(*parts, strict=True))) if parts else cls(0.0, 0.0, 0.0)

    def to_json(self) -> dict[str, float]:
        """Return the fields as JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Limits:
    """The largest relative L2 difference, ``|slope - 1|`` and max error, and the least Pearson and SSIM.

    Raises
    ------
    ValueError
        If a limit is not finite, or one of the first three is not positive.
    """

    rel_l2: float
    slope: float
    max_err: float
    pearson: float = PUBLISHED_FLOOR
    ssim: float = PUBLISHED_FLOOR

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not math.isfinite(value) or (name not in ("pearson", "ssim") and not value > 0.0):
                raise ValueError(f"The limit for {name} is {value}; a finite number above 0 is needed.")

    def to_json(self) -> dict[str, float]:
        """Return the fields as JSON values."""
        return asdict(self)


def limits_for(dtype: str, noise_floor: NoiseFloor | None = None) -> Limits:
    """Return the limits of a lane: 3 times the reference's own noise, not under the lane's least, not over its most.

    The subject has no part in this: `noise_floor` is measured on maps of the reference alone.

    float64 asks whether it is the same function. Deep nets reach 1e-14 there, so relative L2 and ``|slope - 1|`` are
    held to 1e-10. The largest single error is held to 1e-9 of the largest value: an L2 difference of 1e-10 gathered in
    one place is larger there by ``|reference|_2 / max|reference|``, about ten on the maps at hand. Where the reference
    itself moves by more when its input is scaled by a few last digits, the limit follows, up to 1e-8.

    float32 asks how far apart a user sees the two. Each number is held to at least 1e-5. No noise is trusted beyond
    ``sqrt(1 - 0.95^2) = 0.31`` (0.5 for the largest error): looser than the published floor would be no limit.

    Raises
    ------
    ValueError
        If `dtype` is neither "float32" nor "float64".
    """
    floor = noise_floor or NoiseFloor(0.0, 0.0, 0.0)

    def hold(measured: float, least: float, most: float) -> float:
        return min(max(TIMES_NOISE * measured, least), most)

    if dtype == "float64":
        return Limits(
            hold(floor.rel_l2, FLOAT64_REL_L2, FLOAT64_MOST),
            hold(floor.slope, FLOAT64_SLOPE, FLOAT64_MOST),
            hold(floor.max_err, FLOAT64_MAX_ERR, FLOAT64_MOST),
        )
    if dtype != "float32":
        raise ValueError(f"There are no limits for dtype {dtype!r}; use 'float32' or 'float64'.")
    return Limits(
        hold(floor.rel_l2, FLOAT32_LEAST, FLOAT32_MOST),
        hold(floor.slope, FLOAT32_LEAST, FLOAT32_MOST),
        hold(floor.max_err, FLOAT32_LEAST, FLOAT32_MOST_MAX_ERR),
    )


def loosest_limits(dtype: str) -> Limits:
    """Return the limits beyond which no sample of the reference's noise changes a verdict.

    In float64 they are what float32 is held to at least: maps as far apart as that are not so by rounding.
    """
    return limits_for("float32", NoiseFloor(1.0, 1.0, 1.0) if dtype == "float32" else None)


def rounding_alone(floors: Sequence[NoiseFloor]) -> Limits | None:
    """Return how far two right maps may be apart in float64 by 3 times what the reference mostly moves by itself.

    No map passes by these. Beyond the lane's most, up to what float32 is held to at least, they tell a map of which
    float64 shows nothing from one that is wrong. The median of the samples counts, number by number: rounding moves a
    map whichever last digits change, and a sample that crosses an edge moves it once.

    Returns
    -------
    Limits or None
        None if there are fewer than `ROUNDING_SAMPLES` samples.
    """
    if len(floors) < ROUNDING_SAMPLES:
        return None
    moves = [median(asdict(floor)[name] for floor in floors) for name in ("rel_l2", "slope", "max_err")]
    leasts = (FLOAT64_REL_L2, FLOAT64_SLOPE, FLOAT64_MAX_ERR)
    allowed = [max(TIMES_NOISE * move, least) for move, least in zip(moves, leasts, strict=True)]
    return Limits(*(min(limit, FLOAT32_LEAST) for limit in allowed))
