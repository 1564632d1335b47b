"""One worker process: started, spoken to line by line, watched, and ended."""

from __future__ import annotations

import queue
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from parity.reference.program import NEUTRAL, shown
from parity.reference.protocol import MAX_LINE, decode, encode
from parity.reference.request import ErrorKind
from parity.system import end_group, own_group, signals

FIRST_SIGN = 15.0
"""Seconds within which a worker that was started says that it lives."""
_TAIL_CHARACTERS = 4000

# What a process dies of when somebody ends it: the system that is out of memory, a user, a shutdown.
_SENT_BY_OTHERS = signals("SIGKILL", "SIGTERM", "SIGINT", "SIGHUP")


class WorkerError(Exception):
    """The worker is of no use any more.

    Attributes
    ----------
    kind
        In which way.
    died
        Whether the process ended of itself (an abort, a segmentation fault, an exit nobody asked for), and neither
        somebody nor its memory limit ended it.
    """

    def __init__(self, kind: ErrorKind, message: str, died: bool = False) -> None:
        super().__init__(message)
        self.kind = kind
        self.died = died


class WorkerProcess:
    """A running worker.

    It does not see the working folder, where a module or a configuration file could lie in wait for it. It gets a
    session of its own, so that Ctrl-C in a terminal reaches the client alone, which then ends the
    worker with everything it started. A worker also ends by itself when its stdin does.

    Parameters
    ----------
    command
        Program and arguments.
    environment
        Its environment variables.
    log
        File that gets what it writes to stderr.

    Raises
    ------
    WorkerError
        If the program cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._log = log
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        try:
            with log.open("ab") as errors:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=dict(environment),
                    cwd=NEUTRAL,
                    **own_group(),
                )
        except OSError as error:
            raise WorkerError("environment", f"cannot start {command[0]}: {error}") from error
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def begin(self, timeout: float) -> dict[str, str]:
        """Return the versions that a worker tells when it is ready.

        It shows that it lives before it imports TensorFlow, so that an interpreter that hangs is known in seconds.

        Raises
        ------
        WorkerError
            `"environment"` if it says why it cannot start, or hangs; else as `receive` does.
        """
        allowed = min(FIRST_SIGN, timeout)
        try:
            message = self.receive(allowed)
            if message.get("event") == "starting":
                allowed = timeout
                message = self.receive(allowed)
        except WorkerError as error:
            if error.kind != "timeout":
                raise
            said = shown(self.log_tail().encode()) or "nothing"
            raise WorkerError("environment", f"it hangs: no answer for {allowed:g} s; it wrote: {said}") from None
        if message.get("event") == "failed":
            raise WorkerError("environment", str(message.get("error")))
        if message.get("event") != "ready" or not isinstance(message.get("versions"), dict):
            raise WorkerError("protocol", f"the worker began with {str(message)[:200]}")
        return {str(name): str(value) for name, value in message["versions"].items()}

    def send(self, message: Mapping[str, Any]) -> None:
        """Send one message.

        Raises
        ------
        WorkerError
            If the worker is gone.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode(dict(message)))
            self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise self._how_it_ended() from error

    def receive(self, timeout: float) -> dict[str, Any]:
        """Return the next message, waiting `timeout` seconds for it.

        Raises
        ------
        WorkerError
            `"timeout"`, `"crash"` if the worker ended, `"protocol"` if a line is no message.
        """
        try:
            line = self._lines.get(timeout=timeout)
        except queue.Empty:
            raise WorkerError("timeout", f"the worker gave no answer for {timeout:g} s") from None
        if line is None:
            raise self._how_it_ended()
        try:
            return decode(line)
        except ValueError:
            shown = line[:80].decode(errors="replace").strip()
            raise WorkerError("protocol", f"the worker sent a line that is no message: {shown!r}") from None

    def log_size(self) -> int:
        """Return how much the worker has written to stderr, in bytes."""
        return self._log.stat().st_size if self._log.exists() else 0

    def log_tail(self, start: int = 0, end: int | None = None) -> str:
        """Return the last of what the worker wrote to stderr from byte `start` to `end`, or until now."""
        try:
            with self._log.open("rb") as stream:
                end = self.log_size() if end is None else end
                start = max(start, end - 4 * _TAIL_CHARACTERS)
                stream.seek(start)
                return stream.read(max(end - start, 0)).decode(errors="replace")[-_TAIL_CHARACTERS:]
        except OSError:
            return ""

    def stop(self, grace: float = 2.0) -> None:
        """End the worker: it is asked by closing its stdin, and killed if it does not go within `grace` s."""
        self._close_stdin()
        try:
            self._process.wait(grace)
        except subprocess.TimeoutExpired:
            pass
        finally:
            self.kill()

    def kill(self) -> None:
        """End the worker and all it started, at once."""
        end_group(self._process)
        self._close_stdin()

    def _close_stdin(self) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except OSError:
            return  # a pipe to a process that has ended

    def _read(self) -> None:
        """Pass lines on until the worker closes its channel; runs in a thread of its own."""
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            while line := stream.readline(MAX_LINE):
                self._lines.put(line)
        self._lines.put(None)

    def _how_it_ended(self) -> WorkerError:
        """Return the error that says what is known about the end of a worker that closed its channel."""
        deadline = time.monotonic() + 0.5
        while (code := self._process.poll()) is None and time.monotonic() < deadline:
            time.sleep(0.01)
        if code is None:
            return WorkerError("crash", "the worker closed its channel but went on")
        if -code in signals("SIGKILL"):
            reason = "the worker was killed (SIGKILL), most often because the machine ran out of memory"
            return WorkerError("crash", reason)
        if code < 0:
            name = signal.Signals(-code).name
            return WorkerError("crash", f"the worker died of signal {name}", died=-code not in _SENT_BY_OTHERS)
        if code == 137:
            return WorkerError("crash", "the worker ended itself because it passed its memory limit")
        return WorkerError("crash", f"the worker ended with exit code {code}", died=True)
