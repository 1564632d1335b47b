"""The rules of the literature, each against its formula in NumPy, and what becomes of the relevance's sum."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from signxai_torch import BeyondReferenceWarning, UnhookedOperationError, explain

Array = np.ndarray
DENOMINATOR = 1e-7  # what stands in place of a denominator that is exactly zero


class Around(nn.Module):
    """A function between the input and a linear layer without bias."""

    def __init__(self, function: Callable[[Tensor], Tensor], width: int) -> None:
        super().__init__()
        self.function = function
        self.last = nn.Linear(width, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.function(x).flatten(1))


def relevance_above(model: Around, x: Tensor, target: int) -> Array:
    """Return the relevance of the function's result: ``y w`` by the Z rule of a layer without bias."""
    made = model.function(x).flatten(1).detach().numpy()
    return made * model.last.weight[target].detach().numpy()


def explained(model: Around, x: Tensor, target: int = 1) -> Array:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BeyondReferenceWarning)
        return explain(model, x, "lrp_z", target)


def network(function: Callable[[Tensor], Tensor], x: Tensor) -> Around:
    torch.manual_seed(0)
    return Around(function, function(x).flatten(1).shape[1]).double()


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    raised = np.exp(x - x.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


X = torch.randn(4, 6, generator=torch.Generator().manual_seed(1)).double()


def test_a_gate_takes_nothing():
    gate = nn.Linear(6, 6).double()
    model = network(lambda x: x * torch.sigmoid(gate(x)), X)
    np.testing.assert_allclose(explained(model, X), relevance_above(model, X, 1), rtol=1e-12)


def test_a_gate_may_be_reshaped_and_scaled_on_its_way():
    gate = nn.Linear(6, 1).double()
    model = network(lambda x: (0.5 * torch.sigmoid(gate(x)).reshape(-1, 1)) * x, X)
    np.testing.assert_allclose(explained(model, X), relevance_above(model, X, 1), rtol=1e-12)


def test_two_factors_without_a_gate_take_half_each():
    model = network(lambda x: x[:, :3] * x[:, 3:], X)
    half = relevance_above(model, X, 1) / 2
    np.testing.assert_allclose(explained(model, X), np.concatenate([half, half], axis=1), rtol=1e-12)


def test_a_square_is_an_activation():
    model = network(lambda x: x * x, X)
    np.testing.assert_allclose(explained(model, X), relevance_above(model, X, 1), rtol=1e-12)


def test_the_divisor_of_a_quotient_takes_nothing():
    model = network(lambda x: x / (1 + x.abs().sum(dim=1, keepdim=True)), X)
    np.testing.assert_allclose(explained(model, X), relevance_above(model, X, 1), rtol=1e-12)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: F.layer_norm(x, (6,)),
        lambda x: F.group_norm(x, 2),
        lambda x: F.normalize(x),
        lambda x: F.instance_norm(x.reshape(-1, 2, 3)).flatten(1),
    ],
    ids=["layer_norm", "group_norm", "normalize", "instance_norm"],
)
def test_a_normalisation_passes_relevance_on(function):
    model = network(function, X)
    np.testing.assert_allclose(explained(model, X), relevance_above(model, X, 1), rtol=1e-12)


def test_a_softmax_follows_its_taylor_expansion_and_does_not_conserve():
    model = network(lambda x: torch.softmax(x, dim=-1), X)
    above, share = relevance_above(model, X, 1), softmax(X.numpy())
    expected = X.numpy() * (above - share * above.sum(axis=-1, keepdims=True))
    np.testing.assert_allclose(explained(model, X), expected, rtol=1e-10)


def test_attention_weights_take_nothing_and_values_all():
    def attend(x: Tensor) -> Tensor:
        tokens = x.reshape(-1, 2, 3)
        return torch.softmax(tokens @ tokens.transpose(1, 2), dim=-1) @ tokens

    model = network(attend, X)
    tokens = X.numpy().reshape(-1, 2, 3)
    weights = softmax(tokens @ tokens.transpose(0, 2, 1))
    made = weights @ tokens
    above = relevance_above(model, X, 1).reshape(made.shape)
    expected = tokens * (weights.transpose(0, 2, 1) @ (above / np.where(made == 0, DENOMINATOR, made)))
    np.testing.assert_allclose(explained(model, X), expected.reshape(X.shape), rtol=1e-10)


def test_the_function_of_attention_is_its_formula():
    written = network(lambda x: _attention(x.reshape(-1, 2, 3)), X)
    function = network(lambda x: F.scaled_dot_product_attention(*[x.reshape(-1, 2, 3)] * 3), X)
    np.testing.assert_allclose(explained(function, X), explained(written, X), rtol=1e-10)


def _attention(tokens: Tensor) -> Tensor:
    return torch.softmax(tokens @ tokens.transpose(1, 2) / tokens.shape[-1] ** 0.5, dim=-1) @ tokens


def test_two_matrices_without_attention_take_half_each():
    model = network(lambda x: x[:, :4].reshape(-1, 2, 2) @ x[:, 2:].reshape(-1, 2, 2), X)
    left, right = X[:, :4].numpy().reshape(-1, 2, 2), X[:, 2:].numpy().reshape(-1, 2, 2)
    ratio = relevance_above(model, X, 1).reshape(left.shape) / (left @ right) / 2
    expected = np.zeros(X.shape)
    expected[:, :4] += (left * (ratio @ right.transpose(0, 2, 1))).reshape(-1, 4)
    expected[:, 2:] += (right * (left.transpose(0, 2, 1) @ ratio)).reshape(-1, 4)
    np.testing.assert_allclose(explained(model, X), expected, rtol=1e-10)


def test_of_a_gated_linear_unit_the_open_half_takes_all():
    model = network(lambda x: F.glu(x, dim=1), X)
    expected = np.concatenate([relevance_above(model, X, 1), np.zeros((4, 3))], axis=1)
    np.testing.assert_allclose(explained(model, X), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("function", "conserves"),
    [
        (lambda x: x * torch.sigmoid(x.mean(dim=1, keepdim=True)), True),
        (lambda x: F.layer_norm(x, (6,)), True),
        (lambda x: _attention(x.reshape(-1, 2, 3)), True),
        (lambda x: x / x.norm(dim=1, keepdim=True), True),
        (lambda x: torch.softmax(x, dim=1), False),
    ],
    ids=["gate", "layer_norm", "attention", "norm", "softmax"],
)
def test_what_is_said_of_the_sum_holds(function, conserves):
    model = network(function, X)
    missing = np.abs(explained(model, X).sum(axis=1) - model(X)[:, 1].detach().numpy()).max()
    assert (missing < 1e-10) == conserves


def test_one_warning_names_operations_lines_and_sources():
    model = network(lambda x: F.layer_norm(x * torch.sigmoid(x), (6,)), X)
    with pytest.warns(BeyondReferenceWarning) as caught:
        explain(model, X, "lrp_epsilon_0_1", 1)
    (warning,) = [one for one in caught if one.category is BeyondReferenceWarning]
    text = str(warning.message)
    assert "layer_norm" in text
    assert "mul" in text
    assert "test_beyond.py" in text
    assert "arXiv:2402.05602" in text
    assert warning.filename == __file__


def test_a_strict_explanation_refuses_all_of_it_at_once():
    model = network(lambda x: F.layer_norm(x * torch.sigmoid(x), (6,)), X)
    with pytest.raises(UnhookedOperationError) as caught:
        explain(model, X, "lrp_epsilon_0_1", 1, strict=True)
    assert "layer_norm" in str(caught.value)
    assert "mul" in str(caught.value)


def test_what_the_references_define_needs_no_warning():
    model = network(lambda x: F.gelu(x) + F.relu(x), X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(model, X, "lrp_z", 1, strict=True)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x * torch.sigmoid(x.sum(dim=1, keepdim=True)),
        lambda x: x / (1 + x.abs().sum(dim=1, keepdim=True)),
        lambda x: torch.softmax(x, dim=1),
        lambda x: torch.log_softmax(x, dim=1),
        lambda x: F.layer_norm(x, (6,)),
        lambda x: F.group_norm(x, 2),
        lambda x: F.instance_norm(x.reshape(-1, 2, 3)).flatten(1),
        lambda x: F.normalize(x),
        lambda x: F.scaled_dot_product_attention(*[x.reshape(-1, 2, 3)] * 3),
        lambda x: x[:, :4].reshape(-1, 2, 2) @ x[:, 2:].reshape(-1, 2, 2),
    ],
    ids=["gate", "quotient", "softmax", "log_softmax", "layer_norm", "group_norm", "instance_norm", "normalize",
         "attention", "matmul"],
)  # fmt: skip
def test_deep_lift_sums_to_the_change_of_the_logit(function):
    model = network(function, X)
    baseline = X.flip(0) / 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BeyondReferenceWarning)
        result = explain(model, X, "deep_lift", 1, baseline=baseline)
    change = (model(X) - model(baseline))[:, 1].detach().numpy()
    np.testing.assert_allclose(result.sum(axis=1), change, rtol=1e-9)
