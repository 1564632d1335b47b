"""The child process: calls a function on a file, under limits, for each line that it is given.

Run by path under `python -I`; the first argument is where to import from. Asked with one JSON object a line; answers
`{"begun": true}` when it has imported what it needs, then `{"refused": why}`, "" for a file that is fine.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

GROWN = 256 << 20
"""Bytes kept beyond those of the start at which it ends, for another to begin."""
_PAGES = Path("/proc/self/statm")


def main() -> None:
    """Answer until nobody asks."""
    sys.path[:] = [*dict.fromkeys([*json.loads(sys.argv[1]), *sys.path])]
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit("RLIMIT_CORE", 0)
    begun: int | None = None
    for line in sys.stdin.buffer:
        request = json.loads(line)
        try:
            os.chdir(request["folder"])
            function = getattr(importlib.import_module(request["module"]), request["function"])
        except Exception as error:
            _say(answers, failed=f"{type(error).__name__}: {error}")
            return
        begun = begun or _virtual()
        _say(answers, begun=True)
        refusal = _refusal(function, request)
        _limit("RLIMIT_AS", None)
        _say(answers, refused=refusal)
        os.chdir("/")  # no folder is kept busy
        if _virtual() > begun + GROWN:
            return


def _refusal(function: Callable[..., object], request: dict[str, Any]) -> str:
    """Return what the function has against a file, "" for nothing."""
    from parity.errors import ParityError, brief

    _limit("RLIMIT_CPU", int(time.process_time() + request["seconds"]) + 1)
    if _virtual():
        _limit("RLIMIT_AS", _virtual() + request["memory"])
    path = Path(request["path"])
    try:
        function(path, *request["arguments"])
    except ParityError as error:
        return str(error)
    except MemoryError:
        return f"{path} takes more than {request['memory'] / 1e6:.0f} MB of memory to read. Copy or save it again."
    except Exception as error:
        return f"{path} cannot be read ({type(error).__name__}: {brief(error)}). Copy or save it again."
    return ""


def _limit(name: str, value: int | None) -> None:
    """Set a soft limit of this process, None for as much as it may have, where the system knows of it."""
    with suppress(ImportError, AttributeError, OSError, ValueError):
        import resource

        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        if value is None or (hard != resource.RLIM_INFINITY and hard < value):
            value = hard
        resource.setrlimit(kind, (value, hard))


def _virtual() -> int:
    """Return the bytes of this process's address space, 0 where the system does not say."""
    try:
        return int(_PAGES.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):  # no /proc: macOS, Windows
        return 0


def _say(answers: Any, **answer: Any) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
