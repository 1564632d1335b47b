"""One run from a wish to the results document."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from bench import document, harness, memory
from bench.contenders import Everyone, NoCounterpartError, UnavailableError
from bench.contenders.everyone import REFERENCE
from bench.plan import Plan, Wish, make_plan
from bench.reference_total import stored_total
from bench.workbench import Workbench, why

ROUNDS_FILE = "bench-rounds.json"
"""Every round of every case, in pytest-benchmark's own format (`pytest-benchmark compare` reads it)."""


def run(
    wish: Wish,
    *,
    command: str,
    directory: Path,
    threads: int,
    device: str,
    with_reference: bool,
    store: Path | None,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Measure and return the results.

    Parameters
    ----------
    wish : Wish
        What is measured.
    command : str
        How the run was started, for the results.
    directory : Path
        Where the harness's own file goes.
    threads : int
        Threads of torch and of TensorFlow.
    device : str
        Where torch's contenders run.
    with_reference : bool
        Whether TensorFlow may be started.
    store : Path or None
        The store with the reference's seconds for the sweeps; it is only read.
    tell : callable
        Called with one line per finished step.

    Raises
    ------
    parity.errors.ParityError
        If a network is unknown.
    bench.harness.HarnessError
        If the harness did not come to its end.
    """
    begun = time.perf_counter()
    torch.set_num_threads(threads)
    plan = make_plan(wish)
    with Everyone(threads, with_reference) as everyone:
        workbench = Workbench(everyone, device)
        for name in plan.networks:  # an unknown name costs nothing but the message
            workbench.network(name)
        taken = harness.run(plan, workbench, directory / ROUNDS_FILE, tell)
        totals, no_totals = _totals(plan, workbench, store, threads)
        reference = everyone.reference.versions
    if device != "cpu":  # the memory of a process says nothing of a GPU's
        plan = dataclasses.replace(plan, memory=())
    peaks, absent = _peaks(plan, workbench.missing, threads, tell)
    return document.make(
        command,
        wish.quick,
        time.perf_counter() - begun,
        taken,
        threads,
        reference,
        [_described(workbench, name) for name in plan.networks],
        peaks,
        totals,
        [*workbench.missing, *absent, *no_totals],
    )


def _peaks(
    plan: Plan, missing: Sequence[Mapping[str, Any]], threads: int, tell: Callable[[str], None]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Measure the peaks, of what could be timed: what has no such rule need not be asked twice."""
    known = {(one["case"]["network"], one["case"]["method"], one["case"]["contender"]): one for one in missing
             if "case" in one and one["kind"] != "failed"}  # fmt: skip
    peaks, absent = [], []
    for index, case in enumerate(plan.memory, start=1):
        about = dataclasses.asdict(case)
        reason = known.get((case.network, case.method, case.contender))
        if reason is not None:
            absent.append({"memory": about, "kind": reason["kind"], "reason": reason["reason"]})
            continue
        try:
            seen = memory.measure(case, threads)
        except (NoCounterpartError, UnavailableError, RuntimeError) as error:
            absent.append({"memory": about, **why(error)})
            outcome = "not measured"
        else:
            peak = seen["peak"] - seen["before"]
            peaks.append({**about, "peak_bytes": peak, "weight_bytes": seen["weights"], "before_bytes": seen["before"]})
            outcome = f"{peak / 2**20:.0f} MiB"
        tell(f"[memory {index}/{len(plan.memory)}] {case.name}: {outcome}")
    return peaks, absent


def _totals(
    plan: Plan, workbench: Workbench, store: Path | None, threads: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Look the reference's totals up for the sweeps that were not asked to measure them."""
    totals, absent = [], []
    live = {(sweep.network, sweep.names) for sweep in plan.sweeps if sweep.how == REFERENCE}
    wanted = dict.fromkeys((sweep.network, sweep.names) for sweep in plan.sweeps)
    for network, names in wanted:
        if (network, names) in live:
            continue
        about = {"network": network, "names": names, "how": REFERENCE}
        try:
            total = stored_total(workbench.network(network), names, store, threads)
        except UnavailableError as reason:
            absent.append({"sweep": about, **why(reason)})
            continue
        totals.append(
            {
                **about,
                "median": total.seconds,
                "min": total.seconds,
                "max": total.seconds,
                "rounds": 1,
                "ratio": None,
                "count": total.names,
                "source": "stored",
                "setup_seconds": total.setup_seconds,
            }
        )
    return totals, absent


def _described(workbench: Workbench, name: str) -> dict[str, Any]:
    network = workbench.network(name)
    return {
        "name": name,
        "parameters": sum(one.numel() for one in network.module.parameters()),
        "weight_bytes": network.weight_bytes,
        "input_shape": list(network.samples.shape[1:]),
        "sha256": network.source.sha256 if network.source else None,
    }
