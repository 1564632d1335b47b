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
when the run begins, or that the user allows, and at least one: a run that cannot have it is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from parity.errors import ParityError
from parity.run.cases import LARGE
from parity.run.machine import available_cores, available_memory, total_memory

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


def smallest(parameters: int) -> int:
    """Return how many bytes harness and one worker take for a model of so many parameters."""
    return _OWN + _OWN_PER_PARAMETER * parameters + _worker(parameters)


def _worker(parameters: int) -> int:
    return _WORKER + _WORKER_PER_PARAMETER * parameters


def require_room(parameters: int, memory_limit: float | None = None, *, total: int | None = None) -> None:
    """Refuse a run that memory cannot hold.

    Parameters
    ----------
    parameters
        Of the largest model.
    memory_limit
        GiB that the user allows. Who names a number that would do has the say, whatever the machine has: stored
        answers need no worker, and not every method takes as much as the largest.
    total
        Bytes that the machine has; None asks the system. Only a large model is held to it.

    Raises
    ------
    ParityError
        With the smallest number that would do.
    """
    # Rounded up, so that the number that is told is enough.
    least = math.ceil(smallest(parameters) / GIB * 10) / 10
    if memory_limit is not None:
        if memory_limit < smallest(parameters) / GIB:
            raise ParityError(
                f"--memory-limit {memory_limit:g} is too small: harness and reference take up to {least:g} GB for a "
                f"model of {parameters:,} parameters; give at least --memory-limit {least:g}"
            )
        return
    total = total_memory() if total is None else total
    if parameters >= LARGE and total < smallest(parameters):
        raise ParityError(
            f"a model of {parameters:,} parameters takes up to {least:g} GB with its reference, and this machine has "
            f"{total / GIB:.1f} GB; take a smaller model or a larger machine, or --memory-limit {least:g} to try it"
        )


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
    if memory_limit is not None:
        available = int(memory_limit * GIB)
    total = available_memory() if available is None else available
    need = _worker(parameters)
    room = max(total - smallest(parameters) + need, 0)
    places = max(room // need, 1)
    wanted = jobs or (1 if large else min(cores, MOST_JOBS))
    granted = min(wanted, places)
    both = 2 * granted <= places
    note = None
    if large and room < need:
        note = (
            f"a model of {parameters:,} parameters takes up to {smallest(parameters) / GIB:.1f} GB with its reference, "
            f"and {total / GIB:.1f} GB were free: what failed for want of memory is an error row"
        )
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
        memory_limit=None if memory_limit is None else room // (granted * (1 + both)),
        note=note,
    )
