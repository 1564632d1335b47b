"""How much a file may unpack to: small files that declare gigabytes are refused before memory is taken."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path

FREE = 256 << 20
"""Bytes that any file may unpack to."""
TIMES = 4
"""How often its own size a file may unpack to besides; weights and photos compress by less."""

_END = struct.Struct("<4s4H2LH")
_MORE = 0xFFFF  # the count of an archive of more members than that stands elsewhere
# What NumPy and Keras write. The others' decoders take memory that the archive declares.
_PACKED_BY = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


def most_unpacked(path: Path) -> int:
    """Return the bytes that all that is packed in a file may take."""
    return FREE + TIMES * path.stat().st_size


def problem_of_archive(archive: zipfile.ZipFile, path: Path) -> str:
    """Say what makes a zip archive unfit to be unpacked, from what it declares; "" if nothing does."""
    odd = next((one.filename for one in archive.infolist() if one.compress_type not in _PACKED_BY), None)
    if odd is not None:
        return f"packs {odd!r} by another method than the two that NumPy and Keras write"
    counted, there = _counted(path), len(archive.infolist())
    if counted not in (there, _MORE):
        return f"is damaged: its end counts {counted} members, and its list has {there}. Copy or save it again"
    declared = sum(one.file_size for one in archive.infolist())
    return too_large(declared, path)


def _counted(path: Path) -> int:
    """Return how many members the end of a zip archive counts; `zipfile` takes those that it finds for all."""
    with path.open("rb") as stream:
        stream.seek(-min(path.stat().st_size, _END.size + 0xFFFF), os.SEEK_END)  # a comment may follow
        tail = stream.read()
    place = tail.rfind(b"PK\5\6")
    return int(_END.unpack_from(tail, place)[4]) if 0 <= place <= len(tail) - _END.size else 0


def too_large(declared: int, path: Path) -> str:
    """Say that what a file unpacks to is out of proportion to its size; "" if it is not."""
    most = most_unpacked(path)
    if declared <= most:
        return ""
    return (
        f"unpacks to {declared / 1e6:.0f} MB, more than the {most / 1e6:.0f} MB that are taken from "
        f"{path.stat().st_size / 1e6:.1f} MB. Save it without compression"
    )
