"""What is not judged on the shipped models is pinned: a row that stops being compared, or begins to be, is seen.

`pinned.json` lists (model, method, reason) of every method that is unsupported or unjudged by the model alone. After a
change that is meant: `python -m tests.parity.test_pinned` writes it again, and the change is read in the diff.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parity import keras
from parity.assets.models import resolve, shipped_names
from parity.run.runner import in_order
from parity.run.subjects import list_methods

PINNED = Path(__file__).with_name("pinned.json")


def not_judged(model: str) -> dict[str, dict[str, str]]:
    """Return, by status, the methods that nothing is compared for on a model, each with the reason."""
    source = resolve(model)
    description = keras.load(source.path, architecture=source.architecture).description
    reasons: dict[str, dict[str, str]] = {"unjudged": {}, "unsupported": {}}
    for method, how in in_order(list_methods(), description, "auto"):
        if isinstance(how, str):
            reasons["unsupported"][method.name] = how
        elif not how.candidates:
            reasons["unjudged"][method.name] = how.reason
    return {status: dict(sorted(methods.items())) for status, methods in reasons.items()}


@pytest.mark.parametrize("model", shipped_names())
def test_what_is_not_judged_is_what_is_pinned(model: str) -> None:
    pinned = json.loads(PINNED.read_text(encoding="utf-8"))
    assert not_judged(model) == pinned[model]


def test_no_more_than_a_few_methods_are_left_unjudged() -> None:
    pinned = json.loads(PINNED.read_text(encoding="utf-8"))
    assert set(pinned) == set(shipped_names())
    assert {model: len(rows["unjudged"]) for model, rows in pinned.items()} == dict.fromkeys(shipped_names(), 0)


if __name__ == "__main__":
    text = json.dumps({model: not_judged(model) for model in shipped_names()}, indent=1, sort_keys=True)
    PINNED.write_text(text + "\n", encoding="utf-8")
