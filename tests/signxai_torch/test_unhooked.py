"""Operations that no rule reaches are refused with the name of what to use instead; what only moves values is not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from zennit.layer import Sum

from signxai_torch import UnhookedOperationError, explain, explain_many
from tests.signxai_torch.nets import cnn, pictures, randomized

RULES = ("lrp_z", "lrpsign_epsilon_0_1", "lrp.alpha_2_beta_1")


class Net(nn.Module):
    """For inputs (N, 2, 8, 6): `between` stands between two layers."""

    def __init__(self, between) -> None:
        super().__init__()
        self.first, self.relu, self.last = nn.Conv2d(2, 2, 3, padding=1), nn.ReLU(), nn.LazyLinear(4)
        self.between = between

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.between(self.relu(self.first(x)), x).flatten(1))


def net(between) -> nn.Module:
    model = Net(between)
    model(torch.zeros(1, 2, 8, 6))
    return randomized(model)


FORBIDDEN = {
    "relu": (lambda h, x: F.relu(h), "relu .*torch.nn.ReLU"),
    "relu in place": (lambda h, x: torch.relu_(h), "relu .*torch.nn.ReLU"),
    "clamp": (lambda h, x: h.clamp(min=0), "clamp .*torch.nn.ReLU"),
    "sigmoid": (lambda h, x: h.sigmoid(), "sigmoid .*torch.nn.Sigmoid"),
    "tanh": (lambda h, x: h.tanh(), "tanh .*torch.nn.Tanh"),
    "softmax": (lambda h, x: h.softmax(1), "softmax .*torch.nn.Softmax"),
    "add": (lambda h, x: h + x, "zennit.layer.Sum"),
    "add in place": (lambda h, x: h.add_(x), "zennit.layer.Sum"),
    "multiply": (lambda h, x: h * x, r"calls \* as a function"),
    "mean": (lambda h, x: h.mean((2, 3)), "AdaptiveAvgPool2d"),
    "pooling": (lambda h, x: F.adaptive_avg_pool2d(h, 2), "AdaptiveAvgPool2d"),
    "convolution": (lambda h, x: F.conv2d(h, torch.ones(2, 2, 1, 1, dtype=h.dtype)), "torch.nn.Conv2d"),
    "linear": (lambda h, x: F.linear(h.flatten(1), torch.ones(3, 96, dtype=h.dtype)), "torch.nn.Linear"),
    "on the input": (lambda h, x: torch.cat([h, x.relu()], 1), "relu .*torch.nn.ReLU"),
}
ALLOWED = {
    "view": lambda h, x: h.view(len(h), -1),
    "reshape": lambda h, x: h.transpose(1, 3).reshape(len(h), 4, -1),
    "permute": lambda h, x: h.permute(0, 2, 3, 1).contiguous(),
    "pad": lambda h, x: F.pad(h, (1, 2)),
    "cat": lambda h, x: torch.cat([h, x], 1),
    "slice": lambda h, x: h[:, :1, 2:, ::2],
    "index": lambda h, x: h[:, [1, 0]],
    "max_pool": lambda h, x: F.max_pool2d(h, 2),
    "amax": lambda h, x: h.amax((2, 3)),
    "dropout": lambda h, x: F.dropout(h, training=False),
    "squeeze": lambda h, x: h.unsqueeze(1).squeeze(1).clone(),
    "expand": lambda h, x: h[:, :, None].expand(-1, -1, 2, -1, -1),
    "nothing": lambda h, x: h,
}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_has_a_rule_must_be_a_module(what, method):
    between, message = FORBIDDEN[what]
    model = net(between)
    with pytest.raises(UnhookedOperationError, match=message):
        explain(model, pictures(), method)
    assert explain(model, pictures(), "gradient").any()
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize("method", [*RULES, "deconvnet", "deep_taylor", "deep_lift"])
@pytest.mark.parametrize("what", ALLOWED)
def test_what_moves_values_may_be_a_function(what, method):
    if (what, method) in (("max_pool", "deep_lift"), ("amax", "deep_lift")):
        return  # has a rule there
    assert explain(net(ALLOWED[what]), pictures(), method).any()


@pytest.mark.parametrize(("what", "methods"), [
    ("relu", ("guided_backprop", "deconvnet", "deep_taylor", "deep_lift")),
    ("sigmoid", ("deep_taylor", "deep_lift")),
    ("convolution", ("deep_taylor",)),
])  # fmt: skip
def test_other_families_refuse_what_they_have_a_rule_for(what, methods):
    between, message = FORBIDDEN[what]
    for method in ("guided_backprop", "deconvnet", "deep_taylor", "deep_lift"):
        if method in methods:
            with pytest.raises(UnhookedOperationError, match=message):
                explain(net(between), pictures(), method)
        else:
            explain(net(between), pictures(), method)


def test_modules_may_compute_what_they_like():
    class Swish(nn.Module):
        def forward(self, x):
            return x * x.sigmoid()

    class Gate(nn.Module):
        def forward(self, one, other):
            return one * other + 1

    for between in (Swish(), nn.GLU(1), nn.Mish(), nn.LocalResponseNorm(2), nn.LPPool2d(2, 2)):
        for method in (*RULES, "guided_backprop", "deep_taylor"):
            model = net(lambda h, x: h)
            model.between = nn.Identity()
            model.extra = between
            model.forward = lambda x, m=model: m.last(
                torch.cat([m.extra(m.relu(m.first(x))).flatten(1)] * 4, 1)[:, :96]
            )
            assert explain(model, pictures(), method).any()
    assert explain(net(Gate()), pictures(), "lrp_z").any()


def test_sums_of_zennit_are_modules():
    total = Sum()
    model = net(lambda h, x: total(torch.stack([h, x], -1)))
    model.total = total
    assert explain(model, pictures(), "lrp_z").any()


def test_all_methods_at_once():
    with pytest.raises(UnhookedOperationError):
        explain_many(net(FORBIDDEN["relu"][0]), pictures(), ["gradient", "lrp_z"])
    assert explain_many(net(FORBIDDEN["relu"][0]), pictures(), ["gradient", "smoothgrad"])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torchscript_has_no_layers_to_attach_rules_to():
    with torch.no_grad():
        traced = torch.jit.trace(cnn(), pictures())
    for method in ("lrp_z", "guided_backprop", "deep_taylor", "deep_lift"):
        for model in (traced, nn.Sequential(traced)):
            with pytest.raises(UnhookedOperationError, match="TorchScript"):
                explain(model, pictures(), method)
    assert explain(traced, pictures(), "gradient") == pytest.approx(explain(cnn(), pictures(), "gradient"))
