"""What the real models are explained on has the shapes that they take."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from bench.real.inputs import INPUTS
from bench.real.models import MODELS
from tests.bench.real import made_up

SHAPES = {
    "heartbeats_2s": [(500, 1)],
    "heartbeats_5s": [(1250, 1)],
    "mel_21": [(68, 21)],
    "mel_24": [(68, 24)],
    "faces": [(64, 64, 1)],
    "domain_names": [(82,)],
    "comments": [(100,)],
    "words": [(7, 59), (11, 59), (5, 59)],
    "thai": [((21,), (21,))],
    "genes": [(10020, 4)],
    "peptides_of_immunity": [(15, 21)],
    "peptides_in_a_column": [((60, 6), (30, 6), (55,), (60, 20))],
    "nights": [(20, 36)],
}


@pytest.fixture
def shipped(tmp_path: Path):
    """Stand in for the packages: a recording, two tables, and a network."""
    np.savez(tmp_path / "ecg.npz", ecg=np.sin(np.arange(108000) / 50.0))
    atoms = "".join(f"{letter},1,2,0,0,1\n" for letter in "ACDEFGHIKLMNPQRSTVWY")
    (tmp_path / "aa_comp_rel.csv").write_text(f"aa,C,H,N,O,S\n{atoms}")
    (tmp_path / "curated_training_data.csv").write_text(
        "mhc,peptide\nA,XXXXXXXX\nA,ACDEFGHI\nA,ACDEFGHIK\nA,ACDEFGHIKLM\n"
    )
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        for number in range(4):
            file[f"layers/batch_normalization/vars/{number}"] = np.full(36, number + 1.0)
    network = made_up.zipped({"model.weights.h5": (tmp_path / "weights.h5").read_bytes()})
    (tmp_path / "classifier.keras").write_bytes(network)
    return lambda _package, *member: tmp_path / Path(member[-1]).name


@pytest.mark.parametrize("name", INPUTS)
def test_samples_are_finite_and_have_their_shapes(name: str, shipped):
    samples = INPUTS[name](shipped)
    seen = {
        tuple(part.shape for part in sample) if isinstance(sample, tuple) else sample.shape
        for sample in samples.values()
    }
    assert seen == set(SHAPES[name])
    assert len(samples) == 3
    for sample in samples.values():
        for part in sample if isinstance(sample, tuple) else (sample,):
            assert part.dtype == np.float32
            assert np.isfinite(part).all()
            assert part.any()


def test_samples_are_the_same_every_time(shipped):
    for make in INPUTS.values():
        first, second = make(shipped), make(shipped)
        for name, sample in first.items():
            np.testing.assert_equal(sample, second[name])


def test_every_model_has_inputs_and_every_input_a_model():
    assert {model.inputs for model in MODELS.values()} == set(INPUTS) == set(SHAPES)
