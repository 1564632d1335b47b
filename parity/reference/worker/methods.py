"""The methods of the two reference packages, called by name. The packages stay as they were installed.

The harness computes nothing here: arithmetic around a base map is upstream's own function body with another
base put in, and float64 is reached by reading upstream's own constants as float64.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from parity.reference.request import ReferenceCall
from parity.reference.worker.noise import GraphNoise, numpy_noise
from parity.reference.worker.remembered import KEPT_BYTES, Remembered
from parity.reference.worker.rules import Seen, fork_watched, watch_graph, works_by_rules
from parity.reference.worker.traces import EagerTrace, GraphTrace

Analyze = Callable[[np.ndarray, int], np.ndarray]

# innvestigate's analyzers that explain no output, so they take no neuron.
_WITHOUT_NEURON = ("input", "random")

# Options that the references take as tuple or array, which JSON does not have.
_TUPLES = ("input_layer_rule", "until_index_rule")
_ARRAYS = ("mu", "reference_inputs", "low", "high")

_BODIES = {"x_input": "gradient_x_input", "x_sign": "gradient_x_sign", "x_sign_mu": "gradient_x_sign_mu"}

# Modules of the eager fork that name float32 outright: the starting constant of the gradients and the sum of
# several consumers (reverse_map), the ReLU masks and the input cast of guided Grad-CAM (guided_backprop).
_FLOAT32_MODULES = ("signxai.methods.innvestigate.analyzer.reverse_map", "signxai.methods.guided_backprop")


# Analyzers of the eager fork whose own options must not reach `analyze`: it hands every keyword on to the rule,
# which has them already, and Python stops at the second value. All others go the way of the wrappers.
_CONSTRUCTED = ("lrp.alpha_beta",)


@dataclass(frozen=True)
class Prepared:
    """A call that is ready to be answered.

    Attributes
    ----------
    analyze
        Answers an input and a target.
    notes
        What was done to make it run.
    seen
        The rules of the layers, where they were seen at work while the analyzer was made.
    """

    analyze: Analyze
    notes: tuple[str, ...] = ()
    seen: Seen | None = None


class NoSuchMethodError(Exception):
    """The reference has nothing of this name."""


class SignxaiMethods:
    """Wrappers and analyzers of signxai 1.1.9.2, eager.

    Parameters
    ----------
    remember
        Whether a map that several methods begin with is computed once.
    """

    def __init__(self, remember: bool = True) -> None:
        from signxai.methods import wrappers
        from signxai.utils import utils

        # The wrappers find it under this name among their own globals.
        self._calculate = wrappers.calculate_explanation_innvestigate = Remembered(
            utils.calculate_explanation_innvestigate, KEPT_BYTES if remember else 0
        )

    def prepare(self, call: ReferenceCall, model: Any, dtype: str) -> Prepared:
        """Return what answers the call.

        Raises
        ------
        NoSuchMethodError
            If there is no such wrapper or analyzer.
        """
        if call.asks_for_logits:
            return Prepared(_logits(model))
        if call.asked_for_rules is not None:
            return Prepared(self._rules(call.asked_for_rules, model, dtype))
        if call.asked_for_trace is not None:
            return Prepared(self._trace(call.asked_for_trace, model, dtype))
        explain = self._explain(call, model, dtype)

        def analyze(x: np.ndarray, target: int) -> np.ndarray:
            with self._calculate.one_answer(call.noise, x.shape):
                return explain(x, target)

        if dtype == "float64":
            return Prepared(analyze, (f"float32 constants of {', '.join(_FLOAT32_MODULES)} read as float64",))
        return Prepared(analyze)

    def _explain(self, call: ReferenceCall, model: Any, dtype: str) -> Analyze:
        """Return what computes a map, all of it."""
        explain = modified(self._wrapper(call.name) if call.kind == "wrapper" else self._analyzer(call.name), call)
        options = decode_options(call.options, dtype)

        def analyze(x: np.ndarray, target: int) -> np.ndarray:
            with widened(dtype):
                return np.asarray(explain(model, x, neuron_selection=target, **options))

        return analyze

    def _rules(self, call: ReferenceCall, model: Any, dtype: str) -> Analyze:
        explain = self._explain(call, model, dtype)

        def analyze(x: np.ndarray, target: int) -> np.ndarray:
            seen = Seen(model)
            with numpy_noise(call.noise, x.shape), fork_watched(seen):
                explain(x, target)
            return seen.table()

        return analyze

    def _trace(self, call: ReferenceCall, model: Any, dtype: str) -> Analyze:
        explain = self._explain(call, model, dtype)

        def analyze(x: np.ndarray, target: int) -> np.ndarray:
            trace = EagerTrace(model)
            with numpy_noise(call.noise, x.shape), fork_watched(trace):
                explain(x, target)
            return trace.layers(x)

        return analyze

    @staticmethod
    def _wrapper(name: str) -> Callable[..., Any]:
        from signxai.methods import wrappers

        function: Any = getattr(wrappers, name, None)
        own = inspect.isfunction(function) and function.__module__ == wrappers.__name__
        if not own or name.startswith("calculate_"):
            raise NoSuchMethodError(f"signxai.methods.wrappers has no method {name!r}")
        wrapper: Callable[..., Any] = function
        return wrapper

    def _analyzer(self, name: str) -> Callable[..., Any]:
        from signxai.methods.innvestigate.analyzer import analyzers

        if name not in analyzers:
            raise NoSuchMethodError(f"signxai has no analyzer {name!r}")
        if name in _CONSTRUCTED:
            return functools.partial(_constructed, name)
        return functools.partial(self._calculate, method=name)


class InnvestigateMethods:
    """Analyzers of innvestigate 2.1.2, graph mode."""

    def __init__(self) -> None:
        self._noise = GraphNoise()
        self._noise.install()

    def prepare(self, call: ReferenceCall, model: Any, dtype: str) -> Prepared:
        """Return what answers the call.

        Raises
        ------
        NoSuchMethodError
            If there is no such analyzer.
        """
        import innvestigate

        if call.asks_for_logits:
            return Prepared(_logits(model))
        if call.name not in innvestigate.analyzer.analyzers:
            raise NoSuchMethodError(f"innvestigate has no analyzer {call.name!r}")
        options = decode_options(call.options, dtype)
        # It cannot be given an index for a model of several inputs: it asks the list of them for its batch size.
        by_index = not isinstance(model.input_shape, list)
        if not by_index and model.output_shape[-1] != 1 and call.name not in _WITHOUT_NEURON:
            raise NoSuchMethodError("innvestigate explains one class of several only where the model has one input")
        takes_neuron = call.name not in _WITHOUT_NEURON and by_index
        if takes_neuron:
            options["neuron_selection_mode"] = "index"
        self._noise.use(call.noise)
        analyzer = innvestigate.create_analyzer(call.name, model, **options)
        traced = GraphTrace(model) if call.asked_for_trace is not None else None
        seen = traced or Seen(model)
        watched = traced is not None or call.asked_for_rules is not None or works_by_rules(analyzer)
        if watched:
            watch_graph(analyzer, seen)
        # The graph is made now rather than in the first `analyze`, so that its time is not the method's.
        analyzer.create_analyzer_model()
        if call.asked_for_rules is not None:  # in graph mode the rules run once, when the graph is made
            return Prepared(lambda _x, _target: seen.table())
        if traced is not None:
            return Prepared(
                lambda x, target: traced.layers(analyzer, batch_of(model, x), target if takes_neuron else None)
            )
        self._noise.check_used()

        def base(_model: Any, x: np.ndarray, neuron_selection: int) -> np.ndarray:
            chosen = {"neuron_selection": neuron_selection} if takes_neuron else {}
            return joined(analyzer.analyze(batch_of(model, x), **chosen))

        explain = modified(base, call)

        def analyze(x: np.ndarray, target: int) -> np.ndarray:
            return np.asarray(explain(model, x, neuron_selection=target))

        return Prepared(analyze, seen=seen if watched else None)


def _constructed(name: str, model: Any, x: np.ndarray, neuron_selection: int, **options: Any) -> Any:
    """Return the map of an analyzer that takes its options when it is made, and only then."""
    from signxai.methods.innvestigate import create_analyzer

    maps = create_analyzer(name, model, **options).analyze(X=[x], neuron_selection=neuron_selection)
    return next(iter(maps.values()))[0]


def decode_options(options: Any, dtype: str) -> dict[str, Any]:
    """Return keyword arguments in the types the references take: tuples and arrays instead of lists."""
    decoded = dict(options)
    for name, value in decoded.items():
        if isinstance(value, list) and name in _TUPLES:
            decoded[name] = tuple(value)
        elif isinstance(value, list) and name in _ARRAYS:
            decoded[name] = np.asarray(value, dtype=dtype)
    return decoded


def modified(base: Callable[..., Any], call: ReferenceCall) -> Callable[..., Any]:
    """Return `base(model, x, **options)` inside the bodies of upstream's own `gradient_x_...` wrappers.

    A wrapper body calls `gradient` by its global name; a copy of the function with other globals calls the
    given base instead. Nothing of the package changes.
    """
    if not call.modifiers:
        return base
    from signxai.methods import wrappers

    explain = base
    for name, value in call.modifiers:
        body = getattr(wrappers, _BODIES[name])
        around = types.FunctionType(
            body.__code__, {**vars(wrappers), "gradient": explain}, name, body.__defaults__, body.__closure__
        )
        explain = functools.partial(around, mu=_threshold(value)) if name == "x_sign_mu" else around
    return explain


def _threshold(value: Any) -> Any:
    return np.asarray(value) if isinstance(value, list) else value


def _logits(model: Any) -> Analyze:
    return lambda x, _target: np.asarray(model.predict(batch_of(model, x), verbose=0))[0]


def batch_of(model: Any, x: np.ndarray) -> Any:
    """Return an input as a batch of one; several inputs come joined into one vector, and go apart."""
    if not isinstance(model.input_shape, list):
        return x[np.newaxis]
    shapes = [tuple(shape[1:]) for shape in model.input_shape]
    cuts = np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1]
    return [part.reshape(1, *shape) for part, shape in zip(np.split(x, cuts), shapes, strict=True)]


def joined(maps: Any) -> np.ndarray:
    """Return the map of one input, or those of several joined into one vector as their inputs were."""
    if isinstance(maps, list) and len(maps) > 1:
        return np.concatenate([np.asarray(part)[0].reshape(-1) for part in maps])
    values: np.ndarray = np.asarray(maps)
    return values[0]  # type: ignore[no-any-return]


@contextmanager
def widened(dtype: str) -> Iterator[None]:
    """Let the eager fork run in float64: where it names `tf.float32`, it reads float64 meanwhile.

    Its starting constant of 1 and its sums are float32 whatever the model is; TensorFlow then stops at the
    first matrix product. The values are the same in both types, only their type is in the way.
    """
    if dtype != "float64":
        yield
        return
    modules: list[Any] = [importlib.import_module(name) for name in _FLOAT32_MODULES]
    originals = [module.tf for module in modules]
    for module in modules:
        module.tf = _Float64TensorFlow(tf)
    try:
        yield
    finally:
        for module, original in zip(modules, originals, strict=True):
            module.tf = original


class _Float64TensorFlow(types.ModuleType):
    """TensorFlow, but `float32` is float64 and `ones` makes float64."""

    def __init__(self, module: types.ModuleType) -> None:
        super().__init__(module.__name__)
        self._module = module
        self.float32 = module.float64
        self.ones = functools.partial(module.ones, dtype=module.float64)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)
