"""What is wrong with a map by itself, and what becomes of a case for which the reference gave no map."""

from __future__ import annotations

import json

import numpy as np
import pytest

from parity.judge.known.table import BY_NAME
from parity.reference.request import ReferenceAnswer, ReferenceCall
from parity.run.outcome import REFUSED, fault_of, provenance, refuses, without_map
from parity.run.questions import Candidate
from tests.parity.toy_cases import PLAIN, raised, toy_case

X = np.zeros((4, 3, 2))
RIGHT = np.random.default_rng(0).normal(size=X.shape)


def spoilt(value: float, at: tuple[int, ...] = (1, 2, 0)) -> np.ndarray:
    array = RIGHT.copy()
    array[at] = value
    return array


@pytest.mark.parametrize(
    "array", [RIGHT, RIGHT.astype(np.float32), RIGHT * 0, np.ones(X.shape, int), RIGHT * 1e300, RIGHT * 1e-310]
)
def test_a_map_of_the_inputs_shape_with_finite_numbers_is_in_order(array: np.ndarray) -> None:
    assert fault_of(array, X) is None


@pytest.mark.parametrize(
    ("array", "check", "words"),
    [
        (RIGHT[:-1], "shape", "the map has the shape (3, 3, 2), the input (4, 3, 2)"),
        (RIGHT[None], "shape", "(1, 4, 3, 2)"),
        (RIGHT.transpose(2, 0, 1), "shape", "(2, 4, 3)"),
        (RIGHT[..., :1], "shape", "(4, 3, 1)"),
        (np.zeros(0), "shape", "(0,)"),
        (np.full((3, 3), np.nan), "shape", "(3, 3)"),
        (spoilt(np.nan), "finite", "1 values of 24 that are not finite, first at (1, 2, 0)"),
        (spoilt(np.inf), "finite", "first at (1, 2, 0)"),
        (spoilt(-np.inf), "finite", "not finite"),
        (np.full_like(RIGHT, np.nan), "finite", "24 values of 24 that are not finite, first at (0, 0, 0)"),
        (RIGHT + 0j, "finite", "complex128 values, not real numbers"),
        (RIGHT > 0, "finite", "bool values"),
        (RIGHT.astype(object), "finite", "object values"),
        (RIGHT.astype(str), "finite", "values, not real numbers"),
    ],
)
def test_a_fault_names_its_check_and_its_place(array: np.ndarray, check: str, words: str) -> None:
    fault = fault_of(array, X)
    assert fault is not None
    assert fault[0] == check
    assert words in fault[1]


REFUSAL = "NotAnalyzeableModelException: Deconvnet is only specified for networks with ReLU activations."


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (raised(REFUSAL), "unsupported"),
        (raised(REFUSAL, "crash"), "error"),
        (raised("TypeError: ('Keyword argument not understood:', 'activation')"), "error"),
        (raised("You must feed a value for placeholder tensor"), "error"),
        (raised("ImportError: No module named 'deeplift'"), "error"),
        (raised("ValueError: something about an activation"), "error"),
        (raised("the worker died of SIGABRT", "crash"), "error"),
        (raised("no answer within 600 s", "timeout"), "error"),
        (raised("no answer", "protocol"), "error"),
        (raised("no Python", "environment"), "error"),
    ],
)
def test_nothing_excuses_a_reference_without_a_map_but_its_own_refusal(answer: ReferenceAnswer, status: str) -> None:
    candidates = [PLAIN]
    # A known difference names why something else is asked; it does not excuse that this raises too.
    candidates += [Candidate(PLAIN.call, (difference,)) for difference in BY_NAME.values()]
    for candidate in candidates:
        row = without_map(toy_case(), candidate, answer)
        assert row["status"] == status
        assert answer.error in row["message"]
        assert refuses(answer) == (status == "unsupported")
        assert row["message"].startswith(REFUSED) == (status == "unsupported")


def test_the_end_of_what_the_worker_wrote_stands_in_the_message() -> None:
    answer = ReferenceAnswer(None, error="died", error_kind="crash", stderr_tail="free(): invalid pointer")
    assert without_map(toy_case(), PLAIN, answer)["message"] == "signxai: died\nfree(): invalid pointer"


@pytest.mark.parametrize(
    ("from_store", "computed", "told"),
    [
        (False, "2026-01-02T03:04:05+00:00", ""),
        (True, "2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05+00:00"),
        (False, "", ""),
        (True, "", "unknown"),  # stored all the same, so never told as asked now
    ],
)
def test_a_row_says_whether_its_reference_was_asked_now(from_store: bool, computed: str, told: str) -> None:
    answer = ReferenceAnswer(RIGHT, 1.5, from_store=from_store, computed=computed, notes=("asked without oneDNN",))
    assert provenance(answer) == {
        "seconds_reference": 1.5, "reference_stored": told, "reference_notes": ["asked without oneDNN"],
    }  # fmt: skip


def test_without_a_map_nothing_was_stored_but_the_notes_stand() -> None:
    answer = ReferenceAnswer(None, error="died", error_kind="crash", notes=("asked without oneDNN",))
    assert provenance(answer) == {"reference_notes": ["asked without oneDNN"]}


def test_a_row_is_an_error_until_it_is_told_otherwise() -> None:
    row = toy_case().row(PLAIN)
    assert (row["status"], row["reference"], row["divergence"], row["held_to"]) == ("error", "signxai", None, None)
    assert (row["noise_floor"], row["noise_samples"], row["reference_stored"]) == (None, [], None)
    json.dumps(row, allow_nan=False)
    assert toy_case().row()["reference"] is None


def test_a_row_names_every_difference_and_what_it_is_held_to() -> None:
    names = ("signxai-batch-normalization-without-offset", "signxai-permute-of-equal-sizes")
    differences = tuple(BY_NAME[name] for name in names)
    rewrites = tuple(rewrite for difference in differences for rewrite in difference.rewrites)
    candidate = Candidate(ReferenceCall("signxai", "wrapper", "lrp_z"), differences, rewrites)
    row = toy_case().row(candidate)
    assert row["divergence"] == ", ".join(names)
    assert row["held_to"] == (
        "signxai on an equivalent network: center=False as an offset of zero, Permute between two Reshape layers, so "
        "that no shape stays what it was"
    )
