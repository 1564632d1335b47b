"""What `pyproject.toml` cannot say: a wheel carries the weights of the shipped networks beside the harness' data."""

from __future__ import annotations

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithWeights(build_py):
    """Copies `weights/*.h5` into the built package; an editable install reads them where they are."""

    def run(self) -> None:
        """Build, then copy."""
        super().run()
        if self.editable_mode:
            return
        data = Path(self.build_lib) / "parity" / "assets" / "data"
        data.mkdir(parents=True, exist_ok=True)
        for path in sorted((Path(__file__).parent / "weights").glob("*.h5")):
            shutil.copyfile(path, data / path.name)


setup(cmdclass={"build_py": BuildWithWeights})
