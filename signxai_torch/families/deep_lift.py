"""DeepLIFT with the Rescale rule (Shrikumar et al. 2017, arXiv:1704.02685, section 3.5.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from signxai_torch.families.gradients import baseline_like
from signxai_torch.lrp.assignment import Assignment, assign
from signxai_torch.lrp.backward import backward
from signxai_torch.lrp.multipliers import DeepLiftComposite
from signxai_torch.lrp.passes import keeping, name_of_softmax, recorded, tell_of_rules_beyond, warn_of_softmax
from signxai_torch.lrp.targets import Target, start, target_indices
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.kind import OPENED_BY_DEEP_LIFT, Kind
from signxai_torch.operations.model import Model
from signxai_torch.operations.refusal import refuse

# The powers of a dtype's rounding that a map's sum may be off by: half of the digits of all that is added up, because
# what cancels rounds no better, and three quarters of those of the logits, which a forward pass rounds to.
HALF_OF_THE_DIGITS, MOST_OF_THE_DIGITS = 0.5, 0.75


class SummationToDeltaError(ValueError):
    """A DeepLIFT map does not sum to the change of the logit, which is what defines it."""


def deep_lift(model: Model, x: Tensor, target: Target, method: Method, parameters: Mapping[str, Any]) -> Tensor:
    """Return (x - r) times the multipliers; the map sums to f_c(x) - f_c(r) (summation to delta).

    Raises
    ------
    SummationToDeltaError
        If it does not, because the model computes something without a DeepLIFT rule.
    UnhookedOperationError
        If it computes something that cannot be followed.
    """
    reference = baseline_like(x, parameters["baseline"], model.inputs)
    composite = DeepLiftComposite()
    both = torch.cat([x, reference])
    recorder, logits, output = recorded(model, both, keeping([composite]), opened=OPENED_BY_DEEP_LIFT)
    half = len(x)
    assigned = assign(recorder.operations, output, composite)
    refuse("deep_lift", [*recorder.obstacles, *assigned.obstacles])
    tell_of_rules_beyond([assigned], parameters.get("strict", False))
    warn_of_softmax(name_of_softmax(assigned.last_softmax))
    indices = target_indices(logits[:half], target, model.shape)
    head = start(logits, torch.cat([indices, indices]), "one")
    head[half:] = 0
    arrived = backward(recorder.operations, {output: head}, (recorder.input,), assigned)
    multipliers = arrived.get(recorder.input, torch.zeros_like(recorder.input.tensor))[:half]
    result = (x - reference) * multipliers
    check_sums(assigned, result, logits.gather(1, torch.cat([indices, indices]).unsqueeze(1)).squeeze(1))
    recorder.forget()
    return result


_LINEAR = (Kind.DENSE, Kind.CONVOLUTION, Kind.NORM, Kind.SUM, Kind.AVERAGE, Kind.SCALE)


def check_sums(assigned: Assignment, result: Tensor, logits: Tensor) -> None:
    """Refuse maps that do not sum to the change of their logit, as well as their dtype can tell.

    Parameters
    ----------
    assigned : Assignment
        The rules, for the message.
    result : torch.Tensor
        The maps `(N, ...)`.
    logits : torch.Tensor
        The explained logit `(2 N,)` of the inputs, then of the baselines.

    Raises
    ------
    SummationToDeltaError
        If one map does not, or is not finite.
    """
    now, before = logits.chunk(2)
    parts = result.flatten(1)
    missing = (parts.sum(dim=1) - (now - before)).abs()
    digits = torch.finfo(result.dtype).eps
    allowed = digits**HALF_OF_THE_DIGITS * parts.abs().sum(dim=1)
    allowed += digits**MOST_OF_THE_DIGITS * (now.abs() + before.abs())
    if bool((missing <= allowed).all()):
        return
    worst = int((missing - allowed).nan_to_num(torch.inf).argmax())
    suspects = [str(operation) for operation, rule in assigned.rules.items()
                if rule is None and operation.kind not in _LINEAR]  # fmt: skip
    names = ", ".join(dict.fromkeys(suspects)) or "none, so rounding may be at fault"
    raise SummationToDeltaError(
        f"the map of sample {worst} sums to {float(parts[worst].sum()):.6g}, but the logit changes by "
        f"{float(now[worst] - before[worst]):.6g} from the baseline: the Rescale rule does not hold for this model. "
        f"What it computes without a rule of its own: {names}. Replace that by other operations, or use "
        "integrated_gradients"
    )
