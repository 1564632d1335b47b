"""The table of mutants, joined from the files of one idea each."""

from __future__ import annotations

from collections.abc import Iterable

from parity.errors import ParityError
from parity.run.mutants import beside, dtypes, families, layers, maps, models, rules, stateful
from parity.run.mutants.mutant import Mutant

MUTANTS: tuple[Mutant, ...] = (
    *maps.MUTANTS,
    *dtypes.MUTANTS,
    *models.MUTANTS,
    *rules.MUTANTS,
    *layers.MUTANTS,
    *families.MUTANTS,
    *stateful.MUTANTS,
    *beside.MUTANTS,
)
"""Every mutant, in the order in which it is reported."""
BY_NAME = {mutant.name: mutant for mutant in MUTANTS}


def chosen(names: Iterable[str] = (), tried_on: Iterable[str] = ()) -> tuple[Mutant, ...]:
    """Return mutants by name (none named: all) that are tried on some of the models (none named: on any).

    Raises
    ------
    ParityError
        If there is no such mutant, or none of a model.
    """
    wanted, on = list(names), set(tried_on)
    unknown = [name for name in wanted if name not in BY_NAME]
    if unknown:
        raise ParityError(f"no mutant {unknown[0]!r}; they stand in docs/mutants.md")
    known = {model for mutant in MUTANTS for model in mutant.models}
    foreign = sorted(on - known)
    if foreign:
        raise ParityError(f"no mutant is tried on {foreign[0]!r}; there are some for {', '.join(sorted(known))}")
    found = tuple(
        mutant
        for mutant in MUTANTS
        if (not wanted or mutant.name in wanted) and (not on or on.intersection(mutant.models))
    )
    if not found:
        raise ParityError(f"none of these mutants is tried on {', '.join(sorted(on))}")
    return found
