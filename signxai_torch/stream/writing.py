"""Explaining a set of inputs into files: which batches are due, who explains them, and what is noted."""

from __future__ import annotations

import hashlib
import multiprocessing
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from signxai_torch.stream.files import Files
from signxai_torch.stream.source import Rows

Progress = Callable[[int, int], None]
"""Is told how many rows are done, and how many there are."""
Explain = Callable[[Tensor, Any], dict[str, np.ndarray[Any, Any]]]
"""Explains a batch: its maps by method."""


class Client(Protocol):
    """What is asked of a `distributed.Client`."""

    def scatter(self, data: Any, **options: bool) -> Any:
        """Hand something to the workers."""

    def submit(self, function: Callable[..., Any], *arguments: Any, pure: bool) -> Any:
        """Let a worker call a function."""

    def cancel(self, futures: Any) -> Any:
        """Give calls up."""


Workers = int | Client
"""Who explains: so many processes of this machine (0: this one), or a cluster's."""
LOSSES = 3
"""After so many losses of a cluster's workers in a row with no batch between them, a run is given up."""
PER_ROW = (list, np.ndarray, Tensor)
"""What holds one target per row; a tuple is a place in an output of more axes."""


@dataclass
class Work:
    """What is done with each batch; goes to worker processes as it is.

    Attributes
    ----------
    explain : callable
        Explains a batch.
    rows : Rows
        The inputs.
    target : object
        One for all, or one per row.
    files : Files
        Where the maps go.
    """

    explain: Explain
    rows: Rows
    target: Any
    files: Files

    def maps(self, first: int, last: int) -> dict[str, np.ndarray[Any, Any]]:
        """Return the maps of some rows."""
        return self.explain(self.rows.batch(first, last), target_of(self.target, first, last))

    def do(self, first: int, last: int) -> tuple[int, int]:
        """Explain some rows and write their maps."""
        self.files.put(first, self.maps(first, last))
        return first, last


def checked_target(target: Any, count: int) -> Any:
    """Return a target that may be pickled and told apart from others.

    Raises
    ------
    ValueError
        If it has one entry per row, but not as many as there are rows.
    """
    if not isinstance(target, PER_ROW):
        return target
    if len(target) != count:
        raise ValueError(f"target has {len(target)} entries for {count} inputs; give one per input, or one for all")
    return np.asarray(target.cpu() if isinstance(target, Tensor) else target).tolist()


def target_of(target: Any, first: int, last: int) -> Any:
    """Return the target of some rows: of one per row theirs."""
    return target[first:last] if isinstance(target, PER_ROW) else target


def write(
    work: Work, size: int, identity: dict[str, Any], workers: Workers, progress: Progress | None, anew: bool
) -> Path:
    """Explain all rows that no earlier run has finished, and return where the maps are.

    Parameters
    ----------
    work : Work
        What is to be done.
    size : int
        Rows of a batch. A run that goes on takes the batches of the run that it goes on with.
    identity : dict
        What the maps depend on, as JSON values: a run goes on with one of the same identity alone.
    workers : int or distributed.Client
        Processes that explain, 0 is this one; or a cluster's.
    progress : callable, optional
        See `Progress`.
    anew : bool
        Take nothing over, and replace what is there.

    Raises
    ------
    FileExistsError
        If the maps are there already, or were begun with something else.
    TypeError, ValueError
        If `workers` is neither, or the path is none that a cluster can write to.
    """
    _check_workers(workers, work.files.path)
    files, count = work.files, len(work.rows)
    if files.path.exists() and not anew:
        raise FileExistsError(f"{files.path} is there already; anew=True replaces it")
    begun = None if anew else files.begun()
    if begun is not None and begun[0]["identity"] != identity:
        other = [name for name, value in identity.items() if begun[0]["identity"].get(name) != value]
        raise FileExistsError(
            f"{files.unfinished} was begun with another {' and '.join(other)}; anew=True begins again"
        )
    if begun is None:
        begun = _begin(work, size, identity)
    size, done = int(begun[0]["batch_size"]), begun[1]
    due = [(first, min(first + size, count)) for first in range(0, count, size)]
    due = [batch for batch in due if batch not in done]
    finished = sum(last - first for first, last in done)
    for first, last in _done(work, due, workers):
        files.note(first, last)
        finished += last - first
        if progress is not None:
            progress(finished, count)
    if files.path.is_dir():  # a file is replaced as a whole
        shutil.rmtree(files.path)
    return files.finish()


def _check_workers(workers: Workers, path: Path) -> None:
    if hasattr(workers, "scatter") and hasattr(workers, "submit"):
        if path.suffix.lower() != ".zarr":  # on a shared disk, pages of one file that two machines write lose rows
            raise ValueError(f"{path}: the workers of a cluster write .zarr, where each batch has files of its own")
    elif not isinstance(workers, int) or isinstance(workers, bool) or workers < 0:
        raise TypeError(f"workers must be a number of processes or a distributed.Client, not {workers!r}")


def _begin(work: Work, size: int, identity: dict[str, Any]) -> tuple[dict[str, Any], set[tuple[int, int]]]:
    first = work.maps(0, 1)  # says what shape and dtype they have; a name or a model that cannot be is refused here
    header = {"identity": identity, "batch_size": size}
    shapes = {name: (len(work.rows), *maps.shape[1:]) for name, maps in first.items()}
    (dtype,) = {maps.dtype.str for maps in first.values()}
    work.files.make(header, shapes, dtype)
    return header, set()


def _done(work: Work, due: list[tuple[int, int]], workers: Workers) -> Iterator[tuple[int, int]]:
    """Yield batches as they are finished."""
    if not isinstance(workers, int):
        yield from _done_by_cluster(work, due, workers)
    elif workers:
        yield from _done_by_workers(work, due, workers)
    else:
        yield from (work.do(*batch) for batch in due)


def _done_by_cluster(work: Work, due: list[tuple[int, int]], client: Client) -> Iterator[tuple[int, int]]:
    """Yield batches as workers of a cluster finish them; what a lost worker had to do, others do."""
    from distributed import as_completed  # where the client comes from

    losses = 0
    while due:
        # Once to each worker, which keeps what the Explainer finds out; not by a hash, which would read all of it
        # again. dask drops all copies but one in time, so the loss of a single worker can be the loss of the work.
        held = client.scatter(work, broadcast=True, hash=False)
        futures = [client.submit(Work.do, held, *batch, pure=False) for batch in due]
        finished = set[tuple[int, int]]()
        try:
            for future in as_completed(futures):
                batch = future.result()
                finished.add(batch)
                yield batch
        except CancelledError:
            losses = 0 if finished else losses + 1
            if losses == LOSSES:
                raise RuntimeError(
                    f"the workers of the cluster that held the model were lost {LOSSES} times, and no batch was "
                    "finished in between; what they printed says why, and the same call goes on where they were"
                ) from None
        finally:
            client.cancel(futures)
        due = [batch for batch in due if batch not in finished]


_work: Work | None = None  # of a worker process


def _take(work: Work, threads: int) -> None:
    global _work
    _work = work
    torch.set_num_threads(threads)


def _do(first: int, last: int) -> tuple[int, int]:
    assert _work is not None
    return _work.do(first, last)


def _done_by_workers(work: Work, due: list[tuple[int, int]], workers: int) -> Iterator[tuple[int, int]]:
    """Yield batches as worker processes finish them; no more are asked for than keep all workers busy."""
    threads = max(1, torch.get_num_threads() // workers)
    context = multiprocessing.get_context("spawn")  # a fork of a process with threads may hang
    with ProcessPoolExecutor(workers, context, _take, (work, threads)) as pool:
        waiting, running = iter(due), set[Future[tuple[int, int]]]()
        try:
            while True:
                for batch in waiting:
                    running.add(pool.submit(_do, *batch))
                    if len(running) >= 2 * workers:
                        break
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for one in finished:
                    yield one.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def fingerprint(model: nn.Module) -> str:
    """Return a hash of a model's class, weights and buffers."""
    digest = hashlib.sha256(type(model).__qualname__.encode())
    for name, values in sorted(model.state_dict().items()):
        digest.update(f"{name} {getattr(values, 'shape', '')} {getattr(values, 'dtype', '')}".encode())
        if isinstance(values, Tensor):
            digest.update(values.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
