"""Whether a tape may stand for a model: what the model does on the way, and that both make the same logits.

A recording sees the functions of torch that a model calls. It does not see what a model does besides: change itself,
catch errors, or compute in code that torch tells nothing of. So the model runs again on several inputs, and is watched
while it does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from signxai_torch.operations.model import Model
from signxai_torch.operations.standing import Standing
from signxai_torch.operations.tape import Tape
from signxai_torch.operations.watch import Watch


class _InSight(Watch):
    """Knows when one of torch's functions runs that it was told of, and whether one raised an error."""

    inside = raised = False

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See `torch.overrides.TorchFunctionMode`."""
        self.inside = True
        try:
            return super().__torch_function__(function, types, args, kwargs)
        except BaseException:
            self.raised = True
            raise
        finally:
            self.inside = False


class _Kernels(TorchDispatchMode):
    """Notes whether a kernel runs outside of the functions that are in sight: of TorchScript, or of an extension."""

    def __init__(self, sight: _InSight) -> None:
        super().__init__()
        self.sight, self.hidden = sight, False

    def __torch_dispatch__(
        self, kernel: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See `torch.utils._python_dispatch.TorchDispatchMode`."""
        self.hidden |= not self.sight.inside
        return kernel(*args, **(kwargs or {}))


def is_proven(tape: Tape, model: Model, x: Tensor) -> bool:
    """Return whether a model computes what a tape does, and nothing besides.

    Parameters
    ----------
    tape : Tape
        The tape.
    model : Model
        The model that it was made of.
    x : torch.Tensor
        An input like those that the tape is for.

    Raises
    ------
    Exception
        Whatever the model raises of inputs that are none of its own.
    """
    # In a thread of its own: Ctrl-C may leave a mode on a thread's stack, where it would slow down whatever follows.
    seen: list[bool] = []
    thread = Thread(target=lambda: seen.append(_is_in_sight(model, x)), daemon=True)
    thread.start()
    thread.join()
    if seen != [True]:
        return False
    standing = Standing(model.replica, model.output)
    same = all(torch.equal(model.logits(batch), tape.logits(batch)) for batch in _inputs_like(x))
    return same and standing.still()


def _is_in_sight(model: Model, x: Tensor) -> bool:
    points = model.inputs.points(x)
    watch = _InSight(points, model.inputs)
    kernels = _Kernels(watch)
    try:
        with torch.no_grad(), kernels, watch:
            model.inputs.call(model.replica, points)
    except Exception:  # of the model, which proves nothing
        return False
    return not kernels.hidden and not watch.raised


def _inputs_like(x: Tensor) -> Iterator[Tensor]:
    """Yield inputs that lie in memory as `x` does: itself, and others in its range; one has a gradient."""
    with torch.no_grad():
        yield x
        yield torch.empty_like(x).copy_(x.flip(tuple(range(x.dim()))) / 2)
        least, most = (float(one) for one in torch.aminmax(x))
        spread = most - least or 1.0
        drawn = np.random.default_rng(0).uniform(least, least + spread, tuple(x.shape))
        other = torch.empty_like(x).copy_(torch.from_numpy(drawn))
        yield other
    yield other.requires_grad_()
