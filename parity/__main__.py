"""`python -m parity`."""

from parity.commands.cli import main

main(prog_name="parity")
