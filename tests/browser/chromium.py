"""How Chromium is started: by the tests of the report, and for the pictures in docs/."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
DRIVER = os.environ.get("CHROMEDRIVER") or shutil.which("chromedriver")
MISSING = "Chromium and its driver are not installed (Debian: chromium chromium-driver)"

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--window-size=1280,1000",
)


def start(profile: Path, *flags: str) -> Any:
    """Return a browser with a profile of its own; `quit` ends it.

    Raises
    ------
    RuntimeError
        If there is no Chromium.
    """
    if not (CHROMIUM and DRIVER):
        raise RuntimeError(MISSING)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={profile}", *flags):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(240)  # axe takes a minute where the cores are busy
    return driver
