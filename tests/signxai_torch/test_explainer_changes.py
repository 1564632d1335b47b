"""Whatever a model does, and whatever is done to it between two calls, an `Explainer` gives the maps of `explain`."""

from __future__ import annotations

import copy
import pickle
import random
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from signxai_torch import Explainer, explain

SCALES = {"all": 1.0}


def is_taped(explainer: Explainer) -> bool:
    preparation = explainer._preparation
    return preparation is not None and any(one is not None for one in preparation._made.values())


class Held(nn.Module):
    """What a model may compute with: weights, statistics, plain tensors, objects, class attributes, global names."""

    factor = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Conv1d(3, 6, 3), nn.BatchNorm1d(6), nn.Linear(6 * 14, 4)
        self.normed = weight_norm(nn.Linear(4, 4))
        self.settings = SimpleNamespace(scale=1.0, inner=[{"scale": 1.0}])
        self.plain = torch.ones(4)
        self.flags: dict[str, bool] = {"halved": False}

    def helped(self, h: Tensor) -> Tensor:
        return h

    def forward(self, x: Tensor) -> Tensor:
        h = self.last(F.relu(self.norm(self.first(x))).flatten(1))
        h = self.helped(h) * self.settings.scale * self.settings.inner[0]["scale"] * self.factor * SCALES["all"]
        return self.normed(h * 0.5 if self.flags.get("halved") else h) * self.plain


def stepped(model: Any) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05, fused=True)
    model(torch.ones(2, 3, 16)).square().mean().backward()
    optimizer.step()


def averaged(model: Any) -> None:
    for parameter in model.parameters():
        parameter.data.mul_(0.9).add_(0.01)


def trained_statistics(model: Any) -> None:
    F.batch_norm(torch.rand(5, 6, 16), model.norm.running_mean, model.norm.running_var, training=True)


def another_key(model: Any) -> None:
    model.flags["halved"] = True


def another_class(model: Any) -> None:
    model.__class__ = type("Doubled", (Held,), {"forward": lambda self, x: 2 * Held.forward(self, x)})


def halved_and_back(model: Any) -> None:
    model.half().float()


CHANGES: list[Callable[[Any], Any]] = [
    stepped, averaged, trained_statistics, another_key, another_class, halved_and_back,
    lambda model: model.first.weight.data.neg_(),
    lambda model: model.norm.running_var.data.mul_(2),
    lambda model: model.normed.parametrizations.weight.original1.data.mul_(-2),
    lambda model: model.plain.data.mul_(3),
    lambda model: setattr(model.settings, "scale", 2.0),
    lambda model: model.settings.inner[0].update(scale=7.0),
]  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize(
    ("method", "params"),
    [("gradient", {}), ("lrp_alpha_2_beta_1", {}), ("lrp_z", {"batch_norm": "merge"})],
)
def test_changes_that_torch_does_not_count(method: str, params: dict[str, Any], change: Callable[[Any], Any]) -> None:
    torch.manual_seed(0)
    model = Held().eval()
    explainer = Explainer(model, method, **params)
    inputs = torch.randn(4, 2, 3, 16)
    for x in inputs:
        explainer(x, target=1)
    assert is_taped(explainer)
    change(model)
    for x in inputs:
        assert np.array_equal(explainer(x, target=1), explain(model, x, method, target=1, **params))


def test_changes_of_classes_and_of_global_names(monkeypatch: pytest.MonkeyPatch) -> None:
    model = Held().eval()
    explainer = Explainer(model, "gradient")
    x = torch.randn(2, 3, 16)

    def agrees() -> bool:
        return all(np.array_equal(explainer(x, target=1), explain(model, x, "gradient", target=1)) for _ in range(3))

    assert agrees()
    monkeypatch.setattr(Held, "factor", 2.0)
    assert agrees()
    monkeypatch.setattr(Held, "helped", lambda self, h: 3 * h)
    assert agrees()
    monkeypatch.setitem(SCALES, "all", 5.0)
    assert agrees()
    monkeypatch.setattr(nn.BatchNorm1d, "forward", lambda self, h: -h, raising=False)
    assert agrees()
    hook = nn.modules.module.register_module_forward_hook(lambda module, given, made: 2 * made)
    try:
        assert agrees()
    finally:
        hook.remove()
    assert agrees()


def test_what_a_hook_reads_may_change() -> None:
    model = Held().eval()
    strength = {"now": 1.0}
    model.norm.register_forward_hook(lambda module, given, made: made * strength["now"])
    explainer = Explainer(model, "gradient")
    x = torch.randn(2, 3, 16)
    for strength["now"] in (1.0, 3.0, 2.0):
        for _ in range(3):
            assert np.array_equal(explainer(x, target=1), explain(model, x, "gradient", target=1))
        assert is_taped(explainer)


@torch.jit.script
def is_positive(x: Tensor) -> bool:
    return bool(x.sum() > 0)


class ByPlaces(nn.Module):
    """Computes by what a function says of its input."""

    def __init__(self, compute: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.one, self.other, self.compute = nn.Linear(8, 3), nn.Linear(8, 3), compute
        self.table = nn.Parameter(torch.randn(9, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(self, x)


def catching(model: Any, x: Tensor) -> Tensor:
    try:
        torch.linalg.cholesky(x[:, :2].T @ x[:, :2] - torch.eye(2))
    except RuntimeError:
        return model.other(x)
    return model.one(x)


def writing_into_a_buffer(model: Any, x: Tensor) -> Tensor:
    made = torch.empty(len(x), 3)
    torch.mul(model.one(x), 2, out=made)
    return made


BY_PLACES: dict[str, Callable[[Any, Tensor], Tensor]] = {
    "topk": lambda model, x: model.one(x) + x.gather(1, x.topk(3, 1).indices),
    "sort": lambda model, x: model.one(x.gather(1, x.sort(1)[1])),
    "max": lambda model, x: model.one(x) + model.table[x.abs().max(1).indices],
    "pooled": lambda model, x: model.one(x) + model.table[F.max_pool1d(x[:, None], 8, return_indices=True)[1][:, 0, 0]],
    "unique": lambda model, x: model.one(x) * len(torch.unique(x.round())),
    "script": lambda model, x: model.one(x) if is_positive(x) else model.other(x),
    "memory": lambda model, x: model.one(x) if x.untyped_storage()[3] > 127 else model.other(x),
    "errors": catching,
    "out": writing_into_a_buffer,
    "python": lambda model, x: model.one(x) if random.random() < 0.8 else model.other(x),
    "numpy": lambda model, x: model.one(x) if np.random.rand() < 0.8 else model.other(x),
    "torch": lambda model, x: model.one(x) * (1 + (torch.rand(3) < 0.02).sum()),
}


@pytest.mark.parametrize("compute", BY_PLACES.values(), ids=BY_PLACES)
@pytest.mark.parametrize("method", ["gradient", "lrp_alpha_2_beta_1", "integrated_gradients"])
def test_models_that_choose_in_ways_that_are_hard_to_see(method: str, compute: Callable[[Any, Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    model = ByPlaces(compute)
    explainer = Explainer(model, method)
    same_places = torch.tensor([0.1, 0.2, 0.3, 9.0, 9.0, 0.3, 0.2, 0.1]).repeat(2, 1)
    for number, x in enumerate((same_places, same_places, same_places, *torch.randn(6, 2, 8), *-torch.rand(3, 2, 8))):
        found = maps_of(lambda x=x: explainer(x, target=1), number)
        assert np.array_equal(found, maps_of(lambda x=x: explain(model, x, method, target=1), number))
    assert not is_taped(explainer)


def maps_of(call: Callable[[], Any], seed: int) -> Any:
    """Return a map, or the name of the error, from one state of all generators."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    try:
        return call()
    except Exception as error:
        return type(error).__name__


class Picky(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > 1 and not is_positive(x):
            raise RuntimeError("no such input")
        return self.dense(x)


def test_an_error_of_the_proof_is_nobodys() -> None:
    model = Picky()
    explainer = Explainer(model, "gradient")
    x = torch.tensor([[5.0, -1, -1, -1], [-1, 0, 0, 0]])
    for _ in range(4):
        assert np.array_equal(explainer(x, target=0), explain(model, x, "gradient", target=0))


class OfTheDefaultDtype(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return (self.dense(x) * torch.full((3,), 1 / 3)).to(x.dtype)


def test_the_default_dtype_may_change() -> None:
    model = OfTheDefaultDtype()
    explainer = Explainer(model, "gradient")
    x = torch.randn(2, 4)
    before = torch.get_default_dtype()
    for dtype in (torch.float32, torch.float64) * 3:
        torch.set_default_dtype(dtype)
        try:
            assert np.array_equal(explainer(x, target=0), explain(model, x, "gradient", target=0))
        finally:
            torch.set_default_dtype(before)


def test_more_shapes_than_are_remembered_in_turn() -> None:
    model = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2))
    runs = 0

    def counted(*_: Any) -> None:
        nonlocal runs
        runs += 1

    explainer = Explainer(model, "lrp_z")
    for _ in range(3):
        for length in range(20, 32):
            explainer(torch.randn(1, 3, length))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("signxai_torch.operations.prepared.is_proven", counted)
        for length in range(20, 32):
            explainer(torch.randn(1, 3, length))
    assert runs == 0  # a shape that lost its place does not get it back at once


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_have_a_model_of_their_own(copied: Callable[[Explainer], Explainer]) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))
    explainer = Explainer(model, "lrp_z")
    x = torch.randn(2, 4)
    before = [explainer(x) for _ in range(3)][-1]
    other = copied(explainer)
    with torch.no_grad():
        model[0].weight.neg_()
    assert all(np.array_equal(other(x), before) for _ in range(3))
    assert np.array_equal(explainer(x), explain(model, x, "lrp_z"))


class Slotted:
    __slots__ = ("value",)


class Raising(Slotted):
    @property
    def value(self) -> float:  # type: ignore[override]
        raise ValueError("not yet")


def test_an_attribute_that_raises_is_nobodys() -> None:
    model = Held()
    model.raising = Raising()
    x = torch.randn(2, 3, 16)
    explainer = Explainer(model, "lrp_z")
    for _ in range(3):
        np.testing.assert_array_equal(explainer(x, target=0), explain(model, x, "lrp_z", target=0))
    assert not is_taped(explainer)
