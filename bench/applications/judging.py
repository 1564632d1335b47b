"""One family through the harness: built in the reference environment, explained on both sides, and judged."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.applications.families import CLASSES, Family
from bench.judged.standing import Standing, stand
from parity.errors import ParityError
from parity.reference.environment import find_python, worker_environment

BUILD = Path(__file__).with_name("build.py")
METHODS = "core"
LANE = "float64"


def built(family: Family, folder: Path) -> tuple[Path, Path]:
    """Return the file of a family's network and a picture for it; both are built if they are missing.

    Raises
    ------
    ParityError
        If the reference environment cannot build it.
    """
    model, picture = folder / f"{family.name}.h5", folder / f"{family.name}.npy"
    if model.is_file() and picture.is_file():
        return model, picture
    folder.mkdir(parents=True, exist_ok=True)
    part = model.with_suffix(".part.h5")
    wish = json.dumps({**asdict(family), "classes": CLASSES})
    command = [str(find_python()), "-s", str(BUILD), wish, str(part), str(picture)]
    done = subprocess.run(command, env=worker_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise ParityError(f"{family.name}: the reference environment cannot build it", done.stderr)
    part.replace(model)
    return model, picture


def judged(family: Family, methods: Sequence[str], directory: Path, options: Mapping[str, Any]) -> Standing:
    """Run a family's network in float64 and keep its standing in a folder of its name.

    Parameters
    ----------
    family : Family
        The family.
    methods : sequence of str
        Names or globs; none for the core methods.
    directory : pathlib.Path
        The folder of all reports; networks go into its folder `networks`.
    options : mapping
        Further fields of `parity.run.session.Session`.

    Raises
    ------
    ParityError
        If it cannot be built, or nothing of it could be compared.
    """
    model, picture = built(family, directory / "networks")
    return stand(model, lambda: [picture], methods or [METHODS], directory / family.name, {"dtype": LANE, **options})
