"""How layers are put together: several inputs and outputs, layers called several times, bare operations."""

from __future__ import annotations

from typing import Any

from tests.parity.keras.recipes.registry import recipe


@recipe
def two_inputs(keras: Any) -> Any:
    L = keras.layers
    image, features = keras.Input((6, 5, 2)), keras.Input((4,))
    y = L.Flatten()(L.Conv2D(3, 2, activation="relu")(image))
    y = L.Concatenate()([y, L.Dense(5, activation="tanh")(features)])
    return keras.Model([features, image], L.Dense(3, activation="softmax")(y))


@recipe
def siamese(keras: Any) -> Any:
    L = keras.layers
    first, second = keras.Input((6, 2)), keras.Input((6, 2))
    tower = keras.Sequential([L.Conv1D(3, 2, activation="relu"), L.Flatten(), L.Dense(4)], name="tower")
    return keras.Model([first, second], L.Dense(2)(L.Concatenate()([tower(first), tower(second)])))


@recipe
def layer_called_thrice(keras: Any) -> Any:
    L = keras.layers
    x = keras.Input((6, 5, 3))
    conv, relu = L.Conv2D(3, 3, padding="same"), L.ReLU()
    y = relu(conv(relu(conv(relu(conv(x))))))
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@recipe
def inner_model_of_two_inputs_and_outputs(keras: Any) -> Any:
    L = keras.layers
    a, b = keras.Input((4,)), keras.Input((3,))
    joined = L.Concatenate()([L.Dense(5, activation="relu")(a), b])
    inner = keras.Model([a, b], [L.Dense(3)(joined), L.Dense(4)(joined)], name="inner")
    x, y = keras.Input((4,)), keras.Input((3,))
    first, second = inner([x, y])
    third, fourth = inner([second, first])
    return keras.Model([x, y], L.Dense(3)(L.Concatenate()([third, fourth])))


@recipe
def names_with_slashes(keras: Any) -> Any:
    """One layer's name ends as another's, as in DenseNet121 and MobileNetV3."""
    L = keras.layers
    start = keras.Input((5, 4, 2))
    y = L.Conv2D(3, 2, name="block/conv")(L.BatchNormalization(name="conv/bn")(start))
    y = L.Conv2D(3, 2, name="conv")(L.BatchNormalization(name="bn")(y))
    x = keras.Input((5, 4, 2))
    return keras.Model(x, L.Dense(3)(L.Flatten()(keras.Model(start, y, name="base")(x))))


@recipe
def output_per_position(keras: Any) -> Any:
    L = keras.layers
    x = keras.Input((7, 2))
    y = L.Conv1D(4, 3, padding="same", activation="relu")(x)
    return keras.Model(x, L.Dense(3, activation="softmax")(y))


@recipe
def output_per_pixel(keras: Any) -> Any:
    L = keras.layers
    x = keras.Input((5, 4, 2))
    return keras.Model(x, L.Conv2D(3, 1)(L.Conv2D(4, 3, padding="same", activation="relu")(x)))


@recipe
def arithmetic(keras: Any) -> Any:
    """Operators with constants and tensors, as `preprocess_input` and hard activations use them."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6, 5, 3))
    y = x / 127.5 - 1.0
    y = L.Conv2D(3, 3, padding="same")(y)
    z = tf.nn.relu6(y + 3.0) * 0.15625  # a file of float32 keeps constants in float32
    y = y * z + y
    y = 2.0 - y
    y = tf.nn.relu(y) - z
    y = tf.concat([y, tf.square(z), -y], axis=-1)
    y = y[:, 1:, :-1]
    y = tf.maximum(y, tf.nn.leaky_relu(y, alpha=0.3))
    y = tf.reduce_mean(y, axis=[1, 2]) + tf.reduce_max(y, axis=(1, 2))
    y = tf.reshape(y, [-1, 3, 3])
    y = tf.transpose(y, [0, 2, 1])
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@recipe
def one_step_of_a_series(keras: Any) -> Any:
    x = keras.layers.Input((9, 4))
    y = keras.layers.Conv1D(5, 3, activation="relu")(x)
    last, second = y[:, -1, :], y[:, 1]
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.Concatenate()([last, second])))


@recipe
def one_row_of_an_image(keras: Any) -> Any:
    x = keras.layers.Input((6, 5, 2))
    y = keras.layers.Conv2D(3, 2, activation="relu")(x)[:, 2]
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Conv1D(4, 2)(y))))


@recipe
def siamese_distance(keras: Any) -> Any:
    import tensorflow as tf

    a, b = keras.layers.Input((7,)), keras.layers.Input((7,))
    inner = keras.layers.Input((7,))
    embed = keras.Model(inner, keras.layers.Dense(5, activation="relu")(inner))
    return keras.Model([a, b], keras.layers.Dense(2)(tf.abs(embed(a) - embed(b))))


@recipe
def products_of_matrices(keras: Any) -> Any:
    import tensorflow as tf

    x = keras.layers.Input((6, 4))
    query, key = keras.layers.Dense(4)(x), keras.layers.Dense(4)(x)
    scores = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / 2.0)
    y = tf.matmul(scores, x)
    y = tf.linalg.matmul(y, key, transpose_a=True)
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(y)))


@recipe
def stacked_and_clipped(keras: Any) -> Any:
    import tensorflow as tf

    x = keras.layers.Input((5, 4))
    y = tf.clip_by_value(keras.layers.Dense(4)(x), -0.5, 0.75)
    y = tf.stack([y, tf.clip_by_value(x, 0.0, 0.5)], axis=-1)
    return keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(keras.layers.Conv2D(3, 2)(y))))


@recipe
def synchronized_normalization(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv2D(4, 2), L.experimental.SyncBatchNormalization(), L.ReLU(), L.Flatten(), L.Dense(3)]
    return keras.Sequential([L.InputLayer((6, 5, 2)), *layers])


def _pixels(array: Any) -> Any:
    return abs(array) * 100


def _prepared(keras: Any, prepare: Any) -> Any:
    L = keras.layers
    x = keras.Input((8, 7, 3))
    y = L.Conv2D(4, 3, activation="relu")(prepare(x))
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling2D()(y)))


@recipe(sample=_pixels)
def prepared_as_caffe(keras: Any) -> Any:
    """Colours in reverse order, minus their means."""
    return _prepared(keras, keras.applications.vgg16.preprocess_input)


@recipe(sample=_pixels)
def prepared_as_torch(keras: Any) -> Any:
    """Through 255, minus means, through deviations."""
    return _prepared(keras, keras.applications.densenet.preprocess_input)


@recipe(sample=_pixels)
def prepared_as_tf(keras: Any) -> Any:
    """From -1 to 1."""
    return _prepared(keras, keras.applications.mobilenet.preprocess_input)


@recipe
def turned_around(keras: Any) -> Any:
    """Axes in reverse order, also where others are cut."""
    L = keras.layers
    x = keras.Input((6, 5, 3))
    y = L.Conv2D(4, 2, activation="relu")(x[:, ::-1, 1:])
    y = L.Reshape((15, 4))(y[..., ::-1, :])
    y = L.Conv1D(3, 2)(y[:, ::-1, ::-1])
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))
