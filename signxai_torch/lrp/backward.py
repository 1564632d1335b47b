"""One backward walk through a recorded forward pass."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import reduce

import torch
from torch import Tensor

from signxai_torch.lrp.assignment import Assignment
from signxai_torch.lrp.rule import Rule
from signxai_torch.operations.operation import Operation, Value


def backward(
    operations: Sequence[Operation],
    start: Mapping[Value, Tensor],
    wanted: Collection[Value],
    assigned: Assignment | None = None,
    stops: Mapping[Operation, list[Tensor]] | None = None,
    release: bool = False,
    sizes: list[float] | None = None,
) -> dict[Value, Tensor]:
    """Return the relevance that arrives at some values.

    Parameters
    ----------
    operations : sequence of Operation
        In the order in which they ran.
    start : mapping of Value to torch.Tensor
        The relevance to start from.
    wanted : collection of Value
        Whose relevance is returned; one that gets none is left out.
    assigned : Assignment, optional
        The rules; without them every operation takes its gradient.
    stops : mapping of Operation to list, optional
        Operations that note the relevance of their result there and hand nothing down.
    release : bool
        Let go of what no later walk needs; `operations` cannot be walked again.
    sizes : list of float, optional
        Takes the largest relevance at each operation, output to input.
    """
    relevance = dict(start)
    arrived: dict[Value, Tensor] = {}
    with torch.no_grad():
        for operation in reversed(operations):
            arriving = [_taken(relevance, result, wanted, arrived) for result in operation.results]
            if any(one is not None for one in arriving):
                if sizes is not None:
                    sizes.append(max(float(one.abs().max()) for one in arriving if one is not None))
                if stops is not None and operation in stops:
                    stops[operation].append(arriving[0])  # type: ignore[arg-type]
                else:
                    for source, part in zip(
                        operation.sources, _handed_down(operation, arriving, assigned), strict=True
                    ):
                        if part is not None:
                            before = relevance.get(source)
                            relevance[source] = part if before is None else before + part
            if release:
                for result in operation.results:
                    result.kept = None
    return {value: one for value in wanted if (one := arrived.get(value, relevance.get(value))) is not None}


def _taken(
    relevance: dict[Value, Tensor], value: Value, wanted: Collection[Value], arrived: dict[Value, Tensor]
) -> Tensor | None:
    found = relevance.pop(value, None)
    if found is not None and value in wanted:
        arrived[value] = found
    return found


def _handed_down(
    operation: Operation, arriving: Sequence[Tensor | None], assigned: Assignment | None
) -> Sequence[Tensor | None]:
    rule: Rule | None = None
    if assigned is not None:
        rule = assigned.rules.get(operation)
        operation = assigned.stands_for.get(operation, operation)
    if rule is None:
        return operation.gradient(arriving)
    if arriving[0] is None:
        return (None,) * len(operation.sources)
    return rule.relevance(operation, arriving[0])


def added(parts: Sequence[Tensor]) -> Tensor:
    """Return the sum of one tensor or more."""
    return reduce(torch.add, parts)
