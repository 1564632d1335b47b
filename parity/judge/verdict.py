"""What the numbers of a case say: limits, named divergences and statuses.

Every comparison here is written as ``not (value <= limit)``, so a NaN on either side fails it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal, get_args

from parity.judge.metrics import Metrics

Status = Literal["parity", "structural", "mismatch", "reference-defect", "unsupported", "error"]
STATUSES: tuple[Status, ...] = get_args(Status)

PUBLISHED_FLOOR = 0.95  # Pearson and SSIM: what earlier comparisons called equal
FLOAT64_REL_L2 = 1e-10
FLOAT64_SLOPE = 1e-10
FLOAT64_MAX_ERR = 1e-9
FLOAT32_LEAST = 1e-5
FLOAT32_TIMES_FLOOR = 3.0
VANISHING = 1e-6  # a reference this far under the subject is rounding noise beside a map
# A relative L2 difference beyond this makes Pearson fall under the published floor; a limit above it would be
# no limit at all, however noisy float32 is.
FLOAT32_MOST = math.sqrt(1.0 - PUBLISHED_FLOOR**2)
FLOAT32_MOST_MAX_ERR = 0.5


@dataclass(frozen=True)
class NoiseFloor:
    """How far torch in float32 is from torch in float64 on the same case: relative numbers, all >= 0.

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
        """Make the floor of the comparison (float64 map as reference, float32 map as candidate).

        Raises
        ------
        ValueError
            If the two maps could not be compared.
        """
        if metrics.problem:
            raise ValueError(f"The float32 noise floor could not be measured. {metrics.problem}")
        return cls(metrics.rel_l2, abs(metrics.slope - 1.0), metrics.max_err)

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
    """Return the limits of a lane.

    float64 asks whether it is the same function. Deep nets reach 1e-14 there, so relative L2 and
    ``|slope - 1|`` are held to 1e-10. The largest single error is held to 1e-9 of the largest value: an L2
    difference of 1e-10 gathered in one place is larger there by ``|reference|_2 / max|reference|``, about
    ten on the maps at hand.

    float32 asks how far apart a user sees the two. Each number is held to 3 times its own measured floor
    (torch float32 against torch float64, same case), at least 1e-5. No floor is trusted beyond
    ``sqrt(1 - 0.95^2) = 0.31`` (0.5 for the largest error): looser than the published floor would be no
    limit. Without a floor the strictest limit, 1e-5, holds.

    Raises
    ------
    ValueError
        If `dtype` is neither "float32" nor "float64".
    """
    if dtype == "float64":
        return Limits(FLOAT64_REL_L2, FLOAT64_SLOPE, FLOAT64_MAX_ERR)
    if dtype != "float32":
        raise ValueError(f"There are no limits for dtype {dtype!r}; use 'float32' or 'float64'.")
    floor = noise_floor or NoiseFloor(0.0, 0.0, 0.0)

    def hold(measured: float, most: float) -> float:
        return min(max(FLOAT32_TIMES_FLOOR * measured, FLOAT32_LEAST), most)

    return Limits(
        hold(floor.rel_l2, FLOAT32_MOST),
        hold(floor.slope, FLOAT32_MOST),
        hold(floor.max_err, FLOAT32_MOST_MAX_ERR),
    )


@dataclass(frozen=True)
class Divergence:
    """A known difference that is not the port's fault, as data (the table is `parity.judge.known.divergences`).

    Attributes
    ----------
    name : str
        Short identifier, lower case with hyphens.
    methods : tuple of str
        Globs of the method names concerned.
    references : tuple of {"signxai", "innvestigate"}
        The references that have it.
    condition : str
        When it bites, in words.
    cause, evidence : str
        Why, and how anybody can see it. Neither may be empty.
    status : {"reference-defect"} or None
        Set if the reference itself is wrong. Otherwise `limits` must be given.
    alternative : str or None
        The reference to be used instead of a defective one.
    reference_max_below : float or None
        What shows the defect where no alternative was used: the reference's largest absolute value is under
        this. A reference that no longer shows it is not covered.
    undefined : bool
        What shows the defect: the reference is NaN everywhere where the subject is zero everywhere.
    raises : tuple of str
        What shows a defect that leaves no map at all: a part of the reference's error message.
    imitated : bool
        Whether the subject can be given what the reference makes of the case instead of the case: another network, or
        another size of the map. If the numbers hold then, the defect is what keeps the two apart and nothing else.
    holds : tuple of str
        What the subject's map is held to where the defect leaves no map: names in
        `parity.judge.known.properties`. They are
        necessary, not sufficient.
    limits : Limits or None
        The check that replaces the numeric gate for a difference that is no defect.
    """

    name: str
    methods: tuple[str, ...]
    references: tuple[str, ...]
    condition: str
    cause: str
    evidence: str
    status: Literal["reference-defect"] | None = None
    alternative: str | None = None
    reference_max_below: float | None = None
    undefined: bool = False
    raises: tuple[str, ...] = ()
    imitated: bool = False
    holds: tuple[str, ...] = ()
    limits: Limits | None = None

    def __post_init__(self) -> None:
        for name in ("name", "methods", "references", "condition", "cause", "evidence"):
            if not getattr(self, name):
                raise ValueError(f"Divergence {self.name!r} has no {name}.")
        if (self.status is None) == (self.limits is None):
            raise ValueError(f"Divergence {self.name!r} needs either a defect status or limits of its own.")

    @property
    def checkable(self) -> bool:
        """Whether the defect can be shown on the defective reference itself, without the alternative."""
        return self.imitated or self.undefined or bool(self.raises) or self.reference_max_below is not None

    def covers(self, method: str, reference: str) -> bool:
        """Say whether this entry speaks of `method` as computed by `reference`."""
        return reference in self.references and any(fnmatchcase(method, glob) for glob in self.methods)

    def shows_in(self, metrics: Metrics) -> bool:
        """Say whether the defect shows: a vanishing reference beside a subject that is not, or an undefined one."""
        if self.undefined:
            return metrics.undefined
        bound = self.reference_max_below
        vanishing = metrics.reference_max < VANISHING * metrics.subject_max
        return bound is not None and metrics.reference_max < bound and vanishing

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self) | {"methods": list(self.methods), "references": list(self.references)}


@dataclass(frozen=True)
class Verdict:
    """The outcome of one case.

    Attributes
    ----------
    status : str
        One of `STATUSES`; from `judge` never "unsupported" or "error".
    failed_check : str or None
        The first check that failed: shape, finite, zero, constant, pearson, ssim, rel_l2, slope or max_err.
    message : str
        Empty for plain parity.
    margin : float
        The worst value/limit of the three numeric checks: 1 is the limit. Infinite if one is no number.
    divergence : str or None
        Name of the divergence or defect that covers the case.
    imitation : Metrics or None
        What the margin speaks of where a defect is imitated: the two maps of what the reference makes of the case.
    """

    status: Status
    failed_check: str | None
    message: str
    margin: float
    divergence: str | None = None
    imitation: Metrics | None = None

    @property
    def ok(self) -> bool:
        """Whether this case leaves a run green."""
        return is_ok(self.status, self.divergence)


def is_ok(status: str, divergence: str | None) -> bool:
    """Say whether a row leaves a run green: parity, or covered by a named divergence or defect."""
    return status == "parity" or (status in ("structural", "reference-defect") and bool(divergence))


def run_is_green(rows: Iterable[Mapping[str, Any]]) -> bool:
    """Say whether all judged rows (with keys "status" and "divergence") are green; a run without any is not.

    Unsupported rows were not judged: no reference defines the method there, or the model lacks what it needs.
    """
    states = [is_ok(row["status"], row.get("divergence")) for row in rows if row["status"] != "unsupported"]
    return bool(states) and all(states)


def judge(
    metrics: Metrics, limits: Limits, divergence: Divergence | None = None, *, alternative_used: bool = False
) -> Verdict:
    """Hold the numbers of one case to its limits.

    Parameters
    ----------
    metrics : Metrics
        Of the comparison that was really made.
    limits : Limits
        See `limits_for`.
    divergence : Divergence, optional
        A named divergence or defect that speaks of this case. It covers nothing by itself: a defect counts
        if the numbers hold against the alternative reference or the reference shows the defect; another
        divergence if its own limits hold.
    alternative_used : bool
        Whether `metrics` were taken against `divergence.alternative`.
    """
    plain = _judge_numbers(metrics, limits)
    if divergence is None:
        return plain
    if divergence.status is not None:
        return _judge_defect(plain, metrics, divergence, alternative_used)
    if plain.status != "structural" or divergence.limits is None:
        return plain
    own = _judge_numbers(metrics, divergence.limits)
    if own.status != "parity":
        text = f"{plain.message}\nThe named divergence {divergence.name!r} does not cover this: {own.message}"
        return Verdict("structural", plain.failed_check, text, plain.margin)
    text = f"Covered by the named divergence {divergence.name!r}: {divergence.cause}"
    return Verdict("structural", plain.failed_check, text, plain.margin, divergence.name)


def judge_imitation(
    metrics: Metrics, limits: Limits, defect: Divergence, plain: Verdict, real: Metrics | None = None
) -> Verdict:
    """Judge a reference that explains another network by its defect, or makes the map of another size.

    Parameters
    ----------
    metrics : Metrics
        Of the reference's map and the subject's map of that other network or size.
    limits : Limits
        See `limits_for`.
    defect : Divergence
        One that is `imitated`.
    plain : Verdict
        What the subject's map of the real network gave; it stands where the imitation fails too.
    real : Metrics, optional
        Of the reference's map and the subject's map of the real network. Two zero maps prove nothing, but where the
        subject's map of the real network is not zero, that of the other network being zero too is the proof.
    """
    own = _judge_numbers(metrics, limits)
    vanishes = metrics.problem_check == "zero" and metrics.reference_max == metrics.subject_max == 0
    told_apart = real is not None and real.subject_max > 0
    if own.status != "parity" and not (vanishes and told_apart):
        text = f"{plain.message}\nThe defect {defect.name!r} does not explain this: {own.message}"
        return Verdict(plain.status, plain.failed_check, text, plain.margin)
    there = "is zero like it" if vanishes else f"is at rel. L2 {metrics.rel_l2:.3g} from it"
    text = (
        f"Reference defect {defect.name!r}: {defect.cause} The subject on the case as the reference evaluates it "
        f"{there}."
    )
    return Verdict("reference-defect", plain.failed_check, text, own.margin, defect.name, None if vanishes else metrics)


def _judge_defect(plain: Verdict, metrics: Metrics, defect: Divergence, alternative_used: bool) -> Verdict:
    if alternative_used:
        if plain.status == "parity":
            text = f"Reference defect {defect.name!r}, held to {defect.alternative} instead: {defect.cause}"
            return Verdict("reference-defect", None, text, plain.margin, defect.name)
        text = f"{plain.message}\nCompared with {defect.alternative}; reference defect {defect.name!r}."
        return Verdict(plain.status, plain.failed_check, text, plain.margin)
    if defect.shows_in(metrics):
        if defect.undefined:
            what = "The reference is NaN everywhere, the subject zero."
        else:
            what = f"The reference's largest value is {metrics.reference_max:.3g}, under {defect.reference_max_below}."
        text = f"Reference defect {defect.name!r}: {defect.cause} {what}"
        return Verdict("reference-defect", plain.failed_check, text, plain.margin, defect.name)
    if defect.undefined and plain.status == "parity":
        return plain  # it bites by the values of the case, and mostly does not
    text = f"{plain.message}\nThe named defect {defect.name!r} does not show in the reference here.".strip()
    return Verdict(plain.status, plain.failed_check, text, plain.margin)


def _judge_numbers(metrics: Metrics, limits: Limits) -> Verdict:
    """Apply the checks in their fixed order."""
    if metrics.problem is not None:
        failed = f"Check {metrics.problem_check} failed."
        return Verdict("mismatch", metrics.problem_check, metrics.message(failed=failed), math.inf)
    numeric = {
        "rel_l2": (metrics.rel_l2, limits.rel_l2),
        "slope": (abs(metrics.slope - 1.0), limits.slope),
        "max_err": (metrics.max_err, limits.max_err),
    }
    ratios = [value / limit for value, limit in numeric.values()]
    margin = max(ratios) if all(math.isfinite(ratio) for ratio in ratios) else math.inf
    over = [(name, f"{value:.4g} > {limit:.4g}") for name, (value, limit) in numeric.items() if not (value <= limit)]
    under = [
        (name, f"{value:.4g} < {limit:.4g}")
        for name, value, limit in _floor_checks(metrics, limits)
        if not (value >= limit)
    ]
    if not under and not over:
        return Verdict("parity", None, "", margin)
    # Two constant maps have no structure that could agree: their numbers hold or it is a mismatch.
    status: Status = "mismatch" if under or metrics.constant else "structural"
    name = (under + over)[0][0]
    failed = "Failed: " + "; ".join(f"{check} {text}" for check, text in under + over)
    return Verdict(status, name, metrics.message(failed=failed, allowed=limits.max_err), margin)


def _floor_checks(metrics: Metrics, limits: Limits) -> list[tuple[str, float, float]]:
    checks = []
    if not metrics.constant:
        checks.append(("pearson", metrics.pearson, limits.pearson))
    # None (with its reason in ssim_note) is "has no meaning here"; a NaN is a failure.
    if metrics.ssim is not None:
        checks.append(("ssim", metrics.ssim, limits.ssim))
    return checks
