"""Models as people write them: own layers, autocast, frozen parts, other devices, and what normalisations become."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signxai_torch import UnhookedOperationError, explain, explain_many
from signxai_torch.methods.grammar import parse
from signxai_torch.operations.watch import autocast_is_on
from signxai_torch.sweep.parameters import parameters_of
from signxai_torch.sweep.plan import Plan, Wanted
from tests.signxai_torch.nets import cnn, pictures, randomized

METHODS = ["gradient", "guided_backprop", "deconvnet", "guided_grad_cam", "grad_cam", "lrp_z", "lrp_epsilon_0_1",
           "lrp_alpha_1_beta_0", "lrpsign_epsilon_0_25_std_x", "flatlrp_z", "deep_taylor", "deep_lift"]  # fmt: skip


def options(method: str) -> dict[str, object]:
    return {"target_layer": None} if "grad_cam" in method else {}


class OwnReLU(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x)


class Clamped(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.clamp(min=0)


class ConvReLU(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(super().forward(x))


class InPlaceReLU(nn.ReLU):
    def forward(self, x: Tensor) -> Tensor:
        return torch.relu_(x)


def with_activation(build) -> nn.Module:
    model = cnn()
    for index in (1, 3, 7):
        model[index] = build()
    return model


def with_conv_relu() -> nn.Module:
    plain = cnn()
    first, second = ConvReLU(2, 4, 3, padding=1).double(), ConvReLU(4, 4, 3, padding=1).double()
    first.load_state_dict(plain[0].state_dict())
    second.load_state_dict(plain[2].state_dict())
    return nn.Sequential(first, second, *plain[4:]).double().eval()


OWN = {
    "own": lambda: with_activation(OwnReLU),
    "clamp": lambda: with_activation(Clamped),
    "in place": lambda: with_activation(InPlaceReLU),
    "threshold": lambda: with_activation(lambda: nn.Threshold(0, 0)),
    "inside of the convolution": with_conv_relu,
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("what", OWN)
def test_a_relu_of_ones_own_is_a_relu(what, method):
    expected = explain(cnn(), pictures(), method, 1, **options(method))
    assert np.array_equal(explain(OWN[what](), pictures(), method, 1, **options(method)), expected)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
def test_a_hardtanh_from_0_to_6_is_a_relu6(method):
    expected = explain(with_activation(nn.ReLU6), pictures(), method, 1)
    assert explain(with_activation(lambda: nn.Hardtanh(0, 6)), pictures(), method, 1) == pytest.approx(
        expected, rel=1e-9
    )


class Casting(nn.Module):
    """Turns autocast on in its own forward."""

    def __init__(self) -> None:
        super().__init__()
        self.net = cnn().float()

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.net(x)


@pytest.mark.parametrize("method", METHODS)
def test_autocast_is_off_inside(method):
    x = pictures().float()
    expected = explain(cnn().float(), x, method, 1, **options(method))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        around = explain(cnn().float(), x, method, 1, **options(method))
        assert autocast_is_on("cpu")
    assert np.array_equal(around, expected)
    assert np.array_equal(explain(Casting(), x, method, 1, **options(method)), expected)


class FrozenBackbone(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = cnn()

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.net[:6](x)
        return self.net[6:](features)


@pytest.mark.parametrize("method", [*METHODS, "smoothgrad", "integrated_gradients"])
def test_a_backbone_under_no_grad_is_named(method):
    with pytest.raises(UnhookedOperationError, match=r"cut from its input by torch\.no_grad\(\) at .*:\d+"):
        explain(FrozenBackbone(), pictures(), method, 1, **options(method))


def test_frozen_parameters_are_no_obstacle():
    model = cnn().requires_grad_(False)
    for method in METHODS:
        expected = explain(cnn(), pictures(), method, 1, **options(method))
        assert np.array_equal(explain(model, pictures(), method, 1, **options(method)), expected)


@pytest.mark.parametrize("method", ["gradient", "lrp_z", "smoothgrad", "grad_cam"])
def test_tensors_without_values_are_refused(method):
    with pytest.raises(TypeError, match=r"use x\.to_dense\(\)"):
        explain(cnn(), pictures().to_sparse(), method)
    with pytest.raises(TypeError, match="on the device 'meta'"):
        explain(cnn(), pictures().to("meta"), method)
    with pytest.raises(ValueError, match=r"parameter '0\.weight' is on the device 'meta'"):
        explain(cnn().to("meta"), pictures(), method)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
@pytest.mark.parametrize("method", ["lrp_z", "guided_backprop", "deconvnet", "deep_taylor", "gradient", "grad_cam"])
def test_a_dynamically_quantised_model_is_refused(method):
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(96, 4)).eval()
    quantised = torch.ao.quantization.quantize_dynamic(net, {nn.Linear}, dtype=torch.qint8)
    with pytest.raises(UnhookedOperationError, match=r"quantised|linear_dynamic in 3"):
        explain(quantised, pictures().float(), method)


class Strided(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.as_strided(x, (len(x), 8), (x[0].numel(), 1)))


@pytest.mark.parametrize("method", ["gradient", "lrp_z", "smoothgrad", "integrated_gradients"])
def test_a_model_that_reads_memory_reads_it_as_it_was_given(method):
    model = randomized(Strided())
    seed = {"seed": 1} if method == "smoothgrad" else {}
    x = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    expected = explain(model, x, method, 1, **seed)
    found = explain(copy.deepcopy(model).float(), x.float(), method, 1, **seed)
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-4)


@pytest.mark.parametrize("method", ["gradient", "lrp_z", "grad_cam", "smoothgrad"])
def test_channels_that_do_not_fit_are_torchs_own_error(method):
    with pytest.raises(RuntimeError, match="to have 2 channels, but got 3"):
        explain(cnn(), torch.ones(2, 3, 8, 6, dtype=torch.float64), method)


@pytest.mark.parametrize("given", [{"seed": 3}, {"noise_scale": 9.0}])
def test_what_says_nothing_beside_noise_is_refused(given):
    noise = np.zeros((1, 2, 8, 6))
    with pytest.raises(TypeError, match="says nothing where the noise itself is given"):
        explain(cnn(), pictures(), "smoothgrad", samples=1, noise=noise, **given)


def test_noise_arrays_of_one_text_are_two_jobs():
    quiet = np.zeros((1, 2, 40, 40))
    loud = quiet.copy()
    loud[0, 0, 10:30, 10:30] = 5.0
    assert repr(quiet) == repr(loud)
    model = randomized(nn.Sequential(nn.Flatten(), nn.Linear(3200, 8), nn.Tanh(), nn.Linear(8, 3)))
    x = torch.randn(1, 2, 40, 40, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def wanted(name: str, noise: np.ndarray) -> Wanted:
        return Wanted(parse(name), parameters_of(parse(name), {"noise": noise, "samples": 1}))

    both = Plan([wanted("smoothgrad", quiet), wanted("smoothgrad_x_input", loud)]).run(model, x, 0)
    alone = explain(model, x, "smoothgrad_x_input", 0, noise=loud, samples=1)
    assert np.array_equal(both["smoothgrad_x_input"].numpy(), alone)


class Equal(nn.Linear):
    """Modules that say that they are equal are not the same."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Equal)

    __hash__ = nn.Module.__hash__


def test_modules_that_compare_equal_are_told_apart():
    models = []
    for kind in (Equal, nn.Linear):
        torch.manual_seed(0)
        models.append(nn.Sequential(nn.Flatten(), kind(96, 96), nn.ReLU(), kind(96, 4)).double())
    for method in ("gradient", "lrp_epsilon_0_1", "deep_taylor"):
        assert np.array_equal(*(explain(model, pictures(), method, 1) for model in models))


NORMS = [nn.LayerNorm(6), nn.LayerNorm(6, elementwise_affine=False), nn.LayerNorm([4, 8, 6]), nn.GroupNorm(2, 4),
         nn.GroupNorm(2, 4, affine=False), nn.InstanceNorm2d(4), nn.InstanceNorm2d(4, affine=True),
         nn.LocalResponseNorm(2), *([nn.RMSNorm(6)] if hasattr(nn, "RMSNorm") else [])]  # fmt: skip


@pytest.mark.parametrize("norm", NORMS, ids=str)
def test_normalisations_with_and_without_weights_have_one_rule_that_is_told(norm):
    model = randomized(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), norm, nn.Flatten(), nn.Linear(192, 4)))
    with pytest.warns(UserWarning, match=r"Identity \(Achtibat et al\. 2024"):
        assert explain(model, pictures(), "lrp_z", 1).any()
    with pytest.raises(UnhookedOperationError, match=r"norm in 1 .*the literature has Identity"):
        explain(model, pictures(), "lrp_z", 1, strict=True)
    assert explain(model, pictures(), "gradient", 1, strict=True).any()


class FrozenBatchNorm(nn.Module):
    """As torchvision's: x * scale + shift of buffers."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.rand(channels) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + 1e-5).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)


def test_a_frozen_batch_norm_is_a_scale_and_a_sum():
    """What the sum adds takes its share, so relevance is not simply handed on."""
    torch.manual_seed(0)
    norm = FrozenBatchNorm(4)
    model = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), norm, nn.Flatten(), nn.Linear(192, 4)).double().eval()
    merged = copy.deepcopy(model)
    with torch.no_grad():
        scale = norm.weight * (norm.running_var + 1e-5).rsqrt()
        merged[0].weight *= scale.reshape(-1, 1, 1, 1)
        merged[0].bias.copy_(model[0].bias * scale + norm.bias - norm.running_mean * scale)
    merged[1] = nn.Identity()
    x = pictures()
    assert merged(x).detach().numpy() == pytest.approx(model(x).detach().numpy(), rel=1e-12)
    assert explain(model, x, "lrp_z", 1) == pytest.approx(explain(merged, x, "lrp_z", 1), rel=1e-6)


def test_many_methods_of_a_model_that_only_autograd_can_follow():
    model = nn.Sequential(nn.Flatten(), nn.Linear(96, 8), nn.ReLU(), nn.Linear(8, 3)).double()
    with torch.no_grad():
        exported = torch.export.export(model, (pictures(),)).module()
    for method in ("gradient", "smoothgrad", "integrated_gradients", "vargrad"):
        seed = {"seed": 1} if method in ("smoothgrad", "vargrad") else {}
        seed |= {"batch_size": 3} if method != "gradient" else {}  # it was exported for three
        expected = explain(model, pictures(), method, 1, **seed)
        assert explain(exported, pictures(), method, 1, **seed) == pytest.approx(expected, rel=1e-9)
    assert explain_many(exported, pictures(), ["gradient", "input_t_gradient"], 1)["gradient"].any()
