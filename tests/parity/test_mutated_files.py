"""Mutated files: each is read right, or refused in a sentence that names it, in time; this process lives on.

64 files as a rule; `PARITY_MUTATED=2000 pytest tests/parity/test_mutated_files.py -s` makes 2,000 and prints what they
cost. A file is made again from the number of its mutation: `PARITY_MUTATED=1742:1743` makes that one.
"""

from __future__ import annotations

import io
import json
import os
import resource
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import parity.keras
from parity.assets.inputs import load_inputs
from parity.errors import ParityError
from tests.parity.keras.keras_files import tiny, tiny_branches

SECONDS = 10.0
GROWTH = 1 << 30
"""Bytes of memory beyond those of the start."""
SHAPE = (12, 10, 3)

Read = Callable[[Path], list[np.ndarray]]


@dataclass(frozen=True)
class Kind:
    """Good files of one kind, and what of them is compared."""

    name: str
    write: Callable[[Path], object]
    read: Read
    marks: tuple[bytes, ...] = ()
    """Where its structure lies; half of the mutations are made behind one of these."""


def parameters(path: Path) -> list[np.ndarray]:
    module = parity.keras.load(path)
    return [tensor.numpy() for tensor in module.state_dict().values()]


def inputs(path: Path) -> list[np.ndarray]:
    return [sample.array for sample in load_inputs([path], SHAPE, "none")]


def positioned(file: h5py.File) -> None:
    model = tiny()
    for group, name in (("conv2d", "conv"), ("dense", "dense")):
        for number, values in enumerate(model.weights[name].values()):
            file[f"layers/{group}/vars/{number}"] = values.astype(np.float32)


def archive(path: Path) -> None:
    """Write a `.keras` file."""
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        positioned(file)
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("metadata.json", json.dumps({"keras_version": "3.0.0"}))
        packed.writestr("config.json", json.dumps(tiny().architecture))
        packed.writestr("model.weights.h5", weights.getvalue())


def packed_weights(path: Path) -> None:
    """Write an `.h5` with chunks, filters, texts of variable length and the newest format."""
    model = tiny()
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["model_config"] = json.dumps(model.architecture)
        root = file.create_group("model_weights")
        root.attrs["layer_names"] = list(model.weights)
        for name, tensors in model.weights.items():
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{key}:0" for key in tensors]
            for key, values in tensors.items():
                group.create_dataset(f"{key}:0", data=values, compression="gzip", shuffle=True, fletcher32=True)


def pixels() -> np.ndarray:
    return np.random.default_rng(7).integers(0, 256, SHAPE, dtype=np.uint8)


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    return {"a": rng.normal(size=SHAPE).astype(np.float32), "b": rng.normal(size=(2, *SHAPE))}


def image(**options: Any) -> Callable[[Path], object]:
    return lambda path: Image.fromarray(pixels()).save(path, **options)


_HDF5 = (b"OHDR", b"SNOD", b"HEAP", b"TREE", b"layer_names", b"weight_names", b"model_config", b"backend", b"GCOL")
KINDS = (
    Kind("old.h5", lambda path: tiny().write(path), parameters, _HDF5),
    Kind("branches.h5", lambda path: tiny_branches().write(path), parameters, _HDF5),
    Kind("new.h5", packed_weights, parameters, (*_HDF5, b"OCHK", b"FRHP", b"FSHD", b"FADB", b"BTHD")),
    Kind("model.keras", archive, parameters, (b"PK", *_HDF5)),
    Kind("x.npz", lambda path: np.savez(path, **arrays()), inputs, (b"PK", b"NUMPY")),
    Kind("packed.npz", lambda path: np.savez_compressed(path, **arrays()), inputs, (b"PK",)),
    Kind("x.npy", lambda path: np.save(path, arrays()["b"]), inputs, (b"NUMPY",)),
    Kind("x.png", image(), inputs, (b"IHDR", b"IDAT")),
    Kind("x.tiff", image(compression="tiff_lzw"), inputs),
    Kind("x.jpg", image(quality=90), inputs),
    Kind("x.gif", image(), inputs),
    Kind("x.webp", image(lossless=True), inputs),
)
MOST_OFTEN = ("old.h5", "branches.h5", "new.h5", "model.keras", "x.npz", "x.png")


FATAL = (2819, 12858, 14224, 19111)
"""With HDF5 2.0 these crash twice, hang, and eat all memory if they are read without a look."""
CHECKED = ("x.npz", "packed.npz", "x.png")
"""Kinds in which a checksum watches over all that counts: what is read is what was written."""


_CHANGES = ["flip"] * 6 + ["extreme"] * 3 + ["insert", "delete", "double", "cut"]


def mutated(data: bytes, marks: tuple[bytes, ...], rng: np.random.Generator) -> bytes:
    """Return a file with up to three bytes flipped, or bytes put in, taken out, doubled, or the end cut off."""
    spoilt = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        there = [place for mark in marks for place in _all(bytes(spoilt), mark)]
        if there and rng.random() < 0.6:
            place = min(int(rng.choice(there)) + int(rng.integers(0, 160)), len(spoilt) - 1)
        else:
            place = int(rng.integers(0, len(spoilt)))
        match rng.choice(_CHANGES):
            case "flip":
                spoilt[place] ^= 1 << int(rng.integers(0, 8))
            case "extreme":
                spoilt[place] = int(rng.choice([0, 1, 127, 128, 255]))
            case "insert":
                spoilt[place:place] = rng.bytes(int(rng.integers(1, 9)))
            case "delete":
                del spoilt[place : place + int(rng.integers(1, 9))]
            case "double":
                spoilt[place:place] = spoilt[place : place + 64]
            case "cut" if rng.random() < 0.2:
                del spoilt[max(place, 1) :]
        if not spoilt:
            break
    return bytes(spoilt)


def _all(data: bytes, mark: bytes) -> Iterator[int]:
    place = data.find(mark)
    while place >= 0:
        yield place
        place = data.find(mark, place + 1)


def outcome(kind: Kind, path: Path) -> tuple[list[np.ndarray], str]:
    """Return what is read of a file, and why it is refused; anything but a refusal is a failure of the test."""
    try:
        return kind.read(path), ""
    except ParityError as error:
        return [], str(error)


def chosen() -> list[int]:
    begin, colon, end = os.environ.get("PARITY_MUTATED", "60").partition(":")
    if colon:
        return list(range(int(begin), int(end)))
    return list(dict.fromkeys([*range(int(begin)), *FATAL]))


def peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.timeout(7200)
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_every_file_is_read_right_or_refused(tmp_path: Path) -> None:
    kinds = {kind.name: kind for kind in KINDS}
    good: dict[str, tuple[bytes, list[np.ndarray]]] = {}
    for kind in KINDS:
        path = tmp_path / kind.name
        kind.write(path)
        good[kind.name] = path.read_bytes(), kind.read(path)
    before, begun = peak(), time.perf_counter()
    counts: Counter[str] = Counter()
    slowest = (0.0, "")
    for number in chosen():
        rng = np.random.default_rng([15, number])
        kind = kinds[str(rng.choice(list(kinds) if number % 3 == 0 else MOST_OFTEN))]
        data, expected = good[kind.name]
        path = tmp_path / f"{number}-{kind.name}"
        path.write_bytes(mutated(data, kind.marks, rng))
        start = time.perf_counter()
        found, refusal = outcome(kind, path)
        seconds = time.perf_counter() - start
        path.unlink()
        assert seconds < SECONDS, (number, kind.name, seconds)
        slowest = max(slowest, (seconds, path.name))
        if refusal:
            assert path.name in refusal, (number, refusal)
            assert len(refusal) < 3_000, (number, refusal)
            counts[f"{path.suffix} refused"] += 1
            counts.update(
                f"{word} ({number})" for word in ("reading it takes more", "crashes", "of memory") if word in refusal
            )
            continue
        same = len(found) == len(expected) and all(map(np.array_equal, found, expected))
        counts[f"{path.suffix} {'the same' if same else 'other values'}"] += 1
        # Where nothing watches over the bytes, a number may be another one: that is what the file says.
        assert same or kind.name not in CHECKED, (number, kind.name)
        assert all(np.isfinite(one).all() for one in found), number
    grown = peak() - before
    total = time.perf_counter() - begun
    print(*sorted(counts.items()), sep="\n")  # noqa: T201
    print(  # noqa: T201
        f"{len(chosen())} files in {total:.0f} s, the slowest {slowest[1]} in {slowest[0]:.1f} s, "
        f"memory of this process grew by {grown / 1e6:.0f} MB at its peak"
    )
    assert grown < GROWTH
