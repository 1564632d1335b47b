"""`parity.json`: reading, checking and writing it."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema_rs

from parity.claimed import ClaimedFolder, sweep
from parity.errors import ParityError
from parity.run.strict_json import parse

SCHEMA_VERSION = 1
JSON_NAME = "parity.json"
_SURROGATE = re.compile(r"\\ud[89a-f][0-9a-f]{2}")


class ReportError(ParityError):
    """A results file is missing, damaged or not of the schema."""


@cache
def schema() -> dict[str, Any]:
    """Return the JSON Schema of `parity.json`."""
    text = resources.files("parity.run").joinpath("schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@cache
def _validator() -> Any:
    return jsonschema_rs.validator_for(schema())


def validate(document: Mapping[str, Any], where: str = "the results") -> None:
    """Check a results document against the schema.

    Raises
    ------
    ReportError
        Naming the place in the document and what is wrong there.
    """
    if document.get("schema") != SCHEMA_VERSION:
        raise ReportError(
            f"{where} has schema {document.get('schema')!r}; this version reads schema {SCHEMA_VERSION}. "
            "Run `parity run` again to make it anew."
        )
    try:
        # As it will be read; half a pair of surrogates, which file names may have, is no text to the validator.
        written = json.loads(_SURROGATE.sub(r"\\ufffd", json.dumps(document)))
    except (TypeError, ValueError) as problem:
        raise ReportError(f"{where} holds what JSON cannot: {problem}") from problem
    errors = list(_validator().iter_errors(written))
    if errors:
        error = min(errors, key=lambda error: len(error.instance_path))
        place = "/".join(str(part) for part in error.instance_path) or "the top level"
        raise ReportError(
            f"{where} is not a valid results file: at {place}: {error.message[:300]}. "
            "If an older version wrote it, run `parity run` again."
        )


def load(path: Path | str) -> dict[str, Any]:
    """Read and check a results file.

    Raises
    ------
    ReportError
        If it cannot be read, is no JSON, or does not follow the schema.
    """
    try:
        document = parse(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ReportError(f"Cannot read the results file {path}: {error}") from error
    except ValueError as error:
        raise ReportError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ReportError(f"{path} is not a results file: it holds no JSON object.")
    validate(document, str(path))
    return document


def dumps(document: Mapping[str, Any]) -> str:
    """Return the document as JSON text; raises as `encode` does."""
    return "".join(encode(document))


def encode(document: Mapping[str, Any]) -> Iterator[str]:
    """Yield the document as JSON text, piece by piece: as one text it takes several times its own memory.

    Raises
    ------
    ReportError
        If it holds NaN or infinity: numbers that could not be taken must be null.
    """
    try:
        yield from json.JSONEncoder(indent=1, allow_nan=False, ensure_ascii=False).iterencode(document)
        yield "\n"
    except ValueError as error:
        raise ReportError(f"The results hold a number that JSON cannot carry ({error}); use null for it.") from error


STAGING = ".parity-report-"
"""Begins the name of a folder of files that are written and not yet in their places."""


def write_atomically(path: Path, text: str | Iterable[str]) -> None:
    """Write a text, or its pieces, to a file so that a reader, or a crash, never meets half of it."""
    write_together({path: text})


def write_together(texts: Mapping[Path, str | Iterable[str]], moved: Mapping[Path, Path] | None = None) -> None:
    """Write files of one folder that belong together: all are whole on the disk before the first takes its place.

    Parameters
    ----------
    texts : mapping
        File -> its text, or its pieces. What UTF-8 has no room for, as in a file name of other bytes, is escaped.
    moved : mapping, optional
        File -> a whole file of the same file system that takes its place, before all others.

    Raises
    ------
    OSError
        If one cannot be written; none has been replaced then.
    """
    (folder,) = {path.parent for path in texts}
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder, STAGING)  # of processes that were killed
    with ClaimedFolder.make(folder, STAGING) as staging:
        for path, text in texts.items():
            # To JSON this escape is the sign itself.
            with (staging.path / path.name).open("w", encoding="utf-8", errors="backslashreplace") as stream:
                stream.writelines([text] if isinstance(text, str) else text)
                stream.flush()
                os.fsync(stream.fileno())
        for path, whole in (moved or {}).items():
            whole.replace(path)
        for path in texts:
            (staging.path / path.name).replace(path)
