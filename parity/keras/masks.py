"""The masks of sequences, followed from what makes them, and held to what a file of Keras 3 says of them.

Keras 3 writes the mask of a layer's input into the file: as operations that compare, whose result is an argument of the
layer. No layer is made of these operations. The converter follows masks by itself, as Keras 2 does and so the
references, and it is seen to that each layer is told that mask and no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from torch import nn

from parity.keras.calls import Source, sources_in
from parity.keras.graph import Node, scope_of
from parity.keras.masks_taken import MasksTaken

MASK_ARGUMENTS = ("mask", "query_mask", "value_mask", "key_mask")
"""The names under which layers are told masks."""
MASK_CLASSES = tuple(f"ops.{name}" for name in (
    "NotEqual", "Any", "All", "LogicalOr", "ZerosLike", "ExpandDims", "Concatenate", "ConvertToTensor",
))  # fmt: skip
"""Operations that Keras 3 makes masks of; some have other uses."""
_PASSED_BY_KERAS_3 = ("Rescaling", "Normalization", "Identity")
_ROLES = ("query", "value", "key")
_ANOTHER = (
    "the file tells it another mask than Keras 2, and so the references, make of what it reads. Let Masking or "
    "Embedding(mask_zero=True) make the mask, join only sequences that have the same one, and rebuild the model"
)
_LOST = (
    "the mask of what it reads is gone when Keras 3 runs the model: a MultiHeadAttention takes the masks off what it "
    "reads, which Keras 2, and so the references, do not. Rebuild the model without masks there"
)
_AS_VALUES = "it reads a mask as values, which is not supported. Compute it from the input alone"


@dataclass(frozen=True)
class Compared:
    """What a step must differ from to count.

    Attributes
    ----------
    node
        Where the values come from.
    value
        The number they are compared with.
    any_number
        Whether one of a step's numbers must differ, as for `Masking`, or its only one, as for `Embedding`.
    """

    node: str
    value: float
    any_number: bool


@dataclass(frozen=True)
class Followed:
    """The mask of a layer's result.

    Attributes
    ----------
    compared
        What all is compared.
    as_in_keras_2
        Whether Keras 2 would make the same of it as Keras 3.
    unwritten
        Whether it went into a nested model or out of one. Keras 3 makes the layers inside before it knows of a mask
        outside, and knows of none that comes out, and so writes none of these down; when the model runs, they count.
    lost
        Whether the mask is not there when Keras 3 runs the model, because a `MultiHeadAttention` took it off.
    """

    compared: frozenset[Compared]
    as_in_keras_2: bool = True
    unwritten: bool = field(default=False, compare=False)
    lost: bool = field(default=False, compare=False)


@dataclass(frozen=True)
class Told:
    """The mask that an operation of Keras 3 makes.

    Attributes
    ----------
    compared
        What is compared; None where no step counts.
    form
        "steps" is a mask; the others are on the way to one: with an axis for the channels, those side by side, with an
        axis in front, and those behind each other.
    """

    compared: Compared | None
    form: Literal["steps", "wide", "side by side", "row", "rows"] = "steps"


def told_by(node: Node, reads: Sequence[Told | None]) -> Told | None:
    """Return the mask that an operation makes, or None if it is not one that Keras 3 makes by itself.

    Keras 3.3 counts a step where all tensors of a merge count, Keras 3.8 where one does: the same where all have the
    same mask, and only then this is one.

    Parameters
    ----------
    node
        The operation.
    reads
        The mask that each of its tensors is, None for values.
    """
    operation, axis = node.class_name.removeprefix("ops."), node.config.get("axis")
    if operation == "NotEqual" and list(reads) == [None]:
        number = node.call.arguments[1] if len(node.call.arguments) == 2 else None
        return Told(Compared(node.inbound[0], float(number), False)) if isinstance(number, int | float) else None
    if operation == "ZerosLike":
        return Told(None, "wide")
    masks = [mask for mask in reads if mask is not None]
    if not masks or len(masks) < len(reads) or node.config.get("keepdims"):
        return None
    if operation == "LogicalOr":
        # "or" with zeros of the channels' axis only spreads a mask over that axis.
        masks = [mask for mask in masks if mask != Told(None, "wide")]
    first = masks[0] if masks else Told(None)
    if first.compared is None or any(mask != first for mask in masks):
        return None
    match operation, first.form, axis:
        case ("LogicalOr", _, _) | ("ConvertToTensor", _, _):
            return first if len(masks) == len(reads) or first.form == "wide" else None
        case "Any", "steps", -1 if not first.compared.any_number:
            return Told(replace(first.compared, any_number=True))
        case ("Any", "side by side", -1) | ("All", "rows", 0):
            return Told(first.compared)
        case "ExpandDims", "steps", -1:
            return Told(first.compared, "wide")
        case "ExpandDims", "steps", 0:
            return Told(first.compared, "row")
        case "Concatenate", "wide", -1:
            return Told(first.compared, "side by side")
        case "Concatenate", "row", 0:
            return Told(first.compared, "rows")
    return None


class SequenceMasks:
    """The masks of one model.

    Parameters
    ----------
    keras_3
        Whether Keras 3 wrote it.
    taken
        Which of them are gone when it runs.
    """

    def __init__(self, keras_3: bool, taken: MasksTaken) -> None:
        self._keras_3 = keras_3
        self._taken = taken
        self._followed: dict[str, Followed] = {}
        self._told: dict[str, Told] = {}

    def is_made_by(self, node: Node) -> bool:
        """Note an operation, and return whether it makes a mask.

        Raises
        ------
        ValueError
            If it reads a mask and makes none.
        """
        told = told_by(node, [self._told.get(name) for name in node.inbound])
        if told is None:
            self._refuse_as_values(node)
            return False
        self._told[node.name] = told
        return True

    def _refuse_as_values(self, node: Node) -> None:
        if any(name in self._told for name in node.inbound):
            raise ValueError(_AS_VALUES)

    def checked(self, node: Node, reads_masks: bool) -> Node:
        """Return a layer without the masks that it is told.

        Parameters
        ----------
        node
            The layer.
        reads_masks
            Whether it does something with the mask of what it reads.

        Raises
        ------
        ValueError
            If they are not those of what it reads.
        """
        pairs = list(zip(node.inbound, node.keywords, strict=True))
        tensors = [(name, keyword) for name, keyword in pairs if keyword not in MASK_ARGUMENTS]
        followed = [self._seen_from(node, name) for name, _ in tensors]
        told = any(node.call.keywords.get(argument) is not None for argument in MASK_ARGUMENTS)
        if told:
            self._hold(list(self._by_input(node, [keyword for _, keyword in tensors])), followed)
        elif node.call.tells_masks and reads_masks and "Attention" not in node.class_name:
            # Newer versions of Keras 3 write no masks of attention down, though it has them.
            written = [None if mask is not None and mask.unwritten else mask for mask in followed]
            self._hold([None] * len(written), written)
            self._refuse_others(followed)
        elif reads_masks:
            self._refuse_others(followed)
        if reads_masks and not told and any(mask is not None and mask.lost for mask in followed):
            raise ValueError(_LOST)
        keywords = {key: value for key, value in node.call.keywords.items() if key not in MASK_ARGUMENTS}
        untold = replace(
            node, inbound=tuple(name for name, _ in tensors), call=replace(node.call, keywords=keywords)
        )  # fmt: skip
        self._refuse_as_values(untold)
        return untold

    def _by_input(self, node: Node, keywords: Sequence[str | None]) -> Iterator[Told | None]:
        """Yield the mask that is told of each input.

        Raises
        ------
        ValueError
            If what is told is no mask of Keras' own making.
        """
        names = dict(zip(node.call.sources, node.inbound, strict=True))
        by_role = _masks_by_role(node.call.keywords)
        for place, keyword in enumerate(keywords):
            role = keyword or (_ROLES[place] if place < len(_ROLES) else "")
            source = by_role.pop(place, None) or by_role.pop(role, None)
            told = self._told.get(names[source]) if source is not None else None
            if source is not None and (told is None or told.form != "steps"):
                raise ValueError(_ANOTHER)
            yield told
        if by_role:  # of a tensor that the layer does not read, such as a key that is the value
            raise ValueError(_ANOTHER)

    @staticmethod
    def _hold(told: Sequence[Told | None], followed: Sequence[Followed | None]) -> None:
        for mask, of_the_input in zip(told, followed, strict=True):
            as_told = None if mask is None or mask.compared is None else Followed(frozenset({mask.compared}))
            if as_told != of_the_input:
                raise ValueError(_ANOTHER)

    def _seen_from(self, node: Node, name: str) -> Followed | None:
        """Return the mask of what a node reads."""
        mask = self._followed.get(name)
        if mask is None:
            return None
        lost = mask.lost or self._taken.before(node.name, name)
        return replace(mask, unwritten=mask.unwritten or scope_of(name) != node.scope, lost=lost)

    @staticmethod
    def _refuse_others(followed: Sequence[Followed | None]) -> None:
        if any(mask is not None and not mask.as_in_keras_2 for mask in followed):
            raise ValueError(_ANOTHER)

    def follow(self, node: Node, passes: bool, made: nn.Module | str | None) -> None:
        """Note the mask of a layer's result.

        Parameters
        ----------
        node
            The layer.
        passes
            Whether it hands on the mask of what it reads.
        made
            As `Built.mask` of the layer: a module that makes a mask, or "first" where only the first input's counts.
        """
        if isinstance(made, nn.Module):
            value = float(node.config.get("mask_value") or 0.0)
            compared = Compared(node.inbound[0], value, any_number=node.class_name == "Masking")
            self._followed[node.name] = Followed(frozenset({compared}))
            return
        read = [self._seen_from(node, name) for name in node.inbound[: 1 if made == "first" else None]]
        masks = [mask for mask in read if mask is not None]
        ends_in_keras_2 = self._keras_3 and node.class_name in _PASSED_BY_KERAS_3
        if masks and (passes or ends_in_keras_2):
            alike = all(mask == read[0] for mask in read) or not self._keras_3
            self._followed[node.name] = Followed(
                frozenset().union(*(mask.compared for mask in masks)),
                alike and not ends_in_keras_2 and all(mask.as_in_keras_2 for mask in masks),
                any(mask.unwritten for mask in masks),
                any(mask.lost for mask in masks),
            )


def _masks_by_role(keywords: Mapping[str, Any]) -> dict[int | str, Source]:
    """Return the masks that a call is told, by the place or the role of the input that each belongs to."""
    told: dict[int | str, Source] = {}
    for argument in MASK_ARGUMENTS:
        value = keywords.get(argument)
        if argument != "mask" and isinstance(value, Source):
            told[argument.removesuffix("_mask")] = value
        elif isinstance(value, list | tuple):
            told |= {place: source for place, item in enumerate(value) for source in sources_in(item)}
        elif isinstance(value, Source):
            told[0] = value
    return told
