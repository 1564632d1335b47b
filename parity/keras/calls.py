"""The call of a layer in a Keras architecture: which tensors it reads, and what else it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from parity.keras.errors import ConversionError

Fail = Callable[[str], ConversionError]
"""Makes the error of a problem of this call."""
_CONSTANT = "_CONSTANT_VALUE"
# What layers call the first argument of a call; Keras 2 keeps it by place, however it was told.
_FIRST = ("query", "inputs", "sequences", "sequence")
_DEEPEST = 16


@dataclass(frozen=True)
class Source:
    """A tensor that a call reads: one of the results of one call of a layer of the same model."""

    layer: str
    call: int
    tensor: int


@dataclass(frozen=True)
class Call:
    """One call.

    Attributes
    ----------
    arguments
        By place; a tensor stands as a `Source`, also inside lists.
    keywords
        By name, in the same form.
    tells_masks
        Whether a mask that is not among the keywords is none: so it is in Functional models of Keras 3.
    """

    arguments: tuple[Any, ...]
    keywords: Mapping[str, Any] = field(default_factory=dict)
    tells_masks: bool = False

    @property
    def sources(self) -> tuple[Source, ...]:
        """The tensors that it reads, in order."""
        return tuple(source for source, _ in self._tensors())

    @property
    def names(self) -> tuple[str | None, ...]:
        """The keyword of each tensor that it reads, None where it stands by place."""
        return tuple(name for _, name in self._tensors())

    @property
    def settings(self) -> dict[str, Any]:
        """What it is told besides tensors, but for what changes nothing at inference."""
        told = {key: value for key, value in self.keywords.items() if not any(sources_in(value))}
        return {key: value for key, value in told.items()
                if not _is_nothing(value) and key != "name" and not (key == "training" and value is False)}  # fmt: skip

    def at_inference(self) -> Call:
        """Return the call without the `training=True` of a Keras 3 file: what a prediction is told overrides that."""
        if not self.tells_masks or self.keywords.get("training") is not True:
            return self
        return replace(self, keywords={key: value for key, value in self.keywords.items() if key != "training"})

    def _tensors(self) -> Iterator[tuple[Source, str | None]]:
        for argument in self.arguments:
            for source in sources_in(argument):
                yield source, None
        for name, value in self.keywords.items():
            for source in sources_in(value):
                yield source, name


def _is_nothing(value: Any) -> bool:
    """Return whether it is None, or None for each of several tensors."""
    items = list(value.values()) if isinstance(value, Mapping) else value
    return value is None or (isinstance(items, list) and bool(items) and all(item is None for item in items))


def sources_in(value: Any) -> Iterator[Source]:
    """Yield the tensors in an argument, in order."""
    if isinstance(value, Source):
        yield value
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from sources_in(item)
    elif isinstance(value, Mapping) and "class_name" not in value:
        for key in sorted(value, key=str):
            yield from sources_in(value[key])


def parse_call(call: Any, layers: Mapping[str, Any], fail: Fail) -> Call:
    """Read one entry of `inbound_nodes`, in the form of Keras 2 or of Keras 3.

    Parameters
    ----------
    call
        The entry.
    layers
        The layers of the model by name, to tell a tensor from a list of constants.
    fail
        Makes errors.
    """
    if isinstance(call, Mapping) and "args" in call:
        return _keras_3(call, fail)
    if isinstance(call, list) and call and isinstance(call[0], str):
        call = [call]
    if not isinstance(call, list) or not call:
        raise fail(f"has the form {type(call).__name__}, expected a list of tensors. Save the model again.")
    tensors: list[Any] = []
    keywords: dict[str, Any] = {}
    for entry in call:
        tensors.append(_argument_2(entry, keywords, fail))
    told = {key: _decoded_2(value, layers, fail, 0) for key, value in keywords.items()}
    return Call((tensors[0] if len(tensors) == 1 else tuple(tensors),), told)


def _argument_2(entry: Any, keywords: dict[str, Any], fail: Fail) -> Any:
    """Return a tensor or a constant, or a list of constants, and note the keywords that each entry repeats."""
    if isinstance(entry, list) and entry and all(isinstance(item, list) and item[:1] == [_CONSTANT] for item in entry):
        return [_argument_2(item, keywords, fail) for item in entry]
    if not (isinstance(entry, list) and len(entry) in (3, 4) and isinstance(entry[0], str)):
        raise fail(f"has an argument that is not a layer's result: {entry!r}. Use layers only.")
    if len(entry) == 4 and isinstance(entry[3], Mapping):
        keywords.update(entry[3])
    return entry[2] if entry[0] == _CONSTANT else _source(entry, fail)


def _source(entry: list[Any], fail: Fail) -> Source:
    layer, call, tensor = entry[:3]
    if not (type(call) is int and type(tensor) is int and call >= 0 and tensor >= 0):
        raise fail(f"names the tensor {entry[:3]!r}, expected a layer's name and two numbers. Save the model again.")
    return Source(layer, call, tensor)


def _decoded_2(value: Any, layers: Mapping[str, Any], fail: Fail, depth: int) -> Any:
    if depth > _DEEPEST:
        raise fail("has arguments that are nested too deep. Save the model again.")
    if isinstance(value, list):
        if len(value) == 3 and isinstance(value[0], str) and value[0] in layers:
            return _source(value, fail)
        return [_decoded_2(item, layers, fail, depth + 1) for item in value]
    return value


def _keras_3(call: Mapping[str, Any], fail: Fail) -> Call:
    arguments, keywords = call.get("args") or [], call.get("kwargs") or {}
    if not isinstance(arguments, list) or not isinstance(keywords, Mapping):
        raise fail("has no list of arguments. Save the model again.")
    places = tuple(_decoded_3(value, fail, 0) for value in arguments)
    told = {key: _decoded_3(value, fail, 0) for key, value in keywords.items()}
    if not places:
        first = next((name for name in _FIRST if name in told), None)
        if first is None:
            raise fail("has no arguments by place. Save the model again.")
        places = (told.pop(first),)
    return Call(places, told, tells_masks=True)


def _decoded_3(value: Any, fail: Fail, depth: int) -> Any:
    if depth > _DEEPEST:
        raise fail("has arguments that are nested too deep. Save the model again.")
    if isinstance(value, list):
        return [_decoded_3(item, fail, depth + 1) for item in value]
    if not isinstance(value, Mapping):
        return value
    config = value.get("config")
    if value.get("class_name") == "__keras_tensor__" and isinstance(config, Mapping):
        history = config.get("keras_history")
        if not (isinstance(history, list) and len(history) == 3 and isinstance(history[0], str)):
            raise fail(f"has an argument that is not a layer's result: {value!r}. Use layers only.")
        return _source(history, fail)
    if value.get("class_name") in ("__numpy__", "__tensor__") and isinstance(config, Mapping):
        return _decoded_3(config.get("value"), fail, depth + 1)
    if "class_name" not in value:  # tensors by name, for a model whose inputs have these names
        return {key: _decoded_3(item, fail, depth + 1) for key, item in value.items()}
    return dict(value)
