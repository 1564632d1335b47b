"""The versions that are promised, and what came of them: `nox` tries each corner, this writes docs/versions.md.

Standard library alone: it is read by nox, and run in environments that have little else.
"""

from __future__ import annotations

import datetime
import json
import platform
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from xml.etree import ElementTree

PAGE = Path("docs") / "versions.md"
SHOWN = ("python", "torch", "numpy", "zennit", "h5py", "click")
"""Whose versions the table has a column for."""


@dataclass(frozen=True)
class Corner:
    """One environment that is made, and in which the tests run.

    Attributes
    ----------
    name
        What it is called.
    python
        Major and minor.
    pins
        What pip is asked for besides the distribution with its extra `parity`; the rest is the newest that fits.
    """

    name: str
    python: str
    pins: tuple[str, ...]


LOWEST = (
    "torch==2.1.0", "torchvision==0.16.0", "numpy==1.24.0", "zennit==0.5.1", "click==8.2.0", "filelock==3.12.0",
    "h5py==3.9.0", "jinja2==3.1.0", "jsonschema-rs==0.61.2", "pillow==10.1.0", "platformdirs==4.0.0", "rich==13.0.0",
    "scikit-image==0.22.0", "scipy==1.11.1",
)  # fmt: skip
"""The lower bounds of `pyproject.toml` (scipy 1.11.0 was withdrawn)."""
CORNERS = (
    Corner("lowest", "3.10", LOWEST),
    Corner("numpy-1", "3.11", ("torch==2.4.1", "torchvision==0.19.1", "numpy==1.26.4", "zennit==0.5.1")),
    Corner("middle", "3.12", ("torch==2.7.1", "torchvision==0.22.1", "numpy==2.2.0", "zennit==1.0.0")),
    Corner("newest", "3.13", ("torch==2.14.1", "torchvision==0.29.1", "numpy==2.5.0", "zennit==1.0.0")),
    Corner("next", "3.14", ("torch==2.14.1", "torchvision==0.29.1", "numpy==2.5.0", "zennit==1.0.0")),
)
PORT = ("tests/signxai_torch",)
HARNESS = (
    "tests/parity/test_metrics.py",
    "tests/parity/test_verdict.py",
    "tests/parity/test_claimed.py",
    "tests/parity/test_models.py",
    "tests/parity/test_cli.py",
    "tests/parity/test_streaming.py",
    "tests/parity/keras/test_structure.py",
    "tests/parity/keras/test_many_layers.py",
    "tests/parity/report/test_html.py",
)
"""Tests of every part of the harness that need neither TensorFlow nor an extra but `parity`."""


@dataclass(frozen=True)
class Tried:
    """What came of a corner.

    Attributes
    ----------
    corner
        Its name.
    versions
        Of the interpreter and the packages that were installed.
    passed, failed, skipped
        How many tests.
    failing
        The names of those that failed.
    """

    corner: str
    versions: Mapping[str, str]
    passed: int
    failed: int
    skipped: int
    failing: tuple[str, ...] = ()


def installed() -> dict[str, str]:
    """Return the versions of this environment."""
    versions = {"python": platform.python_version()}
    for name in SHOWN[1:]:
        versions[name] = metadata.version(name)
    return versions


def read(corner: str, versions: Path, report: Path) -> Tried:
    """Return what came of a corner, from what `installed` said (JSON) and pytest's JUnit report."""
    root = ElementTree.parse(report).getroot()
    suites = root.iter("testsuite")
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for suite in suites:
        for name in counts:
            counts[name] += int(suite.get(name, "0"))
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    failing = tuple(
        f"{case.get('classname')}.{case.get('name')}"
        for case in root.iter("testcase")
        if case.find("failure") is not None or case.find("error") is not None
    )
    said = json.loads(versions.read_text(encoding="utf-8"))
    return Tried(corner, said, passed, failed, counts["skipped"], failing)


def page(tried: Sequence[Tried], day: datetime.date) -> str:
    """Return the page: what was tried, and what was not."""
    lines = [
        *_INTRODUCTION,
        f"Tried on {day.day} {day:%B %Y}, {platform.system()} {platform.machine()}:",
        "",
        f"| environment | {' | '.join(SHOWN)} | tests passed | failed | skipped |",
        f"|---|{'---|' * len(SHOWN)}---:|---:|---:|",
    ]
    by_name = {one.corner: one for one in tried}
    absent = []
    for corner in CORNERS:
        row = by_name.get(corner.name)
        if row is None:
            absent.append(f"{corner.name} (Python {corner.python})")
            continue
        versions = " | ".join(row.versions.get(name, "") for name in SHOWN)
        lines.append(f"| {corner.name} | {versions} | {row.passed:,} | {row.failed} | {row.skipped} |")
    if any(row.failing for row in tried):
        lines += ["", "What failed:", ""]
        lines += [f"- {row.corner}: `{name}`" for row in tried for name in row.failing]
    if absent:
        lines += ["", f"Not tried, for want of the interpreter: {', '.join(absent)}."]
    return "\n".join([*lines, *_REMARKS]) + "\n"


_INTRODUCTION = """\
# Versions

Python 3.10 and later, torch 2.1 and later, zennit 0.5.1 and 1, NumPy 1.24 and later. `nox` makes an environment per
row, installs the package with its extra `parity`, and runs there the tests of the port, and those of the harness that
need no TensorFlow (`bench/versions.py`); it wrote this page. Some of these tests have limits of time, which a busy
machine can miss.

""".splitlines()
_REMARKS = """
With torch before 2.4, a model that cuts its tokens (`x[:, 1:]` of integers) or looks them up by `table[x]` is refused,
because torch does not tell of it. With Pillow before 13, SIGN-XAI's own resizing of Grad-CAM maps orders its passes
otherwise where a map shrinks; here they stay those of Pillow 13. The reference runs in an environment of its own, with
Python 3.11 (`parity setup`), whatever Python the harness runs in.

macOS and Windows are simulated (`tests/parity/test_other_systems.py`): without `fork`, affinity, process groups,
`resource`, `fcntl`, `/proc`, reading and writing at a place in a file, and the signals that Windows lacks.
""".splitlines()


def main(folder: Path) -> None:
    """Write the page from what the corners left in a folder."""
    tried = [
        read(corner.name, folder / f"{corner.name}.json", folder / f"{corner.name}.xml")
        for corner in CORNERS
        if (folder / f"{corner.name}.xml").is_file()
    ]
    PAGE.write_text(page(tried, datetime.date.today()), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "--installed":
        sys.stdout.write(json.dumps(installed()))
    else:
        main(Path(sys.argv[1]))
