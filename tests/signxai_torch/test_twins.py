"""One net written in many ways is one net: modules, functions, in-place forms, subclasses, parametrizations.

Hypothesis draws what a net computes and how each part of it is written; the plain twin has a module of torch for
everything. Both must have the same logits and the same maps, to the last bit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune

from signxai_torch import explain
from tests.signxai_torch.nets import pictures

EXAMPLES = int(os.environ.get("TWIN_EXAMPLES", "25"))
METHODS = ["gradient", "lrp_z", "lrp_epsilon_0_1", "lrp_alpha_2_beta_1", "lrpsign_epsilon_0_25_std_x", "flatlrp_z",
           "lrp_gamma", "guided_backprop", "deconvnet", "deep_taylor", "deep_lift"]  # fmt: skip

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::signxai_torch.UnusedInputRuleWarning")]


# Kernels: a plain layer, and ways to write it.


class SubConv(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class RawConv(nn.Module):
    def __init__(self, plain: nn.Conv2d) -> None:
        super().__init__()
        self.kernel, self.offset = nn.Parameter(plain.weight.detach().clone()), plain.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.kernel, self.offset, padding=1)


class KeywordConv(RawConv):
    def forward(self, x: Tensor) -> Tensor:
        return torch.conv2d(input=x, weight=self.kernel, padding=(1, 1), bias=self.offset)


class Halved(nn.Module):
    """A parametrization whose weight is twice what is stored."""

    def forward(self, stored: Tensor) -> Tensor:
        return 2 * stored

    def right_inverse(self, weight: Tensor) -> Tensor:
        return weight / 2


def copied(plain: nn.Module, twin: nn.Module) -> nn.Module:
    twin.double().load_state_dict(plain.state_dict())
    return twin


def parametrized(plain: nn.Module) -> nn.Module:
    twin = copied(plain, fresh(plain))
    parametrize.register_parametrization(twin, "weight", Halved())
    return twin


def pruned(plain: nn.Module) -> nn.Module:
    """The plain layer gets the zeros too."""
    twin = copied(plain, fresh(plain))
    prune.l1_unstructured(twin, "weight", 0.3)
    with torch.no_grad():
        plain.weight.copy_(twin.weight_orig * twin.weight_mask)
    return twin


def fresh(plain: nn.Module) -> nn.Module:
    if isinstance(plain, nn.Linear):
        return nn.Linear(plain.in_features, plain.out_features)
    return nn.Conv2d(plain.in_channels, plain.out_channels, 3, padding=1)


CONVOLUTIONS: dict[str, Callable[[nn.Conv2d], nn.Module]] = {
    "module": lambda plain: plain,
    "subclass": lambda plain: copied(plain, SubConv(plain.in_channels, plain.out_channels, 3, padding=1)),
    "function": RawConv,
    "keywords": KeywordConv,
    "parametrization": parametrized,
    "pruned": pruned,
}


class RawLinear(nn.Module):
    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.w, self.b = plain.weight, plain.bias

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.w, bias=self.b)


LINEARS: dict[str, Callable[[nn.Linear], nn.Module]] = {
    "module": lambda plain: plain,
    "function": RawLinear,
    "parametrization": parametrized,
    "pruned": pruned,
}


class RawNorm(nn.Module):
    def __init__(self, plain: nn.BatchNorm2d) -> None:
        super().__init__()
        self.plain = plain

    def forward(self, x: Tensor) -> Tensor:
        p = self.plain
        return F.batch_norm(x, p.running_mean, p.running_var, p.weight, p.bias, training=False, eps=p.eps)


class TrainingNorm(nn.BatchNorm2d):
    """One that is left in training mode, and says so itself."""

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.1, self.eps)


NORMS: dict[str, Callable[[nn.BatchNorm2d], nn.Module]] = {
    "module": lambda plain: plain,
    "function": RawNorm,
    "subclass": lambda plain: copied(plain, TrainingNorm(plain.num_features)),
}


# What has no weights: functions of a tensor, and the module.


class OwnReLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


Form = Callable[[Tensor], Tensor]
PLAIN: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid, "gelu": nn.GELU, "max": lambda: nn.MaxPool2d(3, 1, 1),
    "average": lambda: nn.AvgPool2d(3, 1, 1), "dropout": nn.Dropout, "softplus": nn.Softplus,
}  # fmt: skip
FORMS: dict[str, list[Form]] = {
    "relu": [F.relu, torch.relu, lambda x: x.relu(), OwnReLU(), lambda x: F.relu(input=x), nn.ReLU()],
    "tanh": [torch.tanh, lambda x: x.tanh(), nn.Tanh()],
    "sigmoid": [torch.sigmoid, F.sigmoid, lambda x: x.sigmoid(), torch.special.expit],
    "gelu": [F.gelu, nn.GELU()],
    "max": [lambda x: F.max_pool2d(x, 3, 1, 1), lambda x: F.max_pool2d(x, kernel_size=3, stride=1, padding=1)],
    "average": [lambda x: F.avg_pool2d(x, 3, 1, 1), nn.AvgPool2d(3, 1, 1)],
    "dropout": [lambda x: F.dropout(x, 0.5, training=True), lambda x: F.dropout(x), nn.Dropout2d()],
    "softplus": [F.softplus, nn.Softplus()],
}
IN_PLACE: dict[str, list[Form]] = {
    "relu": [nn.ReLU(inplace=True), torch.relu_, lambda x: F.relu(x, inplace=True), lambda x: x.relu_()],
    "tanh": [torch.tanh_, lambda x: x.tanh_()],
    "sigmoid": [lambda x: x.sigmoid_()],
}
"""Where autograd does not need what is overwritten: behind a convolution or a batch normalisation."""
SUMS: list[Callable[[Tensor, Tensor], Tensor]] = [
    lambda x, y: x + y, torch.add, lambda x, y: x.add(y), lambda x, y: torch.add(input=x, other=y),
]  # fmt: skip
JOINS = [
    lambda x, y: torch.cat([x, y], 1),
    lambda x, y: torch.concat((x, y), dim=1),
    lambda x, y: torch.cat([x, y], -3),
]
FLATTENINGS: list[Form] = [
    lambda x: torch.flatten(x, 1), lambda x: x.reshape(len(x), -1), lambda x: x.flatten(1), nn.Flatten(),
    lambda x: x.contiguous().view(x.shape[0], -1),
]  # fmt: skip


@dataclass(frozen=True)
class Step:
    """What is computed ("conv", a key of `PLAIN`, "residual" or "concat"), and how it is written."""

    what: str
    form: int
    kernel: str
    norm: str | None
    in_place: bool


class Net(nn.Module):
    """A net as steps say; `plain` writes each of them as a module."""

    def __init__(self, steps: list[Step], seed: int, linear: str, flatten: int, plain: bool) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.steps, self.flat = steps, nn.Flatten() if plain else FLATTENINGS[flatten % len(FLATTENINGS)]
        self.parts, self.plain = nn.ModuleList(), plain
        channels = 2
        for step in steps:
            part = nn.ModuleDict()
            if step.what in ("conv", "residual", "concat"):
                count = channels if step.what == "residual" else 3
                conv = filled(nn.Conv2d(channels, count, 3, padding=1), generator)
                norm = filled(nn.BatchNorm2d(count), generator)
                written = CONVOLUTIONS[step.kernel](conv)  # a pruned one puts its zeros into the plain one
                part["conv"] = conv if plain else written
                if step.norm is not None:
                    part["norm"] = norm if plain else NORMS[step.norm](norm)
                channels = channels + count if step.what == "concat" else count
            elif plain:
                part["module"] = PLAIN[step.what]()
            self.parts.append(part)
        last = filled(nn.Linear(channels * 48, 4), generator)
        written = LINEARS[linear](last)
        self.last = last if plain else written
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        bare = False  # whether nobody needs what the step before has made
        for step, part in zip(self.steps, self.parts, strict=True):
            if step.what in PLAIN:
                x = part["module"](x) if self.plain else self.written(step, bare)(x)
                bare = False
                continue
            y = part["conv"](x)
            y = part["norm"](y) if "norm" in part else y
            if step.what == "residual":
                x = x + y if self.plain else self.added(step, x, y)
            elif step.what == "concat":
                x = torch.cat([x, y], 1) if self.plain else JOINS[step.form % len(JOINS)](x, y)
            else:
                x = y
            bare = True
        return self.last(self.flat(x))

    @staticmethod
    def written(step: Step, bare: bool) -> Form:
        forms = IN_PLACE[step.what] if step.in_place and bare and step.what in IN_PLACE else FORMS[step.what]
        return forms[step.form % len(forms)]

    @staticmethod
    def added(step: Step, x: Tensor, y: Tensor) -> Tensor:
        return y.add_(x) if step.in_place else SUMS[step.form % len(SUMS)](x, y)


def filled(layer: nn.Module, generator: torch.Generator) -> nn.Module:
    layer = layer.double()
    with torch.no_grad():
        for name, one in (*layer.named_parameters(), *layer.named_buffers()):
            if one.is_floating_point():
                values = torch.randn(one.shape, generator=generator, dtype=torch.float64)
                one.copy_(values.abs() + 0.5 if name == "running_var" else values / max(1, one[0].numel()) ** 0.5)
    return layer


steps = st.builds(
    Step,
    st.sampled_from(["conv", "conv", "relu", "relu", "residual", "concat", *PLAIN]),
    st.integers(0, 11),
    st.sampled_from(sorted(CONVOLUTIONS)),
    st.sampled_from([None, *NORMS]),
    st.booleans(),
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(steps, min_size=1, max_size=7), st.integers(0, 2**20), st.sampled_from(sorted(LINEARS)), st.integers(0, 9),
    st.sampled_from(["reference", "merge"]),
)  # fmt: skip
def test_however_a_net_is_written_its_maps_are_those_of_plain_modules(drawn, seed, linear, flatten, batch_norm):
    plain, twin = (Net(drawn, seed, linear, flatten, plain) for plain in (True, False))
    x = pictures(2, seed=seed % 7)
    assert torch.equal(plain(x), twin.eval()(x)) or any(step.what == "dropout" for step in drawn)
    for method in METHODS:
        given_parameters = {"batch_norm": batch_norm} if "lrp" in method else {}
        expected = explain(plain, x, method, 1, **given_parameters)
        found = explain(twin, x, method, 1, **given_parameters)
        if method == "gradient":  # autograd derives what works in place from its result
            np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
        else:
            np.testing.assert_array_equal(found, expected, err_msg=method)
