"""What the subject can be held to for a method on a model: each way to reference maps, best first."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from parity.judge.known.arrival import arrival_order
from parity.judge.known.conditions import has_output_activation
from parity.judge.known.difference import KnownDifference, Recipe
from parity.judge.known.promises import piecewise_linear
from parity.judge.known.rewrite import NoEquivalentError, Rewrite
from parity.judge.known.rewrites import IN_ORDER_OF_ARRIVAL, PERMUTED_INPUT, REWRITES
from parity.judge.known.signxai import RUN_BY_KERAS
from parity.judge.known.splice import can_be_cut
from parity.judge.known.table import differences_of
from parity.keras import ModelDescription
from parity.keras.network import Network, keras_order, names_of, network_of
from parity.reference.request import Backend, ReferenceCall, noise_array
from parity.run.calls import (
    MU,
    NotInReferenceError,
    cam_layer,
    innvestigate_call,
    noise_of,
    refuse_average_of_nothing,
    refuse_deep_taylor,
    refuse_recurrences,
    refuse_tokens,
    refuse_without_derivative,
    signxai_call,
    starts_from_preactivation,
)
from parity.run.subjects import Method, parse

_OF_GRADIENTS = ("gradient", "integrated_gradients", "smoothgrad")
"""Families of methods that are a mean of gradients."""


@dataclass(frozen=True)
class Candidate:
    """One way to maps that the subject can be held to.

    Attributes
    ----------
    call : ReferenceCall
        What the reference is asked.
    differences : tuple of KnownDifference
        Why this is not simply what the reference says of the model; empty where it is.
    rewrites : tuple of Rewrite
        What makes the equivalent network that the reference is asked about.
    recipe : str
        How the maps come about, see `parity.judge.known.difference.Recipe`.
    above : ReferenceCall or None
        What a spliced map takes above the input layer.
    """

    call: ReferenceCall
    differences: tuple[KnownDifference, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    recipe: Recipe = "plain"
    above: ReferenceCall | None = None

    @property
    def held_to(self) -> str | None:
        """What the subject is held to instead of the plain reference, None where it is held to that."""
        if not self.differences:
            return None
        what = {
            "plain": self.call.backend,
            "spliced": f"signxai above the input layer, {self.call.backend} in it",
            "averaged": f"the mean of {self.call.backend}'s own gradients",
            "multiplied": f"{self.call.backend}'s map without the modifier, times what the modifier stands for",
            "promised": f"what the method promises, and {self.call.backend} on the network without offsets",
        }[self.recipe]
        changes = ", ".join(rewrite.says for rewrite in self.rewrites)
        return f"{what} on an equivalent network: {changes}" if changes else what


@dataclass(frozen=True)
class Question:
    """One method as both sides are asked for it.

    Attributes
    ----------
    candidates : tuple of Candidate
        Ways to maps that the subject can be held to, best first; the next is tried where a reference says by its own
        rules that it does not explain such a model. Empty where nothing is left.
    parameters : dict
        What the subject is told besides the name.
    reason : str
        Why nothing is left to hold the subject to.
    """

    candidates: tuple[Candidate, ...]
    parameters: dict[str, Any] = field(default_factory=dict)
    reason: str = ""


def question(method: Method, model: ModelDescription, reference: str = "auto") -> Question:
    """Return how both sides are asked for a method.

    Parameters
    ----------
    method : Method
        An entry of the method table.
    model : ModelDescription
        The model, whose last convolution Grad-CAM looks at.
    reference : {"auto", "signxai", "innvestigate"}
        "auto" holds SIGN-XAI's names to SIGN-XAI, iNNvestigate's own names to iNNvestigate, and takes the other where
        the first is known to be wrong.

    Raises
    ------
    NotInReferenceError
        If no reference, or not the one asked for, has the method for this model.
    """
    refuse_tokens(method, model)
    refuse_recurrences(method, model)
    refuse_average_of_nothing(method, model)
    refuse_without_derivative(method, model)
    refuse_deep_taylor(method, model)
    parameters: dict[str, Any] = {}
    if any(modifier == ("x_sign_mu", None) for modifier in method.modifiers):
        parameters["mu"] = MU
    noise = noise_of(method)
    if noise is not None:
        parameters |= {"seed": noise.seed, "samples": noise.samples, "noise_scale": noise.scale}
        if model.channels_first and None not in model.input_shape:
            # The reference draws in the order of Keras's axes; the subject would take the first for their last.
            parameters = {key: value for key, value in parameters.items() if key not in ("seed", "noise_scale")}
            parameters["noise"] = noise_array(noise, tuple(size for size in model.input_shape if size is not None))
    if method.family == "random_uniform" and (len(model.input_shape) != 3 or model.channels_first):
        raise NotInReferenceError(f"{method} is made for images only, not for inputs of shape {model.input_shape}")
    layer = cam_layer(method, model)
    if layer is not None:
        parameters["target_layer"] = layer
    there = _names_there(model)[layer] if layer is not None and model.spelled else layer
    calls = {
        "signxai": signxai_call(method, parameters, noise, there),
        "innvestigate": innvestigate_call(method, model, parameters, noise),
    }
    if method.head == "logit" and starts_from_preactivation(method) and has_output_activation(model):
        calls["signxai"] = None  # its rules start before the activation, so they are other methods
    prefers = method.dotted or "." in method.row.template
    order = ("innvestigate", "signxai") if prefers else ("signxai", "innvestigate")
    wanted = order if reference == "auto" else (reference,)
    asked = [call for call in (calls[name] for name in wanted) if call is not None]
    if not asked:
        where = "neither reference has" if reference == "auto" else f"{reference} does not have"
        raise NotInReferenceError(f"{where} a method {method}")
    candidates = tuple(_candidates(method, model, asked, parameters, layer))
    applied = dict.fromkeys(one.name for call in asked for one in _blocking(method, model, call))
    reason = "" if candidates else (
        f"no reference is left for {method} on such a model: {', '.join(applied)}, and nothing else shows what is right"
    )  # fmt: skip
    return Question(candidates, parameters, reason)


def _blocking(method: Method, model: ModelDescription, call: ReferenceCall) -> tuple[KnownDifference, ...]:
    return tuple(one for one in differences_of(method, model, call.backend) if one.by_values is None)


def _candidates(
    method: Method, model: ModelDescription, asked: list[ReferenceCall], parameters: dict[str, Any], layer: str | None
) -> Iterator[Candidate]:
    """Yield what is sound as it is, then equivalent networks, then what is put together, each in the order asked."""
    blocking = {call.backend: _blocking(method, model, call) for call in asked}
    first = blocking[asked[0].backend]
    for call in asked:
        if not blocking[call.backend]:
            yield Candidate(call, first)
    for call in asked:
        differences = blocking[call.backend]
        if differences and (rewrites := _rewrites(differences, method, model, call.backend)):
            told = tuple(dict.fromkeys((*first, *differences)))
            call = _renamed(call, model)
            if PERMUTED_INPUT in rewrites and call.modifiers:
                yield Candidate(replace(call, modifiers=()), told, rewrites, "multiplied")
            elif method.family != "guided_grad_cam" or PERMUTED_INPUT not in rewrites:
                yield Candidate(call, told, rewrites)
    recipes = [one for one in first if one.recipe != "plain"]
    if len(recipes) == 1:
        others = tuple(one for one in first if one is not recipes[0])
        rewrites = _rewrites(others, method, model, asked[0].backend) if others else ()
        if rewrites is not None:
            yield from _put_together(recipes[0].recipe, method, model, asked[0], first, rewrites, layer)


def _names_there(model: ModelDescription) -> dict[str, str]:
    """Return what layers are called in the network that is written for the reference."""
    return dict(zip((layer.name for layer in model.layers), names_of(model), strict=True))


def _renamed(call: ReferenceCall, model: ModelDescription) -> ReferenceCall:
    """Return a call as an equivalent network is asked it, where layers may have other names than in the file."""
    layer = call.options.get("last_conv_layer_name")
    if layer is None:
        return call
    return replace(call, options={**call.options, "last_conv_layer_name": _names_there(model).get(layer, layer)})


def _rewrites(
    differences: Sequence[KnownDifference], method: Method, model: ModelDescription, backend: Backend
) -> tuple[Rewrite, ...] | None:
    """Return the rewrites that all the differences need, or None if one has none, or the model no such equivalent."""
    if not all(one.rewrites for one in differences):
        return None
    needed = {rewrite for one in differences for rewrite in one.rewrites}
    try:
        rewrites, network = _applied(needed, model)
        layer_by_layer = backend == "signxai" and method.family not in (*RUN_BY_KERAS, "input", "random")
        if layer_by_layer and arrival_order(keras_order(network)):  # what was put in made ways longer
            rewrites, _ = _applied({*needed, IN_ORDER_OF_ARRIVAL}, model)
    except NoEquivalentError:
        return None
    return rewrites


def _applied(needed: Collection[Rewrite], model: ModelDescription) -> tuple[tuple[Rewrite, ...], Network]:
    rewrites = tuple(rewrite for rewrite in REWRITES if rewrite in needed)
    network = network_of(model)
    for rewrite in rewrites:
        network = rewrite.network(network, 0)
    return rewrites, network


def _put_together(
    recipe: Recipe,
    method: Method,
    model: ModelDescription,
    call: ReferenceCall,
    differences: tuple[KnownDifference, ...],
    rewrites: tuple[Rewrite, ...],
    layer: str | None,
) -> Iterator[Candidate]:
    if recipe == "spliced" and call.backend == "signxai":
        yield from _spliced(method, model, call, differences, rewrites, layer)
    elif recipe == "averaged" and method.family in _OF_GRADIENTS and method.name != "gradient":
        for gradient in question(parse("gradient"), model).candidates:
            if gradient.recipe == "plain":
                yield Candidate(gradient.call, differences, gradient.rewrites, "averaged")
    elif recipe == "promised" and not method.modifiers and piecewise_linear(model):
        # The gradient that it is held to on another network has known differences of its own.
        for gradient in question(parse("input_t_gradient"), model).candidates[:1]:
            if gradient.recipe == "plain":
                yield Candidate(gradient.call, differences, gradient.rewrites, "promised")


def _spliced(
    method: Method,
    model: ModelDescription,
    call: ReferenceCall,
    differences: tuple[KnownDifference, ...],
    rewrites: tuple[Rewrite, ...],
    layer: str | None,
) -> Iterator[Candidate]:
    """Yield the way to the bounded rule's map where no single reference has it.

    SIGN-XAI explains the network above the input layer, by the rules of the other layers; iNNvestigate, whose bounded
    rule is right, hands that relevance through the input layer.
    """
    assert method.prefix is not None
    if not can_be_cut(model):
        return
    name = method.base.replace(f"{method.prefix.name}_", "lrp_", 1).removesuffix(f"_{method.suffix}")
    above = signxai_call(parse(name), {}, None, layer)
    if above is None:
        return
    bounds = [method.parameters["low"], method.parameters["high"]]
    options: dict[str, Any] = {"input_layer_rule": bounds, "disable_model_checks": True}
    below = ReferenceCall("innvestigate", "analyzer", "lrp.z", options, call.modifiers)
    yield Candidate(below, differences, rewrites, "spliced", above)
