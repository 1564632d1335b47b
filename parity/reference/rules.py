"""Which rule each layer got in the reference: the question, put so that it can cost nothing but its own answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from parity.errors import first_line
from parity.reference.request import ReferenceAnswer, ReferenceRequest, rules_call

Layer = tuple[str, str, str]
"""Name, Keras class and rule of a layer."""


@dataclass(frozen=True)
class ReferenceRules:
    """The rules of one method on one model, input to output, or why they are not known."""

    reference: str
    layers: tuple[Layer, ...] = ()
    problem: str | None = None

    def to_json(self) -> dict[str, object]:
        """Return the rules as JSON values."""
        return {
            "reference": self.reference,
            "layers": [list(layer) for layer in self.layers],
            "problem": self.problem,
        }


def ask_rules(
    answer: Callable[[ReferenceRequest], list[ReferenceAnswer]], request: ReferenceRequest, maps: list[ReferenceAnswer]
) -> ReferenceRules:
    """Return the rules of a request's call on its first input; whatever fails is told in `problem`.

    Parameters
    ----------
    answer : callable
        `ReferenceClient.answer`.
    request : ReferenceRequest
        The request whose maps were asked for.
    maps : list of ReferenceAnswer
        What it was answered. Where there is no map, nothing is asked: it would fail in the same way.
    """
    reference = request.call.backend
    failed = next((one.error for one in maps if one.array is None), None)
    if failed is not None:
        return ReferenceRules(reference, problem=f"the reference gave no map: {_reason(failed)}")
    try:
        call = rules_call(request.call)
        one = replace(request, inputs=request.inputs[:1], targets=request.targets[:1], call=call)
        found = answer(one)[0]
        if found.array is None:
            return ReferenceRules(reference, problem=_reason(found.error or "no answer"))
        return ReferenceRules(reference, read_rules(found))
    except Exception as error:  # the maps stand without it
        return ReferenceRules(reference, problem=_reason(f"{type(error).__name__}: {error}"))


def read_rules(answer: ReferenceAnswer) -> tuple[Layer, ...]:
    """Return the layers of an answer to a call that `rules_call` made.

    Raises
    ------
    ValueError
        If the answer is none of this kind.
    """
    array = answer.array
    if array is None or array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind != "S":
        raise ValueError("the answer is no table of layers and rules")
    return tuple((name.decode(), kind.decode(), rule.decode()) for name, kind, rule in array.tolist())


def _reason(text: str) -> str:
    return first_line(text)[:300] or "no reason was given"
