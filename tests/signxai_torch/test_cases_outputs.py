"""Outputs and targets of all shapes: dicts, dataclasses, squeezed, dense; labels as people have them."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from signxai_torch import explain, explain_many
from tests.signxai_torch.nets import cnn, pictures, randomized

METHODS = ["gradient", "lrp_z", "lrp_epsilon_0_1", "guided_backprop", "integrated_gradients", "deep_lift", "grad_cam"]


class Wrapped(nn.Module):
    def __init__(self, net: nn.Module, after) -> None:
        super().__init__()
        self.net, self.after = net, after

    def forward(self, x: Tensor):
        return self.after(self.net(x))


@dataclass
class Answer:
    logits: Tensor
    loss: None = None


FORMS = {
    "dict": (lambda y: {"logits": y, "aux": None}, lambda made: made["logits"]),
    "dataclass": (Answer, lambda made: made.logits),
    "tuple": (lambda y: (y, y.sum()), lambda made: made[0]),
    "namespace": (lambda y: SimpleNamespace(out=y), lambda made: made.out),
    "squeezed": (lambda y: y[:, 0], lambda made: torch.stack([made, -made], 1)),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("form", FORMS)
def test_output_makes_logits_of_what_a_model_returns(form, method):
    after, output = FORMS[form]
    plain = Wrapped(cnn(), lambda y: output(after(y)))
    expected = explain(plain, pictures(), method, 1)
    model = Wrapped(cnn(), after)
    assert np.array_equal(explain(model, pictures(), method, 1, output=output), expected)
    together = explain_many(model, pictures(), [method, "lrp_flat"], 1, output=output)
    assert np.array_equal(together[method], expected)
    with pytest.raises((TypeError, ValueError), match="output=lambda made: made"):
        explain(model, pictures(), method, 1)


def dense() -> nn.Module:
    """A map of classes for each place: (N, 5, 8, 6)."""
    return randomized(nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 5, 1)))


@pytest.mark.parametrize("method", ["gradient", "lrp_z", "guided_backprop", "integrated_gradients", "deep_lift"])
def test_a_target_may_be_a_place_in_an_output_of_many_axes(method):
    place = (3, 2, 4)
    picked = Wrapped(dense(), lambda y: y[:, :, 2, 4])
    expected = explain(picked, pictures(), method, 3)
    assert expected.any()
    found = explain(dense(), pictures(), method, place)
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert np.array_equal(explain(dense(), pictures(), method, [place] * 3), found)
    assert np.array_equal(explain_many(dense(), pictures(), [method], place)[method], found)


def test_a_place_that_the_output_has_not():
    for place in ((5, 0, 0), (0, 0), 3, (0, 0, -1)):
        with pytest.raises(ValueError, match="target"):
            explain(dense(), pictures(), "gradient", place)


@pytest.mark.parametrize("method", METHODS)
def test_a_target_may_be_made_of_the_logits(method):
    runner_up = cnn()(pictures()).argsort(1)[:, -2]
    found = explain(cnn(), pictures(), method, lambda logits: logits.argsort(1)[:, -2])
    assert np.array_equal(found, explain(cnn(), pictures(), method, runner_up))


def test_a_target_made_of_an_output_of_many_axes_sees_its_shape():
    seen = []
    explain(dense(), pictures(), "gradient", lambda made: seen.append(tuple(made.shape)) or (1, 2, 3))
    assert seen == [(3, 5, 8, 6)]


def test_labels_in_a_column():
    labels = torch.tensor([[1], [2], [3]])
    assert np.array_equal(
        explain(cnn(), pictures(), "gradient", labels), explain(cnn(), pictures(), "gradient", [1, 2, 3])
    )


@pytest.mark.parametrize("labels", [torch.eye(4).long()[:3], np.eye(4, dtype=int)[:3]])
def test_one_hot_labels_are_told_what_to_do(labels):
    with pytest.raises(ValueError, match=r"of one-hot labels target\.argmax\(1\)"):
        explain(cnn(), pictures(), "gradient", labels)


class Windows(nn.Module):
    """(N, 96) -> (6 N, 3)."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(16, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x.reshape(-1, 16))


@pytest.mark.parametrize("method", METHODS[:-1])
def test_rows_must_be_samples(method):
    with pytest.raises(ValueError, match=r"returned (18|36) rows for a batch of [36] samples"):
        explain(randomized(Windows()), pictures(), method, 0)


@pytest.mark.parametrize("method", ["gradient", "lrp_z", "smoothgrad"])
def test_a_picture_without_its_batch_axis_is_told_what_it_lacks(method):
    net = randomized(nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3), nn.AdaptiveAvgPool2d(1),
                                   nn.Flatten()))  # fmt: skip
    with pytest.raises(ValueError, match=r"has no batch axis.* use x\.unsqueeze\(0\)"):
        explain(net, pictures()[0], method, 0)


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
def test_a_rectified_gradient_may_start_from_one_as_in_the_papers(method):
    model, x = randomized(cnn()), pictures()
    logits = model(x).detach()
    scaled = explain(model, x, method, 0) / logits[:, 0].abs().numpy().reshape(-1, 1, 1, 1)
    plain = explain(model, x, method, 0, start="one")
    positive = (logits[:, 0] > 0).numpy()
    np.testing.assert_allclose(scaled[positive], plain[positive], rtol=1e-4, atol=1e-9)
    assert plain.any()
    with pytest.raises(ValueError, match="start must be one of"):
        explain(model, x, method, 0, start="two")
