"""What an operation is to the rules where it stands: a product with a constant is a scale."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from signxai_torch.operations.kind import Kind
from signxai_torch.operations.operation import Operation

_TOKENS = {F.embedding: (0, "input"), torch.embedding: (1, "indices")}
_INDEXED = ("__getitem__", "gather", "index_select", "take", "take_along_dim")
_OF_ONE_INPUT = (Kind.DENSE, Kind.CONVOLUTION, Kind.NORM, Kind.NORMALIZE, Kind.ACTIVATION, Kind.SOFTMAX)


def kind_of(operation: Operation) -> Kind:
    """Return what an operation is to the rules, given which of its arguments depend on the input."""
    row, live = operation.function, len(operation.sources)
    kind = row.kind
    if operation.keywords.get("out") is not None:
        return Kind.UNKNOWN
    if kind is Kind.EMBEDDING:
        return _kind_of_embedding(operation)
    if row.name in _INDEXED and live == 1 and operation.places[0] not in (0, "input"):
        return Kind.UNKNOWN  # tokens that look values up by an index
    if operation.declared is not None:
        return kind if live == 1 or kind is Kind.DERIVATIVE else Kind.UNKNOWN
    if kind is Kind.PRODUCT and row.name != "glu":
        return Kind.SCALE if live == 1 else kind
    if kind is Kind.QUOTIENT and live == 1:
        return Kind.SCALE if operation.places[0] in (0, "input") else Kind.ACTIVATION
    if kind is Kind.SCALE and live > 1:
        return Kind.UNKNOWN
    if kind is Kind.PRODUCT_OF_MATRICES and live == 1:
        return Kind.DENSE
    if kind is Kind.MAXIMUM and row.parameters == ("input", "other") and live == 1:
        return Kind.ACTIVATION
    place = row.parameters.index("input") if "input" in row.parameters else 0
    if kind in _OF_ONE_INPUT and (live > 1 or operation.places[0] not in ("input", place)):
        # A weight that depends on the input makes a product of it; no rule says whose the relevance is.
        return Kind.ACTIVATION if kind is Kind.ACTIVATION and live == 1 else Kind.UNKNOWN
    return kind


def _kind_of_embedding(operation: Operation) -> Kind:
    """Return what a look-up is: of tokens in a table, or of values of the input, which are moved, by constant ones."""
    if len(operation.sources) != 1:
        return Kind.UNKNOWN
    if operation.declared is not None or operation.places[0] in _TOKENS.get(operation.call, ()):
        return Kind.EMBEDDING
    return Kind.MOVE
