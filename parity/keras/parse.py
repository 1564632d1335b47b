"""From a Keras architecture (JSON) to a graph: Sequential and Functional models of Keras 2 and 3, however nested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from parity.keras.augmentations import TOLD_TO_TRAIN
from parity.keras.calls import Call, Source, parse_call
from parity.keras.cudnn import plain_entry
from parity.keras.description import Shape
from parity.keras.ends import ends_of, keys_of, numbered_as_inside
from parity.keras.entries import batch_shape, class_of
from parity.keras.errors import ConversionError
from parity.keras.graph import Graph, Model, Node, in_order, needed_for
from parity.keras.nested_calls import entered, input_names
from parity.keras.results import are_several, result_of
from parity.keras.wiring import Place, wired

_SEQUENTIAL = "Sequential"
_FUNCTIONAL = ("Functional", "Model")
MODELS = (_SEQUENTIAL, *_FUNCTIONAL)
"""Classes of models that describe themselves."""
DEEPEST_NESTING = 32
"""How deep models may lie inside of models."""
_MOST_CALLS = 10_000

Results = tuple[str, ...]
"""The nodes that make the results of a call."""


def parse_architecture(config: Mapping[str, Any], file: Path, output: str | None = None) -> Graph:
    """Flatten an architecture.

    Parameters
    ----------
    config
        The parsed JSON of `model.to_json()` or of the file attribute `model_config`.
    file
        Named in messages.
    output
        Keras name of the layer whose result is wanted, for a model of several outputs.

    Raises
    ------
    ConversionError
        For a subclassed model, several outputs of which none is named, a circle, or a configuration that is not well
        formed.
    """
    parser = _Parser(file)
    model, results = parser.model(config, scope="", sources=None, depth=0)
    if not parser.inputs:
        raise ConversionError(f"{file}: the model has no input layer. Build it (call it once), then save it again.")
    chosen = parser.chosen(output, results)
    nodes = tuple(parser.ordered(chosen))
    there = {node.name for node in nodes}
    inputs = tuple((name, parser.inputs[name]) for name in parser.input_order if name in there)
    keys = parser.input_keys if len(parser.input_keys) == len(inputs) else ()
    return Graph(model.keras_name, nodes, chosen, inputs, model, tuple(parser.outputs), keys=keys)


@dataclass
class _Parser:
    file: Path
    inputs: dict[str, Shape] = field(default_factory=dict)
    input_order: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    input_keys: tuple[str, ...] = ()
    output_keys: tuple[str, ...] = ()
    nodes: dict[str, Node] = field(default_factory=dict)
    ends_of_models: set[str] = field(default_factory=set)  # the nodes that make the outputs, also of models inside

    def fail(self, text: str) -> ConversionError:
        return ConversionError(f"{self.file}: {text}")

    # --- models ------------------------------------------------------------------------------------------------------

    def model(
        self, entry: Mapping[str, Any], scope: str, sources: Sequence[str] | None, depth: int
    ) -> tuple[Model, Results]:
        """Parse a model whose inputs are the nodes `sources` (None for the outermost); return it and its results."""
        if depth > DEEPEST_NESTING:
            raise self.fail(f"models are nested more than {DEEPEST_NESTING} deep. Flatten the model and save it again.")
        class_name = entry.get("class_name")
        config = entry.get("config")
        if class_name == _SEQUENTIAL:
            if isinstance(config, list):  # Keras before 2.2.3
                config = {"layers": config}
            return self.sequential(self.mapping(config, "model"), scope, sources, depth)
        if class_name in _FUNCTIONAL:
            return self.functional(self.mapping(config, "model"), scope, sources, depth)
        raise self.fail(
            f"the model is of the class {class_name!r}. Only Sequential and Functional models describe themselves; "
            "rebuild a subclassed model as one of these, load its weights, and save it."
        )

    def sequential(
        self, config: Mapping[str, Any], scope: str, sources: Sequence[str] | None, depth: int
    ) -> tuple[Model, Results]:
        members: list[Node | Model] = []
        previous = None
        name = config.get("name")
        if sources is not None:
            if len(sources) != 1:
                raise self.fail(f"the nested model {name!r} is called with {len(sources)} inputs, expected one.")
            previous = sources[0]
        for entry in self.entries(config):
            if entry.get("class_name") == "InputLayer":
                if previous is None:
                    node = self.input_node(entry, scope)
                    members.append(node)
                    previous = node.name
                continue
            if previous is None:
                shape = batch_shape(self.mapping(entry.get("config"), "layer")) or config.get("build_input_shape")
                nested = entry.get("class_name") in MODELS
                if shape is None and not nested:
                    raise self.fail(
                        f"the Sequential model {name!r} does not say its input shape. "
                        "Give its first layer input_shape=..., build it and save it again."
                    )
                if shape is not None:
                    made = {"name": self.free("input"), "batch_shape": shape}
                    node = self.input_node({"class_name": "InputLayer", "config": made}, scope)
                    members.append(node)
                    previous = node.name
            call = Call(() if previous is None else (Source(previous, 0, 0),))
            member, results = self.member(entry, scope, () if previous is None else (previous,), call, depth)
            if len(results) != 1:
                raise self.fail(f"the model {name!r} goes on behind a nested model of {len(results)} outputs.")
            previous = results[0]
            members.append(member)
        if previous is None or not any(isinstance(m, Model) or m.inbound for m in members):
            raise self.fail(f"the model {name!r} has no layers.")
        self.ends_of_models.add(previous)
        if not scope:
            self.outputs = [self.nodes[previous].keras_name]
        return Model(str(config.get("name", "sequential")), _SEQUENTIAL, tuple(members)), (previous,)

    def functional(
        self, config: Mapping[str, Any], scope: str, sources: Sequence[str] | None, depth: int
    ) -> tuple[Model, Results]:
        name = str(config.get("name", "model"))
        named = [source.layer for source in ends_of(config.get("input_layers"), name, "input", self.fail)]
        starts = {layer: number for number, layer in enumerate(named)}
        if len(starts) < len(named):
            raise self.fail(f"the model {name!r} names an input twice: {', '.join(named)}. Save the model again.")
        if sources is not None and len(sources) != len(starts):
            raise self.fail(f"the nested model {name!r} is called with {len(sources)} inputs, expected {len(starts)}.")
        entries: dict[str, Mapping[str, Any]] = {}
        for entry in self.entries(config):
            keras_name = self.layer_name(entry)
            if keras_name in entries:
                raise self.fail(f"two layers of the model {name!r} are named {keras_name!r}. Rename one, save again.")
            entries[keras_name] = entry
        calls = {
            (key, number): call
            for key, entry in entries.items()
            for number, call in enumerate(self.calls(entry, key, entries))
        }
        outputs = ends_of(config.get("output_layers"), name, "output", self.fail)
        for source in outputs:
            if source.layer not in entries:
                raise self.fail(f"the output layer {source.layer!r} of the model {name!r} is not among its layers.")
        if any(call.tells_masks for call in calls.values()):
            functional = {key for key, entry in entries.items() if entry.get("class_name") in _FUNCTIONAL}
            outputs = [numbered_as_inside(source) if source.layer in functional else source for source in outputs]
        wiring = wired(calls, outputs, name, self.fail)
        results: dict[Place, Results] = {}
        made: dict[str, Node | Model] = {}
        for place in wiring.order:
            key, number = place
            entry, call = entries[key], calls[place]
            if entry.get("class_name") == "InputLayer":
                results[place] = (self.input(entry, scope, starts, sources, name),)
                if sources is None:
                    made[key] = self.nodes[results[place][0]]
                continue
            inbound = tuple(
                self.result(source, place, results[producer])
                for source, producer in zip(call.sources, wiring.producers[place], strict=True)
            )
            if are_several(class_of(entry), self.mapping(entry.get("config"), "layer")):
                first_call = made.get(key)
                assert not isinstance(first_call, Model)
                node, results[place] = self.several(
                    entry, scope, inbound, call, place, wiring.read.get(place, {0}), first_call
                )
                made.setdefault(key, node)
            elif number == 0:
                made[key], results[place] = self.member(entry, scope, inbound, call, depth)
            else:
                results[place] = self.again(made[key], entry, scope, inbound, call, depth, number)
        if sources is None and not scope:
            self.input_order = [results[(start, 0)][0] for start in starts if (start, 0) in results]
            self.outputs = [source.layer for source in outputs]
            self.input_keys = keys_of(config.get("input_layers"))
            self.output_keys = keys_of(config.get("output_layers"))
        # Weights are stored in the order of the file, not of computation.
        members = tuple(made[key] for key in entries if key in made)
        ends = tuple(self.result(source, (source.layer, 0), results[place]) for place, source in wiring.ends)
        self.ends_of_models.update(ends)
        return Model(name, "Functional", members), ends

    def input(
        self, entry: Mapping[str, Any], scope: str, starts: Mapping[str, int], sources: Sequence[str] | None, model: str
    ) -> str:
        """Return the node that an input layer stands for."""
        key = self.layer_name(entry)
        if key not in starts:
            raise self.fail(
                f"the model {model!r} has an input layer {key!r} that is not among its inputs {list(starts)}. "
                "Save keras.Model(inputs, outputs) with all its inputs."
            )
        if sources is not None:
            return sources[starts[key]]
        return self.input_node(entry, scope).name

    def result(self, source: Source, reader: Place, results: Results) -> str:
        if source.tensor >= len(results):
            raise self.fail(
                f"the layer {reader[0]!r} reads output {source.tensor} of {source.layer!r}; only "
                f"{'one is' if len(results) == 1 else f'{len(results)} are'} supported. Read the first one alone (a "
                "layer without return_state or return_attention_scores, no bare operation of several results), and "
                "save the model again."
            )
        return results[source.tensor]

    # --- members -----------------------------------------------------------------------------------------------------

    def member(
        self, entry: Mapping[str, Any], scope: str, inbound: tuple[str, ...], call: Call, depth: int
    ) -> tuple[Node | Model, Results]:
        """Parse a layer or a nested model."""
        class_name = entry.get("class_name")
        if class_name in MODELS:
            inner = f"{scope}{self.layer_name(entry)}/"
            return self.model(entry, inner, self.entered(entry, inner, inbound, call) or None, depth + 1)
        node = self.node(entry, scope, inbound, call)
        return node, (node.name,)

    def again(
        self, first: Node | Model, entry: Mapping[str, Any], scope: str, inbound: tuple[str, ...], call: Call,
        depth: int, number: int,
    ) -> Results:  # fmt: skip
        """Parse a further call of a layer or a nested model, with the weights of the first."""
        if len(self.nodes) > _MOST_CALLS:
            raise self.fail(f"its layers are called more than {_MOST_CALLS} times in all.")
        suffix = f"_call_{number + 1}"
        if isinstance(first, Node):
            node = self.node(entry, scope, inbound, call, suffix, first.name)
            return (node.name,)
        there, here = (f"{scope}{self.layer_name(entry)}{again}/" for again in ("", suffix))
        inbound = self.entered(entry, here, inbound, call)
        before = len(self.nodes)
        _, results = self.model(entry, here, inbound, depth + 1)
        copies = list(islice(self.nodes.values(), before, None))
        for copy in copies:  # a further call inside of the model has the weights of the first one there
            original = self.nodes[there + copy.name.removeprefix(here)]
            self.nodes[copy.name] = replace(copy, weights_of=original.weights_of or original.name)
        return results

    def several(
        self, entry: Mapping[str, Any], scope: str, inbound: tuple[str, ...], call: Call, place: Place, read: set[int],
        first: Node | None,
    ) -> tuple[Node, Results]:  # fmt: skip
        """Parse a call of a layer of several results: a node for each that is read; `first` is of the first call."""
        key, number = place
        if max(read) >= _MOST_CALLS:
            raise self.fail(f"result {max(read)} of {key!r} is read, which it cannot have.")
        again = f"_call_{number + 1}" if number else ""
        names = [scope + key + again + (f"_result_{result + 1}" if result else "") for result in range(max(read) + 1)]
        nodes: list[Node] = []
        for result in sorted(read):
            node = self.node(entry, scope, inbound, call, names[result].removeprefix(scope + key))
            try:
                made = result_of(node, result, nodes[0] if nodes else first)
            except ValueError as problem:
                raise self.fail(f"of the layer {key!r} {problem}. Save the model again.") from None
            self.nodes |= {node.name: node for node in made}
            nodes.append(made[0])
        return nodes[0], tuple(names)

    def entered(self, entry: Mapping[str, Any], inner: str, inbound: tuple[str, ...], call: Call) -> tuple[str, ...]:
        """Return what a call of a nested model hands to its inputs."""
        inputs = input_names(entry.get("config"))
        read, bringing = entered(self.layer_name(entry), inner, inbound, call, inputs, self.fail)
        self.nodes |= {node.name: node for node in bringing}
        return read

    def node(
        self, entry: Mapping[str, Any], scope: str, inbound: tuple[str, ...], call: Call, suffix: str = "",
        weights_of: str = "",
    ) -> Node:  # fmt: skip
        keras_name = self.layer_name(entry)
        name = scope + keras_name + suffix
        if name in self.nodes:
            raise self.fail(f"two layers are named {name!r}. Rename one of them and save the model again.")
        config = self.mapping(entry.get("config"), f"layer {name!r}")
        class_name = class_of(entry)
        call = call.at_inference() if class_name in TOLD_TO_TRAIN else call
        node = Node(name, keras_name, class_name, config, inbound, call, weights_of)
        self.nodes[name] = node
        return node

    def input_node(self, entry: Mapping[str, Any], scope: str) -> Node:
        node = self.node(entry, scope, (), Call(()))
        shape = batch_shape(node.config)
        sizes_ok = isinstance(shape, list) and len(shape) >= 2
        sizes_ok = sizes_ok and all(n is None or (type(n) is int and n > 0) for n in shape[1:])
        if not sizes_ok:
            raise self.fail(
                f"the input layer {node.name!r} has the shape {shape!r}, expected [null, "
                "sizes...]. Keep an axis beside the batch: Input((1,)) in place of Input(())."
            )
        self.inputs[node.name] = tuple(shape[1:])
        self.input_order.append(node.name)
        return node

    # --- calls -------------------------------------------------------------------------------------------------------

    def calls(self, entry: Mapping[str, Any], name: str, known: Mapping[str, Any]) -> list[Call]:
        """Return the calls of one layer; an input layer counts as called once, with nothing."""
        calls = entry.get("inbound_nodes")
        if not isinstance(calls, list):
            raise self.fail(f"the layer {name!r} has no list 'inbound_nodes'. Save the model again.")
        if entry.get("class_name") == "InputLayer":
            return [Call(())]
        if not calls:
            raise self.fail(f"the layer {name!r} is never called. Remove it and save the model again.")
        parsed = [
            parse_call(call, known, lambda problem: self.fail(f"the call of the layer {name!r} {problem}"))
            for call in calls
        ]
        for call in parsed:
            if not call.sources and entry.get("class_name") == "TFOpLambda":
                raise self.fail(
                    f"the file does not tell which tensors the bare operation {name!r} reads: of what follows a "
                    "constant Keras keeps nothing. Use a Keras layer instead, such as Dot or EinsumDense."
                )
            if not call.sources:
                raise self.fail(f"the layer {name!r} reads no other layer. Save the model again.")
            for source in call.sources:
                if source.layer not in known:
                    raise self.fail(f"the layer {name!r} reads {source.layer!r}, which is not a layer of the model.")
        return parsed

    # --- ends --------------------------------------------------------------------------------------------------------

    def chosen(self, output: str | None, results: Results) -> str:
        """Return the node of the output that is wanted, by the name of the layer or nested model, or by its own.

        A model that returns a dict has its keys besides.
        """
        names = self.outputs if len(set(self.outputs)) == len(self.outputs) else list(results)
        if output in results:
            return output
        if output is not None and output in self.output_keys and output not in names:
            return results[self.output_keys.index(output)]
        if output is not None and output not in names:
            raise self.fail(f"the model has no output {output!r}; its outputs are {', '.join(names)}.")
        if output is None and len(set(results)) > 1:
            raise self.fail(
                f"the model has {len(results)} outputs ({', '.join(names)}), and one is explained at a time: choose it "
                "with output='name' (--output name)."
            )
        return results[0 if output is None else names.index(output)]

    def ordered(self, output: str) -> list[Node]:
        """Sort the flattened nodes; what only other outputs need is left out, what none needs is refused."""
        order, _ = in_order({node.name: node.inbound for node in self.nodes.values()})
        needed, of_any_output = (needed_for(ends, self.nodes) for ends in ([output], self.ends_of_models))
        for name in order:
            if name not in of_any_output:
                raise self.fail(
                    f"the layer {name!r} does not lead to the model's output. "
                    "Save keras.Model(inputs, output) without it."
                )
        return [self.nodes[name] for name in order if name in needed]

    # --- entries -----------------------------------------------------------------------------------------------------

    def entries(self, config: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        layers = config.get("layers")
        if not isinstance(layers, list) or not layers:
            raise self.fail(f"the model {config.get('name')!r} has no list of layers. Save the model again.")
        return [plain_entry(self.mapping(entry, "layer")) for entry in layers]

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

    def free(self, name: str) -> str:
        while name in self.nodes:
            name += "_"
        return name
