"""An explanation only reads the model and the input: nothing of them is touched, whatever happens."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from signxai_torch import UnhookedOperationError, explain
from signxai_torch.lrp.rules import Z
from tests.signxai_torch.nets import Shared, TorchvisionLike, Unshared, cnn, pictures, randomized

METHODS = [
    "gradient", "input_t_gradient", "guided_backprop", "deconvnet", "integrated_gradients", "smoothgrad", "vargrad",
    "grad_cam", "guided_grad_cam_MNISTCNN", "lrp_z", "lrp_z_IB", "lrp_epsilon_0_25_std_x", "lrp_alpha_2_beta_1",
    "lrpsign_epsilon_0_1", "flatlrp_z", "lrp_sequential_composite_a", "deep_taylor", "deep_lift", "occlusion", "random",
]  # fmt: skip
HOOK_TABLES = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def options(method: str) -> dict[str, Any]:
    return {"target_layer": None} if method.startswith("guided_grad_cam") else {}


def state(model: nn.Module, x: torch.Tensor) -> dict[str, Any]:
    """Everything of a model and an input that an explanation might change."""
    return {
        "modes": [module.training for module in model.modules()],
        "attributes": [sorted(vars(module)) for module in model.modules()],
        "forwards": ["forward" in vars(module) for module in model.modules()],
        "inplace": [getattr(module, "inplace", None) for module in model.modules()],
        "hooks": [
            [(key, id(hook)) for key, hook in getattr(module, table).items()]
            for module in model.modules()
            for table in HOOK_TABLES
        ],
        "wanted": [parameter.requires_grad for parameter in model.parameters()],
        "identities": [id(value) for value in (*model.parameters(), *model.buffers())],
        "values": [value.detach().numpy().tobytes() for value in (*model.parameters(), *model.buffers())],
        "gradients": [None if one.grad is None else one.grad.numpy().tobytes() for one in model.parameters()],
        "input": (x.detach().numpy().tobytes(), x.requires_grad, x.is_leaf, x._version, x.grad is None),
        "grad_mode": torch.is_grad_enabled(),
        "default_dtype": torch.get_default_dtype(),
        "versions": [one._version for one in (*model.parameters(), *model.buffers())],
    }


def unusual(model: nn.Module) -> nn.Module:
    """Train mode in parts, some parameters frozen, some with gradients, the user's own hook on a layer."""
    model.train()
    modules = list(model.modules())
    modules[-1].eval()
    parameters = list(model.parameters())
    parameters[0].requires_grad_(False)
    parameters[1].grad = torch.ones_like(parameters[1])
    modules[1].register_forward_hook(lambda module, inputs, output: None)
    modules[-1].register_full_backward_hook(lambda module, before, after: None)
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "build", [lambda: cnn(inplace=True), lambda: randomized(TorchvisionLike())], ids=["plain", "torchvision"]
)
def test_nothing_is_left_behind(build, method):
    model, x = unusual(build()), pictures().requires_grad_()
    before = state(model, x)
    explain(model, x, method, **options(method))
    assert state(model, x) == before


@pytest.mark.parametrize("method", METHODS)
def test_while_it_runs_everything_is_as_before(method):
    """The user's own hooks run in the stand-in; the model that they know from elsewhere is as it was."""
    model, x = unusual(randomized(TorchvisionLike())), pictures()
    seen = []
    model.features[0].register_forward_hook(lambda module, inputs, output: seen.append(state(model, x)))
    before = state(model, x)
    explain(model, x, method, **options(method))
    assert seen or method == "random"
    for one in seen:
        one["grad_mode"] = True
        assert one == before


class Forgetful(nn.Module):
    """Keeps what it computed and counts its calls, in attributes, a buffer and a list."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.last, self.calls = cnn(), None, 0
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.count += 1
        self.last = self.net(x)
        return self.last


@pytest.mark.parametrize("method", METHODS)
def test_what_a_model_notes_of_its_calls_is_noted_in_the_stand_in(method):
    model = Forgetful()
    explain(model, pictures(), method, **options(method))
    assert (model.last, model.calls, model.count.item()) == (None, 0, 0)


def test_under_no_grad_and_inference_mode_of_the_caller():
    model, x = cnn(), pictures()
    expected = explain(model, x, "lrp_epsilon_0_1")
    with torch.no_grad():
        assert np.array_equal(explain(model, x, "lrp_epsilon_0_1"), expected)
        assert not torch.is_grad_enabled()


class Raising(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("a layer's own trouble")


@pytest.mark.parametrize("method", [method for method in METHODS if method != "random"])
def test_nothing_is_left_behind_by_a_bad_target(method):
    model, x = unusual(cnn(inplace=True)), pictures()
    before = state(model, x)
    with pytest.raises(ValueError, match="out of range"):
        explain(model, x, method, target=99, **options(method))
    assert state(model, x) == before


@pytest.mark.parametrize("method", [method for method in METHODS if method != "random"])
def test_nothing_is_left_behind_by_a_layer_that_raises(method):
    model, x = unusual(nn.Sequential(*cnn(inplace=True)[:6], Raising(), nn.Linear(48, 4).double())), pictures()
    before = state(model, x)
    with pytest.raises(RuntimeError, match="own trouble"):
        explain(model, x, method, **options(method))
    assert state(model, x) == before


class Sums(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.cumsum(1)


@pytest.mark.parametrize("method", ["lrp_z", "lrpsign_epsilon_0_1", "deep_lift"])
def test_nothing_is_left_behind_by_a_layer_without_a_rule(method):
    model = unusual(nn.Sequential(*cnn()[:6], Sums(), nn.Linear(48, 4).double()))
    x = pictures()
    before = state(model, x)
    with pytest.raises(UnhookedOperationError, match="cumsum"):
        explain(model, x, method)
    assert state(model, x) == before


def test_nothing_is_left_behind_by_a_rule_that_raises(monkeypatch):
    model, x = unusual(cnn(inplace=True)), pictures()
    expected = explain(model, x, "lrp_z")
    before = state(model, x)

    def fail(*_args: Any) -> None:
        raise RuntimeError("a rule's own trouble")

    with monkeypatch.context() as patch:
        patch.setattr(Z, "relevance", fail)
        with pytest.raises(RuntimeError, match="rule's own"):
            explain(model, x, "lrp_z")
    assert state(model, x) == before
    assert np.array_equal(explain(model, x, "lrp_z"), expected)


def test_a_hook_of_the_users_that_raises():
    model, x = cnn(inplace=True), pictures()

    def fail(module, inputs, output):
        raise RuntimeError("a user's own trouble")

    handle = model[4].register_forward_hook(fail)
    before = state(model, x)
    with pytest.raises(RuntimeError, match="user's own"):
        explain(model, x, "lrp_epsilon_0_1")
    assert state(model, x) == before
    handle.remove()
    assert np.array_equal(explain(model, x, "lrp_epsilon_0_1"), explain(cnn(), x, "lrp_epsilon_0_1"))


@pytest.mark.parametrize("method", METHODS)
def test_modes_and_inplace_layers_do_not_change_a_map(method):
    x = pictures()
    for plain, other in (
        (cnn(), unusual(cnn(inplace=True))),
        (randomized(TorchvisionLike()), unusual(randomized(TorchvisionLike()))),
    ):
        maps = [explain(model, x, method, **options(method), **_seed(method)) for model in (plain, other)]
        assert np.array_equal(*maps)


def _seed(method: str) -> dict[str, Any]:
    return {"seed": 3} if method in ("smoothgrad", "vargrad", "random") else {}


def test_inplace_relus_in_a_torchvision_like_net_keep_the_pre_activations():
    """LRP divides by what the ReLU overwrites."""
    model, x = randomized(TorchvisionLike()), pictures()
    found = explain(model, x, "lrp_epsilon_0_1")
    for module in model.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    assert np.array_equal(found, explain(model, x, "lrp_epsilon_0_1"))


REUSE = [
    "gradient", "guided_backprop", "deconvnet", "lrp_z", "lrp_z_IB", "lrp_epsilon_0_1", "lrp_alpha_2_beta_1",
    "lrpsign_epsilon_0_1", "flatlrp_epsilon_0_25_std_x", "deep_taylor", "deep_lift",
]  # fmt: skip


@pytest.mark.parametrize("method", REUSE)
def test_a_module_used_twice_is_explained_call_by_call(method):
    shared = randomized(Shared())
    unshared = Unshared(shared)
    x = torch.as_tensor(np.random.RandomState(4).normal(size=(5, 6)))
    assert torch.equal(shared(x), unshared(x))
    assert np.array_equal(explain(shared, x, method), explain(unshared, x, method))


def test_hooks_are_told_apart_by_the_state():
    """Or the tests above could not fail."""
    model, x = cnn(), pictures()
    before = state(model, x)
    handle = model[0].register_forward_pre_hook(lambda module, inputs: None)
    assert state(model, x) != before
    handle.remove()
    assert state(model, x) == before
    x[0, 0, 0, 0] += 1
    assert state(model, x) != before
