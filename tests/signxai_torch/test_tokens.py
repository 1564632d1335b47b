"""Models of tokens: a token gets the sum of its vector's relevance."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from signxai_torch import explain
from signxai_torch.operations.refusal import UnhookedOperationError
from signxai_torch.operations.watch import tells_of_indexing

TOKENS, LENGTH = 13, 8
LRP = ("lrp_z", "lrp_epsilon_0_1", "lrp_flat", "lrp_alpha_1_beta_0", "lrp_sequential_composite_a", "deep_taylor")


needs_indexing = pytest.mark.skipif(
    not tells_of_indexing(), reason="torch before 2.4 does not tell of x[...] of tokens"
)


class Behind(nn.Module):
    """What lies behind the embedding: takes vectors `(N, D, T)`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv1d(4, 5, 3), nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.conv(x).relu().amax(2))


class Text(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.behind = nn.Embedding(TOKENS, 4), Behind()

    def forward(self, x: Tensor) -> Tensor:
        return self.behind(self.vectors(x))

    def vectors(self, x: Tensor) -> Tensor:
        return self.table(x).transpose(1, 2)


class Cast(Text):
    def vectors(self, x: Tensor) -> Tensor:
        return self.table(x.long()).movedim(-1, 1)


class Moved(Text):
    """Tokens are cut, turned around and joined again before they are looked up."""

    def vectors(self, x: Tensor) -> Tensor:
        start, end = x.t()[:3], x.t()[3:]
        return self.table(torch.cat([start, end]).t().to(torch.int32).int()).transpose(1, 2)


class Split(Text):
    def vectors(self, x: Tensor) -> Tensor:
        first, second = x.chunk(2, 1)
        return torch.cat([self.table(first), F.embedding(second, self.table.weight)], 1).transpose(1, 2)


class Low(Text):
    def vectors(self, x: Tensor) -> Tensor:
        return torch.embedding(self.table.weight, x).transpose(1, 2)


class Table(nn.Embedding):
    signxai_operation: ClassVar[str] = "embedding"

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.long()).movedim(-1, 1)


class Declared(Text):
    def __init__(self) -> None:
        super().__init__()
        self.table = Table(TOKENS, 4)

    def vectors(self, x: Tensor) -> Tensor:
        return self.table(x)


class Computed(Text):
    def vectors(self, x: Tensor) -> Tensor:
        return (self.table(x) + self.table(x % 5)).transpose(1, 2)


class Indexed(Text):
    def vectors(self, x: Tensor) -> Tensor:
        return self.table.weight[x].transpose(1, 2)


class Bag(Text):
    def forward(self, x: Tensor) -> Tensor:
        return self.behind.last(F.pad(F.embedding_bag(x, self.table.weight), (0, 1)))


class Mixed(Text):
    """The first columns are tokens, the last is a number."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, :-1].long()) * x[:, -1:]


def tokens() -> Tensor:
    return torch.randint(0, TOKENS, (2, LENGTH), generator=torch.Generator().manual_seed(0))


def made(kind: type[Text]) -> Text:
    torch.manual_seed(1)
    return kind().double().eval()


def right(model: Text, x: Tensor, method: str) -> np.ndarray:
    """Return the map of the vectors by what lies behind the embedding, summed up."""
    vectors = model.table.weight[x.long()].transpose(1, 2).detach()
    return explain(model.behind, vectors, method).sum(1)


@pytest.mark.parametrize("method", LRP)
@pytest.mark.parametrize("kind", [Text, Cast, pytest.param(Moved, marks=needs_indexing), Split, Low, Declared])
def test_a_token_gets_the_sum_of_its_vector(kind, method):
    model, x = made(kind), tokens()
    found = explain(model, x, method)
    assert found.shape == x.shape
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, right(model, x, method), rtol=1e-12, atol=1e-15)
    assert np.abs(found).max() > 1e-3


@pytest.mark.parametrize("dtype", [torch.int32, torch.float64])
def test_tokens_of_other_dtypes(dtype):
    model, x = made(Cast), tokens()
    expected = explain(model, x, "lrp_epsilon_0_1", target=0)
    np.testing.assert_array_equal(explain(model, x.to(dtype), "lrp_epsilon_0_1", target=0), expected)


def test_occlusion_of_tokens():
    model, x = made(Text), tokens()
    found = explain(model, x, "occlusion", target=0, window=1, stride=1)
    other = x.clone()
    other[:, 2] = 0
    np.testing.assert_allclose(found[:, 2], (model(x) - model(other))[:, 0].detach())


@pytest.mark.parametrize(
    "method",
    ["gradient", "guided_backprop", "deconvnet", "integrated_gradients", "smoothgrad", "vargrad", "deep_lift"],
)
@pytest.mark.parametrize(("kind", "dtype"), [(Text, torch.int64), (Cast, torch.float64), (Declared, torch.float64)])
def test_tokens_have_no_gradient(kind, dtype, method):
    with pytest.raises(UnhookedOperationError, match=r"its input is tokens, which have no gradient; use an LRP method"):
        explain(made(kind), tokens().to(dtype), method, target=0)


def test_numbers_beside_tokens_have_a_gradient():
    x = torch.cat([tokens().double(), torch.ones(2, 1).double()], 1)
    found = explain(made(Mixed), x, "gradient", target=0)
    assert (found[:, :-1] == 0).all()
    assert (found[:, -1] != 0).all()


def test_tokens_that_are_computed_with_are_refused():
    with pytest.raises(UnhookedOperationError, match="computes with tokens"):
        explain(made(Computed), tokens(), "lrp_z", target=0)


@needs_indexing
def test_tables_that_are_indexed_are_refused():
    with pytest.raises(UnhookedOperationError, match=r"__getitem__ .*for which there is no rule"):
        explain(made(Indexed), tokens(), "lrp_z", target=0)


@pytest.mark.skipif(tells_of_indexing(), reason="this torch tells of x[...]")
@pytest.mark.parametrize("kind", [Moved, Indexed])
def test_an_old_torch_is_named_where_it_does_not_tell_of_tokens_that_are_cut(kind):
    with pytest.raises(UnhookedOperationError, match=r"x\[\.\.\.\] needs torch 2\.4"):
        explain(made(kind), tokens(), "lrp_z", target=0)


def test_bags_of_embeddings_are_refused_by_name():
    with pytest.raises(UnhookedOperationError, match=r"embedding_bag.*use an nn.Embedding, and add up"):
        explain(made(Bag), tokens(), "lrp_z", target=0)


def test_integers_for_a_model_without_embedding_are_refused():
    with pytest.raises(TypeError, match=r"integers are tokens, and the model has no nn.Embedding"):
        explain(made(Text).behind, tokens()[:, None].expand(-1, 4, -1), "lrp_z")
