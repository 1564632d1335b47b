"""The networks that are measured, and batches for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.assets.source import ModelSource

TOY = "toy"
ECG = "ecg-random"
"""A network of 12 leads with batch normalisation, with random weights."""
VISION = ("resnet18", "mobilenet_v2", "vit_b_16")
"""Networks of torchvision, with random weights."""
STACK = "vgg16-stack"
"""VGG16's convolutions under a global pooling and one dense layer, so that any image side goes in."""
LARGE = 10_000_000
"""From so many parameters on, a network is measured in few rounds."""


@dataclass(frozen=True, eq=False)
class Network:
    """A network to explain and what it is explained on.

    Attributes
    ----------
    name : str
        What results call it.
    module : torch.nn.Module
        Returns logits; no parameter requires a gradient, so that none is computed for any contender.
    samples : torch.Tensor
        A few inputs, torch layout, batch first.
    source : ModelSource or None
        Where the Keras file lies, for the reference; None for networks that exist in torch alone.
    arrays : tuple of numpy.ndarray
        The same inputs in Keras layout without batch axis; empty without a source.
    """

    name: str
    module: nn.Module
    samples: Tensor
    source: ModelSource | None = None
    arrays: tuple[npt.NDArray[Any], ...] = ()

    @property
    def weight_bytes(self) -> int:
        """Size of the parameters in bytes."""
        return sum(one.numel() * one.element_size() for one in self.module.parameters())

    @property
    def large(self) -> bool:
        """Whether one call takes long enough that few rounds must do."""
        return sum(one.numel() for one in self.module.parameters()) >= LARGE

    def on(self, device: str) -> Network:
        """Return the network with its weights and samples on a device."""
        return replace(self, module=self.module.to(device), samples=self.samples.to(device))

    def batch(self, size: int, side: int | None = None) -> Tensor:
        """Return a batch: the samples over and over, resized to `side` if one is given."""
        x = self.samples[[index % len(self.samples) for index in range(size)]]
        if side is not None and tuple(x.shape[2:]) != (side, side):
            x = nn.functional.interpolate(x, (side, side), mode="bilinear", antialias=True)
        return x.contiguous()

    def batch_arrays(self, size: int) -> tuple[npt.NDArray[Any], ...]:
        """Return the same batch for the reference."""
        return tuple(self.arrays[index % len(self.arrays)] for index in range(size))

    def targets(self, x: Tensor) -> list[int]:
        """Return the class that each sample of a batch is explained for: its arg-max, the same for all contenders."""
        with torch.no_grad():
            return [int(index) for index in self.module(x).argmax(dim=1)]


def load(name: str) -> Network:
    """Load a network: one of this module's, or any name or path that `parity.assets.models` knows.

    Raises
    ------
    parity.errors.ParityError
        If there is no such model.
    """
    if name == TOY:
        network = _toy()
    elif name == ECG:
        network = _ecg()
    elif name in VISION:
        network = _vision(name)
    elif name == STACK:
        network = _stack()
    else:
        source = resolve(name)
        module = source.load()
        arrays = tuple(one.array for one in default_inputs(source))
        network = Network(name, module, module.to_torch(np.stack(arrays)), source, arrays)
    network.module.requires_grad_(False).eval()
    return network


def _toy() -> Network:
    """Make a network small enough that the bench itself can be tested in seconds."""
    torch.manual_seed(0)
    layers = [nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 16, 3)]
    return Network(TOY, nn.Sequential(*layers), torch.randn(2, 1, 8, 8))


def _ecg() -> Network:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for read, made, size in ((12, 32, 7), (32, 64, 5), (64, 64, 3)):
        layers += [nn.Conv1d(read, made, size, padding=size // 2), nn.BatchNorm1d(made), nn.ReLU(), nn.MaxPool1d(2)]
    layers += [nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 5)]
    return Network(ECG, nn.Sequential(*layers), torch.randn(2, 12, 500))


def _vision(name: str) -> Network:
    import torchvision

    torch.manual_seed(0)
    return Network(name, torchvision.models.get_model(name, weights=None), torch.randn(2, 3, 224, 224))


def _stack() -> Network:
    whole = load("vgg16-seeded")
    layers = []
    for name, module in whole.module.named_children():
        if name == "flatten":
            break
        layers.append(module)
    torch.manual_seed(0)
    head = nn.Linear(512, 1000)
    module = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head)
    return Network(STACK, module, whole.samples)
