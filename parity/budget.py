"""How a run shares the machine's cores and memory between torch and the reference's workers.

Threads are set on purpose, because both sides are busy at once:

- On small models torch computes with one thread. Its parallel regions are shorter there than what their threads
  take to meet, and a thread that waits for a core which TensorFlow has just taken lets all others wait. On two cores,
  24 methods of vgg_mnist with all reference answers stored: 5 s with two threads and 6 s with one where the machine
  was idle, 28 s and 6 s where it was busy. The reference has one worker per core, each with its share of the cores,
  mostly one; torch is so much faster than the reference that it waits for it most of the time.
- On large models one worker of the reference has all cores, and torch half of them.

A worker's memory is taken as 1 GiB (TensorFlow itself and a small model: 0.55 measured) and 100 bytes per parameter
(a VGG16 in iNNvestigate's graph mode: 14 GB). There are never more workers than fit into the memory that is free
when the run begins, or that the user allows.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from parity.cases import LARGE

GIB = 1 << 30
MOST_JOBS = 4
"""Workers by default: each start of TensorFlow costs seconds, which a short run does not win back."""
_WORKER = GIB
_WORKER_PER_PARAMETER = 100
_OWN = GIB
_OWN_PER_PARAMETER = 30  # the weights in float32 and float64, a second network for some defects, maps


@dataclass(frozen=True)
class Budget:
    """What each side gets.

    Attributes
    ----------
    jobs
        Workers of the reference that compute at once.
    keep_both
        Whether the idle workers of one reference stay while the other computes.
    reference_threads, torch_threads
        Threads of each worker, and of torch.
    memory_limit
        Bytes after which a worker ends itself; None unless the user set a limit.
    note
        What the user asked for and does not get, or None.
    """

    jobs: int
    keep_both: bool
    reference_threads: int
    torch_threads: int
    memory_limit: int | None = None
    note: str | None = None


def share(
    parameters: int,
    jobs: int | None = None,
    memory_limit: float | None = None,
    *,
    cores: int | None = None,
    available: int | None = None,
) -> Budget:
    """Return the budget of a run.

    Parameters
    ----------
    parameters
        Of the largest model.
    jobs
        How many workers the user wants; None takes one per core, at most `MOST_JOBS`, and one for a large model.
    memory_limit
        GiB that harness and workers may take together; None takes what is free now.
    cores, available
        Cores and bytes of free memory; None asks the system.
    """
    cores = cores or available_cores()
    large = parameters >= LARGE
    total = int(memory_limit * GIB) if memory_limit else available if available is not None else available_memory()
    room = max(total - _OWN - _OWN_PER_PARAMETER * parameters, 0)
    need = _WORKER + _WORKER_PER_PARAMETER * parameters
    places = max(room // need, 1)
    wanted = jobs or (1 if large else min(cores, MOST_JOBS))
    granted = min(wanted, places)
    both = 2 * granted <= places
    note = None
    if jobs is not None and granted < jobs:
        note = (
            f"--jobs {jobs}: {total / GIB:.1f} GB of memory hold {granted} reference worker{'s' * (granted > 1)} "
            f"of about {need / GIB:.1f} GB, so there {'were' if granted > 1 else 'was'} {granted}"
        )
    return Budget(
        jobs=granted,
        keep_both=both,
        reference_threads=max(cores // granted, 1),
        torch_threads=max(cores // 2, 1) if large else 1,
        memory_limit=room // (granted * (1 + both)) if memory_limit else None,
        note=note,
    )


def available_cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int:
    """Return how many bytes of memory are free, as the system estimates it; half of all where it does not."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
