"""The side that asks: starts the child process, hands it files, and says what became of it."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from parity.errors import ParityError
from parity.looks.sizes import most_unpacked
from parity.system import own_group

SECONDS = 4.0
"""CPU time for a small file; good ones take milliseconds."""
BYTES_PER_SECOND = 1 << 20
"""What a slow reader manages; larger files get more time."""
START = 120.0
"""Seconds until the child must have begun, however busy the machine is."""
IDLE = 5.0
"""Seconds without a question after which the child is ended."""
SETTLED = 2.0
"""A file is known again by size and time of change once it was left alone for this long, in seconds."""

_CHILD = Path(__file__).with_name("child.py")
_PACKAGE = Path(__file__).resolve().parents[1]
_WEIGHTS = _PACKAGE.parent / "weights"
# What comes with the package is as good as its code: its data, and in a clone the weights beside it.
_SHIPPED = (_PACKAGE, *([_WEIGHTS] if (_WEIGHTS / "fetch.py").is_file() else []))


def look(function: Callable[..., object], path: Path, *arguments: Any, error: type[ParityError] = ParityError) -> None:
    """Call `function(path, *arguments)` in a child process with limits, and return if it comes back.

    One child looks at many files, and ends when it is not asked for a while. What it has seen once is not looked at
    again as long as the file stays as it is; what comes with the package is not looked at.

    Parameters
    ----------
    function
        Of a module of this package, and what the caller is about to do itself: reads all of the file that is read
        later. What it returns is thrown away.
    path
        The file.
    *arguments
        As JSON carries them.
    error
        Of which class a refusal is.

    Raises
    ------
    ParityError
        Of the class `error`: what the function raised; or that it took more time or memory than a good file takes, or
        that it crashed.
    """
    where = path.resolve()
    if any(folder in where.parents for folder in _SHIPPED):
        return
    try:
        before = where.stat()
    except OSError:
        return  # the function itself says so better
    asked = {
        "module": function.__module__, "function": function.__qualname__, "path": str(path),
        "arguments": list(arguments), "folder": str(Path.cwd()),
        "seconds": SECONDS + before.st_size / BYTES_PER_SECOND, "memory": 2 * most_unpacked(where) + (256 << 20),
    }  # fmt: skip
    content = (str(where), before.st_ino, before.st_size, before.st_mtime_ns)
    known, begun = (content, json.dumps(asked)), time.time()
    with _STATE.lock:
        if known in _STATE.passed:
            return
        refusal = _STATE.hopeless.get(content) or _STATE.asked(asked, content)
    if refusal:
        raise error(refusal)
    # Two changes within a tick of the clock of the file system look like one.
    if begun - before.st_mtime > SETTLED:
        _STATE.passed.add(known)


Content = tuple[str, int, int, int]
"""A file as it was: where, which, its size and its time of change."""


class _State:
    """The one child of this process, and what it has seen."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.passed: set[tuple[Content, str]] = set()
        self.hopeless: dict[Content, str] = {}  # what hung once hangs again, whatever is read of it
        self._child: subprocess.Popen[bytes] | None = None
        self._idle: threading.Timer | None = None

    def asked(self, request: dict[str, Any], content: Content) -> str:
        """Return why a file is refused, "" if it is not."""
        if self._idle is not None:
            self._idle.cancel()
        try:
            # A child that has grown ends, and another takes its place.
            answer = self._answer(request) or self._answer(request)
        finally:
            self._idle = threading.Timer(IDLE, self._rest)
            self._idle.daemon = True
            self._idle.start()
        if answer is None or "failed" in answer:
            raise ParityError(
                f"the process that looks at files before they are read ({sys.executable}) does not start"
                f"{': ' + answer['failed'] if answer else ''}. Nothing was read."
            )
        if "ended" in answer:
            refusal = f"{request['path']}: {answer['ended']} Copy or save the file again."
            if time.time() * 1e9 - content[-1] > SETTLED * 1e9:
                self.hopeless[content] = refusal
            return refusal
        return str(answer["refused"])

    def _answer(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the child's answer, or None if it had ended before it was asked."""
        child = self._child = self._child or _started()
        assert child.stdin is not None
        try:
            try:
                child.stdin.write(json.dumps(request).encode() + b"\n")
                child.stdin.flush()
                begun = _line(child, START)
            except BrokenPipeError:
                begun = None
            if begun is None or "failed" in begun:
                self.close(kill=True)
                return begun
            # By the clock twice as long as by the CPU: others may be at work.
            begin, patience = time.monotonic(), 2 * request["seconds"]
            answer = _line(child, patience)
        except BaseException:  # Ctrl-C: what it says next would be taken for another file's answer
            self.close(kill=True)
            raise
        if answer is None:
            late = time.monotonic() - begin >= patience
            answer = {"ended": _end(self.close(kill=True), late, request["seconds"])}
        return answer

    def _rest(self) -> None:
        with self.lock:
            if self._idle is threading.current_thread():  # nobody has asked while this waited for the lock
                self.close()

    def close(self, kill: bool = False) -> int:
        """End the child; return its exit code."""
        child, self._child = self._child, None
        if child is None:
            return 0
        assert child.stdin is not None
        assert child.stdout is not None
        with suppress(OSError):
            child.stdin.close()
        if not kill:
            with suppress(subprocess.TimeoutExpired):
                child.wait(1.0)
        code = child.poll()
        if code is None and kill:
            with suppress(subprocess.TimeoutExpired):
                code = child.wait(0.2)  # it may just be ending by itself
        if code is None:
            child.kill()
            code = child.wait()
        child.stdout.close()
        return code


def _started() -> subprocess.Popen[bytes]:
    # -I: neither the working folder nor what the environment names is imported from. What this process has found
    # elsewhere is found there too.
    own = [entry for entry in sys.path if entry and Path(entry).is_absolute() and entry != str(Path.cwd())]
    command = [sys.executable, "-I", str(_CHILD), json.dumps([str(_PACKAGE.parent), *own])]
    # Threads of the linear algebra that is not used here would take the memory that is allowed.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    # A session of its own: Ctrl-C is for this process, which ends the child.
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment,
        **own_group(),
    )  # fmt: skip


def _line(child: subprocess.Popen[bytes], seconds: float) -> dict[str, Any] | None:
    """Return the next line of a child, or None if it ends, or is ended for being late."""
    assert child.stdout is not None
    timer = threading.Timer(seconds, child.kill)
    timer.daemon = True
    timer.start()
    try:
        line = child.stdout.readline()
    finally:
        timer.cancel()
    if not line.endswith(b"\n"):
        return None
    answer: dict[str, Any] = json.loads(line)
    return answer


def _end(code: int, late: bool, seconds: float) -> str:
    """Say what the end of a child tells about the file that it looked at."""
    name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    if late or name == "SIGXCPU":
        return f"reading it takes more than {seconds:.0f} s, as that of a damaged file does."
    if name == "SIGKILL":
        return "what reads it was killed, for want of memory as it seems."
    return f"it is damaged such that what reads it crashes ({name})."


_STATE = _State()
atexit.register(lambda: _STATE.close())


def _of_a_fork() -> None:
    """Leave the child, and a lock that another thread may hold, to the process that they belong to."""
    global _STATE
    _STATE = _State()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_of_a_fork)
