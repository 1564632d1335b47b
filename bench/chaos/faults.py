"""The faults: what is done to a run before it starts, or while it goes on. A new one is one entry of `FAULTS`."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from bench.chaos.places import TOKEN, Places

Undo = Callable[[], None]


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes
    ----------
    name : str
        Lower case, with underscores.
    says : str
        What is done, for the report.
    before : callable, optional
        Done before the run starts; returns what mends it afterwards.
    during : callable, optional
        Done at a random moment of the run.
    file_limit : int, optional
        Bytes that a file may have in this run, as a disk that is full has it.
    harmless : bool
        Whether the run must end well nevertheless.
    """

    name: str
    says: str
    before: Callable[[Random, Places], Undo] | None = None
    during: Callable[[Random, subprocess.Popen[bytes], Places], None] | None = None
    file_limit: int | None = None
    harmless: bool = False

    def limits(self) -> None:
        """Set the limits of the new process; called in it before the program starts."""
        if self.file_limit is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_limit, self.file_limit))


def processes(token: str) -> Iterator[tuple[int, str]]:
    """Yield process id and command line of every living process of a soak."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if f"{TOKEN}={token}".encode() not in (folder / "environ").read_bytes().split(b"\0"):
                continue
            if (folder / "stat").read_text().rpartition(")")[2].split()[0] == "Z":
                continue
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            yield int(folder.name), command


def workers(places: Places) -> list[int]:
    """Return the process ids of the reference workers that live."""
    return [pid for pid, command in processes(places.token) if "worker" in command and "main.py" in command]


def _signalled(number: int, times: int = 1) -> Callable[[Random, subprocess.Popen[bytes], Places], None]:
    def during(rng: Random, run: subprocess.Popen[bytes], places: Places) -> None:
        del places
        for _ in range(rng.randint(1, times)):
            with contextlib.suppress(ProcessLookupError):
                run.send_signal(number)
            time.sleep(rng.uniform(0, 0.1))

    return during


def _worker_signalled(number: int) -> Callable[[Random, subprocess.Popen[bytes], Places], None]:
    def during(rng: Random, run: subprocess.Popen[bytes], places: Places) -> None:
        del run
        living = workers(places)
        for pid in rng.sample(living, min(1, len(living))):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    return during


def _flip(rng: Random, path: Path, count: int) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(count):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def _store_damaged(rng: Random, places: Places) -> Undo:
    entries = sorted(path for path in places.store.rglob("*") if path.is_file() and path.stat().st_size)
    for path in rng.sample(entries, min(5, len(entries))):
        _flip(rng, path, 8)
    return lambda: None


def _input_damaged(rng: Random, places: Places) -> Undo:
    path = rng.choice(sorted(places.inputs.glob("*.npy")))
    original = path.read_bytes()
    _flip(rng, path, 3)

    def undo() -> None:
        path.write_bytes(original)

    return undo


def _store_removed(rng: Random, run: subprocess.Popen[bytes], places: Places) -> None:
    del rng, run
    shutil.rmtree(places.store, ignore_errors=True)


FAULTS = (
    Fault("nothing", "nothing happens", harmless=True),
    Fault("killed", "the harness is killed (SIGKILL)", during=_signalled(signal.SIGKILL)),
    Fault("terminated", "the harness is asked to end (SIGTERM)", during=_signalled(signal.SIGTERM, 3)),
    Fault("interrupted", "Ctrl-C, up to ten times", during=_signalled(signal.SIGINT, 10)),
    Fault("worker_killed", "a reference worker is killed", during=_worker_signalled(signal.SIGKILL)),
    Fault("worker_crashed", "a reference worker dies of a segmentation fault",
          during=_worker_signalled(signal.SIGSEGV)),
    Fault("worker_frozen", "a reference worker is stopped and answers no more",
          during=_worker_signalled(signal.SIGSTOP)),
    Fault("store_damaged", "bytes of stored results are flipped", before=_store_damaged, harmless=True),
    Fault("store_removed", "the store is removed while the run goes on", during=_store_removed),
    Fault("input_damaged", "bytes of an input are flipped", before=_input_damaged),
    Fault("disk_full", "no file may grow beyond 20 kB", file_limit=20_000),
    Fault("disk_nearly_full", "no file may grow beyond 300 kB", file_limit=300_000),
)  # fmt: skip
