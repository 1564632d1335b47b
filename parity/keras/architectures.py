"""Architectures known by name, for weights-only files: VGG16 and VGG19 of keras.applications.

Source: Simonyan and Zisserman 2015 (arXiv:1409.1556), columns D and E of table 1; layer names as in
keras.applications.
"""

from __future__ import annotations

from typing import Any

import torch

from parity.keras.errors import ConversionError
from parity.keras.hdf5 import KerasFile
from parity.keras.module import KerasModule

# Convolutions per block; the blocks have 64, 128, 256, 512 and 512 filters.
_BLOCKS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
_FILTERS = (64, 128, 256, 512, 512)
_HIDDEN = 4096
# Positions in torchvision's classifier; between them ReLU and dropout.
_CLASSIFIER = {"fc1": 0, "fc2": 3, "predictions": 6}

ARCHITECTURES = tuple(_BLOCKS)
"""Names that `architecture=` takes."""


def known_architecture(name: str, classes: int = 1000) -> dict[str, Any]:
    """Return an architecture as Keras would store it, for 224 x 224 x 3 inputs.

    Raises
    ------
    ConversionError
        If the name is unknown.
    """
    if name not in _BLOCKS:
        raise ConversionError(
            f"The architecture {name!r} is unknown. Known names: {', '.join(ARCHITECTURES)}; "
            "for any other model pass config= with the JSON that model.to_json() returns."
        )
    layers = [_layer("InputLayer", "input", batch_input_shape=[None, 224, 224, 3])]
    for block, (count, filters) in enumerate(zip(_BLOCKS[name], _FILTERS, strict=True), start=1):
        for i in range(1, count + 1):
            conv = {"filters": filters, "kernel_size": [3, 3], "padding": "same", "activation": "relu"}
            layers.append(_layer("Conv2D", f"block{block}_conv{i}", **conv))
        layers.append(_layer("MaxPooling2D", f"block{block}_pool", pool_size=[2, 2], strides=[2, 2]))
    layers.append(_layer("Flatten", "flatten"))
    layers.append(_layer("Dense", "fc1", units=_HIDDEN, activation="relu"))
    layers.append(_layer("Dense", "fc2", units=_HIDDEN, activation="relu"))
    layers.append(_layer("Dense", "predictions", units=classes, activation="softmax"))
    return {"class_name": "Sequential", "config": {"name": name, "layers": layers}}


def architecture_for(name: str, file: KerasFile) -> dict[str, Any]:
    """Return a known architecture with as many classes as the weights in a file have.

    Raises
    ------
    ConversionError
        If the name is unknown or the file has no classifier (`include_top=False`).
    """
    known_architecture(name)
    if file.by_name is not None:
        last = file.by_name.get("predictions", ())
    else:
        assert file.by_position is not None
        dense = [group for key, group in file.by_position.members.items() if key.startswith("dense")]
        last = dense[-1].variables if len(dense) == len(_CLASSIFIER) else ()
    if not last or not last[-1].shape:
        raise ConversionError(
            f"{file.path}: these weights have no classifier (no layer 'predictions'), so {name} has no classes to "
            "explain. Use the weights with the top (include_top=True)."
        )
    return known_architecture(name, last[-1].shape[0])


def torchvision_vgg_state_dict(module: KerasModule) -> dict[str, torch.Tensor]:
    """Rename the state of a converted VGG so that `torchvision.models.vgg16()` or `vgg19()` loads it.

    The values are the same tensors, not copies. torchvision's model is given the channels in the order that the
    Keras weights were trained with (BGR with the mean subtracted, for the ImageNet weights).

    Parameters
    ----------
    module : KerasModule
        A converted VGG16 or VGG19.

    Returns
    -------
    dict of str to torch.Tensor
        For `load_state_dict(..., strict=True)`.

    Raises
    ------
    ConversionError
        If the module is not such a VGG.

    Examples
    --------
    >>> module = parity.keras.load("vgg16_weights.h5", architecture="vgg16")  # doctest: +SKIP
    >>> torchvision.models.vgg16().load_state_dict(torchvision_vgg_state_dict(module))  # doctest: +SKIP
    """
    positions = dict(_CLASSIFIER)
    names: dict[str, str] = {key: f"classifier.{position}" for key, position in positions.items()}
    position = 0
    expected = list(_CLASSIFIER)
    for layer in module.description.layers:
        if layer.class_name == "Conv2D":
            names[layer.name] = f"features.{position}"
            position += 2  # the convolution and its ReLU
        elif layer.class_name == "MaxPooling2D":
            position += 1
        elif layer.class_name == "Dense" and (not expected or layer.name != expected.pop(0)):
            expected = [layer.name]
            break
    convolutions = len(names) - len(_CLASSIFIER)
    if expected or convolutions not in {sum(blocks) for blocks in _BLOCKS.values()}:
        raise ConversionError(
            f"The model {module.description.name!r} is not a VGG16 or VGG19 with the layers fc1, fc2 and predictions, "
            "so it has no torchvision counterpart. Use its own state_dict()."
        )
    renamed = {}
    for key, tensor in module.state_dict().items():
        layer_name, _, parameter = key.rpartition(".")
        renamed[f"{names[layer_name]}.{parameter}"] = tensor
    return renamed


def _layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, **config}}
