"""`signxai_torch.show`: what a map becomes, where it is drawn, and what is refused."""

from __future__ import annotations

import gc
import subprocess
import sys
import weakref

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib", reason="matplotlib, the extra 'show', is not installed")
from matplotlib import rcParams
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import signxai_torch
from signxai_torch.pictures.arranging import NoNumberWarning
from signxai_torch.pictures.colors import NO_NUMBER, color

RNG = np.random.default_rng(0)
MAP = RNG.normal(size=(2, 3, 12, 12))


def pixels_of(figure: Figure, number: int = 0) -> np.ndarray:
    """The pixels of the `number`-th image that is drawn in a figure's axes."""
    return np.asarray([axes.images[0].get_array() for axes in figure.axes if axes.images][number])


def texts(figure: Figure) -> str:
    parts = [artist.get_text() for artist in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    return "\n".join(parts)


# --- what is imported and left behind ------------------------------------------------------------------------------


def test_the_package_does_not_import_matplotlib() -> None:
    script = "import sys, signxai_torch; signxai_torch.show; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_without_matplotlib_the_error_names_what_to_install() -> None:
    script = """
import sys
sys.modules["matplotlib"] = None
import signxai_torch
try:
    signxai_torch.show([[1.0, 2.0]])
except ImportError as error:
    assert "pip install 'signxai-torch-parity[show]'" in str(error), error
else:
    raise AssertionError
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_pyplot_and_the_settings_are_left_alone_and_a_picture_goes_when_nobody_holds_it() -> None:
    before = dict(rcParams)
    figure = signxai_torch.show(MAP)
    held = weakref.ref(figure)
    figure._repr_png_()
    del figure
    gc.collect()
    assert held() is None
    assert dict(rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_a_picture_shows_itself_in_a_notebook() -> None:
    figure = signxai_torch.show(MAP)
    assert isinstance(figure, Figure)
    data, size = figure._repr_png_()
    assert data.startswith(b"\x89PNG")
    assert size["width"] == pytest.approx(figure.get_size_inches()[0] * 72, abs=1)


# --- the scale -----------------------------------------------------------------------------------------------------


def test_zero_is_in_the_middle_whatever_the_map_holds() -> None:
    one_sided = np.abs(MAP[:1, :1])
    one_sided[0, 0, 0, 0] = 0.0
    shown = pixels_of(signxai_torch.show(one_sided))
    neutral = color(np.zeros(1), 1.0)[0]
    assert (shown[0, 0] == neutral).all()
    assert (shown[..., 0] >= shown[..., 2]).all()  # nothing of it is blue


def test_each_map_has_its_own_scale_or_all_have_one() -> None:
    maps = {"weak": MAP[:1] * 0.001, "strong": MAP[:1]}
    weak, strong = (pixels_of(signxai_torch.show(maps), number) for number in (0, 1))
    assert (weak == strong).all()
    weak = pixels_of(signxai_torch.show(maps, scale="shared"))
    assert np.ptp(weak.astype(int)) < 10
    assert "+2" in texts(signxai_torch.show(maps, scale=2.0))


def test_a_clipped_scale_says_so_and_what_it_hides() -> None:
    spike = np.ones((1, 1, 30, 30))
    spike[0, 0, 3, 3] = 1000.0
    told = texts(signxai_torch.show(spike, clip=99.5))
    assert "+1" in told
    assert "percentile 99.5" in told
    assert "1e+03" in told
    assert "percentile" not in texts(signxai_torch.show(spike))


def test_the_channels_of_an_image_are_summed_or_not() -> None:
    rgb = np.zeros((1, 3, 8, 8))
    rgb[0, :, 0, 0] = 1.0, -3.0, 1.0
    rgb[0, :, 7, 7] = 1.0
    summed = pixels_of(signxai_torch.show(rgb))
    assert summed[0, 0, 2] > summed[0, 0, 0], "the sum is negative: blue"
    largest = pixels_of(signxai_torch.show(rgb, reduce="max_abs"))
    assert (largest[0, 0] == color(np.array([-1.0]), 1.0)[0]).all()
    assert texts(signxai_torch.show(rgb, reduce="none")).count("channel") == 3


# --- what is no number, and zero -----------------------------------------------------------------------------------


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_is_green_counted_and_warned_of(odd: float) -> None:
    broken = MAP[:1].copy()
    broken[0, 1, 4, 5] = odd
    with pytest.warns(NoNumberWarning, match=r"relevance has 1 values of 432 .* first at \(0, 1, 4, 5\)"):
        figure = signxai_torch.show(broken)
    assert (pixels_of(figure)[4, 5] == NO_NUMBER).all()
    assert "1 of 432 values no number" in texts(figure)


def test_a_map_of_no_number_at_all_is_drawn() -> None:
    with pytest.warns(NoNumberWarning):
        figure = signxai_torch.show(np.full((1, 1, 8, 8), np.nan))
    assert (pixels_of(figure) == NO_NUMBER).all()
    with pytest.warns(NoNumberWarning):
        signxai_torch.show(np.full((2, 100), np.nan), MAP.reshape(2, -1)[:, :100])._repr_png_()
    with pytest.warns(NoNumberWarning):
        signxai_torch.show(np.full(4, np.nan))._repr_png_()


@pytest.mark.parametrize("shape", [(1, 3, 8, 8), (1, 1, 100), (1, 5)])
def test_a_map_of_zeros_is_neutral_and_says_so(shape: tuple[int, ...]) -> None:
    figure = signxai_torch.show(np.zeros(shape))
    figure._repr_png_()
    assert "zero everywhere" in texts(figure)


@pytest.mark.parametrize("factor", [1e-320, 1e-30, 1e300])
def test_maps_of_any_size_are_drawn(factor: float) -> None:
    figure = signxai_torch.show(MAP[:1, :1] * factor)
    assert (pixels_of(figure) == pixels_of(signxai_torch.show(MAP[:1, :1]))).mean() > (0.9 if factor > 1e-310 else 0.1)


# --- forms and layouts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "relevance",
    [
        torch.tensor(MAP, requires_grad=True),
        torch.tensor(MAP).to(torch.bfloat16),
        torch.tensor(MAP).half(),
        MAP.astype(np.float16),
        (MAP * 100).astype(np.int8),
        MAP > 0,
        torch.tensor(MAP).to_sparse(),
        torch.tensor(MAP).to(memory_format=torch.channels_last),
        MAP.tolist(),
        np.moveaxis(MAP, 1, -1),
        [MAP, MAP],
        (MAP, MAP[:, :1]),
        {"lrp_z": MAP, "gradient": torch.tensor(MAP)},
        {"lrp_z": (MAP, MAP[:, :1]), "gradient": (MAP, MAP[:, :1])},
        {"lrp_z": {"image": MAP, "features": RNG.normal(size=(2, 5))}},
        {"lrp_z": MAP}.values(),
    ],
)
def test_every_form_of_maps_is_shown(relevance: object) -> None:
    signxai_torch.show(relevance)


@pytest.mark.parametrize(
    ("shape", "options", "kinds"),
    [
        ((8, 8), {}, "image"),
        ((3, 20, 30), {}, "image"),
        ((20, 30, 3), {}, "image"),
        ((2, 20, 30, 3), {}, "image"),
        ((2, 3, 20, 30), {}, "image"),
        ((2, 12, 10, 7), {"channels": "last"}, "image"),
        ((4, 3, 150), {}, "series"),
        ((4, 150, 3), {}, "series"),
        ((12, 1000), {}, "series"),
        ((1000, 12), {}, "series"),
        ((150,), {}, "series"),
        ((6, 8, 8), {"kind": "series"}, "series"),
        ((50, 3), {"kind": "series"}, "series"),
        ((4, 7), {}, "vector"),
        ((7,), {}, "vector"),
        ((2, 300), {"kind": "vector"}, "vector"),
        ((2, 90, 90), {"kind": "image", "channels": "first"}, "image"),
    ],
)
def test_the_kind_of_a_map_is_read_off_its_shape(shape: tuple[int, ...], options: dict, kinds: str) -> None:
    figure = signxai_torch.show(RNG.normal(size=shape), **options)
    lines = figure.findobj(LineCollection)
    bars = [axes for axes in figure.axes if axes.patches]
    assert {"series": bool(lines), "vector": bool(bars) or max(shape) > 64, "image": not lines and not bars}[kinds]


def test_several_samples_of_several_methods_are_a_grid() -> None:
    figure = signxai_torch.show({"lrp_z": MAP, "gradient": MAP}, image=MAP, labels=["cat", "dog"])
    columns = {round(axes.get_position().x0, 3) for axes in figure.axes if axes.get_title()}
    rows = {round(axes.get_position().y0, 3) for axes in figure.axes if axes.get_title()}
    assert (len(columns), len(rows)) == (3, 2)
    assert {"input", "lrp_z", "gradient", "cat", "dog"} <= set(texts(figure).split("\n"))


def test_what_an_explanation_returns_is_shown_as_it_is() -> None:
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3))
    x = torch.randn(2, 3, 8, 8)
    signxai_torch.show(signxai_torch.explain(model, x, "lrp_z", target=0), x)
    signxai_torch.show(signxai_torch.explain_many(model, x, ["lrp_z", "gradient"], target=0), x)


def test_inputs_of_a_model_of_several_have_their_own_image() -> None:
    image, features = RNG.random((2, 3, 8, 8)), RNG.normal(size=(2, 4))
    for keys in (("image", "features"), (0, 1)):
        held = dict(zip(keys, (image, features), strict=True))
        under, maps = (held, {"lrp_z": held}) if keys[0] else ([image, features], {"lrp_z": [image, features]})
        told = texts(signxai_torch.show(maps, under))
        assert told.count("input") == 2  # one of each sample
        assert f"= {features[0, 0]:.4g}" in told


# --- the image under a map -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "image",
    [
        (MAP * 40 + 128).clip(0, 255).astype(np.uint8),
        np.moveaxis((MAP * 40 + 128).clip(0, 255).astype(np.uint8), 1, -1),
        torch.rand(2, 3, 12, 12),
        MAP * 3 - 7,
        MAP[:, 0],
        MAP[0],
        np.moveaxis(MAP[0], 0, -1),
        MAP[0, 0],
        RNG.random((2, 12, 12, 4)),
        [MAP[0], MAP[1]],
    ],
    ids=["uint8", "channels last", "fractions", "preprocessed", "grey", "CHW", "HWC", "HW", "RGBA", "list"],
)
def test_images_of_every_form_and_range_lie_under_maps(image: object) -> None:
    shown = pixels_of(signxai_torch.show(MAP, image))
    assert shown.shape == (12, 12, 3)
    assert np.ptp(shown.astype(int)) > 100


def test_pixels_are_shown_as_they_are_and_other_ranges_stretched() -> None:
    pixels = RNG.integers(0, 256, size=(1, 3, 12, 12), dtype=np.uint8)
    for image in (pixels, pixels / 255.0, pixels.astype(float)):
        assert (pixels_of(signxai_torch.show(MAP[:1], image)) == np.moveaxis(pixels[0], 0, -1)).all()
    stretched = pixels_of(signxai_torch.show(MAP[:1], pixels / 100.0 - 3.0))
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_a_strong_place_covers_the_image_and_zero_lets_it_through() -> None:
    relevance = np.zeros((1, 1, 8, 8))
    relevance[0, 0, 0, 0] = 1.0
    image = np.zeros((1, 1, 8, 8))
    over = pixels_of(signxai_torch.show(relevance, image), 1)
    assert np.ptp(over[4, 4]) == 0, "grey"
    assert over[0, 0, 0] > over[0, 0, 2] + 40
    alone = pixels_of(signxai_torch.show(relevance, image, overlay=0), 1)
    assert (alone[4, 4] == color(np.zeros(1), 1.0)[0]).all()


@pytest.mark.parametrize(
    ("relevance", "image"),
    [
        (MAP, RNG.random((2, 3, 10, 10))),
        (MAP, RNG.random((3, 3, 12, 12))),
        (MAP, RNG.random((2, 7, 12, 12))),
        (RNG.normal(size=(2, 1, 150)), RNG.normal(size=(2, 1, 140))),
        (RNG.normal(size=(2, 5)), RNG.normal(size=(2, 6))),
    ],
)
def test_an_image_that_does_not_fit_is_a_sentence(relevance: np.ndarray, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"image has the shape .* does not fit relevance"):
        signxai_torch.show(relevance, image)


def test_a_transparent_or_broken_image_costs_nothing() -> None:
    image = MAP.copy()
    image[0, 0, 0, 0] = np.nan
    signxai_torch.show(MAP, image)._repr_png_()
    signxai_torch.show(MAP, np.full_like(MAP, np.nan))._repr_png_()
    signxai_torch.show(MAP, np.full_like(MAP, 7.5))._repr_png_()
