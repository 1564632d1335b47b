"""A real Chromium on the report of a made-up run; everything here is skipped, with the reason, without one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from parity.report import write
from tests.browser import chromium
from tests.browser.accessibility import serious
from tests.parity.report.synthetic import small_run


@pytest.fixture(scope="session")
def report(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of a written report with every status."""
    document, arrays = small_run(tmp_path_factory.mktemp("run"))
    return write(document, arrays, tmp_path_factory.mktemp("report")).html.as_uri()


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Return a function that starts a browser with a fresh profile."""
    pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (chromium.CHROMIUM and chromium.DRIVER):
        pytest.skip(chromium.MISSING)
    started = []

    def make(*flags: str) -> Any:
        started.append(chromium.start(tmp_path_factory.mktemp("profile"), *flags))
        return started[-1]

    yield make
    for driver in started:
        driver.quit()


@pytest.fixture(scope="session")
def shared_browser(start: Callable[..., Any]) -> Any:
    """Return one browser for all tests that leave it as they found it."""
    return start()


@pytest.fixture
def browser(shared_browser: Any, report: str) -> Any:
    """Return a browser that has just opened the report, with nothing stored and no emulation."""
    shared_browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})
    shared_browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    shared_browser.get("about:blank")
    for kind in ("browser", "performance"):
        shared_browser.get_log(kind)
    shared_browser.get(report)
    shared_browser.execute_script("localStorage.clear()")
    shared_browser.refresh()
    return shared_browser


@pytest.fixture(scope="session")
def axe_source() -> str:
    """Return axe-core."""
    pytest.importorskip("axe_core_python", reason="axe-core-python is not installed")
    return resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8")


@pytest.fixture
def violations(browser: Any, axe_source: str) -> Callable[[], list[str]]:
    """Return a function that gives the serious and critical accessibility violations of the page as it stands."""

    def check() -> list[str]:
        return serious(browser, axe_source)

    return check


@pytest.fixture
def save_screenshot(browser: Any, request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Return a function that keeps a screenshot where `PARITY_SCREENSHOTS` says, if it is set."""

    def save(name: str) -> None:
        directory = os.environ.get("PARITY_SCREENSHOTS")
        if directory:
            Path(directory).mkdir(parents=True, exist_ok=True)
            browser.save_screenshot(str(Path(directory) / f"{name}.png"))

    return save
