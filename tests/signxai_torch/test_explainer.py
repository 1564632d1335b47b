"""An `Explainer` gives the maps of `explain`, however often it is called and whatever happens to the model between."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from signxai_torch import Explainer, UnknownMethodError, explain, explain_many

METHODS = ("gradient", "gradient_x_sign_mu_0", "lrp_z", "lrp_epsilon_0_25_std_x", "lrpsign_epsilon_0_1",
           "lrp_alpha_2_beta_1", "flatlrp_epsilon_10", "lrp_sequential_composite_a", "lrp_gamma", "guided_backprop",
           "grad_cam", "deep_lift", "deep_taylor", "occlusion")  # fmt: skip


class Residual(nn.Module):
    """Functions, in-place forms, a sum of branches, a normalised weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.relu = nn.ReLU(inplace=True)
        self.dense = nn.utils.parametrizations.weight_norm(nn.Linear(6 * 16, 5))

    def forward(self, x: Tensor) -> Tensor:
        h = self.relu(self.norm(self.first(x)))
        h = h + F.relu(self.second(h))
        h = F.dropout(F.max_pool2d(h, 2), training=True)
        h += 0.5
        return self.dense(h.flatten(1))


def images() -> nn.Module:
    torch.manual_seed(0)
    model = Residual()
    model.norm.running_mean.uniform_(-0.1, 0.1)
    return model


def sequences() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv1d(3, 8, 5, padding=2), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(8, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


def batches(shape: tuple[int, ...], count: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(7)
    return [torch.randn(shape, generator=generator) for _ in range(count)]


def is_taped(explainer: Explainer) -> bool:
    preparation = explainer._preparation
    return preparation is not None and any(one is not None for one in preparation._made.values())


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_those_of_explain_at_every_call(method: str) -> None:
    model = images()
    explainer = Explainer(model, method)
    for x in batches((2, 1, 8, 8)):
        assert np.array_equal(explainer(x, target=1), explain(model, x, method, target=1))
    if method not in ("deep_lift",):  # which looks inside of softmaxes, and records by itself
        assert is_taped(explainer)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_several_methods_of_sequences(dtype: torch.dtype) -> None:
    model = sequences().to(dtype)
    methods = ["lrp_z", "lrpsign_z", "gradient", "integrated_gradients", "lrp_alpha_1_beta_0"]
    explainer = Explainer(model, methods)
    for x in batches((3, 3, 24)):
        expected = explain_many(model, x.to(dtype), methods)
        found = explainer(x.to(dtype))
        assert list(found) == methods
        assert all(np.array_equal(found[name], expected[name]) for name in methods)
    assert is_taped(explainer)


def test_noise_follows_the_seed() -> None:
    model = sequences()
    explainer = Explainer(model, "smoothgrad", seed=3)
    for x in batches((1, 3, 24), 3):
        assert np.array_equal(explainer(x, target=0), explain(model, x, "smoothgrad", target=0, seed=3))


def test_shapes_may_change_from_call_to_call() -> None:
    model = sequences()
    explainer = Explainer(model, "lrp_epsilon_0_1")
    for length in (24, 30, 24, 30, 24, 30, *range(24, 44), *range(24, 44)):
        for x in batches((2, 3, length), 1):
            assert np.array_equal(explainer(x), explain(model, x, "lrp_epsilon_0_1"))


def trained(model: nn.Module) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)


def statistics_moved(model: nn.Module) -> None:
    model[1].running_mean += 0.3


def another_weight(model: nn.Module) -> None:
    model[4].weight = nn.Parameter(-model[4].weight.detach())


def other_memory(model: nn.Module) -> None:
    model[4].weight.data = -model[4].weight.data


def another_module(model: nn.Module) -> None:
    model[2] = nn.Tanh()


def another_padding(model: nn.Module) -> None:
    model[4].padding = (1,)


def loaded(model: nn.Module) -> None:
    model.load_state_dict({name: 1.2 * value for name, value in model.state_dict().items()}, assign=False)


def hooked(model: nn.Module) -> None:
    model[2].register_forward_hook(lambda module, given, made: 2 * made)


CHANGES = [trained, statistics_moved, another_weight, other_memory, another_module, another_padding, loaded, hooked]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("method", ["gradient", "lrp_alpha_2_beta_1"])
def test_changes_of_the_model_are_noticed(method: str, change: Callable[[nn.Module], None]) -> None:
    model = sequences()
    explainer = Explainer(model, method)
    x, *others = batches((2, 3, 24), 5)
    before = [explainer(x, target=1) for _ in range(4)][-1]
    assert is_taped(explainer)
    change(model)
    assert not np.array_equal(explainer(x, target=1), before)
    for other in others:
        assert np.array_equal(explainer(other, target=1), explain(model, other, method, target=1))


def test_what_is_written_behind_the_counts_needs_refresh() -> None:
    model = sequences()
    explainer = Explainer(model, "lrp_alpha_2_beta_1")
    (x,) = batches((2, 3, 24), 1)
    for _ in range(3):
        explainer(x)
    model[4].weight.data.mul_(-1)
    explainer.refresh()
    assert np.array_equal(explainer(x), explain(model, x, "lrp_alpha_2_beta_1"))


class ByValue(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(6, 3), nn.Linear(6, 3)


class Branching(ByValue):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) if x.sum() > 0 else self.other(x)


class BranchingOnANumber(ByValue):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) if x.max().item() > 1.5 else self.other(x)


class Masked(ByValue):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(torch.where(x > 0, x, 0.1 * x))


class ScaledByAConstantOfTheInput(ByValue):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) / x.detach().abs().max()


class FilledIn(ByValue):
    def forward(self, x: Tensor) -> Tensor:
        h = torch.zeros(len(x), 6, dtype=x.dtype)
        h[:, :3] = 2 * x[:, :3]
        return self.one(h)


class Sorted(ByValue):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(x[:, x.sum(0).argsort()])


class AtThePlaceOfTheMaximum(ByValue):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(x) + x.gather(1, x.argmax(1, keepdim=True))


class Counting(ByValue):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.one(x) * self.calls


BY_VALUE = [Branching, BranchingOnANumber, Masked, ScaledByAConstantOfTheInput, FilledIn, Sorted,
            AtThePlaceOfTheMaximum, Counting]  # fmt: skip


@pytest.mark.parametrize("make", BY_VALUE)
@pytest.mark.parametrize("method", ["gradient", "lrp_epsilon_0_1", "integrated_gradients"])
def test_models_that_compute_by_values(method: str, make: type[nn.Module]) -> None:
    torch.manual_seed(2)
    model = make()
    explainer = Explainer(model, method)
    for x in (*batches((2, 6), 4), *(-x for x in batches((2, 6), 4))):
        try:
            expected = explain(model, x, method, target=1)
        except Exception as error:
            with pytest.raises(type(error)):
                explainer(x, target=1)
        else:
            assert np.array_equal(explainer(x, target=1), expected)


class Noisy(ByValue):
    def forward(self, x: Tensor) -> Tensor:
        return self.one(x * torch.rand(6, dtype=x.dtype))


def test_noise_of_a_model_is_drawn_at_every_call() -> None:
    model = Noisy()
    explainer = Explainer(model, "gradient")
    (x,) = batches((2, 6), 1)
    for seed in range(5):
        torch.manual_seed(seed)
        found = explainer(x, target=0)
    assert not is_taped(explainer)
    torch.manual_seed(4)
    assert np.array_equal(found, explain(model, x, "gradient", target=0))


def test_several_inputs_are_explained_as_before() -> None:
    pair = nn.Bilinear(4, 5, 3)
    explainer = Explainer(pair, "gradient")
    for _ in range(3):
        x = (torch.randn(2, 4), torch.randn(2, 5))
        expected = explain(pair, x, "gradient", target=0)
        assert all(np.array_equal(one, other) for one, other in zip(explainer(x, target=0), expected, strict=True))


def test_threads_share_an_explainer() -> None:
    model = sequences()
    explainer = Explainer(model, ["lrp_z", "gradient"])
    inputs = batches((2, 3, 24), 6)
    expected = [explain_many(model, x, ["lrp_z", "gradient"]) for x in inputs]
    wrong: list[int] = []

    def work(start: int) -> None:
        for step in range(60):
            index = (start + step) % len(inputs)
            found = explainer(inputs[index])
            if not all(np.array_equal(found[name], expected[index][name]) for name in found):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_an_error_in_between_costs_nothing() -> None:
    model = sequences()
    explainer = Explainer(model, "lrp_z")
    (x,) = batches((2, 3, 24), 1)
    expected = [explainer(x) for _ in range(3)][-1]
    with pytest.raises(ValueError, match="out of range"):
        explainer(x, target=99)
    with pytest.raises(ValueError, match="NaN"):
        explainer(x * float("nan"))
    assert all(np.array_equal(explainer(x), expected) for _ in range(3))
    assert is_taped(explainer)


def test_logits_that_are_not_finite_are_refused_on_a_tape_too() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2))
    nn.init.constant_(model[0].weight, 2.0)
    explainer = Explainer(model, "gradient")
    for _ in range(3):
        explainer(torch.ones(1, 2))
    with pytest.raises(ValueError, match="not finite"):
        explainer(torch.full((1, 2), 3e38))


def test_the_model_is_only_read() -> None:
    model = images().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    explainer = Explainer(model, ["lrp_z", "gradient"])
    for x in batches((2, 1, 8, 8)):
        explainer(x)
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def test_it_works_under_the_modes_of_the_caller() -> None:
    model = sequences()
    explainer = Explainer(model, ["lrp_z", "gradient"])
    expected = None
    (x,) = batches((2, 3, 24), 1)
    for mode in (torch.enable_grad, torch.no_grad, torch.inference_mode) * 2:
        with mode():
            found = explainer(x)
        expected = expected or found
        assert all(np.array_equal(found[name], expected[name]) for name in found)


def test_names_and_parameters_are_checked_when_it_is_made() -> None:
    model = sequences()
    with pytest.raises(UnknownMethodError):
        Explainer(model, "lrp_zz")
    with pytest.raises(TypeError, match="epsilon"):
        Explainer(model, ["lrp_z", "gradient"], epsilon=0.1)
    with pytest.raises(TypeError, match="steps"):
        Explainer(model, "lrp_z", steps=3)
    with pytest.raises(TypeError, match=r"torch\.nn\.Module"):
        Explainer("model", "lrp_z")  # type: ignore[arg-type]
