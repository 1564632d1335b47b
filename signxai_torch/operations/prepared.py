"""A model that is explained many times: what is the same every time is found out once."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.operations.checks import check_finite, check_model, takes_tokens
from signxai_torch.operations.counting import Count
from signxai_torch.operations.inputs import Inputs
from signxai_torch.operations.kind import Kind
from signxai_torch.operations.model import Model, Output, Recording
from signxai_torch.operations.recorder import Keep, Recorder
from signxai_torch.operations.standing import Standing
from signxai_torch.operations.tape import Tape

TAPES = 8
"""How many shapes of inputs are remembered; of sequences every length is another."""
_Key = tuple[torch.Size, tuple[int, ...], torch.dtype, torch.device]


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


def _forget_oldest(known: dict[_Key, Any], most: int) -> None:
    while len(known) > most:
        known.pop(next(iter(known)), None)


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
        self.standing = Standing(module)
        self.module, self.output = module, output
        self.takes_tokens = takes_tokens(module)
        self._met: dict[_Key, None] = {}
        self._made: dict[_Key, _Lending | None] = {}

    def tape(self, x: Tensor) -> Tape | None:
        """Return the tape for inputs like `x`, for passes of autograd; None if there is none."""
        lending = self._lending(x)
        return None if lending is None else lending.tape

    def lent(self, x: Tensor) -> Tape | None:
        """Return the tape for inputs like `x`, for a walk; nobody else is handed it before its `forget`."""
        lending = self._lending(x)
        return None if lending is None else lending.take()

    def _lending(self, x: Tensor) -> _Lending | None:
        # A tape is made when an input comes for the second time: who explains once shall not pay for it.
        key = _key(x)
        if key not in self._made:
            if key not in self._met:
                self._met[key] = None
                _forget_oldest(self._met, 10 * TAPES)
                return None
            tape = self._proven(x)
            self._made[key] = None if tape is None else _Lending(tape)
            _forget_oldest(self._made, TAPES)
        return self._made.get(key)

    def _proven(self, x: Tensor) -> Tape | None:
        """Return a tape that makes what the model makes, of this input and of another; None if there is none."""
        plain = Model(self.module, self.output)
        x = x.detach()
        recorder, made = plain.record(x, lambda operation: (False, False))
        output = recorder.value_of(made)
        if output is None or not isinstance(recorder, Recorder):
            return None
        if recorder.obstacles or recorder.cuts or recorder.fixed:
            return None
        tape = Tape(recorder, output, plain.shape)
        with torch.no_grad():
            other = torch.empty_like(x).copy_(x.flip(tuple(range(x.dim()))) / 2)
            for batch in (x, other):
                try:
                    same = torch.equal(plain.logits(batch), tape.logits(batch))
                except ValueError:  # what is no input of the model proves nothing
                    return None
                if not same:
                    return None
        tape.softmax = plain.softmax
        return tape


def _key(x: Tensor) -> _Key:
    return x.shape, x.stride(), x.dtype, x.device


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
        self._preparation = preparation

    @property
    def takes_tokens(self) -> bool:
        """See `Model.takes_tokens`."""
        return self._preparation.takes_tokens

    def logits(self, x: Tensor, count: Count | None = None) -> Tensor:
        """See `Model.logits`."""
        tape = self._preparation.tape(x) if self.inputs.alone else None
        if tape is None:
            return super().logits(x, count)
        self.shape, self.softmax = tape.shape, tape.softmax
        return check_finite(self.module, tape.logits(x, count))

    def record(
        self, x: Tensor, keep: Keep, modules: Collection[str] = (), opened: Collection[Kind] = ()
    ) -> tuple[Recording, Tensor]:
        """See `Model.record`."""
        tape = None if modules or opened or not self.inputs.alone else self._preparation.lent(x)
        if tape is None:
            return super().record(x, keep, modules, opened)
        self.shape = tape.shape
        return tape, check_finite(self.module, tape.record(x, keep))
