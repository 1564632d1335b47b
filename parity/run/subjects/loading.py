"""A user's file as a module: read anew whenever it has changed, with the files beside it that it imports."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from parity.errors import ParityError
from parity.run.subjects.isolation import settings_kept

_loaded: dict[Path, LoadedFile] = {}


class LoadedFile:
    """A Python file that was run as a module under a name of its own.

    Modules from the file's folder that it imports are seen by it alone: another subject's `helpers.py` is another
    module, and a changed one is read again.

    Parameters
    ----------
    path : Path
        The file, absolute.

    Attributes
    ----------
    module : module
        What the file defines.
    versions : dict
        The first 12 hex digits of the SHA-256 of the file, and of the files of its folder that it imported.

    Raises
    ------
    ParityError
        If the file cannot be read, or raises while it runs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        source = _read(path)
        self._digests = {path: _digest(source)}
        self._siblings: dict[str, ModuleType] = {}
        name = f"_parity_subject_{path.stem}_{hashlib.sha256(os.fsencode(path)).hexdigest()[:8]}"
        name += f"_{self._digests[path][:8]}"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        self.module = importlib.util.module_from_spec(spec)
        earlier = sys.modules.get(name)
        sys.modules[name] = self.module  # dataclasses and pickle look there
        importlib.invalidate_caches()  # a helper may have been written a moment ago
        try:
            with self.at_home(), settings_kept():
                # Compiled here: Python's own cache goes by the second and the size of a file.
                exec(compile(source, str(path), "exec", dont_inherit=True), self.module.__dict__)
        except (Exception, SystemExit) as error:
            if earlier is None:
                del sys.modules[name]
            else:
                sys.modules[name] = earlier
            raise ParityError(f"{path} cannot be loaded: {_raised(error, path)}", traceback.format_exc()) from error

    @property
    def versions(self) -> dict[str, str]:
        """See above."""
        folder = self.path.parent
        return {Path(os.path.relpath(file, folder)).as_posix(): digest[:12] for file, digest in self._digests.items()}

    def is_current(self) -> bool:
        """Return whether no file that was read has changed."""
        try:
            return all(_digest(file.read_bytes()) == digest for file, digest in self._digests.items())
        except OSError:
            return False

    @contextlib.contextmanager
    def at_home(self) -> Iterator[None]:
        """Make the file's folder importable, first of all places, while code of the file runs."""
        folder = str(self.path.parent)
        before = dict(sys.modules)
        sys.modules.update(self._siblings)
        sys.path.insert(0, folder)
        try:
            yield
        finally:
            with contextlib.suppress(ValueError):  # the code may have taken it out
                sys.path.remove(folder)
            self._take_siblings(before)

    def _take_siblings(self, before: dict[str, ModuleType]) -> None:
        """Keep the modules of the folder for this file alone, and put back what stood under their names."""
        fresh = [name for name, module in sys.modules.items() if before.get(name) is not module]
        tops = {name.partition(".")[0] for name in self._siblings}
        tops |= {name for name in fresh if name not in before and _lies_in(sys.modules[name], name, self.path.parent)}
        for name in fresh:
            if name.partition(".")[0] not in tops:
                continue
            module = sys.modules.pop(name)
            if name in before:
                sys.modules[name] = before[name]
            if name not in self._siblings:
                self._siblings[name] = module
                file = getattr(module, "__file__", None)
                if file is not None and Path(file).is_file():
                    self._digests.setdefault(Path(file), _digest(Path(file).read_bytes()))


def load(path: Path) -> LoadedFile:
    """Return a file's module; two calls give the same one unless a file has changed in between.

    Raises
    ------
    ParityError
        If the file cannot be read, or raises while it runs.
    """
    if path not in _loaded or not _loaded[path].is_current():
        _loaded[path] = LoadedFile(path)
    return _loaded[path]


def loaded_files() -> dict[Path, str]:
    """Return the SHA-256 of every file that was run here, and of those beside it that it imported."""
    return {file: digest for one in _loaded.values() for file, digest in one._digests.items()}


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ParityError(f"there is no file {path}") from error
    except OSError as error:
        raise ParityError(f"{path} cannot be read: {error.strerror or error}") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _lies_in(module: ModuleType, name: str, folder: Path) -> bool:
    """Return whether a module is a top-level one that comes from a folder."""
    places = [getattr(module, "__file__", None), *getattr(module, "__path__", ())]
    expected = {folder / f"{name}.py", folder / name / "__init__.py", folder / name}
    return any(place is not None and Path(place) in expected for place in places)


def _raised(error: BaseException, path: Path) -> str:
    """Return what running a file raised, and at which of its lines."""
    text = f"it raised {type(error).__name__}: {error}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{text} (at line {lines[-1]})" if lines else text
