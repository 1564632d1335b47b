"""Several inputs that cannot be explained: each is told by its name, with what to do."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn

from signxai_torch import explain, explain_many, plan
from tests.signxai_torch.nets import pictures, randomized
from tests.signxai_torch.nets_of_several import Fused, Siamese, features, fused

IDS = torch.zeros(3, 5, dtype=torch.int64)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ((pictures(), IDS), TypeError, "x[1] is torch.int64: what a model looks up or chooses by (token ids"),
        ({"image": pictures(), "features": IDS > 0}, TypeError, "x['features'] is torch.bool"),
        ((pictures(), features().float()), TypeError, "x[1] is torch.float32 on cpu; all inputs must be alike: use "
         "x[1].to(x[0])"),
        ((pictures(), features(2)), ValueError, "x[0] has 3 samples and x[1] has 2; every input needs a batch axis"),
        ((pictures(), features()[:1]), ValueError, "use x[1].expand(3, ...)"),
        ((pictures(), None), TypeError, "x[1] must be a torch.Tensor in torch layout, batch first, not NoneType"),
        ((pictures(), features().numpy()), TypeError, "x[1] must be a torch.Tensor in torch layout"),
        ([pictures(), [features()]], TypeError, "x[1] must be a torch.Tensor in torch layout, batch first, not list"),
        ((pictures(), features().half()), TypeError, "x[1] must be float32 or float64, not torch.float16"),
        ((pictures(), features() / 0), ValueError, "x[1] holds NaN or infinite values, the first at index (0, 0)"),
        ((pictures(), features()[:, :0]), ValueError, "x[1] must have a batch axis and at least one value"),
        ((pictures(), torch.tensor(1.0).double()), ValueError, "x[1] must have a batch axis"),
        ((features()[0], features()[1]), ValueError, "x[0] must have a batch axis"),
        ((pictures(), features().to_sparse()), TypeError, "x[1] must be a dense tensor"),
        ({0: pictures(), 1: features()}, TypeError, "x must have the names of the model's arguments as keys, not 0, 1"),
        ((), TypeError, "x is an empty tuple"),
        ({}, TypeError, "x is an empty dict"),
    ],
)  # fmt: skip
def test_inputs_that_cannot_be_explained(x, error, words):
    model, _ = fused()
    calls = [
        lambda: explain(model, x, "lrp_z"),
        lambda: explain_many(model, x, ["lrp_z"]),
        lambda: plan(["lrp_z"]).memory(model, x),
    ]
    for call in calls:
        with pytest.raises(error, match=re.escape(words)):
            call()


def test_names_that_the_model_has_not_are_pythons_own_error():
    model, x = fused()
    with pytest.raises(TypeError, match="unexpected keyword argument 'picture'"):
        explain(model, {"picture": x[0], "features": x[1]}, "gradient")
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        explain(model, x[:1], "gradient")


def test_random_uniform_is_a_map_of_one_input():
    model, x = fused()
    with pytest.raises(ValueError, match=r"ask for it with each input by itself, such as explain\(model, x\[0\], "):
        explain(model, x, "random_uniform")
    assert explain(model, x[0], "random_uniform").shape == (3, 2, 8, 6)


@pytest.mark.parametrize("method", ["gradient", "lrp_z", "smoothgrad"])
def test_a_picture_without_its_batch_axis_is_told_by_its_name(method):
    model = randomized(nn.Sequential(Siamese()))[0]
    one = pictures(1)[0]
    with pytest.raises(ValueError, match=r"x\[0\] of shape .* has no batch axis.* use x\[0\]\.unsqueeze\(0\)"):
        explain(model, (one, one), method, 0)


def test_a_model_of_another_dtype_is_told():
    model, x = fused()
    with pytest.raises(TypeError, match=r"x is torch\.float32 .* the model's parameter .* is torch\.float64"):
        explain(model, tuple(one.float() for one in x), "gradient")


def test_inputs_of_inference_mode_are_explained():
    model = randomized(Fused())
    with torch.inference_mode():
        x = pictures(), features()
        maps = explain(model, x, "gradient", 1)
    for one, other in zip(maps, explain(model, (pictures(), features()), "gradient", 1), strict=True):
        assert np.array_equal(one, other)
