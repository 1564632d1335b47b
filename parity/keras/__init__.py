"""Keras models as torch modules: reads `.h5` files with h5py, needs no TensorFlow, runs nothing from the file."""

from parity.keras.architectures import ARCHITECTURES, torchvision_vgg_state_dict
from parity.keras.build import load
from parity.keras.description import LayerDescription, ModelDescription
from parity.keras.errors import ConversionError
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
