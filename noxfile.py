"""`nox`: makes an environment per corner of the versions that are promised, tests in it, and writes docs/versions.md.

`nox -s "versions(lowest)"` tries one; options behind `--` go to pytest. A missing interpreter is passed over.
"""

from __future__ import annotations

import sys
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent))  # nox reads this file from anywhere

from bench.versions import CORNERS, HARNESS, PORT, Corner

nox.options.sessions = ["versions", "page"]
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
FOLDER = Path("reports", "versions").absolute()
"""Where each corner leaves its versions and its JUnit report."""
TESTING = ("pytest>=8.3", "pytest-timeout", "pytest-xdist", "hypothesis>=6.90")


@nox.session
@nox.parametrize(
    "python,corner", [nox.param(corner.python, corner, id=corner.name) for corner in CORNERS]
)  # fmt: skip
def versions(session: nox.Session, corner: Corner) -> None:
    """Test in an environment of given versions."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    session.install(".[parity]", *corner.pins, *TESTING)
    report = FOLDER / f"{corner.name}.xml"
    report.unlink(missing_ok=True)
    said = session.run("python", "-m", "bench.versions", "--installed", silent=True)
    (FOLDER / f"{corner.name}.json").write_text(str(said), encoding="utf-8")
    session.run(
        "python", "-m", "pytest", "-q", "-n", "2", "--dist", "loadfile", "-p", "no:cacheprovider",
        f"--junit-xml={report}", *PORT, *HARNESS, *session.posargs, success_codes=[0, 1],
        env={"OMP_NUM_THREADS": "1"},
    )  # fmt: skip


@nox.session(python=False)
def page(session: nox.Session) -> None:
    """Write docs/versions.md from what the corners left."""
    session.run("python", "-m", "bench.versions", str(FOLDER))
