"""For every gate a mutant that this gate stops, and that no other gate would have stopped."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest

from parity.judge.checks import CHECKS
from parity.judge.limits import Limits
from parity.judge.metrics import compare
from parity.judge.verdict import judge
from tests.parity.toy_maps import MUTANTS, toy_map


class Gate(NamedTuple):
    reference: Callable[[], np.ndarray]
    mutant: Callable[[np.ndarray], np.ndarray]
    limits: Limits  # loose but for the gate
    opened: float | None  # the gate's limit that lets the mutant through; None: no limit opens it


OPEN = Limits(rel_l2=1e9, slope=1e9, max_err=1e9, pearson=-2, ssim=-2)


def only(**limits: float) -> Limits:
    return dataclasses.replace(OPEN, **limits)


GATES: dict[str, Gate] = {
    "shape": Gate(toy_map, MUTANTS["shape_cropped"], OPEN, None),
    "finite": Gate(toy_map, MUTANTS["nan"], OPEN, None),
    "zero": Gate(toy_map, MUTANTS["zero"], OPEN, None),
    "rel_l2": Gate(toy_map, MUTANTS["noise_2_percent"], Limits(rel_l2=0.01, slope=0.01, max_err=0.1), 0.03),
    "slope": Gate(toy_map, MUTANTS["scale_1_02"], Limits(rel_l2=0.1, slope=0.01, max_err=0.1), 0.1),
    "max_err": Gate(toy_map, MUTANTS["one_pixel"], Limits(rel_l2=0.1, slope=0.1, max_err=0.1), 0.6),
}


@pytest.mark.parametrize("name", GATES)
def test_the_gate_stops_its_mutant(name: str):
    gate = GATES[name]
    reference = gate.reference()
    verdict = judge(compare(reference, gate.mutant(reference)), gate.limits)
    assert verdict.failed_check == name
    assert not verdict.ok


@pytest.mark.parametrize("name", [name for name, gate in GATES.items() if gate.opened is not None])
def test_no_other_gate_would_have_stopped_it(name: str):
    gate = GATES[name]
    reference = gate.reference()
    opened = dataclasses.replace(gate.limits, **{name: gate.opened})
    assert judge(compare(reference, gate.mutant(reference)), opened).status == "parity"


@pytest.mark.parametrize("name", GATES)
def test_the_gate_lets_the_reference_itself_pass(name: str):
    gate = GATES[name]
    reference = gate.reference()
    assert judge(compare(reference, reference.copy()), gate.limits).ok


def test_every_limit_has_a_mutant():
    graded = {"pearson", "ssim"}  # they tell two kinds of red apart and stop nothing by themselves
    assert {field.name for field in dataclasses.fields(Limits)} - graded <= set(GATES)


def test_every_check_has_a_mutant():
    assert [check.name for check in CHECKS] == list(GATES)
