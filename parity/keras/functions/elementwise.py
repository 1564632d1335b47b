"""Functions of each value alone, spelled as layers."""

from __future__ import annotations

from parity.keras.functions.spelling import (
    PREVIOUS,
    Arguments,
    NotSpelledError,
    Spelled,
    Spelling,
    axis_of,
    first_tensor,
    refuse_settings,
)
from parity.keras.modules.pointwise import SOFTMAX


def activation(name: str) -> Spelling:
    """Spell an activation without settings."""

    def spelling(arguments: Arguments) -> tuple[Spelled, ...]:
        refuse_settings(arguments)
        return (Spelled("Activation", {"activation": name}, (first_tensor(arguments).name,)),)

    return spelling


def elu(arguments: Arguments) -> tuple[Spelled, ...]:
    """``elu`` with its factor."""
    factor = arguments.get("alpha")
    return (Spelled("ELU", {"alpha": 1.0 if factor is None else factor}, (first_tensor(arguments).name,)),)


def leaky_relu(arguments: Arguments) -> tuple[Spelled, ...]:
    """``leaky_relu`` with its slope."""
    slope = arguments.get("alpha", arguments.get("negative_slope", 0.2))
    return (Spelled("LeakyReLU", {"alpha": slope}, (first_tensor(arguments).name,)),)


def relu6(arguments: Arguments) -> tuple[Spelled, ...]:
    """``relu6``."""
    return (Spelled("ReLU", {"max_value": 6.0}, (first_tensor(arguments).name,)),)


def relu(arguments: Arguments) -> tuple[Spelled, ...]:
    """`tf.nn.relu`, or `keras.activations.relu` with its settings."""
    settings = {"negative_slope": arguments.get("alpha"), "max_value": arguments.get("max_value"),
                "threshold": arguments.get("threshold")}  # fmt: skip
    told = {name: float(value) for name, value in settings.items() if value is not None}
    x = first_tensor(arguments)
    if not any(value for name, value in told.items() if name != "max_value") and "max_value" not in told:
        return (Spelled("Activation", {"activation": "relu"}, (x.name,)),)
    return (Spelled("ReLU", told, (x.name,)),)


def along_an_axis(spelling: Spelling) -> Spelling:
    """Refuse ``axis=None``, which in Keras 3 means all axes together, the batch included."""

    def spelled(arguments: Arguments) -> tuple[Spelled, ...]:
        if "axis" in arguments and arguments["axis"] is None:
            raise NotSpelledError("is called with axis=None, which mixes the samples of the batch")
        return spelling(arguments)

    return spelled


def softmax(arguments: Arguments) -> tuple[Spelled, ...]:
    """``softmax`` along an axis."""
    x, told = first_tensor(arguments), arguments.get("axis")
    rank = len(x.shape)
    axis = axis_of(-1 if told is None else told, rank)
    bare = {"function": SOFTMAX}
    if axis == rank:
        return (Spelled("TFOpLambda", bare, (x.name,)),)
    order = [*(place for place in range(1, rank + 1) if place != axis), axis]
    back = [order.index(place) + 1 for place in range(1, rank + 1)]
    return (
        Spelled("Permute", {"dims": order}, (x.name,)),
        Spelled("TFOpLambda", bare, (PREVIOUS,)),
        Spelled("Permute", {"dims": back}, (PREVIOUS,)),
    )


def log_softmax(arguments: Arguments) -> tuple[Spelled, ...]:
    """``log_softmax`` along the last axis."""
    x, axis = first_tensor(arguments), arguments.get("axis")
    if axis not in (None, -1, len(x.shape)):
        raise NotSpelledError(f"is called with axis={axis!r}, and only the last axis is supported")
    return (Spelled("Activation", {"activation": "log_softmax"}, (x.name,)),)


def both_signs(arguments: Arguments) -> tuple[Spelled, ...]:
    """``crelu``: what is above 0 of a tensor beside what is above 0 of its negative."""
    x, axis = first_tensor(arguments), arguments.get("axis", -1)
    if axis not in (None, -1, len(x.shape)):
        raise NotSpelledError(f"is called with axis={axis!r}, and only the last axis is supported")
    return (
        Spelled("Activation", {"activation": "relu"}, (x.name,)),
        Spelled("Rescaling", {"scale": -1.0, "offset": 0.0}, (x.name,)),
        Spelled("Activation", {"activation": "relu"}, (PREVIOUS,)),
        Spelled("Concatenate", {"axis": -1}, (0, PREVIOUS)),
    )


def same(arguments: Arguments) -> tuple[Spelled, ...]:
    """Spell what changes nothing."""
    return (Spelled("Activation", {"activation": "linear"}, (first_tensor(arguments).name,)),)
