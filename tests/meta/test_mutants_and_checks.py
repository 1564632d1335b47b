"""Without any single check of the judge at least one mutant lives, and with all of them none does.

The port stands for the reference here, so that no TensorFlow is needed: what is on trial is the judge alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pytest
import torch

from parity import keras
from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.judge import verdict
from parity.judge.checks import CHECKS, Check
from parity.judge.limits import FLOAT32_MOST, FLOAT32_MOST_MAX_ERR, Limits, NoiseFloor, limits_for
from parity.judge.metrics import Metrics, compare
from parity.run.judging import held
from parity.run.mutants import maps
from parity.run.mutants.mutant import Mutant, right
from parity.run.noise import Sample
from tests.parity.toy_maps import toy_map

pytestmark = pytest.mark.slow

LOOSEST = Limits(FLOAT32_MOST, FLOAT32_MOST, FLOAT32_MOST_MAX_ERR)


@dataclass(frozen=True)
class Pair:
    """A reference's map and a wrong one."""

    name: str
    reference: np.ndarray
    wrong: np.ndarray
    limits: Limits


@cache
def network(model: str, dtype: str) -> tuple[keras.KerasModule, np.ndarray]:
    source = resolve(model)
    array = next(iter(default_inputs(source))).array
    return keras.load(source.path, dtype=getattr(torch, dtype)), array[None].astype(dtype)


def explained(mutant: Mutant, model: str, method: str, dtype: str) -> Pair:
    module, x = network(model, dtype)
    target = [0]
    reference = module.to_keras(right(module, module.to_torch(x), method, target))[0]
    values = mutant(module, module.to_torch(x), method, target)
    wrong = module.to_keras(values)[0] if values.ndim == x.ndim else np.asarray(values)
    return Pair(f"{mutant.name} on {model} in {dtype}", reference, wrong, limits_for(dtype))


@cache
def pairs() -> tuple[Pair, ...]:
    """Return the table's mutants of the map, where no noise must be drawn and nothing is looked up in the model."""
    with_map = [mutant for mutant in maps.MUTANTS if mutant.stopped_by != "error"]
    plain = [mutant for mutant in with_map if not {"smoothgrad", "grad_cam"} & set(mutant.methods)]
    made = [
        explained(mutant, model, mutant.methods[0], dtype)
        for mutant in plain
        for model in mutant.models
        for dtype in ("float64", "float32")
        if mutant.is_wrong_in(dtype)
    ]
    zeros = np.zeros((4, 4, 1))
    return (*made, Pair("two zeros", zeros, zeros.copy(), limits_for("float64")))


def living() -> Iterator[str]:
    for pair in pairs():
        if verdict.judge(compare(pair.reference, pair.wrong), pair.limits).ok:
            yield pair.name


def test_no_mutant_lives_with_all_checks():
    assert list(living()) == []
    assert len(pairs()) > 80


def test_the_right_maps_are_at_parity_with_all_checks():
    for pair in pairs():
        if pair.reference.any():
            assert verdict.judge(compare(pair.reference, pair.reference.copy()), pair.limits).ok


# Numbers that could not be taken are NaN and fail every numeric check: these two are guarded twice.
GUARDED_TWICE = ("shape", "finite")


@pytest.mark.parametrize("name", [check.name for check in CHECKS if check.name not in GUARDED_TWICE])
def test_without_any_check_a_mutant_lives(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verdict, "CHECKS", tuple(check for check in CHECKS if check.name != name))
    assert list(living()), f"no mutant needs the check {name!r}: it is superfluous, or a mutant is missing"


@pytest.mark.parametrize("name", GUARDED_TWICE)
def test_without_either_guard_of_shape_and_numbers_a_mutant_lives(name: str, monkeypatch: pytest.MonkeyPatch):
    def tolerant(check: Check) -> Check:
        """Return the check as it would be if it were written `value > limit`, which NaN never is."""

        def look(metrics: Metrics, limits: Limits) -> str | None:
            nothing_taken = check.share is not None and np.isnan(check.share(metrics, limits))
            return None if nothing_taken else check.function(metrics, limits)

        return Check(check.name, look, check.share)

    left = tuple(check for check in CHECKS if check.name != name)
    monkeypatch.setattr(verdict, "CHECKS", left)
    assert not list(living()), "a number that could not be taken must fail"
    monkeypatch.setattr(verdict, "CHECKS", tuple(map(tolerant, left)))
    assert list(living())


def test_a_blind_judge_lets_all_of_them_live(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verdict, "CHECKS", ())
    assert len(list(living())) == len(pairs())


def test_reference_and_subject_are_not_interchangeable():
    """40 % too much is over the loosest limit; with the sides swapped it would be 29 % too little, which is not."""
    reference = toy_map()
    wrong = 1.4 * reference
    noise = Sample("as noisy as can be", NoiseFloor(1.0, 1.0, 1.0))
    row = held(reference, wrong, "float32", iter([noise]))
    assert row["status"] in ("structural", "mismatch")
    swapped = held(wrong, reference, "float32", iter([noise]))
    assert swapped["status"] == "parity"
    assert verdict.judge(compare(wrong, reference), LOOSEST).ok
