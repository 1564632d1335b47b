"""The rules of a recorded forward pass: what each operation gets under a composite, and what has none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from torch import Tensor, nn

from signxai_torch.lrp.beyond import BeyondReference
from signxai_torch.lrp.composites import ActivationComposite, Composite, RuleComposite
from signxai_torch.lrp.rule import Rule
from signxai_torch.lrp.weightless import Pass
from signxai_torch.operations.kind import KERNELS, Kind
from signxai_torch.operations.operation import Operation, Value
from signxai_torch.operations.refusal import Obstacle

_INSTEAD = {"embedding_bag": "use an nn.Embedding, and add up or average its vectors"}
_UNCOUNTED = (Kind.ACTIVATION, Kind.SOFTMAX)


@dataclass
class Assignment:
    """What a composite does with each operation that the output depends on.

    Attributes
    ----------
    rules : dict of Operation to Rule or None
        The rule of each operation that relevance reaches; None is the gradient.
    stands_for : dict of Operation to Operation
        Kernels that a batch normalisation was merged into, as they are then.
    obstacles : list of Obstacle
        What has no rule and needs one.
    beyond : dict of Operation to BeyondReference
        What has a rule of the literature only.
    last_softmax : Operation or None
        The softmax that makes the output.
    input_rule : Rule or None
        The rule of the input layer under the composite, None where it is that of the others.
    """

    rules: dict[Operation, Rule | None] = field(default_factory=dict)
    stands_for: dict[Operation, Operation] = field(default_factory=dict)
    obstacles: list[Obstacle] = field(default_factory=list)
    beyond: dict[Operation, BeyondReference] = field(default_factory=dict)
    last_softmax: Operation | None = None
    input_rule: Rule | None = None

    @property
    def input_kernels(self) -> list[Operation]:
        """The kernels that see the model's input."""
        return [one for one in self.rules if one.kind in KERNELS and one.sees_input]


def assign(operations: Sequence[Operation], output: Value, composite: Composite) -> Assignment:
    """Return the rules of a recording, from its output down.

    Parameters
    ----------
    operations : sequence of Operation
        In the order in which they ran.
    output : Value
        What relevance starts at.
    composite : Composite
        Says the rules.
    """
    input_rule = composite.input_rule if isinstance(composite, RuleComposite) else None
    assigned = Assignment(last_softmax=softmax_at_the_end(output), input_rule=input_rule)
    steps = _steps(operations, composite)
    reached = {output}
    for operation in reversed(operations):
        if not any(result in reached for result in operation.results):
            continue
        rule = composite.rule_of(operation, steps.get(operation, 0))
        if operation is assigned.last_softmax:
            rule = Pass() if isinstance(composite, RuleComposite) and composite.everything else rule
        if isinstance(rule, BeyondReference):
            assigned.beyond[operation] = rule
        if isinstance(composite, ActivationComposite) and composite.rule is not None:
            _look_for_hidden_rectifiers(operation, assigned)
        if isinstance(composite, RuleComposite) and operation.kind is Kind.RECURRENCE:
            assigned.obstacles.append(
                Obstacle(
                    f"the model computes {operation}, a recurrence, for which neither reference has a rule",
                    "use a gradient method, or explain the part of the model behind it",
                )
            )
        if composite.everything:
            _look_for_obstacles(operation, rule, assigned)
        assigned.rules[operation] = rule
        takes = rule.reaches(operation) if rule is not None else (True,) * len(operation.sources)
        reached.update(source for source, take in zip(operation.sources, takes, strict=True) if take)
    if isinstance(composite, RuleComposite) and composite.batch_norm == "merge":
        _merge(operations, assigned)
    return assigned


def _look_for_obstacles(operation: Operation, rule: Rule | None, assigned: Assignment) -> None:
    if operation.kind is Kind.UNKNOWN and rule is None:
        hidden = operation.graph is not None
        assigned.obstacles.append(
            Obstacle(
                f"the model computes {operation}, " + ("out of sight" if hidden else "for which there is no rule"),
                "use the module that a TorchScript was made from, and functions of torch for an autograd.Function or "
                "an extension"
                if hidden
                else _INSTEAD.get(
                    operation.function.name or getattr(operation.call, "__name__", ""),
                    "replace it by operations that have rules, or use a gradient method",
                ),
            )
        )
    elif operation.cut:
        assigned.obstacles.append(
            Obstacle(
                f"{operation} reads what depends on the input but was cut from it by {operation.cut}",
                "rules cannot tell what it takes; compute it without the cut, or use a gradient method",
            )
        )
    elif isinstance(rule, (Pass, BeyondReference)) and not _fits(operation, rule):
        assigned.obstacles.append(Obstacle(f"{operation} changes the shape of what it reads, and no rule says how"))


def _look_for_hidden_rectifiers(operation: Operation, assigned: Assignment) -> None:
    """Note what may be a ReLU in a form that nobody can tell: methods that give ReLUs a rule would pass over it."""
    if operation.graph is not None:
        what = f"the model computes {operation}, out of sight"
    elif operation.kind is Kind.RECURRENCE and _has_rectifier(operation):
        assigned.obstacles.append(
            Obstacle(
                f"{operation} has a ReLU in each of its steps, and this method's rule is for ReLUs of whole layers",
                "use another method",
            )
        )
        return
    elif operation.masked:
        what = f"{operation} masks values by comparing them"
    else:
        return
    assigned.obstacles.append(
        Obstacle(f"{what}, which may be a ReLU; this method has a rule for ReLUs", "use torch.relu or the like")
    )


def _has_rectifier(operation: Operation) -> bool:
    return any(isinstance(module, (nn.ReLU, nn.ReLU6, nn.LeakyReLU)) for module in operation.declared.modules())


def _fits(operation: Operation, rule: Rule) -> bool:
    return not isinstance(rule, Pass) or operation.keeps_shape


def softmax_at_the_end(output: Value) -> Operation | None:
    """Return the softmax that makes a model's output, up to reshaping; None if none does."""
    maker = output.maker
    while maker is not None and maker.kind is Kind.MOVE:
        maker = maker.sources[0].maker
    return maker if maker is not None and maker.kind is Kind.SOFTMAX else None


def _steps(operations: Sequence[Operation], composite: Composite) -> dict[Operation, int]:
    """Return how many layers lie between the first kernel and each kernel, see `RuleComposite`."""
    if not isinstance(composite, RuleComposite) or composite.until <= 0:
        return {}
    steps: dict[Operation, int] = {}
    units: dict[int, int] = {}
    step = -1
    for operation in operations:
        counts = operation.kind in KERNELS or (
            step >= 0
            and operation.kind not in _UNCOUNTED
            and (operation.kind is not Kind.MOVE or composite.count_reshaping)
        )
        if counts and operation.unit not in units:
            step += 1
            units[operation.unit] = step
        steps[operation] = units.get(operation.unit, step)
    return steps


def _merge(operations: Sequence[Operation], assigned: Assignment) -> None:
    """Make each batch normalisation behind a kernel a part of that kernel."""
    readers: dict[Value, int] = {}
    for operation in operations:
        for source in operation.sources:
            readers[source] = readers.get(source, 0) + 1
    for operation in list(assigned.rules):
        kernel = operation.sources[0].maker
        mergeable = (
            operation.kind is Kind.NORM
            and kernel is not None
            and kernel.kind in KERNELS
            and kernel.declared is None
            and kernel.function.name in ("linear", "conv1d", "conv2d", "conv3d")
            and readers[operation.sources[0]] == 1
        )
        if mergeable and kernel is not None:
            assigned.rules[operation] = Pass()
            assigned.stands_for[kernel] = _merged(kernel, operation)


def _merged(kernel: Operation, norm: Operation) -> Operation:
    """Return a kernel with the batch normalisation behind it in its weights (zennit's MergeBatchNorm)."""
    weight: Tensor = kernel.argument("weight")
    mean, variance = norm.argument("running_mean"), norm.argument("running_var")
    factor = (variance + norm.argument("eps", 1e-5)).rsqrt()
    if norm.argument("weight") is not None:
        factor = factor * norm.argument("weight")
    before = kernel.argument("bias")
    bias = (-mean if before is None else before - mean) * factor
    if norm.argument("bias") is not None:
        bias = bias + norm.argument("bias")
    names = kernel.function.parameters
    given = dict(zip(names, kernel.arguments, strict=False)) | kernel.keywords
    given |= {"weight": weight * factor.reshape(-1, *[1] * (weight.dim() - 1)), "bias": bias}
    given.pop("input")
    return replace(kernel, arguments=(None,), keywords=given, places=(0,), results=norm.results)
