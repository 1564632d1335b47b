"""The layer classes that keras.applications defines for itself: a fixed table, never anything that a file names."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras.applications import convnext, inception_resnet_v2


class LayerScale(convnext.LayerScale):  # type: ignore[misc]
    """ConvNeXt's layer with its weight in the dtype of the layer; Keras' own is float32 in every model."""

    def build(self, input_shape: Any) -> None:
        """Make the weight."""
        del input_shape
        self.gamma = tf.Variable(self.init_values * tf.ones((self.projection_dim,), self.compute_dtype))


CUSTOM_OBJECTS: dict[str, type] = {
    "Custom>CustomScaleLayer": inception_resnet_v2.CustomScaleLayer,
    "LayerScale": LayerScale,
    "StochasticDepth": convnext.StochasticDepth,
}
"""The classes by the names that files give them."""
OLD_NAMES = ("BatchNormalizationV1", "BatchNormalizationV2")
"""What TensorFlow 1 calls a layer of Keras' own, and Keras still reads."""
