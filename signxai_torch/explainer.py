"""One model, explained many times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from signxai_torch.lrp.targets import Target
from signxai_torch.methods.grammar import parse
from signxai_torch.operations.checks import check_batch
from signxai_torch.operations.inputs import Several
from signxai_torch.operations.layout import arrays
from signxai_torch.operations.model import Output, refuse_inside_of_another, undisturbed
from signxai_torch.operations.prepared import Preparation, PreparedModel
from signxai_torch.sweep.parameters import parameters_of
from signxai_torch.sweep.plan import Plan, Wanted


class Explainer:
    """Explains one model many times, and finds out once what is the same every time.

    The maps are those of `explain` and `explain_many`. What is left out is what they do anew at every call: reading
    the methods' names, copying the model's structure, running its Python code and finding the rules of its operations.
    From the second batch of one shape on, the functions that the model was seen to compute are called directly; a model
    whose code may choose by values, draws noise, or cuts the gradient runs as before, and so do models of several
    inputs. That another input gives the model's own logits, bit by bit, is tried before.

    Weights may be trained on, replaced or loaded in between, modules exchanged and attributes set: it is noticed, and
    all is found out again. What cannot be noticed is said with `refresh`: weights written through ``parameter.data``,
    and changes inside of objects that a module holds, or of anything else that its code reads.

    Parameters
    ----------
    model : torch.nn.Module
        The model, as for `explain`; it is only read.
    methods : str or sequence of str
        One method's name, or several.
    output : callable, optional
        Makes logits of what the model returns, as for `explain`.
    strict : bool
        Refuse what neither reference has a rule for.
    memory_limit : int, optional
        Bytes that may be taken besides the weights, as for `explain_many`.
    **params
        Parameters of the method, as for `explain`; of several methods, `seed` alone.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    TypeError, ValueError
        If the model or a parameter is not usable; the message says which and why.

    Examples
    --------
    >>> import torch, signxai_torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> explainer = signxai_torch.Explainer(model, "lrp_epsilon_0_1")
    >>> [explainer(torch.full((2, 4), value), target=0).shape for value in (0.5, 1.0, 2.0)]
    [(2, 4), (2, 4), (2, 4)]
    >>> sorted(signxai_torch.Explainer(model, ["lrp_z", "gradient"])(torch.ones(1, 4)))
    ['gradient', 'lrp_z']
    """

    def __init__(
        self,
        model: nn.Module,
        methods: str | Sequence[str],
        *,
        output: Output | None = None,
        strict: bool = False,
        memory_limit: int | None = None,
        **params: Any,
    ) -> None:
        self._alone = methods if isinstance(methods, str) else None
        if self._alone is None and params.keys() - {"seed"}:
            raise TypeError(
                f"{', '.join(sorted(params.keys() - {'seed'}))}: of several methods none takes a parameter by itself; "
                "put it into the name (lrp_epsilon_0_5), or make an Explainer of one method"
            )
        parsed = [parse(name) for name in dict.fromkeys([methods] if isinstance(methods, str) else methods)]
        given = params if self._alone is not None else {}
        self._plan = Plan([Wanted(one, parameters_of(one, given)) for one in parsed], strict)
        self._plan.seed = params.get("seed")
        self._model, self._output, self._memory_limit = model, output, memory_limit
        self._preparation: Preparation | None = Preparation(model, output)

    def __call__(self, x: Tensor | Several, target: Target = None) -> Any:
        """Explain a batch.

        Parameters
        ----------
        x : torch.Tensor, or tuple, list or dict of str to torch.Tensor
            Inputs in torch layout, batch first, as for `explain`.
        target : None, int, tuple of int, callable or one per sample
            The explained class, as for `explain`.

        Returns
        -------
        numpy.ndarray, or dict of str to numpy.ndarray
            The map, or one per method name. Maps of several inputs are held as the inputs are.

        Raises
        ------
        UnhookedOperationError, TypeError, ValueError
            As `explain`.
        """
        refuse_inside_of_another()
        preparation = self._preparation
        if preparation is None or not preparation.standing.still():
            preparation = self._preparation = Preparation(self._model, self._output)
        batch, inputs = check_batch(x, preparation.takes_tokens)
        with undisturbed(self._model, batch):
            try:
                maps = self._plan.run(PreparedModel(preparation, inputs), batch, target, self._memory_limit)
            except BaseException:
                self.refresh()  # what was being worked with is in an unknown state
                raise
            if self._alone is not None:
                return arrays([maps[self._alone]], inputs)[0]
            return dict(zip(maps, arrays(maps.values(), inputs), strict=True))

    def refresh(self) -> None:
        """Let the next call find out everything about the model anew."""
        self._preparation = None
