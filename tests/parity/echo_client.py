"""A reference client without TensorFlow: the port answers for both references, so every case is at parity."""

from __future__ import annotations

import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from parity import keras
from parity.assets.source import ModelSource
from parity.reference.request import ReferenceAnswer, ReferenceCall, ReferenceRequest
from signxai_torch import explain
from signxai_torch.methods.grammar import number_to_text

# The port's prefix for each rule of the input layer; a pair of bounds stands for the bounded rule.
_PREFIXES = {"SIGN": "lrpsign", "SIGNmu": "lrpsign", "Z": "lrpz", "Bounded": "zblrp", "WSquare": "w2lrp",
             "Flat": "flatlrp"}  # fmt: skip
_OPTIONS = {"last_conv_layer_name": "target_layer", "augment_by_n": "samples"}
_NOT_THE_PORTS = ("disable_model_checks", "input_layer_rule", "bias", "alpha", "beta")


class EchoClient:
    """Takes the place of `ReferenceClient`; its options are ignored.

    Attributes
    ----------
    wrong
        Names of calls that are answered with maps that are twice as large.
    interrupt_after
        Number of requests after which Ctrl-C comes, or None.
    unable
        Why no reference can run, or None.
    requests
        Every request so far.
    """

    wrong: frozenset[str] = frozenset()
    interrupt_after: int | None = None
    unable: str | None = None

    def __init__(self, *_arguments, **_options) -> None:
        self.store = SimpleNamespace(damaged=[])
        self.store_errors: list[Exception] = []
        self.fault: str | None = None
        self.requests: list[ReferenceRequest] = []
        self._modules: dict[tuple[Path, str, str], keras.KerasModule] = {}

    def __enter__(self):
        return self

    def __exit__(self, *_what) -> None:
        pass

    def environment(self) -> dict[str, str]:
        return {"echo": "1"}

    def close(self, grace: float = 0.0) -> None:
        pass

    def is_stored(self, _request) -> bool:
        return False

    def module(self, source: ModelSource, dtype: str) -> keras.KerasModule:
        """Return a model, loaded once."""
        key = source.path, source.sha256, dtype
        if key not in self._modules:
            self._modules[key] = source.load(dtype)
        return self._modules[key]

    def answer(self, request) -> list[ReferenceAnswer]:
        self.requests.append(request)
        if self.interrupt_after is not None and len(self.requests) > self.interrupt_after:
            raise KeyboardInterrupt
        time.sleep(float(os.environ.get("ECHO_SECONDS", "0")))
        module = self.module(request.model, request.dtype)
        return [
            ReferenceAnswer(self.map_of(module, request.call, np.asarray(array), target))
            for array, target in zip(request.inputs, request.targets, strict=True)
        ]

    def map_of(self, module: keras.KerasModule, call: ReferenceCall, array: np.ndarray, target: int) -> np.ndarray:
        """Return the port's answer to a call about one input; tables of rules and traces are none of its answers."""
        if call.asks_for_logits:
            return module.logits(array[None])[0]
        if call.asked_for_rules is not None or call.asked_for_trace is not None:
            return np.zeros(1)
        name, parameters = as_the_port_is_asked(call)
        if name.startswith("grad_cam") and array.ndim == 3 and array.shape[0] != array.shape[1]:
            parameters["size"] = array.shape[1::-1]  # SIGN-XAI hands height and width on as width and height
        relevance = module.to_keras(explain(module, module.to_torch(array[None]), name, target=target, **parameters))[0]
        return np.array(relevance * (2 if call.name in self.wrong else 1))


def as_the_port_is_asked(call: ReferenceCall) -> tuple[str, dict[str, Any]]:
    """Return the port's name and parameters for what a reference is asked."""
    options = dict(call.options)
    name = call.name if call.kind == "wrapper" else _named(call)
    for what, value in call.modifiers:
        name += f"_{what}" if value is None else f"_{what}_{number_to_text(value)}"
    parameters = {_OPTIONS.get(key, key): value for key, value in options.items() if key not in _NOT_THE_PORTS}
    bounds = options.get("input_layer_rule")
    if isinstance(bounds, list):
        parameters |= dict(zip(("low", "high"), bounds, strict=True))
    if call.noise is not None:
        parameters |= {"seed": call.noise.seed, "samples": call.noise.samples, "noise_scale": call.noise.scale}
    return name, parameters


def _named(call: ReferenceCall) -> str:
    """Return the port's spelling of an analyzer of either reference."""
    name, options = call.name, call.options
    if not name.startswith("lrp."):
        same_name = name in ("integrated_gradients", "smoothgrad") and call.backend == "innvestigate"
        return f"innvestigate.{name}" if same_name else name
    rule = name.removeprefix("lrp.")
    if "alpha" in options:
        numbers = [number_to_text(options[key]) for key in ("alpha", "beta")]
        rule = f"alpha_{numbers[0]}_beta_{numbers[1]}" + ("" if options.get("bias", True) else "_IB")
    first = options.get("input_layer_rule")
    if first is not None:
        return f"{'zblrp' if isinstance(first, list) else _PREFIXES[first]}_{rule}"
    return f"lrp.{rule}" if call.backend == "innvestigate" else f"lrp_{rule}"
