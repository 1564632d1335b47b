"""What blocks draw with: hypothesis' choices, and the layers made so far with the shape of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from tests.fuzz.shapes import Shape, output_shape

Case = dict[str, Any]
MOST_AXES = 4
EXACT_ACTIVATIONS = ("relu", "relu", "linear")
ACTIVATIONS = (*EXACT_ACTIVATIONS, "relu", "tanh", "elu", "sigmoid", "exponential")


class Builder:
    """Draws layers one after another and knows the shape of each."""

    def __init__(self, draw: Callable[..., Any], shape: Shape, exact: bool, most_inputs: int = 2) -> None:
        self.draw, self.exact, self.most_inputs = draw, exact, most_inputs
        self.inputs: dict[str, Shape] = {"x": shape}
        self.shapes: dict[str, Shape] = {"x": shape}
        self.layers: list[dict[str, Any]] = []

    def add(self, kind: str, *inbound: str, **config: Any) -> str:
        """Add a layer and return its name; where it does not fit, what it would read."""
        shape = output_shape(kind, config, [self.shapes[name] for name in inbound])
        if min(shape) < 1 or len(shape) > MOST_AXES:
            return inbound[0]
        name = f"{kind.lower().removeprefix('custom>')}_{len(self.shapes)}"
        self.layers.append({"class": kind, "name": name, "from": list(inbound), "config": config})
        self.shapes[name] = shape
        return name

    def again(self, name: str, inbound: str) -> str:
        """Add a further call of a layer."""
        called = next(layer for layer in self.layers if layer["name"] == name)
        further = self.add(called["class"], inbound, **called["config"])
        if further != inbound:
            self.layers[-1]["again"] = name
        return further

    def input(self, shape: Shape) -> str:
        """Add an input of the model."""
        name = f"x_{len(self.inputs) + 1}"
        self.inputs[name] = self.shapes[name] = shape
        return name

    def axes(self, name: str) -> int:
        """Return how many axes besides that of the channels a tensor has."""
        return len(self.shapes[name]) - 1

    def integer(self, low: int, high: int) -> int:
        return int(self.draw(st.integers(low, high)))

    def of(self, *choices: Any) -> Any:
        return self.draw(st.sampled_from(choices))

    def flag(self) -> bool:
        return bool(self.draw(st.booleans()))

    def seldom(self) -> bool:
        """Return True once in four times."""
        return self.integer(0, 3) == 0

    def sizes(self, axes: int, low: int, high: int) -> list[int]:
        return [self.integer(low, high) for _ in range(axes)]

    def ordered(self, *names: str) -> list[str]:
        """Return names in any order."""
        return list(self.draw(st.permutations(names)))

    def activation(self) -> str:
        choices = EXACT_ACTIVATIONS if self.exact else ACTIVATIONS
        if any(one["config"].get("activation") == "exponential" for one in self.layers):
            choices = ACTIVATIONS[:-1]  # one is enough: exp(exp(exp(x))) is infinite
        return str(self.of(*choices))
