"""What is released: an sdist with everything, and a wheel, built from it, with the packages and what they run on."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from filelock import FileLock

pytest.importorskip("build")
pytest.importorskip("setuptools_scm")

ROOT = Path(__file__).resolve().parents[1]
MEGABYTES = 4.0
"""Weights and packed references are 3 of them."""


def _tracked() -> set[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no clone: git does not say what is tracked")
    return {name for name in done.stdout.splitlines() if (ROOT / name).exists()}


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an sdist and of the wheel that was built from it."""
    _tracked()
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    with FileLock(
        folder.parent.parent / "build.lock"
    ):  # what builds writes beside the sources, and each of pytest's workers builds
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_the_wheel_holds_the_packages_the_weights_and_the_requirements(released: Path) -> None:
    (wheel,) = released.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        points = next(name for name in archive.namelist() if name.endswith("/entry_points.txt"))
        assert "parity = parity.__main__:main" in archive.read(points).decode()
    tracked = _tracked()
    expected = {name for name in tracked if name.startswith(("parity/", "signxai_torch/"))}
    expected |= {
        f"parity/assets/data/{Path(name).name}"
        for name in tracked
        if name.startswith("weights/") and name[-3:] == ".h5"
    }
    expected |= {f"parity/reference/requirements/reference.{kind}" for kind in ("in", "txt")}
    assert names == expected
    assert wheel.stat().st_size < MEGABYTES * 1e6


def test_the_sdist_holds_all_that_is_tracked(released: Path) -> None:
    (sdist,) = released.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert _tracked() <= names
