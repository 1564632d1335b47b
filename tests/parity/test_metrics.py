"""The numbers are what their definitions say, and nothing slips through them as 'fine'."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import ndimage, stats

from parity.judge.metrics import Metrics, compare
from tests.parity.toy_maps import MUTANTS, sparse_map, toy_map

REFERENCE = toy_map()


def test_equal_maps_have_perfect_numbers():
    m = compare(REFERENCE, REFERENCE.copy())
    assert m.problem is None
    assert (m.rel_l2, m.max_err, m.offset) == (0.0, 0.0, 0.0)
    assert m.slope == pytest.approx(1.0, abs=1e-15)
    assert m.pearson == pytest.approx(1.0, abs=1e-15)
    assert m.ssim == pytest.approx(1.0, abs=1e-12)
    assert (m.top1_overlap, m.sign_agreement) == (1.0, 1.0)
    assert m.reference_sum == m.subject_sum == REFERENCE.sum()
    assert m.reference_max == m.subject_max == np.abs(REFERENCE).max()
    assert (m.n, m.shape, m.ssim_window, m.ssim_note) == (48 * 48 * 3, (48, 48, 3), 11, None)


def test_numbers_follow_their_definitions():
    candidate = REFERENCE * 1.3 + np.random.default_rng(3).normal(0, 0.1, REFERENCE.shape)
    m = compare(REFERENCE, candidate)
    r, c = REFERENCE.ravel(), candidate.ravel()
    fit = stats.linregress(r, c)
    assert m.pearson == pytest.approx(fit.rvalue, rel=1e-12)
    assert m.slope == pytest.approx(fit.slope, rel=1e-12)
    assert m.offset == pytest.approx(fit.intercept, rel=1e-9)
    assert m.rel_l2 == pytest.approx(np.sqrt(((c - r) ** 2).sum() / (r**2).sum()), rel=1e-12)
    assert m.max_err == pytest.approx(np.abs(c - r).max() / np.abs(r).max(), rel=1e-12)
    assert m.max_err_at is not None
    assert np.abs(candidate - REFERENCE)[m.max_err_at] == np.abs(c - r).max()
    support = np.abs(r) > 1e-3 * np.abs(r).max()
    assert m.sign_agreement == np.mean(np.sign(r[support]) == np.sign(c[support]))
    k = round(0.01 * r.size)
    top_r, top_c = set(np.argsort(-np.abs(r))[:k]), set(np.argsort(-np.abs(c))[:k])
    assert m.top1_overlap == pytest.approx(len(top_r & top_c) / len(top_r | top_c))


def slow_ssim(ref: np.ndarray, cand: np.ndarray, sigma: float, radius: int) -> float:
    """SSIM after Wang et al. 2004, by Gaussian moments, border left out."""
    x, y = ref.sum(-1), cand.sum(-1)
    span = 2 * np.abs(x).max()

    def blur(a: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(a, sigma, radius=radius, mode="reflect")

    mx, my = blur(x), blur(y)
    vx, vy, cxy = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
    c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2
    value = (2 * mx * my + c1) * (2 * cxy + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))
    return float(value[(slice(radius, -radius),) * x.ndim].mean())


@pytest.mark.parametrize(
    ("shape", "window"),
    [((48, 48, 3), 11), ((11, 40, 1), 11), ((10, 10, 1), 9), ((8, 20, 2), 7), ((3, 3, 1), 3), ((64, 2), 11)],
)
def test_ssim_is_gaussian_on_the_summed_map_with_a_window_that_fits(shape: tuple[int, ...], window: int):
    rng = np.random.default_rng(11)
    ref = rng.normal(size=shape)
    cand = ref + rng.normal(0, 0.3, shape)
    m = compare(ref, cand)
    assert m.ssim_window == window
    assert m.ssim == pytest.approx(slow_ssim(ref, cand, 1.5 * window / 11, window // 2), rel=1e-9)
    assert (m.ssim_note is None) == (window == 11 and len(shape) == 3)


@pytest.mark.parametrize("shape", [(50,), (2, 30, 1), (2, 4), (1, 1, 3)])
def test_ssim_without_meaning_is_none_with_a_reason(shape: tuple[int, ...]):
    ref = np.random.default_rng(5).normal(size=shape)
    m = compare(ref, ref)
    assert m.ssim is None
    assert m.ssim_note
    assert m.pearson == pytest.approx(1.0)


def test_a_map_one_pixel_high_is_treated_in_one_dimension():
    ref = np.random.default_rng(5).normal(size=(1, 40, 2))
    assert compare(ref, ref).ssim_note == "one-dimensional, along time"


def test_channels_that_cancel_have_no_ssim_unless_only_one_side_cancels():
    half = np.random.default_rng(2).normal(size=(20, 20, 1))
    cancels = np.concatenate([half, -half], axis=-1)
    assert compare(cancels, cancels).ssim is None
    other = compare(cancels, np.concatenate([half, half], axis=-1)).ssim
    assert other is not None
    assert math.isnan(other)


def test_ssim_range_comes_from_the_reference_alone():
    forth, back = compare(REFERENCE, REFERENCE * 3).ssim, compare(REFERENCE * 3, REFERENCE).ssim
    assert forth is not None
    assert back is not None
    assert forth < back < 1


def test_ssim_alone_is_nearly_blind_on_sparse_maps():
    m = compare(sparse_map(), -sparse_map())
    assert m.ssim is not None
    assert m.ssim > 0.95  # which is why it is not the only gate
    assert m.pearson < -0.9


@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e30, 1e200])
def test_numbers_do_not_depend_on_the_scale(scale: float):
    cand = MUTANTS["noise_2_percent"](REFERENCE)
    here, there = compare(REFERENCE, cand), compare(REFERENCE * scale, cand * scale)
    for name in ("pearson", "rel_l2", "max_err", "slope", "top1_overlap", "sign_agreement"):
        assert getattr(there, name) == pytest.approx(getattr(here, name), rel=1e-9), name


@pytest.mark.parametrize(
    ("reference", "candidate", "check", "words"),
    [
        (REFERENCE, REFERENCE[:-1], "shape", "(47, 48, 3)"),
        (REFERENCE, REFERENCE[None], "shape", "(1, 48, 48, 3)"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "shape", "empty"),
        (REFERENCE, MUTANTS["nan"](REFERENCE), "finite", "subject holds 1 values"),
        (MUTANTS["nan"](REFERENCE), REFERENCE, "finite", "reference holds 1 values"),
        (MUTANTS["nan"](REFERENCE), MUTANTS["nan"](REFERENCE), "finite", "index (16, 0, 0)"),
        (REFERENCE, MUTANTS["inf"](REFERENCE), "finite", "not finite"),
        (REFERENCE * 0, REFERENCE * 0, "zero", "Both maps are zero"),
        (REFERENCE * 0, REFERENCE, "zero", "reference's map is zero"),
        (REFERENCE, REFERENCE * 0, "zero", "subject's map is zero"),
    ],
)
def test_maps_that_cannot_be_compared_have_a_problem(reference, candidate, check, words):
    m = compare(reference, candidate)
    assert m.problem_check == check
    assert m.problem is not None
    assert words in m.problem
    assert math.isnan(m.pearson)
    assert words in m.message()


def test_of_two_zero_maps_the_distances_are_zero_but_a_problem_stands_beside_them():
    m = compare(REFERENCE * 0, REFERENCE * 0)
    assert (m.rel_l2, m.max_err, m.slope, m.problem_check) == (0.0, 0.0, 1.0, "zero")
    for pair in ((REFERENCE * 0, REFERENCE), (REFERENCE, REFERENCE * 0)):
        assert math.isnan(compare(*pair).rel_l2)


def test_one_constant_map_has_numbers_but_no_correlation():
    ones = np.ones_like(REFERENCE)
    for pair in ((REFERENCE, ones), (ones, REFERENCE)):
        m = compare(*pair)
        assert (m.problem, m.constant) == (None, False)
        assert math.isnan(m.pearson)
        assert min(m.rel_l2, m.max_err) > 0.5
    assert compare(REFERENCE, ones).slope == pytest.approx(0, abs=1e-12)  # nothing follows the reference
    assert compare(ones, REFERENCE).slope == pytest.approx(REFERENCE.mean())  # the ratio of the means


def test_two_constant_maps_are_told_apart_by_numbers_not_by_pearson():
    ones = np.ones((20, 20, 1))
    same, double = compare(ones, ones), compare(ones, 2 * ones)
    assert same.constant
    assert same.problem is None
    assert math.isnan(same.pearson)
    assert (same.slope, same.rel_l2, same.max_err) == (1.0, 0.0, 0.0)
    assert (double.slope, double.rel_l2, double.max_err) == (2.0, 1.0, 1.0)


def test_rounding_on_a_uniform_map_is_not_structure():
    rng = np.random.default_rng(0)
    maps = [np.float32(7.3) * (1 + 1e-7 * rng.normal(size=(32,))).astype(np.float32) for _ in range(2)]
    assert compare(*maps).constant
    assert not compare(*[m.astype(np.float64) for m in maps]).constant


@pytest.mark.parametrize("bad", [np.array([1j, 2]), np.array(["a", "b"]), np.array([object()])])
def test_what_is_not_a_real_number_is_refused(bad):
    with pytest.raises(TypeError, match="real numbers"):
        compare(bad, bad)


def test_float32_and_lists_are_taken_in_float64():
    m = compare([1, 2, 4], np.array([1, 2, 4], dtype=np.float32))
    assert m.rel_l2 == 0.0
    big = np.array([3e38, 1e38], dtype=np.float32)
    assert compare(big, big).reference_sum == pytest.approx(4e38, rel=1e-6)


def test_json_has_no_nan():
    for candidate in (REFERENCE, REFERENCE * 0, MUTANTS["nan"](REFERENCE)):
        text = json.dumps(compare(REFERENCE, candidate).to_json(), allow_nan=False)
        assert set(json.loads(text)) == set(Metrics.__dataclass_fields__)


def test_message_reads_like_torch_testing():
    text = compare(REFERENCE, MUTANTS["one_pixel"](REFERENCE)).message(
        title="lrp_flat differs", failed="Failed: max_err 0.5 > 0.1", allowed=0.1
    )
    assert text.startswith("lrp_flat differs\n\nFailed: max_err 0.5 > 0.1\n")
    assert "0.5 at index (16, 0, 0) (up to 0.1 allowed)" in text
    assert "Relative L2 difference" in text
