"""Whether the answers of a pack are what the references say here and now."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from parity.reference.packed import PackedAnswers
from parity.reference.request import ReferenceAnswer
from parity.reference.store import ResultStore

LIMITS = {"float64": 1e-12, "float32": 1e-3}
"""How far an array may be from the packed one, as a share of its norm: processors round differently."""
_SHOWN = 10


@dataclass
class Verdict:
    """What a comparison came to.

    Attributes
    ----------
    identical, close
        Answers that are the same to the last bit, and those within the limits.
    different
        Answers that are not the same, each with what differs.
    missing, further
        How many answers of the pack were not asked for now, and how many that were asked it does not have.
    worst
        The largest distance by dtype.
    """

    identical: int = 0
    close: int = 0
    different: list[str] = field(default_factory=list)
    missing: int = 0
    further: int = 0
    worst: dict[str, float] = field(default_factory=dict)

    @property
    def same(self) -> bool:
        """Whether every answer was compared and none differs."""
        return bool(self.identical + self.close) and not (self.different or self.missing or self.further)

    def text(self) -> str:
        """Return the verdict in a few lines."""
        lines = [f"{self.identical} answers are identical, {self.close} within rounding, {len(self.different)} differ."]
        if self.worst:
            worst = ", ".join(f"{distance:.2g} in {dtype}" for dtype, distance in sorted(self.worst.items()))
            lines.append(f"Largest distances, relative L2: {worst}.")
        if self.missing or self.further:
            lines.append(
                f"{self.missing} answers of the pack were not asked for, and it lacks {self.further} that were: name "
                "the models, inputs, methods and versions that it was packed with."
            )
        return "\n".join([*lines, *self.different[:_SHOWN]])


def compared(packed: PackedAnswers, store: ResultStore) -> Verdict:
    """Compare every answer of a pack with a store's of the same key."""
    verdict = Verdict()
    here = {path.stem for path in store.root.glob("??/??/*.npz")}
    for key in packed.names():
        old, new = packed.get(key), store.get(key)
        if old is None or new is None:
            verdict.missing += 1
            continue
        here.discard(key)
        _compare(verdict, key, old, new)
    verdict.further = len(here)
    return verdict


def _compare(verdict: Verdict, key: str, old: ReferenceAnswer, new: ReferenceAnswer) -> None:
    if old.error != new.error:
        verdict.different.append(f"{key}: the error was {old.error!r} and is {new.error!r}")
    elif old.array is None or new.array is None:
        verdict.identical += old.array is new.array
        if old.array is not new.array:
            verdict.different.append(f"{key}: one of the two has no map")
    elif old.array.dtype != new.array.dtype or old.array.shape != new.array.shape:
        verdict.different.append(f"{key}: shape or dtype is not the same")
    elif _equal(old.array, new.array):
        verdict.identical += 1
    else:
        dtype = str(old.array.dtype)
        distance = _distance(old.array, new.array) if dtype in LIMITS else np.inf
        verdict.worst[dtype] = max(verdict.worst.get(dtype, 0.0), distance)
        if distance <= LIMITS.get(dtype, 0.0):
            verdict.close += 1
        else:
            verdict.different.append(f"{key}: relative L2 {distance:.3g} in {dtype}")


def _equal(old: npt.NDArray[np.generic], new: npt.NDArray[np.generic]) -> bool:
    return np.array_equal(old, new, equal_nan=old.dtype.kind == "f")


def _distance(old: npt.NDArray[np.generic], new: npt.NDArray[np.generic]) -> float:
    """Return the relative L2 distance; infinite where one is not finite, or zero and the other is not."""
    before, now = old.astype(np.float64), new.astype(np.float64)
    norm = float(np.linalg.norm(before))
    distance = float(np.linalg.norm(before - now) / norm) if norm else np.inf
    return distance if np.isfinite(distance) else np.inf
