"""The pytest plugin: options to choose cases, and a report from a test run.

`pytest --parity-report=DIR` writes the report that `parity run` writes. With xdist, each worker leaves the maps
in files that the controller's process then gathers; the rows travel with the test reports. Nothing heavy is
imported here: pytest loads this file in every project of the environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from parity.extras import install
from parity.paths import command_line
from parity.system import allowed_cores

if TYPE_CHECKING:
    from parity.run.outcome import Outcome
    from parity.run.runner import Runner
    from parity.testing.recorded import Recorder

CHOICES = ("method", "model", "family")
"""What a case is chosen by: the marker ``parity_<choice>``, with a `name`, and the option ``--parity-<choice>``."""
_WORKER_INPUT = "parity_parts"

_recorder: pytest.StashKey[Recorder] = pytest.StashKey()
_payload: pytest.StashKey[str] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    group = parser.getgroup("parity", "parity with the TensorFlow originals")
    group.addoption("--parity-report", metavar="DIR", help="write parity.html, parity.json and the maps to DIR")
    for choice in CHOICES:
        group.addoption(
            f"--parity-{choice}", metavar="NAME", action="append", default=[],
            help=f"only the cases of this {choice}, by its exact name; can be repeated",
        )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    """Register the markers; prepare the report.

    Raises
    ------
    pytest.UsageError
        If an option asks for what is not installed or cannot be made.
    """
    for choice in CHOICES:
        config.addinivalue_line(
            "markers",
            f"parity_{choice}(name): the {choice} of a parity case; -m \"parity_{choice}(name='...')\" selects by it",
        )
    try:
        _prepare(config)
    except ModuleNotFoundError as error:
        needs = f"the options --parity-* need the harness: {install('parity')}"
        raise pytest.UsageError(f"{needs} ({error})") from None


def _prepare(config: pytest.Config) -> None:
    """Look at the options, and make ready what they ask for."""
    worker_input: dict[str, Any] | None = getattr(config, "workerinput", None)
    if worker_input is not None:
        if parts := worker_input.get(_WORKER_INPUT):
            from parity.testing.recorded import Recorder

            config.stash[_recorder] = Recorder(Path(parts))
        return
    if _asks_for_parity(config):
        import parity.reference  # noqa: F401 - without the harness there is no case to choose
    if names := config.getoption("--parity-method"):
        _require_methods(names)
    if config.getoption("--parity-report") and not config.getoption("--collect-only"):
        from parity.testing.recorded import Recorder
        from parity.testing.report_writer import ReportWriter

        command = command_line(["pytest", *config.invocation_params.args])
        try:
            writer = ReportWriter(Path(config.getoption("--parity-report")), command)
        except OSError as error:
            raise pytest.UsageError(f"--parity-report: {error.filename}: {error.strerror}") from None
        config.add_cleanup(writer.close)
        config.pluginmanager.register(writer, ReportWriter.NAME)
        config.stash[_recorder] = Recorder(writer.parts)


def _require_methods(names: Iterable[str]) -> None:
    """Refuse names that are no methods, naming the nearest, before thousands of cases are deselected."""
    from parity.run.subjects import UnknownMethodError, parse

    for name in names:
        try:
            parse(name)
        except UnknownMethodError as error:
            raise pytest.UsageError(f"--parity-method: {error}") from None


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell an xdist worker where to leave its maps."""
    if _recorder in node.config.stash:
        node.workerinput[_WORKER_INPUT] = str(node.config.stash[_recorder].parts)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say what takes part: versions, threads, where reference results lie; nothing where no option asks for parity."""
    if not _asks_for_parity(config):
        return None
    from parity.reference.store import store_location

    names = ("signxai-torch-parity", "torch", "zennit")
    threads = os.environ.get("OMP_NUM_THREADS") or f"{allowed_cores()} (cores)"
    versions = ", ".join(f"{name} {_version(name)}" for name in names)
    return f"parity: {versions}; threads: {threads}; store: {store_location()}"


def _asks_for_parity(config: pytest.Config) -> bool:
    options = ("--parity-report", *(f"--parity-{choice}" for choice in CHOICES))
    return any(config.getoption(option) for option in options)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the cases that the options name; what is no parity case goes too, as with -k."""
    for choice in CHOICES:
        selected = set(config.getoption(f"--parity-{choice}"))
        if not selected:
            continue
        kept = [item for item in items if _names(item, choice) & selected]
        gone = [item for item in items if not _names(item, choice) & selected]
        if gone:
            config.hook.pytest_deselected(items=gone)
        items[:] = kept


def _names(item: pytest.Item, choice: str) -> set[Any]:
    return {mark.kwargs.get("name") for mark in item.iter_markers(f"parity_{choice}")}


@pytest.fixture
def parity_record(request: pytest.FixtureRequest) -> Callable[[Runner, list[Outcome]], None]:
    """Return a function that takes a test's outcomes into the report, if one was asked for."""

    def record(runner: Runner, outcomes: list[Outcome]) -> None:
        if _recorder in request.config.stash:
            request.node.stash[_payload] = request.config.stash[_recorder].record(runner, outcomes)

    return record


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach a test's rows to its report, which xdist carries to the controller."""
    report = yield
    if _recorder not in item.config.stash:
        return report
    if call.when == "call" and _payload in item.stash:
        report.parity = item.stash[_payload]  # type: ignore[attr-defined]
    elif report.failed and call.when != "teardown" and item.get_closest_marker("parity_method"):
        names = {choice: next(iter(_names(item, choice)), None) for choice in CHOICES}
        text = item.config.stash[_recorder].broken(names, item.nodeid, report.longreprtext)
        report.parity = text  # type: ignore[attr-defined]
    return report
