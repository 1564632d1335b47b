"""Published hooks and composites on models as people write them: functions, containers, reparametrized weights."""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import zennit.attribution
import zennit.composites
import zennit.types
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import signxai_torch as sx
from signxai_torch.lrp import rules
from signxai_torch.lrp.rule import LinearRule
from signxai_torch.published.attach import hook_on
from tests.signxai_torch.published import TARGETS, images, same, seeded, state_of, vgg_like


class Residual(nn.Module):
    """A net for (N, 3, 8, 6) whose activations, sums, pooling and reshaping are functions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(x))
        h = F.relu(self.norm(self.second(h)) + h)
        h = F.max_pool2d(h, 2).mean(dim=2)
        return self.head(F.dropout(h.flatten(1), training=self.training))


@pytest.fixture
def x() -> Tensor:
    return images()


def logit_of_target(logits: Tensor) -> Tensor:
    return logits.detach() * F.one_hot(torch.tensor(TARGETS), logits.shape[1])


def attributed(model: nn.Module, x: Tensor) -> np.ndarray:
    point = x.clone().requires_grad_()
    logits = model(point)
    return torch.autograd.grad(logits, point, logit_of_target(logits))[0].numpy()


COMPOSITES: list[tuple[Callable[[], Any], str]] = [
    (lambda: sx.epsilon_composite(0.1), "lrp_epsilon_0_1"),
    (lambda: sx.lrpsign_epsilon_std_x(stdfactor=0.25), "lrpsign_epsilon_0_25_std_x"),
    (lambda: sx.w2lrp_sequential_composite_a(), "w2lrp_sequential_composite_a"),
    (lambda: sx.create_innvestigate_flat_composite(), "lrp_flat"),
    (lambda: sx.DeconvNetComposite(), "deconvnet"),
]


@pytest.mark.parametrize(("made", "method"), COMPOSITES)
def test_composite_on_a_model_of_functions(made: Callable[[], Any], method: str, x: Tensor) -> None:
    model = seeded(Residual(), seed=6)
    assert model.training  # it runs as in eval mode all the same
    before, expected = state_of(model), sx.explain(model, x, method, TARGETS)
    _, relevance = zennit.attribution.Gradient(model, made())(x.clone(), logit_of_target)
    same(relevance.numpy(), expected)
    with made().context(model):
        same(attributed(model, x), expected)
        same(attributed(model, x), expected)  # as often as one likes
    assert state_of(model) == before


def test_one_composite_on_one_model_after_the_other(x: Tensor) -> None:
    composite = sx.zplus_composite()
    for seed in (1, 2):
        model = seeded(Residual(), seed)
        with composite.context(model):
            same(attributed(model, x), sx.explain(model, x, "lrp_z_plus", TARGETS))
        assert hook_on(model) is None


@pytest.mark.parametrize("parametrize", [parametrizations.weight_norm, nn.utils.weight_norm])
def test_hook_uses_the_weights_that_the_layer_used(parametrize: Any, x: Tensor) -> None:
    layer = parametrize(seeded(nn.Linear(6, 3), seed=5))
    rows = x[:, 0, 0].clone().requires_grad_()
    handles = sx.EpsilonHook(0.1).register(layer)
    output = layer(rows)
    (relevance,) = torch.autograd.grad(output, rows, output.detach())
    handles.remove()
    plain = nn.Linear(6, 3).double()
    plain.weight.data, plain.bias.data = layer.weight.detach().clone(), layer.bias.detach().clone()
    with sx.epsilon_composite(0.1).context(plain):
        output = plain(rows)
        (expected,) = torch.autograd.grad(output, rows, output.detach())
    same(relevance.numpy(), expected.numpy())


def test_hook_on_a_container_gives_each_part_its_rule(x: Tensor) -> None:
    model = vgg_like()
    halves = nn.Sequential(model[:4], model[4:])
    handles = [sx.EpsilonHook(0.1).register(half) for half in halves]
    same(attributed(halves, x), sx.explain(model, x, "lrp_epsilon_0_1", TARGETS))
    for handle in handles:
        handle.remove()
    assert all(hook_on(half) is None for half in halves)


def test_hooks_in_zennit_s_own_composites(x: Tensor) -> None:
    model = vgg_like()
    layers = [(nn.Linear, sx.EpsilonHook(0.1)), (zennit.types.Convolution, sx.AlphaBetaRule(1.0, 0.0)),
              ((nn.ReLU, nn.AvgPool2d), sx.ZRule())]  # fmt: skip
    composite = zennit.composites.SpecialFirstLayerMapComposite(layers, [(zennit.types.Convolution, sx.WSquareHook())])
    _, relevance = zennit.attribution.Gradient(model=model, composite=composite)(x.clone(), logit_of_target)
    same(relevance.numpy(), sx.explain(model, x, "w2lrp_sequential_composite_a", TARGETS))


def test_inactive_is_the_gradient(x: Tensor) -> None:
    model, composite = seeded(Residual(), seed=6), sx.epsilon_composite(0.1)
    point = x.clone().requires_grad_()
    with composite.context(model):
        logits = model(point)
        with composite.inactive():
            (gradient,) = torch.autograd.grad(logits, point, F.one_hot(torch.tensor(TARGETS), 5).double())
    np.testing.assert_allclose(gradient.numpy(), sx.explain(model, x, "gradient", TARGETS), rtol=1e-12)


def test_attached_hooks_are_no_matter_of_explain(x: Tensor) -> None:
    model = vgg_like()
    expected = sx.explain(model, x, "lrp_z", TARGETS), sx.explain(model, x, "gradient", TARGETS)
    handles = [sx.FlatHook().register(model[0]), sx.FlatHook().register(model[11])]
    same(sx.explain(model, x, "lrp_z", TARGETS), expected[0])
    same(sx.explain(model, x, "gradient", TARGETS), expected[1])
    own, plain = copy.deepcopy(model), vgg_like()
    same(attributed(own, x), attributed(plain, x))  # a copy is a model of its own, without hooks
    for handle in handles:
        handle.remove()


def test_forward_that_somebody_put_on_a_module_comes_back() -> None:
    layer = seeded(nn.Linear(6, 3), seed=5)
    layer.forward = lambda given: F.linear(given, layer.weight)  # type: ignore[method-assign]
    own = layer.forward
    handles = sx.EpsilonHook().register(layer)
    output = layer(torch.ones(2, 6, dtype=torch.float64, requires_grad=True))
    handles.remove()
    assert layer.forward is own
    assert torch.equal(output, F.linear(torch.ones(2, 6).double(), layer.weight))


def test_handles_may_go_in_any_order() -> None:
    layer = seeded(nn.Linear(6, 3), seed=5)
    plain = layer(torch.ones(2, 6).double())
    handles = sx.EpsilonHook().register(layer)
    inner = layer.forward
    layer.forward = lambda given: inner(given)  # type: ignore[method-assign]
    handles.remove()
    assert hook_on(layer) is None
    given = torch.ones(2, 6, dtype=torch.float64, requires_grad=True)
    output = layer(given)
    assert torch.equal(output, plain)
    assert torch.equal(torch.autograd.grad(output.sum(), given)[0], layer.weight.sum(0).expand(2, 6))


def test_a_call_has_one_rule(x: Tensor) -> None:
    model = vgg_like()
    handles = sx.EpsilonHook().register(model[0])
    with pytest.raises(RuntimeError, match="EpsilonHook attached already"):
        sx.FlatHook().register(model[0])
    with sx.flat_composite().context(model), pytest.raises(RuntimeError, match="EpsilonHook is attached to '0'"):
        model(x.clone().requires_grad_())
    handles.remove()
    assert hook_on(model) is hook_on(model[0]) is None


class Cumulates(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1).cumsum(1)


def test_what_has_no_rule_is_refused_with_its_name(x: Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 2, 3).double(), Cumulates())
    with sx.epsilon_composite().context(model), pytest.raises(sx.UnhookedOperationError, match="cumsum"):
        model(x.clone().requires_grad_())
    handles = sx.EpsilonHook().register(model[1])
    with pytest.raises(sx.UnhookedOperationError, match="a rule on Cumulates"):
        model(x.clone().requires_grad_())
    handles.remove()


@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_torchscript_is_refused(x: Tensor) -> None:
    model = torch.jit.trace(vgg_like().eval(), x)
    before = sorted(vars(model))
    with pytest.raises(TypeError, match="TorchScript"), sx.epsilon_composite().context(model):
        pass
    assert sorted(vars(model)) == before


def test_composite_warns_as_explain_does(x: Tensor) -> None:
    norm = nn.Sequential(nn.Flatten(), nn.LayerNorm(144), nn.Linear(144, 5)).double()
    for model, category in (
        (norm, sx.BeyondReferenceWarning),
        (nn.Sequential(nn.Flatten(), nn.Linear(144, 5), nn.Softmax(1)).double(), sx.SoftmaxWarning),
        (nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(144, 5)).double(), sx.UnusedInputRuleWarning),
    ):
        with sx.lrpz_epsilon().context(model), pytest.warns(category):
            model(x.clone().requires_grad_())


def test_module_of_several_tensors(x: Tensor) -> None:
    add, bilinear = Adds(), nn.Bilinear(6, 6, 3)
    point = x.clone().requires_grad_()
    handles = [sx.EpsilonHook().register(add), sx.EpsilonHook().register(bilinear)]
    assert torch.equal(torch.autograd.grad(add(point, point * 2).sum(), point)[0], torch.full_like(x, 3))
    rows = torch.ones(2, 6, requires_grad=True)
    with pytest.raises(TypeError, match="Bilinear is called with several tensors"):
        bilinear(rows, rows)
    for handle in handles:
        handle.remove()


class Adds(nn.Module):
    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return left + right


def test_arguments_by_name_and_results_of_other_kinds(x: Tensor) -> None:
    layer, lstm = seeded(nn.Linear(6, 3), seed=5), nn.LSTM(6, 3).double()
    rows = x[:, 0, 0].clone().requires_grad_()
    handles = [sx.ZRule().register(layer), sx.ZRule().register(lstm)]
    by_place, by_name = (torch.autograd.grad(one.sum(), rows)[0] for one in (layer(rows), layer(input=rows)))
    same(by_name.numpy(), by_place.numpy())
    with pytest.raises(TypeError, match="LSTM returns tuple; a rule needs one tensor"):
        lstm(rows)
    for handle in handles:
        handle.remove()


def test_nothing_is_recorded_where_no_gradient_is_asked_for(x: Tensor) -> None:
    model = vgg_like().eval()
    plain = model(x)
    with sx.epsilon_composite().context(model):
        assert torch.equal(model(x), plain)
        with torch.no_grad():
            assert torch.equal(model(x.clone().requires_grad_()), plain)
        assert model(x).grad_fn is None or "Node" not in model(x).grad_fn.name()


def test_result_may_be_changed_in_place_and_walked_twice(x: Tensor) -> None:
    layer = seeded(nn.Conv2d(3, 4, 3), seed=5)
    point = x.clone().requires_grad_()
    handles = sx.EpsilonHook(0.1).register(layer)
    plain, changed = layer(point), layer(point)
    (expected,) = torch.autograd.grad(plain, point, torch.ones_like(plain), retain_graph=True)
    same(torch.autograd.grad(plain, point, torch.ones_like(plain))[0].numpy(), expected.numpy())
    same(torch.autograd.grad(changed.mul_(2), point, torch.full_like(plain, 0.5))[0].numpy(), expected.numpy())
    handles.remove()


def test_recording_goes_with_the_graph(x: Tensor) -> None:
    model = seeded(Residual(), seed=6)
    gc.disable()
    try:
        with sx.epsilon_composite().context(model):
            logits = model(x.clone().requires_grad_())
            recording = logits.grad_fn.recording
            kept = weakref.ref(recording._recorder.operations[1].sources[0].kept)
            assert kept() is not None
            del logits, recording
            assert kept() is None  # at once, not when Python looks for circles
    finally:
        gc.enable()


@pytest.mark.parametrize("rule", [rules.WSquare(1e-3), rules.WSquare(), sx.WSquareRule(1e-3).rule, rules.Flat(1e-3)])
def test_epsilon_that_guards_a_division_changes_no_map(rule: LinearRule, x: Tensor) -> None:
    layer = seeded(nn.Linear(6, 3), seed=5)
    layer.weight.data[1] = 0  # a unit of no weights: its denominator is exactly zero
    rows = x[:, 0, 0]
    expected = sx.explain(layer, rows, "lrp_flat" if isinstance(rule, rules.Flat) else "lrp_w_square", 1)
    result = sx.explain(layer, rows, "lrp", 1, rule=type(rule).__name__, epsilon=rule.epsilon)
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(result, expected)
    assert rule.guard == rule.epsilon


def test_epsilon_of_the_other_layers_is_no_guard_of_the_input_layer(x: Tensor) -> None:
    assert "input layer: Flat()" in str(sx.plan(["flatlrp_epsilon_0_1"]))
    assert rules.Flat(0.1) != rules.Flat()
    model = vgg_like()
    same(sx.explain(model, x, "flatlrp_epsilon_0_1"), sx.explain(model, x, "flatlrp_epsilon", epsilon=0.1))
