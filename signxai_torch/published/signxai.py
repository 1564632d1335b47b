"""SIGN-XAI's own functions for torch models: its users' scripts run when they import from here.

``from signxai.methods.wrappers import calculate_relevancemap`` and ``from signxai.utils.utils import ...`` become
``from signxai_torch.published.signxai import ...``; every wrapper function is here too (``lrp_z``, ``gradient``, ...).
Arrays are as in Keras: NumPy, channels last, one input without batch axis or, with ``batchmode=True``, a batch. The
model is a torch module that returns logits. Numbers are those of `signxai_torch.explain`.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from signxai_torch.api import explain
from signxai_torch.methods.grammar import UnknownMethodError, listed, parse
from signxai_torch.methods.table import PREFIXES
from signxai_torch.published.options import canonical, choose

Array = np.ndarray[Any, Any]
_BGR_MEANS = (103.939, 116.779, 123.68)
_SOFTMAX = (nn.Softmax, nn.LogSoftmax)
__all__ = [
    "aggregate_and_normalize_relevancemap_rgb",
    "calculate_explanation_innvestigate",
    "calculate_relevancemap",
    "calculate_relevancemaps",
    "load_image",
    "normalize_heatmap",
    "remove_softmax",
]


def calculate_relevancemap(m: str, x: Array, model_no_softmax: nn.Module, **kwargs: Any) -> Array:
    """Explain a model's output for one input, or for a batch with ``batchmode=True``.

    Parameters
    ----------
    m : str
        A method name such as ``"lrpsign_epsilon_0_25_std_x"``.
    x : numpy.ndarray
        The input as Keras has it: (height, width, channels), (time, channels) or (features,); with ``batchmode=True``
        with a batch axis before.
    model_no_softmax : torch.nn.Module
        Returns logits. It is only read.
    **kwargs
        ``batchmode``; ``neuron_selection``: a class, or None or ``"max_activation"`` for the arg-max;
        ``input_layer_rule``: ``"SIGN"``, ``"Z"``, ``"Bounded"``, ``"WSquare"`` or ``"Flat"``; ``last_conv``, or any
        parameter of the method under its name in SIGN-XAI.

    Returns
    -------
    numpy.ndarray
        The map, in the shape of `x` and the dtype of the model.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    TypeError, ValueError
        If the input or an option is not usable; the message says which and why.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from signxai_torch.published.signxai import calculate_relevancemap
    >>> layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 5)
    >>> model = torch.nn.Sequential(*layers)
    >>> calculate_relevancemap("lrpsign_z", np.ones((8, 8, 3)), model, neuron_selection=1).shape
    (8, 8, 3)
    """
    return _explained(m, x, model_no_softmax, dict(kwargs))


def calculate_relevancemaps(m: str, X: Sequence[Array], model_no_softmax: nn.Module, **kwargs: Any) -> Array:
    """Explain several inputs, one after another; as `calculate_relevancemap` does each."""
    return np.array([calculate_relevancemap(m, x, model_no_softmax, **kwargs) for x in X])


def calculate_explanation_innvestigate(
    model: nn.Module,
    x: Array,
    method: str = "lrp.epsilon",
    neuron_selection: Any = None,
    batchmode: bool = False,
    **kwargs: Any,
) -> Array:
    """Explain with an analyzer of SIGN-XAI's by its name; see `calculate_relevancemap`."""
    name = parse(method).synonym_of or method
    return _explained(name, x, model, {"neuron_selection": neuron_selection, "batchmode": batchmode, **kwargs})


def remove_softmax(model: nn.Module) -> nn.Module:
    """Return a model without the softmax at its end: a copy where there is one, else the model itself.

    Raises
    ------
    TypeError
        If it is no torch module.
    """
    _require_module(model)
    modules = [(name, module) for name, module in model.named_modules() if name and not list(module.children())]
    if not modules or not isinstance(modules[-1][1], _SOFTMAX):
        return model
    changed = copy.deepcopy(model)
    parent, _, last = modules[-1][0].rpartition(".")
    setattr(changed.get_submodule(parent), last, nn.Identity())
    return changed


def normalize_heatmap(H: Array) -> Array:
    """Divide a map by its largest size, so that it lies within -1 and 1; a map of zeros stays one."""
    size = np.max(np.abs(H), initial=0.0)
    return np.zeros_like(H) if size == 0 else np.nan_to_num(H / size, nan=0.0)


def aggregate_and_normalize_relevancemap_rgb(R: Array) -> Array:
    """Sum a map (height, width, channels) over its channels and normalize it, see `normalize_heatmap`."""
    return normalize_heatmap(np.asarray(R).sum(axis=2))


def load_image(img_path: str | Path, expand_dims: bool = False) -> tuple[Any, Array]:
    """Return a picture in the size of VGG16, and its array as that takes it: channels last, BGR, ImageNet's means off.

    Parameters
    ----------
    img_path : str or Path
        The picture.
    expand_dims : bool
        Whether the array gets a batch axis.

    Raises
    ------
    ImportError
        If Pillow is not installed.
    """
    from PIL import Image

    with Image.open(img_path) as opened:
        image = opened.convert("RGB").resize((224, 224), Image.Resampling.NEAREST)
    x = np.asarray(image, dtype=np.float32)[..., ::-1] - np.array(_BGR_MEANS, dtype=np.float32)
    return image, x[None] if expand_dims else x


def __getattr__(name: str) -> Callable[..., Array]:
    """Return SIGN-XAI's wrapper function of a method's name."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        parse(name)
    except UnknownMethodError as error:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}: {error}") from error

    def wrapper(model_no_softmax: nn.Module, x: Array, **kwargs: Any) -> Array:
        if isinstance(x, nn.Module):  # the other order, that of `calculate_relevancemap`
            model_no_softmax, x = x, model_no_softmax  # type: ignore[assignment]
        return _explained(name, x, model_no_softmax, kwargs)

    wrapper.__name__ = wrapper.__qualname__ = name
    wrapper.__doc__ = f"Explain with the method ``{name}``; see `calculate_relevancemap`."
    return wrapper


def __dir__() -> list[str]:
    return [*__all__, *(name for name in listed() if name.isidentifier())]


# --- how it is done --------------------------------------------------------------------------------------------------


def _explained(name: str, x: Array, model: nn.Module, options: dict[str, Any]) -> Array:
    _require_module(model)
    batchmode = bool(options.pop("batchmode", False))
    rule = options.pop("input_layer_rule", None)
    target = _target(options.pop("neuron_selection", None))
    if "last_conv" in options:
        options["last_conv_layer_name"] = options.pop("last_conv")
    method = name if rule is None else _with_input_rule(name, str(rule))
    if isinstance(x, Tensor):
        raise TypeError(
            "x must be a NumPy array with channels last, as in Keras; for tensors there is signxai_torch.explain"
        )
    batch = np.asarray(x) if batchmode else np.asarray(x)[None]
    tensor = torch.from_numpy(np.ascontiguousarray(np.moveaxis(batch, -1, 1))).to(_dtype(model))
    found = explain(model, tensor, method, target, **canonical(options))
    maps: Array = np.moveaxis(found, 1, -1)
    return np.ascontiguousarray(maps if batchmode else maps[0])


def _with_input_rule(name: str, rule: str) -> str:
    """Return the name of a method with a rule for its input layer."""
    method = parse(name)
    prefixes = {prefix.input_rule: prefix.name for prefix in PREFIXES.values() if prefix.input_rule}
    prefix = choose("input_layer_rule", rule, prefixes)
    own = method.prefix.name if method.prefix is not None else ""
    if own not in ("lrp", prefix):
        raise ValueError(f"{name} takes no input_layer_rule; give a method whose name begins with lrp_")
    return f"{prefix}_{(method.synonym_of or name).removeprefix(own).lstrip('_.')}"


def _target(neuron_selection: Any) -> Any:
    """Return the class, or classes, that SIGN-XAI's option stands for."""
    if isinstance(neuron_selection, str):
        if neuron_selection != "max_activation":
            raise ValueError(f"neuron_selection must be a class or 'max_activation', not {neuron_selection!r}")
        return None
    return neuron_selection


def _dtype(model: nn.Module) -> torch.dtype:
    floats = (one.dtype for one in (*model.parameters(), *model.buffers()) if one.is_floating_point())
    return next(floats, torch.float32)


def _require_module(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
