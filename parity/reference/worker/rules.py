"""Which rule each Keras layer really got in a reference: watched from outside while it explains an input.

Nothing of the packages changes. For the time of one question, the eager fork's reverse model is noted as it is
built and each of its layers tells when it hands relevance on; innvestigate's analyzer gets, on the instance alone,
a `_reverse_mapping` that notes what its own one chose and what that returned.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# Where the rule objects of both packages keep their parameters, by the name that they are told under.
_PARAMETERS = {
    "epsilon": "_epsilon",
    "stdfactor": "_stdfactor",
    "alpha": "_alpha",
    "beta": "_beta",
    "gamma": "_gamma",
    "low": "_low",
    "high": "_high",
    "mu": "mu",
}
_PLAIN = (bool, int, float, str, tuple, list, np.ndarray, np.generic)
# The copies of the layer that a rule computes with: whether one has the bias is whether the rule counts it.
_COPIES = ("_layer_wo_act", "_layer_wo_act_positive")


class NoRulesError(Exception):
    """The analyzer does not work by rules on layers, or none of them ran."""


class Seen:
    """What was seen of one explanation: the rules of each layer, in the order in which relevance reached them."""

    def __init__(self, model: Any) -> None:
        # Analyzers add layers of their own, and the input is no step of the way.
        self._classes = {one.name: type(one).__name__ for one in model.layers if type(one).__name__ != "InputLayer"}
        self._rules: dict[str, list[str]] = {}

    def note(self, layer: Any, rule: str) -> None:
        """Note that a layer handed relevance on by this rule."""
        if layer.name in self._classes and rule not in self._rules.setdefault(layer.name, []):
            self._rules[layer.name].append(rule)

    def rule_of(self, name: str) -> str:
        """Return the rules that a layer was noted with; empty if it was not."""
        return " and ".join(self._rules.get(name, ()))

    def saw_eager(self, replacement: Any, inputs: Any, arrived: Any, made: Any, handed: Any) -> None:
        """Take note of the numbers that a layer of the eager fork handed on; here they do not count."""

    def saw_graph(self, layer: Any, inputs: Any, outputs: Any, arrived: Any, handed: Any) -> None:
        """Take note of the tensors that a layer hands on in innvestigate's graph; here they do not count."""

    def table(self) -> np.ndarray:
        """Return one line per layer, input to output: name, Keras class, rule, as UTF-8 bytes, shape (n, 3).

        Raises
        ------
        NoRulesError
            If no rule ran.
        """
        order = [name for name in self._classes if name in self._rules]
        if not order:
            raise NoRulesError("no rule of the reference was seen at work")
        lines = [(name, self._classes[name], self.rule_of(name)) for name in order]
        return np.array([[text.encode() for text in line] for line in lines])


@contextmanager
def fork_watched(seen: Seen) -> Iterator[None]:
    """Note what the layers of the eager fork's reverse models do meanwhile."""
    reverse_model: Any = importlib.import_module("signxai.methods.innvestigate.analyzer.reverse_map").ReverseModel
    original = reverse_model.build

    def build(self: Any, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        for one in self._reverse_model[1]:
            _tell_when_it_explains(one, seen)

    reverse_model.build = build
    try:
        yield
    finally:
        reverse_model.build = original


def _tell_when_it_explains(replacement: Any, seen: Seen) -> None:
    explain = replacement.explain_hook

    def explain_hook(inputs: Any, arrived: Any, made: Any) -> Any:
        result = explain(inputs, arrived, made)
        seen.note(replacement.layer_func, rule_text(replacement, replacement.layer_func))
        seen.saw_eager(replacement, inputs, arrived, made, result)
        return result

    replacement.explain_hook = explain_hook


def works_by_rules(analyzer: Any) -> bool:
    """Return whether an analyzer of innvestigate reverses the model layer by layer."""
    return hasattr(analyzer, "_reverse_mapping")


def watch_graph(analyzer: Any, seen: Seen) -> None:
    """Have an analyzer of innvestigate, not yet made into a graph, note its rules when it is.

    Raises
    ------
    NoRulesError
        If it does not reverse the model layer by layer.
    """
    if not works_by_rules(analyzer):
        raise NoRulesError(f"{type(analyzer).__name__} does not work by rules on layers")
    chosen, default = analyzer._reverse_mapping, analyzer._default_reverse_mapping

    def reverse_mapping(layer: Any) -> Callable[..., Any]:
        mapping = chosen(layer)
        mapping = default if mapping is None else mapping
        if not inspect.isclass(mapping) and len(inspect.signature(mapping).parameters) != 2:
            return _noting(mapping, layer, seen)

        def make(layer: Any, state: Any) -> Callable[..., Any]:
            made = mapping(layer, state)
            return _noting(made.apply if inspect.isclass(mapping) else made, layer, seen)

        return make

    analyzer._reverse_mapping = reverse_mapping


def _noting(apply: Callable[..., Any], layer: Any, seen: Seen) -> Callable[..., Any]:
    def applied(inputs: Any, outputs: Any, relevances: Any, state: Any) -> Any:
        result = apply(inputs, outputs, relevances, state)
        seen.saw_graph(layer, inputs, outputs, relevances, result)
        owner = getattr(apply, "__self__", None)
        if result is relevances:
            seen.note(layer, "relevance unchanged")
        elif owner is not None and hasattr(owner, "apply"):
            seen.note(layer, rule_text(owner, layer))
        else:  # a function of the analyzer itself; what is left of these is the gradient
            seen.note(layer, getattr(apply, "__name__", repr(apply)))
        return result

    return applied


def rule_text(rule: Any, layer: Any) -> str:
    """Return class and parameters of a rule object, as `EpsilonRule(epsilon=0.1, bias=True)`.

    Classes that the packages make on the fly only to pass parameters on are told by the class they stand for.
    """
    kind = next(one for one in type(rule).__mro__ if "<locals>" not in one.__qualname__)
    held = {name: getattr(rule, place, None) for name, place in _PARAMETERS.items()}
    # What is no plain value is no parameter: batch normalization keeps the layer's own beta under that name.
    told: dict[str, Any] = {name: value for name, value in held.items() if isinstance(value, _PLAIN)}
    copy: Any = next((getattr(rule, name) for name in _COPIES if hasattr(rule, name)), None)
    if getattr(layer, "use_bias", False) and hasattr(copy, "use_bias"):
        told["bias"] = bool(copy.use_bias)
    return f"{kind.__name__}({', '.join(f'{name}={_plain(value)}' for name, value in told.items())})"


def _plain(value: Any) -> str:
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    array = np.asarray(value)
    if array.size != 1 or array.dtype.kind not in "fiu":
        return f"array of shape {array.shape}" if array.dtype.kind in "fiu" else str(value)
    return repr(float(array.reshape(-1)[0]))
