"""Models, inputs and hooks are as they were after an explanation, also after one that raises."""

from __future__ import annotations

import gc
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from signxai_torch import explain
from signxai_torch.lrp.composites import UnsupportedLayerError
from signxai_torch.lrp.rules import Z
from signxai_torch.operations.hook import RelevanceHook
from signxai_torch.operations.state import _LOCKS
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


@pytest.mark.parametrize("method", ["lrp_z", "lrpsign_epsilon_0_1", "deep_taylor"])
def test_nothing_is_left_behind_by_a_layer_without_a_rule(method):
    model = unusual(nn.Sequential(*cnn()[:6], nn.LayerNorm(48).double(), nn.Linear(48, 4).double()))
    x = pictures()
    before = state(model, x)
    with pytest.raises(UnsupportedLayerError, match="LayerNorm"):
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


def in_threads(work: list[Any]) -> list[Any]:
    """Run functions side by side, begun at once; return their results, or raise what the first raised."""
    found: dict[int, Any] = {}
    barrier = threading.Barrier(len(work))

    def run(index: int) -> None:
        barrier.wait()
        try:
            found[index] = work[index]()
        except Exception as error:
            found[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found.values():
        if isinstance(one, Exception):
            raise one
    return [found[index] for index in range(len(work))]


@pytest.mark.parametrize("parts", [False, True], ids=["one model", "models that share modules"])
def test_threads_on_one_model_take_turns(parts):
    body = unusual(cnn(inplace=True))
    models = [nn.Sequential(body) if parts else body for _ in range(4)]
    x = pictures()
    before = state(body, x)
    methods = ["lrp_epsilon_0_1", "gradient", "flatlrp_z", "guided_backprop", "grad_cam"]

    def work(model: nn.Module) -> Any:
        return lambda: [explain(model, x, method, target=1) for _ in range(5) for method in methods]

    expected = work(models[0])()
    for found in in_threads([work(model) for model in models]):
        for one, other in zip(found, expected, strict=True):
            assert np.array_equal(one, other)
    assert state(body, x) == before


def test_a_model_waits_for_no_other_model():
    """One stops in the middle of its forward pass until the other one is done."""
    done = threading.Event()
    waiting, other = cnn(), cnn()
    waiting[3].register_forward_hook(lambda *_: None if done.wait(60) else pytest.fail("it waited for the other"))

    def finish() -> Any:
        result = explain(other, pictures(), "lrp_z")
        done.set()
        return result

    one, two = in_threads([lambda: explain(waiting, pictures(), "lrp_z"), finish])
    assert np.array_equal(one, two)


def test_locks_go_with_their_models():
    explain(cnn(), pictures(), "gradient")
    gc.collect()
    before = len(_LOCKS)
    for _ in range(3):
        explain(cnn(), pictures(), "gradient")
    gc.collect()
    assert len(_LOCKS) <= before


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


@pytest.mark.parametrize(
    "method", ["lrp_epsilon_0_1", "lrpsign_epsilon_0_25_std_x", "guided_backprop", "deep_lift", "grad_cam"]
)
def test_two_threads_on_separate_models_do_not_meet(method):
    models = [randomized(cnn(inplace=True), seed) for seed in (0, 1)]
    inputs = [pictures(seed=seed) for seed in (5, 6)]
    alone = [explain(model, x, method) for model, x in zip(models, inputs, strict=True)]
    found: list[list[np.ndarray]] = [[], []]
    barrier = threading.Barrier(2)

    def work(which: int) -> None:
        for _ in range(15):
            barrier.wait(timeout=60)
            found[which].append(explain(models[which], inputs[which], method))

    threads = [threading.Thread(target=work, args=(which,)) for which in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for which in (0, 1):
        assert len(found[which]) == 15
        assert all(np.array_equal(one, alone[which]) for one in found[which])


def test_hooks_are_told_apart_by_the_state():
    """Or the tests above could not fail."""
    model, x = cnn(), pictures()
    before = state(model, x)
    handle = RelevanceHook().register(model[0])
    assert state(model, x) != before
    handle.remove()
    assert state(model, x) == before
    x[0, 0, 0, 0] += 1
    assert state(model, x) != before
