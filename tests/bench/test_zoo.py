"""The table of torchvision's families in docs/models.md."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from bench.zoo import BEGIN, END, FAMILIES, PAGE, Line, table, update


def test_a_line_tells_what_was_refused_and_what_was_wrong():
    text = table([Line("some_net", ("grad_cam",), ("lrp_z",), True, ("1", "nan", "TypeError"))])
    assert r"| some_net \* | 9 of 11 **wrong: lrp_z** | `grad_cam` | 1 | nan | TypeError |" in text


def test_only_what_stands_between_the_markers_is_written(tmp_path: Path):
    page = tmp_path / "models.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    update(page, [Line("some_net", (), (), False, ("1", "1", "1"))])
    assert page.read_text().startswith("before\n")
    assert page.read_text().endswith("\nafter\n")
    assert "old" not in page.read_text()


def test_a_page_without_markers_is_refused(tmp_path: Path):
    page = tmp_path / "models.md"
    page.write_text("nothing")
    with pytest.raises(click.ClickException, match="once each"):
        update(page, [])


def test_the_page_has_a_line_for_every_family():
    text = PAGE.read_text()
    written = text[text.index(BEGIN) : text.index(END)]
    assert [family for family in FAMILIES.split() if f"| {family}" not in written] == []
