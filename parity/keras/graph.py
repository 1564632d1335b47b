"""From a Keras architecture (JSON) to a flat list of layers in the order of computation.

Sequential and Functional models of Keras 2 and 3, nested to any depth. Nothing is instantiated by name: an
architecture is data, and a class that the handler table does not know is refused later, by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from parity.keras.description import Shape
from parity.keras.errors import ConversionError

_SEQUENTIAL = "Sequential"
_FUNCTIONAL = ("Functional", "Model")
_DEEPEST_NESTING = 32
# How TensorFlow 1 calls layers of today.
_OLD_NAMES = {"BatchNormalizationV1": "BatchNormalization", "BatchNormalizationV2": "BatchNormalization"}


@dataclass(frozen=True)
class Node:
    """One layer of the flattened model.

    Attributes
    ----------
    name
        Unique: the Keras name, prefixed with the names of the enclosing models (`outer/inner`).
    keras_name
        The layer's own Keras name.
    class_name, config
        As in the file, but for old names of classes.
    inbound
        Names of the nodes that it reads, in order.
    """

    name: str
    keras_name: str
    class_name: str
    config: Mapping[str, Any]
    inbound: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """A model or nested model with its members in Keras order; this is how weights are stored.

    Attributes
    ----------
    keras_name, class_name
        As in the file; `"Model"` reads `"Functional"`.
    members
        Layers and nested models; input layers included.
    """

    keras_name: str
    class_name: str
    members: tuple[Node | Model, ...]

    def nodes(self) -> Iterator[Node]:
        """Yield every layer inside, nested ones included, in Keras order."""
        for member in self.members:
            if isinstance(member, Model):
                yield from member.nodes()
            else:
                yield member


@dataclass(frozen=True)
class Graph:
    """A flattened model.

    Attributes
    ----------
    name
        The model's Keras name.
    nodes
        In the order of computation; the first is the one input layer.
    output
        Name of the node whose result is the model's result.
    input_shape
        Keras layout without the batch axis; None for open sizes.
    model
        The same layers as they are nested.
    """

    name: str
    nodes: tuple[Node, ...]
    output: str
    input_shape: Shape
    model: Model


def parse_architecture(config: Mapping[str, Any], file: Path) -> Graph:
    """Flatten an architecture.

    Parameters
    ----------
    config
        The parsed JSON of `model.to_json()` or of the file attribute `model_config`.
    file
        Named in messages.

    Raises
    ------
    ConversionError
        For a subclassed model, several inputs or outputs, a layer called twice, a cycle, or a configuration that
        is not well formed.
    """
    parser = _Parser(file)
    model, output = parser.model(config, scope="", source=None, depth=0)
    if parser.input is None:
        raise ConversionError(f"{file}: the model has no input layer. Build it (call it once), then save it again.")
    nodes = tuple(parser.ordered(list(model.nodes()), output))
    return Graph(model.keras_name, nodes, output, parser.input, model)


@dataclass
class _Parser:
    file: Path
    input: Shape | None = None
    names: set[str] = field(default_factory=set)

    def fail(self, text: str) -> ConversionError:
        return ConversionError(f"{self.file}: {text}")

    def model(self, entry: Mapping[str, Any], scope: str, source: str | None, depth: int) -> tuple[Model, str]:
        """Parse a model whose input is the node `source` (None for the outermost); return it and its output."""
        if depth > _DEEPEST_NESTING:
            raise self.fail(
                f"models are nested more than {_DEEPEST_NESTING} deep. Flatten the model and save it again."
            )
        class_name = entry.get("class_name")
        config = entry.get("config")
        if class_name == _SEQUENTIAL:
            if isinstance(config, list):  # Keras before 2.2.3
                config = {"layers": config}
            return self.sequential(self.mapping(config, "model"), scope, source, depth)
        if class_name in _FUNCTIONAL:
            return self.functional(self.mapping(config, "model"), scope, source, depth)
        raise self.fail(
            f"the model is of the class {class_name!r}. Only Sequential and Functional models describe themselves; "
            "rebuild a subclassed model as one of these, load its weights, and save it."
        )

    def sequential(self, config: Mapping[str, Any], scope: str, source: str | None, depth: int) -> tuple[Model, str]:
        members: list[Node | Model] = []
        previous = source
        for entry in self.entries(config):
            if entry.get("class_name") == "InputLayer":
                if previous is None:
                    node = self.input_node(entry, scope)
                    members.append(node)
                    previous = node.name
                continue
            if previous is None:
                shape = _batch_shape(self.mapping(entry.get("config"), "layer")) or config.get("build_input_shape")
                nested = entry.get("class_name") in (_SEQUENTIAL, *_FUNCTIONAL)
                if shape is None and not nested:
                    raise self.fail(
                        f"the Sequential model {config.get('name')!r} does not say its input shape. "
                        "Give its first layer input_shape=..., build it and save it again."
                    )
                if shape is not None:
                    made = {"name": self.free("input"), "batch_shape": shape}
                    node = self.input_node({"class_name": "InputLayer", "config": made}, scope)
                    members.append(node)
                    previous = node.name
            member, previous = self.member(entry, scope, (previous,) if previous else (), depth)
            members.append(member)
        if previous is None or not any(isinstance(m, Model) or m.inbound for m in members):
            raise self.fail(f"the model {config.get('name')!r} has no layers.")
        return Model(str(config.get("name", "sequential")), _SEQUENTIAL, tuple(members)), previous

    def functional(self, config: Mapping[str, Any], scope: str, source: str | None, depth: int) -> tuple[Model, str]:
        name = str(config.get("name", "model"))
        start = self.only_one(config.get("input_layers"), name, "input")
        end = self.only_one(config.get("output_layers"), name, "output")
        # Keras name of a layer -> the node that yields its result.
        results: dict[str, str] = {}
        entries = {}
        for entry in self.entries(config):
            keras_name = self.layer_name(entry)
            if keras_name in entries:
                raise self.fail(f"two layers of the model {name!r} are named {keras_name!r}. Rename one, save again.")
            entries[keras_name] = entry
        producers = {key: self.producers(entry, key, entries) for key, entry in entries.items()}
        made: dict[str, Node | Model] = {}
        for key in self.sorted_names(producers, name):
            entry = entries[key]
            if entry.get("class_name") == "InputLayer":
                if key != start:
                    raise self.fail(f"the model {name!r} has a second input {key!r}; only one input is supported.")
                if source is None:
                    node = self.input_node(entry, scope)
                    made[key], results[key] = node, node.name
                else:
                    results[key] = source
                continue
            inbound = tuple(results[producer] for producer in producers[key])
            made[key], results[key] = self.member(entry, scope, inbound, depth)
        if end not in results:
            raise self.fail(f"the output layer {end!r} of the model {name!r} is not among its layers.")
        # Weights are stored in the order of the file, not of computation.
        members = tuple(made[key] for key in entries if key in made)
        return Model(name, "Functional", members), results[end]

    def member(
        self, entry: Mapping[str, Any], scope: str, inbound: tuple[str, ...], depth: int
    ) -> tuple[Node | Model, str]:
        """Parse a layer or a nested model."""
        class_name = entry.get("class_name")
        keras_name = self.layer_name(entry)
        if class_name == _SEQUENTIAL or class_name in _FUNCTIONAL:
            if len(inbound) > 1:
                raise self.fail(f"the nested model {keras_name!r} is called with {len(inbound)} inputs, expected one.")
            return self.model(entry, f"{scope}{keras_name}/", inbound[0] if inbound else None, depth + 1)
        node = self.node(entry, scope, inbound)
        return node, node.name

    def node(self, entry: Mapping[str, Any], scope: str, inbound: tuple[str, ...]) -> Node:
        keras_name = self.layer_name(entry)
        name = scope + keras_name
        if name in self.names:
            raise self.fail(f"two layers are named {name!r}. Rename one of them and save the model again.")
        self.names.add(name)
        class_name = str(entry.get("class_name"))
        class_name = _OLD_NAMES.get(class_name, class_name)
        # A user's own class must not pass for Keras's because it has the same name.
        module, registered = entry.get("module"), entry.get("registered_name")
        if isinstance(registered, str) and registered not in ("", class_name):
            class_name = registered
        elif isinstance(module, str) and module.split(".")[0] not in ("keras", "tf_keras", "tensorflow"):
            class_name = f"{module}.{class_name}"
        return Node(name, keras_name, class_name, self.mapping(entry.get("config"), f"layer {name!r}"), inbound)

    def input_node(self, entry: Mapping[str, Any], scope: str) -> Node:
        node = self.node(entry, scope, ())
        shape = _batch_shape(node.config)
        if self.input is not None:
            raise self.fail(f"the model has a second input {node.name!r}; only one input is supported.")
        sizes_ok = isinstance(shape, list) and len(shape) >= 2
        sizes_ok = sizes_ok and all(n is None or (type(n) is int and n > 0) for n in shape[1:])
        if not sizes_ok:
            raise self.fail(f"the input layer {node.name!r} has the shape {shape!r}, expected [null, sizes...].")
        self.input = tuple(shape[1:])
        return node

    def producers(self, entry: Mapping[str, Any], name: str, known: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the Keras names of the layers that one layer reads."""
        calls = entry.get("inbound_nodes")
        if not isinstance(calls, list):
            raise self.fail(f"the layer {name!r} has no list 'inbound_nodes'. Save the model again.")
        if entry.get("class_name") == "InputLayer":
            return ()
        if len(calls) > 1:
            raise self.fail(
                f"the layer {name!r} is called {len(calls)} times. Shared layers are not supported: use one layer "
                "(with a copy of the weights) per call, and save the model again."
            )
        if not calls:
            raise self.fail(f"the layer {name!r} is never called. Remove it and save the model again.")
        found: list[str] = []
        for history in _histories(calls[0], lambda problem: self.fail(f"the call of the layer {name!r} {problem}")):
            producer, tensor = history
            if producer not in known:
                raise self.fail(f"the layer {name!r} reads {producer!r}, which is not a layer of the model.")
            if tensor != 0:
                raise self.fail(f"the layer {name!r} reads output {tensor} of {producer!r}; only one is supported.")
            found.append(producer)
        if not found:
            raise self.fail(f"the layer {name!r} reads no other layer. Save the model again.")
        return tuple(found)

    def sorted_names(self, producers: Mapping[str, tuple[str, ...]], model: str) -> list[str]:
        """Return the names such that every layer comes after those it reads, otherwise in file order."""
        order: list[str] = []
        done: set[str] = set()
        waiting = list(producers)
        while waiting:
            ready = [name for name in waiting if all(producer in done for producer in producers[name])]
            if not ready:
                raise self.fail(f"the layers {waiting[:3]} of the model {model!r} wait for each other in a circle.")
            order += ready
            done.update(ready)
            waiting = [name for name in waiting if name not in done]
        return order

    def ordered(self, nodes: list[Node], output: str) -> list[Node]:
        """Sort the flattened nodes; a node that does not lead to the output is refused."""
        by_name = {node.name: node for node in nodes}
        order = self.sorted_names({node.name: node.inbound for node in nodes}, "")
        needed: set[str] = set()
        stack = [output]
        while stack:
            name = stack.pop()
            if name not in needed:
                needed.add(name)
                stack += by_name[name].inbound
        for name in order:
            if name not in needed:
                raise self.fail(
                    f"the layer {name!r} does not lead to the model's output. "
                    "Save keras.Model(inputs, output) without it."
                )
        return [by_name[name] for name in order]

    def entries(self, config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        layers = config.get("layers")
        if not isinstance(layers, list) or not layers:
            raise self.fail(f"the model {config.get('name')!r} has no list of layers. Save the model again.")
        return [self.mapping(entry, "layer") for entry in layers]

    def layer_name(self, entry: Mapping[str, Any]) -> str:
        name = entry.get("name")
        if name is None:
            name = self.mapping(entry.get("config"), "layer").get("name")
        if not isinstance(name, str) or not name:
            raise self.fail(f"a layer of the class {entry.get('class_name')!r} has no name. Save the model again.")
        return name

    def mapping(self, value: Any, what: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self.fail(f"the configuration of a {what} is {type(value).__name__}, expected an object.")
        return value

    def only_one(self, value: Any, model: str, what: str) -> str:
        """Return the layer name from `[["name", 0, 0]]` (Keras 2) or `["name", 0, 0]` (Keras 3)."""
        if isinstance(value, list) and value and isinstance(value[0], str):
            value = [value]
        if isinstance(value, list) and len(value) > 1:
            raise self.fail(
                f"the model {model!r} has {len(value)} {what}s. Only one is supported: "
                "save keras.Model(one_input, one_output)."
            )
        if not (isinstance(value, list) and value and isinstance(value[0], list) and value[0]):
            raise self.fail(f"the model {model!r} does not name its {what} layer. Save the model again.")
        return str(value[0][0])

    def free(self, name: str) -> str:
        while name in self.names:
            name += "_"
        return name


def _batch_shape(config: Mapping[str, Any]) -> Any:
    return config.get("batch_shape") or config.get("batch_input_shape")


def _histories(call: Any, fail: Callable[[str], ConversionError]) -> Iterator[tuple[str, int]]:
    """Yield (producer, tensor index) of one call, in the form of Keras 2 or of Keras 3."""
    if isinstance(call, Mapping):
        _check_arguments(call.get("kwargs") or {}, fail)
        arguments = call.get("args")
        arguments = arguments[0] if isinstance(arguments, list) and len(arguments) == 1 else arguments
        for tensor in arguments if isinstance(arguments, list) else [arguments]:
            history = tensor.get("config", {}).get("keras_history") if isinstance(tensor, Mapping) else None
            if not (isinstance(history, list) and len(history) == 3):
                raise fail(f"has an argument that is not a layer's result: {tensor!r}. Use layers only.")
            yield str(history[0]), history[2]
        return
    if isinstance(call, list) and call and isinstance(call[0], str):
        call = [call]
    for entry in call if isinstance(call, list) else [call]:
        if not (isinstance(entry, list) and len(entry) in (3, 4) and isinstance(entry[0], str)):
            raise fail(f"has an argument that is not a layer's result: {entry!r}. Use layers only.")
        _check_arguments(entry[3] if len(entry) == 4 else {}, fail)
        yield entry[0], entry[2]


def _check_arguments(arguments: Any, fail: Callable[[str], ConversionError]) -> None:
    for key, value in arguments.items() if isinstance(arguments, Mapping) else ():
        if value is None or (key == "training" and value is False):
            continue
        raise fail(f"passes {key}={value!r}, which is not supported. Call the layer without it.")
