"""The check of a converted model's logits: in float64, where rounding is no excuse."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parity import keras
from parity.assets.models import resolve
from parity.assets.source import ModelSource
from parity.errors import ParityError
from parity.reference.request import ReferenceAnswer, ReferenceRequest
from parity.run.export import LogitsCheck, check_logits
from parity.run.file_logits import FLOAT64_LIMIT
from tests.parity.echo_client import EchoClient
from tests.parity.small_networks import conv, dense, layer, written


class Saying(EchoClient):
    """Changes what is said of the logits."""

    def __init__(self, factor: float = 1.0, said: ReferenceAnswer | None = None, size: int | None = None) -> None:
        super().__init__()
        self.factor, self.said, self.size = factor, said, size

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        (answer,) = super().answer(request)
        if self.said is not None:
            return [self.said]
        return [ReferenceAnswer(np.asarray(answer.array)[: self.size] * self.factor)]


def small(folder: Path) -> ModelSource:
    """Return a model that leaves its sizes open."""
    source, _ = written(folder, [6, 5, 3], conv("f", "x"), layer("GlobalMaxPooling2D", "all", "f"), dense("o", "all"))
    return source


def check(source: ModelSource, client: EchoClient, dtype: torch.dtype = torch.float32) -> LogitsCheck:
    return check_logits(keras.load(source.path, dtype=dtype), source, client)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_logits_are_compared_once_in_float64_whatever_is_exported(dtype: torch.dtype, tmp_path: Path) -> None:
    client = EchoClient()
    checked = check(small(tmp_path), client, dtype)
    assert (checked.rel_l2, checked.failed, checked.why_not) == (0.0, False, "")
    (request,) = client.requests
    assert (request.call.kind, request.dtype) == ("logits", "float64")
    assert checked.limit == FLOAT64_LIMIT == 1e-12


@pytest.mark.parametrize(
    ("factor", "failed"), [(1 + 1e-13, False), (1 + 1e-11, True), (1 + 1e-6, True), (np.nan, True)]
)
def test_more_than_rounding_in_float64_fails(factor: float, failed: bool, tmp_path: Path) -> None:
    assert check(small(tmp_path), Saying(factor)).failed == failed


def test_a_shipped_model_is_checked_on_its_own_input_and_another_on_a_random_one(tmp_path: Path) -> None:
    assert check(small(tmp_path), EchoClient()).input == "a random input (seed 0)"
    client = EchoClient()
    checked = check(resolve("dense_mnist"), client)
    assert not checked.failed
    assert checked.input != "a random input (seed 0)"


def test_without_a_reference_there_is_no_number_and_a_reason(tmp_path: Path) -> None:
    nobody = ReferenceAnswer(None, error="no TensorFlow here", error_kind="environment")
    checked = check(small(tmp_path), Saying(said=nobody))
    assert (checked.rel_l2, checked.why_not, checked.failed) == (None, "no TensorFlow here", False)


def test_a_reference_that_cannot_compute_the_logits_is_an_error(tmp_path: Path) -> None:
    broken = ReferenceAnswer(None, error="ValueError: what\nmore", error_kind="method", stderr_tail="the end")
    with pytest.raises(ParityError, match=r"cannot compute the logits of .*: ValueError: what\n--no-check") as raised:
        check(small(tmp_path), Saying(said=broken))
    assert "the end" in str(raised.value.detail)


def test_another_number_of_logits_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ParityError, match="Keras returns 2 logits, the converted model 3"):
        check(small(tmp_path), Saying(size=2))


def test_a_distance_that_is_nan_fails() -> None:
    assert LogitsCheck("x", float("nan")).failed
    assert not LogitsCheck("x", 1e-12).failed
