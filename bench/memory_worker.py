"""One call in a process of its own: how far resident memory rises above what it was with the network loaded."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import warnings
from pathlib import Path

import torch

from bench.contenders.common import Job, Task
from bench.contenders.everyone import IN_TORCH, REFERENCE
from bench.contenders.reference import Reference
from bench.networks import load


def main() -> int:
    """Measure the call that the arguments name; write one JSON object to stdout."""
    wanted = json.loads(sys.argv[1])
    torch.set_num_threads(wanted["threads"])
    network = load(wanted["network"])
    x = network.batch(wanted["batch"])
    # A fixed class, no arg-max: the one forward pass of the measured call is the first.
    task = Task(network, x, [0] * len(x), wanted["method"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if wanted["contender"] == REFERENCE:
            with Reference(wanted["threads"]) as reference:
                job = reference.prepare(task)
                reference.load(task)
                (worker,) = _children()
                before, peak = _watched(job, str(worker))
        else:
            job = IN_TORCH[wanted["contender"]](task)
            _give_back()
            before, peak = _watched(job, "self")
    sys.stdout.write(json.dumps({"before": before, "peak": peak, "weights": network.weight_bytes}) + "\n")
    return 0


def _watched(job: Job, process: str) -> tuple[int, int]:
    """Return the resident bytes of a process before a call and the most it had during it."""
    Path(f"/proc/{process}/clear_refs").write_text("5", encoding="ascii")
    before = _status("VmRSS", process)
    job.call()
    return before, _status("VmHWM", process)


def _children() -> list[int]:
    """Return the processes that this one started."""
    lists = Path("/proc/self/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text(encoding="ascii").split()]


def _give_back() -> None:
    """Return freed memory to the system: what loading left over would otherwise hide a part of the peak."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def _status(field: str, process: str) -> int:
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    sys.exit(main())
