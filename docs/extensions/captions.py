"""Headings of the site's navigation say their level, which screen readers need and Sphinx leaves out."""

from __future__ import annotations

from typing import Any

TREE = "furo_navigation_tree"
"""Where the theme keeps the navigation's HTML."""
HEADING = 'role="heading"'


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx, after the theme has made the navigation."""
    app.connect("html-page-context", _say_levels, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def _say_levels(app: Any, page: str, template: str, context: dict[str, Any], document: Any) -> None:
    if TREE in context:
        context[TREE] = context[TREE].replace(HEADING, f'{HEADING} aria-level="2"')
