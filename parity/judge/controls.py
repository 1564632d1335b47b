"""Does the judge of this very run see wrong maps? Wrong variants of a map that is at parity, each judged in its place.

A run whose judge had gone blind would be green; with these controls it is red. They are a sample: `parity mutants`
tries a whole table of wrong ports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from parity.judge.limits import Limits
from parity.judge.metrics import compare
from parity.judge.verdict import judge

Map = npt.NDArray[Any]
Reach = Literal["any", "tight", "float64"]

SEEN = 1e-6
"""Largest change, over the map's largest value, that makes a mutant another map. The float64 limits are far below
it even where it is a single value of a 224 x 224 picture; a mutant that changes less is not counted."""
TIGHT = 1e-4
"""Limit on the relative L2 difference, and on the slope's distance from 1, up to which a float32 case is tight."""


class Outcome(Protocol):
    """What is looked at of a case's outcome: its row, and the maps it speaks of."""

    row: dict[str, Any]
    reference: Map | None
    subject: Map | None


@dataclass(frozen=True)
class Mutant:
    """A way to be wrong.

    Attributes
    ----------
    change : callable
        Returns a wrong variant of a map in Keras layout without batch axis.
    reach : {"any", "tight", "float64"}
        The cases in which it must be seen: any at all, in float32 those with tight limits, or in float64 alone. What
        reaches further is tried there too.
    """

    change: Callable[[Map], Map]
    reach: Reach = "float64"

    def is_due(self, dtype: str, limits: Limits) -> bool:
        """Say whether it must be seen in a case of a dtype and limits."""
        tight = max(limits.rel_l2, limits.slope) <= TIGHT
        return dtype == "float64" or self.reach == "any" or (self.reach == "tight" and tight)


def _across(values: Map) -> int:
    """Return the axis along which a map is shifted: a picture's columns, else the first."""
    return 1 if values.ndim == 3 else 0


def _noise(values: Map) -> Map:
    noise = np.random.default_rng(1).normal(size=values.shape)
    return _like(values, values + 0.02 * noise * np.linalg.norm(values) / np.linalg.norm(noise))


def _with_one(values: Map, value: float) -> Map:
    out = values.copy()
    out.flat[out.size // 3] = value
    return out


def _bfloat16(values: Map) -> Map:
    """Keep 8 bits of mantissa, as mixed precision would."""
    bits = values.astype(np.float32).view(np.uint32).astype(np.uint64)
    kept = ((bits + 0x8000) & 0xFFFF0000).astype(np.uint32)
    return _like(values, kept.view(np.float32))


def _like(values: Map, wrong: Map) -> Map:
    """Return a wrong variant in the dtype of the map, as a port would return it."""
    out: Map = wrong.astype(values.dtype)
    return out


def _largest(values: Map) -> float:
    return float(np.abs(values).max())


MUTANTS: Mapping[str, Mutant] = {
    "scale_20_86": Mutant(lambda r: r * 20.86, "any"),
    "scale_logit": Mutant(lambda r: r * 0.5515, "any"),
    "scale_1_02": Mutant(lambda r: r * 1.02, "tight"),
    "scale_1_002": Mutant(lambda r: r * 1.002, "tight"),
    "scale_1_0014": Mutant(lambda r: r * 1.0014, "tight"),
    "offset_half_sd": Mutant(lambda r: r + 0.5 * r.std(), "tight"),
    "abs": Mutant(np.abs),
    "negative": Mutant(lambda r: -r, "any"),
    "flip_rgb": Mutant(lambda r: r[..., ::-1]),
    "flip_lr": Mutant(lambda r: np.flip(r, _across(r))),
    "transposed": Mutant(lambda r: np.swapaxes(r, 0, min(1, r.ndim - 1))),
    "shift_one_pixel": Mutant(lambda r: np.roll(r, 1, _across(r))),
    "nan": Mutant(lambda r: _with_one(r, np.nan), "any"),
    "inf": Mutant(lambda r: np.where(r == r.max(), np.inf, r), "any"),
    "all_nan": Mutant(lambda r: np.full_like(r, np.nan), "any"),
    "shape_batch_axis": Mutant(lambda r: r[None], "any"),
    "shape_cropped": Mutant(lambda r: r[:-1], "any"),
    "channels_first": Mutant(lambda r: np.moveaxis(r, -1, 0)),
    "zero": Mutant(np.zeros_like, "any"),
    "constant": Mutant(lambda r: np.full_like(r, r.max())),
    "noise_2_percent": Mutant(_noise, "tight"),
    "bfloat16": Mutant(_bfloat16, "tight"),
    "one_pixel": Mutant(lambda r: _with_one(r, r.flat[r.size // 3] + 0.5 * _largest(r))),
    "sign_zero_lost": Mutant(lambda r: np.where(r == 0, 0.05 * _largest(r), r)),
}
"""Name -> mutant. Each has come up as a real mistake, or stands for one of the judge's checks."""


class Controls:
    """Judges the mutants of up to two cases at parity per model, under the cases' own limits.

    One is the first float64 case, the other the first float32 case with tight limits. A model without either is tried
    on its first float32 case, with what must be seen in any.
    """

    def __init__(self) -> None:
        self._done: dict[tuple[str, str], dict[str, bool]] = {}  # (model, dtype) -> mutant -> whether it was killed
        self._loose: dict[str, Outcome] = {}  # by model: a float32 case, in case there is nothing better

    def see(self, outcome: Outcome) -> None:
        """Take the case if its model needs one."""
        row = outcome.row
        key = row["model"], row["dtype"]
        if row["status"] != "parity" or outcome.subject is None or outcome.reference is None or key in self._done:
            return
        limits = Limits(**row["limits"])
        if row["dtype"] == "float64" or max(limits.rel_l2, limits.slope) <= TIGHT:
            self._done[key] = judged(outcome)
            self._loose.pop(row["model"], None)
        elif (row["model"], "float64") not in self._done:
            self._loose.setdefault(row["model"], outcome)

    def to_json(self) -> dict[str, Any] | None:
        """Return how many mutants were killed and which survived; None if no case was at parity."""
        done = self._done | {(model, "float32"): judged(outcome) for model, outcome in self._loose.items()}
        if not done:
            return None
        survived = [
            f"{name} on {model} in {dtype}"
            for (model, dtype), verdicts in done.items()
            for name, killed in verdicts.items()
            if not killed
        ]
        mutants = sum(map(len, done.values()))
        return {"mutants": mutants, "mutants_killed": mutants - len(survived), "survived": survived}


def judged(outcome: Outcome) -> dict[str, bool]:
    """Return, by name, whether each mutant of a case's map is judged not at parity, under the case's own limits.

    The limits were measured on the reference alone, so they are those of any subject.
    """
    reference, subject = outcome.reference, outcome.subject
    assert reference is not None
    assert subject is not None
    limits = Limits(**outcome.row["limits"])
    return {
        name: not judge(compare(reference, wrong), limits).ok
        for name, mutant in MUTANTS.items()
        if mutant.is_due(outcome.row["dtype"], limits)
        if is_another(wrong := mutant.change(subject), subject)
        if mutant.reach != "tight" or outcome.row["dtype"] == "float64" or is_beyond_tight(wrong, subject)
    }


def is_another(wrong: Map, right: Map) -> bool:
    """Return whether a mutant is another map at all: turning a map that is the same both ways round changes nothing.

    This must not ask the judge, who is on trial.
    """
    if wrong.shape != right.shape or not np.isfinite(wrong).all():
        return True
    return bool(np.abs(wrong - right).max() > SEEN * _largest(right))


def is_beyond_tight(wrong: Map, right: Map) -> bool:
    """Return whether a mutant is farther off than tight limits allow: rounding changes a map of round numbers little.

    This must not ask the judge either.
    """
    change = float(np.linalg.norm(wrong.astype(np.float64) - right.astype(np.float64)))
    return change > 3 * TIGHT * float(np.linalg.norm(right.astype(np.float64)))
