"""What `pyproject.toml` cannot say: what a wheel carries that lies elsewhere in the clone.

The weights of the shipped networks go beside the data of the harness, and the requirements of the reference environment
beside what makes it (`parity setup`).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
COPIED = {"weights/*.h5": "parity/assets/data", "requirements/reference.*": "parity/reference/requirements"}
"""Files of the clone, and their folder in the wheel."""


class BuildWithData(build_py):
    """Copies files of the clone into the built package; an editable install reads them where they are."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        for pattern, folder in COPIED.items():
            target = Path(self.build_lib, folder)
            target.mkdir(parents=True, exist_ok=True)
            for path in sorted(HERE.glob(pattern)):
                shutil.copyfile(path, target / path.name)


setup(cmdclass={"build_py": BuildWithData})
