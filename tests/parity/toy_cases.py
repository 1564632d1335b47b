"""A case that no file stands behind, and what both sides said about it, for tests of the judging alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.reference.request import ReferenceAnswer, ReferenceCall
from parity.run.cases import Plan
from parity.run.outcome import Case
from parity.run.questions import Candidate
from parity.run.subject_maps import Maps
from parity.run.subjects import parse
from tests.parity.toy_maps import toy_map

REFERENCE = toy_map()
PLAIN = Candidate(ReferenceCall("signxai", "wrapper", "lrp_z"))


def toy_case(dtype: str = "float64", method: str = "lrp_z", x: np.ndarray = REFERENCE) -> Case:
    source = ModelSource("toy", Path("toy.h5"), None, "0" * 64, "none", "", "")
    array = Input("x", x.astype(np.float32), "", None, None)
    plan = Plan(source, (array,), (method,), frozenset([method]), frozenset([method]))
    return Case(plan, parse(method), dtype, array, 0)


def subject_says(array: np.ndarray) -> Maps:
    return Maps([array], 0.5)


def raised(error: str, kind: str = "method") -> ReferenceAnswer:
    return ReferenceAnswer(None, error=error, error_kind=kind)
