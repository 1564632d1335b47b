"""How published hooks and composites go on modules: a module's call is recorded, and one autograd node stands for it.

zennit's own hooks let autograd run a module's backward pass and then replace the result. Here the module's forward
pass runs once, under `signxai_torch.operations.recorder.Recorder` and as in eval mode, and the node that takes its
place hands relevance down as the recording says, operation by operation. So functions inside a module have their rules
too, and weights are those that the module really used. All that changes on the module is its attribute `forward`, and
only while a hook is attached.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from zennit.core import Hook, RemovableHandle, RemovableHandleList

from signxai_torch.lrp.assignment import Assignment, assign
from signxai_torch.lrp.backward import backward
from signxai_torch.lrp.composites import Composite
from signxai_torch.lrp.passes import recorded
from signxai_torch.operations.kind import Kind
from signxai_torch.operations.model import Model
from signxai_torch.operations.operation import Place, filled
from signxai_torch.operations.recorder import Keep, Recorder
from signxai_torch.operations.refusal import refuse
from signxai_torch.operations.replica import replicate

_USERS_HOOKS = ("_forward_pre_hooks", "_forward_hooks", "_backward_pre_hooks", "_backward_hooks")


class _Called(Model):
    """A module's call as recordings see a model: any arguments, and a result of any shape."""

    def __init__(self, module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any], place: Place) -> None:
        self.module, self.args, self.keywords, self.place = module, args, keywords, place

    def record(
        self, x: Tensor, keep: Keep, modules: Collection[str] = (), opened: Collection[Kind] = ()
    ) -> tuple[Recorder, Tensor]:
        """Return the recording of the call with `x` at its place, and the result."""
        recorder = Recorder(x, keep, modules, opened)
        replica = replicate(self.module, recorder.wrap)
        # Hooks on the module itself run in its own call, around this one.
        replica.__dict__.update((name, OrderedDict()) for name in _USERS_HOOKS)

        def forward(point: Tensor) -> Tensor:
            args, keywords = filled(self.args, self.keywords, [self.place], [point])
            made = replica(*args, **keywords)
            if not isinstance(made, Tensor):
                raise TypeError(f"{type(self.module).__name__} returns {type(made).__name__}; a rule needs one tensor")
            return made

        return recorder, recorder.run(forward)


class Recording:
    """One recorded call of a module.

    Parameters
    ----------
    module : torch.nn.Module
        The module.
    args, keywords : tuple, dict
        What it was called with.
    place : int, str or tuple
        Where its input stands among them.
    keep : callable
        Says what rules need of each operation.

    Attributes
    ----------
    x, output : torch.Tensor
        What the module was given and what it returned, detached.
    """

    def __init__(
        self, module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any], place: Place, keep: Keep
    ) -> None:
        self.module, self.x = module, _at(args, keywords, place).detach()
        self._recorder, self.output, self._end = recorded(_Called(module, args, keywords, place), self.x, keep)

    def __del__(self) -> None:
        # Operations and values refer to each other: without this they would hold all tensors until Python looks for
        # circles.
        for operation in self._recorder.operations if hasattr(self, "_recorder") else ():
            for value in (*operation.results, *operation.sources):
                value.kept = None

    def assigned(self, composite: Composite) -> Assignment:
        """Return the rules of the call's operations under a composite.

        Raises
        ------
        UnhookedOperationError
            If one needs a rule and there is none; the message tells all of them.
        """
        assigned = assign(self._recorder.operations, self._end, composite)
        refuse(f"a rule on {type(self.module).__name__}", [*self._recorder.obstacles, *assigned.obstacles])
        return assigned

    def walk(self, arriving: Tensor, assigned: Assignment | None = None) -> Tensor:
        """Return the relevance of the input, or its gradient where no rules are given."""
        x = self._recorder.input
        relevance = backward(self._recorder.operations, {self._end: arriving}, (x,), assigned).get(x)
        return torch.zeros_like(self.x) if relevance is None else relevance


class _Node(torch.autograd.Function):
    """The autograd node that stands for one call of a module."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, recording: Recording, down: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.recording, ctx.down = recording, down
        # The caller may change the result in place; what the recording has kept of it stays as it was.
        return recording.output.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[misc]
    def backward(ctx: Any, *arriving: Tensor) -> tuple[Tensor | None, ...]:
        return ctx.down(arriving[0]), None, None


class AttachedHook(Hook):
    """Base of all published hooks: a zennit hook that answers for the calls of one module.

    A subclass says in `prepare` how a recorded call hands relevance down.
    """

    def keep(self, operation: Any) -> tuple[bool, bool]:
        """Return whether rules need what an operation read, and what it made."""
        return True, True

    def prepare(self, recording: Recording) -> Callable[[Tensor], Tensor]:
        """Return the function from the relevance of a call's result to that of its input.

        Parameters
        ----------
        recording : Recording
            The call.
        """
        raise NotImplementedError

    def register(self, module: nn.Module) -> RemovableHandleList:
        """Attach to a module; the handles returned detach.

        Raises
        ------
        RuntimeError
            If the module has such a hook already: a call has one rule.
        TypeError
            If it is a TorchScript module, whose operations nobody sees.
        """
        if isinstance(module, torch.jit.ScriptModule):
            raise TypeError(
                "rules do not see what TorchScript computes; attach them to the module that it was made from"
            )
        if hook_on(module) is not None:
            raise RuntimeError(
                f"this {type(module).__name__} has {type(hook_on(module)).__name__} attached already; remove that first"
            )
        forward = _Forward(self, module, module.__dict__.get("forward"))
        module.__dict__["forward"] = MethodType(forward, module)  # bound, so that a copy of the module has its own
        return RemovableHandleList([RemovableHandle(self), forward])


def hook_on(module: nn.Module) -> AttachedHook | None:
    """Return the published hook that is attached to a module, None if there is none."""
    forward = getattr(module.__dict__.get("forward"), "__func__", None)
    attached = isinstance(forward, _Forward) and forward.attached and forward.module is module
    return forward.hook if isinstance(forward, _Forward) and attached else None


@dataclass(eq=False)
class _Forward:
    """The forward of a module while a hook is attached, and the handle that takes it away again."""

    hook: AttachedHook
    module: nn.Module
    before: Any
    attached: bool = True

    def __call__(self, module: nn.Module, /, *args: Any, **keywords: Any) -> Any:
        if not self.attached or module is not self.module or not torch.is_grad_enabled():
            # Stand-ins and copies of the module are none that anybody attached a hook to.
            return self._plain(module)(*args, **keywords)
        live = _live(args, keywords)
        if len(live) != 1:
            if live and next(module.parameters(), None) is not None:
                raise TypeError(f"{type(module).__name__} is called with several tensors; a rule needs one")
            return self._plain(module)(*args, **keywords)  # joins branches: the gradient goes to each
        _refuse_nested(module)
        recording = Recording(module, args, keywords, live[0], self.hook.keep)
        rules = self.hook.prepare(recording)

        def down(arriving: Tensor) -> Tensor:
            return rules(arriving) if self.hook.active else recording.walk(arriving)

        return _Node.apply(_at(args, keywords, live[0]), recording, down)

    def _plain(self, module: nn.Module) -> Callable[..., Any]:
        if self.before is None:
            return type(module).forward.__get__(module)  # type: ignore[no-any-return]
        if isinstance(self.before, MethodType) and self.before.__self__ is self.module:
            return MethodType(self.before.__func__, module)
        return self.before  # type: ignore[no-any-return]

    def remove(self) -> None:
        """Give the module its own forward back."""
        self.attached = False
        if getattr(self.module.__dict__.get("forward"), "__func__", None) is not self:
            return  # somebody has put another one around it, which still calls this
        if self.before is None:
            del self.module.__dict__["forward"]
        else:
            self.module.__dict__["forward"] = self.before


def _refuse_nested(module: nn.Module) -> None:
    """Refuse a module of which a part has a hook too: its calls would be part of this one's."""
    for name, part in module.named_modules():
        if part is not module and (inner := hook_on(part)) is not None:
            raise RuntimeError(
                f"{type(inner).__name__} is attached to {name!r}, a part of a {type(module).__name__} that "
                "has a hook or a composite itself; remove one of them"
            )


def _live(args: tuple[Any, ...], keywords: dict[str, Any]) -> list[Place]:
    """Return where tensors stand that need a gradient, lists of tensors included."""
    places: list[Place] = []
    named: list[tuple[int | str, Any]] = [*enumerate(args), *keywords.items()]
    for place, given in named:
        if isinstance(given, Tensor):
            places += [place] * given.requires_grad
        elif isinstance(given, (list, tuple)):
            places += [
                (place, index) for index, one in enumerate(given) if isinstance(one, Tensor) and one.requires_grad
            ]
    return places


def _at(args: tuple[Any, ...], keywords: dict[str, Any], place: Place) -> Tensor:
    outer, inner = place if isinstance(place, tuple) else (place, None)
    given = keywords[outer] if isinstance(outer, str) else args[outer]
    return given if inner is None else given[inner]  # type: ignore[no-any-return]
