"""Signals that end a run: Ctrl-C, the end of a batch job or a container (SIGTERM), a terminal that closes (SIGHUP)."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from parity.system import signals

INTERRUPTED = 128 + signal.SIGINT
"""Exit code after Ctrl-C, as shells have it."""
SIGNALS = signals("SIGINT", "SIGTERM", "SIGHUP")


class Stop(KeyboardInterrupt):
    """A signal came; whatever heeds Ctrl-C heeds it.

    Parameters
    ----------
    number : int
        The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.exit_code = 128 + number


class StopSignals:
    """Stops a run in order, once; a context manager.

    The first signal raises `Stop` where the run is; those after it, however many, change nothing: the report of what
    is finished is being written. A signal that was already ignored (nohup) stays so. Outside of the main thread, where
    Python has no say in signals, it does nothing.

    Attributes
    ----------
    received : int or None
        The first signal that came.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._held = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> StopSignals:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                if signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, self._came)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.received is not None:
            ignore_all()  # the process is about to end
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """What a process exits with that a signal ended."""
        return INTERRUPTED if self.received is None else 128 + self.received

    def hold(self) -> None:
        """From here on take note of a signal and raise nothing: what is being written is worth more than seconds."""
        self._held = True

    def resume(self) -> None:
        """Raise again at a signal."""
        self._held = False

    def _came(self, number: int, _frame: FrameType | None) -> None:
        first = self.received is None
        self.received = self.received or number
        if first and not self._held:
            raise Stop(number)


def ignore_all() -> None:
    """Let no signal disturb what is left of a process that ends: its exit code stands, and all its work is written."""
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)
