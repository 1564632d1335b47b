"""Maps are computed where the input is, and are those of a processor: on a device that stands in for a GPU.

`test_device.py` runs these in a process of their own: torch takes no device on that is registered after a gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import signxai_torch
from tests.signxai_torch import stand_in_device
from tests.signxai_torch.stand_in_device import NAME, Device, moved, moved_model

pytestmark = [
    pytest.mark.skipif(not stand_in_device.OFFERED, reason="this version of torch offers no backend in Python"),
    pytest.mark.filterwarnings("ignore"),
]
METHODS = ("gradient", "guided_backprop", "lrp_z", "lrp_alpha_2_beta_1", "lrpsign_epsilon_0_25_std_x", "smoothgrad",
           "integrated_gradients", "occlusion", "grad_cam", "lrp_sequential_composite_a")  # fmt: skip


NOT_OF_THE_PLAIN_MODEL = (
    *(f"{name}_x_sign_mu" for name in ("gradient", "guided_backprop", "deconvnet", "smoothgrad")),
    *(f"{cam}_{layer}" for cam in ("grad_cam", "guided_grad_cam")
      for layer in ("VGG16ILSVRC", "VGG16MITPL365", "MNISTCNN")),
    "grad_cam_timeseries",
)  # fmt: skip
"""The methods that want a parameter, series, or a layer of a certain name."""


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    stand_in_device.install()
    with Device():
        yield


class Attending(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.head = nn.Linear(6, 8), nn.LayerNorm(8), nn.Linear(8, 3)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.first(x)
        y = y + self.attention(y, y, y)[0]
        return self.head(F.gelu(self.norm(y)).mean(1))


class Reading(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.vectors, self.first, self.head = nn.Embedding(11, 6), nn.Conv1d(6, 5, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.first(self.vectors(x).transpose(1, 2))).amax(2))


class MakingTensors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(6, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        places = torch.arange(x.shape[2], device=x.device, dtype=x.dtype)
        return self.first(x * torch.sin(places)).mean(2)


class WorkingInPlace(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.first(x), inplace=True)
        y = F.adaptive_avg_pool2d(y, 1).flatten(1)
        y += 1
        return self.head(y.clamp_(max=1.5))


def plain() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 6, 3), nn.ReLU(),
        nn.Flatten(), nn.Linear(6 * 16, 10),
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], Callable[[], Any]]] = {
    "plain": (plain, lambda: torch.randn(2, 3, 12, 12)),
    "attending": (Attending, lambda: torch.randn(2, 5, 6)),
    "reading": (Reading, lambda: torch.randint(0, 11, (2, 9))),
    "making tensors": (MakingTensors, lambda: torch.randn(2, 6, 7)),
    "working in place": (WorkingInPlace, lambda: torch.randn(2, 3, 8, 8)),
    "of two inputs": (lambda: nn.Bilinear(4, 5, 3), lambda: (torch.randn(2, 4), torch.randn(2, 5))),
}


def built(name: str) -> tuple[nn.Module, Any]:
    torch.manual_seed(0)
    model, x = MODELS[name]
    return model().double().eval(), as_float64(x())


def as_float64(x: Any) -> Any:
    if isinstance(x, tuple):
        return tuple(map(as_float64, x))
    return x.double() if x.is_floating_point() else x


def there(x: Any) -> Any:
    return tuple(map(moved, x)) if isinstance(x, tuple) else moved(x)


def seeded(method: str) -> dict[str, int]:
    family = signxai_torch.methods.grammar.parse(method).family
    return {"seed": 0} if family in ("smoothgrad", "vargrad", "random", "random_uniform") else {}


def explained(model: nn.Module, x: Any, method: str) -> Any:
    """Return the map; the name of the error where the method cannot explain such a model."""
    try:
        return signxai_torch.explain(model, x, method, target=1, **seeded(method))
    except (ValueError, TypeError, signxai_torch.UnhookedOperationError) as error:
        return type(error).__name__


def equal(maps: Any, expected: Any) -> None:
    if isinstance(expected, tuple):
        for values, values_expected in zip(maps, expected, strict=True):
            equal(values, values_expected)
    elif isinstance(expected, str):
        assert maps == expected
    else:
        assert np.any(expected), "two maps of zeros prove nothing"
        assert np.linalg.norm(maps - expected) <= 1e-10 * np.linalg.norm(expected)


@pytest.mark.parametrize("method", signxai_torch.list_methods())
def test_every_method(method: str) -> None:
    model, x = built("plain")
    expected = explained(model, x, method)
    assert isinstance(expected, str) == (method in NOT_OF_THE_PLAIN_MODEL)
    equal(explained(moved_model(copy.deepcopy(model)), there(x), method), expected)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", MODELS)
def test_every_way_to_ask(name: str, method: str) -> None:
    model, x = built(name)
    expected = explained(model, x, method)
    other, elsewhere = moved_model(copy.deepcopy(model)), there(x)
    equal(explained(other, elsewhere, method), expected)
    if isinstance(expected, str):
        return
    kept = signxai_torch.explain(other, elsewhere, method, target=1, to="torch", **seeded(method))
    parts = kept if isinstance(kept, tuple) else (kept,)
    assert {part.device.type for part in parts} == {NAME}
    found = tuple(part.cpu().numpy() for part in parts)
    equal(found if isinstance(kept, tuple) else found[0], expected)
    explainer = signxai_torch.Explainer(other, method, **seeded(method))
    for _ in range(3):  # from the second batch on it calls the functions directly
        equal(explainer(elsewhere, target=1), expected)
    many = signxai_torch.explain_many(other, elsewhere, [method], target=1, seed=0)
    equal(many[method], expected)


def test_a_model_elsewhere_than_its_input_is_told_of() -> None:
    model, x = built("plain")
    with pytest.raises((TypeError, ValueError), match=rf"x\.to\('{NAME}:0'"):
        signxai_torch.explain(moved_model(copy.deepcopy(model)), x, "lrp_z")


def test_the_device_refuses_tensors_of_the_processor() -> None:
    with pytest.raises(RuntimeError, match="same device"):
        moved(torch.ones(3)) + torch.ones(3)
