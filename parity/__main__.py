"""`python -m parity`, also installed as `parity`: what starts before anything is known to be installed."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from parity.extras import MissingPackageError, named


@contextmanager
def _ended_by_ctrl_c() -> Iterator[None]:
    """Let Ctrl-C end the process as the system does: while imports run, its traceback would tell of some module's."""
    raises = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if raises:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        if raises:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def main() -> None:
    """Run the command line, or say which extra it needs."""
    try:
        with named("parity"), _ended_by_ctrl_c():
            from parity.commands.cli import main as command_line
    except MissingPackageError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    command_line(prog_name="parity")


if __name__ == "__main__":
    main()
