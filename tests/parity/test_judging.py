"""From both sides' maps to an outcome: the subject by itself first, and no say of it in its own limit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from parity.judge.known.table import BY_NAME, KNOWN_DIFFERENCES
from parity.judge.limits import NoiseFloor, limits_for
from parity.judge.metrics import compare
from parity.judge.verdict import judge
from parity.reference.request import ReferenceAnswer
from parity.run.judging import held, judged, subject_alone
from parity.run.noise import Sample
from parity.run.outcome import Outcome
from parity.run.questions import Candidate
from parity.run.subject_maps import Maps
from tests.parity.toy_cases import PLAIN, REFERENCE, raised, subject_says, toy_case
from tests.parity.toy_maps import MUTANTS

SUBJECT = "somebody"
NAN, NARROW = np.full_like(REFERENCE, np.nan), REFERENCE[..., :2]


def floor(size: float) -> NoiseFloor:
    return NoiseFloor(size, size, size)


class Noise:
    """Samples of given sizes, which counts those that are taken; None is one that could not be measured."""

    def __init__(self, *sizes: float | None) -> None:
        self.sizes, self.taken = sizes, 0

    def __call__(self, _reference: np.ndarray) -> Iterator[Sample]:
        for number, size in enumerate(self.sizes):
            self.taken += 1
            yield Sample(f"sample {number}", None if size is None else floor(size))


def apart(share: float, seed: int = 1) -> np.ndarray:
    """Return a map at a relative L2 distance of `share` from the reference."""
    noise = np.random.default_rng(seed).normal(size=REFERENCE.shape)
    return REFERENCE + share * noise * np.linalg.norm(REFERENCE) / np.linalg.norm(noise)


# Limits are the reference's own


WRONG = {name: change(REFERENCE) for name, change in MUTANTS.items()} | {
    f"{share:g} apart": apart(share) for share in (3e-9, 1e-7, 1e-4, 1e-3, 0.01, 0.05, 0.3, 3.0)
} | {"nothing": REFERENCE * 0, "nan": NAN}  # fmt: skip


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", WRONG)
def test_the_limits_are_what_the_samples_say_whatever_the_subject(name: str, dtype: str) -> None:
    sizes = (1e-6, 3e-5, 2e-5, 1e-4) if dtype == "float32" else (1e-12, 3e-10, 2e-10, 1e-9)
    noise = Noise(*sizes)
    row = held(REFERENCE, WRONG[name], dtype, noise(REFERENCE))
    assert row["noise_samples"] == [f"sample {number}" for number in range(noise.taken)]
    largest = NoiseFloor.largest(floor(size) for size in sizes[: noise.taken])
    assert row["limits"] == limits_for(dtype, largest).to_json()
    assert row["noise_floor"] == (largest.to_json() if noise.taken else None)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", [*WRONG, "right"])
def test_taking_fewer_samples_changes_no_verdict(name: str, dtype: str) -> None:
    subject = WRONG.get(name, REFERENCE)
    sizes = (1e-6, 3e-5, 0.02, 0.01) if dtype == "float32" else (1e-12, 3e-10, 2e-10, 1.1e-9)
    row = held(REFERENCE, subject, dtype, Noise(*sizes)(REFERENCE))
    every = limits_for(dtype, NoiseFloor.largest(floor(size) for size in sizes))
    assert (row["status"] == "parity") == judge(compare(REFERENCE, subject), every).ok


def test_every_map_that_fails_within_reach_meets_the_same_limits() -> None:
    maps = [apart(share, seed) for share in (0.002, 0.01, 0.02) for seed in (1, 2)]
    rows = [held(REFERENCE, subject, "float32", Noise(1e-6, 1e-5, 1e-4)(REFERENCE)) for subject in maps]
    assert {row["status"] for row in rows} == {"structural"}
    assert len({str(row["limits"]) for row in rows}) == 1


@pytest.mark.parametrize("subject", [-REFERENCE, apart(3.0), REFERENCE * 1.4, MUTANTS["one_pixel"](REFERENCE) * 2])
@pytest.mark.parametrize(("dtype", "most"), [("float64", 0), ("float32", 1)])
def test_a_hopeless_map_asks_the_reference_for_no_more(subject: np.ndarray, dtype: str, most: int) -> None:
    noise = Noise(1e-6, 1e-5, 1e-4)
    assert held(REFERENCE, subject, dtype, noise(REFERENCE))["status"] != "parity"
    assert noise.taken == most


@pytest.mark.parametrize("subject", [REFERENCE * 0, NAN, NARROW])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_what_cannot_be_compared_asks_for_nothing(subject: np.ndarray, dtype: str) -> None:
    noise = Noise(1e-6)
    row = held(REFERENCE, subject, dtype, noise(REFERENCE))
    assert (row["status"], row["noise_floor"], row["noise_samples"]) == ("mismatch", None, [])
    assert noise.taken == 0


@pytest.mark.parametrize(("dtype", "taken"), [("float64", 0), ("float32", 1)])
def test_a_right_map_costs_the_first_sample_of_float32_alone(dtype: str, taken: int) -> None:
    noise = Noise(1e-7, 1e-6, 1e-5)
    assert held(REFERENCE, REFERENCE, dtype, noise(REFERENCE))["status"] == "parity"
    assert noise.taken == taken


def test_samples_are_taken_until_the_numbers_hold() -> None:
    noise = Noise(1e-6, 1e-4, 1e-3, 1e-2)
    row = held(REFERENCE, apart(2e-3), "float32", noise(REFERENCE))
    assert (row["status"], noise.taken) == ("parity", 3)
    assert row["noise_floor"]["rel_l2"] == 1e-3


@pytest.mark.parametrize(
    ("distance", "sizes", "status"),
    [
        (3.3e-10, (2.3e-10,), "parity"),
        (3.3e-10, (0.9e-10,), "structural"),  # more than 3 times the reference's own rounding
        (3.3e-10, (), "structural"),
        (3.3e-10, (None, None), "structural"),  # what could not be measured loosens nothing
        (2e-8, (1e-8,) * 5, "unjudged"),  # its rounding would allow it, the lane's most does not
        (2e-8, (1e-8, 2e-8, 0.9e-8, 1e-9, 1.0), "unjudged"),
        (2e-8, (1e-8,) * 4, "structural"),  # too few to tell rounding from an edge that is crossed
        (2e-8, (0.6e-8,) * 8, "structural"),  # more than rounding takes it, and over the lane's most
        (2e-8, (1e-12,) * 7 + (1.0,), "structural"),  # one sample that crosses an edge is not rounding
        (2e-8, (), "structural"),
        (2e-8, (None,), "structural"),
        (2e-5, (1.0,) * 8, "structural"),  # no rounding of float64 goes so far
        (1e-3, (1e-3,) * 8, "structural"),
    ],
)
def test_float64_follows_the_references_rounding_up_to_its_most(
    distance: float, sizes: tuple[float | None, ...], status: str
) -> None:
    assert held(REFERENCE, apart(distance), "float64", Noise(*sizes)(REFERENCE))["status"] == status


@pytest.mark.parametrize("subject", [REFERENCE * (1 + 5e-8), REFERENCE * (1 + 9e-6), MUTANTS["one_pixel"](REFERENCE)])
def test_float64s_rounding_excuses_no_change_of_another_kind(subject: np.ndarray) -> None:
    noise = iter([Sample("scaled", NoiseFloor(2e-8, 1e-11, 2e-8))] * 8)  # the map moves, its size does not
    assert held(REFERENCE, subject, "float64", noise)["status"] in ("structural", "mismatch")


@pytest.mark.parametrize(("distance", "noise", "status"), [(0.02, 0.02, "parity"), (0.02, 0.005, "structural"),
                                                         (0.9, 0.5, "mismatch")])  # fmt: skip
def test_float32_follows_three_times_the_references_noise(distance: float, noise: float, status: str) -> None:
    assert held(REFERENCE, apart(distance), "float32", Noise(noise)(REFERENCE))["status"] == status


# The subject by itself


def outcome(
    array: np.ndarray, answer: ReferenceAnswer, candidate: Candidate = PLAIN, dtype: str = "float64", **more: object
) -> Outcome:
    maps = subject_says(array)
    return judged(toy_case(dtype), candidate, answer, maps, 0, SUBJECT, Noise(1e-12), **more)


ANSWERS = {
    "a map": ReferenceAnswer(REFERENCE),
    "no number": ReferenceAnswer(NAN),
    "another shape": ReferenceAnswer(REFERENCE[:-1]),
    "zero": ReferenceAnswer(REFERENCE * 0),
    "crashed": raised("died of SIGABRT", "crash"),
    "refused": raised("NotAnalyzeableModelException: no"),
    "raised": raised("TypeError: what"),
}


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize(("array", "check"), [(NAN, "finite"), (NARROW, "shape"), (REFERENCE * 1j, "finite")],
                         ids=["nan", "narrow", "complex"])  # fmt: skip
@pytest.mark.parametrize("candidate", [PLAIN, Candidate(PLAIN.call, KNOWN_DIFFERENCES)], ids=["plain", "held"])
def test_a_broken_map_is_a_mismatch_whatever_the_reference_said(
    answer: str, array: np.ndarray, check: str, candidate: Candidate
) -> None:
    for undefined in (None, BY_NAME["signxai-grad-cam-of-nothing"]):
        row = outcome(array, ANSWERS[answer], candidate, undefined=undefined).row
        assert (row["status"], row["failed_check"]) == ("mismatch", check)
        assert row["message"].startswith(f"{SUBJECT}: the map ")


def test_a_method_that_the_subject_lacks_is_unsupported_and_one_that_raises_an_error() -> None:
    lacking = Maps(None, 0.0, "NotImplementedError: no such method", unsupported=True)
    row = subject_alone(toy_case(), lacking, 0, SUBJECT)
    assert (row["status"], row["divergence"]) == ("unsupported", None)
    assert SUBJECT in row["message"]
    row = subject_alone(toy_case(), Maps(None, 0.0, "ValueError: broken"), 0, SUBJECT)
    assert (row["status"], row["message"]) == ("error", f"{SUBJECT}: ValueError: broken")
    assert "status" not in subject_alone(toy_case(), subject_says(REFERENCE), 0, SUBJECT)


# The reference's side


@pytest.mark.parametrize(
    ("answer", "status"),
    [("no number", "error"), ("another shape", "error"), ("crashed", "error"), ("raised", "error"),
     ("refused", "unsupported"), ("zero", "mismatch"), ("a map", "parity")],
)  # fmt: skip
def test_what_a_reference_says_wrong_is_an_error_and_no_excuse(answer: str, status: str) -> None:
    assert outcome(REFERENCE, ANSWERS[answer]).row["status"] == status


def test_two_zero_maps_are_unjudged() -> None:
    row = outcome(REFERENCE * 0, ReferenceAnswer(REFERENCE * 0)).row
    assert (row["status"], row["failed_check"]) == ("unjudged", "zero")


def test_what_is_held_to_something_else_is_never_plain_parity() -> None:
    difference = BY_NAME["signxai-permute-of-equal-sizes"]
    candidate = Candidate(PLAIN.call, (difference,), difference.rewrites)
    row = outcome(REFERENCE, ReferenceAnswer(REFERENCE), candidate).row
    assert (row["status"], row["divergence"]) == ("reference-defect", difference.name)
    assert row["message"] == f"Held to {candidate.held_to}. {difference.cause}"
    for wrong in (REFERENCE * 1.02, -REFERENCE, REFERENCE * 0):
        assert outcome(wrong, ReferenceAnswer(REFERENCE), candidate).row["status"] in ("structural", "mismatch")


UNDEFINED = BY_NAME["signxai-grad-cam-of-nothing"]
ZERO, A_VALUE = REFERENCE * 0, np.where(REFERENCE.max() == REFERENCE, 1.0, 0.0)


@pytest.mark.parametrize(
    ("reference", "subject", "status"),
    [
        (NAN, ZERO, "unjudged"),
        (NAN, A_VALUE, "mismatch"),
        (NAN, A_VALUE * 1e-300, "mismatch"),
        (NAN, NAN, "mismatch"),
        (A_VALUE, A_VALUE, "parity"),
        (ZERO, ZERO, "unjudged"),
        (np.where(A_VALUE > 0, 0.0, np.nan), ZERO, "error"),  # not NaN everywhere
        (ZERO + np.inf, ZERO, "error"),
        (NAN[..., :2], ZERO, "error"),
    ],
)
def test_a_map_that_is_undefined_in_the_reference_must_be_zero(
    reference: np.ndarray, subject: np.ndarray, status: str
) -> None:
    row = outcome(subject, ReferenceAnswer(reference), undefined=UNDEFINED).row
    assert row["status"] == status
    named = status == "unjudged" and reference is NAN
    assert row["divergence"] == (UNDEFINED.name if named else None)


def test_without_that_difference_nan_of_the_reference_is_an_error() -> None:
    assert outcome(ZERO, ReferenceAnswer(NAN)).row["status"] == "error"
