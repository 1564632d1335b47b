"""Peak memory of single calls, each in a fresh process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.contenders.common import NoCounterpartError, UnavailableError
from bench.plan import Memory

TIMEOUT = 900.0
# glibc's allocator hands freed blocks above this size back at once; otherwise a process' peak holds what it kept of
# them for later, which differs from run to run.
RETURN_FREED = {"MALLOC_MMAP_THRESHOLD_": str(2**17), "MALLOC_TRIM_THRESHOLD_": str(2**17)}


def measure(case: Memory, threads: int) -> dict[str, Any]:
    """Return ``{"before", "peak", "weights"}`` in bytes.

    Raises
    ------
    NoCounterpartError, UnavailableError
        If the contender does not have the method or is not installed.
    RuntimeError
        If the call failed; the text is the last line of what it wrote.
    """
    if not os.access("/proc/self/clear_refs", os.W_OK):
        raise UnavailableError("this system does not tell a process its own peak memory (/proc/self/clear_refs)")
    wanted = {"network": case.network, "batch": case.batch, "method": case.method, "contender": case.contender}
    root = str(Path(__file__).resolve().parents[1])
    path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bench.memory_worker", json.dumps(wanted | {"threads": threads})],
            env={**os.environ, **RETURN_FREED, "PYTHONPATH": path},
            capture_output=True, text=True, timeout=TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"no answer within {TIMEOUT:.0f} s") from error
    if done.returncode == 0:
        result: dict[str, Any] = json.loads(done.stdout)
        return result
    last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    for kind in (NoCounterpartError, UnavailableError):
        name = f"{kind.__module__}.{kind.__qualname__}: "
        if last.startswith(name):
            raise kind(last.removeprefix(name))
    raise RuntimeError(last)
