"""How templates of this package become pages: what a run says is escaped, a name that is missing is an error."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jinja2


def page_of(template: str, filters: Mapping[str, Callable[..., Any]], **names: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        File name in this package.
    filters : mapping
        Functions that it may apply, by name.
    **names
        What it shows.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("parity.report", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= dict(filters)
    return environment.get_template(template).render(**names)
