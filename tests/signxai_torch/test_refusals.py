"""What no rule can follow is refused: all of it at once, each with module, the user's line, and what to do."""

from __future__ import annotations

import re
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from signxai_torch import BeyondReferenceWarning, UnhookedOperationError, explain, explain_many
from tests.signxai_torch.nets import cnn, pictures
from tests.signxai_torch.test_functions import net

RULES = ("lrp_z", "lrpsign_epsilon_0_1", "lrp.alpha_2_beta_1")


class Tripled(torch.autograd.Function):
    """A user's own, which may have a name like one of torch's."""

    @staticmethod
    def forward(ctx, x):
        return 3 * x

    @staticmethod
    def backward(ctx, grad):
        return 3 * grad


UNKNOWN = {
    "cumsum": (lambda h, x: h.cumsum(-1), "cumsum"),
    "matrix of two": (lambda h, x: F.conv2d(h, h.mean((0, 2, 3)).expand(2, 2)[:, :, None, None]), "conv2d"),
    "svd": (lambda h, x: torch.linalg.svdvals(h), "svdvals"),
    "lerp": (lambda h, x: torch.lerp(h, x, 0.5), "lerp"),
}


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("what", UNKNOWN)
def test_lrp_leaves_nothing_to_functions_that_it_does_not_know(method, what):
    between, name = UNKNOWN[what]
    with pytest.raises(UnhookedOperationError, match=rf"{name} in the model \(.*test_refusals\.py:\d+\).*replace it"):
        explain(net(between), pictures(), method)
    assert explain(net(between), pictures(), "gradient").any()


@pytest.mark.parametrize("method", [*RULES, "guided_backprop", "deep_lift", "deep_taylor", "grad_cam"])
def test_complex_numbers_have_no_rules(method):
    """A branch of a sum, so that the rest of the model would hide that it is missing."""
    model = net(lambda h, x: h + torch.fft.irfft(torch.fft.rfft(h)))
    with pytest.raises(UnhookedOperationError, match=r"fft_rfft in complex numbers at .*test_refusals\.py:\d+"):
        explain(model, pictures(), method)
    assert explain(model, pictures(), "gradient").any()


@pytest.mark.parametrize("method", [*RULES, "deep_lift", "deep_taylor", "guided_backprop"])
@pytest.mark.parametrize("name", ["Tripled", "Flip", "Relu", "Upsample2x"])
def test_a_function_of_the_users_own_is_out_of_sight_whatever_its_name(method, name):
    function = type(name, (Tripled,), {})
    model = net(lambda h, x: function.apply(h))
    if method != "deep_taylor":
        with pytest.raises(UnhookedOperationError, match=f"{name}Backward .*out of sight"):
            explain(model, pictures(), method)
    else:  # which takes the gradient of what it has no rule for
        plain = explain(net(lambda h, x: h * 3), pictures(), method, 1)
        assert explain(model, pictures(), method, 1) == pytest.approx(plain, rel=1e-9)


class Nested(nn.Module):
    def forward(self, h):
        return h.cumsum(-1)


class Several(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.nested = Nested()

    def forward(self, h, x):
        return self.nested(torch.lerp(h.cumprod(-1), x, 0.5))


def test_all_obstacles_are_told_at_once():
    with pytest.raises(UnhookedOperationError) as caught:
        explain(net(Several()), pictures(), "lrp_z")
    text = str(caught.value)
    assert "for 3 reasons:" in text
    for what in (r"cumsum in between\.nested", "lerp in between", "cumprod in between"):
        assert re.search(
            rf"\n  - the model computes {what} \(.*test_refusals\.py:\d+\), for which there is no rule", text
        )


@pytest.mark.parametrize(
    "function",
    [lambda h: h.detach().numpy(), lambda h: np.asarray(h.detach()), lambda h: torch.from_dlpack(h.detach())],
)
def test_what_goes_through_numpy_is_named(function):
    model = net(lambda h, x: torch.as_tensor(function(h)) + 0 * x)
    with pytest.raises(
        UnhookedOperationError, match=r"leave torch through (numpy|__array__|__dlpack__)\(\) at .*test_refusals\.py:\d+"
    ):
        explain(model, pictures(), "lrp_z")


CUTS = {
    "detach": lambda h, x: h.detach() + x,
    "data": lambda h, x: h.data + x,
    "no_grad": lambda h, x: torch.no_grad()(lambda: h * 2)() + x,
}


@pytest.mark.parametrize("what", CUTS)
def test_rules_do_not_guess_what_a_cut_operand_takes(what):
    words = {"no_grad": r"torch\.no_grad\(\)"}.get(what, what)
    with pytest.raises(UnhookedOperationError, match=rf"add .*cut from it by \.?{words}"):
        explain(net(CUTS[what]), pictures(), "lrp_z")
    assert explain(net(CUTS[what]), pictures(), "gradient").any()


MASKS = {
    "mul": lambda h, x: h * (h > 0),
    "where": lambda h, x: torch.where(h > 0, h, 0.0),
    "masked_fill": lambda h, x: h.masked_fill(h < 0, 0),
}


@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
@pytest.mark.parametrize("what", MASKS)
def test_a_mask_that_may_be_a_relu_is_not_passed_over_by_who_has_a_rule_for_relus(what, method):
    with pytest.raises(UnhookedOperationError, match=rf"{what} in the model .*may be a ReLU.*use torch\.relu"):
        explain(net(MASKS[what]), pictures(), method)
    with pytest.raises(UnhookedOperationError, match=rf"{what} in the model .*may be a ReLU"):
        explain_many(net(MASKS[what]), pictures(), ["gradient", method])


def overwritten_view(h: Tensor, x: Tensor) -> Tensor:
    view = h[:, :1]
    view.mul_(2)
    return h


def overwritten_part(h: Tensor, x: Tensor) -> Tensor:
    out = torch.zeros_like(h)
    out.narrow(1, 0, 1).copy_(h[:, :1])
    return out + x


@pytest.mark.parametrize("between", [overwritten_view, overwritten_part])
@pytest.mark.parametrize("method", [*RULES, "guided_backprop", "deep_lift", "grad_cam"])
def test_a_tensor_changed_through_a_view_is_refused(between, method):
    with pytest.raises(UnhookedOperationError, match=r"changed in place through another view .*make a new tensor"):
        explain(net(between), pictures(), method)


def test_strict_refuses_what_only_the_literature_knows():
    model = net(lambda h, x: h * x.sigmoid())
    with pytest.warns(BeyondReferenceWarning, match=r"Gate \(Arras et al\. 2017.*mul in the model") as told:
        assert explain(model, pictures(), "lrp_z").any()
    assert {one.filename for one in told} == {__file__}
    for method in ("lrp_z", "deep_lift"):
        with pytest.raises(UnhookedOperationError, match="no reference has a rule for mul"):
            explain(model, pictures(), method, strict=True)
        with pytest.raises(UnhookedOperationError, match="no reference has a rule for mul"):
            explain_many(model, pictures(), ["gradient", method], strict=True)
    assert explain(model, pictures(), "guided_backprop", strict=True).any()


def test_all_methods_at_once():
    model = net(lambda h, x: h.cumsum(1))
    with pytest.raises(UnhookedOperationError, match="cumsum"):
        explain_many(model, pictures(), ["gradient", "lrp_z"])
    assert explain_many(model, pictures(), ["gradient", "smoothgrad"])


class Boxed(nn.Module):
    def forward(self, box):
        return box.value.cumsum(-1)


class Boxing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.boxed = Boxed()

    def forward(self, h, x):
        return self.boxed(SimpleNamespace(value=h))


def test_a_layer_whose_input_is_not_seen_hides_nothing():
    for method in RULES:
        with pytest.raises(UnhookedOperationError, match=r"cumsum in between\.boxed"):
            explain(net(Boxing()), pictures(), method)


@pytest.mark.parametrize("method", ["lrp_z", "guided_backprop", "deep_lift", "grad_cam", "guided_grad_cam"])
def test_a_compiled_model_is_explained_as_what_was_compiled(method):
    expected = explain(cnn(), pictures(), method, 1)
    compiled = cnn()
    compiled[0].compile()
    for model in (torch.compile(cnn()), compiled, nn.Sequential(torch.compile(cnn()))):
        assert np.array_equal(explain(model, pictures(), method, 1), expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_torchscript_is_out_of_sight():
    with torch.no_grad():
        traced = torch.jit.trace(cnn(), pictures())
    scripted = torch.jit.script(cnn())
    for part in (traced, scripted):
        for model in (part, nn.Sequential(part)):
            for method in RULES:
                with pytest.raises(UnhookedOperationError, match="out of sight"):
                    explain(model, pictures(), method)
            for method in ("gradient", "smoothgrad", "integrated_gradients", "vargrad"):
                seed = {"seed": 1} if method in ("smoothgrad", "vargrad") else {}
                expected = explain(cnn(), pictures(), method, 1, **seed)
                assert explain(model, pictures(), method, 1, **seed) == pytest.approx(expected, rel=1e-9)


def test_an_explanation_inside_of_another_one_is_refused():
    model = cnn()
    model[2].register_forward_hook(lambda module, inputs, output: explain(cnn(), pictures(), "gradient") and None)
    for method in ("gradient", "lrp_z", "smoothgrad", "grad_cam"):
        with pytest.raises(UnhookedOperationError, match="explanation runs inside of a forward pass"):
            explain(model, pictures(), method)


@pytest.mark.parametrize("compare", [torch.gt, torch.greater, torch.Tensor.__gt__], ids=["gt", "greater", "operator"])
@pytest.mark.parametrize("method", ["guided_backprop", "deconvnet"])
def test_a_relu_written_as_a_mask_is_refused_by_name_where_relus_have_a_rule(method, compare):
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = nn.Linear(6, 5), nn.Linear(5, 3)

        def forward(self, x):
            h = self.first(x)
            return self.last(h * compare(h, torch.zeros(())))

    with pytest.raises(UnhookedOperationError, match="may be a ReLU"):
        explain(Masked(), torch.randn(2, 6), method, 1)
