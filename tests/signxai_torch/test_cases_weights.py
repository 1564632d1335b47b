"""Layers that make their weight: rules take what the convolution was given, not the parameter it was made of."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from signxai_torch import explain
from tests.signxai_torch.nets import pictures, randomized

METHODS = ["gradient", "lrp_z", "lrp_epsilon_0_1", "lrp_alpha_1_beta_0", "lrp_alpha_2_beta_1", "lrp_w_square",
           "lrp_flat", "lrp_z_plus", "lrp_gamma_0_25", "flatlrp_z", "w2lrp_z", "lrp_z_IB", "deep_taylor"]  # fmt: skip


class Standardised(nn.Conv2d):
    def made(self) -> Tensor:
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        return centred / (self.weight.std((1, 2, 3), keepdim=True) + 1e-5)

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.made(), self.bias)


class LoRA(nn.Linear):
    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.up, self.down = nn.Parameter(torch.empty(sizes[1], 2)), nn.Parameter(torch.empty(2, sizes[0]))

    def made(self) -> Tensor:
        return self.weight + self.up @ self.down

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.made(), self.bias)


class Positive(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return F.softplus(weight)


class Masked(nn.Conv2d):
    def __init__(self, *sizes: int, **options) -> None:
        super().__init__(*sizes, **options)
        self.register_buffer("mask", torch.tensor([[[[0.0, 1, 0], [1, 1, 1], [0, 1, 0]]]]))

    def forward(self, x: Tensor) -> Tensor:
        return self._conv_forward(x, self.weight * self.mask, self.bias)


def net(conv: nn.Module, dense: nn.Module | None = None) -> nn.Sequential:
    return nn.Sequential(conv, nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(48, 4) if dense is None else dense)


def pruned(**options) -> nn.Module:
    model = randomized(net(nn.Conv2d(2, 4, 3, **options)))
    prune.l1_unstructured(model[0], "weight", 0.4)
    prune.ln_structured(model[4], "weight", 0.5, n=2, dim=0)
    return model


def registered() -> nn.Module:
    model = randomized(net(nn.Conv2d(2, 4, 3, padding=1)))
    parametrize.register_parametrization(model[0], "weight", Positive())
    return model


BUILDS = {
    "pruned": lambda: pruned(padding=1),
    "pruned, same": lambda: pruned(padding="same"),
    "pruned, circular": lambda: pruned(padding=1, padding_mode="circular"),
    "weight norm, old": lambda: weight_norm(randomized(net(nn.Conv2d(2, 4, 3, padding="same")))[0]),
    "weight norm, old, circular": lambda: weight_norm(nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular")),
    "weight norm": lambda: parametrizations.weight_norm(nn.Conv2d(2, 4, 3, padding=1)),
    "spectral norm, old": lambda: spectral_norm(nn.Conv2d(2, 4, 3, padding=1)),
    "spectral norm": lambda: parametrizations.spectral_norm(nn.Conv2d(2, 4, 3, padding=1)),
    "parametrization": registered,
    "weight-standardised": lambda: Standardised(2, 4, 3, padding=1),
    "masked": lambda: Masked(2, 4, 3, padding=1),
    "LoRA": lambda: net(nn.Conv2d(2, 4, 3, padding=1), LoRA(48, 4)),
}


def effective(module: nn.Module) -> Tensor:
    if isinstance(module, Masked):
        return module.weight * module.mask
    return module.made() if hasattr(module, "made") else module.weight


def plain(model: nn.Module) -> nn.Module:
    """The same net of plain layers, with the weights that the other's layers make."""
    conv, dense = model[0], model[4]
    twin = net(nn.Conv2d(2, 4, 3, padding=conv.padding, padding_mode=conv.padding_mode)).double().eval()
    with torch.no_grad():
        for one, other in ((twin[0], conv), (twin[4], dense)):
            one.weight.copy_(effective(other))
            one.bias.copy_(other.bias)
    return twin


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("what", BUILDS)
def test_the_weight_is_that_which_the_layer_makes(what, method):
    torch.manual_seed(0)
    built = BUILDS[what]()
    model = built if isinstance(built, nn.Sequential) else net(built)
    model = model.double()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model.eval()
    x = pictures()
    model(x)
    twin = plain(model)
    assert torch.equal(model(x), twin(x))
    assert np.array_equal(explain(model, x, method, 1), explain(twin, x, method, 1))


class Cosine(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(4, 48))

    def forward(self, x: Tensor) -> Tensor:
        return 8 * F.linear(F.normalize(x), F.normalize(self.weight))


@pytest.mark.filterwarnings("ignore::signxai_torch.BeyondReferenceWarning")
def test_a_head_of_ones_own_is_looked_into():
    """A cosine head: its weights are normalised, and so are the features, by the identity rule."""
    model = randomized(net(nn.Conv2d(2, 4, 3, padding=1, bias=False), Cosine()))
    x = pictures()
    found = explain(model, x, "lrp_z", 1).sum((1, 2, 3))
    assert found == pytest.approx(model(x)[:, 1].detach().numpy(), rel=1e-9)


class Swish(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.beta * x)


@pytest.mark.filterwarnings("ignore::signxai_torch.BeyondReferenceWarning")
@pytest.mark.parametrize("method", ["lrp_z", "lrp_epsilon_0_1", "lrp_alpha_1_beta_0", "lrp_flat"])
def test_an_activation_with_a_parameter_is_no_layer_with_weights(method):
    maps = []
    for activation in (Swish(), nn.SiLU()):
        torch.manual_seed(3)
        model = nn.Sequential(nn.Conv2d(2, 4, 3), activation, nn.Flatten(), nn.Linear(96, 4)).double().eval()
        maps.append(explain(model, pictures(), method, 1))
    assert maps[0] == pytest.approx(maps[1], rel=1e-9)
