"""What keeps a stranger's code from changing what the harness computes: models of its own, and settings put back."""

from __future__ import annotations

import contextlib
import copy
import os
from collections.abc import Iterator
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from parity.keras import KerasModule


class PrivateModels:
    """Copies of the harness's models for a subject to work on: one per model, renewed when the subject changed it.

    A model exists once per dtype, so a subject meets one object per model and dtype and may keep things for it. What
    it leaves behind, such as train mode or a hook, reaches neither the harness nor the subject's next case.
    """

    def __init__(self) -> None:
        self._copies: WeakKeyDictionary[KerasModule, KerasModule] = WeakKeyDictionary()

    @contextlib.contextmanager
    def borrowed(self, module: KerasModule) -> Iterator[KerasModule]:
        """Give out the copy of a model, and drop it afterwards if it is no longer equal to the model."""
        if module not in self._copies:
            self._copies[module] = copy.deepcopy(module)
        private = self._copies[module]
        try:
            yield private
        finally:
            if not _equal(module, private):
                self._copies.pop(module, None)


def _equal(module: nn.Module, private: nn.Module) -> bool:
    """Return whether two models have the same parts, modes, hooks and values."""
    try:
        if _parts(module) != _parts(private):
            return False
        ours, theirs = _tensors(module), _tensors(private)
        return ours.keys() == theirs.keys() and all(_same(ours[name], theirs[name]) for name in ours)
    except Exception:  # so changed that it cannot even be listed
        return False


def _same(ours: torch.Tensor, theirs: torch.Tensor) -> bool:
    kinds = [(tensor.requires_grad, tensor.dtype, tensor.device, tensor.grad is None) for tensor in (ours, theirs)]
    return kinds[0] == kinds[1] and torch.equal(ours, theirs)


def _parts(module: nn.Module) -> list[tuple[Any, ...]]:
    # The names of a part's attributes show hooks, rules and shadowed methods that were left on it.
    return [
        (
            name,
            type(part),
            part.training,
            sorted(vars(part)),
            [len(hooks) for key, hooks in vars(part).items() if key.endswith("_hooks") and hooks is not None],
        )
        for name, part in module.named_modules()
    ]


def _tensors(module: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


def _folder() -> str | None:
    """Return the working folder, None if it is gone."""
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:
        return None


@contextlib.contextmanager
def settings_kept() -> Iterator[None]:
    """Run code with gradients on, and put back what decides what others compute: settings of torch, the folder.

    An attempt to end the process at once (`os._exit`) is a `SystemExit`, as `sys.exit` is: a run of which a part was
    not run must not end like a good one.
    """
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    folder, leave = _folder(), os._exit
    owner = os.getpid()

    def refused(status: int) -> None:
        if os.getpid() != owner:  # a child that was forked ends as it likes
            leave(status)
        raise SystemExit(f"os._exit({status})")

    os._exit = refused  # type: ignore[assignment]
    try:
        with torch.enable_grad():
            yield
    finally:
        os._exit = leave
        if folder is not None and _folder() != folder:
            os.chdir(folder)
        torch.set_default_dtype(dtype)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
