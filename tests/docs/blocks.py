"""The code blocks of a Markdown page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = (
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if not {"generated", "_build", "notebooks"} & {*path.parts}),
)
"""The pages that people write. What is generated is made from code; the notebook is run when the site is built."""

_BLOCK = re.compile(r"^```(?P<language>\w+)\n(?P<code>.*?)^```$", re.DOTALL | re.MULTILINE)
_ASSIGNMENT = re.compile(r"(?P<name>[A-Z]+)=(?P<value>.*)", re.DOTALL)
_OTHER = re.compile(r"# with (\w+)\n")


@dataclass(frozen=True)
class Block:
    """A code block, and the first line of its code in the page."""

    language: str
    code: str
    line: int

    @property
    def other(self) -> str | None:
        """The package of somebody else that the block is written for: its first line is ``# with package``."""
        match = _OTHER.match(self.code)
        return match.group(1) if match else None


def blocks(text: str, language: str) -> list[Block]:
    """Return a page's blocks of one language."""
    return [
        Block(match["language"], match["code"], text.count("\n", 0, match.start("code")) + 1)
        for match in _BLOCK.finditer(text)
        if match["language"] == language
    ]


def commands(text: str) -> Iterator[list[str]]:
    """Yield the words of every command in a page's shell blocks: no comments, and the page's own variables put in."""
    variables: dict[str, list[str]] = {}
    for block in blocks(text, "sh"):
        for line in block.code.replace("\\\n", " ").splitlines():
            words = [part for word in shlex.split(line, comments=True) for part in variables.get(word, [word])]
            if words and (assigned := _ASSIGNMENT.fullmatch(words[0])):
                variables[f"${assigned['name']}"] = shlex.split(assigned["value"])
            elif words:
                yield words
