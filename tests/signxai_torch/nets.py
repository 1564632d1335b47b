"""Small random nets in float64, biases of both signs included, and inputs for them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn


def randomized(model: nn.Module, seed: int = 0) -> nn.Module:
    """Return the model in float64 and eval mode with normal weights and biases."""
    random = np.random.RandomState(seed)
    model = model.double().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            fan_in = max(1, int(np.prod(parameter.shape[1:]))) if name.endswith("weight") else 20
            parameter.copy_(torch.as_tensor(random.normal(0, np.sqrt(2 / fan_in), tuple(parameter.shape))))
        for name, buffer in model.named_buffers():
            if name.endswith("running_mean"):
                buffer.copy_(torch.as_tensor(random.normal(0, 0.5, tuple(buffer.shape))))
            elif name.endswith("running_var"):
                buffer.copy_(torch.as_tensor(random.uniform(0.5, 2, tuple(buffer.shape))))
    return model


def cnn(inplace: bool = False) -> nn.Sequential:
    """For inputs (N, 2, 8, 6): convolutions, max-pooling, two dense layers."""
    return randomized(
        nn.Sequential(
            nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(inplace), nn.Conv2d(4, 4, 3, padding=1), nn.ReLU(inplace),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 7), nn.ReLU(inplace), nn.Linear(7, 4),
        )
    )  # fmt: skip


def series() -> nn.Sequential:
    """For inputs (N, 2, 12)."""
    return randomized(
        nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.MaxPool1d(2), nn.Flatten(), nn.Linear(24, 4))
    )


def mlp() -> nn.Sequential:
    """For inputs (N, 2, 8, 6)."""
    return randomized(nn.Sequential(nn.Flatten(), nn.Linear(96, 8), nn.ReLU(), nn.Linear(8, 4)))


class TorchvisionLike(nn.Module):
    """For inputs (N, 2, 8, 6): nested blocks, in-place ReLUs, batch norm, a ReLU used three times, dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)
        block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.features = nn.Sequential(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1)), block, nn.MaxPool2d(2))
        self.pool = nn.AdaptiveAvgPool2d((2, 3))
        self.classifier = nn.Sequential(nn.Linear(24, 8), nn.Dropout(0.5))
        self.last = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.features[0](x))
        x = self.relu(self.features[2](self.features[1](x)))
        x = torch.flatten(self.pool(x), 1)
        return self.last(self.relu(self.classifier(x)))


class Shared(nn.Module):
    """For inputs (N, 6): one dense layer and one ReLU, each used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.again = nn.Linear(6, 6)
        self.relu = nn.ReLU()
        self.last = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.relu(self.again(self.relu(self.again(x)))))


class Unshared(Shared):
    """`Shared` written out: each layer has a module of its own."""

    def __init__(self, shared: Shared) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 6), nn.Linear(6, 6)
        self.relus = nn.ModuleList([nn.ReLU(), nn.ReLU()])
        self.double()
        for one in (self.first, self.second):
            one.load_state_dict(shared.again.state_dict())
        self.last.load_state_dict(shared.last.state_dict())

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.relus[1](self.second(self.relus[0](self.first(x)))))


def pictures(count: int = 3, seed: int = 1) -> Tensor:
    """Return (count, 2, 8, 6), with zeros."""
    x = np.random.RandomState(seed).normal(0, 1, (count, 2, 8, 6))
    x[:, :, 2:4, 1:3] = 0.0
    return torch.as_tensor(x)


def curves(count: int = 3, seed: int = 1) -> Tensor:
    """Return (count, 2, 12)."""
    return torch.as_tensor(np.random.RandomState(seed).normal(0, 1, (count, 2, 12)))
