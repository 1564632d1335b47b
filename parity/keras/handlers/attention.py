"""Handlers: attention over the steps of series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from parity.keras.description import Shape
from parity.keras.handlers.layer import Built, Layer, Value, Variable
from parity.keras.modules.attention import Attention, MultiHeadAttention, MultiHeadAttentionOverAxes

_TENSORS = ("query", "value", "key")
SCORES = "return_attention_scores"
"""Under this name a call asks for the scores too; they cannot be read, and what is read is the same without them."""
CALL_SETTINGS = {"use_causal_mask": (True, False), SCORES: (True, False)}
"""What the call of an attention may tell, and the values that are supported."""
_STEPS = 2
"""How many axes there are besides the batch where steps have one."""
_PROJECTIONS = ("query", "key", "value", "output")


def attention_variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Scale, and the weight of the score "concat"."""
    names = ["scale"] if config.get("use_scale") else []
    return tuple(Variable(name) for name in (*names, *_score_weight(config)))


def _score_weight(config: Mapping[str, Any]) -> tuple[str, ...]:
    return ("concat_score_weight",) if config.get("score_mode") == "concat" else ()


def attention(layer: Layer) -> Built:
    """`Attention` of a query to values, by products or by sums."""
    score = layer.config.text("score_mode", "dot")
    if score not in ("dot", "concat"):
        raise layer.fail(f"'score_mode' is {score!r}, expected 'dot' or 'concat'")
    scale = layer.tensor(layer.weight("scale", ())) if "scale" in layer.stored else None
    weight = layer.tensor(layer.weight("concat_score_weight", ())) if "concat_score_weight" in layer.stored else None
    return _built(layer, Attention(score, scale, weight, _causal(layer), _masked(layer)))


def additive_variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Scale."""
    return () if config.get("use_scale") is False else (Variable("scale"),)


def additive_attention(layer: Layer) -> Built:
    """`AdditiveAttention` of a query to values."""
    channels = _shapes(layer)[1][-1]
    scale = None
    if "scale" in layer.stored:
        scale = layer.tensor(layer.weight("scale", (layer.known(channels, "number of channels"),)))
    return _built(layer, Attention("additive", scale, None, _causal(layer), _masked(layer)))


def _built(layer: Layer, module: Attention) -> Built:
    if any(_names(layer)):
        raise layer.fail("it is called with tensors by name. Call it with a list [query, value] or [query, value, key]")
    if len(layer.inputs) not in (2, 3):
        raise layer.fail(f"it reads {len(layer.inputs)} tensors, expected a query, a value and perhaps a key")
    query, value, *keys = _shapes(layer)
    key = keys[0] if keys else value
    channels = {query[1], key[1]} if module.score == "dot" else {query[1], key[1]} - {1}
    fits = key[0] == value[0] and len(channels) <= 1
    if not fits:
        raise layer.fail(f"the shapes of query, value and key {(query, value, key)} do not fit")
    return Built(Value((query[0], value[1])), (("", module),), mask="first")


def multi_head_variables(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    """Kernel and bias of each projection, in Keras' order; of the gate too, which is refused when they are known."""
    projections = ("query", "key", "gate", "value", "output") if config.get("use_gate") else _PROJECTIONS
    what = ("kernel",) if config.get("use_bias") is False else ("kernel", "bias")
    return tuple(Variable(f"{name}_{one}", place=f"{name}_dense") for name in projections for one in what)


def multi_head_attention(layer: Layer) -> Built:
    """`MultiHeadAttention` over one axis of steps."""
    takes = roles(_names(layer), len(layer.inputs))
    if "attention_mask" in takes:
        raise layer.fail(
            "it is called with a tensor as attention_mask, which is not supported. Let Masking or "
            "Embedding(mask_zero=True) make the mask, or call it with use_causal_mask=True"
        )
    if (
        len(takes) != len(layer.inputs)
        or len(set(takes)) != len(takes)
        or not {"query", "value"} <= set(takes) <= {*_TENSORS}
    ):
        raise layer.fail(f"it reads {len(layer.inputs)} tensors as {takes}, expected a query, a value, perhaps a key")
    for key in ("use_gate", "sliding_window"):
        if layer.node.config.get(key):
            raise layer.fail(f"{key!r} is not supported. Rebuild the layer without it")
    query = dict(zip(takes, layer.inputs, strict=True))["query"]
    reasons = {
        "has dropout": layer.node.config.get("dropout"),
        "gives its scores": layer.node.call.settings.get(SCORES),
    }
    reason = next((text for text, applies in reasons.items() if applies), None)
    if layer.keras_major >= 3 and reason and query.masked:
        raise layer.fail(
            f"it {reason}, and its query has a mask: Keras 3 gives nothing for the steps that do not count there, "
            "and Keras 2, and so the references, something. Rebuild the layer without it"
        )
    shapes = dict(zip(takes, (value.shape for value in layer.inputs), strict=True))
    shapes.setdefault("key", shapes["value"])
    axes = _axes_of_steps(layer, shapes)
    heads, size = layer.config.integer("num_heads"), layer.config.integer("key_dim")
    sizes = {"query": size, "key": size, "value": layer.config.integer("value_dim", size)}
    channels = {name: layer.known(shapes[name][-1], "number of channels") for name in _TENSORS}
    made = layer.node.config.get("output_shape")
    made = made[0] if isinstance(made, list) and len(made) == 1 else made
    made = channels["query"] if made is None else made
    if type(made) is not int or made < 1:
        raise layer.fail(f"'output_shape' is {layer.node.config.get('output_shape')!r}; only one size is supported")
    expected = {name: (channels[name], heads, sizes[name]) for name in _TENSORS}
    expected["output"] = (heads, sizes["value"], made)
    kernels = {name: layer.tensor(layer.weight(f"{name}_kernel", expected[name])) for name in _PROJECTIONS}
    biases = {}
    if "output_bias" in layer.stored:
        for name in _PROJECTIONS:
            shape = (made,) if name == "output" else expected[name][1:]
            biases[name] = layer.tensor(layer.weight(f"{name}_bias", shape))
    module = (
        MultiHeadAttention(kernels, biases, takes, _causal(layer), _masked(layer)) if len(shapes["query"]) == _STEPS
        else MultiHeadAttentionOverAxes([axis + 1 for axis in axes], kernels, biases, takes)
    )  # fmt: skip
    return Built(Value((*shapes["query"][:-1], made)), (("", module),), mask="first")


def _axes_of_steps(layer: Layer, shapes: Mapping[str, Shape]) -> list[int]:
    """Return the axes along which a `MultiHeadAttention` has its steps, the batch axis 0."""
    rank = len(shapes["query"])
    told = layer.node.config.get("attention_axes")
    axes = list(range(1, rank)) if told is None else told if isinstance(told, list) else [told]
    if rank < _STEPS or len({len(shape) for shape in shapes.values()}) > 1:
        raise layer.fail(f"it reads the shapes {list(shapes.values())}; steps and channels of one number are expected")
    # Keras 2 counts negative axes among those of the heads, and so attends along others than anybody means.
    if not axes or any(type(axis) is not int or not 1 <= axis < rank for axis in axes) or len(set(axes)) < len(axes):
        raise layer.fail(f"'attention_axes' is {told!r}, expected some axes from 1 to {rank - 1}, the batch axis 0")
    alone = [axis for axis in range(1, rank) if axis not in axes]
    if any(len({shape[axis - 1] for shape in shapes.values()}) > 1 for axis in alone):
        raise layer.fail(f"the shapes {list(shapes.values())} differ in axes that are no steps ({alone})")
    if rank > _STEPS and (any(_masked(layer)) or _causal(layer)):
        raise layer.fail("it has a mask, which is supported for one axis of steps alone. Reshape what it reads")
    return axes


def roles(keywords: tuple[str | None, ...], count: int) -> tuple[str, ...]:
    """Return what each of the tensors is that a `MultiHeadAttention` reads.

    Parameters
    ----------
    keywords
        The argument that each is passed as, None where it is told by its place; empty where all are.
    count
        How many there are.
    """
    names = keywords or (None,) * count
    return tuple(name or _TENSORS[place] for place, name in enumerate(names[: len(_TENSORS)]))


def _names(layer: Layer) -> tuple[str | None, ...]:
    """Return the argument that each tensor is passed as, None where it is told by its place."""
    return tuple(getattr(layer.node, "keywords", ())) or (None,) * len(layer.inputs)


def _causal(layer: Layer) -> bool:
    """Return whether no step sees those behind it: a setting in older versions of Keras, told by the call in others."""
    return layer.config.flag("causal", False) or layer.node.call.settings.get("use_causal_mask") is True


def _masked(layer: Layer) -> tuple[bool, ...]:
    """Return which of the tensors has a mask."""
    return tuple(value.masked for value in layer.inputs)


def _shapes(layer: Layer) -> list[tuple[int | None, ...]]:
    """Return the shapes of what a layer reads, each steps and channels."""
    shapes = [value.shape for value in layer.inputs]
    if any(len(shape) != 2 for shape in shapes):
        raise layer.fail(f"it reads the shapes {shapes}; only one axis of steps and one of channels is supported")
    return shapes
