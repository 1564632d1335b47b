"""The published port's vocabulary: analyzers, hooks, composite factories, functions.

Published scripts import from submodules of the package itself (``from signxai_torch.hooks import EpsilonHook``), and
those of SIGN-XAI and signxai2 from `signxai_torch.signxai` and `signxai_torch.signxai2`. Those
names are other names of modules here; `PublishedModules` resolves them, and nothing is imported before somebody asks.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MODULES = ("analyzers", "captum", "compat", "factories", "hooks", "quantus", "rules")
"""Where published names are, those without zennit first."""
FORMS = ("signxai", "signxai2")
"""Other packages' functions under their own names, which collide: imported from their modules alone."""
SUBMODULES = {
    f"signxai_torch.{name}": f"{__name__}.{module}"
    for name, module in {"composites": "factories", **{name: name for name in (*MODULES, *FORMS)}}.items()
}
"""From the name of a module as scripts import it to its own."""


class PublishedModules(MetaPathFinder, Loader):
    """Makes `SUBMODULES` importable; a module and its other name are one object."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        return ModuleSpec(fullname, self) if fullname in SUBMODULES else None

    def exec_module(self, module: ModuleType) -> None:
        """Put the module itself in the place of the empty one; Python's import looks for that."""
        sys.modules[module.__name__] = importlib.import_module(SUBMODULES[module.__name__])


if not any(isinstance(finder, PublishedModules) for finder in sys.meta_path):
    sys.meta_path.append(PublishedModules())
