"""Cores and memory that this process may use: what the machine has, less what a container or a quota allows."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from pathlib import Path

from parity.system import allowed_cores, installed_memory

_ROOT = Path("/")
"""Where `/proc` and `/sys` lie; another place in tests."""


def available_cores() -> int:
    """Return how many cores this process may use: by its affinity, and by the quota of its cgroups."""
    return max(min([allowed_cores(), *_quotas()]), 1)


def available_memory() -> int:
    """Return how many bytes of memory are free, as the system estimates it; half of all where it does not."""
    free = _meminfo("MemAvailable")
    if free is None:
        free = installed_memory() // 2
    # Cached files count as used in a cgroup, but are given back when memory is needed.
    return max(min([free, *(limit - used for limit, used in _memory())]), 0)


def total_memory() -> int:
    """Return how many bytes of memory this process could ever have."""
    return min([_meminfo("MemTotal") or installed_memory(), *(limit for limit, _ in _memory())])


def cpu() -> str | None:
    """Return the processor's name and the number of its cores, where the system tells."""
    lines = _read(_ROOT / "proc/cpuinfo").splitlines()
    if not lines:
        return platform.processor() or None
    name = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), None)
    return f"{name}, {os.cpu_count()} cores" if name else None


def _meminfo(name: str) -> int | None:
    for line in _read(_ROOT / "proc/meminfo").splitlines():
        if line.startswith(f"{name}:"):
            return 1024 * int(line.split()[1])
    return None


def _memory() -> Iterator[tuple[int, int]]:
    """Yield limit and use, in bytes, of every cgroup that limits memory."""
    for folder, version in _cgroups("memory"):
        names = ("memory.max", "memory.current") if version == 2 else (
            "memory.limit_in_bytes", "memory.usage_in_bytes")  # fmt: skip
        limit, used = (_number(folder / name) for name in names)
        if limit is None:
            continue
        cached = "inactive_file" if version == 2 else "total_inactive_file"
        lines = (line.split() for line in _read(folder / "memory.stat").splitlines())
        yield limit, (used or 0) - next((int(words[1]) for words in lines if words[0] == cached), 0)


def _quotas() -> Iterator[int]:
    """Yield the cores of every cgroup that limits computing time; a part of a core counts as one."""
    for folder, version in _cgroups("cpu"):
        if version == 2:
            quota, _, period = _read(folder / "cpu.max").partition(" ")
        else:
            quota, period = _read(folder / "cpu.cfs_quota_us"), _read(folder / "cpu.cfs_period_us")
        if quota.strip().isdecimal() and period.strip().isdecimal() and int(period) > 0:
            yield math.ceil(int(quota) / int(period))


def _cgroups(controller: str) -> Iterator[tuple[Path, int]]:
    """Yield the folders of this process's cgroups, innermost first, with the version of the interface.

    In a container the path that `/proc` tells may be the host's; what is not there is passed over.
    """
    for line in _read(_ROOT / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        base, version = _ROOT / "sys/fs/cgroup", 1 if controllers else 2
        base = base / controller if controllers else base
        inner = Path(path.lstrip("/"))
        for part in dict.fromkeys((inner, *inner.parents)):
            if ".." not in part.parts and (base / part).is_dir():
                yield base / part, version


def _number(path: Path) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdecimal() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return ""
