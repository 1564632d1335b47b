"""From a graph of Keras layers to a torch module: calls the handlers, wires the results."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import nn

from parity.keras.description import LayerDescription, ModelDescription, Shape
from parity.keras.errors import ConversionError
from parity.keras.functions.left_out import without_what_changes_nothing
from parity.keras.functions.sizes import Sizes
from parity.keras.functions.spelling import Tensor
from parity.keras.functions.table import cast_dtype, is_operation, measured, spelled
from parity.keras.graph import Graph, Node
from parity.keras.handlers.activations import is_identity
from parity.keras.handlers.handler import Handler
from parity.keras.handlers.layer import Layer, Value, failure
from parity.keras.handlers.layouts import shown, starts_channels_first, turned_back, works_channels_first
from parity.keras.handlers.shapes import to_keras_axes
from parity.keras.handlers.table import HANDLERS, TRAINING_ONLY
from parity.keras.input_shape import HOW_TO_TELL
from parity.keras.masks import SequenceMasks
from parity.keras.masks_taken import MasksTaken
from parity.keras.module import KerasModule, Place, Step
from parity.keras.modules.moving import FeatureOrder, Rearrange
from parity.keras.modules.tokens import MaskOfAll
from parity.keras.stored import KERAS_3, Stored
from parity.keras.weights import Assigned
from parity.keras.whole import spelled_otherwise

# Far above any classifier's activations; a damaged size must not exhaust the memory.
_LARGEST_OUTPUT = 1 << 27


@dataclass
class Builder:
    """What is known of a model while its layers are converted, one after another.

    Attributes
    ----------
    stored
        The graph and its tensors.
    dtype
        Of the module.
    last_softmax
        The layer whose softmax is taken off, None if there is none.
    """

    stored: Stored
    dtype: torch.dtype
    last_softmax: str | None
    values: dict[str, Value] = field(default_factory=dict)
    positions: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, Sizes] = field(default_factory=dict)  # by operation: what `tf.shape` and what follows it gives
    masks: dict[str, int] = field(default_factory=dict)  # by layer: the position of its result's mask
    unmasked: dict[str, str] = field(default_factory=dict)  # by layer: the one that gives its result without the mask
    modules: dict[str, nn.Module] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    layers: list[LayerDescription] = field(default_factory=list)
    ends: dict[str, str] = field(default_factory=dict)  # by layer: the module that gives its output
    begun: dict[str, int] = field(default_factory=dict)  # by layer: how many steps there were before its own
    done: dict[str, int] = field(default_factory=dict)  # and with them

    @property
    def graph(self) -> Graph:
        """The layers and how they read each other."""
        return self.stored.graph

    @cached_property
    def starts(self) -> Mapping[str, tuple[int, Shape]]:
        """Position and shape of each input, by its name."""
        return {name: (position, shape) for position, (name, shape) in enumerate(self.graph.inputs)}

    @cached_property
    def starts_channels_first(self) -> bool:
        """Whether the channels of the input are its first axis in Keras too."""
        return starts_channels_first(self.graph)

    @property
    def path(self) -> Path:
        """The model's file."""
        return self.stored.file.path

    @property
    def last(self) -> int:
        """The position of the last result."""
        return len(self.graph.inputs) + len(self.steps) - 1

    @cached_property
    def sequence_masks(self) -> SequenceMasks:
        """What the masks are made of."""
        keras_3 = self.stored.keras_major >= KERAS_3
        nodes = self.graph.nodes if keras_3 else ()
        idle = {
            node.name for node in nodes if node.class_name in TRAINING_ONLY or is_identity(node.class_name, node.config)
        }
        return SequenceMasks(keras_3, MasksTaken(nodes, self.graph.output, idle))

    def add(self, node: Node) -> None:
        """Convert one layer and wire it; a bare operation becomes the layers that it is spelled as."""
        try:
            if not is_operation(node.class_name):
                node = self.sequence_masks.checked(node, HANDLERS[node.class_name].mask == "reads")
            elif self.sequence_masks.is_made_by(node):
                return
        except ValueError as problem:
            raise self._fail(node, str(problem)) from None
        if is_operation(node.class_name) and node.name == self.last_softmax:
            self._add(Node(node.name, node.keras_name, "Softmax", {"name": node.name}, node.inbound[:1]))
        elif is_operation(node.class_name):
            self._add_operation(node)
        elif any(name in self.sizes for name in node.inbound):
            raise self._fail(node, "it reads sizes of a tensor (tf.shape), as only a reshape can. Give it numbers")
        elif node.ends_masks:
            self._add(replace(node, inbound=tuple(self._without_mask(name) for name in node.inbound)))
        else:
            self._add(node)

    def _add_operation(self, node: Node) -> None:
        reads = [self.sizes[name] if name in self.sizes else self._tensor(name) for name in node.inbound]
        gives_sizes, sizes = measured(node, reads)
        if gives_sizes:
            self.sizes[node.name] = sizes
            return
        # Operations do not support masks, and the layers that they are spelled as may.
        if not self._is_its_input(node):
            reads = [
                self._tensor(self._without_mask(read.name)) if isinstance(read, Tensor) else read for read in reads
            ]
        node = without_what_changes_nothing(node, self.graph)
        for part in spelled(node, reads, lambda problem: self._fail(node, problem)):
            if part.class_name not in HANDLERS:
                raise self._fail(node, f"the {part.class_name} that it is spelled as is not supported")
            self._add(part)

    def _is_its_input(self, node: Node) -> bool:
        """Return whether an operation gives what it reads and nothing new, a mask included: a cast to its own dtype."""
        dtype = cast_dtype(node)
        if dtype is None or node.inbound[0] not in self.masks:
            return False
        layer = next(layer for layer in self.layers if layer.name == node.inbound[0])
        layer_dtype = layer.config.get("dtype", "float32")
        if not isinstance(layer_dtype, str) or not layer_dtype.startswith("float"):
            raise self._fail(node, f"it casts a sequence with a mask, of the dtype {layer_dtype!r}. Leave the cast out")
        return layer_dtype == dtype

    def _tensor(self, name: str) -> Tensor:
        return Tensor(name, self.values[name].shape)

    def _without_mask(self, name: str) -> str:
        """Return a layer whose result is that of another one without its mask: Cropping, of nothing, ends masks."""
        if name not in self.masks:
            return name
        if name not in self.unmasked:
            axes = len(self.values[name].shape) - 1
            bare, margins = f"{name}_without_mask", [[0, 0]] * axes
            config = {"name": bare, "cropping": margins if axes > 1 else margins[0]}
            node = Node(bare, bare, f"Cropping{axes}D", config, (name,))
            if node.class_name not in HANDLERS:
                raise self._fail(node, f"a sequence of {axes} axes with a mask is read by what ends masks")
            self._add(node)
            self.unmasked[name] = bare
        return self.unmasked[name]

    def _add(self, node: Node) -> None:
        if node.name in self.values:
            raise self._fail(node, "another layer has this name. Rename one of them, and save the model again")
        self.begun[node.name] = len(self.steps)
        self._convert(node)
        self.done[node.name] = len(self.steps)

    def _convert(self, node: Node) -> None:
        handler = HANDLERS[node.class_name]
        if not node.inbound:
            self.positions[node.name], shape = self.starts[node.name]
            self.values[node.name] = Value(shape, channels_first=self.starts_channels_first)
            self._describe(node, None)
            return
        inputs = [(self.values[name], self.positions[name]) for name in node.inbound]
        if self._needs_keras_order(handler, [value for value, _ in inputs]):
            inputs = [self._in_keras_order(node.inbound[i], *pair) for i, pair in enumerate(inputs)]
        first = works_channels_first(handler.layout, node, [value for value, _ in inputs])
        inputs = [self._in_layout(node.inbound[i], first, *pair) for i, pair in enumerate(inputs)]
        values = tuple(value for value, _ in inputs)
        stored = self.stored.tensors.get(node.name, {})
        layer = Layer(
            *(shown(handler.layout, node, values) if first else (node, values)),
            stored,
            self.dtype,
            self.stored.keras_major,
            self.path,
            drop_softmax=node.name == self.last_softmax,
            channels_first=first,
            convert=self._inside,
        )
        built = handler.build(layer)
        unused = set(stored) - layer.used
        if unused:
            raise layer.fail(f"the tensors {sorted(unused)} in the file are left over")
        own = None
        position = read = tuple(position for _, position in inputs)
        masks = [self.masks[name] for name in node.inbound if name in self.masks]
        if handler.mask == "reads":
            position = (*position, *masks)
        for suffix, module in built.modules:
            name = self._add_module(node.name + suffix, module, position)
            own = name if suffix == "" else own
            self.ends[node.name] = name
            position = (self.last,)
        if len(position) > 1:
            raise layer.fail(f"it reads {len(position)} tensors, expected one")
        self.positions[node.name] = position[0]
        if built.mask == "first":
            masks = [self.masks[name] for name in node.inbound[:1] if name in self.masks]
        passes = handler.mask == "passes" or built.mask in ("passes", "first")
        joined = values[:1] if built.mask == "first" else values
        if passes and len({value.shape[:1] for value in joined if value.masked}) > 1:
            raise layer.fail(
                "it joins sequences of different lengths that have masks (of Masking, or Embedding with "
                "mask_zero=True), which Keras cannot either. Rebuild the model without masks there"
            )
        if isinstance(built.mask, nn.Module) or (passes and masks):
            self.masks[node.name] = self._mask(node.name, built.mask, read, masks)
        self.sequence_masks.follow(node, passes, built.mask)
        self.values[node.name] = replace(
            turned_back(built.value) if first else built.value, masked=node.name in self.masks
        )
        self._describe(node, own, built.inside)

    def _inside(self, graph: Graph, tensors: Assigned) -> tuple[KerasModule, Shape, ModelDescription]:
        """Return a model that a layer holds, in torch layout, the shape of its result, and its description."""
        shared = {node.name: tensors.get(node.weights_of, {}) for node in graph.nodes if node.weights_of}
        stored = replace(self.stored, graph=graph, tensors={**tensors, **shared})
        builder = Builder(stored, self.dtype, None)
        for node in graph.nodes:
            builder.add(node)
        module = builder.finish("", in_keras_layout=False)
        return module, builder.values[graph.output].shape, module.description

    def _mask(self, name: str, made: nn.Module | str | None, read: tuple[int, ...], masks: list[int]) -> int:
        """Return the position of a layer's mask: made of what it reads, or that of what it reads."""
        if not isinstance(made, nn.Module) and len(masks) == 1:
            return masks[0]
        module, inputs = (made, read) if isinstance(made, nn.Module) else (MaskOfAll(), tuple(masks))
        self._add_module(f"{name}_mask", module, inputs)
        return self.last

    def finish(self, sha256: str, in_keras_layout: bool = True) -> KerasModule:
        """Return the module after checking that it yields logits and that every parameter has its values.

        Parameters
        ----------
        sha256
            Of the file.
        in_keras_layout
            Whether a result of several axes is brought into Keras' order.
        """
        if self.graph.output not in self.values:
            raise ConversionError(
                f"{self.path}: the model's output {self.graph.output!r} is the size of a tensor, or a mask, which no "
                "method explains. Save keras.Model(inputs, output) of a layer."
            )
        output, position = self.values[self.graph.output], self.positions[self.graph.output]
        if None in output.shape or not output.shape:
            raise ConversionError(
                f"{self.path}: the model's output, layer {self.graph.output!r}, has the shape {output.shape} "
                f"besides the batch; expected fixed sizes. {HOW_TO_TELL if output.shape else 'Keep an axis'}."
            )
        if output.order is not None:
            output, position = self._in_keras_order(self.graph.output, output, position)
        # In Keras' order, so that (position, class) means the same.
        if in_keras_layout and len(output.shape) > 1 and not output.channels_first:
            to_keras = Rearrange(to_keras_axes(len(output.shape)), None, None)
            self._add_module(f"{self.graph.output}_places", to_keras, (position,))
            position = self.last
        description = ModelDescription(
            self.graph.name, tuple(self.layers), self.graph.inputs, self.last_softmax is not None, sha256,
            self.graph.output, tuple(spelled_otherwise(self.stored, len(output.shape) > 1)), self.starts_channels_first,
            self.graph.chosen, self.graph.keys,
        )  # fmt: skip
        ends = {
            name: self.ends[layer.name]
            for layer in self.layers
            if layer.name in self.ends
            for name in (layer.module, layer.name)
            if name is not None
        }
        places = {
            name: Place(
                self.positions[name], range(self.begun[name], self.done[name]), value.order, value.channels_first
            )
            for name, value in self.values.items()
        }
        module = KerasModule(description, list(self.modules.items()), self.steps, position, ends | self.ends, places)
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_meta:
                raise ConversionError(f"{self.path}: the parameter {name!r} was never filled.")
        module.to(self.dtype)
        return module.eval().requires_grad_(False)

    def _fail(self, node: Node, problem: str) -> ConversionError:
        return failure(self.path, node, problem)

    def _needs_keras_order(self, handler: Handler, values: list[Value]) -> bool:
        orders = [value.order for value in values]
        if handler.order == "any" or all(order is None for order in orders):
            return False
        if handler.order == "same":
            first = orders[0]
            return any(a is None or first is None or not np.array_equal(a, first) for a in orders)
        return True

    def _in_keras_order(self, name: str, value: Value, position: int) -> tuple[Value, int]:
        if value.order is None:
            return value, position
        index = torch.from_numpy(np.argsort(value.order))
        self._add_module(f"{name}_order", FeatureOrder(index), (position,))
        return Value(value.shape, masked=value.masked), self.last

    def _in_layout(self, name: str, channels_first: bool, value: Value, position: int) -> tuple[Value, int]:
        """Return a value with its axes in torch as the layer that reads it needs them."""
        if value.channels_first == channels_first or len(value.shape) < 2:
            return value, position
        rank = len(value.shape)
        order = [0, *range(2, rank + 1), 1] if channels_first else [0, rank, *range(1, rank)]
        self._add_module(f"{name}_layout", Rearrange(order, None, None), (position,))
        return replace(value, channels_first=channels_first), self.last

    def _add_module(self, name: str, module: nn.Module, inputs: tuple[int, ...]) -> str:
        """Register a module under a free name that torch accepts, and its one call."""
        name = name.replace(".", "_")
        while name in self.modules or hasattr(nn.Module, name) or hasattr(KerasModule, name) or name in _RESERVED:
            name += "_"
        self.modules[name] = module
        self.steps.append(Step(name, inputs))
        return name

    def _describe(self, node: Node, module: str | None, inside: ModelDescription | None = None) -> None:
        parameters = sum(int(np.prod(tensor.shape)) for tensor in self.stored.tensors.get(node.name, {}).values())
        shape = self.values[node.name].shape
        if (size := math.prod(n for n in shape if n is not None)) > _LARGEST_OUTPUT:
            raise self._fail(
                node, f"its output {shape} has {size} numbers per sample. Check its configuration and the input shape"
            )
        keywords = node.keywords if any(node.keywords) else ()
        self.layers.append(
            LayerDescription(
                node.name, node.class_name, node.config, node.inbound, shape, parameters, module, keywords,
                node.call.settings if node.class_name in HANDLERS else {}, node.weights_of,
                self.values[node.name].masked, inside,
            )
        )  # fmt: skip


# Attributes that nn.Module and KerasModule set on the instance.
_RESERVED = frozenset(vars(nn.Module())) | {
    "description",
    "layer_outputs",
    "places",
    "_steps",
    "_output",
    "_done",
    "_count",
    "_held",
    "_dtype_of",
}
