"""The results document of a run that did not end, from its journal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parity.run.document import Document
from parity.run.journal import LINES, Reader
from parity.run.results import ReportError
from parity.run.unfinished import Finished


@dataclass(frozen=True)
class _Subject:
    name: str
    told: dict[str, str]

    def versions(self) -> dict[str, str]:
        """Return the versions as the run told them."""
        return self.told


@contextmanager
def salvaged(path: Path) -> Iterator[tuple[dict[str, Any], Document]]:
    """Give out the results document of a journal's folder, and what writes its arrays; nothing in the folder changes.

    Raises
    ------
    ReportError
        If there is no journal, or nothing in it.
    """
    try:
        journal = Reader(path)
    except OSError as error:
        raise ReportError(f"Cannot read the journal {path / LINES}: {error.strerror or error}") from error
    with journal:
        finished = Finished.of(journal)
        if not finished.run or not finished.rows:
            raise ReportError(f"{path} holds no finished case.")
        facts = finished.run
        subject = facts["environment"]["subject"]
        document = Document(path.parent, facts["command"], _Subject(subject["name"], subject["versions"]))
        document.read(journal, finished)
        if not document.rows:
            raise ReportError(f"{path} holds no case that is whole.")
        stopped = not finished.is_whole(document.rows)
        yield document.finish(finished.environment, planned=facts["planned"], stopped=stopped), document
