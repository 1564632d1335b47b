"""Small random nets of several inputs, and inputs for them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from tests.signxai_torch.nets import pictures, randomized


class Fused(nn.Module):
    """For an image (N, 2, 8, 6) and features (N, 5): a branch each, joined by the head."""

    def __init__(self) -> None:
        super().__init__()
        self.eye = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(),
        )  # fmt: skip
        self.table = nn.Sequential(nn.Linear(5, 6), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(42, 7), nn.ReLU(), nn.Linear(7, 4))

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        return self.head(torch.cat([self.eye(image), self.table(features)], 1))


class Added(Fused):
    """The same, where the branches meet in a sum."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Sequential(nn.Linear(5, 36), nn.ReLU())
        self.head = nn.Sequential(nn.Linear(36, 7), nn.ReLU(), nn.Linear(7, 4))

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        return self.head(self.eye(image) + self.table(features))


class Siamese(nn.Module):
    """For two images (N, 2, 8, 6) that go through the same layers."""

    def __init__(self) -> None:
        super().__init__()
        self.eye = nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.head = nn.Linear(72, 4)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.head(torch.cat([self.eye(left).flatten(1), self.eye(right).flatten(1)], 1))


class Early(nn.Module):
    """For two images (N, 2, 8, 6) that are one of four channels to the first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 4)
        )

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.body(torch.cat([left, right], 1))


class Twins(nn.Module):
    """For a curve (N, 2, 12) and features (N, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.ear = nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU())
        self.table = nn.Linear(5, 48)
        self.last = nn.Linear(48, 4)

    def forward(self, curve: Tensor, features: Tensor) -> Tensor:
        return self.last(self.ear(curve).flatten(1) + self.table(features))


class Cut(nn.Module):
    """A model of several inputs as one of a single tensor (N, total), which it cuts itself."""

    def __init__(self, model: nn.Module, shapes: list[tuple[int, ...]]) -> None:
        super().__init__()
        self.model, self.shapes = model, shapes

    def forward(self, x: Tensor) -> Tensor:
        parts, first = [], 0
        for shape in self.shapes:
            size = int(np.prod(shape))
            parts.append(x[:, first : first + size].reshape(len(x), *shape))
            first += size
        return self.model(*parts)


class Bound(nn.Module):
    """A model of several inputs as one of a single input; the others are constants."""

    def __init__(self, model: nn.Module, others: list[Tensor | None]) -> None:
        super().__init__()
        self.model, self.others = model, others

    def forward(self, x: Tensor) -> Tensor:
        return self.model(*[x if one is None else one for one in self.others])


def features(count: int = 3, seed: int = 2) -> Tensor:
    """Return (count, 5), with a zero."""
    x = np.random.RandomState(seed).normal(0, 1, (count, 5))
    x[0, 1] = 0.0
    return torch.as_tensor(x)


def fused() -> tuple[Fused, tuple[Tensor, Tensor]]:
    """Return an image and features, and the net for them."""
    return randomized(Fused()), (pictures(), features())


def siamese() -> tuple[Siamese, tuple[Tensor, Tensor]]:
    """Return two images, and the net for them."""
    return randomized(Siamese()), (pictures(), pictures(seed=5))


def joined(parts: tuple[Tensor, ...]) -> Tensor:
    """Return inputs as `Cut` takes them."""
    return torch.cat([part.flatten(1) for part in parts], 1)
