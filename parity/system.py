"""What the operating system offers, and what takes its place where it does not: nothing else asks which system it is.

Standard library alone, for the reference process imports it too.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

resource: ModuleType | None
try:
    import resource
except ImportError:  # Windows
    resource = None

WINDOWS = os.name == "nt"
OPEN_BINARY: int = getattr(os, "O_BINARY", 0)
"""For `os.open`: Windows turns line ends of what is not opened so."""
UNKNOWN_MEMORY = 4 << 30
"""Bytes of memory that a machine is taken to have if it does not say."""
_MOVING = threading.Lock()
"""Guards the position of files where reading at a place has to move it."""


# --- processes ---------------------------------------------------------------------------------------------


def own_group() -> dict[str, Any]:
    """Return the arguments of `subprocess.Popen` that keep a terminal's Ctrl-C from a process, to end it in order."""
    if WINDOWS:
        return {"creationflags": getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)}
    return {"start_new_session": True}


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process that was started with `own_group`, and all that it started, at once."""
    # The group outlives its leader as long as a child is in it, so it is killed even if the leader ended.
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (AttributeError, ProcessLookupError, PermissionError):  # the first: Windows, which has no such groups
        process.kill()
    process.wait()


def signals(*names: str) -> tuple[signal.Signals, ...]:
    """Return those of the named signals that this system has.

    Examples
    --------
    >>> signals("SIGINT", "SIGNONE")
    (<Signals.SIGINT: 2>,)
    """
    return tuple(signal.Signals[name] for name in names if hasattr(signal, name))


def environment_python(folder: Path) -> Path:
    """Return where a virtual environment has its interpreter."""
    return folder / "Scripts" / "python.exe" if WINDOWS else folder / "bin" / "python"


def separators() -> tuple[str, ...]:
    """Return the signs that part folders in a path."""
    return tuple(sign for sign in (os.sep, os.altsep) if sign)


# --- the machine -------------------------------------------------------------------------------------------


def allowed_cores() -> int:
    """Return how many cores this process may use; all, where the system has no affinity (macOS, Windows)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def installed_memory() -> int:
    """Return the bytes of memory that the machine has."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return _memory_of_windows() or UNKNOWN_MEMORY


def _memory_of_windows() -> int:
    """Return what `GlobalMemoryStatusEx` says is installed, 0 where there is no such function."""

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_uint32),
            ("load", ctypes.c_uint32),
            *(
                (name, ctypes.c_uint64)
                for name in ("total", "free", "all_pages", "free_pages", "all_virtual", "virtual")
            ),
            ("extended", ctypes.c_uint64),
        )

    libraries: Any = getattr(ctypes, "windll", None)
    status = Status(length=ctypes.sizeof(Status))
    if libraries is None or not libraries.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return 0
    return int(status.total)


def largest_memory() -> int:
    """Return the most bytes of memory that this process has had, 0 where the system does not tell."""
    if resource is None:
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * unit


def work_so_far() -> float:
    """Return a number that grows with the seconds that this process computes, and with what it reads from the disk."""
    if resource is None:
        return time.process_time()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return float(usage.ru_utime + usage.ru_stime + usage.ru_inblock + usage.ru_majflt)


def is_mine(status: os.stat_result) -> bool:
    """Return whether a file belongs to this user; true where files have no numbered owner."""
    return not hasattr(os, "getuid") or status.st_uid == os.getuid()


# --- files that several threads read at once ---------------------------------------------------------------


def read_at(file: int, size: int, position: int) -> bytes:
    """Return at most `size` bytes from a place of an open file."""
    if hasattr(os, "pread"):
        return os.pread(file, size, position)
    with _moved(file, position):
        return os.read(file, size)


def write_at(file: int, data: bytes | memoryview, position: int) -> int:
    """Write bytes at a place of an open file; return how many it took."""
    if hasattr(os, "pwrite"):
        return os.pwrite(file, data, position)
    with _moved(file, position):
        return os.write(file, data)


@contextlib.contextmanager
def _moved(file: int, position: int) -> Iterator[None]:
    """Move a file to a place and back again: a copy of it that is being read line by line has the same position."""
    with _MOVING:
        before = os.lseek(file, 0, os.SEEK_CUR)
        os.lseek(file, position, os.SEEK_SET)
        try:
            yield
        finally:
            os.lseek(file, before, os.SEEK_SET)
