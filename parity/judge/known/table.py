"""The one table of known differences, and which of them apply to a method on a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.difference import KnownDifference
from parity.judge.known.innvestigate import INNVESTIGATE
from parity.judge.known.preparation import PREPARATION
from parity.judge.known.repeated_reads import REPEATED_READS
from parity.judge.known.sequences import SEQUENCES
from parity.judge.known.signxai import SIGNXAI
from parity.keras import ModelDescription

if TYPE_CHECKING:
    from parity.reference.request import Backend
    from signxai_torch.methods.grammar import Method

KNOWN_DIFFERENCES: tuple[KnownDifference, ...] = (*SIGNXAI, *INNVESTIGATE, *PREPARATION, *REPEATED_READS, *SEQUENCES)
BY_NAME = {difference.name: difference for difference in KNOWN_DIFFERENCES}


def differences_of(method: Method, model: ModelDescription, backend: Backend) -> tuple[KnownDifference, ...]:
    """Return every known difference of one reference that applies to a method on a model, in the table's order."""
    return tuple(
        difference
        for difference in KNOWN_DIFFERENCES
        if backend in difference.references and difference.applies(method, model)
    )
