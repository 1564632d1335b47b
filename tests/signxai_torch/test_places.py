"""Targets in outputs of more axes, (N, L, C) and (N, H, W, C): a place is explained as if it were the whole output."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from torch import Tensor, nn

from signxai_torch import (
    SoftmaxWarning,
    UnusedInputRuleWarning,
    explain,
    explain_many,
    grad_cam_layer,
    list_methods,
    parse,
    plan,
)
from signxai_torch.sweep.plan import WAYS
from tests.signxai_torch.nets import curves, pictures, randomized


class Tagger(nn.Module):
    """(N, 12, 4) from a curve (N, 2, 12): a class for every step; `pick` takes one step before the last layer."""

    def __init__(self, end: nn.Module | None = None) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv1d(2, 5, 3, padding=1), nn.ReLU(), nn.Conv1d(5, 6, 3, padding=1), nn.ReLU())
        self.last, self.end = nn.Linear(6, 4), end or nn.Identity()

    def hidden(self, x: Tensor) -> Tensor:
        return self.body(x).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.last(self.hidden(x)))


class Painter(Tagger):
    """(N, 8, 6, 4) from an image (N, 2, 8, 6): a class for every pixel."""

    def __init__(self, end: nn.Module | None = None) -> None:
        super().__init__(end)
        self.body = nn.Sequential(
            nn.Conv2d(2, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU(), nn.Conv2d(5, 6, 3, padding=1), nn.ReLU()
        )

    def hidden(self, x: Tensor) -> Tensor:
        return self.body(x).permute(0, 2, 3, 1)


class Steps(Tagger):
    """(N, 2, 4) from (N, 2, 12): dense layers along the last axis, and one that mixes the rows."""

    def __init__(self, end: nn.Module | None = None) -> None:
        super().__init__(end)
        self.body, self.mix = nn.Linear(12, 6), nn.Linear(2, 2)

    def hidden(self, x: Tensor) -> Tensor:
        made = self.body(x).relu()
        return self.mix(made.transpose(1, 2)).relu().transpose(1, 2)


class Early(nn.Module):
    """The same model of a single place: all others are left out before the last layer, or behind it."""

    def __init__(self, model: Tagger, place: tuple[int, ...], late: bool) -> None:
        super().__init__()
        self.model, self.place, self.late = model, place, late

    def forward(self, x: Tensor) -> Tensor:
        if self.late:
            return self.model(x)[(slice(None), *self.place)]
        return self.model.end(self.model.last(self.model.hidden(x)[(slice(None), *self.place)]))


NETS = {"tagger": (Tagger, curves, (7,)), "painter": (Painter, pictures, (5, 2)), "steps": (Steps, curves, (1,))}
SKIPPED = ("random", "random_uniform", "input", "grad_cam", "guided_grad_cam", "grad_cam_timeseries")
METHODS = [
    name
    for name in list_methods()
    if parse(name).family not in SKIPPED and not name.endswith("x_sign_mu") and not name.startswith("lrp.")
] + ["lrp.z", "lrp.epsilon", "lrp.alpha_2_beta_1", "lrp.z_IB", "lrp.sequential_preset_b_flat_until_idx"]  # fmt: skip


@pytest.mark.parametrize("net", NETS)
@pytest.mark.usefixtures("numpys_draws")
def test_a_place_is_explained_as_if_the_model_returned_it_alone(net):
    kind, data, place = NETS[net]
    model, x = randomized(kind()), data()
    for method in METHODS:
        # A rule that takes the deviation of the layer's whole input sees all places; what starts from the last layer
        # without its bias must find that layer.
        late = "std" in method
        np.random.seed(0)
        expected = explain(Early(model, place, late), x, method, [0, 1, 3])
        np.random.seed(0)
        found = explain(model, x, method, [(*place, one) for one in (0, 1, 3)])
        assert found == pytest.approx(expected, rel=1e-8, abs=1e-11), method
        assert found.any(), method


@pytest.mark.parametrize("net", NETS)
@pytest.mark.usefixtures("numpys_draws")
def test_none_is_the_largest_logit_of_all_places_and_classes(net):
    kind, data, _ = NETS[net]
    model, x = randomized(kind()), data()
    logits = model(x).detach()
    largest = logits.flatten(1).argmax(1)
    places = [tuple(int(one) for one in np.unravel_index(int(index), logits.shape[1:])) for index in largest]
    names = [*METHODS, "grad_cam_timeseries"] if net == "tagger" else METHODS
    np.random.seed(0)
    found = explain_many(model, x, names)
    np.random.seed(0)
    expected = explain_many(model, x, names, places)
    for name in names:
        assert np.array_equal(found[name], expected[name]), name
    for name in ("gradient", "lrp_z", "deep_lift"):
        assert np.array_equal(explain(model, x, name), found[name])


@pytest.mark.parametrize("net", NETS)
def test_in_parts_it_is_the_same(net):
    kind, data, place = NETS[net]
    model, x = randomized(kind()), data()
    names = ["gradient", "lrp_z", "lrp_z_IB", "deep_lift", "guided_backprop", "integrated_gradients"]
    for target in (None, (*place, 2), [(*place, 2), (*place, 0), (*place, 1)]):
        whole = explain_many(model, x, names, target)
        parts = explain_many(model, x, names, target, plan(names).memory(model, x[:1]))
        for name in names:
            assert parts[name] == pytest.approx(whole[name], rel=1e-9, abs=1e-12)


ENDS = {"sigmoid": nn.Sigmoid(), "relu": nn.ReLU(), "softmax": nn.Softmax(-1)}
FROM_THE_LAYER = ["lrp_z", "lrp_z_IB", "lrp_epsilon_0_1", "lrpsign_z", "lrp_sequential_composite_a", "flatlrp_z"]


@pytest.mark.parametrize("method", FROM_THE_LAYER)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("net", NETS)
@pytest.mark.filterwarnings("error")
def test_the_activation_at_the_end_does_not_count(net, end, method):
    kind, data, place = NETS[net]
    bare, ended = (explain(randomized(kind(one)), data(), method, (*place, 1)) for one in (None, ENDS[end]))
    assert bare.any()
    assert np.array_equal(bare, ended)


@pytest.mark.parametrize("method", ["gradient", "lrp_flat", "lrp.z", "deep_lift", "guided_backprop", "smoothgrad"])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.filterwarnings("ignore::signxai_torch.BeyondReferenceWarning")
@pytest.mark.usefixtures("numpys_draws")
def test_others_start_from_the_output_and_tell_of_a_softmax(net, method):
    kind, data, place = NETS[net]
    model, x = randomized(kind(nn.Softmax(-1))), data()
    np.random.seed(0)
    with pytest.warns(SoftmaxWarning, match="ends in a softmax"):
        found = explain(model, x, method, (*place, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SoftmaxWarning)
        np.random.seed(0)
        expected = explain(Early(model, place, late=True), x, method, 1)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("method", ["grad_cam_timeseries", "grad_cam_timeseries_x_input"])
def test_grad_cam_of_a_step(method):
    model, x = randomized(Tagger()), curves()
    for layer in (None, "body.0", "body.2", model.body[3]):
        expected = explain(Early(model, (7,), late=False), x, "grad_cam_timeseries", 1,
                           target_layer=f"model.{layer}" if isinstance(layer, str) else layer)  # fmt: skip
        found = explain(model, x, "grad_cam_timeseries", (7, 1), target_layer=layer)
        assert found.any()
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("method", ["grad_cam", "guided_grad_cam"])
def test_grad_cam_of_a_pixel(method):
    model, x = randomized(Painter()), pictures()
    assert grad_cam_layer(model, x).startswith("relu in body.4")
    for layer in (None, "body.0", "body.3", model.body[4]):
        expected = explain(Early(model, (5, 2), late=True), x, method, 1,
                           target_layer=f"model.{layer}" if isinstance(layer, str) else model.body[4])  # fmt: skip
        found = explain(model, x, method, (5, 2, 1), target_layer=layer)
        assert found.any()
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_grad_cam_does_not_look_past_dense_layers_for_tokens():
    """Only a classifier of pixels that reads maps is no reason to ask; a dense layer further in is."""
    deep = randomized(Painter(nn.Sequential(nn.ReLU(), nn.Linear(4, 3))))
    with pytest.raises(ValueError, match=r"reads tokens .*name a layer with target_layer="):
        explain(deep, pictures(), "grad_cam", (5, 2, 1))
    assert grad_cam_layer(randomized(Painter(nn.Softmax(-1))), pictures()).startswith("relu in body.4")


def test_what_is_no_place():
    model, x = randomized(Tagger()), curves()
    for method in ("gradient", "lrp_z", "deep_lift", "smoothgrad", "occlusion", "grad_cam_timeseries"):
        for target in (1, [0, 1, 2], (12, 0), (0, 4), (0, -1), (0, 1, 2), [(0, 1)] * 2, (0.0, 1.0)):
            with pytest.raises(ValueError, match=r"the axes \(12, 4\) per sample"):
                explain(model, x, method, target)


def test_rules_that_pass_over_places():
    """Relevance of one step stays in what that step reads."""
    found = explain(randomized(Tagger()), curves(), "lrp_alpha_1_beta_0", (7, 1))
    assert found[:, :, 5:10].any()
    assert not found[:, :, :5].any()
    assert not found[:, :, 10:].any()


def test_the_other_names_of_rules_are_all_here():
    families = {parse(name).family for name in METHODS}
    assert set(WAYS) <= families
    assert {"gradient", "integrated_gradients", "smoothgrad", "vargrad", "deep_lift", "occlusion"} <= families


@pytest.mark.parametrize("net", NETS)
def test_the_first_layer_takes_the_input_rule(net):
    kind, data, place = NETS[net]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnusedInputRuleWarning)
        one, other = (explain(randomized(kind()), data(), name, (*place, 1)) for name in ("lrpsign_z", "lrp_z"))
    assert not np.allclose(one, other)
