"""Several backward passes through one forward pass: what methods of rules have in common is computed once.

A `Way` is one backward pass: a composite, which says what every operation does, and the relevance that the output
starts from. `walk` records the model's forward pass once and then goes each way. Ways that differ only in the rule of
the input layer share the pass down to that layer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from signxai_torch.lrp.assignment import Assignment, assign, softmax_at_the_end
from signxai_torch.lrp.backward import added, backward
from signxai_torch.lrp.composites import ActivationComposite, Composite, RuleComposite
from signxai_torch.lrp.passes import (
    UnusedInputRuleWarning,
    keeping,
    name_of_softmax,
    recorded,
    tell_of_rules_beyond,
    warn,
    warn_of_softmax,
)
from signxai_torch.lrp.rule import Rule
from signxai_torch.lrp.start import last_layer
from signxai_torch.lrp.targets import Target, start, target_indices
from signxai_torch.operations.layout import Layout, like
from signxai_torch.operations.model import Model, Recording
from signxai_torch.operations.operation import Operation, Value
from signxai_torch.operations.refusal import refuse


@dataclass(frozen=True)
class Way:
    """One backward pass.

    Attributes
    ----------
    composite : RuleComposite or ActivationComposite
        What each operation does.
    head : str
        Where relevance starts, see `signxai_torch.lrp.targets.start`; besides "preactivation": where the rule of the
        last layer starts, which is the value before the activation for some (`signxai_torch.lrp.start`).
    """

    composite: RuleComposite | ActivationComposite
    head: str

    @property
    def above(self) -> Way:
        """The way down to the input layer; ways that agree there share a pass."""
        composite = self.composite
        return Way(composite.above if isinstance(composite, RuleComposite) else composite, self.start)

    @property
    def input_rule(self) -> Rule | None:
        """The rule of the input layer, None where it is that of the others."""
        return self.composite.input_rule if isinstance(self.composite, RuleComposite) else None

    @property
    def title(self) -> str:
        """What the way does above the input layer, in words."""
        start_of = {"one": "from 1", "logit": "from the logit", "preactivation": "from the logit",
                    "positive_logit": "from the positive part of the logit"}  # fmt: skip
        return f"{_title(self.composite)}, {start_of[self.head]}"

    @property
    def start(self) -> str:
        """The head as `signxai_torch.lrp.targets.start` knows it."""
        return "logit" if self.head == "preactivation" else self.head

    @property
    def input_title(self) -> str:
        """What the input layer does, in words."""
        return f"input layer: {self.input_rule}" if self.input_rule is not None else "input layer: as the others"


def _title(composite: Composite) -> str:
    if isinstance(composite, ActivationComposite):
        return "gradient" if composite.rule is None else f"gradient with {type(composite.rule).__name__}"
    assert isinstance(composite, RuleComposite)
    texts = [f"{what}: {rule}" for what, rule in composite.rules]
    if composite.until > 0:  # layers above the input layer take its rule too
        texts.append(f"up to step {composite.until}: {composite.input_rule}")
        texts += ["reshaping counts"] * composite.count_reshaping
    return "; ".join(texts + ["other layers: gradient"] * composite.kernels_only)


HALF_OF_THE_DIGITS = 0.5  # as a power


def walk(model: Model, x: Tensor, target: Target, ways: Sequence[Way], strict: bool = False) -> list[Tensor]:
    """Return the relevance of the input for each way, in the shape of `x`; equal ways may share a tensor.

    Parameters
    ----------
    model : Model
        The model.
    x : torch.Tensor
        Input, batch first.
    target : None, int, tuple, callable, or one per sample
        Which output is explained.
    ways : sequence of Way
        The backward passes.
    strict : bool
        Refuse what only the literature has a rule for.
    """
    found = Layout(model.inputs).run(lambda given: _walk(model, given, target, ways, strict), x)
    return [like(one, x) for one in found]


def _walk(
    model: Model, x: Tensor, target: Target, ways: Sequence[Way], strict: bool, careful: bool = False
) -> list[Tensor]:
    passes: dict[Way, list[Way]] = {}
    for way in dict.fromkeys(ways):
        passes.setdefault(way.above, []).append(way)
    recorder, logits, output = recorded(model, x, keeping([way.composite for way in dict.fromkeys(ways)]))
    indices = target_indices(logits, target, model.shape)
    assigned = {above: _assigned(recorder, output, group[0].composite) for above, group in passes.items()}
    refuse("a method of rules", [*recorder.obstacles, *(one for each in assigned.values() for one in each.obstacles)])
    if not careful:
        tell_of_rules_beyond(list(assigned.values()), strict)
    results: dict[Way, Tensor] = {}
    starts = {above: _starts(model.module, group, logits, output, assigned[above]) for above, group in passes.items()}
    if not careful and any(_from_output(values, logits) for values in starts.values()):
        warn_of_softmax(name_of_softmax(softmax_at_the_end(output)))
    left = sum(len(one) for one in starts.values())
    for above in passes:
        for values, together in starts[above]:
            left -= 1
            relevance = {output: start(values, indices, together[0].start)}
            if careful:
                _refuse_underflow(recorder, relevance, together, assigned[above])
            else:
                results |= _go(recorder, relevance, together, assigned[above], release=left == 0)
    if any(not bool(one.any()) for one in results.values()):
        _walk(model, x, target, ways, strict=False, careful=True)  # a map of zeros may have got lost on the way
    recorder.forget()
    return [results[way] for way in ways if way in results]


def _assigned(recorder: Recording, output: Value, composite: Composite) -> Assignment:
    assigned: Assignment | None = recorder.derived.get(composite)
    if assigned is None:
        assigned = assign(recorder.operations, output, composite)
        if not assigned.stands_for:  # by which kernels get weights that were computed of the model's
            recorder.derived[composite] = assigned
    return assigned


def _go(
    recorder: Recording, relevance: Mapping[Value, Tensor], together: Sequence[Way], assigned: Assignment, release: bool
) -> dict[Way, Tensor]:
    """Go down once for ways that differ in the input layer's rule, and from there each by itself."""
    x = recorder.input
    rules = {way.input_rule for way in together}
    until = any(isinstance(way.composite, RuleComposite) and way.composite.until > 0 for way in together)
    if rules == {assigned.input_rule} or until:
        rule = together[0].input_rule
        if rule is not None and not assigned.input_kernels:
            warn_of_unused_input_rule()
        arrived = backward(recorder.operations, relevance, (x,), assigned, release=release)
        return dict.fromkeys(together, arrived.get(x, _nothing(x, relevance)))
    stops: dict[Operation, list[Tensor]] = {kernel: [] for kernel in assigned.input_kernels}
    straight = backward(recorder.operations, relevance, (x,), assigned, stops).get(x)
    below = [operation for operation in recorder.operations if operation.results[0].sees_input]
    results: dict[Way, Tensor] = {}
    for way in together:
        twin = next((other for other in results if other.input_rule == way.input_rule), None)
        if twin is not None:  # they differ in the name of where they start, which is the same for this model
            results[way] = results[twin]
            continue
        if way.input_rule is not None and not any(stops.values()):
            warn_of_unused_input_rule()
        parts = [] if straight is None else [straight]
        for kernel, notes in stops.items():
            for arriving in notes:
                rule = way.input_rule or _kernel_rule(way, kernel)
                (part,) = rule.relevance(assigned.stands_for.get(kernel, kernel), arriving)
                if part is not None:
                    parts += backward(below, {kernel.sources[0]: part}, (x,)).values()
        results[way] = added(parts) if parts else _nothing(x, relevance)
    return results


def _nothing(x: Value, relevance: Mapping[Value, Tensor]) -> Tensor:
    """Return a map of zeros; tokens are whole numbers, relevance never is."""
    return torch.zeros_like(x.tensor, dtype=next(iter(relevance.values())).dtype)


def _refuse_underflow(
    recorder: Recording, relevance: Mapping[Value, Tensor], together: Sequence[Way], assigned: Assignment
) -> None:
    """Refuse a map that is zero because its values were too small for the dtype, and not because there is nothing.

    Raises
    ------
    ValueError
        If relevance fell half-way, in orders of magnitude, to the least normal number of its dtype before it was zero.
    """
    sizes: list[float] = []
    backward(recorder.operations, relevance, (recorder.input,), assigned, sizes=sizes)
    dtype = _nothing(recorder.input, relevance).dtype
    faintest = min((size for size in sizes if size > 0), default=1.0)
    if sizes and sizes[-1] == 0 and faintest < torch.finfo(dtype).tiny ** HALF_OF_THE_DIGITS:
        raise ValueError(
            f"the relevance of {together[0].title} fades to {faintest:.0e} and to nothing on its way to the input, "
            "and its map would be zero: an epsilon is large beside the activations; take a smaller one"
            + (", or float64" if dtype == torch.float32 else "")
        )


def _kernel_rule(way: Way, kernel: Operation) -> Rule:
    assert isinstance(way.composite, RuleComposite)
    return way.composite.kernel_rule(kernel)


def _starts(
    model: nn.Module, group: Sequence[Way], logits: Tensor, output: Value, assigned: Assignment
) -> list[tuple[Tensor, list[Way]]]:
    """Return the ways of one pass by where they start: one, but where a model ends in an activation."""
    last = None if all(way.head != "preactivation" for way in group) else last_layer(model, output, assigned)
    found: dict[bool | None, list[Way]] = {}
    for way in group:
        bias = None if last is None or way.head != "preactivation" else last.bias(way.composite)
        found.setdefault(bias, []).append(way)
    values = {bias: logits if bias is None or last is None else last.preactivation(bias) for bias in found}
    return [(values[bias], together) for bias, together in found.items()]


def _from_output(starts: Sequence[tuple[Tensor, list[Way]]], logits: Tensor) -> bool:
    """Return whether a way starts from the model's output itself."""
    return any(values is logits for values, _ in starts)


def warn_of_unused_input_rule() -> None:
    """Warn that no layer took the rule of the input layer."""
    warn(
        "no dense or convolution layer sees the model's input directly, so the input layer's rule is unused",
        UnusedInputRuleWarning,
    )
