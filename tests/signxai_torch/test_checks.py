"""Models and inputs that torch or a rule would stumble over are refused in a sentence that says what to do."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from signxai_torch import explain, explain_many
from tests.signxai_torch.nets import TorchvisionLike, cnn, pictures, randomized

SOME = ["gradient", "lrp_epsilon_0_1", "smoothgrad", "integrated_gradients", "grad_cam", "deep_lift", "occlusion"]


class Wrapped(nn.Module):
    """The CNN with something done to its logits, or to its input."""

    def __init__(self, after: Any = lambda logits: logits, before: Any = lambda x: x) -> None:
        super().__init__()
        self.net, self.after, self.before = cnn(), after, before

    def forward(self, x: torch.Tensor) -> Any:
        return self.after(self.net(self.before(x)))


@pytest.mark.parametrize("method", SOME)
@pytest.mark.parametrize(
    ("after", "words"),
    [
        (
            lambda logits: (logits, None),
            "must return logits of shape (N, classes), not tuple; say which part are the logits, such as output=",
        ),
        (
            lambda logits: {"logits": logits, "aux": 0},
            "not dict with 'logits', 'aux'; say which part are the logits, such as output=",
        ),
    ],
)
def test_a_model_that_returns_more_than_logits(method, after, words):
    with pytest.raises(TypeError, match=re.escape(words)):
        explain(Wrapped(after), pictures(), method)


@pytest.mark.parametrize("method", SOME)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(method, bad):
    model = cnn()
    with torch.no_grad():
        model[6].weight[3, 4] = bad
    words = re.escape("the model's logits are not finite: '6.weight' holds NaN or infinite values")
    with pytest.raises(ValueError, match=words):
        explain(model, pictures(), method)
    with pytest.raises(ValueError, match=words):
        explain_many(model, pictures(), [method, "lrp_z"])


def test_statistics_and_logits_that_are_not_finite():
    model = randomized(TorchvisionLike())
    model.features[1][1].running_mean[2] = float("nan")
    with pytest.raises(ValueError, match=re.escape("not finite: 'features.1.1.running_mean' holds")):
        explain(model, pictures(), "lrp_z")
    with pytest.raises(ValueError, match="not finite, though all its parameters are; look at the scale"):
        explain(Wrapped(lambda logits: logits / 0), pictures(), "gradient")


@pytest.mark.parametrize("method", SOME)
@pytest.mark.parametrize(
    ("model", "x", "words"),
    [
        (cnn().float(), pictures(), "x is torch.float64 on cpu, the model's parameter '0.weight' is torch.float32"),
        (cnn(), pictures().float(), "use x.to('cpu', torch.float64)"),
        (cnn().half(), pictures().float(), "is torch.float16 on cpu; use model.float()"),
    ],
    ids=["float64 input", "float32 input", "half model"],
)
def test_a_model_of_another_dtype_or_device(method, model, x, words):
    with pytest.raises(TypeError, match=re.escape(words)):
        explain(model, x, method)


def test_a_model_may_convert_its_input_itself():
    model = Wrapped(before=lambda x: x.double())
    found = explain(model, pictures().float(), "gradient")
    assert found.dtype == np.float32
    assert found == pytest.approx(explain(model, pictures(), "gradient"), rel=1e-4, abs=1e-5)


def test_what_is_no_matter_of_dtypes_is_left_to_torch():
    model = Wrapped(before=lambda x: x.double())
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        explain(model, pictures()[..., :3].float(), "gradient")


@pytest.mark.parametrize("method", [*SOME, "input", "random"])
def test_inputs_made_in_inference_mode(method):
    model = cnn()
    given = {"seed": 1} if method in ("smoothgrad", "random") else {}
    expected = explain(model, pictures(), method, **given)
    with torch.inference_mode():
        x = pictures() * 1
        assert x.is_inference()
        inside = explain(model, x, method, **given)
        assert torch.is_inference_mode_enabled()
    assert np.array_equal(inside, expected)
    assert np.array_equal(explain(model, x, method, **given), expected)


def test_models_made_in_inference_mode_are_refused():
    with torch.inference_mode():
        model = cnn()
    with pytest.raises(ValueError, match=re.escape("parameter '0.weight' was made under torch.inference_mode()")):
        explain(model, pictures(), "gradient")


def test_statistics_of_the_batch_are_refused():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten(),
                          nn.Linear(96, 4)).double()  # fmt: skip
    words = re.escape(
        "layer '1' (BatchNorm2d, track_running_stats=False) takes the batch's statistics even in eval mode"
    )
    for call in (
        lambda: explain(model, pictures(), "gradient"),
        lambda: explain_many(model, pictures(), ["lrp_z"]),
    ):
        with pytest.raises(ValueError, match=words):
            call()
    explain(randomized(TorchvisionLike()), pictures(), "gradient")  # with running statistics


class Shifted(nn.Module):
    """(x - 1) / 2, in place or not."""

    def __init__(self, inplace: bool) -> None:
        super().__init__()
        self.inplace = inplace

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.inplace:
            return (x - 1) * 0.5
        x -= 1
        return x.mul_(0.5)


@pytest.mark.parametrize("method", [*SOME, "lrp_z_x_input", "flatlrp_z", "lrpsign_z", "smoothgrad_x_input", "input"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_model_that_changes_its_input_in_place(method, dtype):
    """It gets a copy: the caller's input stays, and the map is that of the same model written without."""
    given = {"seed": 1} if method.startswith("smoothgrad") else {}
    inplace, plain = (Wrapped(before=Shifted(one)).to(dtype) for one in (True, False))
    x = pictures().to(dtype)
    before = x.clone()
    found = explain(inplace, x, method, **given)
    assert torch.equal(x, before)
    assert x._version == 0
    assert found == pytest.approx(explain(plain, x, method, **given), rel=1e-12 if dtype == torch.float64 else 1e-4)
    explain_many(inplace, x, [method, "lrp_z"])
    assert torch.equal(x, before)


def test_copies_keep_the_memory_format():
    seen = []
    model = cnn()
    model[0].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].stride()))
    x = pictures().to(memory_format=torch.channels_last)
    explain(model, x, "gradient")
    assert seen == [x.stride()]
