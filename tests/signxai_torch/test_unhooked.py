"""Operations that no rule reaches are refused with the name of what to use instead; what only moves values is not."""

from __future__ import annotations

from types import SimpleNamespace

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
    "multiply": (lambda h, x: h * x, r"computes \* where no rule"),
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
    "sort": lambda h, x: h.sort(-1).values,
    "shuffle": lambda h, x: F.channel_shuffle(h, 2),
    "rot90": lambda h, x: h.rot90(1, (2, 3)),
    "squeeze two": lambda h, x: h[:, :, None, None].squeeze((2, 3)),
    "interpolate": lambda h, x: F.interpolate(h, scale_factor=2, mode="bilinear"),
}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("what", FORBIDDEN)
def test_what_has_a_rule_must_be_a_module(what, method):
    between, message = FORBIDDEN[what]
    model = net(between)
    with pytest.raises(UnhookedOperationError, match=message):
        explain(model, pictures(), method)
    if what.endswith("in place"):  # the ReLU before needs its output for the gradient, and torch alone refuses too
        with pytest.raises(RuntimeError, match="changed in place"):
            explain(model, pictures(), "gradient")
    else:
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

    for between in (Swish(), nn.GLU(1), nn.Mish(), nn.LocalResponseNorm(2), nn.LPPool2d(2, 2)):
        for method in (*RULES, "guided_backprop", "deep_taylor"):
            model = net(lambda h, x: h)
            model.between = nn.Identity()
            model.extra = between
            model.forward = lambda x, m=model: m.last(
                torch.cat([m.extra(m.relu(m.first(x))).flatten(1)] * 4, 1)[:, :96]
            )
            assert explain(model, pictures(), method).any()


class Gate(nn.Module):
    def forward(self, one, other):
        return one * other


class Joined(nn.Module):
    def forward(self, one, other):
        return torch.cat([one, other], 1)


class Added(nn.Module):
    def forward(self, one, other):
        return one + other


@pytest.mark.parametrize("method", RULES)
def test_a_layer_that_joins_tensors_is_looked_into(method):
    for layer, words in ((Gate(), r"computes \*"), (Added(), r"computes \+ .* zennit.layer.Sum")):
        with pytest.raises(UnhookedOperationError, match=words):
            explain(net(layer), pictures(), method)
        assert explain(net(layer), pictures(), "guided_backprop").any()
    joined = explain(net(Joined()), pictures(), method)
    assert joined == pytest.approx(explain(net(ALLOWED["cat"]), pictures(), method))


@pytest.mark.parametrize("what", [
    lambda h, x: 1 - h, lambda h, x: -h, lambda h, x: F.layer_norm(h, h.shape[1:]), lambda h, x: F.celu(h),
    lambda h, x: torch.erf(h), lambda h, x: h.sin(), lambda h, x: h.cumsum(-1), lambda h, x: torch.maximum(h, x),
    lambda h, x: torch.where(h > 0, h, x), lambda h, x: h.masked_fill(h < 0, 0), lambda h, x: F.normalize(h),
    lambda h, x: F.max_pool2d(h, 3, 1, 1),
    lambda h, x: F.pad(h, (1, 0, 0, 0), mode="circular"), lambda h, x: F.rrelu(h), lambda h, x: F.group_norm(h, 1),
    lambda h, x: torch.fmax(h, x),
])  # fmt: skip
@pytest.mark.parametrize("method", RULES)
def test_lrp_leaves_nothing_to_functions_that_compute(method, what):
    with pytest.raises(UnhookedOperationError, match="where no rule reaches it"):
        explain(net(what), pictures(), method)


class Flip(torch.autograd.Function):
    """A user's own, which has a name like one of torch's."""

    @staticmethod
    def forward(ctx, x):
        return 3 * x

    @staticmethod
    def backward(ctx, grad):
        return 3 * grad


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("name", ["Flip", "MaxPoolish", "Upsample2x"])
def test_a_name_like_that_of_an_operation_of_torch(method, name):
    function = type(name, (Flip,), {})
    with pytest.raises(UnhookedOperationError, match=f"{name}Backward"):
        explain(net(lambda h, x: function.apply(h)), pictures(), method)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
def test_rectifiers_by_other_names(method):
    relus = (lambda h, x: torch.maximum(h, h.new_zeros(1)), lambda h, x: h.clamp(min=0), lambda h, x: h.clamp(0, 6),
             lambda h, x: h.clamp(min=h.new_zeros(2, 1, 1)), lambda h, x: F.relu6(h),
             lambda h, x: F.leaky_relu(h), lambda h, x: F.threshold(h, 0, 0))  # fmt: skip
    for relu in relus:
        with pytest.raises(UnhookedOperationError, match=r"torch\.nn\.(Leaky)?ReLU"):
            explain(net(relu), pictures(), method)
    others = (lambda h, x: torch.maximum(h, x), lambda h, x: torch.maximum(h, h.new_ones(1)),
              lambda h, x: h.clamp(0, 1), lambda h, x: F.hardtanh(h), lambda h, x: F.normalize(h),
              lambda h, x: F.celu(h), lambda h, x: F.threshold(h, 0.5, 0))  # fmt: skip
    for other in others:
        assert explain(net(other), pictures(), method).any()


def test_other_bends_of_deep_taylor():
    for bend in (lambda h, x: F.celu(h), lambda h, x: F.rrelu(h), lambda h, x: torch.maximum(h, h.new_zeros(1))):
        with pytest.raises(UnhookedOperationError):
            explain(net(bend), pictures(), "deep_taylor")


@pytest.mark.parametrize("method", ["lrp_z", "guided_backprop", "deep_lift", "grad_cam", "guided_grad_cam"])
def test_a_compiled_model_has_no_layers_to_attach_rules_to(method):
    compiled = cnn()
    compiled[0].compile()
    for model in (torch.compile(cnn()), compiled):
        with pytest.raises(UnhookedOperationError, match=r"torch\.compile"):
            explain(model, pictures(), method)


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


class Boxed(nn.Module):
    def forward(self, box):
        return box.value.flatten(1)


def test_a_layer_whose_input_is_not_seen_hides_nothing():
    boxed = Boxed()
    model = net(lambda h, x: h)
    model.between = lambda h, x: boxed(SimpleNamespace(value=F.relu(h)))
    model.boxed = boxed
    for method in (*RULES, "guided_backprop", "deep_taylor"):
        with pytest.raises(UnhookedOperationError, match=r"relu .*torch\.nn\.ReLU"):
            explain(model, pictures(), method)
