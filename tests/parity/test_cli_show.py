"""`parity show`: pictures of a model's maps, and of both sides of a finished run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib, the extra 'show', is not installed")

from parity.report import figures
from parity.run.cases import Options
from parity.run.mutants.networks import written
from parity.run.planning import series_of
from parity.run.shown import explained
from signxai_torch.pictures import colors
from tests.parity.echo_client import EchoClient

pytest_plugins = ("tests.parity.command_line",)
DENSE = ("--model", "dense_mnist", "--samples", "2", "--method", "gradient,lrp_z", "--dtype", "float64")


def test_the_report_and_show_have_the_same_colors() -> None:
    assert figures.COLORS == colors.COLORS
    assert figures._palette("map", 63)[-3:] == bytes(colors.NO_NUMBER)


@pytest.mark.parametrize("model", ["dense_mnist", "cnn_timeseries"])
def test_a_model_is_explained_and_drawn_without_a_reference(
    parity, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFERENCE_PYTHON", "/no/such/python")
    result = parity("show", model, "--method", "lrp_z,smoothgrad", "--samples", "2")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"written: parity-show.png (2 methods, 2 inputs of {model})\n"
    assert Path("parity-show.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_command_draws_the_same_picture(parity) -> None:
    for name in ("a.png", "b.png"):
        parity("show", "dense_mnist", "--method", "smoothgrad", "--samples", "1", "--save", name)
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


def test_inputs_of_the_user_and_a_target(parity) -> None:
    np.save("x.npy", np.random.default_rng(0).random((2, 28, 28, 1), np.float32))
    result = parity(
        "show", "dense_mnist", "--inputs", "x.npy", "--method", "gradient", "--target", "3", "--save", "x.svg",
        "--clip", "99", "--scale", "shared",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "1 method, 2 inputs" in result.stdout
    assert b"<svg" in Path("x.svg").read_bytes()


def test_a_model_of_several_inputs_has_a_map_for_each(parity, tmp_path: Path) -> None:
    source, (x,) = written("two_inputs", tmp_path)
    (first, shape), (second, _) = source.load().description.inputs
    cut = int(np.prod(shape))
    np.savez("two.npz", **{first: x.array[:cut].reshape(shape), second: x.array[cut:]})
    result = parity("show", str(source.path), "--inputs", "two.npz", "--method", "lrp_z", "--save", "two.svg")
    assert result.exit_code == 0, result.output
    figure = explained(series_of(source, ("lrp_z",), Options(), dtype="float32", files=["two.npz"], names=(),
                                 samples=None), "float32", None)  # fmt: skip
    assert figure.maps["lrp_z"][first].shape == (1, *shape)


def test_a_method_that_the_model_lacks_costs_itself_alone(parity) -> None:
    result = parity("show", "dense_mnist", "--method", "grad_cam,lrp_z", "--samples", "1")
    assert result.exit_code == 0, result.output
    assert "no map: grad_cam" in result.stderr
    assert "1 method" in result.stdout
    result = parity("show", "dense_mnist", "--method", "grad_cam", "--samples", "1")
    assert result.exit_code == 2
    assert "grad_cam: " in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vgg_mnits", "--method", "lrp_z"], "did you mean vgg_mnist?"),
        (["missing.h5", "--method", "lrp_z"], "there is no file missing.h5"),
        (["dense_mnist"], "--method"),
        (["dense_mnist", "--method", "lrp_flatt"], "Nearest: lrp_flat"),
        (["dense_mnist", "--method", "lrp_z", "--target", "10"], "target 10 is out of range"),
        (["dense_mnist", "--method", "lrp_z", "--input", "digit_10"], "no input 'digit_10'"),
        (["dense_mnist", "--method", "lrp_z", "--save", "a.gif"], "--save 'a.gif': the name must end in .png"),
        (["dense_mnist", "--method", "lrp_z", "--save", "no/a.png"], "there is no folder no"),
        (["dense_mnist", "--method", "lrp_z", "--inputs", "a.png", "--save", "a.png"], "would overwrite"),
        (["dense_mnist", "--method", "lrp_z", "--clip", "101"], "--clip"),
        (["empty", "--method", "lrp_z"], "parity.json"),
        (["odd.json", "--method", "lrp_z"], "is not JSON"),
    ],
)
def test_what_cannot_be_shown_is_one_message(parity, arguments: list[str], words: str) -> None:
    Path("a.png").write_bytes(b"mine")
    Path("empty").mkdir()
    Path("odd.json").write_text("{")
    result = parity("show", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr, result.stderr
    assert "Traceback" not in result.output
    assert Path("a.png").read_bytes() == b"mine"


def test_without_matplotlib_the_message_names_what_to_install(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise ImportError("show() draws with matplotlib, which is not installed: pip install 'x[show]'")

    monkeypatch.setattr("parity.run.subjects.pictures.matplotlib_grid", missing)
    result = parity("show", "dense_mnist", "--method", "lrp_z")
    assert result.exit_code == 2
    assert "`parity show` draws with matplotlib, which is not installed: pip install" in result.stderr


def test_a_finished_run_shows_both_sides(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient"}))
    assert parity("run", *DENSE).exit_code == 1
    result = parity("show", "reports", "--method", "all", "--save", "run.svg")
    assert result.exit_code == 0, result.output
    assert "4 cases of" in result.stdout
    result = parity("show", "reports/parity.json", "--method", "lrp_*", "--input", "digit_1")
    assert "1 case of" in result.stdout
    for arguments, words in (
        (["--method", "lrp_flat"], "the run has no method lrp_flat; it has gradient, lrp_z"),
        (["--method", "lrp_z", "--input", "digit_9"], "its inputs are digit_0, digit_1"),
        (["--method", "lrp_z", "--dtype", "float32"], "no such case in float32"),
        (["--method", "lrp_z", "--target", "3"], "--target is for a model"),
    ):
        result = parity("show", "reports", *arguments)
        assert (result.exit_code, words in result.stderr) == (2, True), result.stderr


def test_maps_of_a_run_that_are_damaged_or_gone_are_a_sentence(parity) -> None:
    assert parity("run", *DENSE).exit_code == 0
    arrays = Path("reports/parity-arrays.h5")
    whole = arrays.read_bytes()
    arrays.write_bytes(whole[: len(whole) // 2])
    result = parity("show", "reports", "--method", "lrp_z")
    assert (result.exit_code, "parity-arrays.h5" in result.stderr) == (2, True)
    arrays.unlink()
    result = parity("show", "reports", "--method", "lrp_z")
    assert (result.exit_code, "parity-arrays.h5" in result.stderr) == (2, True)
    document = json.loads(Path("reports/parity.json").read_text())
    Path("reports/parity.json").write_text(json.dumps(document | {"arrays": None}))
    result = parity("show", "reports", "--method", "lrp_z")
    assert "names no arrays file" in result.stderr
