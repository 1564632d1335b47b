"""Which stored tensor belongs to which variable of which layer; none may be left over, none may be missing.

Keras itself goes by position: by the order of a layer's variables, and inside a nested model by the order of the
layers, where everything that training changes comes first. Names in the files only look reliable: the published
VGG weights call a kernel `block1_conv1_W_1:0`. So position decides here too, and names are a cross-check.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from parity.keras.errors import ConversionError, few
from parity.keras.graph import Model, Node
from parity.keras.handlers.layer import Variable
from parity.keras.hdf5 import KerasFile
from parity.keras.listing import PositionedGroup
from parity.keras.positions import by_counter, counted, group_name, without_counter
from parity.keras.stored_tensor import StoredTensor

Assigned = dict[str, dict[str, StoredTensor]]
"""Node name -> Keras variable name -> tensor in the file."""
VariablesOf = Callable[[Node], tuple[Variable, ...]]

# Vectors of one size, whose mix-up no shape would reveal.
_VECTORS = ("bias", "gamma", "beta", "moving_mean", "moving_variance")


def assign(file: KerasFile, model: Model, variables_of: VariablesOf, needed: Collection[str]) -> Assigned:
    """Assign every stored tensor to a variable.

    Parameters
    ----------
    file
        The opened weights file.
    model
        The architecture as it is nested.
    variables_of
        The variables a layer has.
    needed
        The nodes that are converted; a layer that only another output needs may be of any class.

    Raises
    ------
    ConversionError
        If a layer has no weights in the file, or the file holds a tensor that no layer asks for.
    """
    if file.by_name is not None:
        return _by_name(file.path, file.by_name, model, variables_of, needed)
    assert file.by_position is not None
    assigned: Assigned = {}
    _by_position(file.path, file.by_position, model, variables_of, assigned, needed)
    return assigned


def _by_name(
    path: Path,
    stored: Mapping[str, tuple[StoredTensor, ...]],
    model: Model,
    variables_of: VariablesOf,
    needed: Collection[str],
) -> Assigned:
    assigned: Assigned = {}
    members = {member.keras_name: member for member in model.members}
    for name, tensors in stored.items():
        if name not in members and tensors:
            raise ConversionError(
                f"{path}: the weights of layer {name!r} are left over ({len(tensors)} tensors, first "
                f"{tensors[0].path!r}): the architecture {model.keras_name!r} has no such layer. "
                "Use the architecture that these weights were saved with."
            )
    for name, member in members.items():
        nodes = list(member.nodes()) if isinstance(member, Model) else [member]
        if not any(node.name in needed for node in nodes):
            continue
        wanted = _stored_order(nodes, variables_of)
        if wanted and name not in stored:
            raise ConversionError(
                f"{path}: there are no weights for layer {name!r} ({member.class_name}). "
                f"Use the architecture that these weights were saved with; the file has {few(stored)}."
            )
        tensors = stored.get(name, ())
        if len(tensors) != len(wanted):
            raise _count_error(path, name, wanted, tensors)
        inner = {node.keras_name for node in nodes}
        for (node, variable), tensor in zip(wanted, tensors, strict=True):
            _cross_check(path, node, variable, tensor, inner)
            assigned.setdefault(node.name, {})[variable] = tensor
    return assigned


def _stored_order(nodes: list[Node], variables_of: VariablesOf) -> list[tuple[Node, str]]:
    """Return the variables in the order of `trainable_weights + non_trainable_weights`.

    All variables of a frozen layer count as not trainable.
    """
    first: list[tuple[Node, str]] = []
    last: list[tuple[Node, str]] = []
    for node in nodes:
        frozen = node.config.get("trainable") is False
        for variable in (variable for variable in variables_of(node) if not variable.again):
            (first if variable.trainable and not frozen else last).append((node, variable.name))
    return first + last


def _cross_check(path: Path, node: Node, variable: str, tensor: StoredTensor, inner: set[str]) -> None:
    parts = tensor.path.strip("/").split("/")
    leaf = parts[-1].split(":")[0]
    other_vector = leaf in _VECTORS and variable in _VECTORS and leaf != variable
    # Names of layers may hold "/": of "bn" and "conv1/bn" it is the longer one that a path ends with.
    scopes = ["/".join(parts[start:-1]) for start in range(len(parts) - 1)]
    named = next((scope for scope in scopes if scope in inner), None)
    other_layer = named is not None and named != node.keras_name
    if other_vector or other_layer:
        raise ConversionError(
            f"{path}: the tensor {tensor.path!r} stands where {variable!r} of layer {node.name!r} belongs. "
            "The architecture is not the one that these weights were saved with: save both again."
        )


def _by_position(
    path: Path,
    group: PositionedGroup,
    model: Model,
    variables_of: VariablesOf,
    assigned: Assigned,
    needed: Collection[str],
) -> None:
    """Pair the members of a model with groups of the same class, in order."""
    queues: dict[str, list[PositionedGroup]] = {}
    for name in by_counter(group.members):
        queues.setdefault(without_counter(name), []).append(group.members[name])
    if group.variables:
        raise ConversionError(f"{path}: {group.path!r} holds tensors of the model itself, which belong to no layer.")
    for member in model.members:
        queue = queues.get(without_counter(group_name(member.class_name)), [])
        found = queue.pop(0) if queue else None
        if isinstance(member, Model):
            if found is None:
                raise _absent(path, member, group)
            _by_position(path, found, member, variables_of, assigned, needed)
            continue
        if member.name not in needed and member.inbound:
            continue
        wanted = variables_of(member)
        if found is None:
            if wanted:
                raise _absent(path, member, group)
            continue
        if found.members:
            raise ConversionError(f"{path}: {found.path!r} holds layers, but {member.name!r} is not a model.")
        assigned[member.name] = _in_places(path, member, wanted, found)
    for queue in queues.values():
        for rest in queue:
            tensors = _tensors_inside(rest)
            if tensors:
                raise ConversionError(
                    f"{path}: the weights in {rest.path!r} are left over ({len(tensors)} tensors): the architecture "
                    f"{model.keras_name!r} has no such layer. Use the architecture that these weights were saved with."
                )


def _in_places(path: Path, node: Node, wanted: tuple[Variable, ...], found: PositionedGroup) -> dict[str, StoredTensor]:
    """Pair the variables of a layer, and of its parts, with the tensors at their places."""
    stored = {"": found.variables, **counted(found.parts)}
    places: dict[str, list[Variable]] = {"": []}
    for variable in wanted:
        places.setdefault(variable.place, []).append(variable)
    stray = [*found.stray, *(one.path for place, some in stored.items() if place not in places for one in some)]
    if stray:
        raise ConversionError(
            f"{path}: the tensor {stray[0]!r} in layer {node.name!r} ({node.class_name}) is left over. "
            "The layer has a part that is not supported: save the model without it."
        )
    assigned: dict[str, StoredTensor] = {}
    for place, variables in places.items():
        tensors = stored.get(place, ())
        if len(tensors) != len(variables):
            raise _count_error(path, node.name, [(node, one.name) for one in variables], tensors)
        assigned |= {one.name: tensor for one, tensor in zip(variables, tensors, strict=True)}
    return assigned


def _tensors_inside(group: PositionedGroup) -> list[str]:
    own = [*group.variables, *(tensor for some in group.parts.values() for tensor in some)]
    inside = [tensor.path for tensor in own] + list(group.stray)
    for member in group.members.values():
        inside += _tensors_inside(member)
    return inside


def _absent(path: Path, member: Node | Model, group: PositionedGroup) -> ConversionError:
    return ConversionError(
        f"{path}: there are no weights for layer {member.keras_name!r} ({member.class_name}) in {group.path!r}. "
        f"Use the architecture that these weights were saved with; the file has {few(group.members)}."
    )


def _count_error(
    path: Path, name: str, wanted: list[tuple[Node, str]], tensors: tuple[StoredTensor, ...]
) -> ConversionError:
    problem = "a tensor is left over" if len(tensors) > len(wanted) else "a parameter would never be filled"
    names = ", ".join(variable for _, variable in wanted) or "nothing"
    return ConversionError(
        f"{path}: layer {name!r} wants {len(wanted)} tensors ({names}), the file holds {len(tensors)} "
        f"({', '.join(str(tensor.shape) for tensor in tensors) or 'none'}): {problem}. "
        "Use the architecture that these weights were saved with."
    )
