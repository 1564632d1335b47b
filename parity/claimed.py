"""Folders of work that is under way, each held by its process: what a killed one leaves, the next one finds and takes.

The kernel frees the lock of a process that ends, however it ends, so a folder whose lock is free belongs to nobody.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from parity.system import is_mine

if TYPE_CHECKING:
    from filelock import FileLock

LOCK = "lock"
_NEW = ".new-"
_STALE_SECONDS = 60.0
"""After so long a folder that got no name yet has no maker any more."""
_NEVER_LOCKED_SECONDS = 3600.0
"""After so long neither has one without a lock, though nothing tells that its maker has ended."""


class ClaimedFolder:
    """A folder that this process holds; a context manager, which removes it.

    Use `make` and `claim`.

    Attributes
    ----------
    path : Path
        Where it lies.
    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path, self._lock = path, lock

    @classmethod
    def make(cls, directory: Path, prefix: str) -> ClaimedFolder:
        """Return a new folder in `directory`, whose name begins with `prefix`.

        Raises
        ------
        OSError
            If it cannot be made.
        """
        # It gets its name once it is locked: nobody can take it for one that was left.
        hidden = Path(tempfile.mkdtemp(prefix=_NEW, dir=directory))
        try:
            lock = _locked(hidden)
            assert lock is not None
            path = directory / f"{prefix}{time.strftime('%Y%m%dT%H%M%S')}-{hidden.name.removeprefix(_NEW)}"
            try:
                hidden.rename(path)
            except PermissionError:  # Windows moves no folder in which a file is open
                lock.release()
                hidden.rename(path)
                lock = _locked(path)
                assert lock is not None, "a name that nobody else draws"
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
        return cls(path, lock)

    @classmethod
    def claim(cls, path: Path) -> ClaimedFolder | None:
        """Return a folder that was left, now held; None if a process has it, or it is gone or another user's."""
        try:
            if path.is_symlink() or not is_mine(path.stat()) or not (path / LOCK).is_file():
                return None
            lock = _locked(path)
        except OSError:
            return None
        return None if lock is None else cls(path, lock)

    def release(self) -> None:
        """Let go of the folder, which stays."""
        self._lock.release()

    def remove(self) -> None:
        """Remove the folder; what of it cannot be removed is left to the next one who looks."""
        for inside in (one for one in _listed(self.path) if one.name != LOCK):
            if inside.is_dir() and not inside.is_symlink():
                shutil.rmtree(inside, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    inside.unlink()
        shutil.rmtree(self.path, ignore_errors=True)  # the lock's file last: until then nobody else comes in
        self.release()
        shutil.rmtree(self.path, ignore_errors=True)  # Windows removes no file that is open

    def __enter__(self) -> ClaimedFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()


def temporary(prefix: str) -> ClaimedFolder:
    """Return a new folder where temporary files go; what killed processes have left of its kind is removed.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    place = Path(tempfile.gettempdir())
    sweep(place, prefix)
    return ClaimedFolder.make(place, prefix)


def left(directory: Path, prefix: str) -> Iterator[ClaimedFolder]:
    """Yield the folders of a prefix that nobody holds, each claimed: release or remove it."""
    for path in _listed(directory):
        if path.name.startswith(prefix):
            claimed = ClaimedFolder.claim(path)
            if claimed is not None:
                yield claimed


def sweep(directory: Path, prefix: str, is_debris: Callable[[Path], bool] = lambda _: True) -> None:
    """Remove the folders of a prefix that killed processes have left, and those that never got their name.

    Parameters
    ----------
    directory, prefix
        As in `left`.
    is_debris : callable
        Asked for each whether it may go.
    """
    for claimed in left(directory, prefix):
        if is_debris(claimed.path):
            claimed.remove()
        else:
            claimed.release()
    for path in _listed(directory):
        with contextlib.suppress(OSError):
            age = time.time() - path.stat().st_mtime if path.name.startswith(_NEW) else 0.0
            if age > _STALE_SECONDS and (claimed_new := ClaimedFolder.claim(path)) is not None:
                claimed_new.remove()
            elif age > _NEVER_LOCKED_SECONDS and is_mine(path.stat()):
                path.rmdir()  # it has nothing in it, or it is not ours


def _listed(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _locked(folder: Path) -> FileLock | None:
    """Return the lock of a folder, taken; None if another has it."""
    # Imported here: the reference's environment, which imports this file with the client, has no filelock.
    from filelock import FileLock, Timeout

    lock = FileLock(folder / LOCK, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    return lock
