"""The reference's noise: what is measured, in which order, and that nothing is asked beyond what is needed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from parity.judge.limits import NoiseFloor
from parity.reference.request import ReferenceAnswer
from parity.run.noise import LAST_DIGITS, Sample, nudged, samples
from parity.run.runner import edges
from parity.run.subjects import parse
from tests.parity.toy_maps import toy_map

EXACT = toy_map()
FLOAT32 = (EXACT * (1 + 1e-6)).astype(np.float32)
X = np.random.default_rng(5).normal(size=(4, 3))
TO_EXACT = "float32 against float64"


def scaled(*digits: int, words: str = "") -> list[str]:
    return [f"{words}the input scaled by {digit:+d} last digits" for digit in digits]


SCALED = scaled(*LAST_DIGITS)
ALL_OF_FLOAT32 = [TO_EXACT, *SCALED, "without oneDNN", *scaled(*LAST_DIGITS, words="without oneDNN, ")]


class Asked:
    """Answers every question with one map, or with what `answer` makes of the input; keeps what was asked."""

    def __init__(self, answer: Callable[[np.ndarray], ReferenceAnswer] = lambda x: ReferenceAnswer(EXACT)) -> None:
        self.answer = answer
        self.questions: list[tuple[int, str, bool]] = []
        self.inputs: list[np.ndarray] = []

    def __call__(self, inputs: list[np.ndarray], dtype: str, onednn: bool) -> list[ReferenceAnswer]:
        self.questions.append((len(inputs), dtype, onednn))
        self.inputs += inputs
        return [self.answer(x) for x in inputs]


def taken(dtype: str, asked: Asked, x: np.ndarray = X, exact: np.ndarray | None = EXACT, at: tuple[float, ...] = ()):
    answer = FLOAT32 if dtype == "float32" else EXACT
    return samples(x.astype(dtype), dtype, answer, exact, asked, list(at))


# What is asked


def test_the_first_sample_in_float32_asks_nothing() -> None:
    asked = Asked()
    first = next(taken("float32", asked))
    assert first.says == TO_EXACT
    assert first.floor is not None
    assert first.floor.rel_l2 == pytest.approx(1e-6, rel=0.1)
    assert asked.questions == []


@pytest.mark.parametrize(("dtype", "names"), [("float64", SCALED), ("float32", ALL_OF_FLOAT32)])
def test_each_sample_costs_one_question_which_is_asked_when_it_is_taken(dtype: str, names: list[str]) -> None:
    asked = Asked()
    left = taken(dtype, asked)
    expected = []
    for says in names:
        assert asked.questions == expected
        assert next(left).says == says
        if says != TO_EXACT:
            expected.append((1, dtype, not says.startswith("without oneDNN")))
    assert next(left, None) is None
    assert asked.questions == expected


def test_float64_is_never_asked_without_onednn() -> None:
    asked = Asked()
    list(taken("float64", asked))
    assert asked.questions
    assert all(onednn for _, _, onednn in asked.questions)


def test_a_large_model_has_no_float64_map_and_float32_is_held_to_itself() -> None:
    asked = Asked(lambda x: ReferenceAnswer(FLOAT32 * np.float32(1.5)))
    first = next(taken("float32", asked, exact=None))
    assert first.says == SCALED[0]
    assert first.floor is not None
    assert first.floor.rel_l2 == pytest.approx(0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_further_samples_are_measured_from_the_float64_map(dtype: str) -> None:
    asked = Asked(lambda x: ReferenceAnswer(EXACT * 1.01))
    for sample in taken(dtype, asked):
        if sample.says != TO_EXACT:
            assert sample.floor is not None
            assert (sample.floor.rel_l2, sample.floor.slope) == pytest.approx((0.01, 0.01))


def test_without_onednn_the_input_itself_is_asked_first() -> None:
    asked = Asked()
    list(taken("float32", asked))
    plain = [x for x, (_, _, onednn) in zip(asked.inputs, asked.questions, strict=True) if not onednn]
    assert np.array_equal(plain[0], X.astype(np.float32))
    assert [x.tobytes() for x in plain[1:]] == [
        nudged(X.astype(np.float32), digits).tobytes() for digits in LAST_DIGITS
    ]


def test_an_input_that_crosses_an_edge_is_another_case_and_left_out() -> None:
    on_it = np.array([0.25, 0.5, 0.0, -1.0])  # at 0.5 and above, the sign of x - 0.5 is +1
    asked = Asked()
    assert [sample.says for sample in taken("float64", asked, on_it, at=(0.5,))] == scaled(1, 2, 3, 4)
    assert len(asked.inputs) == 4
    assert all(np.array_equal(x >= 0.5, on_it >= 0.5) for x in asked.inputs)
    under_it = np.array([0.25, np.nextafter(0.5, 0), 0.0, -1.0])
    assert [sample.says for sample in taken("float64", Asked(), under_it, at=(0.5,))] == scaled(-1, -2, -3, -4)


def test_where_every_scaled_input_crosses_an_edge_none_is_asked() -> None:
    asked = Asked()
    assert list(taken("float64", asked, np.array([0.5, np.nextafter(0.25, 0)]), at=(0.5, 0.25))) == []
    assert asked.questions == []
    on_both = np.array([0.5, np.nextafter(np.float32(0.25), np.float32(0))])
    names = [sample.says for sample in taken("float32", asked, on_both, at=(0.5, 0.25))]
    assert names == [TO_EXACT, "without oneDNN"]


def test_no_edge_far_away_and_none_at_zero_leaves_anything_out() -> None:
    x = np.array([0.3, 0.0, -0.0, -0.7])
    assert [sample.says for sample in taken("float64", Asked(), x, at=(0.0, 0.5))] == SCALED


@pytest.mark.parametrize(
    "broken",
    [
        ReferenceAnswer(None, error="no", error_kind="method"),
        ReferenceAnswer(np.full_like(EXACT, np.nan)),
        ReferenceAnswer(EXACT[:-1]),
        ReferenceAnswer(EXACT * 0),
    ],
    ids=["none", "nan", "shape", "zero"],
)
def test_what_cannot_be_compared_measures_nothing(broken: ReferenceAnswer) -> None:
    assert [sample.floor for sample in taken("float64", Asked(lambda x: broken)) if sample.floor is not None] == []


def test_what_gave_no_map_is_no_sample() -> None:
    none = ReferenceAnswer(None, error="no", error_kind="method")
    answers = iter([none, ReferenceAnswer(EXACT * 1.25), *[none] * (len(LAST_DIGITS) - 2)])
    (sample,) = taken("float64", Asked(lambda x: next(answers)))
    assert [sample.says] == scaled(-1)
    assert sample.floor is not None
    assert sample.floor.rel_l2 == pytest.approx(0.25)


def test_a_float64_map_that_cannot_be_compared_gives_no_number() -> None:
    first = next(taken("float32", Asked(), exact=EXACT * 0))
    assert first == Sample(TO_EXACT, None)


def test_a_reference_that_always_says_the_same_has_no_noise() -> None:
    floors = [sample.floor for sample in taken("float64", Asked())]
    assert len(floors) == len(LAST_DIGITS)
    largest = NoiseFloor.largest(floor for floor in floors if floor is not None)
    assert max(largest.to_json().values()) < 1e-15


# The scaled input


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("digits", LAST_DIGITS)
def test_a_scaled_input_keeps_zeros_ties_signs_and_dtype(dtype: str, digits: int) -> None:
    x = np.random.default_rng(0).normal(size=200).astype(dtype)
    x[:20] = 0.0
    x[20:40] = x[40]
    x[50:60] = -x[40]
    scaled = nudged(x, digits)
    assert scaled.dtype == x.dtype
    assert not scaled[:20].any()
    assert len(set(scaled[20:41].tolist())) == 1
    assert np.array_equal(scaled[50:60], -scaled[20:30])
    assert np.array_equal(np.sign(scaled), np.sign(x))
    moved = np.abs(scaled[x != 0] / x[x != 0] - 1)
    assert 0 < moved.max() <= (abs(digits) + 1) * np.finfo(dtype).eps
    assert np.all(scaled[x != 0] != x[x != 0])


def test_the_scaled_inputs_differ() -> None:
    assert len({nudged(X, digits).tobytes() for digits in LAST_DIGITS}) == len(LAST_DIGITS)


# Where a method has edges


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("lrp_z", []),
        ("lrpsign_z", []),
        ("gradient_x_sign", []),
        ("gradient_x_sign_mu", [0.5]),
        ("gradient_x_sign_mu_neg_0_5", [-0.5]),
        ("lrpsign_epsilon_100_mu_0_5", [0.5]),
        ("smoothgrad_x_sign_mu_0_5", [0.5]),
    ],
)
def test_the_edges_of_a_method_are_its_mu(name: str, expected: list[float]) -> None:
    assert edges(parse(name)) == expected
