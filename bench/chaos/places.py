"""Where a soak happens: a folder with inputs, a store, reports and a temporary folder of its own."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
MODEL, METHODS = "dense_mnist", ("gradient", "lrp_z", "lrpsign_epsilon_0_1")
TOKEN = "PARITY_CHAOS"
"""The environment variable that every process of a soak has, so that those that are left over are found."""


@dataclass(frozen=True)
class Places:
    """The folders of a soak.

    Attributes
    ----------
    root : Path
        Everything lies in here.
    token : str
        The value of `TOKEN`.
    launcher : tuple of str
        Program and arguments that stand for `parity`.
    timeout : int
        Seconds that a request to the reference may take.
    """

    root: Path
    token: str
    launcher: tuple[str, ...] = (sys.executable, "-m", "parity")
    timeout: int = 30

    @property
    def inputs(self) -> Path:
        """The input files."""
        return self.root / "inputs"

    @property
    def store(self) -> Path:
        """The store of reference results."""
        return self.root / "store"

    @property
    def temporary(self) -> Path:
        """TMPDIR of every process."""
        return self.root / "tmp"

    def make(self, count: int, seed: int) -> None:
        """Make the folders and the inputs: digits' shape, random."""
        for folder in (self.inputs, self.temporary, self.root / "reports"):
            folder.mkdir(parents=True, exist_ok=True)
        generator = np.random.default_rng(seed)
        for index in range(count):
            np.save(self.inputs / f"x_{index:03d}.npy", generator.uniform(-1, 0, (28, 28, 1)).astype(np.float32))

    def report(self, name: str) -> Path:
        """Return a report folder."""
        return self.root / "reports" / name

    def command(self, report: Path) -> list[str]:
        """Return the command of a run into a report folder."""
        methods = [part for method in METHODS for part in ("--method", method)]
        return [
            *self.launcher, "run", "--model", MODEL, *methods, "--inputs", str(self.inputs / "*.npy"),
            "--store", str(self.store), "--report", str(report), "--timeout", str(self.timeout), "--jobs", "1",
            "--target", "3", "--traces", "0",
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Return the environment of every process."""
        paths = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
        return {**os.environ, TOKEN: self.token, "TMPDIR": str(self.temporary), "PYTHONPATH": paths}
