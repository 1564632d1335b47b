"""The table in docs/benchmarks.md and the report: pure functions of the results."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import page
from bench.report import render
from tests.bench.made_up import run

ROOT = Path(__file__).resolve().parents[2]
TABLE = Path(__file__).with_name("made_up_table.md")


def shape(table: str) -> list[str]:
    """Return a table's text without its figures, versions and names: what the renderer alone decides."""
    heads = [line for line in table.splitlines() if line.startswith(("| method", "|---"))]
    return [re.sub(r" \d[\w.]*(?= \|)", "", line) for line in heads]


def test_table_of_the_made_up_run() -> None:
    assert page.table(run()) == TABLE.read_text(encoding="utf-8")


def test_the_page_of_benchmarks_holds_what_the_renderer_makes() -> None:
    block = page.between_markers((ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8"))
    assert block is not None, "docs/benchmarks.md lost the markers of the bench's table"
    if "|" in block:
        assert shape(block) == shape(page.table(run()))
        assert re.search(r"\d+ threads, torch \S+, \d+ \w+ \d{4}\.", " ".join(block.split())), "no machine and date"
    else:
        assert block.startswith("No figures")


def test_what_is_missing_is_said_in_the_table() -> None:
    document = run()
    row = next(line for line in page.table(document).splitlines() if line.startswith("| `lrp_flat`"))
    assert row == "| `lrp_flat` | 1.25 | 3.20 | no such rule | 5.00 | 1.29 |"
    assert "not measured" in next(line for line in page.table(document).splitlines() if "`lrp_alpha_1" in line)


def test_a_run_without_vgg16_has_no_table() -> None:
    assert "did not measure" in page.table(run() | {"times": []})


def test_update_keeps_the_rest_and_is_repeatable(tmp_path: Path) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text(f"before\n{page.BEGIN}\nold\n{page.END}\nafter\n", encoding="utf-8")
    page.update(path, run())
    once = path.read_text(encoding="utf-8")
    page.update(path, run())
    assert once == path.read_text(encoding="utf-8")
    assert once == f"before\n{page.BEGIN}\n{page.table(run())}{page.END}\nafter\n"


@pytest.mark.parametrize("text", ["no markers", f"{page.END}\n{page.BEGIN}\n", f"{page.BEGIN}\n"])
def test_update_refuses_a_page_without_a_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "benchmarks.md"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(page.PageError, match="once each"):
        page.update(path, run())
    assert path.read_text(encoding="utf-8") == text


def test_page_is_one_offline_file_and_escapes() -> None:
    page = render(run())
    assert "Imaginary CPU &lt;2 GHz&gt;" in page
    assert "<b>broke</b>" not in page
    assert "&lt;b&gt;broke&lt;/b&gt;" in page
    assert not re.findall(r"<script|<link rel=.stylesheet|@import|(?:src|href)=.https?:", page)
    assert re.search(r"<svg.*</svg>", page, re.DOTALL)


def test_page_tells_every_limit_and_origin() -> None:
    document = run()
    page = render(document)
    limits = page[page.index('id="limits"') : page.index("</section>", page.index('id="limits"'))]
    assert limits.count('<span class="status') == len(document["limits"])
    assert "from stored seconds of this machine" in page
    assert "no such rule" in page
    assert "cos 0.08" in page  # captum's rule of the same name is another one
    assert "cos 1.00" not in page


def test_page_is_the_same_twice() -> None:
    assert render(run()) == render(run())


def test_drawings_have_no_color_of_their_own_for_text() -> None:
    assert "#01020" not in render(run())
