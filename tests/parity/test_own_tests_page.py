"""What docs/own_tests.md shows, run as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytest_plugins = ("pytester",)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own_tests.md"
LIBRARY = """
import signxai_torch

SCALE = 1.0


def attribute(model, x, target, rule):
    return SCALE * signxai_torch.explain(model, x, rule, target=target)
"""


def first_example() -> str:
    (example, *_) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return example


@pytest.mark.parametrize(("scale", "outcome"), [("1.0", {"passed": 2}), ("1.01", {"failed": 2})])
def test_the_first_example_judges_a_right_and_a_wrong_library(
    pytester: pytest.Pytester, scale: str, outcome: dict[str, int]
) -> None:
    example = first_example()
    assert len(example.strip().splitlines()) <= 10
    pytester.makepyfile(my_library=LIBRARY.replace("1.0", scale), test_my_lrp=example)
    pytester.makeconftest(
        "from parity.testing import cases\n"
        "from tests.parity.echo_client import EchoClient\n"
        "cases._client = lambda options: EchoClient()\n"
    )
    root = str(PAGE.parents[1])
    pytester.syspathinsert(root)
    result = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    result.assert_outcomes(**outcome)
