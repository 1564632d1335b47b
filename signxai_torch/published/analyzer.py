"""What all analyzers share: a model, options, and `analyze`.

``Analyzer(model, **options).analyze(input_tensor, target_class=None)`` is
``signxai_torch.explain(model, input_tensor, method, target_class, **parameters)``. Keyword arguments of `analyze`
go on top of the constructor's: the analyzer's own options, or parameters of its method such as ``seed``. What a
method has no use for is an error, and most such errors come from the constructor.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from torch import Tensor, nn

from signxai_torch.api import explain
from signxai_torch.lrp.targets import Target
from signxai_torch.methods.grammar import parse
from signxai_torch.published.options import canonical
from signxai_torch.sweep.parameters import parameters_of

Map = np.ndarray[Any, Any]


class AnalyzerBase(ABC):
    """Base of all analyzers: a model, and `analyze`.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). No analyzer changes it.
    """

    def __init__(self, model: nn.Module) -> None:
        if not isinstance(model, nn.Module):
            raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
        self.model = model

    @abstractmethod
    def analyze(self, input_tensor: Tensor, target_class: Target = None, **kwargs: Any) -> Map:
        """Return the map of an input.

        Parameters
        ----------
        input_tensor : torch.Tensor
            Inputs in torch layout, batch first: (N, C, H, W), (N, C, T) or (N, F). It is not changed.
        target_class : None, int or one int per sample
            The explained class; None takes each sample's arg-max.
        **kwargs
            Options for this call.

        Returns
        -------
        numpy.ndarray
            The map, signed, in the shape and dtype of the input.

        Raises
        ------
        TypeError, ValueError
            If the input, the target or an option is not usable; the message says which and why.
        """


class MethodAnalyzer(AnalyzerBase):
    """An analyzer of one method of the table, its class attribute `method`.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    **options
        Parameters of the method, under their own or their published names.

    Raises
    ------
    TypeError, ValueError
        If an option is unknown or not usable.
    """

    method: ClassVar[str] = ""
    """The method that the analyzer computes when no options are given; empty where it has no name."""

    def __init__(self, model: nn.Module, **options: Any) -> None:
        super().__init__(model)
        self.options = canonical(options)
        name, parameters = self.resolve(dict(self.options))
        parameters_of(parse(name), parameters)

    def resolve(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the method and the parameters that options stand for; the dict may be changed."""
        return self.method, options

    def analyze(self, input_tensor: Tensor, target_class: Target = None, **kwargs: Any) -> Map:
        """Return the map of an input, see `AnalyzerBase.analyze`."""
        name, parameters = self.resolve(self.options | canonical(kwargs))
        maps: Map = explain(self.model, input_tensor, name, target_class, **parameters)
        return maps
