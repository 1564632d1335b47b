"""The command `python -m bench.chaos`."""

from __future__ import annotations

import tempfile
import uuid
from pathlib import Path

import click

from bench.chaos.places import Places
from bench.chaos.soak import soak
from parity.run.results import dumps, write_atomically


@click.command()
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="How long.")
@click.option("--rounds", type=click.IntRange(1), help="How many rounds at most. [as many as there is time for]")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides faults and moments.")
@click.option("--inputs", type=click.IntRange(1), default=40, show_default=True, help="How many inputs a run has.")
@click.option(
    "--report", type=click.Path(dir_okay=False, path_type=Path), default=Path("reports/chaos.json"), show_default=True,
)  # fmt: skip
def main(minutes: float, rounds: int | None, seed: int, inputs: int, report: Path) -> None:
    """Kill, freeze and starve runs, damage what they read, and look at what is left of them."""

    def goes_on(count: int, seconds: float) -> bool:
        return seconds < 60 * minutes and (rounds is None or count < rounds)

    with tempfile.TemporaryDirectory(prefix="parity-chaos-") as folder:
        outcome = soak(Places(Path(folder), uuid.uuid4().hex), seed, inputs, goes_on, click.echo)
    report.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(report, dumps(outcome.to_json()))
    click.echo(
        f"{outcome.rounds} rounds in {outcome.seconds:.0f} s, {outcome.finished} finished cases seen after a fault"
    )
    for failure in outcome.failures:
        click.echo(failure, err=True)
    raise SystemExit(1 if outcome.failures else 0)


if __name__ == "__main__":
    main()
