"""The door: from what a user writes behind `--subject` to an implementation under test.

``NAME`` is one that is built in, or that an installed package registers under the entry-point group
`parity.subjects`; ``package.module:function`` is imported, ``path/file.py:function`` is loaded.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import importlib
import inspect
import os
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from parity.errors import ParityError
from parity.paths import expanded
from parity.run.subjects.function import FunctionSubject
from parity.run.subjects.guarded import METHODS, GuardedSubject
from parity.run.subjects.isolation import settings_kept
from parity.run.subjects.loading import load
from parity.run.subjects.protocol import Subject

GROUP = "parity.subjects"
"""The entry-point group under which installed packages register subjects."""
BUILT_IN: dict[str, str] = {
    "signxai_torch": "signxai_torch:SignxaiTorch",
    **{name: f"{name}:subject" for name in ("zennit", "captum", "pytorch_grad_cam", "signxai2", "numpy_lrp")},
}
"""The subjects that come with the harness, and the module of this package and what in it makes each.

Only the one that is asked for is imported: zennit alone takes as long as torch. No other package can take their names.
"""
SHAPE = "f(model, x, method, target, **parameters)"
"""How a function is called."""


def subject(spec: str) -> Subject:
    """Return an implementation under test.

    Parameters
    ----------
    spec : str
        A name, ``module:function`` or ``file.py:function``. Behind the colon may also stand a class or an object that
        follows the `Subject` protocol.

    Raises
    ------
    ParityError
        If there is none such, or it cannot be loaded or called; the message says what was wrong.
    """
    place, colon, what = spec.rpartition(":")
    if not colon:
        return _by_name(spec)
    if _is_file(place):
        return _from_file(spec, place, what)
    return _from_module(spec, place, what)


def absolute(spec: str) -> str:
    """Return a spec that means the same from any folder: the file's path made absolute."""
    place, colon, what = spec.rpartition(":")
    return f"{_absolute(place)}:{what}" if colon and _is_file(place) else spec


def names() -> tuple[str, ...]:
    """Return the names that `subject` knows."""
    return (*BUILT_IN, *sorted({entry.name for entry in metadata.entry_points(group=GROUP)} - BUILT_IN.keys()))


# --- three kinds of spec ---------------------------------------------------------------------------------------------


def _by_name(name: str) -> Subject:
    if name in BUILT_IN:
        module, _, maker = BUILT_IN[name].partition(":")
        made: Subject = getattr(importlib.import_module(f"{__package__}.{module}"), maker)()
        return made
    entries = list(metadata.entry_points(group=GROUP, name=name))
    if not entries:
        raise ParityError(_unknown(name))
    if len({entry.value for entry in entries}) > 1:
        registered = ", ".join(f"{entry.value} of {entry.dist.name if entry.dist else '?'}" for entry in entries)
        raise ParityError(
            f"the subject {name!r} is registered more than once: {registered}; name one as module:function"
        )
    entry = entries[0]
    registered = f"the subject {name!r} ({entry.value}" + (f" of {entry.dist.name})" if entry.dist else ")")
    try:
        with settings_kept():
            value = entry.load()
    except (Exception, SystemExit) as error:
        raise ParityError(
            f"{registered} cannot be loaded: {type(error).__name__}: {error}", traceback.format_exc()
        ) from error
    versions = {entry.dist.name: entry.dist.version} if entry.dist else _module_versions(entry.module)
    return _made(value, registered, name, name, versions)


def _from_file(spec: str, place: str, what: str) -> Subject:
    path = _absolute(place)
    if path.suffix != ".py" or path.is_dir():
        raise ParityError(f"--subject {spec}: {place} is no Python file; write file.py:function")
    loaded = load(path)
    value = _attribute(loaded.module, what, str(path), f"{place}:")
    shown = f"{path.name}:{what}"
    return _made(value, f"{what} of {path}", shown, f"{path}:{what}", loaded.versions, loaded.at_home, str(path))


def _from_module(spec: str, place: str, what: str) -> Subject:
    if not all(part.isidentifier() for part in place.split(".")):
        raise ParityError(f"--subject {spec}: {place!r} is no module; write NAME, module:function or file.py:function")
    try:
        with settings_kept():
            module = importlib.import_module(place)
    except (Exception, SystemExit) as error:
        raise ParityError(_not_imported(spec, place, what, error), traceback.format_exc()) from error
    value = _attribute(module, what, f"the module {place}", f"{place}:")
    return _made(value, f"{what} of {place}", spec, spec, _module_versions(place), file=module.__file__)


# --- what stands there -----------------------------------------------------------------------------------------------


def _made(
    value: Any,
    which: str,
    name: str,
    spec: str,
    versions: Mapping[str, str],
    home: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext,
    file: str | None = None,
) -> Subject:
    """Return a subject around what was loaded."""
    if not any(callable(getattr(value, part, None)) for part in METHODS):
        if isinstance(value, type):
            raise ParityError(f"{which} is a class without the methods of a subject ({', '.join(METHODS)})")
        if not callable(value):
            raise ParityError(f"{which} is {type(value).__name__}, no function; a subject is called as {SHAPE}")
        _require_signature(value, which)
        return FunctionSubject(value, name, spec, versions, home, file)
    missing = [part for part in METHODS if not callable(getattr(value, part, None))]
    if missing:
        raise ParityError(f"{which} is no subject: it has no {', no '.join(missing)}; see parity.run.subjects.Subject")
    if isinstance(value, type):
        try:
            with home(), settings_kept():
                value = value()
        except (Exception, SystemExit) as error:
            raise ParityError(
                f"{which} cannot be made without arguments: {type(error).__name__}: {error}", traceback.format_exc()
            ) from error
    return GuardedSubject(cast(Subject, value), name, spec, versions, home)


def _require_signature(function: Callable[..., Any], which: str) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # some functions written in C do not tell
        return
    try:
        signature.bind("model", "x", "method", ["target"])
    except TypeError as error:
        raise ParityError(f"{which} takes {signature}, but a subject is called as {SHAPE}: {error}") from error


def _attribute(module: ModuleType, what: str, where: str, before: str) -> Any:
    """Return what a module calls `what`, dots included."""
    value: Any = module
    for part in what.split("."):
        try:
            value = getattr(value, part)
        except AttributeError:
            functions = [
                name
                for name, entry in vars(module).items()
                if callable(entry) and not name.startswith("_") and getattr(entry, "__module__", "") == module.__name__
            ]
            near = _nearest(what, functions)
            there = f"it has {', '.join(functions)}" if functions else "it has no functions"
            wrong = f"{where} has no {what!r}" if what else f"no function of {where} is named; write {before}function"
            raise ParityError(f"{wrong}{near}; {there}") from None
    return value


# --- words -----------------------------------------------------------------------------------------------------------


def _is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place or os.sep in place


def _absolute(place: str) -> Path:
    # Not resolved: what a file imports lies beside the link to it.
    return Path(os.path.abspath(expanded(place)))  # noqa: PTH100


def _nearest(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def _unknown(name: str) -> str:
    known = names()
    text = f"unknown subject {name!r}{_nearest(name, known)}"
    if _is_file(name):
        text = f"--subject {name} names no function"
    return f"{text}. There are: {', '.join(known)}; a function of your own is module:function or file.py:function."


def _not_imported(spec: str, place: str, what: str, error: BaseException) -> str:
    text = f"--subject {spec}: the module {place} cannot be imported: {type(error).__name__}: {error}"
    file = Path(*place.split(".")).with_suffix(".py")
    if isinstance(error, ModuleNotFoundError) and file.is_file():
        text += f"; for the file in this folder write {file}:{what}"
    return text


def _module_versions(module: str) -> dict[str, str]:
    """Return the version of the distribution that a module comes from, or the hash of its file if there is none."""
    top = module.partition(".")[0]
    packages = dict.fromkeys(metadata.packages_distributions().get(top, ()))
    if packages:
        return {package: metadata.version(package) for package in packages}
    file = getattr(importlib.import_module(module), "__file__", None)
    if file is None:
        return {}
    return {module: hashlib.sha256(Path(file).read_bytes()).hexdigest()[:12]}
