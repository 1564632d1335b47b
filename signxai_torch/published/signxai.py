"""SIGN-XAI's own functions for torch models: its users' scripts run when they import from here.

``from signxai.methods.wrappers import calculate_relevancemap`` and ``from signxai.utils.utils import ...`` become
``from signxai_torch.published.signxai import ...``; every wrapper function is here too (``lrp_z``, ``gradient``, ...).
Arrays are as in Keras: NumPy, channels last, one input without batch axis or, with ``batchmode=True``, a batch. The
model is a torch module that returns logits. Numbers are those of `signxai_torch.explain`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from signxai_torch.api import explain
from signxai_torch.methods.grammar import UnknownMethodError, listed, number_to_text, parse
from signxai_torch.methods.table import PREFIXES
from signxai_torch.published.options import canonical, tensor_of

Array = np.ndarray[Any, Any]
_BGR_MEANS = (103.939, 116.779, 123.68)
_SOFTMAX = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d)
_ACTIVATIONS = (*_SOFTMAX, nn.Sigmoid, nn.Tanh, nn.ReLU, nn.Softplus, nn.ELU)
_NOISY = {"samples": 16, "noise_scale": 1.0}
_ANALYZERS: dict[str, dict[str, Any]] = {"smoothgrad": _NOISY, "vargrad": _NOISY, "integrated_gradients": {"steps": 16}}
"""Defaults of SIGN-XAI's analyzers where its wrappers have others."""
_ARRAYS = ("baseline", "noise")
"""Options that may be arrays like the input."""
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
        ``input_layer_rule``: ``"SIGN"``, ``"SIGNmu"`` with ``mu``, ``"Z"``, ``"Bounded"``, ``"WSquare"``, ``"Flat"`` or
        a pair of bounds; ``last_conv``, or any parameter of the method under its name in SIGN-XAI. Arrays such as
        ``reference_inputs`` are held like `x`.

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
    """Explain several inputs, one after another; as `calculate_relevancemap` does each.

    Parameters
    ----------
    m : str
        A method name.
    X : sequence of numpy.ndarray
        Inputs of one shape, channels last, without batch axes.
    model_no_softmax : torch.nn.Module
        Returns logits. It is only read.
    **kwargs
        As for `calculate_relevancemap`.

    Returns
    -------
    numpy.ndarray
        The maps, one after another.
    """
    return np.array([calculate_relevancemap(m, x, model_no_softmax, **kwargs) for x in X])


def calculate_explanation_innvestigate(
    model: nn.Module,
    x: Array,
    method: str = "lrp.epsilon",
    neuron_selection: Any = None,
    batchmode: bool = False,
    **kwargs: Any,
) -> Array:
    """Explain with an analyzer of SIGN-XAI's by its name, with the analyzer's own defaults.

    They differ from those of the wrappers: SmoothGrad and VarGrad take 16 samples with a noise of 1, integrated
    gradients 16 steps. All else is as in `calculate_relevancemap`.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits. It is only read.
    x : numpy.ndarray
        The input, channels last.
    method : str
        The analyzer's name, such as ``"lrp.epsilon"``.
    neuron_selection : None, int or "max_activation"
        The explained class; None takes the arg-max.
    batchmode : bool
        Whether `x` has a batch axis.
    **kwargs
        Parameters of the analyzer.

    Returns
    -------
    numpy.ndarray
        The map, in the shape of `x`.

    Raises
    ------
    ValueError
        If ``method="lrp"`` comes without its ``rule``.
    """
    if method == "lrp" and "rule" not in kwargs:
        raise ValueError("the analyzer lrp needs rule=, such as rule='Z'")
    name = parse(method).synonym_of or method
    options = {**_ANALYZERS.get(name, {}), **canonical(kwargs)}
    return _explained(name, x, model, {"neuron_selection": neuron_selection, "batchmode": batchmode, **options})


def remove_softmax(model: nn.Module) -> nn.Module:
    """Return a model without the activation at its end, as SIGN-XAI does, whose last layer is made linear.

    Parameters
    ----------
    model : torch.nn.Module
        A `torch.nn.Sequential` that ends in a softmax, a sigmoid or the like, also in a Sequential at its end: what
        comes back shares all other parts. A model without a softmax layer comes back as it is.

    Returns
    -------
    torch.nn.Module
        The model that returns logits.

    Raises
    ------
    TypeError
        If it is no torch module.
    ValueError
        If a model of another kind has a softmax layer: where it is computed cannot be seen from the outside.
    """
    _require_module(model)
    if isinstance(model, nn.Sequential) and len(model):
        last = model[-1]
        if isinstance(last, _ACTIVATIONS):
            return nn.Sequential(*model[:-1])
        if isinstance(last, nn.Sequential) and (bare := remove_softmax(last)) is not last:
            return nn.Sequential(*model[:-1], bare)
    if any(isinstance(module, _SOFTMAX) for module in model.modules()):
        raise ValueError(
            f"where {type(model).__name__} computes its softmax cannot be seen from the outside; give a model that "
            "returns logits"
        )
    return model


def normalize_heatmap(H: Array) -> Array:
    """Divide a map by its largest absolute value, so that it lies within -1 and 1; a map of zeros stays one.

    Parameters
    ----------
    H : numpy.ndarray
        The map, of any shape.

    Returns
    -------
    numpy.ndarray
        The same shape; what is not a number becomes 0.
    """
    heat = np.asarray(H)
    size = np.max(np.abs(heat), initial=0.0)
    return np.zeros(heat.shape) if size == 0 else np.nan_to_num(heat / size, nan=0.0)


def aggregate_and_normalize_relevancemap_rgb(R: Array) -> Array:
    """Sum a map over its channels and normalize it, see `normalize_heatmap`.

    Parameters
    ----------
    R : numpy.ndarray
        The map (height, width, channels).

    Returns
    -------
    numpy.ndarray
        (height, width), within -1 and 1.
    """
    return normalize_heatmap(np.asarray(R).sum(axis=2))


def load_image(img_path: str | Path, expand_dims: bool = False) -> tuple[Any, Array]:
    """Return a picture in the size of VGG16, and its array as that takes it: channels last, BGR, ImageNet's means off.

    Parameters
    ----------
    img_path : str or Path
        The picture.
    expand_dims : bool
        Whether the array gets a batch axis.

    Returns
    -------
    tuple of PIL.Image.Image and numpy.ndarray
        The picture, and the array: (224, 224, 3), or (1, 224, 224, 3).

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

    def wrapper(model_no_softmax: nn.Module, x: Array, *args: Any, **kwargs: Any) -> Array:
        if isinstance(x, nn.Module):  # the other order, that of `calculate_relevancemap`
            model_no_softmax, x = x, model_no_softmax  # type: ignore[assignment]
        takes = ("mu", "batchmode") if name.endswith("_x_sign_mu") else ()
        if len(args) > len(takes):
            raise TypeError(f"{name} takes {', '.join(('model_no_softmax', 'x', *takes))} by place, the rest by name")
        return _explained(name, x, model_no_softmax, {**dict(zip(takes, args, strict=False)), **kwargs})

    wrapper.__name__ = wrapper.__qualname__ = name
    wrapper.__doc__ = f"Explain with the method ``{name}``; see `calculate_relevancemap`."
    return wrapper


def __dir__() -> list[str]:
    return [*__all__, *(name for name in listed() if name.isidentifier())]


# --- how it is done --------------------------------------------------------------------------------------------------


def _explained(name: str, x: Array, model: nn.Module, options: dict[str, Any]) -> Array:
    _require_module(model)
    if isinstance(x, Tensor):
        raise TypeError(
            "x must be a NumPy array with channels last, as in Keras; for tensors there is signxai_torch.explain"
        )
    inputs = np.asarray(x)
    batchmode = options.pop("batchmode", False)
    if not isinstance(batchmode, (bool, np.bool_)):
        raise TypeError(f"batchmode must be True or False, not {batchmode!r}")
    if inputs.ndim < 1 + batchmode:
        raise TypeError(f"x must be an array with channels last{', batch first' if batchmode else ''}, not {x!r}")
    rule = options.pop("input_layer_rule", None)
    target = _target(options.pop("neuron_selection", None))
    method, more = (name, {}) if rule is None else _with_input_rule(name, rule, options)
    batch = inputs if batchmode else inputs[None]
    params = canonical({**options, **more})
    params = {key: _in_torch_layout(key, value, batch.shape) for key, value in params.items()}
    relevance = explain(model, tensor_of(model, np.moveaxis(batch, -1, 1)), method, target, **params)
    maps: Array = np.moveaxis(relevance, 1, -1)
    return np.ascontiguousarray(maps if batchmode else maps[0])


def _in_torch_layout(name: str, value: Any, shape: tuple[int, ...]) -> Any:
    """Return an option; an array that is held like the input, channels last, as the port takes it."""
    if name not in _ARRAYS or not isinstance(value, np.ndarray) or value.ndim == 0:
        return value
    if name == "noise":  # the draws come first
        return np.ascontiguousarray(np.moveaxis(value, -1, 1)) if value.ndim == len(shape) else value
    return np.ascontiguousarray(np.moveaxis(np.broadcast_to(value, shape), -1, 1))


def _with_input_rule(name: str, rule: Any, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the name of a method with a rule for its input layer, and the options that go with it."""
    method = parse(name)
    own = method.prefix.name if method.prefix is not None else ""
    base = (method.synonym_of or name).removeprefix(own).lstrip("_.")
    more: dict[str, Any] = {}
    if isinstance(rule, (tuple, list)) and len(rule) == 2:  # bounds, as in the references
        rule, more = "Bounded", {"low": float(rule[0]), "high": float(rule[1])}
    if rule == "SIGNmu":
        mu = number_to_text(float(options.pop("mu", 0.0)))
        prefix, base = "lrpsign", f"{base}_mu_{mu}"
    else:
        prefixes = {prefix.input_rule: prefix.name for prefix in PREFIXES.values() if prefix.input_rule}
        if rule not in prefixes:
            known = ", ".join(map(repr, (*prefixes, "SIGNmu")))
            raise ValueError(f"input_layer_rule must be one of {known}, or a pair of bounds, not {rule!r}")
        prefix = prefixes[rule]
    if own not in ("lrp", prefix) or name == "lrp":
        raise ValueError(f"{name} takes no input_layer_rule; give a method whose name begins with lrp_")
    return f"{prefix}_{base}", more


def _target(neuron_selection: Any) -> Any:
    """Return the class, or classes, that SIGN-XAI's option stands for."""
    if isinstance(neuron_selection, str):
        if neuron_selection != "max_activation":
            raise ValueError(f"neuron_selection must be a class or 'max_activation', not {neuron_selection!r}")
        return None
    return neuron_selection


def _require_module(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise TypeError(f"the model must be a torch.nn.Module, not {type(model).__name__}")
