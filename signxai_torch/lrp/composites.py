"""Which rule goes on which operation: composites for whole methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from signxai_torch.lrp.beyond import beyond
from signxai_torch.lrp.rule import LinearRule, Rule
from signxai_torch.lrp.rules import RULES
from signxai_torch.lrp.weightless import Average, BatchNorm, Pass, SumOfVector
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.kind import KERNELS, Kind
from signxai_torch.operations.operation import Operation

BATCH_NORMS = ("reference", "merge")
"""What becomes of a batch normalisation: SIGN-XAI's rule, or a part of the kernel before it (zennit's canonizers)."""
_OF_INPUT_RULES = ("mu", "low", "high")
"""Parameters of methods that are the input rule's; all others, such as epsilon, are those of the other layers."""
_FLOATING = (Kind.ACTIVATION, Kind.SOFTMAX)


class Composite:
    """Says the rule of each operation; the base of all composites."""

    everything = False
    """Whether every operation that relevance reaches needs a rule: what has none is refused."""

    def rule_of(self, operation: Operation, step: int = 0) -> Rule | None:
        """Return the rule of an operation, None for its gradient.

        Parameters
        ----------
        operation : Operation
            The operation.
        step : int
            How many layers lie between the first kernel and it, see `RuleComposite`.
        """
        raise NotImplementedError

    def candidates(self, operation: Operation) -> Sequence[Rule | None]:
        """Return all rules that an operation may get, while it is not known yet where it lies."""
        return (self.rule_of(operation),)


@dataclass(frozen=True)
class RuleComposite(Composite):
    """Rules by kind of operation, with another rule for the input layer.

    Parameters
    ----------
    rules : mapping of str to LinearRule, or its items
        The rule per kind of kernel: "kernel" for all, or "dense" and "conv".
    input_rule : LinearRule, optional
        The rule of the kernels that see the model's input.
    until : int
        Kernels up to this step also get the input rule. The first kernel is step 0; every further layer counts one but
        activations and, unless `count_reshaping` is set, reshaping. A layer is a module without children, or an
        operation outside of such; steps follow the order of the forward pass.
    count_reshaping : bool
        Whether reshaping counts as steps (iNNvestigate's raw layer index) or not (SIGN-XAI's distance).
    kernels_only : bool
        Whether all operations without weights, but for the activation of a kernel, take the gradient (deep Taylor)
        instead of a rule of their own.
    batch_norm : str
        One of `BATCH_NORMS`.
    """

    rules: Any
    input_rule: Rule | None = None
    until: int = 0
    count_reshaping: bool = False
    kernels_only: bool = False
    batch_norm: str = "reference"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rules", tuple(sorted(dict(self.rules).items(), key=lambda pair: pair[0])))
        if self.batch_norm not in BATCH_NORMS:
            raise ValueError(f"batch_norm must be one of {', '.join(BATCH_NORMS)}, not {self.batch_norm!r}")

    @property
    def everything(self) -> bool:  # type: ignore[override]
        """Whether every operation that relevance reaches needs a rule."""
        return not self.kernels_only

    @property
    def above(self) -> RuleComposite:
        """The same above the input layer; composites that agree there share a backward pass."""
        return self if self.until > 0 else replace(self, input_rule=None)

    def kernel_rule(self, operation: Operation) -> Rule:
        """Return the rule of a kernel that does not see the input."""
        rules = dict(self.rules)
        rule: Rule | None = rules.get(operation.kind.value, rules.get("kernel"))
        if rule is None:
            raise TypeError(f"no rule for {operation}, a {operation.kind.value} layer; rules: {', '.join(rules)}")
        return rule

    def rule_of(self, operation: Operation, step: int = 0) -> Rule | None:
        """See `Composite.rule_of`."""
        kind = operation.kind
        if kind in KERNELS:
            early = self.input_rule is not None and (operation.sees_input or 0 < step <= self.until)
            return self.input_rule if early else self.kernel_rule(operation)
        if kind is Kind.EMBEDDING:
            return SumOfVector()
        if self.kernels_only:
            maker = operation.sources[0].maker
            after_kernel = kind in _FLOATING and maker is not None and maker.kind in KERNELS
            # There an activation is part of the kernel before it, whose rule knows nothing of it; after any other
            # layer it is a layer of its own, which takes the gradient (iNNvestigate 2.1.2, DeepTaylor).
            return Pass() if after_kernel else None
        return self._weightless(operation)

    def _weightless(self, operation: Operation) -> Rule | None:
        kind = operation.kind
        if kind in (Kind.SUM, Kind.AVERAGE, Kind.SCALE):
            return Average()
        if kind is Kind.NORM:
            return BatchNorm() if self.batch_norm == "reference" else Average()
        if kind is Kind.MAXIMUM:
            return Pass() if operation.keeps_shape and _stride_of(operation) == {1} else None
        if kind in (Kind.ACTIVATION, Kind.UNCHANGED):
            return Pass()
        if kind in (Kind.MOVE, Kind.DERIVATIVE, Kind.RECURRENCE):
            return None
        return beyond(operation)

    def candidates(self, operation: Operation) -> Sequence[Rule | None]:
        """See `Composite.candidates`."""
        if operation.kind in KERNELS and self.input_rule is not None and (self.until > 0 or operation.sees_input):
            return (self.input_rule, self.kernel_rule(operation))
        if operation.kind is Kind.SOFTMAX:
            return (Pass(), self.rule_of(operation))
        if operation.kind is Kind.NORM and self.batch_norm == "merge":
            return (Pass(), Average())
        return (self.rule_of(operation),)


def _stride_of(operation: Operation) -> set[int]:
    """Return the strides of a pooling operation; empty if it has none."""
    stride = operation.argument("stride", None)
    if operation.declared is not None:
        stride = getattr(operation.declared, "stride", None)
    elif not stride:
        stride = operation.argument("kernel_size", None) if "kernel_size" in operation.function.parameters else None
    if stride is None:
        return set()
    return {int(one) for one in stride} if isinstance(stride, (tuple, list)) else {int(stride)}


@dataclass(frozen=True)
class ActivationComposite(Composite):
    """One rule on every ReLU, the gradient elsewhere: guided backpropagation and deconvnet.

    ReLUs with a slope, a bound or a threshold count as ReLUs: SIGN-XAI 1.1.9.2 takes every class with "relu" in its
    name for one, PReLU, LeakyReLU and ThresholdedReLU among them (iNNvestigate refuses them).
    """

    rule: Rule | None

    def rule_of(self, operation: Operation, step: int = 0) -> Rule | None:
        """See `Composite.rule_of`."""
        return self.rule if is_rectifier(operation) else None


_RELU6 = 6.0
_PLAIN_RECTIFIERS = ("relu", "relu6", "leaky_relu", "prelu", "rrelu", "rectifier")


def is_rectifier(operation: Operation) -> bool:
    """Return whether an operation is a ReLU, however it is spelled."""
    name = operation.function.name
    if operation.kind is not Kind.ACTIVATION:
        return False
    if name in _PLAIN_RECTIFIERS:
        return True

    def bound(place: int, *names: str) -> Any:
        return next((operation.keywords[one] for one in names if one in operation.keywords),
                    operation.arguments[place] if len(operation.arguments) > place else None)  # fmt: skip

    if name == "threshold":
        return _is(bound(2, "value"), 0)
    if name == "hardtanh":
        return _is(bound(1, "min_val"), 0) and _is(bound(2, "max_val"), _RELU6)
    if name in ("clamp", "clip", "clamp_min"):
        low = bound(1, "min")
        high = None if name == "clamp_min" else bound(2, "max")
        return _is(low, 0) and (high is None or _is(high, _RELU6))
    if name in ("maximum", "fmax"):
        return any(_is(one, 0) for one in (*operation.arguments, *operation.keywords.values()) if one is not None)
    return False


def _is(bound: Any, number: float) -> bool:
    """Return whether a bound, a number or a tensor or None, is a number everywhere."""
    if bound is None:
        return False
    if hasattr(bound, "all"):
        return bool((bound == number).all())
    return bool(bound == number)


def make_rule(name: str, parameters: Mapping[str, Any], ignore_bias: bool = False) -> LinearRule:
    """Return a rule of the table `RULES` with those of `parameters` that it takes.

    Raises
    ------
    ValueError
        If there is no such rule, or a parameter is out of its range.
    """
    if not isinstance(name, str) or name not in RULES:
        raise ValueError(f"unknown rule {name!r}; the rules are {', '.join(RULES)}")
    rule = RULES[name]
    taken = [field.name for field in fields(rule)]
    chosen = {key: value for key, value in parameters.items() if key in taken}
    if ignore_bias:
        chosen["bias"] = False
    return rule(**chosen)


def composite_for(method: Method, parameters: Mapping[str, Any], batch_norm: str = "reference") -> RuleComposite:
    """Return the composite of an LRP or deep Taylor method.

    Parameters
    ----------
    method : Method
        A method whose row has layers.
    parameters : mapping
        Its parameters, the user's included.
    batch_norm : str
        One of `BATCH_NORMS`.
    """
    rules = {
        what: make_rule(name or parameters["rule"], {**parameters, **fixed}, method.ignore_bias)
        for what, (name, fixed) in method.row.layers.items()
    }
    own = {key: value for key, value in parameters.items() if key in _OF_INPUT_RULES}
    input_rule = make_rule(method.input_rule, own) if method.input_rule else None
    until = parameters.get("until_layer_idx")
    if until is None:
        return RuleComposite(rules, input_rule, kernels_only=method.family == "deep_taylor", batch_norm=batch_norm)
    # iNNvestigate's index counts the InputLayer too, SIGN-XAI's distance starts at the first kernel layer.
    raw = method.row.signxai == ""
    return RuleComposite(rules, input_rule, int(until) - raw, count_reshaping=raw, batch_norm=batch_norm)
