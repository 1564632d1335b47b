"""What is known of layers that work on space beyond the classic ones: where a reference raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.conditions import classes
from parity.judge.known.difference import KnownDifference
from parity.keras import ModelDescription

if TYPE_CHECKING:
    from signxai_torch.methods.grammar import Method

# They have a kernel, but neither reference counts them among its convolutions.
_NO_CONVOLUTIONS = {"LocallyConnected1D", "LocallyConnected2D", "DepthwiseConv1D"}


def _no_rule_in_a_preset(method: Method, model: ModelDescription) -> bool:
    return "sequential" in method.row.template and bool(classes(model) & _NO_CONVOLUTIONS)


SPATIAL: tuple[KnownDifference, ...] = (
    KnownDifference(
        name="innvestigate-no-rule-in-preset",
        references=("innvestigate",),
        applies=_no_rule_in_a_preset,
        condition=(
            "The LRP presets, which have a rule for dense layers and one for convolutions, on a model with a kernel "
            "layer that counts as neither (LocallyConnected, DepthwiseConv1D), in innvestigate 2.1.2."
        ),
        cause=(
            "Where no condition of a preset fits, the variable for the rule is never set. SIGN-XAI says by its own "
            "rules that it does not explain such a model, so nobody does."
        ),
        evidence=(
            "LocallyConnected1D, Flatten, Dense: lrp.sequential_preset_a raises UnboundLocalError (rule_class) where "
            "SIGN-XAI raises `No rule applies to layer`."
        ),
    ),
)
