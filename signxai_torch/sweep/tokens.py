"""Models of tokens: what looks numbers up in a table has no gradient with respect to them."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from signxai_torch.methods.grammar import Method
from signxai_torch.operations.kind import Kind
from signxai_torch.operations.model import Model
from signxai_torch.operations.refusal import Obstacle, refuse

_WITHOUT_GRADIENT = ("lrp", "deep_taylor", "occlusion", "input")
"""Families that need no gradient with respect to the input, nor numbers between tokens."""


def refuse_gradients_of_tokens(model: Model, x: Tensor, methods: Sequence[Method]) -> None:
    """Refuse methods that need a gradient, where the model does nothing with its input but look it up.

    Parameters
    ----------
    model : Model
        The model; it is run once if it has an embedding.
    x : torch.Tensor
        Input, batch first.
    methods : sequence of Method
        What is asked for.

    Raises
    ------
    UnhookedOperationError
        Naming the first such method.
    """
    first = next((one for one in methods if one.family not in _WITHOUT_GRADIENT), None)
    if first is None or not model.takes_tokens:
        return
    if x.is_floating_point() and _has_gradient(model, x):
        return
    refuse(str(first), [
        Obstacle("its input is tokens, which have no gradient",
                 "use an LRP method, or explain the part of the model behind the embedding")
    ])  # fmt: skip


def _has_gradient(model: Model, x: Tensor) -> bool:
    """Return whether the input reaches the output otherwise than through a table; unknown counts as yes."""
    recorder, made = model.record(x, lambda operation: (False, False))
    output = recorder.value_of(made)
    tables = [operation for operation in recorder.operations if operation.kind is Kind.EMBEDDING]
    reached = {output}
    for operation in reversed(recorder.operations):
        if operation.kind is not Kind.EMBEDDING and any(result in reached for result in operation.results):
            reached.update(operation.sources)
    found = recorder.input in reached
    recorder.forget()
    return found or not tables
