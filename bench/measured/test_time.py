"""Times single calls and sweeps, each round beside one round of the unit."""

from __future__ import annotations

import pytest

from bench.contenders import NoCounterpartError, UnavailableError
from bench.plan import Case, Sweep
from bench.workbench import Workbench


def test_case(case: Case, workbench: Workbench, request: pytest.FixtureRequest) -> None:
    """Time one contender's method on one batch."""
    measure(case, workbench, request)


def test_sweep(sweep: Sweep, workbench: Workbench, request: pytest.FixtureRequest) -> None:
    """Time many names on one sample."""
    measure(sweep, workbench, request)


def measure(what: Case | Sweep, workbench: Workbench, request: pytest.FixtureRequest) -> None:
    """Time one call; what cannot be measured is noted with its reason."""
    try:
        timed = workbench.timed(what) if isinstance(what, Case) else workbench.timed_sweep(what)
        benchmark = request.getfixturevalue("benchmark")
        benchmark.pedantic(timed.call, setup=timed.beside, rounds=what.rounds)
    except (NoCounterpartError, UnavailableError) as reason:
        workbench.absent(what, reason)
        pytest.skip(str(reason))
    except Exception as error:
        workbench.absent(what, error)
        raise
    benchmark.extra_info.update(timed.told())
