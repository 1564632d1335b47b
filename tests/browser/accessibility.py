"""What axe-core finds wrong with a page as it stands."""

from __future__ import annotations

import json
from typing import Any


def serious(browser: Any, axe_source: str) -> list[str]:
    """Return the serious and critical accessibility violations of the page that a browser shows, with their places."""
    browser.execute_script(axe_source)
    violations = browser.execute_async_script(
        "const done = arguments[0];"
        "axe.run(document, {resultTypes: ['violations']}).then(r => done(JSON.stringify(r.violations)));"
    )
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'][:160] for node in rule['nodes'][:3]]}"
        for rule in json.loads(violations)
        if rule["impact"] in ("serious", "critical")
    ]
