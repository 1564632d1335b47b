"""Does the judge of this very run see wrong maps? Wrong variants of a map that is at parity, each judged in its place.

A run whose judge had gone blind would be green; with these controls it is red.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.judge.metrics import compare
from parity.judge.verdict import Limits, judge
from parity.run.outcome import Outcome

Map = npt.NDArray[Any]

SEEN = 1e-6
"""Largest change, over the map's largest value, that makes a mutant another map. The float64 limits are far below
it even where it is a single value of a 224 x 224 picture; a mutant that changes less is not counted."""


@dataclass(frozen=True)
class Mutant:
    """A way to be wrong.

    Attributes
    ----------
    change : callable
        Returns a wrong variant of a map in Keras layout without batch axis.
    gross : bool
        Whether it is farther off than any float32 limit allows, on every map; the others are for float64.
    """

    change: Callable[[Map], Map]
    gross: bool = False


def _across(values: Map) -> int:
    """Return the axis along which a map is shifted: a picture's columns, else the first."""
    return 1 if values.ndim == 3 else 0


def _noise(values: Map) -> Map:
    noise = np.random.default_rng(1).normal(size=values.shape)
    out: Map = values + 0.02 * noise * np.linalg.norm(values) / np.linalg.norm(noise)
    return out


def _with_one(values: Map, value: float) -> Map:
    out = values.copy()
    out.flat[out.size // 3] = value
    return out


def _largest(values: Map) -> float:
    return float(np.abs(values).max())


MUTANTS: Mapping[str, Mutant] = {
    "scale_20_86": Mutant(lambda r: r * 20.86, gross=True),
    "scale_logit": Mutant(lambda r: r * 0.5515, gross=True),
    "scale_1_02": Mutant(lambda r: r * 1.02),
    "scale_1_0014": Mutant(lambda r: r * 1.0014),
    "offset_half_sd": Mutant(lambda r: r + 0.5 * r.std()),
    "abs": Mutant(np.abs),
    "negative": Mutant(lambda r: -r, gross=True),
    "flip_rgb": Mutant(lambda r: r[..., ::-1]),
    "flip_lr": Mutant(lambda r: np.flip(r, _across(r))),
    "transposed": Mutant(lambda r: np.swapaxes(r, 0, min(1, r.ndim - 1))),
    "shift_one_pixel": Mutant(lambda r: np.roll(r, 1, _across(r))),
    "nan": Mutant(lambda r: _with_one(r, np.nan), gross=True),
    "inf": Mutant(lambda r: np.where(r == r.max(), np.inf, r), gross=True),
    "all_nan": Mutant(lambda r: np.full_like(r, np.nan), gross=True),
    "shape_batch_axis": Mutant(lambda r: r[None], gross=True),
    "shape_cropped": Mutant(lambda r: r[:-1], gross=True),
    "channels_first": Mutant(lambda r: np.moveaxis(r, -1, 0)),
    "zero": Mutant(np.zeros_like, gross=True),
    "constant": Mutant(lambda r: np.full_like(r, r.max())),
    "noise_2_percent": Mutant(_noise),
    "one_pixel": Mutant(lambda r: _with_one(r, r.flat[r.size // 3] + 0.5 * _largest(r))),
    "sign_zero_lost": Mutant(lambda r: np.where(r == 0, 0.05 * _largest(r), r)),
}
"""Name -> mutant. Each has come up as a real mistake, or stands for one of the judge's checks."""


class Controls:
    """Judges the mutants of one case at parity per model: of its first in float64, or in float32 if it has no other."""

    def __init__(self) -> None:
        self._done: dict[str, dict[str, bool]] = {}  # model -> mutant -> whether it was killed
        self._float32: dict[str, Outcome] = {}

    def see(self, outcome: Outcome) -> None:
        """Take the case if its model needs one."""
        row = outcome.row
        if row["status"] != "parity" or outcome.subject is None or row["model"] in self._done:
            return
        if row["dtype"] == "float64":
            self._done[row["model"]] = judged(outcome)
            self._float32.pop(row["model"], None)
        else:
            self._float32.setdefault(row["model"], outcome)

    def to_json(self) -> dict[str, Any] | None:
        """Return how many mutants were killed and which survived; None if no case was at parity."""
        done = self._done | {model: judged(outcome) for model, outcome in self._float32.items()}
        if not done:
            return None
        survived = [f"{name} on {model}" for model, own in done.items() for name, killed in own.items() if not killed]
        mutants = sum(map(len, done.values()))
        return {"mutants": mutants, "mutants_killed": mutants - len(survived), "survived": survived}


def judged(outcome: Outcome) -> dict[str, bool]:
    """Return, by name, whether each mutant of a case's map is judged not at parity, under the case's own limits."""
    reference, subject = outcome.reference, outcome.subject
    assert reference is not None
    assert subject is not None
    limits = Limits(**outcome.row["limits"])
    return {
        name: not judge(compare(reference, wrong), limits).ok
        for name, mutant in MUTANTS.items()
        if mutant.gross or outcome.row["dtype"] == "float64"
        if is_another(wrong := mutant.change(subject), subject)
    }


def is_another(wrong: Map, right: Map) -> bool:
    """Return whether a mutant is another map at all: turning a map that is the same both ways round changes nothing.

    This must not ask the judge, who is on trial.
    """
    if wrong.shape != right.shape or not np.isfinite(wrong).all():
        return True
    return bool(np.abs(wrong - right).max() > SEEN * _largest(right))
