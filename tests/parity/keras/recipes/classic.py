"""The layers of classic convolutional networks."""

from __future__ import annotations

from typing import Any

from tests.parity.keras.random_models import random_model
from tests.parity.keras.recipes.registry import RECIPES, recipe

RANDOM_MODELS = 8


def sequential(keras: Any, shape: tuple, *layers: Any, classes: int = 3, softmax: bool = True) -> Any:
    head = [keras.layers.Flatten(), keras.layers.Dense(classes, activation="softmax" if softmax else None)]
    return keras.Sequential([keras.layers.InputLayer(shape), *layers, *head])


@recipe
def valid(keras):
    L = keras.layers
    return sequential(
        keras, (11, 8, 3), L.Conv2D(4, 3, activation="relu"), L.MaxPooling2D(2), L.Conv2D(5, (3, 1)), L.ReLU()
    )


@recipe
def same_even_kernel_stride_2(keras):
    L = keras.layers
    return sequential(
        keras,
        (9, 6, 2),
        L.Conv2D(4, (2, 4), strides=2, padding="same", activation="relu"),
        L.Conv2D(3, (4, 2), padding="same", activation="tanh"),
        L.Conv2D(3, 3, strides=2, padding="same"),
    )


@recipe
def same_stride_larger_than_kernel(keras):
    L = keras.layers
    return sequential(keras, (10, 7, 2), L.Conv2D(4, 2, strides=3, padding="same"), L.MaxPooling2D(1, 2, "same"))


@recipe
def three_convolutions(keras):
    L = keras.layers
    return sequential(keras, (9, 7, 2), L.Conv2D(3, 3), L.Conv2D(3, 3, activation="relu"), L.Conv2D(3, 2))


@recipe
def separate_last_activation(keras):
    L = keras.layers
    end = [L.Dense(4), L.Activation("linear"), L.Activation("softmax"), L.Activation("linear")]
    layers = [L.Conv2D(3, 3, activation="relu"), L.Flatten(), *end]
    return keras.Sequential([L.InputLayer((6, 5, 2)), *layers])


@recipe
def softmax_layer_last(keras):
    L = keras.layers
    return keras.Sequential([L.InputLayer((6, 5, 2)), L.Flatten(), L.Dense(4), L.Softmax()])


@recipe
def no_softmax(keras):
    return sequential(keras, (6, 5, 2), keras.layers.Conv2D(3, 2), softmax=False)


@recipe
def inner_softmax(keras):
    L = keras.layers
    return sequential(keras, (5, 4, 3), L.Conv2D(4, 2, activation="softmax"), L.Softmax(axis=1), L.Softmax(axis=-2))


@recipe
def first_layer_says_the_shape(keras):
    L = keras.layers
    return keras.Sequential([L.Conv2D(3, 3, input_shape=(6, 5, 2)), L.Flatten(), L.Dense(4)])


@recipe
def dilation_and_groups(keras):
    L = keras.layers
    return sequential(
        keras,
        (12, 9, 4),
        L.Conv2D(6, (3, 2), dilation_rate=2, padding="same", activation="relu"),
        L.Conv2D(4, 3, dilation_rate=(1, 2)),
        L.Conv2D(6, 3, groups=2, use_bias=False, activation="relu"),
        L.Conv2D(4, 2, groups=2, strides=2, padding="same"),
    )


@recipe
def depthwise(keras):
    L = keras.layers
    return sequential(
        keras,
        (11, 8, 3),
        L.DepthwiseConv2D(3, depth_multiplier=2, activation="relu"),
        L.DepthwiseConv2D(2, strides=2, padding="same", use_bias=False),
        L.DepthwiseConv2D(3, padding="same"),
    )


@recipe
def separable(keras):
    L = keras.layers
    return sequential(
        keras,
        (11, 8, 3),
        L.SeparableConv2D(4, 3, depth_multiplier=2, activation="relu"),
        L.SeparableConv2D(5, (4, 2), strides=2, padding="same", use_bias=False),
        L.SeparableConv2D(3, 2, dilation_rate=2, padding="same"),
    )


@recipe
def conv1d(keras):
    L = keras.layers
    return sequential(
        keras,
        (23, 3),
        L.Conv1D(4, 4, strides=2, padding="same", activation="relu"),
        L.Conv1D(5, 3, dilation_rate=2),
        L.MaxPooling1D(3, 2, "same"),
        L.Conv1D(4, 2, groups=1, use_bias=False),
    )


@recipe
def conv1d_causal(keras):
    L = keras.layers
    return sequential(
        keras,
        (15, 2),
        L.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="relu"),
        L.Conv1D(3, 2, padding="causal", strides=2),
    )


@recipe
def separable_and_depthwise_1d(keras):
    L = keras.layers
    return sequential(
        keras,
        (19, 3),
        L.SeparableConv1D(4, 4, strides=2, padding="same", depth_multiplier=2, activation="relu"),
        L.SeparableConv1D(4, 3, padding="causal"),
        L.DepthwiseConv1D(2, padding="same", depth_multiplier=2),
    )


@recipe
def pooling_2d(keras):
    L = keras.layers
    return sequential(
        keras,
        (15, 10, 2),
        L.AveragePooling2D(2, 2, "same"),
        L.Conv2D(3, 1),
        L.AveragePooling2D((3, 2), 2, "same"),
        L.MaxPooling2D((2, 3), (1, 2), "same"),
        L.AveragePooling2D(3, 1, "same"),
        L.MaxPooling2D(3, 1, "same"),
    )


@recipe
def pooling_1d(keras):
    L = keras.layers
    return sequential(
        keras,
        (29, 2),
        L.AveragePooling1D(3, 2, "same"),
        L.AveragePooling1D(4, 1, "same"),
        L.MaxPooling1D(2, 2, "same"),
        L.AveragePooling1D(2),
        L.MaxPooling1D(2, 1),
    )


@recipe
def global_pooling(keras):
    L = keras.layers
    x = keras.Input((9, 7, 3))
    y = L.Conv2D(4, 3)(x)
    parts = [L.GlobalAveragePooling2D()(y), L.GlobalMaxPooling2D()(y)]
    kept = [L.GlobalAveragePooling2D(keepdims=True)(y), L.GlobalMaxPooling2D(keepdims=True)(y)]
    parts.append(L.Flatten()(L.Add()(kept)))
    return keras.Model(x, L.Dense(3, activation="softmax")(L.Concatenate()(parts)))


@recipe
def global_pooling_1d(keras):
    L = keras.layers
    x = keras.Input((9, 3))
    parts = [L.GlobalAveragePooling1D()(x), L.GlobalMaxPooling1D()(x)]
    parts.append(L.Flatten()(L.GlobalAveragePooling1D(keepdims=True)(x)))
    return keras.Model(x, L.Dense(3, activation="softmax")(L.Concatenate()(parts)))


@recipe
def open_size(keras):
    L = keras.layers
    x = keras.Input((None, None, 3))
    y = L.MaxPooling2D()(L.Conv2D(4, (3, 2), padding="same", activation="relu")(L.ZeroPadding2D()(x)))
    y = L.Cropping2D(((0, 1), (1, 0)))(L.Concatenate()([y, y]))
    y = L.BatchNormalization()(L.Add()([y, y]))
    return keras.Model(x, L.Dense(3, activation="softmax")(L.GlobalAveragePooling2D()(y)))


@recipe
def padding_and_cropping(keras):
    L = keras.layers
    return sequential(
        keras,
        (7, 9, 2),
        L.ZeroPadding2D(((1, 2), (3, 0))),
        L.Conv2D(3, 3),
        L.Cropping2D(((1, 0), (2, 1))),
        L.ZeroPadding2D((1, 2)),
        L.Cropping2D(1),
        L.Reshape((-1, 3)),
        L.ZeroPadding1D((2, 1)),
        L.Cropping1D((1, 3)),
        L.ZeroPadding1D(1),
    )


@recipe
def reshape_and_permute(keras):
    L = keras.layers
    return sequential(
        keras,
        (6, 4, 2),
        L.Reshape((3, 8, 2)),
        L.Permute((3, 1, 2)),
        L.Conv2D(7, (1, 2)),
        L.Permute((2, 3, 1)),
        L.Reshape((-1, 4)),
        L.Permute((2, 1)),
        L.Conv1D(4, 2),
        L.Reshape((12,)),
        L.Dense(12, activation="relu"),
        L.Reshape((2, 3, 2)),
    )


@recipe
def residual(keras):
    L = keras.layers
    x = keras.Input((10, 7, 3))
    y = L.Conv2D(4, 3, padding="same", use_bias=False)(x)
    y = L.ReLU()(L.BatchNormalization(epsilon=0.01)(y))
    z = L.Conv2D(4, 3, padding="same")(y)
    z = L.BatchNormalization(scale=False)(z)
    z = L.Activation("relu")(L.Add()([y, z]))
    w = L.MaxPooling2D()(z)
    w = L.BatchNormalization(center=False)(L.Conv2D(4, 1)(w))
    return keras.Model(x, L.Dense(3, activation="softmax")(L.Flatten()(w)))


@recipe
def batch_normalization_axes(keras):
    L = keras.layers
    return sequential(
        keras,
        (5, 4, 3),
        L.BatchNormalization(axis=1),
        L.BatchNormalization(axis=2),
        L.Conv2D(4, 2),
        L.BatchNormalization(axis=[1, 3]),
        L.BatchNormalization(axis=[2, 3, 1]),
        L.Reshape((-1, 4)),
        L.BatchNormalization(axis=1),
        L.BatchNormalization(),
        L.Flatten(),
        L.BatchNormalization(),
    )


@recipe
def flattened_features(keras):
    """Everything that can lie between Flatten and Dense, where the order of the features matters."""
    L = keras.layers
    x = keras.Input((5, 4, 2))
    a = L.Flatten()(L.Conv2D(3, 2)(x))
    a = L.Dropout(0.5)(L.BatchNormalization()(L.ReLU()(a)))
    a = L.PReLU()(L.Activation("tanh")(a))
    b = L.Flatten()(L.Conv2D(3, 2, activation="relu")(x))
    both = L.Flatten()(L.Add()([a, b]))
    mixed = L.Add()([both, L.Dense(36)(b)])  # torch order plus Keras order
    joined = L.Concatenate()([mixed, a, L.Dense(5)(a)])
    again = L.Flatten()(L.Conv2D(2, 2)(L.Reshape((4, 3, 3))(a)))
    joined = L.Concatenate()([joined, again])
    return keras.Model(x, L.Dense(4, activation="softmax")(joined))


@recipe
def flattened_features_are_the_output(keras):
    L = keras.layers
    return keras.Sequential([L.InputLayer((5, 4, 2)), L.Conv2D(3, 3), L.Flatten(), L.Activation("softmax")])


@recipe
def flattened_series(keras):
    L = keras.layers
    return sequential(keras, (7, 3), L.Conv1D(4, 3, activation="relu"), L.Flatten(), L.Dense(6, activation="elu"))


@recipe
def dense_only(keras):
    L = keras.layers
    return keras.Sequential([L.InputLayer((9,)), L.Dense(7, "relu"), L.Dense(5, "relu", use_bias=False), L.Dense(3)])


@recipe
def dense_on_images_and_series(keras):
    L = keras.layers
    return sequential(
        keras, (5, 4, 3), L.Dense(6, activation="relu"), L.Dense(2), L.Reshape((10, 4)), L.Dense(3, activation="selu")
    )


@recipe
def concatenate_axes(keras):
    L = keras.layers
    x = keras.Input((6, 5, 3))
    a, b = L.Conv2D(4, 3, padding="same")(x), L.Conv2D(4, 3, padding="same", activation="relu")(x)
    high, wide, deep = L.Concatenate(axis=1)([a, b, b]), L.Concatenate(axis=-2)([a, b]), L.Concatenate(axis=3)([b, a])
    flat = [L.Flatten()(part) for part in (high, wide, deep)]
    return keras.Model(x, L.Dense(3, activation="softmax")(L.Concatenate()(flat)))


@recipe
def add_three_and_broadcast(keras):
    L = keras.layers
    x = keras.Input((6, 5, 3))
    a, b = L.Conv2D(3, 3, padding="same")(x), L.GlobalAveragePooling2D(keepdims=True)(x)
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.Add()([b, x, a]))))


ACTIVATIONS = (
    "linear",
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "gelu",
    "silu",
    "swish",
    "tanh",
    "sigmoid",
    "hard_sigmoid",
    "softplus",
    "softsign",
    "exponential",
    "softmax",
    "log_softmax",
)


def activation_model(keras: Any, name: str) -> Any:
    """One activation function, as an attribute and as a layer; scaled up to pass its bends."""
    L = keras.layers
    first = L.Conv2D(6, 1, name="plain" if name == "exponential" else "amplify")
    return sequential(keras, (5, 4, 2), first, L.Activation(name), L.Conv2D(5, 2, activation=name))


for _name in ACTIVATIONS:
    RECIPES[f"activation_{_name}"] = lambda keras, name=_name: activation_model(keras, name)

# Constants are exact in float32, because a float32 model's file holds them rounded; the slopes of leaky functions
# are not, because TensorFlow rounds those in float64 too.
ACTIVATION_LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("ReLU", {}),
    "relu_6": ("ReLU", {"max_value": 6.0}),
    "relu_bounded": ("ReLU", {"max_value": 2.5}),
    "relu_sloped": ("ReLU", {"negative_slope": 0.1}),
    "relu_threshold": ("ReLU", {"threshold": 1.5}),
    "relu_everything": ("ReLU", {"max_value": 4.0, "negative_slope": 0.25, "threshold": 0.5}),
    "relu_6_sloped": ("ReLU", {"max_value": 6.0, "negative_slope": 0.25}),
    "leaky": ("LeakyReLU", {}),
    "leaky_alpha": ("LeakyReLU", {"alpha": 0.05}),
    "elu": ("ELU", {}),
    "elu_alpha": ("ELU", {"alpha": 0.75}),
    "thresholded": ("ThresholdedReLU", {}),
    "thresholded_theta": ("ThresholdedReLU", {"theta": 0.375}),
    "softmax": ("Softmax", {}),
    "prelu": ("PReLU", {}),
    "prelu_channels": ("PReLU", {"shared_axes": [1, 2]}),
    "prelu_rows": ("PReLU", {"shared_axes": [2, 3]}),
}


def activation_layer_model(keras: Any, class_name: str, settings: dict[str, Any]) -> Any:
    """One activation layer, also as the activation attribute of another layer where it has no weights."""
    L = keras.layers
    kind = getattr(L, class_name)
    layers = [L.Conv2D(6, 1, name="amplify"), kind(**settings)]
    if class_name != "PReLU":
        layers.append(L.Conv2D(5, 2, activation=kind(**settings)))
    return sequential(keras, (5, 4, 2), *layers)


for _name, _case in ACTIVATION_LAYERS.items():
    RECIPES[f"layer_{_name}"] = lambda keras, case=_case: activation_layer_model(keras, *case)


@recipe
def softmax_layer_as_attribute(keras):
    L = keras.layers
    layers = [L.Flatten(), L.Dense(4, activation=L.LeakyReLU(alpha=0.15)), L.Dense(3, activation=L.Softmax())]
    return keras.Sequential([L.InputLayer((5, 4, 2)), *layers])


@recipe
def dropout_family(keras):
    L = keras.layers
    return sequential(
        keras,
        (8, 6, 2),
        L.SpatialDropout2D(0.3),
        L.GaussianNoise(0.5),
        L.Conv2D(3, 3),
        L.GaussianDropout(0.2),
        L.AlphaDropout(0.2),
        L.ActivityRegularization(0.1),
        L.Reshape((-1, 3)),
        L.SpatialDropout1D(0.2),
        L.Dropout(0.4),
    )


@recipe
def nested_frozen(keras):
    L = keras.layers
    inner = keras.Sequential([L.Conv2D(3, 2), L.BatchNormalization(), L.ReLU()], name="inner")
    x = keras.Input((8, 6, 3))
    y = L.BatchNormalization()(L.Conv2D(3, 3, activation="relu")(x))
    y = L.Add()([inner(y), L.Conv2D(3, 2)(y)])
    middle = keras.Model(x, y, name="middle")
    middle.layers[1].trainable = False
    inner.layers[1].trainable = False
    layers = [middle, L.Conv2D(3, 2), L.Flatten(), L.Dense(3, activation="softmax")]
    return keras.Sequential([L.InputLayer((8, 6, 3)), *layers])


@recipe
def nested_ends_in_softmax(keras):
    L = keras.layers
    head = keras.Sequential([L.Flatten(), L.Dense(3), L.Activation("softmax")], name="head")
    x = keras.Input((5, 4, 2))
    return keras.Model(x, head(L.Conv2D(3, 2, activation="relu")(x)))


@recipe
def awkward_names(keras):
    L = keras.layers
    return keras.Sequential(
        [
            L.InputLayer((6, 5, 2), name="training"),
            L.Conv2D(3, 2, name="conv.1", activation="relu"),
            L.Conv2D(3, 2, name="conv_1"),
            L.ReLU(name="conv.1_activation"),
            L.Conv2D(3, 2, name="forward"),
            L.ReLU(name="type"),
            L.Flatten(name="half"),
            L.Dense(3, name="description"),
        ]
    )


@recipe
def not_in_file_order(keras):
    """Branches of different length, read in the order opposite to their making."""
    L = keras.layers
    x = keras.Input((6, 5, 2))
    a = L.Conv2D(3, 3, padding="same")(x)
    b = L.Conv2D(3, 3, padding="same")(L.Conv2D(2, 1, activation="relu")(L.ReLU()(a)))
    y = L.Concatenate()([b, a, x])
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


for _seed in range(RANDOM_MODELS):
    RECIPES[f"random_{_seed}"] = lambda keras, seed=_seed: random_model(keras, seed)
