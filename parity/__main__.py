"""`python -m parity`, also installed as `parity`: what starts before anything is known to be installed."""

from __future__ import annotations

import sys

from parity.extras import MissingPackageError, named


def main() -> None:
    """Run the command line, or say which extra it needs."""
    try:
        with named("parity"):
            from parity.commands.cli import main as command_line
    except MissingPackageError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    command_line(prog_name="parity")


if __name__ == "__main__":
    main()
