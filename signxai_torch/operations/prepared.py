"""A model that is explained many times: what is the same every time is found out once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.operations.checks import check_finite, check_model, takes_tokens
from signxai_torch.operations.counting import Count
from signxai_torch.operations.drawn import Generators
from signxai_torch.operations.inputs import Inputs
from signxai_torch.operations.kind import Kind
from signxai_torch.operations.model import Model, Output, Recording
from signxai_torch.operations.proof import is_proven
from signxai_torch.operations.recorder import Keep, Recorder
from signxai_torch.operations.standing import Standing
from signxai_torch.operations.tape import Tape
from signxai_torch.operations.watch import others_watch

TAPES = 8
"""How many shapes of inputs are remembered; of sequences every length is another."""
REST = 32
"""How often a shape must come until it gets a tape again, after others took its place."""
_Key = tuple[torch.Size, tuple[int, ...], torch.dtype, torch.device, torch.dtype]


class _Lending:
    """A tape, and whether it is free for a walk: a walk keeps its values in it."""

    def __init__(self, tape: Tape) -> None:
        self.tape, self._idle = tape, [tape]
        tape.given_back = self._take_back

    def take(self) -> Tape | None:
        """Return the tape; None while another thread walks it."""
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _take_back(self, tape: Tape) -> None:
        if not self._idle:
            self._idle.append(tape)


def _forget_oldest(known: dict[_Key, Any], most: int) -> list[_Key]:
    """Forget what came first, and return what that was; other threads may be at it too."""
    oldest = list(known)[: max(0, len(known) - most)]
    for key in oldest:
        known.pop(key, None)
    return oldest


class Preparation:
    """What is known of a model as it stands; of no use once it has changed.

    Parameters
    ----------
    module : torch.nn.Module
        The model.
    output : callable, optional
        Makes logits of what it returns.

    Raises
    ------
    TypeError, ValueError
        See `signxai_torch.operations.checks.check_model`.
    """

    def __init__(self, module: nn.Module, output: Output | None = None) -> None:
        check_model(module)
        self.standing = Standing(module, output)
        self.module, self.output = module, output
        self.takes_tokens = takes_tokens(module)
        self._met: dict[_Key, tuple[int, object]] = {}
        self._made: dict[_Key, _Lending | None] = {}

    def tape(self, x: Tensor, explanation: object) -> Tape | None:
        """Return the tape for inputs like `x`, for passes of autograd; None if there is none."""
        lending = None if others_watch() else self._lending(x, explanation)
        return None if lending is None else lending.tape

    def lent(self, x: Tensor, explanation: object) -> Tape | None:
        """Return the tape for inputs like `x`, for a walk; nobody else is handed it before its `forget`."""
        lending = None if others_watch() else self._lending(x, explanation)
        return None if lending is None else lending.take()

    def _lending(self, x: Tensor, explanation: object) -> _Lending | None:
        key = _key(x)
        if key in self._made:
            return self._made.get(key)
        # A tape is made in the second explanation: who explains once shall not pay for it, and a model that changes
        # itself whenever it runs is another one by then.
        times, last = self._met.get(key, (0, None))
        times += last is not explanation
        self._met[key] = times, explanation
        _forget_oldest(self._met, 10 * TAPES)
        if times < 2:
            return None
        tape = self._taped(x)
        self._made[key] = lending = None if tape is None else _Lending(tape)
        for forgotten in _forget_oldest(self._made, TAPES):
            self._met[forgotten] = 2 - REST, explanation
        return lending

    def _taped(self, x: Tensor) -> Tape | None:
        """Return a tape that makes what the model makes; None if there is none."""
        if not self.standing.is_known:
            return None
        generators = Generators(x.device)
        try:
            tape = self._proven(x)
        except Exception:  # of the model; if it is one of every run, the explanation meets it by itself
            tape = None
        finally:
            drawn = generators.put_back()  # what is tried here draws nothing from what the caller will draw
        return None if drawn else tape

    def _proven(self, x: Tensor) -> Tape | None:
        plain = Model(self.module, self.output)
        x = x.detach()
        recorder, made = plain.record(x, lambda operation: (False, False))
        output = recorder.value_of(made)
        if output is None or not isinstance(recorder, Recorder):
            return None
        if recorder.obstacles or recorder.cuts or recorder.fixed:
            return None
        # Before the proof: what is changed in between by another thread shall not pass for what the tape was made of.
        self.standing.compare(recorder.weights)
        tape = Tape(recorder, output, plain.shape)
        if not self.standing.is_known or not is_proven(tape, plain, x):
            return None
        tape.softmax = plain.softmax
        return tape


def _key(x: Tensor) -> _Key:
    # A model makes constants of the default dtype.
    return x.shape, x.stride(), x.dtype, x.device, torch.get_default_dtype()


class PreparedModel(Model):
    """A model for one explanation, which runs a tape where there is one.

    Parameters
    ----------
    preparation : Preparation
        What is known of it.
    inputs : Inputs
        How it takes its inputs.
    """

    def __init__(self, preparation: Preparation, inputs: Inputs) -> None:
        super().__init__(preparation.module, preparation.output, inputs)
        self._preparation, self._explanation = preparation, object()

    @property
    def takes_tokens(self) -> bool:
        """See `Model.takes_tokens`."""
        return self._preparation.takes_tokens

    def logits(self, x: Tensor, count: Count | None = None) -> Tensor:
        """See `Model.logits`."""
        tape = self._preparation.tape(x, self._explanation) if self.inputs.alone else None
        if tape is None:
            return super().logits(x, count)
        self.shape, self.softmax = tape.shape, tape.softmax
        return check_finite(self.module, tape.logits(x, count))

    def record(
        self, x: Tensor, keep: Keep, modules: Collection[str] = (), opened: Collection[Kind] = ()
    ) -> tuple[Recording, Tensor]:
        """See `Model.record`."""
        tape = None if modules or opened or not self.inputs.alone else self._preparation.lent(x, self._explanation)
        if tape is None:
            return super().record(x, keep, modules, opened)
        self.shape = tape.shape
        return tape, check_finite(self.module, tape.record(x, keep))
