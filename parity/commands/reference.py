"""`parity reference`: what TensorFlow says, in one file for those who have none, and whether it still says so."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from parity.claimed import temporary
from parity.commands.completion import complete_method, complete_model
from parity.commands.consoles import CONTEXT, console, escaped, examples
from parity.commands.outputs import require_folder
from parity.commands.progress import RunProgress
from parity.errors import ParityError
from parity.paths import command_line

if TYPE_CHECKING:
    from parity.reference.store import ResultStore


@click.group(
    context_settings=CONTEXT,
    short_help="Pack TensorFlow's answers into a file; verify one.",
    epilog=examples(
        "parity reference pack references.zip     # every answer for the core methods on the shipped models",
        "parity reference verify references.zip   # are they still what TensorFlow says?",
    ),
)
def reference() -> None:
    """Pack answers of the TensorFlow references into one file, and verify such a file."""


def _cases(command: Any) -> Any:
    """Give a command the options that choose cases."""
    options = (
        click.option(
            "--model", "models", multiple=True, shell_complete=complete_model,
            help="Name or Keras .h5; 'all' is every shipped one. [all]",
        ),
        click.option("--inputs", "files", multiple=True, help="Arrays or images instead of the shipped inputs."),
        click.option("--samples", type=click.IntRange(1), default=1, show_default=True, help="How many inputs."),
        click.option(
            "--method", "methods", multiple=True, shell_complete=complete_method, help="Names or globs. [core]"
        ),
        click.option("--jobs", type=click.IntRange(1), help="Reference processes at once."),
        click.option(
            "--traces", is_flag=True,
            help="Also what the references do at each layer, by which failing rows are followed; some 40 MB.",
        ),
    )  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


@reference.command(
    context_settings=CONTEXT,
    epilog=examples(
        "parity reference pack references.zip                    # core methods on the shipped models",
        "parity reference pack mine.zip --model mine.h5 --inputs x.npy --method 'lrp_*'",
    ),
)
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@_cases
def pack(path: Path, **cases: Any) -> None:
    """Compute every answer that `parity run` asks for these cases, and write them to PATH.

    With it, `parity run --offline --pack PATH` needs the torch environment alone.
    """
    require_folder(path)
    from parity.reference.packed import write_pack

    with temporary("parity-pack-") as claimed:
        store = _computed(claimed.path, **cases)
        about = {
            "created": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "command": command_line(["parity", *sys.argv[1:]]),
        }
        count = write_pack(store, path, about)
    console().print(f"{count} answers, {path.stat().st_size / 1e6:.1f} MB: {path}", markup=False, soft_wrap=True)


@reference.command(
    context_settings=CONTEXT,
    epilog=examples("parity reference verify references.zip       # computes every answer anew"),
)
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_cases
def verify(path: Path, **cases: Any) -> None:
    """Compute the answers in PATH again, for the same cases as it was packed for, and compare.

    Exit 1 if an answer is not the same: float64 within 1e-12 of its norm, float32 within 1e-3, texts to the letter.
    """
    from parity.reference.packed import PackedAnswers
    from parity.reference.verified import Verdict, compared

    packed = PackedAnswers(path)
    with temporary("parity-verify-") as claimed:
        store = _computed(claimed.path, **cases)
        verdict: Verdict = compared(packed, store)
    out = console()
    out.print(verdict.text(), markup=False, soft_wrap=True)
    sys.exit(0 if verdict.same else 1)


def _computed(
    folder: Path,
    models: Sequence[str],
    files: Sequence[str],
    samples: int,
    methods: Sequence[str],
    jobs: int | None,
    traces: bool,
) -> ResultStore:
    """Return a store with every answer that a run asks, and those of traces if they are asked for, computed now."""
    from parity.reference.store import ResultStore
    from parity.run.session import Session

    errors = console(stderr=True)
    session = Session(
        models=models or ["all"],
        methods=methods or ["core"],
        files=files,
        samples=samples,
        directory=folder / "report",
        store=folder / "store",
        jobs=jobs,
        command="parity reference",
    )
    with RunProgress(errors, session.total) as progress:
        session.run(progress)
    if traces:
        for _ in session.traces():  # what has no trace says so when it is asked for
            pass
    for problem in session.store_problems:
        errors.print(f"[yellow]note:[/] {escaped(problem)}", soft_wrap=True)
    if session.interrupted or session.failure is not None:
        detail = session.failure.detail if session.failure is not None else ""
        raise ParityError(f"the references were not all computed: {session.failure or 'interrupted'}", detail)
    return ResultStore(folder / "store")
