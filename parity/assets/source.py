"""Where a model comes from and what belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parity.keras import KerasModule

SEEDED_SUFFIX = "-seeded"
"""Ends the names of models whose weights are made here, from a seed."""

InputShapes = tuple[tuple[str, tuple[int, ...]], ...]
"""Sizes of inputs by name; under "" that of the only one."""


@dataclass(frozen=True)
class ModelSource:
    """Where a model comes from and what belongs to it.

    Attributes
    ----------
    name
        What the model is called in results: a shipped name, or the stem of the user's file.
    path
        The Keras `.h5` file; empty where there is no folder for it.
    architecture
        A name such as ``"vgg16"`` for files that hold weights alone, None for files that describe themselves.
    sha256
        Hash of the file's bytes as hex digits; empty when the file is not there (see `list_models`).
    preprocessing
        A key of `parity.assets.preprocessing.PREPROCESSING`: what pictures need before they go in.
    input_set
        Which shipped inputs fit (see `parity.assets.inputs.default_inputs`); empty for none.
    description
        One line for people: data, training, origin; for an absent model also how to get it.
    own
        Whether it is a file of the user's, which its path names and not `name`.
    config
        The JSON file that describes the layers, where the user names one for a file of weights.
    output
        The Keras name of the output that is explained, for a model of several; None for the only one.
    input_shape
        Sizes of the inputs that the model leaves open.
    """

    name: str
    path: Path
    architecture: str | None
    sha256: str
    preprocessing: str
    input_set: str
    description: str
    own: bool = False
    config: Path | None = None
    output: str | None = None
    input_shape: InputShapes = ()

    def load(self, dtype: str = "float32") -> KerasModule:
        """Return the converted model.

        Raises
        ------
        parity.keras.ConversionError
            If it cannot be converted.
        """
        import torch

        from parity import keras

        return keras.load(
            self.path, architecture=self.architecture, config=self.config, output=self.output,
            input_shape=self.shapes, dtype=getattr(torch, dtype),
        )  # fmt: skip

    @property
    def shapes(self) -> tuple[int, ...] | dict[str, tuple[int, ...]] | None:
        """What `parity.keras.load` is told as `input_shape`."""
        by_name = dict(self.input_shape)
        return by_name.get("", by_name) or None

    @property
    def argument(self) -> str:
        """What `resolve` finds this model by, from any folder."""
        if not self.own:
            return self.name
        return str(self.path) if self.architecture is None else f"{self.path}:{self.architecture}"

    @property
    def on_demand(self) -> bool:
        """Whether `resolve` makes the weights, which are not on this machine yet."""
        return not self.present and not self.own and self.name.endswith(SEEDED_SUFFIX) and self.path != Path()

    @property
    def present(self) -> bool:
        """Whether the weights are on this machine."""
        return bool(self.sha256)
