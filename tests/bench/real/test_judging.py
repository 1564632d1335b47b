"""From a package to a line of the page, with a package that was made up."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.judged.standing import standing_of
from bench.real import __main__, fetch, judging, page
from bench.real.architectures import ARCHITECTURES
from bench.real.fetch import Cache
from bench.real.judging import judged, whole
from bench.real.models import MODELS, PACKAGES, RealModel, select
from parity import keras
from parity.assets.inputs import stream_inputs
from parity.errors import ParityError
from parity.keras.network import Network, NetworkLayer, write_network
from tests.bench.real import made_up

SAMPLES = {
    "made_up": lambda _: {"one": np.array([1, -2, 3, 4], np.float32), "two": np.array([3, 1, -2, 1], np.float32)}
}


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Return what makes a cache with a package that ships a tiny model of an activation, and the model."""

    def make(activation: str = "relu") -> tuple[Cache, RealModel]:
        content = made_up.keras_file(tmp_path / "tiny.h5", activation).read_bytes()
        (tmp_path / "cache").mkdir(exist_ok=True)
        package = made_up.wheel(tmp_path / "cache", {"made_up/tiny.h5": content})
        model = made_up.model(content, "made_up/tiny.h5", methods="gradient")
        for place in (fetch, page):
            monkeypatch.setattr(place, "PACKAGES", {package.name: package})
        monkeypatch.setattr(judging, "INPUTS", SAMPLES)
        return Cache(tmp_path / "cache"), model

    return make


def test_samples_of_several_inputs_are_told_apart_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    network = Network((
        NetworkLayer("image", "InputLayer", {"batch_input_shape": [None, 2, 3]}, ()),
        NetworkLayer("more", "InputLayer", {"batch_input_shape": [None, 4]}, ()),
        NetworkLayer("flat", "Flatten", {}, ("image",)),
        NetworkLayer("joined", "Concatenate", {"axis": -1}, ("flat", "more")),
    ))  # fmt: skip
    write_network(network, tmp_path / "two.h5")
    monkeypatch.setattr(judging, "INPUTS", {"made_up": lambda _: {"first": (np.zeros((2, 3)), np.ones(4))}})
    (path,) = judging.inputs(Cache(tmp_path), made_up.model(b"", "two.h5"), tmp_path / "two.h5")
    parts = keras.load(tmp_path / "two.h5").description.inputs
    (sample,) = stream_inputs([str(path)], (10,), "none", parts)
    np.testing.assert_array_equal(sample.array, [0] * 6 + [1] * 4)


def test_a_refused_model_is_kept_with_the_sentence(tiny, tmp_path: Path):
    cache, model = tiny("not_an_activation")
    standing = judged(cache, model, (), tmp_path / "reports", {})
    assert "not_an_activation" in standing.refused
    assert str(tmp_path) not in standing.refused
    assert standing_of(tmp_path / "reports", "tiny") == standing
    written = page.text([model], tmp_path / "reports")
    assert f"| tiny | does not convert |{' |' * 9}" in written
    assert f"- `tiny`: {standing.refused}" in written
    assert "- `tiny`: 2 Dense" in written


def test_a_model_without_a_run_is_said_to_be_so(tiny, tmp_path: Path):
    _, model = tiny()
    written = page.text([model], tmp_path)
    assert f"| tiny | not run |{' |' * 9}" in written
    assert "## What does not convert" not in written


@pytest.mark.reference
def test_a_model_is_fetched_explained_and_judged(tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    cache, model = tiny()
    monkeypatch.setattr(__main__, "select", lambda _: [model])
    monkeypatch.setattr(__main__, "MODELS", {"tiny": model})
    monkeypatch.setattr(__main__, "PAGE", tmp_path / "real.md")
    options = ["--cache", str(cache.folder), "--report", str(tmp_path / "reports"), "--jobs", "1"]
    done = CliRunner().invoke(__main__.main, options)
    assert done.exit_code == 0, done.output
    assert done.output == "tiny: 4 parity\n"
    assert re.search(
        r"\| tiny \| float64 \| 2 \| \S+ \| 1 \| 0 \| 0 \| 0 \| 0 \| 0 \|", (tmp_path / "real.md").read_text()
    )


@pytest.mark.reference
def test_what_ships_weights_alone_is_made_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    model = made_up.model(b"no weights", "tiny.h5", architecture="mhcnuggets")
    package = made_up.wheel(tmp_path, {"tiny.h5": b"no weights"})
    monkeypatch.setattr(fetch, "PACKAGES", {package.name: package})
    with pytest.raises(ParityError, match="cannot make it whole"):
        whole(Cache(tmp_path), model)
    assert not list((tmp_path / "whole").iterdir())


def test_the_table_names_what_there_is():
    for name, model in MODELS.items():
        assert model.name == name
        assert model.package in PACKAGES
        assert model.architecture in ("", *ARCHITECTURES)
        assert len(model.sha256) == 64
    assert {model.package for model in MODELS.values()} == set(PACKAGES)
    assert len({package.maker for package in PACKAGES.values()}) >= 6


def test_an_unknown_name_is_told_what_is_known():
    with pytest.raises(ParityError, match="no real model is called nothing; known: ecg_cnn_2s"):
        select(("nothing",))
    assert CliRunner().invoke(__main__.main, ["--model", "nothing"]).exit_code == 2


def test_the_page_has_a_line_for_every_model():
    written = __main__.PAGE.read_text(encoding="utf-8")
    assert [name for name in MODELS if f"| {name} | " not in written] == []
