"""Attention over the steps of series `(N, C, T)`, in Keras' three forms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

Masked = tuple[bool, ...]
"""Which of the tensors that a layer reads has a mask; the masks `(N, T)` follow the tensors."""
# What TensorFlow takes off the scores of steps that must not be seen.
_HIDDEN = 1e9


class Attention(nn.Module):
    """Keras `Attention` and `AdditiveAttention`: values of all steps, weighted by how well their keys fit a query.

    Parameters
    ----------
    score
        `"dot"`: products of query and key. `"concat"`: `weight * sum(tanh(scale * (query + key)))`. `"additive"`:
        `sum(scale * tanh(query + key))`.
    scale
        One number, or for `"additive"` one per channel; None for 1.
    weight
        One number, or None for 1.
    causal
        Whether no step sees those behind it.
    masked
        See `Masked`: steps that are off in the value's mask are not seen, and those of the query give zeros.
    """

    signxai_operation: ClassVar[str] = "derivative"

    def __init__(self, score: str, scale: Tensor | None, weight: Tensor | None, causal: bool, masked: Masked) -> None:
        super().__init__()
        self.score = score
        self.scale = None if scale is None else nn.Parameter(scale, requires_grad=False)
        self.weight = None if weight is None else nn.Parameter(weight, requires_grad=False)
        self.causal, self.masked = causal, masked

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return `(N, channels of the value, steps of the query)` of query, value, perhaps a key, and masks."""
        (query, value, *keys), (of_query, of_value, *_) = _with_masks(tensors, self.masked)
        key = keys[0] if keys else value
        scores = self._scores(query.movedim(1, -1), key.movedim(1, -1))
        hidden = None if of_value is None else ~of_value[:, None]
        if self.causal:
            later = ~_not_behind(scores)
            hidden = later if hidden is None else hidden | later
        if hidden is not None:
            scores = scores - _HIDDEN * hidden.to(scores.dtype)
        mixed = torch.einsum("nqk,nck->ncq", scores.softmax(dim=-1), value)
        return mixed if of_query is None else mixed * of_query[:, None].to(mixed.dtype)

    def _scores(self, query: Tensor, key: Tensor) -> Tensor:
        """Return `(N, steps of the query, steps of the key)`."""
        if self.score == "dot":
            scores = query @ key.transpose(1, 2)
            return scores if self.scale is None else scores * self.scale
        both = query.unsqueeze(2) + key.unsqueeze(1)
        if self.score == "additive":
            bent = both.tanh()
            return (bent if self.scale is None else self.scale * bent).sum(dim=-1)
        scores = (both if self.scale is None else self.scale * both).tanh().sum(dim=-1)
        return scores if self.weight is None else self.weight * scores

    def extra_repr(self) -> str:
        """Show the settings in `print(model)`."""
        return f"score={self.score!r}, causal={self.causal}"


class MultiHeadAttention(nn.Module):
    """Keras `MultiHeadAttention`: several heads side by side, each with projections of its own.

    Parameters
    ----------
    kernels
        Of query, key and value: `(channels, heads, size)`; of the output: `(heads, size, channels)`.
    biases
        As the kernels without their inputs; empty for none.
    takes
        What each tensor is that the module is called with: `"query"`, `"value"` or `"key"`.
    causal
        Whether no step sees those behind it.
    masked
        See `Masked`: nothing is seen of steps that are off in the value's mask or the key's, and nothing from those
        that are off in the query's, which is to say that these see all steps.
    """

    signxai_operation: ClassVar[str] = "derivative"

    def __init__(
        self,
        kernels: dict[str, Tensor],
        biases: dict[str, Tensor],
        takes: tuple[str, ...],
        causal: bool,
        masked: Masked,
    ) -> None:
        super().__init__()
        frozen = {"requires_grad": False}
        self.kernels = nn.ParameterDict({name: nn.Parameter(values, **frozen) for name, values in kernels.items()})
        self.biases = nn.ParameterDict({name: nn.Parameter(values, **frozen) for name, values in biases.items()})
        self.takes, self.causal, self.masked = takes, causal, masked

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return `(N, channels, steps of the query)`."""
        given, masks = _with_masks(tensors, self.masked)
        read = dict(zip(self.takes, given, strict=True))
        read.setdefault("key", read["value"])
        query, key, value = (self._projected(name, read[name]) for name in ("query", "key", "value"))
        query = query * (1 / math.sqrt(query.shape[-1]))
        scores = torch.einsum("nkhd,nqhd->nhqk", key, query)
        seen = _seen(dict(zip(self.takes, masks, strict=True)))
        if self.causal:
            seen = _not_behind(scores)[None] if seen is None else seen & _not_behind(scores)
        if seen is not None:
            scores = scores - _HIDDEN * (~seen)[:, None].to(scores.dtype)
        weights = scores.softmax(dim=-1)
        mixed = torch.einsum("nhqk,nkhd->nqhd", weights, value)
        made = torch.einsum("nqhd,hdc->nqc", mixed, self.kernels["output"])
        return (made + self.biases["output"] if "output" in self.biases else made).movedim(-1, 1)

    def _projected(self, name: str, x: Tensor) -> Tensor:
        made = torch.einsum("nct,chd->nthd", x, self.kernels[name])
        return made + self.biases[name] if name in self.biases else made

    def extra_repr(self) -> str:
        """Show what it reads in `print(model)`."""
        return f"takes={self.takes}, causal={self.causal}"


class MultiHeadAttentionOverAxes(MultiHeadAttention):
    """`MultiHeadAttention` whose steps lie along several axes, or along some of them, each of the others by itself.

    Parameters
    ----------
    axes
        The axes of the steps, as torch has them.
    kernels, biases, takes
        See `MultiHeadAttention`; causal and masked are not supported.
    """

    def __init__(
        self, axes: Sequence[int], kernels: dict[str, Tensor], biases: dict[str, Tensor], takes: tuple[str, ...]
    ) -> None:
        super().__init__(kernels, biases, takes, causal=False, masked=(False,) * len(takes))
        self.axes = tuple(axes)

    def forward(self, *tensors: Tensor) -> Tensor:
        """Return `(N, channels, axes of the query)`."""
        query = tensors[self.takes.index("query")]
        alone = [axis for axis in range(2, query.ndim) if axis not in self.axes]
        moved = [tensor.permute(0, *alone, 1, *self.axes) for tensor in tensors]
        start = 1 + len(alone)
        made = super().forward(*(tensor.flatten(0, start - 1).flatten(2) for tensor in moved))
        sizes = moved[self.takes.index("query")].shape
        made = made.reshape(*sizes[:start], made.shape[1], *sizes[start + 1 :])
        return made.permute(*(int(place) for place in np.argsort([0, *alone, 1, *self.axes])))


def _with_masks(tensors: tuple[Tensor, ...], masked: Masked) -> tuple[list[Tensor], list[Tensor | None]]:
    """Return the tensors, and the mask of each, None where it has none."""
    masks = iter(tensors[len(masked) :])
    return list(tensors[: len(masked)]), [next(masks) if has_one else None for has_one in masked]


def _not_behind(scores: Tensor) -> Tensor:
    """Return which steps a causal attention sees, `(steps of the query, steps of the value)`: none behind its own."""
    return torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()


def _seen(masks: dict[str, Tensor | None]) -> Tensor | None:
    """Return what each step of the query sees, `(N, steps of the query, steps of the value)`; None for all."""
    seen: Tensor | None = None
    for role, mask in masks.items():
        if mask is not None:
            one = mask[:, :, None] if role == "query" else mask[:, None, :]
            seen = one if seen is None else seen & one
    return seen
