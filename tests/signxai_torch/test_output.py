"""Where relevance starts: SIGN-XAI's z and epsilon rules start from what the last layer gives before its activation."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signxai_torch import SoftmaxWarning, explain, explain_many
from tests.signxai_torch.nets import pictures, randomized


def net(*end: nn.Module) -> nn.Sequential:
    return randomized(nn.Sequential(nn.Flatten(), nn.Linear(96, 6), nn.ReLU(), nn.Linear(6, 3), *end))


END = {"sigmoid": nn.Sigmoid(), "tanh": nn.Tanh(), "relu": nn.ReLU(), "relu_inplace": nn.ReLU(inplace=True)}


@pytest.mark.parametrize("method", ["lrp_z", "lrp_epsilon_0_1", "lrp_epsilon_0_25_std_x", "flatlrp_z", "lrp_z_IB",
                                    "lrp_sequential_composite_a", "lrp.z_IB", "lrpsign_z"])  # fmt: skip
@pytest.mark.parametrize("end", END)
def test_the_activation_at_the_end_does_not_count(end, method):
    for target in range(3):
        bare, ended = (explain(net(*tail), pictures(), method, target) for tail in ((), (END[end],)))
        assert bare.any()
        assert np.array_equal(bare, ended)


@pytest.mark.parametrize("method", ["lrp.z", "lrp.epsilon", "lrp_alpha_2_beta_1", "lrp_flat", "zblrp_z"])
def test_others_start_from_the_output(method):
    bare, ended = net(), net(nn.Tanh())
    value = bare(pictures())[:, 1].detach().numpy().reshape(3, 1, 1, 1)
    plain, found = (explain(one, pictures(), method, 1) for one in (bare, ended))
    assert found == pytest.approx(plain * np.tanh(value) / value, rel=1e-9)


def test_many_methods_at_once_start_where_each_starts_alone():
    names = ["lrp_z", "lrp.z", "flatlrp_z", "lrpsign_z", "w2lrp_z", "gradient", "lrp_z_IB", "lrp_flat"]
    only = randomized(nn.Sequential(nn.Flatten(), nn.Linear(96, 3), nn.Sigmoid()))
    for model in (net(nn.Sigmoid()), only):
        found = explain_many(model, pictures(), names, 1)
        for name in names:
            assert np.array_equal(found[name], explain(model, pictures(), name, 1)), name


class WithAuxiliaryHead(nn.Module):
    """Calls another classifier after the one whose logits it returns."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.last, self.other = nn.Linear(96, 6), nn.Linear(6, 3), nn.Linear(6, 3)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.relu(self.body(x.flatten(1)))
        result: Tensor = self.last(hidden)
        self.other(hidden)
        return result


def test_the_start_without_bias_is_that_of_the_layer_that_makes_the_output():
    model = randomized(WithAuxiliaryHead())
    alone = nn.Sequential(nn.Flatten(), model.body, nn.ReLU(), model.last)
    for method in ("lrp_z_IB", "lrp_epsilon_0_1_IB"):
        assert np.array_equal(explain(model, pictures(), method, 2), explain(alone, pictures(), method, 2))


@pytest.mark.parametrize("end", [nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()), nn.Sequential(nn.Flatten())])
def test_a_model_that_ends_in_pooling_or_reshaping_starts_from_its_output(end):
    size = 3 if len(end) == 2 else 1
    model = randomized(
        nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(size), nn.Conv2d(4, 3, 1), end)
    )
    x = pictures()
    found = explain(model, x, "lrp_z_IB", 1).reshape(3, -1).sum(1)
    # Without biases nothing is lost on the way, so the sum tells the start.
    assert found == pytest.approx(model(x)[:, 1].detach().numpy(), rel=1e-9)


class Functional(nn.Module):
    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


SOFTMAXES = {
    "nn.Softmax": (nn.Softmax(1), "softmax"),
    "nn.LogSoftmax": (nn.LogSoftmax(1), "log_softmax"),
    "F.softmax": (Functional(lambda x: F.softmax(x, 1)), "softmax"),
    "method": (Functional(lambda x: x.log_softmax(-1)), "log_softmax"),
    "torch.softmax": (Functional(lambda x: torch.softmax(x, dim=1)), "softmax"),
    "special": (Functional(lambda x: torch.special.log_softmax(x, 1)), "log_softmax"),
}
BEHIND = ["gradient", "input_t_gradient", "smoothgrad", "vargrad", "integrated_gradients", "guided_backprop",
          "deconvnet", "lrp_flat", "lrp.z", "lrp_alpha_1_beta_0", "deep_taylor", "deep_lift", "occlusion"]  # fmt: skip


@pytest.mark.parametrize("end", SOFTMAXES)
@pytest.mark.parametrize("method", BEHIND)
@pytest.mark.filterwarnings("ignore::signxai_torch.BeyondReferenceWarning")
def test_a_softmax_at_the_end_is_told(method, end):
    module, name = SOFTMAXES[end]
    with pytest.warns(SoftmaxWarning, match=f"ends in a (special_)?{name} ") as told:
        explain(net(module), pictures(), method)
    assert {one.filename for one in told} == {__file__}, "a warning points at the line that called the package"
    assert len([one for one in told if issubclass(one.category, SoftmaxWarning)]) == 1
    with pytest.warns(SoftmaxWarning, match=f"ends in a (special_)?{name} "):
        explain_many(net(module), pictures(), [method, "lrp_z"])


@pytest.mark.parametrize("method", ["gradient", "lrp_flat", "lrp_z", "deep_lift"])
@pytest.mark.filterwarnings("ignore::signxai_torch.BeyondReferenceWarning")
def test_reshaping_behind_a_softmax_hides_it_not(method):
    with pytest.warns(SoftmaxWarning, match="ends in a softmax "):
        explain(net(Functional(lambda x: x.softmax(1).view(len(x), -1))), pictures(), method)


@pytest.mark.parametrize("end", SOFTMAXES)
@pytest.mark.parametrize("method", ["lrp_z", "lrp_epsilon_0_1", "lrpsign_epsilon_0_25_std_x", "flatlrp_z"])
def test_a_softmax_is_not_told_where_relevance_starts_before_it(method, end):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = explain(net(SOFTMAXES[end][0]), pictures(), method)
        explain(net(), pictures(), method)
    assert np.array_equal(found, explain(net(), pictures(), method))


@pytest.mark.parametrize("method", BEHIND)
def test_nothing_is_told_of_a_model_without_one(method):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(net(), pictures(), method)
