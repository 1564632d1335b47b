"""What the fuzzer lets pass as no finding is no more than it says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from parity.run.cases import Plan
from parity.run.outcome import Outcome
from parity.run.runner import Runner
from parity.run.subjects import SignxaiTorch
from tests.fuzz.checking import is_nothing
from tests.fuzz.networks import write
from tests.parity.echo_client import EchoClient

LINEAR = Path(__file__).with_name("regressions") / "variance_of_a_gradient_that_does_not_change.json"


@pytest.mark.parametrize(
    ("reference", "subject", "method", "passes"),
    [
        (1e-31, 3e-33, "vargrad", True),
        (1e-20, 3e-33, "vargrad", False),
        (1e-31, 1e-20, "vargrad", False),
        (1e-31, np.nan, "vargrad", False),
        (1e-31, 3e-33, "gradient", False),
        (None, 3e-33, "vargrad", False),
    ],
)
def test_only_a_variance_of_last_digits_is_nothing(tmp_path: Path, reference, subject, method: str, passes: bool):
    source, x = write(json.loads(LINEAR.read_text(encoding="utf-8")), tmp_path / "net.h5")
    runner = Runner(Plan(source, (x,), (method,), frozenset([method]), frozenset()), EchoClient(), SignxaiTorch())
    maps = [None if one is None else np.full(x.array.shape, one) for one in (reference, subject)]
    assert is_nothing(Outcome({"family": method, "method": method}, *maps), runner) == passes
