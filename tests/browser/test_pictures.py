"""The pictures in docs/ can be made again."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from parity.report import write
from tests.browser import chromium, pictures
from tests.parity.report.synthetic import green_run


@pytest.mark.skipif(not (chromium.CHROMIUM and chromium.DRIVER), reason=chromium.MISSING)
def test_both_pictures_are_made_from_a_report(tmp_path: Path):
    pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    document, arrays = green_run(tmp_path / "run")
    report = write(document, arrays, tmp_path / "report").html
    pictures.main(str(report), str(tmp_path), "row-vgg_mnist--lrp_z")
    width, height = pictures.TOP
    with Image.open(tmp_path / "report-top.png") as top, Image.open(tmp_path / "report-row.png") as row:
        assert top.size == (round(width * pictures.SCALE), round(height * pictures.SCALE))
        assert row.size[0] == top.size[0]
        assert row.size[1] > 400  # the row is open
        assert len(row.convert("L").getcolors(256) or []) > 50  # and shows maps
