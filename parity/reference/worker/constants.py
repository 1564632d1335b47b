"""Weights in the graphs of iNNvestigate stay tensors, instead of being computed one by one while a graph is made.

In graph mode Keras wraps each operation that it did not make in a layer, and runs a session for each operand that
comes from no input, to keep its value: two thirds of the time that an analyzer takes to be made. Such an operand is
left as the tensor that it is, as Keras itself leaves it where a switch of its own says so, and the graph computes it
with the rest. That switch would also leave operands that no session can run, so that analyzers which end with an error
in iNNvestigate would answer; these are looked for here, and go Keras' own way. The maps are the same to the last bit
(`tests/parity/reference/test_constants.py`).
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras.engine import base_layer_utils

_VARIABLES = ("VarHandleOp", "ReadVariableOp")
"""Operations with a state that does not change while an analyzer is made or used."""


def install() -> None:
    """Leave what depends on weights and constants alone as it is in the graph, in this process."""
    backend = base_layer_utils.backend
    if not isinstance(backend, _Backend):
        base_layer_utils.backend = _Backend(backend)


class _Backend(types.ModuleType):
    """Keras' backend, whose `function` without inputs gives a tensor back if it is one of weights and constants."""

    def __init__(self, module: types.ModuleType) -> None:
        super().__init__(module.__name__)
        self._module = module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    def function(self, inputs: Any, outputs: Any, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
        """Return what computes a tensor, or gives back the tensor itself."""
        if not inputs and not isinstance(outputs, list) and outputs.dtype != tf.resource and of_weights(outputs.op):
            return lambda _: outputs
        function: Callable[[Any], Any] = self._module.function(inputs, outputs, *arguments, **options)
        return function


def of_weights(operation: Any) -> bool:
    """Return whether an operation depends on constants and variables alone, and gives the same whenever it runs."""
    seen, left = {operation}, [operation]
    while left:
        earlier = left.pop()
        if earlier.control_inputs or earlier.type.startswith("Placeholder"):
            return False
        if earlier.op_def.is_stateful and earlier.type not in _VARIABLES:
            return False
        above = {tensor.op for tensor in earlier.inputs} - seen
        seen |= above
        left += above
    return True
