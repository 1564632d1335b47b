"""What is installed and works, and the command that mends what does not.

Imports nothing that could be what is broken: every check does its own imports and reports what they raise.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from parity.extras import EXTRAS, install
from parity.reference.program import IN_CHECKOUT

Status = Literal["ok", "failed", "absent"]

MEND_TORCH = "make setup (or: pip install -e '.[parity,dev]')" if IN_CHECKOUT else install("parity")
PORT = {"torch": "torch", "zennit": "zennit", "numpy": "numpy"}
"""Distribution to module: what the port needs."""
START_SECONDS = 180.0


@dataclass(frozen=True)
class Check:
    """What one check found.

    Attributes
    ----------
    name
        What was looked at.
    status
        "ok"; "failed": parity does not work as it should; "absent": something that can be done without.
    detail
        What was found, for people.
    mend
        The command that helps, or "".
    """

    name: str
    status: Status
    detail: str
    mend: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)


def examine(store: str | Path | None = None, quick: bool = False) -> Iterator[Check]:
    """Yield what is found, one check at a time.

    Parameters
    ----------
    store
        See `parity.reference.store.store_location`.
    quick
        Whether the reference's packages are only listed and not started, which takes some ten seconds.
    """
    yield _interpreter()
    yield _packages("port packages", PORT)
    yield _port()
    yield _packages("harness packages", EXTRAS["parity"])
    yield _plugin()
    yield from _reference(quick)
    yield _store(store)
    yield from _models()


def _interpreter() -> Check:
    return Check("python", "ok", f"{platform.python_version()} at {sys.executable}")


def _packages(name: str, wanted: Mapping[str, str]) -> Check:
    """Import the packages one by one; a package that is there can still be broken."""
    found, broken = [], []
    for distribution, module in wanted.items():
        try:
            importlib.import_module(module)
            found.append(f"{distribution} {importlib.metadata.version(distribution)}")
        except Exception as error:  # a broken package can raise anything
            broken.append(f"{distribution}: {_first_line(error)}")
    if broken:
        return Check(name, "failed", "; ".join(broken), MEND_TORCH)
    return Check(name, "ok", ", ".join(found))


def _port() -> Check:
    try:
        import torch

        import signxai_torch

        methods = len(signxai_torch.list_methods())
        model = torch.nn.Sequential(torch.nn.Linear(3, 2))
        relevance = signxai_torch.explain(model, torch.ones(1, 3), "lrp_z", target=0)
        if relevance.shape != (1, 3):
            raise ValueError(f"lrp_z of a (1, 3) input has the shape {relevance.shape}")
    except Exception as error:
        return Check("signxai_torch", "failed", _first_line(error), MEND_TORCH)
    detail = f"{signxai_torch.__version__}, {methods} methods, explains; {torch.get_num_threads()} threads"
    return Check("signxai_torch", "ok", detail)


def _plugin() -> Check:
    found = importlib.metadata.entry_points(group="pytest11", name="parity")
    if not found:
        detail = "not registered: `pytest --parity-report` is unknown"
        mend = "pip install --no-deps -e ." if IN_CHECKOUT else MEND_TORCH
        return Check("pytest plugin", "failed", detail, mend)
    return Check("pytest plugin", "ok", "pytest --parity-report=DIR")


# --- the reference ---------------------------------------------------------------------------------------


def _reference(quick: bool) -> Iterator[Check]:
    try:
        from parity.reference.environment import MEND, SETUP, ReferenceEnvironmentError, find_python, package_versions
        from parity.reference.protocol import PACKAGES
    except Exception as error:
        yield Check("reference", "failed", _first_line(error), MEND_TORCH)
        return
    mend = (
        f"{SETUP} (or set REFERENCE_PYTHON to the absolute path of a Python that has tensorflow, signxai and "
        "innvestigate)"
    )
    try:
        python = find_python()
        yield Check("reference interpreter", "ok", str(python))
        versions = package_versions(python)
    except ReferenceEnvironmentError as error:
        yield Check("reference interpreter", "failed", str(error).removesuffix(f"; {MEND}"), mend)
        return
    listed = ", ".join(f"{name} {versions[name]}" for name in ("python", *PACKAGES) if name in versions)
    missing = [name for name in PACKAGES if name not in versions]
    if missing:
        detail = f"lacks {', '.join(missing)}; has {listed}"
        yield Check("reference packages", "failed", detail, mend)
        return
    yield Check("reference packages", "ok", listed)
    for mode in () if quick else ("signxai", "innvestigate"):
        yield _worker(python, mode, mend)


def _worker(python: Path, mode: str, mend: str) -> Check:
    """Start a real worker: it imports TensorFlow and the package, says so, and ends when its stdin does."""
    from parity.reference.environment import WORKER, worker_environment
    from parity.reference.process import WorkerError, WorkerProcess
    from parity.reference.program import shown

    name = f"{mode} worker"
    begun = time.perf_counter()
    command = [str(python), "-s", str(WORKER), "--mode", mode]
    try:
        with tempfile.TemporaryDirectory(prefix="parity-doctor-") as folder:
            process = WorkerProcess(command, worker_environment(), Path(folder) / "log")
            try:
                versions = process.begin(START_SECONDS)
            except WorkerError as error:
                said = shown(process.log_tail().encode()) if error.kind == "crash" else ""
                return Check(name, "failed", f"{error}{': ' if said else ''}{said}", mend)
            finally:
                process.kill()
    except (OSError, WorkerError) as error:
        return Check(name, "failed", _first_line(error), mend)
    tensorflow = versions.get("tensorflow")
    return Check(name, "ok", f"TensorFlow {tensorflow} starts in {time.perf_counter() - begun:.0f} s")


# --- files -----------------------------------------------------------------------------------------------


def _store(location: str | Path | None) -> Check:
    try:
        from parity.reference.store import store_location

        root = store_location(location)
        sizes = [path.stat().st_size for path in root.rglob("*.npz")] if root.is_dir() else []
        place = next(path for path in (root, *root.parents) if path.exists())
        with tempfile.TemporaryFile(dir=place):
            free = shutil.disk_usage(place).free
    except Exception as error:
        mend = "free the place or name another with --store or PARITY_STORE"
        return Check("store", "failed", f"{store_location(location)} cannot be written: {_first_line(error)}", mend)
    held = f"{len(sizes)} answers, {_megabytes(sum(sizes))}" if root.is_dir() else "made on first use"
    origin = ", from PARITY_STORE" if location is None and os.environ.get("PARITY_STORE") else ""
    return Check("store", "ok", f"{root}{origin}: {held}; {_megabytes(free)} free")


def _models() -> Iterator[Check]:
    try:
        from parity.assets.models import list_models

        sources = list_models()
    except Exception as error:
        yield Check("models", "failed", _first_line(error), MEND_TORCH)
        return
    present = [source.name for source in sources if source.present]
    yield Check("models", "ok" if present else "absent", ", ".join(present) or "none; name a Keras .h5 with --model")
    for source in sources:
        if source.on_demand:
            yield Check(source.name, "ok", f"made on demand: {source.description}")
        elif not source.present:
            mend = "make weights" if IN_CHECKOUT and source.name in ("vgg16", "vgg19") else ""
            yield Check(source.name, "absent", source.description.removeprefix("absent: "), mend)


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or 'no message').splitlines()[0]}"
