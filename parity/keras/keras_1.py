"""Files of Keras 1, which are told apart and refused: their layers, settings and kernels have other forms.

A kernel of theirs may be that of Theano, which turns it by half, and nothing in the file says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from parity.keras.errors import ConversionError
from parity.keras.parse import DEEPEST_NESTING

_CLASSES = frozenset({
    "Convolution1D", "Convolution2D", "Convolution3D", "AtrousConvolution1D", "AtrousConvolution2D", "Deconvolution2D",
    "SeparableConvolution2D", "Merge", "MaxoutDense", "Highway", "TimeDistributedDense",
})  # fmt: skip
_SETTINGS = frozenset({
    "nb_filter", "nb_row", "nb_col", "border_mode", "dim_ordering", "filter_length", "subsample", "subsample_length",
    "pool_length", "W_regularizer", "b_regularizer", "inner_activation", "consume_less",
})  # fmt: skip


def refuse_keras_1(architecture: Mapping[str, Any], version: str, path: Path) -> None:
    """Refuse an architecture of Keras 1.

    Parameters
    ----------
    architecture
        The parsed JSON of the model.
    version
        Of the Keras that wrote it, as the file says; empty if it does not.
    path
        Named in the message.

    Raises
    ------
    ConversionError
        If the version says so, or a layer is of a class or has a setting that Keras 2 no longer writes.
    """
    sign = f"version {version}" if version.startswith(("0.", "1.")) else next(_signs(architecture), None)
    if sign is not None:
        raise ConversionError(
            f"{path} is a file of Keras 1 ({sign}), whose layers and kernels are kept in another form: load it once "
            "with Keras 2.0 to 2.3, which still reads it (keras.models.load_model), and save it again with "
            "model.save('model.h5')."
        )


def _signs(architecture: Mapping[str, Any], depth: int = 0) -> Iterator[str]:
    """Yield what shows that an architecture is of Keras 1, models inside of it included as deep as they are parsed."""
    if depth > DEEPEST_NESTING:
        return
    for entry in _entries(architecture):
        config = entry.get("config")
        settings = config if isinstance(config, Mapping) else {}
        kind = entry.get("class_name")
        if isinstance(kind, str) and kind in _CLASSES:
            yield f"a layer of the class {kind}"
        for setting in sorted(_SETTINGS & settings.keys()):
            yield f"a layer with the setting {setting}"
        yield from _signs(entry, depth + 1)


def _entries(architecture: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    config = architecture.get("config")
    layers = config.get("layers") if isinstance(config, Mapping) else config
    for entry in layers if isinstance(layers, list) else ():
        if isinstance(entry, Mapping):
            yield entry
