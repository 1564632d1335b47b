"""What a machine, a container and a quota leave: read from folders that look like `/proc` and `/sys`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from parity.run import machine

GIB = 1 << 30


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of 64 GiB, 48 of them free, and 8 cores, without cgroups."""
    monkeypatch.setattr(machine, "_ROOT", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(8)))
    write(tmp_path / "proc/meminfo", f"MemTotal: {64 << 20} kB\nMemFree: 5 kB\nMemAvailable: {48 << 20} kB\n")
    return tmp_path


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(text))


def seen() -> tuple[int, float, float]:
    return machine.available_cores(), machine.total_memory() / GIB, machine.available_memory() / GIB


def test_no_limits(root: Path) -> None:
    assert seen() == (8, 64, 48)


def test_version_2_in_a_container_and_below(root: Path) -> None:
    write(root / "proc/self/cgroup", "0::/slice/job\n")
    top = root / "sys/fs/cgroup"
    write(top / "memory.max", 20 * GIB)
    write(top / "memory.current", 15 * GIB)
    write(top / "memory.stat", f"anon 5\ninactive_file {3 * GIB}\n")
    write(top / "slice/job/memory.max", "max\n")
    write(top / "slice/job/cpu.max", "250000 100000\n")
    assert seen() == (3, 20, 8)
    write(top / "slice/memory.max", 6 * GIB)
    write(top / "slice/memory.current", 7 * GIB)
    write(top / "slice/cpu.max", "max 100000\n")
    assert seen() == (3, 6, 0)


def test_version_1_and_a_path_of_the_host(root: Path) -> None:
    write(root / "proc/self/cgroup", "4:memory:/docker/abc\n1:cpu,cpuacct:/docker/abc\n0::/\n")
    write(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", 10 * GIB)
    write(root / "sys/fs/cgroup/memory/memory.usage_in_bytes", 4 * GIB)
    write(root / "sys/fs/cgroup/memory/memory.stat", f"inactive_file 1\ntotal_inactive_file {GIB}\n")
    write(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "50000")
    write(root / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000")
    assert seen() == (1, 10, 7)
    write(root / "sys/fs/cgroup/memory/memory.limit_in_bytes", 9223372036854771712)
    write(root / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1")
    assert seen() == (8, 64, 48)


def test_this_machine() -> None:
    cores, total, free = seen()
    assert cores >= 1
    assert 0 < free <= total
