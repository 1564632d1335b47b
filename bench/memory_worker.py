"""One call in a process of its own: how far resident memory rises above what it was with the network loaded."""

from __future__ import annotations

import ctypes
import gc
import json
import sys
import warnings
from pathlib import Path

import torch

from bench.contenders.common import Task
from bench.contenders.everyone import IN_TORCH
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
        job = IN_TORCH[wanted["contender"]](task)
        _give_back()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        before = _status("VmRSS")
        job.call()
        peak = _status("VmHWM")
    sys.stdout.write(json.dumps({"before": before, "peak": peak, "weights": network.weight_bytes}) + "\n")
    return 0


def _give_back() -> None:
    """Return freed memory to the system: what loading left over would otherwise hide a part of the peak."""
    gc.collect()
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    sys.exit(main())
