"""The one table of Keras layers that can be converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from parity.keras.augmentations import RANDOM
from parity.keras.handlers import (
    activations,
    attention,
    kernels,
    local,
    merging,
    normalization,
    pooling,
    preprocessing,
    recurrent,
    repeating,
    shapes,
    tokens,
    transposed,
    wrappers,
)
from parity.keras.handlers.handler import Handler
from parity.keras.handlers.layer import Built, Layer, Variable


def _alpha(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    return activations.ALPHA


def _gamma(config: Mapping[str, Any]) -> tuple[Variable, ...]:
    return (Variable("gamma"),)


def _recurrent(name: str) -> Handler:
    return Handler(recurrent.recurrent, variables=partial(recurrent.variables, name), mask="reads")


def _attention(
    build: Callable[[Layer], Built], variables: Callable[[Mapping[str, Any]], tuple[Variable, ...]]
) -> Handler:
    return Handler(build, variables=variables, settings=attention.CALL_SETTINGS, mask="reads")


_TRAINING_ONLY = Handler(shapes.training_only, "any", mask="passes", layout="any")
_MERGE = Handler(merging.merge, "same", mask="passes")
_RANDOM = Handler(preprocessing.random, "any")
_NORM = normalization.scale_and_offset
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
    "Dense": Handler(kernels.dense, "any", kernels.kernel_variables, mask="passes"),
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
    "BatchNormalization": Handler(
        shapes.batch_normalization, "any", shapes.batch_normalization_variables, mask="passes", layout="axis"
    ),
    "LayerNormalization": Handler(normalization.layer_normalization, variables=_NORM, mask="passes"),
    "GroupNormalization": Handler(normalization.group_normalization, variables=_NORM, mask="passes"),
    "UnitNormalization": Handler(normalization.unit_normalization, mask="passes"),
    "Rescaling": Handler(preprocessing.rescaling),
    "Normalization": Handler(preprocessing.normalization, variables=preprocessing.normalization_variables),
    "LayerScale": Handler(preprocessing.layer_scale, variables=_gamma),
    "Resizing": Handler(preprocessing.resizing),
    "CenterCrop": Handler(preprocessing.centre_crop),
    "RandomCrop": Handler(preprocessing.random_crop),
    "MaxPooling1D": _MAX,
    "MaxPooling2D": _MAX,
    "MaxPooling3D": _MAX,
    "AveragePooling1D": _AVERAGE,
    "AveragePooling2D": _AVERAGE,
    "AveragePooling3D": _AVERAGE,
    "GlobalMaxPooling1D": _GLOBAL_MAX,
    "GlobalMaxPooling2D": _GLOBAL_MAX,
    "GlobalMaxPooling3D": _GLOBAL_MAX,
    "GlobalAveragePooling1D": Handler(pooling.global_average_pooling, mask="reads", layout="data_format"),
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
    "Flatten": Handler(shapes.flatten, "any", layout="data_format"),
    "Reshape": Handler(shapes.reshape),
    "Permute": Handler(shapes.permute),
    "Add": Handler(shapes.add, "same", mask="passes", layout="any"),
    "Multiply": _MERGE,
    "Average": _MERGE,
    "Maximum": _MERGE,
    "Minimum": _MERGE,
    "Subtract": _MERGE,
    "Dot": Handler(merging.dot),
    "Attention": _attention(attention.attention, attention.attention_variables),
    "AdditiveAttention": _attention(attention.additive_attention, attention.additive_variables),
    "MultiHeadAttention": _attention(attention.multi_head_attention, attention.multi_head_variables),
    "Custom>CustomScaleLayer": Handler(merging.scaled_sum, "same"),  # of keras.applications' InceptionResNetV2
    "Concatenate": Handler(shapes.concatenate, "any", mask="passes", layout="axis"),
    "Activation": Handler(activations.activation, "any", mask="passes", layout="any"),
    "TFOpLambda": Handler(activations.pointwise, "any", layout="any"),  # what a bare operation is spelled as
    "ReLU": Handler(activations.relu, "any", mask="passes", layout="any"),
    "LeakyReLU": Handler(activations.leaky_relu, "any", mask="passes", layout="any"),
    "ELU": Handler(activations.elu, "any", mask="passes", layout="any"),
    "PReLU": Handler(activations.prelu, "any", _alpha, mask="passes"),
    "ThresholdedReLU": Handler(activations.thresholded_relu, "any", mask="passes", layout="any"),
    "Softmax": Handler(activations.softmax, "any"),
    "Dropout": Handler(shapes.dropout, "any", mask="passes", layout="any"),
    "SpatialDropout1D": _TRAINING_ONLY,
    "SpatialDropout2D": _TRAINING_ONLY,
    "SpatialDropout3D": _TRAINING_ONLY,
    "GaussianNoise": _TRAINING_ONLY,
    "GaussianDropout": _TRAINING_ONLY,
    "AlphaDropout": _TRAINING_ONLY,
    "ActivityRegularization": _TRAINING_ONLY,
    "Identity": Handler(shapes.training_only, "any"),
    "Embedding": Handler(tokens.embedding, variables=lambda config: tokens.EMBEDDINGS),
    "Masking": Handler(tokens.masking),
    **{name: _recurrent(name) for name in ("LSTM", "GRU", "SimpleRNN", "RNN")},
    **{name: _recurrent(name) for name in ("ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D")},
    "Bidirectional": Handler(recurrent.bidirectional, variables=recurrent.bidirectional_variables, mask="reads"),
    "StochasticDepth": Handler(preprocessing.stochastic_depth, "any"),
    **dict.fromkeys(RANDOM, _RANDOM),
}
HANDLERS["TimeDistributed"] = Handler(
    wrappers.time_distributed(HANDLERS), variables=wrappers.inner_variables(HANDLERS), mask="passes"
)
TRAINING_ONLY = frozenset(
    name
    for name, handler in HANDLERS.items()
    if handler.build in (shapes.dropout, shapes.training_only, preprocessing.random, preprocessing.stochastic_depth)
)
"""The layers that pass values on as they are, but in training."""
