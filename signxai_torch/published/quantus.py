"""Quantus' form: a function that its metrics call as ``explain_func(model=, inputs=, targets=, ...)``."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor, nn

from signxai_torch.api import explain
from signxai_torch.published.options import canonical, tensor_of

__all__ = ["explain_func"]


def explain_func(
    model: nn.Module,
    inputs: np.ndarray[Any, Any] | Tensor,
    targets: Any = None,
    device: Any = None,
    method: str = "gradient",
    **kwargs: Any,
) -> np.ndarray[Any, Any]:
    """Explain a batch for a metric of Quantus.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits.
    inputs : numpy.ndarray or torch.Tensor
        Torch layout, batch first.
    targets : None, int or one int per sample
        The explained classes.
    device : optional
        Where the inputs are put; by default where the model's parameters are.
    method : str
        A method name; give it to Quantus in ``explain_func_kwargs={"method": "lrpsign_z"}``.
    **kwargs
        Parameters of the method. ``img_size`` and ``nr_channels``, which Quantus adds for other libraries, say nothing
        here; what would change the map afterwards (``abs``, ``normalise``) is refused: Quantus does that itself.

    Returns
    -------
    numpy.ndarray
        The map, in the shape of `inputs`.

    Raises
    ------
    UnknownMethodError, TypeError, ValueError
        As `signxai_torch.explain` does.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from signxai_torch import explain_func
    >>> model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    >>> explain_func(model=model, inputs=np.ones((2, 3, 2, 2)), targets=np.array([0, 1]), method="lrp_z").shape
    (2, 3, 2, 2)
    """
    options = canonical({key: value for key, value in kwargs.items() if key not in _OF_QUANTUS})
    x = tensor_of(model, inputs)
    where = device if device is not None else next((one.device for one in model.parameters()), None)
    x = x if where is None else x.to(where)
    chosen = targets.tolist() if isinstance(targets, (np.ndarray, Tensor)) else targets
    made: np.ndarray[Any, Any] = explain(model, x, method, chosen, **options)
    return made


_OF_QUANTUS = ("img_size", "nr_channels", "xai_lib", "xai_lib_kwargs")
"""What Quantus hands to its own explanation functions beside the method's parameters, and says nothing here."""
