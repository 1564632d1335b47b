"""How far the mask of a `Masking` layer goes, and who would use it.

Keras hands a mask on beside the values. No module here takes one, so a layer that would use it is refused.
"""

from __future__ import annotations

from parity.keras.handlers.layer import Layer

_HAND_ON = frozenset((
    "Masking", "Dense", "BatchNormalization", "Activation", "ReLU", "LeakyReLU", "ELU", "PReLU", "ThresholdedReLU",
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise", "GaussianDropout",
    "AlphaDropout", "ActivityRegularization", "Add", "Concatenate",
))  # fmt: skip
# Keras 2.12 calls these without the mask and hands none on. A layer that stands nowhere here is taken to use it.
_OF_ANY_AXES = ("Conv", "MaxPooling", "AveragePooling", "GlobalMaxPooling", "ZeroPadding", "Cropping", "UpSampling")
_BLIND = frozenset((
    *(f"{name}{axes}D" for name in _OF_ANY_AXES for axes in (1, 2, 3)),
    *(f"Conv{axes}DTranspose" for axes in (1, 2, 3)),
    "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D", "LocallyConnected1D",
    "LocallyConnected2D", "GlobalAveragePooling2D", "GlobalAveragePooling3D", "Flatten", "Reshape", "Permute",
    "RepeatVector", "Identity",
))  # fmt: skip


def mask_behind(layer: Layer) -> bool:
    """Return whether a layer's result carries a mask.

    Raises
    ------
    ConversionError
        If the layer is given a mask and would use it.
    """
    name = layer.node.class_name
    if name == "Masking":
        return True
    if not any(value.masked for value in layer.inputs) or name in _BLIND:
        return False
    if name not in _HAND_ON:
        raise layer.fail(
            "it would use the mask of a Masking layer before it, which is not converted. Save the model without the "
            "Masking layer"
        )
    return True
