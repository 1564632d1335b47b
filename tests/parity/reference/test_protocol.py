"""The files that client and worker exchange."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from parity.hashing import array_sha256
from parity.reference.protocol import read_array, write_arrays


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
def test_an_array_keeps_its_shape_and_with_it_its_hash(tmp_path: Path, shape: tuple[int, ...]) -> None:
    array = np.arange(float(np.prod(shape, dtype=int))).reshape(shape)
    path = tmp_path / "array.h5"
    write_arrays(path, [array, array.T])
    for index, expected in enumerate((array, array.T)):
        read = read_array(path, index)
        assert read.shape == expected.shape
        assert array_sha256(read) == array_sha256(expected)


def test_a_process_that_is_started_meanwhile_does_not_keep_the_file_from_its_reader(tmp_path: Path) -> None:
    """Between fork and exec, the second worker has the descriptors of the first one's inputs, with their lock."""
    started: list[subprocess.Popen[bytes]] = []

    class Slow:
        """Is written while a process starts."""

        def __array__(self, dtype: object = None, copy: object = None) -> npt.NDArray[np.float64]:
            command = [sys.executable, "-c", "input()"]
            started.append(subprocess.Popen(command, stdin=subprocess.PIPE, close_fds=False))
            return np.arange(3.0)

    path = tmp_path / "inputs.h5"
    try:
        write_arrays(path, [Slow()])  # type: ignore[list-item]
        assert read_array(path, 0).tolist() == [0.0, 1.0, 2.0]
    finally:
        for process in started:
            process.communicate(b"\n")
    assert started
