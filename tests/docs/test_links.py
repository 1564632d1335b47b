"""Links of the README and of the pages: they can be read where Markdown is shown as it lies, and lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES, ROOT

LINK = re.compile(r"\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)\)")
NOTEBOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.md"))
MADE_WITH_THE_SITE = ROOT / "docs" / "generated"


def links(page: Path) -> list[tuple[str, str]]:
    """Return text and target of a page's links, but for what stands in code."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    return [(match["text"], match["target"]) for match in LINK.finditer(prose)]


@pytest.mark.parametrize("page", [*PAGES, *NOTEBOOKS], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_have_a_text_and_lead_to_a_file(page: Path) -> None:
    for text, target in links(page):
        assert text.strip(), f"a link to {target} shows nothing outside of the site"
        path = (page.parent / target.partition("#")[0]).resolve()
        if "://" in target or target.startswith("#") or path.is_relative_to(MADE_WITH_THE_SITE):
            continue
        assert path.exists(), f"{target} leads nowhere"


def test_a_link_without_a_text_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("See [](other.md) and [this](that.md#part).\n\n```python\nx = [](y)\n```\n")
    assert links(page) == [("", "other.md"), ("this", "that.md#part")]
