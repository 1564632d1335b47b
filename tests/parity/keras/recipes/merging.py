"""Layers that merge, normalise and prepare."""

from __future__ import annotations

from typing import Any

from tests.parity.keras.recipes.registry import recipe


def head(keras: Any, x: Any, y: Any) -> Any:
    """Return the model with a classifier behind `y`."""
    L = keras.layers
    y = y if len(y.shape) == 2 else L.Flatten()(y)
    return keras.Model(x, L.Dense(3)(y))


def chain(keras: Any, shape: tuple, *layers: Any) -> Any:
    x = y = keras.Input(shape)
    for layer in layers:
        y = layer(y)
    return head(keras, x, y)


@recipe
def merge_by_value(keras):
    L = keras.layers
    x = keras.Input((6, 5, 2))
    a, b, c = (L.Conv2D(3, 2, activation="relu")(x) for _ in range(3))
    parts = [L.Multiply()([a, b, c]), L.Average()([a, b, c]), L.Maximum()([a, b, c]), L.Minimum()([a, b, c]),
             L.Subtract()([a, L.Conv2D(3, 1)(b)])]  # fmt: skip
    return head(keras, x, L.Concatenate()(parts))


@recipe
def merge_shapes_that_broadcast(keras):
    L = keras.layers
    x = keras.Input((6, 5, 2))
    image, row = L.Conv2D(3, 2)(x), L.Conv2D(3, (6, 2))(x)
    series, vector = L.Reshape((4, 3))(row), L.Dense(3)(L.Flatten()(x))
    parts = [
        L.Multiply()([image, vector]),
        L.Average()([series, image]),
        L.Maximum()([row, image, vector]),
        L.Minimum()([vector, image]),
        L.Subtract()([image, L.Dense(1)(image)]),
        L.Add()([vector, image, series]),
    ]
    return head(keras, x, L.Concatenate()(parts))


@recipe
def products_by_equations(keras):
    L = keras.layers
    dense = L.EinsumDense if hasattr(L, "EinsumDense") else L.experimental.EinsumDense
    x = keras.Input((6, 5))
    y = dense("abc,cde->abde", output_shape=(None, 2, 3), bias_axes="e", activation="relu")(x)
    y = dense("abde,dec->abc", output_shape=(None, 4), bias_axes="c")(y)
    y = dense("abc,bd->adc", output_shape=(3, 4), bias_axes="d", activation="tanh")(y)
    return head(keras, x, dense("...x,xy->...y", output_shape=5, bias_axes="y")(y))


@recipe
def merge_flattened(keras):
    L = keras.layers
    x = keras.Input((4, 3, 2))
    flat, other = L.Flatten()(x), L.Flatten()(L.Conv2D(2, 3, padding="same")(x))
    y = L.Multiply()([flat, other])
    y = L.Maximum()([y, L.Dense(24)(flat)])
    y = L.Subtract()([L.Dense(1)(other), y])
    return head(keras, x, y)


@recipe
def squeeze_and_excite(keras):
    L = keras.layers
    x = keras.Input((6, 5, 2))
    y = L.Conv2D(4, 2, activation="relu")(x)
    squeezed = L.Reshape((1, 1, 4))(L.GlobalAveragePooling2D()(y))
    gate = L.Conv2D(4, 1, activation="sigmoid")(L.Conv2D(2, 1, activation="swish")(squeezed))
    y = L.Multiply()([y, gate])
    gate = L.Dense(4, activation="sigmoid")(L.GlobalAveragePooling2D(keepdims=True)(y))
    return head(keras, x, L.Multiply()([gate, y]))


@recipe
def dot_products(keras):
    L = keras.layers
    x = keras.Input((6, 4))
    a, b = L.Conv1D(4, 1)(x), L.Conv1D(5, 1)(x)
    vector, other = L.Dense(7)(L.Flatten()(a)), L.Dense(7)(L.Flatten()(b))
    image = L.Reshape((3, 2, 5))(b)
    parts = [
        L.Dot(1)([vector, other]),
        L.Dot(axes=(1, 1), normalize=True)([vector, other]),
        L.Flatten()(L.Dot(axes=1)([a, b])),
        L.Flatten()(L.Dot(axes=-2, normalize=True)([a, b])),
        L.Flatten()(L.Dot(axes=(2, 1))([L.Conv1D(6, 1)(x), b])),
        L.Flatten()(L.Dot(axes=(3, -1))([image, b])),
        L.Flatten()(L.Dot(axes=(2, 1))([a, L.Dense(4)(vector)])),
    ]
    return head(keras, x, L.Concatenate()(parts))


@recipe
def rescaling(keras):
    L = keras.layers
    return chain(keras, (5, 4, 3), L.Rescaling(1 / 127.5, -1.0), L.Rescaling([0.3, 1.7, -0.2], [0.1, 0.0, 2.3]),
                 L.Rescaling([[[2.0]], [[0.3]], [[1.1]], [[0.7]], [[-1.3]]]), L.Conv2D(3, 2), L.Flatten(),
                 L.Rescaling(0.1))  # fmt: skip


@recipe
def normalization_by_constants(keras):
    L = keras.layers
    return chain(
        keras, (5, 4, 3), L.Normalization(mean=[0.1, -0.4, 2.3], variance=[0.9, 1.7, 0.3]),
        L.Normalization(axis=None, mean=0.1, variance=0.7), L.Conv2D(3, 2, activation="relu"),
        L.Normalization(axis=(1, 3), mean=0.2, variance=1e-20),
    )  # fmt: skip


@recipe
def normalization_by_weights(keras):
    L = keras.layers
    return chain(
        keras, (5, 4, 3), L.Normalization(), L.Normalization(axis=None), L.Conv2D(3, 2, activation="relu"),
        L.Normalization(axis=(1, 3)), L.Flatten(), L.Normalization(axis=1), L.Dense(4, activation="relu"),
    )  # fmt: skip


@recipe
def augmentation(keras):
    L = keras.layers
    # Keras builds the other augmentations in float32 only.
    return chain(keras, (6, 5, 3), L.RandomFlip(), L.RandomContrast(0.2), L.RandomBrightness(0.3),
                 L.Conv2D(4, 2, activation="relu"))  # fmt: skip


@recipe
def cropping_for_training(keras):
    L = keras.layers
    return chain(keras, (9, 7, 3), L.CenterCrop(6, 4), L.Conv2D(3, 2, activation="relu"), L.RandomCrop(4, 3),
                 L.CenterCrop(5, 5), L.Conv2D(2, 2))  # fmt: skip


@recipe
def resizing(keras):
    L = keras.layers
    return chain(
        keras, (9, 7, 3), L.Resizing(6, 8), L.Conv2D(3, 2, activation="relu"), L.Resizing(4, 11, "nearest"),
        L.Conv2D(3, 2, activation="relu"), L.Resizing(5, 3, crop_to_aspect_ratio=True), L.Resizing(5, 3),
    )  # fmt: skip


@recipe
def layer_normalization(keras):
    L = keras.layers
    return chain(
        keras, (5, 4, 3), L.LayerNormalization(), L.Conv2D(3, 2, activation="relu"),
        L.LayerNormalization(axis=(1, 3), epsilon=1e-6), L.LayerNormalization(axis=[3, 1], center=False),
        L.LayerNormalization(axis=[1, 2, 3], scale=False), L.Flatten(), L.LayerNormalization(),
        L.Dense(4, activation="relu"),
    )  # fmt: skip


@recipe
def group_normalization(keras):
    L = keras.layers
    return chain(
        keras, (6, 4, 4), L.GroupNormalization(2), L.Conv2D(6, 1, activation="relu"),
        L.GroupNormalization(-1, epsilon=1e-6), L.GroupNormalization(3, center=False),
        L.GroupNormalization(1, scale=False), L.Flatten(), L.GroupNormalization(8), L.Dense(4),
    )  # fmt: skip


@recipe
def unit_normalization(keras):
    L = keras.layers
    return chain(keras, (5, 4, 3), L.UnitNormalization(), L.Conv2D(3, 2, activation="relu"),
                 L.UnitNormalization(axis=[1, 3]), L.Flatten(), L.UnitNormalization(1))  # fmt: skip


@recipe
def layers_of_keras_applications(keras):
    """CustomScaleLayer, LayerScale and StochasticDepth as the reference worker builds them."""
    from parity.reference.worker.applications import CUSTOM_OBJECTS

    L = keras.layers
    x = keras.Input((5, 4, 3))
    y = CUSTOM_OBJECTS["Custom>CustomScaleLayer"](0.17)([x, L.Conv2D(3, 1, activation="relu")(x)])
    y = CUSTOM_OBJECTS["LayerScale"](1e-6, 3)(y)
    return head(keras, x, CUSTOM_OBJECTS["StochasticDepth"](0.3)(y))


@recipe
def time_distributed(keras):
    L = keras.layers
    each = L.TimeDistributed
    return chain(
        keras, (4, 6, 5, 2), each(L.Conv2D(3, (2, 3), padding="same", activation="relu")), each(L.BatchNormalization()),
        each(L.MaxPooling2D(2)), each(L.Dropout(0.3)), each(L.Activation("tanh")), each(L.Flatten()),
        each(L.Dense(5, activation="relu")), each(L.Reshape((5, 1))), each(L.Conv1D(2, 2, strides=2, padding="same")),
        each(L.GlobalAveragePooling1D()), each(L.Rescaling(0.3, 0.1)), each(L.LayerNormalization()),
    )  # fmt: skip


@recipe
def attention(keras):
    L = keras.layers
    x = keras.Input((5, 4))
    query, value, key = L.Conv1D(3, 2)(x), L.Conv1D(3, 1)(x), L.Conv1D(3, 1)(x)
    parts = [
        L.Attention()([query, value]),
        L.Attention(use_scale=True)([query, value, key]),
        L.Attention(score_mode="concat", use_scale=True)([query, value]),
        L.Attention(score_mode="concat")([query, value, key]),
        L.AdditiveAttention()([query, value]),
        L.AdditiveAttention(use_scale=False)([query, L.Conv1D(2, 1)(x), key]),
    ]
    return head(keras, x, L.Concatenate()(parts))


@recipe
def multi_head_attention(keras):
    L = keras.layers
    x = keras.Input((5, 4))
    query, value, key = L.Conv1D(3, 2)(x), L.Conv1D(6, 1)(x), L.Conv1D(2, 1)(x)
    parts = [
        L.MultiHeadAttention(2, 3)(query, query),
        L.MultiHeadAttention(2, 3, value_dim=5)(query, value),
        L.MultiHeadAttention(3, 2, output_shape=4)(query, value, key),
        L.MultiHeadAttention(1, 2, use_bias=False)(query, key=key, value=value),
    ]
    return head(keras, x, L.Concatenate()(parts))


@recipe
def causal_attention(keras):
    L = keras.layers
    x = keras.Input((5, 4))
    query, value, key = L.Conv1D(3, 2)(x), L.Conv1D(6, 1)(x), L.Conv1D(3, 1)(x)
    parts = [
        L.Attention()([query, value, key], use_causal_mask=True),
        L.AdditiveAttention()([query, key], use_causal_mask=True),
        L.MultiHeadAttention(2, 3)(query, value, use_causal_mask=True),
        L.MultiHeadAttention(2, 3)(query, value, use_causal_mask=False, return_attention_scores=False),
    ]
    return head(keras, x, L.Concatenate()(parts))
