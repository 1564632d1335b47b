"""The families of keras.applications: the table, a sample of them explained and judged, and the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench.applications import __main__, page
from bench.applications.families import FAMILIES, Family, select
from bench.applications.judging import built, judged
from bench.judged.standing import Standing, standing_of
from parity.errors import ParityError


def test_an_unknown_name_is_told_what_is_known():
    with pytest.raises(ParityError, match="no family is called AlexNet; known: VGG16, ResNet50"):
        select(("AlexNet",))
    assert CliRunner().invoke(__main__.main, ["--model", "AlexNet"]).exit_code == 2


def test_no_name_stands_for_all():
    assert select(()) == list(FAMILIES.values())
    assert select(("Xception", "VGG16")) == [FAMILIES["Xception"], FAMILIES["VGG16"]]


def test_the_page_has_a_line_for_every_family():
    written = __main__.PAGE.read_text(encoding="utf-8")
    assert [name for name in FAMILIES if f"| {name} | " not in written] == []


def test_the_page_tells_sizes_and_seconds(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    document = {
        "models": [{"logits_rel_l2": 3e-7, "logits_rel_l2_float64": 4e-15, "layers": 12, "parameters": 34567}],
        "results": [{"method": "gradient", "dtype": "float64", "status": "parity", "margin": 0.25, "input": "x"}],
        "summary": {"reference_answers": {"stored": 5}},
        "seconds": 61.4,
    }
    monkeypatch.setattr(page, "standing_of", lambda *_: Standing({}, document=document))
    written = page.text([Family("Small", 48)], tmp_path)
    assert "| Small | float64 | 1 | 4.0e-15 | 1 | 0 | 0 | 0 | 0 | 0 | 0.25 (`gradient`) |" in written
    assert "| Small | 48 x 48 | 12 | 34,567 | 61 | 5 |" in written


@pytest.mark.reference
def test_a_family_that_cannot_be_built_is_told_with_what_keras_said(tmp_path: Path):
    with pytest.raises(ParityError, match="Tiny: the reference environment cannot build it"):
        built(Family("Tiny"), tmp_path)
    assert not list(tmp_path.glob("*.h5"))


@pytest.mark.reference
@pytest.mark.slow
def test_a_family_is_built_explained_and_judged(tmp_path: Path):
    """MobileNetV3: squeeze and excitation, hard-swish of bare operations, and its preprocessing inside."""
    family = FAMILIES["MobileNetV3Small"]
    methods = ("gradient", "lrp_z", "lrpsign_epsilon_0_25_std_x", "lrp.alpha_2_beta_1")
    standing = judged(family, methods, tmp_path, {"jobs": 1, "store": tmp_path / "store"})
    assert standing.document is not None
    assert standing.document["summary"]["green"], standing.document["summary"]
    (model,) = standing.document["models"]
    assert model["logits_rel_l2_float64"] < 1e-12
    assert standing_of(tmp_path, family.name) == standing
    picture = np.load(tmp_path / "networks" / "MobileNetV3Small.npy")
    assert picture.shape == (32, 32, 3)
    assert 200 < picture.max() < 256
