"""The TensorFlow process: reads requests on stdin, answers them until stdin ends.

Runs in the reference environment alone (numpy, h5py, tensorflow and one of the two packages); nothing of
torch is imported. Start it as `REFERENCE_PYTHON -m parity.reference.worker.main --mode signxai` or by file path.
One process has one mode, because innvestigate needs graph mode and signxai eager mode.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib.metadata
import mmap
import os
import platform
import sys
import threading
import time
import traceback
import types
from pathlib import Path
from typing import Any, BinaryIO

if __package__ in (None, ""):
    # Started by file path: make `parity` importable without putting its parent on the path, which may be
    # the site-packages of the torch environment.
    _here = Path(__file__).resolve().parent
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != _here]
    _packages = (("parity", _here.parents[1]), ("parity.reference", _here.parent), ("parity.reference.worker", _here))
    for _name, _folder in _packages:
        _package = types.ModuleType(_name)
        _package.__path__ = [str(_folder)]
        sys.modules[_name] = _package

from parity.hashing import array_sha256
from parity.reference.protocol import PACKAGES, WORKER_VERSION, decode, encode, read_array, write_arrays
from parity.reference.request import ReferenceCall
from parity.system import allowed_cores, largest_memory, work_so_far

STACK_BYTES = 100 << 20
"""Less than the room that Linux leaves under the stack of a process."""
BYTES_OF_A_CALL = 10_000
"""More stack than a call of Python takes, also where it goes through C, such as the key of a sort."""
STILL_SECONDS = 20.0
"""A start in which nothing is computed or read for so long will not end."""


def main(arguments: list[str] | None = None) -> int:
    """Run the worker until stdin ends; return its exit code."""
    parser = argparse.ArgumentParser(description="TensorFlow reference process")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--mode", choices=("innvestigate", "signxai"))
    what.add_argument("--versions", action="store_true", help="print the versions as JSON and end")
    parser.add_argument("--threads", type=int, default=0, help="threads of TensorFlow, 0: one per core")
    parser.add_argument("--memory-limit", type=int, default=0, help="bytes after which it ends itself, 0: none")
    parser.add_argument("--forget", action="store_true", help="compute anew what several methods have in common")
    options = parser.parse_args(arguments)
    with take_stdout() as channel:
        if options.versions:
            send(channel, package_versions())
            return 0
        return serve(channel, options)


def serve(channel: BinaryIO, options: argparse.Namespace) -> int:
    """Set TensorFlow up, say so, and answer what comes on stdin until it ends; return the exit code."""
    send(channel, {"event": "starting"})
    threads = options.threads or allowed_cores()
    watchdog = Watchdog(options.memory_limit, channel)
    watchdog.start()
    # If the machine runs out of memory, this process is the one to go: it costs one request.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    try:
        worker = Worker(options.mode, threads, channel, remember=not options.forget)
    except Exception as error:  # whatever an import of TensorFlow can raise
        traceback.print_exc()
        send(channel, {"event": "failed", "error": f"{type(error).__name__}: {error}"})
        return 1
    deepen_calls()
    # What is imported by now stays: left out of every later collection, which then takes milliseconds.
    gc.collect()
    gc.freeze()
    watchdog.ready()
    send(channel, {"event": "ready", "versions": worker.versions})
    for line in sys.stdin.buffer:
        worker.compute(decode(line))
    return 0


def deepen_calls() -> None:
    """Let calls of Python nest as deep as networks do, where the stack of the process can grow along (Linux).

    SIGN-XAI's fork goes from layer to layer by calls within calls, about five for each. A network of 300 layers in a
    row is beyond what Python allows unless it is told otherwise. Calls that have no end are still Python's to stop.
    """
    if sys.platform != "linux":
        return
    import resource

    allowed, most = resource.getrlimit(resource.RLIMIT_STACK)
    if allowed != resource.RLIM_INFINITY and allowed < STACK_BYTES:
        if most != resource.RLIM_INFINITY and most < STACK_BYTES:
            return
        resource.setrlimit(resource.RLIMIT_STACK, (STACK_BYTES, most))
    sys.setrecursionlimit(STACK_BYTES // BYTES_OF_A_CALL)


def package_versions() -> dict[str, str]:
    """Return the versions of Python, of the installed packages among `PACKAGES`, and of this worker."""
    versions = {"python": platform.python_version(), "worker": str(WORKER_VERSION)}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def take_stdout() -> BinaryIO:
    """Return a stream to what was stdout; from now on everything printed goes to stderr.

    TensorFlow and the packages print, from Python and from C, and the channel is for answers only.
    """
    channel = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return channel


def send(channel: BinaryIO, message: dict[str, Any]) -> None:
    """Write one message."""
    channel.write(encode(message))


class Worker:
    """One mode of the reference: TensorFlow set up, models kept, requests answered one after another."""

    def __init__(self, mode: str, threads: int, channel: BinaryIO, remember: bool = True) -> None:
        # Set here and not only by the client, so that a worker started by hand computes the same.
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
        os.environ.setdefault("MPLBACKEND", "Agg")
        os.environ["OMP_NUM_THREADS"] = str(threads)
        import tensorflow as tf

        tf.get_logger().setLevel("ERROR")
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        if mode == "innvestigate":
            tf.compat.v1.disable_eager_execution()
            from parity.reference.worker import constants

            constants.install()
        from parity.reference.worker import missing_kernels
        from parity.reference.worker.calls import Calls
        from parity.reference.worker.methods import InnvestigateMethods, SignxaiMethods
        from parity.reference.worker.models import Models

        missing_kernels.install()
        self._mode = mode
        self._channel = channel
        methods = InnvestigateMethods() if mode == "innvestigate" else SignxaiMethods(remember)
        self._calls = Calls(Models(graph=mode == "innvestigate"), methods)
        self._resources = (MemoryError, tf.errors.ResourceExhaustedError)
        self.versions = {
            **package_versions(),
            "onednn": os.environ["TF_ENABLE_ONEDNN_OPTS"],
            "threads": str(threads),
        }

    def compute(self, request: dict[str, Any]) -> None:
        """Answer one request: a message per input, then `done`."""
        answered, started = 0, log_size()
        common = {"event": "answer", "id": request["id"]}
        try:
            for answered, answer in enumerate(self._answers(request), start=1):
                send(self._channel, {**common, "index": answered - 1, **answer})
        except BrokenPipeError:
            raise
        except Exception as error:
            traceback.print_exc()
            failure = {"error_kind": self._kind(error), "error": describe(error), "log": [started, log_size()]}
            for index in range(answered, len(request["targets"])):
                send(self._channel, {**common, "index": index, **failure})
        gc.collect()
        send(self._channel, {"event": "done", "id": request["id"]})

    def _answers(self, request: dict[str, Any]) -> Any:
        """Yield one answer per input; what concerns the model or the method as a whole is raised."""
        call = ReferenceCall.from_json(request["call"])
        if call.backend != self._mode:
            raise ValueError(f"a request for {call.backend} came to the worker of {self._mode}")
        reset_peak_rss()
        start = time.perf_counter()
        analyze, notes = self._calls.prepare(call, request["model"], request["dtype"])
        setup = time.perf_counter() - start
        for index, target in enumerate(request["targets"]):
            x = read_array(Path(request["inputs"]), index).astype(request["dtype"])
            start, logged = time.perf_counter(), log_size()
            try:
                array = analyze(x, target)
            except Exception as error:
                traceback.print_exc()
                yield {"error_kind": self._kind(error), "error": describe(error), "log": [logged, log_size()]}
                continue
            seconds = time.perf_counter() - start
            file = Path(request["outputs"]) / f"{request['id']}-{index}.h5"
            write_arrays(file, [array])
            yield {
                "error_kind": None,
                "error": None,
                "file": file.name,
                "sha256": array_sha256(array),
                "seconds": seconds,
                "setup_seconds": setup,
                "peak_rss": peak_rss(),
                "notes": notes,
            }

    def _kind(self, error: Exception) -> str:
        from parity.reference.worker.models import ModelChangedError

        if isinstance(error, self._resources):
            return "crash"
        if isinstance(error, (ModelChangedError, OSError)):
            return "environment"
        return "method"


def log_size() -> int:
    """Return how much was written to stderr, in bytes, if it is a file: the client reads it by these places."""
    sys.stderr.flush()
    return os.fstat(2).st_size


def describe(error: BaseException) -> str:
    """Return type and message of an error of the reference and where it was raised; of our own, the message."""
    if type(error).__module__.startswith("parity."):
        return str(error)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.line]
    place = f" (at {Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {str(error)[:2000]}{place}"


def reset_peak_rss() -> None:
    """Forget the largest resident memory so far, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return


def peak_rss() -> int:
    """Return the largest resident memory in bytes since `reset_peak_rss`, or since the start."""
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        return largest_memory()
    return 1024 * next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))


class Watchdog(threading.Thread):
    """Ends the worker if its client is gone or its memory limit is passed, whatever TensorFlow is doing.

    Until the worker is ready it is also ended, with a word to the client, when it does nothing at all: an import that
    waits for something that never comes.
    """

    def __init__(self, memory_limit: int, channel: BinaryIO) -> None:
        super().__init__(daemon=True)
        self._limit = memory_limit
        self._parent = os.getppid()
        self._channel = channel
        self._main = threading.get_ident()
        self._importing = threading.Lock()
        self._ready = False
        self._work, self._idle = 0.0, 0

    def ready(self) -> None:
        """Take note that the worker has started: from now on it may wait as long as it likes."""
        with self._importing:
            self._ready = True

    def run(self) -> None:
        """Look once every quarter of a second."""
        while True:
            time.sleep(0.25)
            if os.getppid() != self._parent:
                os._exit(3)
            if self._limit and (used := current_rss()) > self._limit:
                os.write(2, b"memory limit: %d bytes used, %d allowed\n" % (used, self._limit))
                os._exit(137)
            with self._importing:
                if not self._ready:
                    self._look_for_work()

    def _look_for_work(self) -> None:
        """End the worker if it has neither computed nor read from the disk in `STILL_SECONDS`."""
        work = work_so_far()
        if work - self._work > 0.05:  # seconds; looking itself takes less
            self._work, self._idle = work, 0
        # Looks are counted, not seconds: a machine that slept, or a process that was stopped, has lost no time.
        self._idle += 1
        if self._idle * 0.25 > STILL_SECONDS:
            frames = traceback.extract_stack(sys._current_frames()[self._main])
            place = f"{frames[-1].filename}:{frames[-1].lineno}"
            send(self._channel, {"event": "failed", "error": f"it hangs: nothing for {STILL_SECONDS:g} s, at {place}"})
            os._exit(4)


def current_rss() -> int:
    """Return the resident memory in bytes, or 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * mmap.PAGESIZE
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
