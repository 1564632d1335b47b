"""Keras models as torch modules: reads `.h5` files with h5py, needs no TensorFlow, runs nothing from the file.

Importing this package costs nothing: the process that looks at a file first reads it without torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from parity.extras import named

if TYPE_CHECKING:
    from parity.keras.architectures import ARCHITECTURES, torchvision_vgg_state_dict
    from parity.keras.description import LayerDescription, ModelDescription
    from parity.keras.errors import ConversionError
    from parity.keras.loading import load
    from parity.keras.module import KerasModule

__all__ = [
    "ARCHITECTURES",
    "ConversionError",
    "KerasModule",
    "LayerDescription",
    "ModelDescription",
    "load",
    "torchvision_vgg_state_dict",
]

_LIES_IN = {
    "ARCHITECTURES": "architectures",
    "ConversionError": "errors",
    "KerasModule": "module",
    "LayerDescription": "description",
    "ModelDescription": "description",
    "load": "loading",
    "torchvision_vgg_state_dict": "architectures",
}


def __getattr__(name: str) -> Any:
    if name not in _LIES_IN:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with named(__name__):
        return getattr(import_module(f"{__name__}.{_LIES_IN[name]}"), name)
