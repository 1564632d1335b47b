"""What a known difference is: when it applies, its cause and evidence, and how the reference is asked all the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from parity.judge.known.rewrite import Rewrite
from parity.keras import ModelDescription

if TYPE_CHECKING:
    from parity.reference.request import Backend
    from signxai_torch.methods.grammar import Method

Applies = Callable[["Method", ModelDescription], bool]
Recipe = Literal["plain", "spliced", "averaged", "multiplied", "promised"]
"""How the maps that the subject is held to come about; `parity.run.recipes` follows each.

plain
    The reference's answer for the model, or for an equivalent network.
spliced
    The relevance above the input layer from one reference, and what the input layer makes of it from the other.
averaged
    The mean of the reference's own gradients at the points that the method names.
multiplied
    The reference's map without the modifier, times what the modifier stands for.
promised
    No reference map: what the method promises by definition, and the reference's gradient on the network without
    offsets, where it is the same map.
"""


@dataclass(frozen=True)
class KnownDifference:
    """One way in which a reference is wrong, or raises, where it should explain.

    The subject is never excused by it: it is held to the other reference where that is sound, else to the same
    reference on an equivalent network, else to what `recipe` says. Where nothing is left, nothing is judged.

    Attributes
    ----------
    name
        Short identifier, lower case with hyphens.
    references
        The references that have it.
    applies
        Whether it bites for a method on a model.
    condition
        The same in words.
    cause, evidence
        Why, and how anybody can see it.
    rewrites
        Changes to an equivalent network on which the reference is right; empty if there are none.
    recipe
        Another way to maps that are right, where `rewrites` do not help; "plain" if there is none.
    by_values
        It bites by the values of a case and not by the model, and the reference is asked all the same. "undefined":
        where its map is NaN everywhere, that of the subject must be zero everywhere, and nothing else is judged.
        "kink": where its gradient jumps at the baseline, all other points are compared.

    Raises
    ------
    ValueError
        If a text is empty.
    """

    name: str
    references: tuple[Backend, ...]
    applies: Applies
    condition: str
    cause: str
    evidence: str
    rewrites: tuple[Rewrite, ...] = ()
    recipe: Recipe = "plain"
    by_values: Literal["undefined", "kink"] | None = None

    def __post_init__(self) -> None:
        for name in ("name", "references", "condition", "cause", "evidence"):
            if not getattr(self, name):
                raise ValueError(f"The known difference {self.name!r} has no {name}.")
