"""How each reference is asked for a method: names and options of their own, from the method table."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from parity.divergences import BY_NAME
from parity.keras import ModelDescription
from parity.reference.request import Backend, NoiseSpec, ReferenceCall
from parity.subjects import Method, wrappers

SEED = 20_260_101  # of the noise that both sides add; any other would do
MU = 0.5  # for the names that leave mu to the caller
_CONVOLUTIONS = ("Conv1D", "Conv2D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D")
_UNKNOWN_TO_INNVESTIGATE = ("ReLU", "DepthwiseConv2D")
_NAMED_ALPHA_BETA = ((1.0, 0.0), (2.0, 1.0))
_NAMED_PARAMETERS = ("epsilon", "stdfactor", "gamma", "mu")


class NotInReferenceError(Exception):
    """No reference defines the method, or the model lacks what it needs; the text is the reason."""


@dataclass(frozen=True)
class Question:
    """One method as both sides are asked for it.

    Attributes
    ----------
    calls : tuple of ReferenceCall
        The references that define the method, the one it is held to first.
    parameters : dict
        What the subject is told besides the name.
    defect : str or None
        The named defect of SIGN-XAI (`parity.divergences`) that bites for this method and model.
    """

    calls: tuple[ReferenceCall, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    defect: str | None = None


def question(method: Method, model: ModelDescription, reference: str = "auto") -> Question:
    """Return how both sides are asked for a method.

    Parameters
    ----------
    method : Method
        An entry of the method table.
    model : ModelDescription
        The model, whose last convolution Grad-CAM looks at.
    reference : {"auto", "signxai", "innvestigate"}
        "auto" holds SIGN-XAI's names to SIGN-XAI, iNNvestigate's own names to iNNvestigate, and the bounded rule,
        which SIGN-XAI gets wrong, to iNNvestigate where it has the rest of the method.

    Raises
    ------
    NotInReferenceError
        If no reference, or not the one asked for, has the method for this model.
    """
    parameters: dict[str, Any] = {}
    if any(modifier == ("x_sign_mu", None) for modifier in method.modifiers):
        parameters["mu"] = MU
    noise = _noise(method)
    if noise is not None:
        parameters |= {"seed": noise.seed, "samples": noise.samples, "noise_scale": noise.scale}
    layer = _cam_layer(method, model)
    if layer is not None:
        parameters["target_layer"] = layer
    found = {
        "signxai": _signxai(method, parameters, noise, layer),
        "innvestigate": _innvestigate(method, parameters, noise),
    }
    defect = _defect(method, model)
    alternative = BY_NAME[defect].alternative == "innvestigate" if defect else False
    prefers = alternative or method.dotted or "." in method.row.template
    order = ("innvestigate", "signxai") if prefers else ("signxai", "innvestigate")
    wanted = order if reference == "auto" else (reference,)
    calls = tuple(call for call in (found[name] for name in wanted) if call is not None)
    if alternative:
        calls = calls[:1]  # no way back to the reference that is wrong
    if not calls:
        where = "neither reference has" if reference == "auto" else f"{reference} does not have"
        raise NotInReferenceError(f"{where} a method {method}")
    return Question(calls, parameters, defect)


def _defect(method: Method, model: ModelDescription) -> str | None:
    if method.input_rule == "Bounded" and method.prefix is not None:
        return "signxai-bounded-is-zero"
    if method.family == "deep_lift":
        return "signxai-deep-lift-missing"
    if method.family == "deconvnet" and any(layer.class_name == "ReLU" for layer in model.layers):
        return "deconvnet-relu-layer"
    if (
        method.row.innvestigate.startswith("lrp.")
        and not method.row.signxai
        and any(layer.class_name in _UNKNOWN_TO_INNVESTIGATE for layer in model.layers)
    ):
        return "innvestigate-model-check"
    producers = [name for layer in model.layers for name in layer.inbound]
    if method.family in ("guided_backprop", "deconvnet") and len(set(producers)) < len(producers):
        return "signxai-relu-per-consumer"
    return None


def _noise(method: Method) -> NoiseSpec | None:
    if method.family in ("smoothgrad", "vargrad", "random"):
        return NoiseSpec(SEED, int(method.parameters["samples"]), float(method.parameters["noise_scale"]))
    return None


def _cam_layer(method: Method, model: ModelDescription) -> str | None:
    if "grad_cam" not in method.family:
        return None
    convolutions = [layer.name for layer in model.layers if layer.class_name in _CONVOLUTIONS]
    named = method.parameters["target_layer"]
    if named is not None and named not in [layer.name for layer in model.layers]:
        raise NotInReferenceError(f"the model has no layer {named!r}, which the name {method} stands for")
    if not convolutions:
        raise NotInReferenceError("the model has no convolution for Grad-CAM to look at")
    dimensions = len(model.input_shape)
    if (method.family == "grad_cam_timeseries") != (dimensions == 2):
        raise NotInReferenceError(f"{method} is not made for inputs of shape {model.input_shape}")
    return str(named or convolutions[-1])


def _signxai(
    method: Method, parameters: dict[str, Any], noise: NoiseSpec | None, layer: str | None
) -> ReferenceCall | None:
    own_layer = {"last_conv_layer_name": layer} if layer and method.suffix is None else {}
    mu = {"mu": parameters["mu"]} if "mu" in parameters else {}
    if method.name in wrappers():
        return ReferenceCall("signxai", "wrapper", method.name, {**own_layer, **mu}, noise=noise)
    # Names that the reference does not spell: its own arithmetic for the modifiers around its own base.
    modifiers = _modifiers(method, parameters)
    if method.base in wrappers():
        return ReferenceCall("signxai", "wrapper", method.base, own_layer, modifiers, noise)
    name = method.row.signxai
    if not name:
        return None
    if name == "lrp.alpha_beta":
        numbers = (method.parameters["alpha"], method.parameters["beta"])
        if numbers not in _NAMED_ALPHA_BETA:
            return None  # the fork's lrp.alpha_beta hands alpha on twice and fails
        name = f"lrp.alpha_{numbers[0]:.0f}_beta_{numbers[1]:.0f}"
    return ReferenceCall(
        "signxai", "analyzer", name + "_IB" * method.ignore_bias, _fork_options(method), modifiers, noise
    )


def _fork_options(method: Method) -> dict[str, Any]:
    options = {key: value for key, value in method.parameters.items() if key in _NAMED_PARAMETERS}
    if method.prefix and method.prefix.input_rule:
        options["input_layer_rule"] = method.input_rule
        options |= {key: method.parameters[key] for key in ("low", "high") if key in method.parameters}
    if method.row.template == "lrp":
        options["rule"] = method.parameters["rule"]
    return options


def _modifiers(method: Method, parameters: dict[str, Any]) -> tuple[tuple[str, float | None], ...]:
    return tuple(
        (what, parameters["mu"] if (what, value) == ("x_sign_mu", None) else value) for what, value in method.modifiers
    )


def _innvestigate(method: Method, parameters: dict[str, Any], noise: NoiseSpec | None) -> ReferenceCall | None:
    name = method.row.innvestigate
    if not name or method.input_rule in ("SIGN", "SIGNmu"):
        return None
    backend: Backend = "innvestigate"
    options: dict[str, Any] = {}
    if name == "lrp.alpha_beta":
        numbers = (method.parameters["alpha"], method.parameters["beta"])
        if numbers in _NAMED_ALPHA_BETA:
            name = f"lrp.alpha_{numbers[0]:.0f}_beta_{numbers[1]:.0f}" + "_IB" * method.ignore_bias
        else:
            options = {"alpha": numbers[0], "beta": numbers[1], "bias": not method.ignore_bias}
    elif method.ignore_bias:
        return None  # its bias-free rules start from the logit with bias, so they are other methods
    if "epsilon" in method.parameters:
        options["epsilon"] = method.parameters["epsilon"]
    if method.prefix and method.prefix.input_rule:
        bounds = [method.parameters.get("low"), method.parameters.get("high")]
        options["input_layer_rule"] = bounds if method.input_rule == "Bounded" else method.input_rule
    if name == "deep_taylor.bounded":
        options |= {"low": method.parameters["low"], "high": method.parameters["high"]}
    if name == "lrp":
        options["rule"] = method.parameters["rule"]
    if method.family in ("integrated_gradients", "smoothgrad"):
        if method.row.template != f"innvestigate.{name}":
            return None  # another grid, another noise: the same name is another method there
        key = "steps" if name == "integrated_gradients" else "augment_by_n"
        options[key] = method.parameters["steps" if key == "steps" else "samples"]
    return ReferenceCall(backend, "analyzer", name, options, _modifiers(method, parameters), noise)
