"""A reference client without TensorFlow: the port answers for the reference, so every case is at parity."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import numpy as np
import torch

from parity import keras
from parity.reference.request import ReferenceAnswer
from signxai_torch import explain


class EchoClient:
    """Takes the place of `ReferenceClient`; its options are ignored.

    Attributes
    ----------
    wrong
        Method names that are answered with maps that are twice as large.
    interrupt_after
        Number of requests after which Ctrl-C comes, or None.
    """

    wrong: frozenset[str] = frozenset()
    interrupt_after: int | None = None

    def __init__(self, *_arguments, **_options) -> None:
        self.store = SimpleNamespace(damaged=[])
        self.store_errors: list[Exception] = []
        self.fault: str | None = None
        self._requests = 0

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

    def answer(self, request) -> list[ReferenceAnswer]:
        self._requests += 1
        if self.interrupt_after is not None and self._requests > self.interrupt_after:
            raise KeyboardInterrupt
        time.sleep(float(os.environ.get("ECHO_SECONDS", "0")))
        source, call = request.model, request.call
        module = keras.load(source.path, architecture=source.architecture, dtype=getattr(torch, request.dtype))
        answers = []
        for array, target in zip(request.inputs, request.targets, strict=True):
            x = module.to_torch(array[None])
            if call.kind == "logits":
                with torch.no_grad():
                    answers.append(ReferenceAnswer(array=module(x)[0].numpy()))
                continue
            result = module.to_keras(explain(module, x, call.name, target=target))[0]
            answers.append(ReferenceAnswer(array=np.array(result * (2 if call.name in self.wrong else 1))))
        return answers
