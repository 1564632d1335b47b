"""From a Keras file to a torch module: `load`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from parity.hashing import file_sha256
from parity.keras.build import Builder
from parity.keras.errors import ConversionError
from parity.keras.handlers.layer import DTYPES
from parity.keras.input_shape import InputShape
from parity.keras.module import KerasModule
from parity.keras.stored import open_model
from parity.keras.whole import last_softmax


def load(
    path: str | Path,
    *,
    architecture: str | None = None,
    config: str | Path | None = None,
    output: str | None = None,
    input_shape: InputShape | None = None,
    dtype: torch.dtype = torch.float32,
    inbound: Mapping[str, tuple[str, ...]] | None = None,
) -> KerasModule:
    """Convert a Keras model to torch, without TensorFlow and without running anything from the file.

    Parameters
    ----------
    path : str or Path
        A `.h5` with or without architecture, a `.weights.h5`, or a `.keras` file.
    architecture : {"vgg16", "vgg19"}, optional
        `"vgg16"` or `"vgg19"`: used when the file holds weights only.
    config : str or Path, optional
        A JSON file made by `model.to_json()`, for a file that holds weights only. If neither is given, such a file
        beside the weights is used: `name.json` for `name.h5` or `name.weights.h5`.
    output : str, optional
        For a model of several outputs, the Keras name of the layer whose result is wanted. What only the others need
        is left out, inputs included.
    input_shape : tuple of int, or mapping of str to tuple of int, optional
        Sizes of the input that the model leaves open, Keras layout without the batch axis, such as `(64, 64, 3)`; of
        several inputs by their names. Needed where a layer, or the output, depends on them.
    dtype : torch.dtype
        `torch.float32` or `torch.float64`.
    inbound : mapping of str to tuple of str, optional
        Layers that are given the outputs of other layers than the file says, by name. For experiments: with it a
        wrong network can be built on purpose.

    Returns
    -------
    KerasModule
        In eval mode, parameters without gradient, returning logits: a final softmax is taken off, and
        `description.removed_softmax` says so.

    Raises
    ------
    ConversionError
        If the file cannot be read, is not from Keras, or holds layers, a configuration or weights that cannot be
        converted exactly. The message names the file and all such layers.

    Examples
    --------
    >>> import parity.keras
    >>> from parity.assets.models import resolve
    >>> model = parity.keras.load(resolve("dense_mnist").path)
    >>> model.description.input_shape, model.description.removed_softmax
    ((28, 28, 1), True)
    """
    path = Path(path)
    if dtype not in DTYPES:
        raise ConversionError(f"dtype is {dtype}, expected torch.float32 or torch.float64.")
    with open_model(path, architecture, None if config is None else Path(config), output, input_shape) as stored:
        graph = stored.graph
        if inbound:
            nodes = tuple(replace(node, inbound=inbound.get(node.name, node.inbound)) for node in graph.nodes)
            graph = replace(graph, nodes=nodes)
        builder = Builder(replace(stored, graph=graph), dtype, last_softmax(graph))
        for node in graph.nodes:
            builder.add(node)
        return builder.finish(file_sha256(path))
