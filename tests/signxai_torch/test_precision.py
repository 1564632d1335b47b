"""Products of float32 are not rounded to TF32 or bfloat16 while a model explains, whatever the process has set."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from signxai_torch import Explainer, explain
from signxai_torch.operations import precision

PLACES = (*precision._LEAVES, *precision._ABOVE, precision._GENERIC)
needs_settings = pytest.mark.skipif(precision._read is None, reason="torch before 2.9 has two settings for all")


def settings() -> dict[tuple[str, str], str]:
    return {place: precision._read(*place) for place in PLACES}


@pytest.fixture
def rounding() -> Iterator[None]:
    """Let processors round products to bfloat16, where they can."""
    torch.set_float32_matmul_precision("medium")
    yield
    torch.set_float32_matmul_precision("highest")


class Looks(nn.Module):
    """A layer that notes the settings in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.seen: list[dict[tuple[str, str], str]] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(settings())
        return self.layer(x)


@needs_settings
@pytest.mark.parametrize("method", ["gradient", "lrp_z", "smoothgrad"])
def test_nothing_is_rounded_inside_and_all_is_as_before_afterwards(rounding: None, method: str) -> None:
    model, before = Looks(), settings()
    explain(model, torch.ones(1, 4), method)
    Explainer(model, method)(torch.ones(1, 4))
    assert model.seen
    assert {value for seen in model.seen for value in seen.values()} <= {"ieee", "none"}
    assert settings() == before
    assert torch.get_float32_matmul_precision() == "medium"


FOLLOWS = """
import torch
from signxai_torch.operations import precision
torch.set_float32_matmul_precision("medium")
with precision.full_float32(torch.ones(1)):
    pass
torch.backends.fp32_precision = "ieee"
assert precision._read("cuda", "conv") == "ieee", "convolutions got a setting of their own"
"""


@needs_settings
def test_what_takes_the_setting_of_all_still_does_afterwards() -> None:
    """In a process of its own: once something has set convolutions apart, torch cannot undo it."""
    done = subprocess.run([sys.executable, "-c", FOLLOWS], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


@needs_settings
def test_an_error_leaves_the_settings_as_they_were(rounding: None) -> None:
    before = settings()
    with pytest.raises(ValueError, match="target"):
        explain(Looks(), torch.ones(1, 4), "gradient", target=7)
    assert settings() == before


@needs_settings
def test_the_last_of_several_threads_puts_them_back(rounding: None) -> None:
    before, seen, both = settings(), [], threading.Barrier(2)

    def first() -> None:
        with precision.full_float32(torch.ones(1)):
            both.wait()
            both.wait()

    thread = threading.Thread(target=first)
    thread.start()
    both.wait()
    with precision.full_float32(torch.ones(1)):
        both.wait()
        thread.join()
        seen.append(settings())
    assert set(seen[0].values()) <= {"ieee", "none"}
    assert settings() == before


@needs_settings
def test_what_is_set_meanwhile_stays(rounding: None) -> None:
    with precision.full_float32(torch.ones(1)):
        torch.set_float32_matmul_precision("highest")
    assert torch.get_float32_matmul_precision() == "highest"


@needs_settings
def test_tokens_count_as_the_model_that_reads_them(rounding: None) -> None:
    model = nn.Sequential(nn.Embedding(5, 4), Looks(), nn.Flatten())
    explain(model, torch.ones(1, 1, dtype=torch.int64), "lrp_z")
    assert {value for seen in model[1].seen for value in seen.values()} <= {"ieee", "none"}


@needs_settings
def test_a_setting_that_cannot_be_made_is_no_end(rounding: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before, write = settings(), precision._write

    def refuses(*place: str) -> None:
        if place[:2] == ("mkldnn", "matmul") and place[2] == "ieee":
            raise RuntimeError("no")
        write(*place)

    with monkeypatch.context() as patch:
        patch.setattr(precision, "_write", refuses)
        with pytest.raises(RuntimeError, match="no"), precision.full_float32(torch.ones(1)):
            pass
    assert settings() == before
    with precision.full_float32(torch.ones(1)):
        assert set(settings().values()) <= {"ieee", "none"}


@needs_settings
def test_a_gpu_rounds_until_it_is_told_not_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tensor on a GPU cannot be made here: only its device is asked."""

    class OnAGpu:
        dtype, device = torch.float32, torch.device("cuda")

    assert precision._read("cuda", "conv") == "tf32", "torch's own default"
    with precision.full_float32(OnAGpu()):  # type: ignore[arg-type]
        assert precision._read("cuda", "conv") == precision._read("cuda", "matmul") == "ieee"
    assert precision._read("cuda", "conv") == "tf32"


def test_maps_are_those_of_full_float32(rounding: None) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 10))
    x = torch.randn(64, 256)
    rounded = explain(model, x, "lrp_z", target=0)
    torch.set_float32_matmul_precision("highest")
    np.testing.assert_array_equal(rounded, explain(model, x, "lrp_z", target=0))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")
@pytest.mark.parametrize("method", ["gradient", "lrp_z", "lrp_alpha_2_beta_1"])
def test_a_gpu_gives_the_maps_of_a_processor(method: str) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 36, 10)).eval()
    x = torch.randn(4, 3, 8, 8)
    expected = explain(model, x, method, target=1)
    found = explain(model.cuda(), x.cuda(), method, target=1)
    assert np.linalg.norm(found - expected) <= 1e-5 * np.linalg.norm(expected)
