"""The Sphinx extension: writes the generated pages and pictures before Sphinx looks for its sources.

What is written lies in ``docs/generated/``. A fingerprint of the code that it comes from lies beside it; while that
has not changed, nothing is written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docs.extensions import api, commands, differences, families, moving, pictures, verdicts

ROOT = Path(__file__).resolve().parents[2]
GENERATED = ROOT / "docs" / "generated"
SOURCES = ("signxai_torch/**/*.py", "parity/**/*.py", "docs/extensions/*.py", "weights/*.h5", "parity/assets/data/*")
"""What the generated pages come from."""


def setup(app: Any) -> dict[str, Any]:
    """Register with Sphinx."""
    app.connect("builder-inited", lambda _: write())
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def write(folder: Path = GENERATED) -> None:
    """Write everything that is generated, unless it is there."""
    mark, fingerprint = folder / "fingerprint", _fingerprint()
    if mark.is_file() and mark.read_text(encoding="utf-8") == fingerprint:
        return
    mark.unlink(missing_ok=True)
    _write_families(folder / "methods")
    _page(folder / "known.md", differences.page())
    _page(folder / "commands.md", commands.page())
    for module in api.MODULES:
        _page(folder / "api" / f"{module}.md", api.page(module))
    for name, text in moving.fragments().items():
        _page(folder / "names" / f"{name}.md", text)
    _page(folder / "names" / "mutants.md", verdicts.mutants())
    verdicts.distances(folder / "distances.png")
    mark.write_text(fingerprint, encoding="utf-8")


def _write_families(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for family in families.families():
        _page(folder / f"{family}.md", families.page(family, pictures.draw(family, folder)))


def _page(path: Path, text: str) -> None:
    """Write a page, unless it is as it was: Sphinx reads again what has changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _fingerprint() -> str:
    digest = hashlib.sha256()
    for path in sorted(_sources()):
        digest.update(path.relative_to(ROOT).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for pattern in SOURCES:
        yield from ROOT.glob(pattern)
