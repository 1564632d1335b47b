"""What the shell offers after TAB: method and model names.

The method table comes with torch, whose import takes seconds, so its names are kept in the user's cache until
the table's files change.
"""

from __future__ import annotations

import contextlib
import json
import os
from importlib.util import find_spec
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from parity.paths import cache_folder

SETS = ("all", "core")


def complete_method(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer method names; after a comma too."""
    before, comma, begun = incomplete.rpartition(",")
    return [CompletionItem(before + comma + name) for name in (*SETS, *method_names()) if name.startswith(begun)]


def complete_model(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer model names, and files."""
    from parity.assets.models import model_names

    names = [CompletionItem(name) for name in ("all", *model_names()) if name.startswith(incomplete)]
    return names or [CompletionItem(incomplete, type="file")]


def method_names() -> list[str]:
    """Return all method names, from the cache where that is not older than the method table."""
    folder = cache_folder()
    if folder is None:
        return _all_names()
    cache, state = folder / "method-names.json", _state_of_the_table()
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        kept = json.loads(cache.read_text(encoding="utf-8"))
        if kept["state"] == state:
            return [str(name) for name in kept["names"]]
    names = _all_names()
    with contextlib.suppress(OSError):  # a cache that cannot be written costs a second at the next TAB
        cache.parent.mkdir(parents=True, exist_ok=True)
        part = cache.with_name(f".{cache.name}.{os.getpid()}")
        part.write_text(json.dumps({"state": state, "names": names}), encoding="utf-8")
        part.replace(cache)
    return names


def _all_names() -> list[str]:
    from parity.run.subjects import list_methods

    return list(list_methods())


def _state_of_the_table() -> list[list[str | int]]:
    """Return path, size and time of change of the files that say which methods there are."""
    spec = find_spec("signxai_torch")
    folder = Path(spec.origin or "").parent if spec else Path()
    files = sorted(folder.glob("*.py"))
    return [[str(path), path.stat().st_size, path.stat().st_mtime_ns] for path in files]
