"""Pictures and plots show what the arrays hold; no error is averaged away."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from parity.report import figures
from parity.report.plots import BOX, histogram, scatter


def draw(plane: np.ndarray, scale: float = 1.0, palette: figures.Palette = "map", levels: int = 63) -> np.ndarray:
    png = figures.plane_png(figures.color_steps(plane, scale, levels), palette, levels)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_red_is_positive_blue_negative_and_zero_nearly_white():
    rgb = draw(np.array([[1.0, -1.0, 0.0]]))
    assert rgb[0, 0, 0] > rgb[0, 0, 2] + 50
    assert rgb[0, 1, 2] > rgb[0, 1, 0] + 50
    assert rgb[0, 2].min() > 240


def test_beyond_the_scale_colors_saturate_and_nan_is_green():
    rgb = draw(np.array([[5.0, 1.0, np.nan, np.inf, -np.inf, -1.0]]))
    assert (rgb[0, 0] == rgb[0, 1]).all()
    assert (rgb[0, 3] == rgb[0, 1]).all()
    assert (rgb[0, 4] == rgb[0, 5]).all()
    assert tuple(rgb[0, 2]) == (0, 158, 115)


@pytest.mark.parametrize("palette", ["map", "difference"])
def test_the_palettes_are_told_apart_with_red_green_blindness(palette: figures.Palette):
    # Machado et al. 2009, deuteranopia: the two ends of each scale must stay far apart.
    blind = np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]])
    ends = draw(np.array([[0.7, -0.7]]), palette=palette)[0] @ blind.T
    assert np.linalg.norm(ends[0] - ends[1]) > 60


def test_both_maps_share_one_scale_taken_from_both():
    small, large = np.full((20, 20), 0.1), np.full((20, 20), 3.0)
    assert figures.map_scale(small, large) == figures.map_scale(large, small) == 3.0
    assert figures.map_scale(small * 0, small * 0) == 1.0
    assert figures.map_scale(np.array([[np.nan, 2.0]]), small[:1]) == 2.0


def test_a_single_bright_pixel_does_not_blacken_the_map_but_is_never_lost_in_the_difference():
    plane = np.full((100, 100), 0.01)
    plane[0, 0] = 1000.0
    assert figures.map_scale(plane, plane) == 0.01
    assert figures.difference_scale(plane) == 1000.0


def test_a_difference_that_cancels_between_channels_is_shown():
    reference = np.zeros((4, 4, 2))
    subject = reference.copy()
    subject[1, 2] = (0.5, -0.75)
    plane = figures.difference_plane(reference, subject)
    assert plane[1, 2] == -0.75
    assert np.count_nonzero(plane) == 1


@pytest.mark.parametrize("side", [5, 7, 10, 33])
def test_one_wrong_pixel_survives_shrinking(side: int):
    plane = np.zeros((67, 40))
    plane[61, 3] = -2.0
    small = figures.shrink(plane, side, keep_largest=True)
    assert small.shape == (min(67, side), min(40, side))
    assert small.min() == -2.0


def test_shrinking_averages_blocks_and_leaves_small_planes_alone():
    plane = np.arange(16.0).reshape(4, 4)
    assert (figures.shrink(plane, 2) == [[2.5, 4.5], [10.5, 12.5]]).all()
    assert figures.shrink(plane, 4) is plane
    assert figures.shrink(np.ones((7, 3)), 3) == pytest.approx(np.ones((3, 3)))


@pytest.mark.parametrize(
    ("shape", "plane"), [((6, 5, 3), (6, 5)), ((40, 2), (2, 40)), ((10,), (1, 10)), ((130,), (3, 64))]
)
def test_every_layout_has_a_plane(shape: tuple[int, ...], plane: tuple[int, int]):
    assert figures.map_plane(np.ones(shape)).shape == plane
    assert figures.difference_plane(np.ones(shape), np.ones(shape)).shape == plane


@pytest.mark.parametrize("shape", [(300, 200, 3), (32, 32, 1), (32, 32, 4), (50, 2), (9,)])
@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_every_input_has_a_picture(shape: tuple[int, ...], dtype: type):
    png = figures.input_png((np.random.default_rng(0).random(shape) * 200).astype(dtype))
    assert max(Image.open(io.BytesIO(png)).size) <= figures.INPUT_SIDE
    figures.input_png(np.zeros(shape, dtype))


def test_equal_pictures_are_kept_once():
    store = figures.Pictures()
    plane = np.random.default_rng(0).normal(size=(8, 8))
    one, two = (store.plane(plane * f, 1.0 * f, "map", 31) for f in (1, 2))
    other = store.plane(plane, 1.0, "difference", 31)
    assert one == two != other
    assert store.css().count("data:image/png") == 2


def test_scatter_puts_equal_values_on_the_diagonal_and_large_ones_in_view():
    x = np.random.default_rng(0).normal(size=(50, 50, 1))
    plot = scatter(x, x, 1.0, 0.0, dots=100)
    points = [tuple(map(int, part.removesuffix("h0").split())) for part in plot.dots.split("M")[1:]]
    assert all(column + row == BOX for column, row in points)
    assert plot.end == np.abs(x).max()
    assert (0, BOX) in points or (BOX, 0) in points
    assert plot.fit == f"M0 {BOX}L{BOX} 0"
    assert plot.shown <= 110 < plot.total


def test_scatter_of_nothing_finite_is_empty():
    assert scatter(np.full(4, np.nan), np.ones(4), None, None, dots=10).dots == ""


def test_histogram_counts_equal_values_apart():
    x = np.ones(100)
    y = x.copy()
    y[:25] += 1e-6
    plot = histogram(x, y, limit=1e-9)
    assert plot.equal == 0.75
    assert plot.highest == 0.25
    assert plot.bars.count("M") == 1
    assert plot.limit_x == pytest.approx(18.0)
    assert histogram(x, x, None).bars == ""
