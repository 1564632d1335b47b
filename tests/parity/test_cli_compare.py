"""`parity compare`: the metrics of two files of arrays."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest_plugins = ("tests.parity.command_line",)


@pytest.fixture
def maps(parity) -> np.ndarray:
    array = np.random.default_rng(0).standard_normal((2, 16, 16, 3))
    np.save("a.npy", array[0])
    np.save("b.npy", array[0] * 1.01)
    np.save("zero.npy", array[0] * 0)
    np.savez("a.npz", one=array, two=array[0])
    np.savez("b.npz", one=array, two=array[0], three=array[1])
    return array


def test_compare_shows_the_metrics(parity, maps: np.ndarray) -> None:
    result = parity("compare", "a.npy", "b.npy")
    assert result.exit_code == 0
    assert "Relative L2 difference: 0.01" in result.stdout
    (row,) = json.loads(parity("compare", "a.npy", "b.npy", "--json").stdout)
    assert row["rel_l2"] == pytest.approx(0.01)
    assert row["slope"] == pytest.approx(1.01)


def test_compare_shows_the_slope_as_a_distance_from_1(parity, maps: np.ndarray) -> None:
    """Four digits of 1.0001 are 1."""
    np.save("near.npy", maps[0] * 1.0001)
    np.savez("a2.npz", one=maps[0], two=maps[0], three=maps[0])
    np.savez("b2.npz", one=maps[0] * 1.0001, two=maps[0] * (1 - 2e-9), three=maps[0])
    assert "slope - 1: +1.00e-04" in parity("compare", "a.npy", "near.npy").stdout
    lines = parity("compare", "a2.npz", "b2.npz").stdout.splitlines()
    assert "slope - 1" in lines[0]
    cells = {line.split()[0]: line.split()[3] for line in lines[1:]}
    assert cells == {"one": "+1.00e-04", "two": "-2.00e-09", "three": "0"}


def test_compare_holds_to_a_limit(parity, maps: np.ndarray) -> None:
    assert parity("compare", "a.npy", "b.npy", "--rel-l2", "0.02").exit_code == 0
    result = parity("compare", "a.npy", "b.npy", "--rel-l2", "0.005")
    assert result.exit_code == 1
    assert "over the limit 0.005" in result.stdout


def test_maps_that_cannot_be_compared_fail(parity, maps: np.ndarray) -> None:
    result = parity("compare", "a.npy", "zero.npy")
    assert result.exit_code == 1
    assert "zero everywhere" in result.stdout


def test_compare_takes_archives_and_batches(parity, maps: np.ndarray) -> None:
    result = parity("compare", "a.npz", "b.npz", "--key", "one", "--key", "two")
    assert result.exit_code == 0, result.output
    assert "one[0]" in result.stdout
    assert "one[1]" in result.stdout
    assert "two" in result.stdout
    result = parity("compare", "a.npz", "b.npz")
    assert result.exit_code == 2
    assert "array 'three' is in b.npz but not in a.npz" in result.stderr


def test_compare_moves_channels(parity, maps: np.ndarray) -> None:
    first = np.moveaxis(maps[0], -1, 0)
    noisy = first + 0.3 * np.random.default_rng(1).standard_normal(first.shape)
    np.save("first.npy", first)
    np.save("noisy.npy", noisy)
    np.save("last.npy", np.moveaxis(noisy, 0, -1))
    (moved,) = json.loads(parity("compare", "first.npy", "noisy.npy", "--channels-first", "--json").stdout)
    (plain,) = json.loads(parity("compare", "a.npy", "last.npy", "--json").stdout)
    assert moved["ssim"] == pytest.approx(plain["ssim"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.npy", "missing.npy"], "there is no file missing.npy"),
        (["a.npy", "text.txt"], "must end in .npy or .npz"),
        (["a.npy", "objects.npy"], "never unpickled"),
        (["a.npz", "b.npz", "--key", "four"], "has no array 'four'"),
        (["a.npy", "words.npy"], "real numbers are needed"),
    ],
)
def test_compare_refuses(parity, maps: np.ndarray, arguments: list[str], words: str) -> None:
    np.save("objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    np.save("words.npy", np.array(["a"]))
    result = parity("compare", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
