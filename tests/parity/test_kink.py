"""A gradient that jumps at the baseline excuses that one point of integrated gradients, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError, find_python
from parity.run.subjects import FunctionSubject
from signxai_torch import explain
from tests.fuzz.checking import rows

CASE = Path(__file__).parents[1] / "fuzz" / "regressions" / "tie_at_the_baseline.json"


@pytest.fixture(scope="module")
def client() -> Iterator[ReferenceClient]:
    try:
        find_python()
    except ReferenceEnvironmentError as error:
        pytest.skip(f"no reference environment: {error}")
    with ReferenceClient(keep_both=True, threads=1) as client:
        yield client


def right(model: Any, x: Any, method: str, target: list[int], **parameters: Any) -> Any:
    return np.asarray(explain(model, x, method, target=target, **parameters))


def scaled(model: Any, x: Any, method: str, target: list[int], **parameters: Any) -> Any:
    return right(model, x, method, target, **parameters) * (1 + 1e-6)


def another_baseline(model: Any, x: Any, method: str, target: list[int], **parameters: Any) -> Any:
    """Twice the gradient at the baseline, which is between none of the reference's."""
    array = right(model, x, method, target, **parameters)
    if method == "gradient":
        return array * 2 if not x.any() else array
    return array + right(model, x * 0, "gradient", target) * x.numpy() / 50


def one_point_left_out(model: Any, x: Any, method: str, target: list[int], **parameters: Any) -> Any:
    array = right(model, x, method, target, **parameters)
    if method == "gradient":
        return array
    return array - right(model, x * (20 / 49), "gradient", target) * x.numpy() / 50


@pytest.mark.reference
@pytest.mark.parametrize(
    ("subject", "status"),
    [(right, "reference-defect"), (scaled, "structural"), (another_baseline, "structural"),
     (one_point_left_out, "structural")],
)  # fmt: skip
def test_all_points_but_the_baseline_are_held_to_the_reference(
    client: ReferenceClient, tmp_path: Path, subject: Any, status: str
) -> None:
    case = json.loads(CASE.read_text(encoding="utf-8")) | {"methods": ["integrated_gradients"]}
    (row,) = rows(case, client, tmp_path, FunctionSubject(subject, "a port"))
    assert row["status"] == status, row["message"]
    assert (row["divergence"] == "kink-at-the-baseline") == (subject is right)
