"""The pictures in docs/, from a report of a real run: `python -m tests.browser.pictures REPORT DIRECTORY`.

`make pictures` makes the run and calls this.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from tests.browser import chromium

ROW = "row-vgg_mnist--lrpsign_epsilon_0_25_std_x"
"""The opened row: a method with one rule on the input layer and another above it."""

TOP = (1280, 1000)
SCALE = 1.25  # device pixels per CSS pixel, so that small text stays readable


def main(report: str, directory: str, row: str = ROW) -> None:
    """Write `report-top.png` and `report-row.png`, the second of an opened row."""
    with tempfile.TemporaryDirectory() as profile:
        browser = chromium.start(Path(profile))
        try:
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [_feature("light")]})
            browser.get(Path(report).absolute().as_uri())
            _shoot(browser, Path(directory) / "report-top.png", {"x": 0, "y": 0, "width": TOP[0], "height": TOP[1]})
            browser.get(f"{Path(report).absolute().as_uri()}#{row}")
            browser.refresh()
            box = browser.execute_script(
                "const opened = document.getElementById(arguments[0]).getBoundingClientRect();"
                "return {x: 0, y: opened.top + scrollY, width: innerWidth, height: opened.height};",
                row,
            )
            _shoot(browser, Path(directory) / "report-row.png", box)
        finally:
            browser.quit()


def _feature(scheme: str) -> dict[str, str]:
    return {"name": "prefers-color-scheme", "value": scheme}


def _shoot(browser: Any, path: Path, box: dict[str, float]) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": TOP[0], "height": TOP[1], "deviceScaleFactor": SCALE, "mobile": False},
    )
    what = {"format": "png", "captureBeyondViewport": True, "clip": {**box, "scale": 1}}
    data = base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", what)["data"])
    Image.open(io.BytesIO(data)).convert("RGB").save(path, optimize=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
