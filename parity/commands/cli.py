"""The command line: `python -m parity ...`, also installed as `parity`."""

from __future__ import annotations

import errno
import os
from typing import Any

import click

from parity.commands.compare import compare
from parity.commands.consoles import CONTEXT, console, escaped, show_traceback
from parity.commands.convert import convert
from parity.commands.doctor import doctor
from parity.commands.methods import methods
from parity.commands.models import models
from parity.commands.mutants import mutants
from parity.commands.reference import reference
from parity.commands.report import report
from parity.commands.run import run
from parity.commands.setup import setup
from parity.commands.show import show
from parity.commands.signals import INTERRUPTED, Stop, ignore_all
from parity.commands.streams import prepared
from parity.commands.trace import trace
from parity.errors import ParityError
from parity.extras import sentence

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""A disk, a quota, or the largest file that may be written."""


class _Group(click.Group):
    """Shows an error as one message and exits with 2; the traceback comes with --debug only."""

    def main(self, *arguments: Any, **options: Any) -> Any:
        with prepared() as output:
            try:
                return super().main(*arguments, **options)
            except SystemExit as ending:
                ignore_all()
                output.flush()
                raise SystemExit(output.exit_code(ending.code)) from None

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise  # click's own words
        except KeyboardInterrupt as error:
            console(stderr=True).print("interrupted")
            ctx.exit(error.exit_code if isinstance(error, Stop) else INTERRUPTED)
        except ParityError as error:
            self._tell(error, "error", str(error))
            ctx.exit(error.exit_code)
        except Exception as error:
            needs = sentence(error.name, "parity") if isinstance(error, ModuleNotFoundError) else None
            if needs is not None:
                self._tell(error, "error", needs)
            elif isinstance(error, OSError) and error.filename and error.strerror:
                self._tell(error, "error", f"{os.fsdecode(error.filename)}: {error.strerror}")
            elif isinstance(error, OSError) and error.errno in FULL:
                self._tell(error, "error", f"{error.strerror}; make room and run again")
            else:
                self._tell(error, "unexpected error", f"{type(error).__name__}: {error}")
                if not ctx.params.get("debug"):
                    console(stderr=True).print("`parity --debug ...` shows where it happened.")
            ctx.exit(2)

    def _tell(self, error: Exception, title: str, text: str) -> None:
        show_traceback(error)
        console(stderr=True).print(f"[bold red]{title}:[/] {escaped(text)}", soft_wrap=True)


@click.group(
    cls=_Group,
    context_settings=CONTEXT,
    epilog="""\b
Begin with:
  parity setup                                    # once: makes the TensorFlow environment
  parity doctor                                   # is everything there?
  parity run --model vgg_mnist --method lrp_flat  # one method
  parity run --help                               # every command has examples

\b
Completion of commands, options, methods and models; for this shell, or in its startup file:
  eval "$(_PARITY_COMPLETE=bash_source parity)"   # bash
  eval "$(_PARITY_COMPLETE=zsh_source parity)"    # zsh
  _PARITY_COMPLETE=fish_source parity | source    # fish""",
)
@click.option("--debug", is_flag=True, envvar="PARITY_DEBUG", help="Show the traceback of errors. [$PARITY_DEBUG]")
@click.version_option(package_name="signxai-torch-parity")
def main(debug: bool) -> None:
    """Hold PyTorch explanations to their TensorFlow originals, number by number."""


for _command in (run, compare, convert, doctor, methods, models, mutants, reference, report, setup, show, trace):
    main.add_command(_command)


if __name__ == "__main__":
    main()
