"""Fetching an archive from the package index into a cache, and unpacking the files that are named, nothing else."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.real.models import PACKAGES, Package, RealModel
from parity.errors import ParityError
from parity.hashing import file_sha256

DEFAULT_CACHE = Path.home() / ".cache" / "signxai-torch-real"
TIMEOUT = 900.0
"""Seconds that fetching one archive may take."""


class FetchError(ParityError):
    """An archive or a file in it cannot be had, or is not the one that was meant."""


def download(package: Package, folder: Path) -> None:
    """Fetch an archive with pip, which checks its hash before it looks inside.

    A source archive's own build script is run by pip to learn the package's name; a wheel runs nothing.

    Raises
    ------
    FetchError
        With pip's last words.
    """
    wish = folder / f"{package.name}.txt"
    wish.write_text(f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n", encoding="utf-8")
    kind = "--only-binary" if package.is_wheel else "--no-binary"
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        kind, ":all:" if package.is_wheel else package.name,
        "--require-hashes", "--requirement", str(wish), "--dest", str(folder),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired:
        raise FetchError(f"{package.name} {package.version} did not come within {TIMEOUT:.0f} s") from None
    finally:
        wish.unlink()
    if done.returncode or not (folder / package.archive).is_file():
        raise FetchError(
            f"{package.name} {package.version} could not be fetched; put {package.archive} into {folder} or mend the "
            "connection to the package index",
            done.stderr,
        )


@dataclass(frozen=True)
class Cache:
    """A folder with archives and what was unpacked of them.

    Attributes
    ----------
    folder : pathlib.Path
        Made if it is not there.
    fetch : callable
        What brings an archive: `download`, unless a test says otherwise.
    """

    folder: Path
    fetch: Callable[[Package, Path], None] = download

    def archive(self, package: Package) -> Path:
        """Return where an archive lies, fetched if it is not there yet.

        Raises
        ------
        FetchError
            If it cannot be had, or is another than the table says.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / package.archive
        if not path.is_file():
            self.fetch(package, self.folder)
        if (seen := file_sha256(path)) != package.sha256:
            raise FetchError(f"{path} has the hash {seen}, not {package.sha256}; delete it, or mend the table")
        return path

    def model(self, model: RealModel) -> Path:
        """Return where a model's file lies, as it is in its package.

        Raises
        ------
        FetchError
            If it cannot be had, or is another than the table says.
        """
        path = self.unpacked(model.package, *model.member, name=model.name)
        if (seen := file_sha256(path)) != model.sha256:
            raise FetchError(f"{path} has the hash {seen}, not {model.sha256}; delete it, or mend the table")
        return path

    def shipped(self, package: str, *member: str) -> Path:
        """Return where another file of a package lies; it is what `bench.real.inputs` reads."""
        return self.unpacked(package, *member)

    def unpacked(self, package: str, *member: str, name: str | None = None) -> Path:
        """Return a copy of a file in an archive, `member` being its path there, and in archives inside."""
        last = PurePosixPath(member[-1])
        path = self.folder / package / (f"{name}{last.suffix}" if name else last.name)
        if path.is_file():
            return path
        archive = self.archive(PACKAGES[package])
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.part")
        if archive.suffix == ".whl":
            _from_zip(archive, member, part)
        else:
            _from_tar(archive, member, part)
        part.replace(path)
        return path


def _from_zip(archive: Path, member: tuple[str, ...], to: Path) -> None:
    source: Path | io.BytesIO = archive
    for place in member[:-1]:
        with zipfile.ZipFile(source) as file:
            _require(place in file.namelist(), archive, place)
            source = io.BytesIO(file.read(place))
    with zipfile.ZipFile(source) as file:
        _require(member[-1] in file.namelist(), archive, member[-1])
        with file.open(member[-1]) as stream, to.open("wb") as copy:
            shutil.copyfileobj(stream, copy)


def _from_tar(archive: Path, member: tuple[str, ...], to: Path) -> None:
    with tarfile.open(archive) as file:
        _require(len(member) == 1 and member[0] in file.getnames(), archive, " in ".join(reversed(member)))
        stream = file.extractfile(member[0])
        if stream is None:
            raise FetchError(f"{archive.name}: {member[0]} is no file")
        with stream, to.open("wb") as copy:
            shutil.copyfileobj(stream, copy)


def _require(there: bool, archive: Path, member: str) -> None:
    if not there:
        raise FetchError(f"{archive.name} has no file {member}; mend the table")
