"""Markdown of the generated pages: tables, links of citations, lists of names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_DOI = re.compile(r"doi:(\S+)")
_ARXIV = re.compile(r"arXiv:(\d{4}\.\d{4,5})")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; a cell's own bars are escaped."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", r"\|") for cell in line) + " |" for line in lines) + "\n"


def citation(text: str) -> str:
    """Return a citation with its DOI or arXiv number as a link."""
    text = _DOI.sub(r"[doi:\1](https://doi.org/\1)", text)
    return _ARXIV.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", text)


def code(names: Iterable[str]) -> str:
    """Return names as code, separated by commas."""
    return ", ".join(f"`{name}`" for name in names)


def folded(title: str, text: str) -> str:
    """Return text that is shown when its title is clicked."""
    return f":::{{dropdown}} {title}\n{text}\n:::\n"
