"""Handlers: layers that make one tensor of several."""

from __future__ import annotations

from torch import nn

from parity.keras.description import Shape
from parity.keras.handlers.layer import Built, Layer, Value
from parity.keras.modules.merging import Average, Dot, Maximum, Minimum, Multiply, ScaledSum, Subtract

_MERGES: dict[str, type[nn.Module]] = {
    "Multiply": Multiply, "Average": Average, "Maximum": Maximum, "Minimum": Minimum, "Subtract": Subtract,
}  # fmt: skip
_READING_MASKS_IN_KERAS_3 = ("Multiply", "Maximum", "Minimum")


def merge(layer: Layer) -> Built:
    """`Multiply`, `Average`, `Maximum`, `Minimum`, `Subtract`: value by value, shapes broadcast."""
    if layer.node.class_name == "Subtract":
        _require(layer, 2)
    reads_masks = layer.keras_major >= 3 and layer.node.class_name in _READING_MASKS_IN_KERAS_3
    if reads_masks and any(value.masked for value in layer.inputs):
        raise layer.fail(
            "it reads a sequence with a mask (of Masking, or Embedding with mask_zero=True), of which Keras 3 leaves "
            "out steps here and Keras 2, and so the references, do not. Rebuild the model without masks there"
        )
    module = _MERGES[layer.node.class_name]()
    return Built(Value(broadcast(layer), layer.inputs[0].order), (("", module),))


def scaled_sum(layer: Layer) -> Built:
    """`CustomScaleLayer`: the first tensor plus the second times a constant."""
    _require(layer, 2)
    module = ScaledSum(layer.config.number("scale"))
    first, second = (value.shape for value in layer.inputs)
    if len(first) != len(second):
        raise layer.fail(f"the shapes {first} and {second} have different numbers of axes")
    return Built(Value(broadcast(layer), layer.inputs[0].order), (("", module),))


def dot(layer: Layer) -> Built:
    """`Dot`: sums of products along one axis of each of two tensors."""
    _require(layer, 2)
    shapes = [value.shape for value in layer.inputs]
    axes = layer.node.config.get("axes")
    each = [axes, axes] if type(axes) is int else axes
    if not (isinstance(each, list) and len(each) == 2 and all(type(axis) is int for axis in each)):
        raise layer.fail(f"'axes' is {axes!r}, expected one axis or two")
    positive = [axis + len(shape) + 1 if axis < 0 else axis for axis, shape in zip(each, shapes, strict=True)]
    if not all(1 <= axis <= len(shape) for axis, shape in zip(positive, shapes, strict=True)):
        raise layer.fail(f"'axes' is {axes!r}, expected axes of the shapes {shapes} (1 is the first after the batch)")
    left, right = positive
    sizes = (shapes[0][left - 1], shapes[1][right - 1])
    if None not in sizes and sizes[0] != sizes[1]:
        raise layer.fail(f"the shapes {shapes} have {sizes[0]} and {sizes[1]} places along the axes {axes!r}")
    rest = (*shapes[0][: left - 1], *shapes[0][left:], *shapes[1][: right - 1], *shapes[1][right:])
    module = Dot((left, right), layer.config.flag("normalize", False))
    return Built(Value(rest or (1,)), (("", module),))


def broadcast(layer: Layer) -> Shape:
    """Return the shape that the inputs of a layer have together, as Keras' merging layers make it.

    Raises
    ------
    ConversionError
        If there is none.
    """
    shapes = [value.shape for value in layer.inputs]
    if len(shapes) < 2:
        raise layer.fail("it reads one tensor, expected at least two")
    axes = max(len(shape) for shape in shapes)
    padded = [(*(1,) * (axes - len(shape)), *shape) for shape in shapes]
    result: list[int | None] = []
    for sizes in zip(*padded, strict=True):
        different = {size for size in sizes if size not in (1, None)}
        if len(different) > 1:
            raise layer.fail(f"the shapes {' and '.join(map(str, shapes))} do not match")
        size = next(iter(different), None if None in sizes else 1)
        result.append(None if None in sizes else size)
    return tuple(result)


def _require(layer: Layer, count: int) -> None:
    if len(layer.inputs) != count:
        raise layer.fail(f"it reads {len(layer.inputs)} tensors, expected {count}")
