"""What the fuzzer lets pass as no finding is no more than it says."""

from __future__ import annotations

import numpy as np
import pytest

from parity.judge.verdict import STATUSES
from parity.run.outcome import REFUSED, Outcome
from tests.fuzz.checking import describe, fine

ONE, OTHER = np.array([1.0, np.nan]), np.array([1.0, 2.0])


def outcome(status: str, reference: np.ndarray | None = ONE, subject: np.ndarray | None = OTHER, **more) -> Outcome:
    row = {"status": status, "divergence": None, "reference": "signxai", "message": "", "method": "lrp_z"}
    return Outcome(row | more, reference, subject)


@pytest.mark.parametrize("status", STATUSES)
def test_a_status_alone_passes_only_if_it_is_parity_or_nothing_was_judged(status: str) -> None:
    assert fine(outcome(status)) == (status in ("parity", "unjudged"))
    assert fine(outcome(status, divergence="named")) == (status in ("parity", "unjudged", "reference-defect"))


def test_a_method_that_the_reference_merely_fails_to_explain_is_a_finding() -> None:
    without = Outcome({"status": "unsupported", "divergence": None, "reference": None, "message": "neither has it"})
    assert fine(without)
    assert fine(outcome("unsupported", None, message=f"{REFUSED} signxai: no"))
    assert not fine(outcome("unsupported", None, message="signxai: TypeError"))


@pytest.mark.parametrize("status", ["mismatch", "error", "structural"])
def test_maps_that_are_the_same_to_the_last_bit_are_no_finding(status: str) -> None:
    assert fine(outcome(status, ONE, ONE.copy()))
    assert not fine(outcome(status, ONE, None))
    assert not fine(outcome(status, None, ONE))
    assert not fine(outcome(status, OTHER, np.nextafter(OTHER, 3)))


def test_a_finding_is_told_with_the_case_that_made_it() -> None:
    text = describe({"seed": 3}, [outcome("mismatch").row | {"message": "rel_l2 1 > 1e-10"}])
    assert "mismatch lrp_z held to signxai: rel_l2 1 > 1e-10" in text
    assert text.endswith('{"seed": 3}')
