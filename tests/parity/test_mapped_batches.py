"""A batch in a file takes the memory of a few samples, however large it is."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from parity.assets.arrays import samples_of


def resident(path: Path) -> int:
    """Return how many bytes of a mapped file are in this process' memory."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    begin = next(index for index, line in enumerate(lines) if line.endswith(str(path)))
    return 1024 * next(int(line.split()[1]) for line in lines[begin:] if line.startswith("Rss:"))


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc")
def test_what_was_read_of_a_mapped_batch_leaves_memory(tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    batch = np.random.default_rng(0).random((4000, 28, 28, 1))
    np.save(path, batch)
    mapped = np.load(path, mmap_mode="r")
    total, most = 0.0, 0
    for index, sample in enumerate(samples_of(mapped)):
        total += float(sample.sum())
        if index % 500 == 0:
            most = max(most, resident(path))
    assert total == pytest.approx(batch.sum())
    assert most < batch.nbytes / 3


def test_samples_of_an_array_in_memory_are_its_samples() -> None:
    batch = np.arange(12.0).reshape(3, 4)
    assert np.array_equal(list(samples_of(batch)), batch)
