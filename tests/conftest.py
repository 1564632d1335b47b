"""Shared by all tests."""

import signal

import pytest

from parity.run.torch_arithmetic import round_equal_windows_equally

round_equal_windows_equally()  # before torch multiplies anything

_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]


@pytest.fixture(autouse=True)
def signals_as_they_were():
    """A command that was told to end leaves these signals ignored, as its process is about to end; this one is not."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    yield
    for number, handler in before.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)
