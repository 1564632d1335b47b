"""Captum's form: an object that is made for a model and asked with ``attribute(inputs, target)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.api import explain
from signxai_torch.methods.grammar import parse
from signxai_torch.published.options import canonical

__all__ = ["Attribution"]


class Attribution:
    """One method for a model, called as captum's attribution classes are.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits. It is only read.
    method : str
        A method name, see `signxai_torch.list_methods`.
    **params
        Parameters of the method for every call.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.

    Examples
    --------
    >>> import torch
    >>> from signxai_torch import Attribution
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> Attribution(model, "lrpsign_z").attribute(torch.ones(2, 4), target=1).shape
    torch.Size([2, 4])
    """

    def __init__(self, model: nn.Module, method: str, **params: Any) -> None:
        parse(method)
        self.model, self.method, self.params = model, method, self._asked(params)

    def attribute(self, inputs: Any, target: Any = None, **params: Any) -> Any:
        """Return the map as a tensor on the device of the inputs; several inputs have a tensor each, held as they are.

        Parameters
        ----------
        inputs : torch.Tensor, or tuple, list or dict of str to torch.Tensor
            Torch layout, batch first.
        target : None, int, tuple of int or one per sample
            The explained class; None takes each sample's arg-max.
        **params
            Parameters of the method for this call; captum's ``baselines``, ``n_steps``, ``nt_samples`` and ``stdevs``
            are understood.

        Raises
        ------
        TypeError, ValueError
            As `signxai_torch.explain` does.
        """
        relevance = explain(self.model, inputs, self.method, target, **{**self.params, **self._asked(params)})
        if isinstance(inputs, Tensor):
            return torch.as_tensor(relevance, device=inputs.device)
        if isinstance(inputs, Mapping):
            return {name: torch.as_tensor(relevance[name], device=inputs[name].device) for name in inputs}
        maps = [torch.as_tensor(part, device=x.device) for part, x in zip(relevance, inputs, strict=True)]
        return inputs._make(maps) if hasattr(inputs, "_make") else type(inputs)(maps)

    @staticmethod
    def _asked(params: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters under the table's names."""
        taken = sorted({"model", "x", "method", "target"} & params.keys())
        if taken:
            raise TypeError(f"{', '.join(taken)} is no parameter of a method")
        return canonical(params)
