"""The files that client and worker exchange."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from parity.reference.protocol import read_array, write_arrays


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
