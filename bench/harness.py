"""pytest-benchmark as the harness: the plan's cases become its tests, its JSON file holds every round."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bench.plan import Case, Plan, Sweep
from bench.workbench import Workbench

MEASURED = Path(__file__).with_name("measured")


class HarnessError(Exception):
    """The harness did not come to its end."""


class Cases:
    """The pytest plugin that fills in the cases and tells how far the run is.

    Parameters
    ----------
    plan : Plan
        The cases.
    workbench : Workbench
        What gets them ready.
    tell : callable
        Called with one line per finished case.
    """

    def __init__(self, plan: Plan, workbench: Workbench, tell: Callable[[str], None]) -> None:
        self._plan, self._workbench, self._tell = plan, workbench, tell
        self._done, self._total = 0, len(plan.cases) + len(plan.sweeps)

    @pytest.fixture(name="workbench", scope="session")
    def _workbench_fixture(self) -> Workbench:
        return self._workbench

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Make a test of every case and sweep."""
        wanted: dict[str, Sequence[Case | Sweep]] = {"case": self._plan.cases, "sweep": self._plan.sweeps}
        for name, values in wanted.items():
            if name in metafunc.fixturenames:
                metafunc.parametrize(name, values, ids=[one.name for one in values])

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Drop the placeholder that pytest makes of a plan without sweeps, or without cases."""
        names = {one.name for one in self._plan.cases} | {one.name for one in self._plan.sweeps}
        items[:] = [item for item in items if item.name.partition("[")[2].removesuffix("]") in names]

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str]:
        """Print no letters between our own lines."""
        return report.outcome, "", ""

    def pytest_benchmark_update_machine_info(self, config: pytest.Config, machine_info: dict[str, Any]) -> None:
        """Leave out the machine's name: results say what it is, not whose."""
        machine_info.pop("node", None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Tell of a finished case; a failure's reason is told with it."""
        if report.when != "call" and not (report.when == "setup" and report.outcome != "passed"):
            return
        self._done += 1
        _, _, name = report.nodeid.partition("[")
        outcome = {"passed": f"{report.duration:.1f} s", "skipped": "not measured", "failed": "FAILED"}[report.outcome]
        self._tell(f"[{self._done}/{self._total}] {name.removesuffix(']')}: {outcome}")


def run(plan: Plan, workbench: Workbench, rounds_file: Path, tell: Callable[[str], None]) -> dict[str, Any]:
    """Time the plan's cases in this process and return the harness's document.

    Parameters
    ----------
    plan, workbench
        What is measured, and with what.
    rounds_file : Path
        Where pytest-benchmark writes its JSON: every round of every case.
    tell : callable
        Called with one line per finished case.

    Raises
    ------
    HarnessError
        If pytest was interrupted or could not run at all. Cases that fail are noted in `workbench.missing`.
    """
    rounds_file.parent.mkdir(parents=True, exist_ok=True)
    rounds_file.unlink(missing_ok=True)
    arguments = [str(MEASURED), f"--rootdir={MEASURED}", "-c", str(MEASURED / "pytest.ini")]
    # Nothing else may run beside the measurements: no workers, no time limit, none of this repository's plugins.
    arguments += ["-p", "no:xdist", "-p", "no:timeout", "-p", "no:parity", "-p", "no:cacheprovider"]
    arguments += [
        f"--benchmark-json={rounds_file}",
        "--benchmark-quiet",
        "-q",
        "-q",
        "--no-header",
        "--no-summary",
        "--capture=no",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = pytest.main(arguments, plugins=[Cases(plan, workbench, tell)])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        raise HarnessError(f"pytest ended with {pytest.ExitCode(code).name} before the measurements were done")
    if not rounds_file.exists():  # it writes none when nothing was measured
        return {"benchmarks": [], "machine_info": {}, "commit_info": {}}
    document: dict[str, Any] = json.loads(rounds_file.read_text(encoding="utf-8"))
    return document
