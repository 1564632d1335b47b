"""Leave models as they were found, and let one thread at a time explain with a module."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from signxai_torch.operations.checks import check_input, check_logits, telling_of_mismatch

# A lock per module. An explanation takes those of all modules of its model, so that models that share some wait for
# each other too, and all others do not.
_LOCKS: WeakKeyDictionary[nn.Module, threading.RLock] = WeakKeyDictionary()
_MAKING = threading.Lock()


@contextmanager
def _alone(model: nn.Module) -> Iterator[None]:
    """Hold the locks of a model's modules, taken in one order in all threads; a thread may do so again inside."""
    with _MAKING:
        locks = [_LOCKS.setdefault(module, threading.RLock()) for module in model.modules()]
    with ExitStack() as stack:
        for lock in sorted(locks, key=id):
            stack.enter_context(lock)
        yield


@contextmanager
def undisturbed(model: nn.Module) -> Iterator[nn.Module]:
    """Explain inside: eval mode, no parameter gradients, no in-place layers; restored on leaving, also by an error.

    In-place activations would overwrite the pre-activations that rules divide by. A model that works in place on its
    input gets a copy of it at every call. All this changes the model for a while, so threads that explain with the
    same modules take turns. Logits that are not finite numbers raise.
    """
    with _alone(model), torch.inference_mode(False):
        training = [(module, module.training) for module in model.modules()]
        gradients = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        inplace = [(module, True) for module in model.modules() if getattr(module, "inplace", False) is True]
        handles = []
        try:
            for module, _ in training:
                module.training = False
            for parameter, _ in gradients:
                parameter.requires_grad_(False)
            for module, _ in inplace:
                module.inplace = False  # type: ignore[assignment]
            handles.append(model.register_forward_pre_hook(_copied, prepend=True))
            handles.append(model.register_forward_hook(check_logits))
            yield model
        finally:
            for handle in handles:
                handle.remove()
            for module, mode in training:
                module.training = mode
            for parameter, wanted in gradients:
                parameter.requires_grad_(wanted)
            for module, mode in inplace:
                module.inplace = mode  # type: ignore[assignment]


def _copied(model: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.clone() if isinstance(one, Tensor) else one for one in inputs)


@contextmanager
def explaining(model: nn.Module, x: Any) -> Iterator[Tensor]:
    """Explain a batch inside, `undisturbed`; yields the batch, checked. `operations.checks` says what raises."""
    x = check_input(model, x)
    with undisturbed(model), telling_of_mismatch(model, x):
        yield x
