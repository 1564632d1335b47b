"""The user's model as explanations see it: a stand-in in eval mode that returns logits, watched or recorded."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.operations.cached import cached_property
from signxai_torch.operations.checks import check_inputs, check_logits, takes_tokens, telling_of_mismatch
from signxai_torch.operations.counting import Count
from signxai_torch.operations.inputs import Inputs
from signxai_torch.operations.kind import Kind
from signxai_torch.operations.precision import full_float32
from signxai_torch.operations.recorder import Keep, Recorder
from signxai_torch.operations.refusal import Obstacle, UnhookedOperationError, refuse
from signxai_torch.operations.replica import replicate
from signxai_torch.operations.tape import Tape
from signxai_torch.operations.watch import Watch, autocast_is_on, is_watching

Recording = Recorder | Tape
Output = Callable[[Any], Tensor]
"""Makes logits of what a model returns, such as ``lambda output: output.logits``."""


class Model:
    """A model and what makes logits of its output; the model itself is only read.

    Parameters
    ----------
    module : torch.nn.Module
        The model.
    output : callable, optional
        Makes logits of what it returns.
    inputs : Inputs, optional
        How it takes its inputs, if it takes several; everybody else sees one tensor.
    """

    def __init__(self, module: nn.Module, output: Output | None = None, inputs: Inputs | None = None) -> None:
        self.module, self.output, self.inputs = module, output, inputs or Inputs()
        self.softmax = ""
        self.shape = torch.Size()

    @cached_property
    def replica(self) -> nn.Module:
        """The stand-in that passes of autograd run."""
        return replicate(self.module)

    @property
    def takes_tokens(self) -> bool:
        """Whether it has an embedding."""
        return takes_tokens(self.module)

    def logits(self, x: Tensor, count: Count | None = None) -> Tensor:
        """Return the logits, one row per sample, in autograd's graph if `x` is.

        Parameters
        ----------
        x : torch.Tensor
            Input, batch first. A model that works in place on its input gets a copy.
        count : Count, optional
            Counts what the forward pass takes.

        Raises
        ------
        TypeError, ValueError
            If the output is not one row of finite numbers per sample.
        """
        points = self.inputs.points(x)
        watch = Watch(points, self.inputs, count)
        try:
            with watch:
                logits = self._settled(self.inputs.call(self.replica, points), x, watch)
        finally:
            watch.over = True
        self.softmax = watch.softmax_of(logits)
        return logits

    def record(
        self, x: Tensor, keep: Keep, modules: Collection[str] = (), opened: Collection[Kind] = ()
    ) -> tuple[Recording, Tensor]:
        """Return the recording of a forward pass, and the logits.

        Parameters
        ----------
        x : torch.Tensor
            Input, batch first.
        keep : callable
            Says what rules need of each operation.
        modules : collection of str
            Paths of modules whose results are wanted.
        opened : collection of Kind
            Modules that declare themselves to be of these kinds are looked into all the same.
        """
        recorder = Recorder(x, keep, modules, opened, self.inputs)
        replica = replicate(self.module, recorder.wrap)

        def forward(*points: Tensor) -> Tensor:
            return self._settled(self.inputs.call(replica, points), x, recorder)

        return recorder, recorder.run(forward)

    def why_no_gradient(self, x: Tensor) -> None:
        """Refuse a model whose output autograd finds not to depend on its input, with the place of the cut.

        Raises
        ------
        UnhookedOperationError
            Always.
        """
        recorder, _ = self.record(x, lambda operation: (False, False))
        cuts = "; ".join(dict.fromkeys(recorder.cuts))
        refuse("a gradient", [
            Obstacle(f"its output is cut from its input by {cuts}", "let the gradient through") if cuts
            else Obstacle("its output does not depend on its input, as far as autograd can tell",
                          "tokens that are looked up in a table have no gradient, so explain the part of the model "
                          "behind the table; a quantised model has none, so use the model that it was made from")
        ])  # fmt: skip

    def _settled(self, made: Any, x: Tensor, watch: Watch) -> Tensor:
        made = made if self.output is None else self.output(made)
        watch.paused = True  # looking at the output is no part of the model
        try:
            logits = check_logits(self.module, made, len(x))
        finally:
            watch.paused = False
        self.shape = logits.shape[1:]
        return logits if logits.dim() == 2 else watch.rows(logits)


@contextmanager
def _without_autocast(device: str) -> Iterator[None]:
    if not autocast_is_on(device):
        yield
        return
    with torch.autocast(device, enabled=False):
        yield


@contextmanager
def explaining(module: nn.Module, x: Any, output: Output | None = None) -> Iterator[tuple[Model, Tensor]]:
    """Explain a batch inside; yields the model as explanations see it, and the batch, checked and in one tensor.

    Raises
    ------
    UnhookedOperationError
        Inside of another explanation, whose operations these would be.
    TypeError, ValueError
        See `signxai_torch.operations.checks`.
    """
    refuse_inside_of_another()
    batch, inputs = check_inputs(module, x)
    with undisturbed(module, batch):
        yield Model(module, output, inputs), batch


def refuse_inside_of_another() -> None:
    """Refuse to explain inside of another explanation, whose operations these would be.

    Raises
    ------
    UnhookedOperationError
        If one runs in this thread.
    """
    if is_watching():
        raise UnhookedOperationError(
            "an explanation runs inside of a forward pass that is being explained (in a hook, or in a model's forward);"
            " explain after that pass"
        )


@contextmanager
def undisturbed(module: nn.Module, batch: Tensor) -> Iterator[None]:
    """Explain inside, whatever modes of torch the caller has on; a model of another dtype is told of in words."""
    with (
        torch.inference_mode(False), _without_autocast(batch.device.type), full_float32(batch),
        telling_of_mismatch(module, batch),
    ):  # fmt: skip
        yield
