"""The reference environment that `parity setup` made: where it lies, and which requirements it was made from.

A record in the user's data folder names the environment. It is written when the environment is whole, so one that is
half made, or made from other requirements, is never taken for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parity.paths import data_folder
from parity.reference.program import CHECKOUT, IN_CHECKOUT, runnable
from parity.system import environment_python

REQUIREMENTS = CHECKOUT / "requirements" if IN_CHECKOUT else Path(__file__).with_name("requirements")
"""Where `reference.in` and `reference.txt` lie: in a wheel beside this file (`setup.py`)."""
WANTED = REQUIREMENTS / "reference.in"
"""What the reference environment must have."""
PINS = REQUIREMENTS / "reference.txt"
"""The version of each of its packages."""
PREFIX = "reference-"


@dataclass(frozen=True)
class Place:
    """Where `parity setup` keeps what it makes for the requirements of this version.

    Attributes
    ----------
    folder
        The user's data folder for `parity`; environments and records lie in it.
    key
        Hash of the requirements.
    """

    folder: Path
    key: str

    @property
    def record(self) -> Path:
        """The file that names the environment."""
        return self.folder / f"{PREFIX}{self.key}.json"

    def environment(self) -> Path | None:
        """Return the folder of the environment, None if none was made or it is gone."""
        folder = _environment_of(self.record)
        return folder if folder is not None and runnable(environment_python(folder)) else None

    def environments(self) -> Sequence[Path]:
        """Return the folders that any record names: those of other versions, too."""
        named = (_environment_of(record) for record in sorted(self.folder.glob(f"{PREFIX}*.json")))
        return [folder for folder in named if folder is not None]


def place() -> Place | None:
    """Return where `parity setup` keeps its environment, None for a user without a data folder."""
    folder = data_folder()
    return None if folder is None else Place(folder, requirements_key())


def requirements_key() -> str:
    """Return a hash of the requirements; an environment made from others is of no use to this version."""
    digest = hashlib.sha256()
    for path in (WANTED, PINS):
        digest.update(path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()[:12]


def interpreter() -> Path | None:
    """Return the interpreter of the environment that `parity setup` made, None if there is none."""
    kept = place()
    folder = None if kept is None else kept.environment()
    return None if folder is None else environment_python(folder)


def _environment_of(record: Path) -> Path | None:
    try:
        folder = Path(json.loads(record.read_text(encoding="utf-8"))["environment"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return folder if folder.is_absolute() else None
