"""The one table of Keras layers that can be converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from parity.keras.handlers import activations, kernels, local, pooling, repeating, shapes, transposed
from parity.keras.handlers.layer import Built, Layer, Variable
from parity.keras.handlers.layouts import Layout


def _none(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    return ()


def _alpha(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    return activations.ALPHA


@dataclass(frozen=True)
class Handler:
    """How one Keras class becomes torch modules.

    Attributes
    ----------
    build
        Makes the modules; raises ConversionError.
    order
        What it does with flattened features in torch order: `"any"` takes them as they are (and says in its
        result what it returns), `"same"` does if all its inputs share one order, `"keras"` wants Keras's order.
    layout
        How it says where its channels are, see `parity.keras.handlers.layouts`.
    variables
        The Keras variables that a layer of this configuration has, in Keras's order.
    """

    build: Callable[[Layer], Built]
    order: Literal["any", "same", "keras"] = "keras"
    variables: Callable[[Mapping[str, Any]], tuple[Variable, ...]] = _none
    layout: Layout = "last"


_TRAINING_ONLY = Handler(shapes.training_only, "any", layout="any")
_MAX = Handler(pooling.max_pooling, layout="data_format")
_AVERAGE = Handler(pooling.average_pooling, layout="data_format")
_GLOBAL_AVERAGE = Handler(pooling.global_average_pooling, layout="data_format")
_GLOBAL_MAX = Handler(pooling.global_max_pooling, layout="data_format")
_CONVOLUTION = Handler(kernels.convolution, variables=kernels.kernel_variables, layout="data_format")
_DEPTHWISE = Handler(kernels.depthwise, variables=kernels.depthwise_variables, layout="data_format")
_TRANSPOSED = Handler(transposed.transposed_convolution, variables=kernels.kernel_variables, layout="data_format")
_LOCAL = Handler(local.locally_connected, variables=kernels.kernel_variables, layout="data_format")
_UP_SAMPLING = Handler(repeating.up_sampling, layout="data_format")
_SEPARABLE = Handler(kernels.separable, variables=kernels.separable_variables, layout="data_format")

HANDLERS: dict[str, Handler] = {
    "InputLayer": Handler(shapes.nothing, "any"),
    "Dense": Handler(kernels.dense, "any", kernels.kernel_variables),
    "Conv1D": _CONVOLUTION,
    "Conv2D": _CONVOLUTION,
    "Conv3D": _CONVOLUTION,
    "DepthwiseConv1D": _DEPTHWISE,
    "DepthwiseConv2D": _DEPTHWISE,
    "SeparableConv1D": _SEPARABLE,
    "SeparableConv2D": _SEPARABLE,
    "Conv1DTranspose": _TRANSPOSED,
    "Conv2DTranspose": _TRANSPOSED,
    "Conv3DTranspose": _TRANSPOSED,
    "LocallyConnected1D": _LOCAL,
    "LocallyConnected2D": _LOCAL,
    "BatchNormalization": Handler(shapes.batch_normalization, "any", shapes.batch_normalization_variables, "axis"),
    "MaxPooling1D": _MAX,
    "MaxPooling2D": _MAX,
    "MaxPooling3D": _MAX,
    "AveragePooling1D": _AVERAGE,
    "AveragePooling2D": _AVERAGE,
    "AveragePooling3D": _AVERAGE,
    "GlobalMaxPooling1D": _GLOBAL_MAX,
    "GlobalMaxPooling2D": _GLOBAL_MAX,
    "GlobalMaxPooling3D": _GLOBAL_MAX,
    "GlobalAveragePooling1D": _GLOBAL_AVERAGE,
    "GlobalAveragePooling2D": _GLOBAL_AVERAGE,
    "GlobalAveragePooling3D": _GLOBAL_AVERAGE,
    "ZeroPadding1D": Handler(shapes.zero_padding, layout="data_format"),
    "ZeroPadding2D": Handler(shapes.zero_padding, layout="data_format"),
    "ZeroPadding3D": Handler(shapes.zero_padding, layout="data_format"),
    "Cropping1D": Handler(shapes.cropping, layout="data_format"),
    "Cropping2D": Handler(shapes.cropping, layout="data_format"),
    "Cropping3D": Handler(shapes.cropping, layout="data_format"),
    "UpSampling1D": _UP_SAMPLING,
    "UpSampling2D": _UP_SAMPLING,
    "UpSampling3D": _UP_SAMPLING,
    "RepeatVector": Handler(repeating.repeat_vector),
    "Masking": Handler(repeating.masking),
    "Flatten": Handler(shapes.flatten, "any", layout="data_format"),
    "Reshape": Handler(shapes.reshape),
    "Permute": Handler(shapes.permute),
    "Add": Handler(shapes.add, "same", layout="any"),
    "Concatenate": Handler(shapes.concatenate, "any", layout="axis"),
    "Activation": Handler(activations.activation, "any", layout="any"),
    "ReLU": Handler(activations.relu, "any", layout="any"),
    "LeakyReLU": Handler(activations.leaky_relu, "any", layout="any"),
    "ELU": Handler(activations.elu, "any", layout="any"),
    "PReLU": Handler(activations.prelu, "any", _alpha),
    "ThresholdedReLU": Handler(activations.thresholded_relu, "any", layout="any"),
    "Softmax": Handler(activations.softmax, "any"),
    "Dropout": Handler(shapes.dropout, "any", layout="any"),
    "SpatialDropout1D": _TRAINING_ONLY,
    "SpatialDropout2D": _TRAINING_ONLY,
    "SpatialDropout3D": _TRAINING_ONLY,
    "GaussianNoise": _TRAINING_ONLY,
    "GaussianDropout": _TRAINING_ONLY,
    "AlphaDropout": _TRAINING_ONLY,
    "ActivityRegularization": _TRAINING_ONLY,
    "Identity": _TRAINING_ONLY,
}
TRAINING_ONLY = frozenset(
    name for name, handler in HANDLERS.items() if handler.build in (shapes.dropout, shapes.training_only)
)
"""The layers that pass values on as they are, but in training."""
