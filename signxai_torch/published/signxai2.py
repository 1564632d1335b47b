"""signxai2's own functions: its users' scripts run when they import from here.

``from signxai import explain`` (or ``from signxai.api import explain``) becomes
``from signxai_torch.published.signxai2 import explain``. Names and options are signxai2's, numbers are those of
`signxai_torch.explain`: no constant is multiplied to a map, and no other method stands in for one that is not there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from signxai_torch.methods.grammar import SIGNED, listed, parse, text_to_number
from signxai_torch.published import compat
from signxai_torch.published.options import canonical, choose, tensor_of

Array = np.ndarray[Any, Any]
SYNONYMS = {
    "gradients": "gradient",
    "vanilla_gradients": "gradient",
    "input_x_gradient": "input_t_gradient",
    "integratedgradients": "integrated_gradients",
    "smooth_gradients": "smoothgrad",
    "guidedbackprop": "guided_backprop",
    "gradcam": "grad_cam",
    "gradcam_timeseries": "grad_cam_timeseries",
    "deeplift": "deep_lift",
    "deeptaylor": "deep_taylor",
}
"""What signxai2 calls methods that have another name in the table."""
METHOD_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "gradient": {},
    "smoothgrad": {"num_samples": 25, "noise_level": 0.1},
    "integrated_gradients": {"steps": 50},
    "vargrad": {"num_samples": 25, "noise_level": 0.2},
    "guided_backprop": {},
    "deconvnet": {},
    "grad_cam": {},
    "lrp_epsilon": {"epsilon": 0.1},
    "lrp_alpha_1_beta_0": {"alpha": 1.0, "beta": 0.0},
    "lrp_alpha_2_beta_1": {"alpha": 2.0, "beta": 1.0},
}
"""signxai2's settings by method, for `explain_with_preset`."""
_PRESETS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "default": {},
    "fast": {"smoothgrad": {"num_samples": 10, "noise_level": 0.15}, "integrated_gradients": {"steps": 20}},
    "high_quality": {"smoothgrad": {"num_samples": 50, "noise_level": 0.05}, "integrated_gradients": {"steps": 100}},
}
_IN_NAMES = {"noise": "noise_scale", "samples": "samples", "steps": "steps"}
"""Parameters that signxai2 writes into a name: ``smoothgrad_noise_0_3_samples_50``."""
__all__ = [
    "METHOD_PRESETS",
    "calculate_relevancemap",
    "explain",
    "explain_with_preset",
    "get_method_info",
    "list_methods",
]


def explain(
    model: nn.Module,
    x: Tensor | Array,
    method_name: str,
    target_class: Any = None,
    framework: str | None = None,
    **kwargs: Any,
) -> Array:
    """Explain a torch model's output for an input or a batch.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits. It is only read.
    x : torch.Tensor or numpy.ndarray
        Torch layout, with or without batch axis; NumPy arrays are taken in the dtype of the model.
    method_name : str
        A method, also under signxai2's other names, with parameters in it (``"smoothgrad_noise_0_3_samples_50"``).
    target_class : None, int or one int per sample
        The explained class; None takes each sample's arg-max.
    framework : {None, "pytorch"}
        Only torch models are explained here.
    **kwargs
        Parameters under signxai2's names (``steps``, ``num_samples``, ``noise_level``, ``layer_name``, ``epsilon``,
        ``alpha``, ``beta``) or the table's.

    Returns
    -------
    numpy.ndarray
        The map, in the shape of `x`.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    ValueError
        If `framework` is another one, or a parameter is not usable.

    Examples
    --------
    >>> import torch
    >>> from signxai_torch.published.signxai2 import explain
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> explain(model, torch.ones(2, 4), method_name="lrp_epsilon", target_class=1, epsilon=0.1).shape
    (2, 4)
    """
    _require_torch(framework)
    return calculate_relevancemap(model, x, method_name, target_class, **kwargs)


def calculate_relevancemap(
    model: nn.Module, input_tensor: Tensor | Array, method: str, target_class: Any = None, **kwargs: Any
) -> Array:
    """Explain with one method; see `explain`.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits. It is only read.
    input_tensor : torch.Tensor or numpy.ndarray
        Torch layout, with or without batch axis.
    method : str
        A method, also under signxai2's other names.
    target_class : None, int or one int per sample
        The explained class; None takes each sample's arg-max.
    **kwargs
        Parameters, as for `explain`.

    Returns
    -------
    numpy.ndarray
        The map, in the shape of `input_tensor`.

    Raises
    ------
    TypeError
        If the model is none, or a parameter is given in the name and besides.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module, not {type(model).__name__}; the order is model, input, method"
        )
    name, numbers = _read(method)
    asked = canonical(kwargs)
    twice = sorted(numbers.keys() & asked.keys())
    if twice:
        raise TypeError(f"{', '.join(twice)} is in the name {method!r} already; give it once")
    return compat.calculate_relevancemap(model, tensor_of(model, input_tensor), name, target_class, **numbers, **asked)


def explain_with_preset(
    model: nn.Module, x: Tensor | Array, method_name: str, preset: str = "default", **override_kwargs: Any
) -> Array:
    """Explain with signxai2's settings for a method: ``"default"``, ``"fast"`` or ``"high_quality"``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits. It is only read.
    x : torch.Tensor or numpy.ndarray
        Torch layout, with or without batch axis.
    method_name : str
        A method, as for `explain`.
    preset : {"default", "fast", "high_quality"}
        Which settings.
    **override_kwargs
        Parameters that count more than the settings; ``target_class`` is one.

    Returns
    -------
    numpy.ndarray
        The map, in the shape of `x`.

    Raises
    ------
    ValueError
        If there is no such preset.
    """
    name = SYNONYMS.get(method_name, method_name)
    chosen = choose("preset", preset, _PRESETS)
    settings = (METHOD_PRESETS.get(name, {}), chosen.get(name, {}), override_kwargs)
    return explain(model, x, name, **{key: value for given in settings for key, value in canonical(given).items()})


def list_methods(framework: str | None = None) -> dict[str, list[str]]:
    """Return the method names, by framework: that of torch alone.

    Parameters
    ----------
    framework : {None, "pytorch"}
        Only torch models are explained here.

    Returns
    -------
    dict of str to list of str
        The names under the key ``"pytorch"``.
    """
    _require_torch(framework)
    return {"pytorch": sorted(listed())}


def get_method_info(method_name: str, framework: str | None = None) -> dict[str, Any]:
    """Return what a method is: its formula, its source and its parameters.

    Parameters
    ----------
    method_name : str
        A method, as for `explain`.
    framework : {None, "pytorch"}
        Only torch models are explained here.

    Returns
    -------
    dict
        ``"method_name"``, ``"available_in"``, and under ``"pytorch"`` the ``"formula"``, the ``"citation"`` and the
        ``"parameters"``.
    """
    _require_torch(framework)
    name, numbers = _read(method_name)
    method = parse(name)
    about = {
        "formula": method.row.formula,
        "citation": method.row.citation,
        "parameters": {**method.parameters, **numbers},
    }
    return {"method_name": method_name, "available_in": ["pytorch"], "pytorch": about}


def _read(method: str) -> tuple[str, dict[str, Any]]:
    """Return the table's name of a method, and the parameters that its name holds.

    Raises
    ------
    ValueError
        If the name holds one twice, or one that must be whole and is not.
    """
    if not isinstance(method, str):
        raise TypeError(f"the method must be a name, not {type(method).__name__}")
    found = re.fullmatch(rf"(?P<base>[a-z_.]+?)(?P<rest>(?:_(?:{'|'.join(_IN_NAMES)})_{SIGNED})+)", method)
    if found is None:
        return SYNONYMS.get(method, method), {}
    numbers: dict[str, Any] = {}
    for part in re.finditer(rf"_(?P<what>{'|'.join(_IN_NAMES)})_(?P<number>{SIGNED})", found["rest"]):
        name, number = _IN_NAMES[part["what"]], text_to_number(part["number"])
        if name in numbers:
            raise ValueError(f"{method!r} says {part['what']} twice")
        if part["what"] != "noise" and number != int(number):
            raise ValueError(f"{method!r}: {part['what']} must be a whole number, not {number:g}")
        numbers[name] = number if part["what"] == "noise" else int(number)
    return SYNONYMS.get(found["base"], found["base"]), numbers


def _require_torch(framework: str | None) -> None:
    if framework is not None and str(framework).lower() not in ("pytorch", "torch"):
        raise ValueError(f"framework must be 'pytorch' here, not {framework!r}: TensorFlow models are converted first")
