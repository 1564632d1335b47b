"""Sphinx's settings. `make docs` builds the site; nothing is fetched, and a warning is an error."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import signxai_torch  # noqa: E402

project = "signxai_torch and parity"
author = "the authors of signxai_torch and parity"
copyright = author  # noqa: A001
version = release = signxai_torch.__version__

extensions = [
    "docs.extensions.site",
    "docs.extensions.captions",
    "myst_nb",
    "sphinx.ext.autodoc",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build", "generated/names", "extensions"]
root_doc = "index"

myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3

# The notebook is run when the site is built; an error in it fails the build.
nb_execution_mode = "cache"
nb_execution_cache_path = str(ROOT / "docs" / "_build" / "notebooks")
nb_execution_raise_on_error = True
nb_execution_timeout = 180

# Types stand in the docstrings, as numpydoc has them; in a signature they would be a second spelling.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
default_role = "literal"

copybutton_exclude = ".linenos, .gp, .go"
html_theme = "furo"
html_title = f"signxai_torch {release.split('+')[0]}"  # without the commit, which no line break suits
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
