"""The built site in a real browser: themes, a narrow screen, typeset formulas, nothing from outside.

`make docs` builds it; without it, or without Chromium, everything here is skipped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser.accessibility import serious

SITE = Path(__file__).resolve().parents[2] / "docs" / "_build" / "html"
PAGES = ("index", "generated/methods/lrp", "verdict", "moving/zennit", "architecture")
SIZES = {"light": (1280, 1000), "dark": (1280, 1000), "narrow": (375, 800)}

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SITE / "index.html").is_file(), reason="the site is not built (make docs)"),
]


@pytest.fixture(params=SIZES)
def view(shared_browser: Any, request: pytest.FixtureRequest) -> Iterator[tuple[str, Any]]:
    """A browser with a theme and a width."""
    scheme = "dark" if request.param == "dark" else "light"
    width, height = SIZES[request.param]
    shared_browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    shared_browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    shared_browser.get("about:blank")
    shared_browser.get_log("performance")
    yield request.param, shared_browser
    shared_browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    shared_browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def opened(browser: Any, page: str) -> None:
    """Open a page and wait until its formulas are typeset."""
    browser.get((SITE / f"{page}.html").as_uri())
    browser.execute_async_script(
        "const done = arguments[0];"
        "(window.MathJax && MathJax.startup ? MathJax.startup.promise : Promise.resolve()).then(() => done());"
    )


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_accessible_typeset_and_no_wider_than_the_screen(
    view: tuple[str, Any], page: str, axe_source: str
) -> None:
    look, browser = view
    opened(browser, page)
    keep(browser, f"{page.replace('/', '-')}-{look}")
    assert serious(browser, axe_source) == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= window.innerWidth")
    assert browser.execute_script("return document.querySelectorAll('mjx-merror, .MathJax_Error').length") == 0
    if page.endswith("lrp"):
        assert browser.execute_script("return document.querySelectorAll('mjx-container').length") > 20
    assert outside(browser) == []


def outside(browser: Any) -> list[str]:
    """Return what the page asked of other places than the site itself."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [one["params"]["request"]["url"] for one in messages if one["method"] == "Network.requestWillBeSent"]
    return [url for url in asked if not url.startswith((SITE.as_uri(), "data:", "about:", "blob:"))]


def keep(browser: Any, name: str) -> None:
    """Keep a screenshot where `PARITY_SCREENSHOTS` says, if it is set."""
    if folder := os.environ.get("PARITY_SCREENSHOTS"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        browser.save_screenshot(str(Path(folder) / f"{name}.png"))
