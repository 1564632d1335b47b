"""`signxai_torch.show` on odd requests: shapes that say nothing, huge maps, odd names, files that cannot be written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib", reason="matplotlib, the extra 'show', is not installed")
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

import signxai_torch
from signxai_torch.pictures.arranging import MOST_PANELS, NoNumberWarning
from signxai_torch.pictures.panel import LEADS, SIDE, shortened

RNG = np.random.default_rng(0)
MAP = RNG.normal(size=(1, 3, 8, 8))


def texts(figure: Figure) -> list[str]:
    return [artist.get_text() for artist in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.mark.parametrize(
    ("relevance", "options", "kind", "words"),
    [
        (np.zeros((0, 3, 8, 8)), {}, ValueError, "relevance is empty"),
        ({}, {}, ValueError, "no map"),
        ([], {}, ValueError, "no map"),
        ({"a": []}, {}, ValueError, "no map"),
        (None, {}, TypeError, "must be an array"),
        ("lrp_z", {}, TypeError, "must be an array"),
        (np.float64(3.0), {}, ValueError, "1 to 4 axes"),
        (MAP[..., None, None], {}, ValueError, "one slice"),
        (MAP * 1j, {}, TypeError, "complex"),
        (torch.tensor(MAP * 1j), {}, TypeError, "complex"),
        (np.array([["a", "b"]]), {}, TypeError, "real numbers"),
        (np.array([None, {}]), {}, TypeError, "real numbers"),
        ([[1.0, 2.0], [3.0]], {}, TypeError, "no array of numbers"),
        (torch.empty(3, 4, device="meta"), {}, TypeError, "meta device"),
        ({1: {2: {3: {4: MAP}}}}, {}, TypeError, "too deep"),
        (RNG.normal(size=(6, 8, 8)), {}, ValueError, r"6 maps \(H, W\) or 6 time series"),
        (RNG.normal(size=(6, 8, 8)), {"kind": "image"}, ValueError, r"6 maps \(H, W\), or one of 6 channels"),
        (RNG.normal(size=(8,)), {"kind": "image"}, ValueError, "at least two axes"),
        (RNG.normal(size=(2, 3, 4)), {"kind": "vector"}, ValueError, "vectors have one axis or two"),
        (MAP, {"kind": "series"}, ValueError, "four axes are images'"),
        ([MAP, np.concatenate([MAP, MAP])], {}, ValueError, "different numbers of samples"),
        (MAP, {"titles": ["a", "b"]}, ValueError, "titles must be one for each of the 1 maps"),
        (MAP, {"titles": "a"}, ValueError, "titles must be one"),
        (MAP, {"labels": ["a", "b"]}, ValueError, "labels must be one for each of the 1 samples"),
        (MAP, {"kind": "picture"}, ValueError, "kind must be one of"),
        (MAP, {"channels": 3}, ValueError, "channels must be one of"),
        (MAP, {"reduce": "mean"}, ValueError, "reduce must be one of"),
        (MAP, {"scale": "all"}, ValueError, "scale must be"),
        (MAP, {"scale": 0.0}, ValueError, "scale must be"),
        (MAP, {"scale": float("nan")}, ValueError, "scale must be"),
        (MAP, {"clip": 101}, ValueError, "clip must be a percentile"),
        (MAP, {"clip": 99, "scale": 1.0}, ValueError, "give one of them"),
        (MAP, {"overlay": 2}, ValueError, "overlay must be"),
        (MAP, {"columns": 0}, ValueError, "columns must be"),
        (RNG.normal(size=(12, 100)), {"leads": ["I", "II"]}, ValueError, "12 channels, and there are 2 names"),
        (MAP, {"leads": True, "kind": "image"}, ValueError, "says otherwise"),
        (np.zeros((MOST_PANELS + 1, 1, 5, 5)), {}, ValueError, "show a part"),
    ],
)
def test_what_cannot_be_shown_is_a_sentence(relevance: object, options: dict, kind: type, words: str) -> None:
    with pytest.raises(kind, match=words):
        signxai_torch.show(relevance, **options)


def test_an_image_for_some_of_the_maps_alone_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no image for some of the maps"):
        signxai_torch.show({"a": MAP, "b": MAP}, {"a": MAP})


# --- sizes ---------------------------------------------------------------------------------------------------------


def test_a_huge_image_is_drawn_by_blocks_and_a_broken_place_in_it_is_seen() -> None:
    huge = np.zeros((1, 1, 3000, 2500), np.float32)
    huge[..., :100, :] = 1.0
    huge[0, 0, 2000, 2000] = np.nan
    with pytest.warns(NoNumberWarning):
        figure = signxai_torch.show(huge, np.zeros((3000, 2500, 3), np.uint8))
    shown = np.asarray(figure.axes[1].images[0].get_array())
    assert shown.shape == (SIDE, SIDE, 3)
    assert (shown[666, 800] == (0, 158, 115)).all()


def test_a_long_series_keeps_its_spike_and_its_strongest_relevance() -> None:
    trace, relevance = RNG.normal(size=(2, 50_000)), RNG.normal(size=(2, 50_000))
    trace[1, 12_345], relevance[1, 40_001] = 99.0, -77.0
    times, strongest, points = shortened(relevance, trace)
    assert times.shape == strongest.shape == points.shape == (2, 2 * SIDE)
    assert 12_345 in times[1]
    assert points.max() == 99.0
    assert strongest.min() == -77.0
    assert (np.diff(times) >= 0).all()
    signxai_torch.show(relevance, trace)


def test_many_methods_become_a_figure_that_a_viewer_can_open() -> None:
    figure = signxai_torch.show({f"method_{i}": MAP for i in range(60)})
    width, height = figure.get_size_inches()
    assert 0.5 < width / height < 2
    assert len({axes.get_title() for axes in figure.axes}) == 60


def test_many_samples_become_a_figure_that_a_viewer_can_open() -> None:
    figure = signxai_torch.show(
        RNG.normal(size=(40, 1, 8, 8)), np.ones((40, 8, 8)), labels=[f"<{i}>" for i in range(40)]
    )
    width, height = figure.get_size_inches()
    assert 0.3 < width / height < 3
    assert len([title for title in texts(figure) if title.startswith("input <")]) == 40


def test_masked_values_are_no_numbers() -> None:
    with pytest.warns(NoNumberWarning, match="1 values of 64"):
        signxai_torch.show(np.ma.masked_array(MAP[0, 0], mask=np.arange(64).reshape(8, 8) == 5))


def test_settings_of_the_user_do_not_turn_a_map_upside_down() -> None:
    relevance = np.arange(64.0).reshape(8, 8)
    with rc_context({"image.origin": "lower", "axes.grid": True, "figure.constrained_layout.use": True}):
        figure = signxai_torch.show(relevance)
    assert figure.axes[0].get_ylim() == (7.5, -0.5)
    assert figure.get_layout_engine() is None


@pytest.mark.parametrize("shape", [(1, 1, 5, 400), (1, 3, 400, 5), (1, 1, 1, 1), (1, 50, 200), (1, 1), (1, 41)])
def test_odd_proportions_are_drawn(shape: tuple[int, ...]) -> None:
    signxai_torch.show(RNG.normal(size=shape))._repr_png_()


# --- time series ---------------------------------------------------------------------------------------------------


def test_a_trace_is_coloured_by_its_relevance() -> None:
    relevance = np.zeros((1, 1, 100))
    relevance[0, 0, 50], relevance[0, 0, 20] = 1.0, -1.0
    figure = signxai_torch.show(relevance, RNG.normal(size=(1, 1, 100)))
    (line,) = figure.findobj(LineCollection)
    colors, widths = line.get_colors(), line.get_linewidths()
    assert colors[50][0] > colors[50][2], "red"
    assert colors[20][2] > colors[20][0], "blue"
    assert np.ptp(colors[80][:3]) == 0, "grey"
    assert widths[50] > 2 * widths[80]


@pytest.mark.parametrize("shape", [(12, 500), (1, 12, 500), (2, 500, 12), (500, 12), (12, 30)])
def test_an_ecg_has_the_limb_leads_left_and_the_chest_leads_right(shape: tuple[int, ...]) -> None:
    figure = signxai_torch.show(RNG.normal(size=shape), RNG.normal(size=shape), leads=True)
    halves = [axes for axes in figure.findobj(Axes) if axes.findobj(LineCollection) and not axes.child_axes]
    named = [[label.get_text() for label in axes.get_yticklabels()] for axes in halves[:2]]
    assert named == [list(LEADS[:6]), list(LEADS[6:])]


def test_names_of_leads_and_channels_are_the_users() -> None:
    names = [f"<lead> {i}" for i in range(12)]
    assert set(names) <= set(texts(signxai_torch.show(RNG.normal(size=(12, 500)), leads=names)))
    assert {"x", "y"} <= set(texts(signxai_torch.show(RNG.normal(size=(2, 500)), names=["x", "y"])))


def test_gaps_in_a_trace_are_left_out() -> None:
    trace = RNG.normal(size=(2, 300))
    trace[0, 20:60] = np.nan
    trace[1] = np.inf
    signxai_torch.show(RNG.normal(size=(2, 300)), trace)._repr_png_()


# --- words and places ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "title", ["$", r"$\frac{1}$", "50 $ and 60 $", "лев Ω", "a\nb\tc", "_" * 300, "", r"\x{", "%s"]
)
def test_titles_and_labels_are_no_markup(title: str, tmp_path: Path) -> None:
    figure = signxai_torch.show(
        {title: MAP}, labels=[title], save=tmp_path / "map.svg", names=None, image=np.ones((8, 8))
    )
    figure._repr_png_()
    signxai_torch.show(RNG.normal(size=(1, 2)), names=[title, title])._repr_png_()


@pytest.mark.parametrize(
    ("ending", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF"), ("JPG", b"\xff\xd8")]
)
def test_a_picture_is_saved_by_its_ending(ending: str, begin: bytes, tmp_path: Path) -> None:
    signxai_torch.show(MAP, save=tmp_path / f"ü map.{ending}")
    assert (tmp_path / f"ü map.{ending}").read_bytes().startswith(begin)


@pytest.mark.parametrize("name", ["map", "map.gif", "map.png.exe", "map.pgf"])
def test_an_ending_that_is_not_written_is_refused_with_those_that_are(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"must end in \.png, \.svg, \.pdf or \.jpg"):
        signxai_torch.show(MAP, save=tmp_path / name)


def test_a_place_that_cannot_be_written_is_told_before_anything_is_drawn(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        signxai_torch.show("not even looked at", save=tmp_path / "missing" / "map.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(IsADirectoryError):
        signxai_torch.show("not even looked at", save=tmp_path / "folder.png")


def test_one_map_goes_into_axes_and_a_grid_into_a_figure_of_the_users() -> None:
    theirs = Figure(figsize=(6, 4))
    FigureCanvasAgg(theirs)
    left, right = theirs.subfigures(1, 2)
    axes = left.subplots()
    assert signxai_torch.show(MAP, MAP, ax=axes, titles=["mine"]) is theirs
    assert axes.get_title() == "mine"
    assert signxai_torch.show({"a": MAP, "b": MAP}, figure=right) is theirs
    theirs.savefig(Path("/dev/null"), format="png")
    with pytest.raises(ValueError, match="ax= takes one map, and here are 2"):
        signxai_torch.show([MAP, MAP], ax=axes)
    with pytest.raises(ValueError, match="not both"):
        signxai_torch.show(MAP, ax=axes, figure=theirs)
