"""Bare operations between layers that take tensors apart, reduce them and put them together again."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.parity.keras.recipes.registry import recipe, tokens


@recipe
def gates_of_halves(keras: Any) -> Any:
    """Gated linear units: one half of the channels opens the other, in two dimensions and in one."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((7, 3))
    values, gate = tf.split(L.Conv1D(8, 2)(x), 2, axis=-1)
    y = values * tf.sigmoid(gate)
    first, _, last = tf.split(L.Dense(9)(L.Flatten()(y)), [4, -1, 4], axis=1)
    return keras.Model(x, L.Dense(3)(first * tf.tanh(last)))


@recipe
def attention_of_channels_and_places(keras: Any) -> Any:
    """CBAM (Woo and others 2018): means and maxima over places, then over channels."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6, 5, 2))
    y = L.Conv2D(4, 2, activation="relu")(x)
    shared = keras.Sequential([L.InputLayer((1, 1, 4)), L.Dense(2, activation="relu"), L.Dense(4)])
    mean, most = (reduce(y, axis=[1, 2], keepdims=True) for reduce in (tf.reduce_mean, tf.reduce_max))
    y = y * tf.sigmoid(shared(mean) + shared(most))
    mean, most = (reduce(y, axis=-1, keepdims=True) for reduce in (tf.reduce_mean, tf.reduce_max))
    y = y * L.Conv2D(1, 3, padding="same", activation="sigmoid")(tf.concat([mean, most], axis=-1))
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@recipe
def shuffled_channels(keras: Any) -> Any:
    """ShuffleNet (Zhang and others 2018): every second channel goes to the other group."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((5, 4, 2))
    y = L.Conv2D(6, 2, activation="relu")(x)
    left, right = y[..., :3], y[..., 3:]
    y = tf.concat([left, L.Conv2D(3, 1, activation="relu")(right)], axis=-1)
    y = tf.reshape(tf.transpose(tf.reshape(y, [-1, 4, 3, 2, 3]), [0, 1, 2, 4, 3]), [-1, 4, 3, 6])
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling2D()(y)))


@recipe
def compared_with_numbers(keras: Any) -> Any:
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((7, 3))
    y = tf.maximum(L.Conv1D(4, 2)(x), -0.25)
    return keras.Model(x, L.Dense(3)(L.Flatten()(tf.minimum(y, 0.5))))


@recipe
def reshaped_by_joined_sizes(keras: Any) -> Any:
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6, 4))
    y = L.Conv1D(3, 2)(x)
    row = tf.reshape(y, tf.concat([tf.shape(y)[:1], [15]], axis=0))
    steps = tf.reshape(y, tf.stack([tf.shape(y)[0], 3, 5]))
    steps = L.Flatten()(L.Dense(2)(tf.ensure_shape(steps, [None, 3, 5])))
    return keras.Model(x, L.Dense(3)(L.Concatenate()([tf.ensure_shape(row, [None, 15]), steps])))


@recipe
def softmax_at_every_step(keras: Any) -> Any:
    L = keras.layers
    x = keras.Input((6, 4))
    return keras.Model(x, L.TimeDistributed(L.Dense(3, activation="softmax"))(L.Conv1D(3, 2)(x)))


@recipe
def reshaped_by_sizes(keras: Any) -> Any:
    """Heads of attention by hand: the batch's size is asked of the tensor."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6, 4))
    batch, steps = tf.shape(x)[0], tf.shape(x)[1]

    def heads(tensor: Any) -> Any:
        return tf.transpose(tf.reshape(tensor, (batch, steps, 2, 3)), [0, 2, 1, 3])

    size = tf.unstack(tf.shape(x))
    value = heads(L.Dense(6)(x))
    y = tf.reshape(tf.transpose(value, [0, 2, 1, 3]), (size[0], 6, 6))
    steps = tf.reshape(y, (size[0], steps * 6))  # Keras does not know how many there are
    return keras.Model(x, L.Dense(3)(L.Concatenate()([L.Flatten()(y), L.Reshape((36,))(steps)])))


@recipe
def grey_image_for_colours(keras: Any) -> Any:
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6, 5, 1))
    y = tf.image.grayscale_to_rgb(tf.image.resize(x, (9, 8)))
    y = tf.image.flip_left_right(tf.image.resize(L.Conv2D(3, 2, activation="relu")(y), (5, 4), method="nearest"))
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@recipe
def places_in_another_order(keras: Any) -> Any:
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((8, 6, 4))
    y = L.Conv2D(4, 2, activation="relu")(x[:, ::2, :, ::-2])
    y = tf.concat([tf.reverse(y, [1, -1]), tf.roll(y, 2, axis=2)], axis=1)
    y = tf.gather(y, [3, 0, 5], axis=-3)
    y = tf.gather(y, 1, axis=1) + y[:, 0]
    y = tf.slice(y, [0, 1, 0], [-1, 3, -1])[:, tf.newaxis]
    first, *_, last = tf.unstack(y, axis=2)
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.Concatenate()([first, last]))))


@recipe
def repeated_places(keras: Any) -> Any:
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((4, 6, 4))
    y = tf.nn.depth_to_space(tf.nn.space_to_depth(x, 2) * 0.5, 2)
    y = tf.tile(L.Conv2D(3, 2, activation="relu")(y), [1, 2, 1, 2])
    y = tf.repeat(y, 3, axis=2) + keras.backend.repeat_elements(y, 3, axis=2)
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling2D()(y)))


@recipe
def pooled_by_functions(keras: Any) -> Any:
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((8, 7, 2))
    y = tf.nn.max_pool2d(L.Conv2D(3, 2)(x), 2, 2, "SAME")
    y = tf.nn.avg_pool2d(y, [2, 3], [1, 1], "VALID")
    low, total = tf.reduce_min(y, axis=1), tf.reduce_sum(y, axis=[1, 3])
    y = tf.concat([tf.reshape(low, [-1, 3]), total, tf.reduce_max(low, axis=[1, 2], keepdims=True)[:, 0]], axis=1)
    return keras.Model(x, L.Dense(3)(y))


@recipe
def distance_of_directions(keras: Any) -> Any:
    """Two embeddings of unit length, compared."""
    import tensorflow as tf

    L = keras.layers
    a, b = keras.Input((7,)), keras.Input((7,))
    inner = keras.Input((7,))
    embed = keras.Model(inner, tf.math.l2_normalize(L.Dense(5, activation="relu")(inner), axis=-1))
    y = tf.math.squared_difference(embed(a), embed(b))
    y = tf.add_n([y, a[:, :5], b[:, 2:]])
    return keras.Model([a, b], L.Dense(3)(tf.nn.log_softmax(tf.math.divide_no_nan(y, 2.0))))


def _ends_early(array: Any) -> Any:
    array[1, 4:] = 0
    return array


@recipe(sample=_ends_early)
def states_beside_sequences(keras: Any) -> Any:
    """Attention of a last state to all steps; only the state of a GRU, and only what an LSTM puts out."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((7, 3))
    read = L.Masking()(x)
    steps, state, _ = L.LSTM(4, return_sequences=True, return_state=True)(read)
    scores = tf.reduce_sum(steps * tf.expand_dims(state, 1), axis=-1)
    context = tf.reduce_sum(steps * tf.expand_dims(tf.nn.softmax(scores), -1), axis=1)
    _, alone = L.GRU(3, return_sequences=True, return_state=True)(read)
    twice = L.LSTM(2, return_state=True)
    (last, *_), (_, later, _) = twice(read), twice(x[:, 2:])
    return keras.Model(x, L.Dense(3)(L.Concatenate()([context, alone, last, later])))


@recipe(sample=_ends_early)
def encoder_and_decoder(keras: Any) -> Any:
    """A decoder that starts with the states of an encoder, of one way and of both, masked steps among them."""
    L = keras.layers
    x = keras.Input((7, 3))
    read = L.Masking()(x)
    _, output, cell = L.LSTM(4, return_state=True)(read)
    decoder = L.LSTM(4, return_sequences=True, return_state=True)
    steps, _, kept = decoder(L.Conv1D(2, 2)(x), initial_state=[output, cell])
    _, *both = L.Bidirectional(L.LSTM(3, return_sequences=True, return_state=True))(read)
    joined = [L.Concatenate()(both[0::2]), L.Concatenate()(both[1::2])]
    later = L.LSTM(6, go_backwards=True)(read, initial_state=joined)
    gated = L.GRU(4, return_sequences=True)(steps, initial_state=L.Dense(4, activation="tanh")(kept))
    again = L.Bidirectional(L.LSTM(3), merge_mode="sum")(steps, initial_state=both)
    return keras.Model(x, L.Dense(3)(L.Concatenate()([L.GlobalAveragePooling1D()(gated), kept, later, again])))


@recipe
def operations_at_every_step(keras: Any) -> Any:
    """A model of bare operations that runs at every step."""
    import tensorflow as tf

    L = keras.layers
    frame = keras.Input((6, 5, 2))
    y = L.Conv2D(4, 3)(frame)
    y = y * tf.nn.sigmoid(tf.reduce_mean(y, axis=[1, 2], keepdims=True))
    y = tf.math.sqrt(tf.nn.relu(tf.reduce_max(y, [1, 2])) + 1.0)
    inside = keras.Model(frame, L.Dense(3)(tf.concat([y, y * 2.0], -1)))
    x = keras.Input((3, 6, 5, 2))
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.TimeDistributed(inside)(x))))


@recipe
def decided_by_comparisons(keras: Any) -> Any:
    """Choices of values, of numbers and of both; conditions as factors; whole numbers."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6,))
    y = L.Dense(5)(x)
    low = (
        tf.where(y > 0.1, y, 0.25 * y)
        + tf.where(tf.less_equal(y, y * y), tf.ones_like(y), y)
        + tf.where(y >= -0.2, y, -1.5 * y)
    )
    both = tf.cast(tf.logical_and(y > 0, tf.logical_not(tf.not_equal(y, 3.0))), y.dtype)
    either = tf.cast(tf.logical_or(y < -1.0, tf.equal(y, 0.5)), y.dtype)
    kept = tf.where(y < 0.5, y, tf.zeros_like(y)) + tf.ones_like(y)
    whole = tf.math.floor(y) + tf.math.ceil(y * 2.0) + tf.round(y * 3.0) + tf.sign(y) * tf.sqrt(tf.abs(y))
    return keras.Model(x, L.Dense(3)(L.Concatenate()([low + both, either * y, kept, whole, tf.stop_gradient(y)])))


@recipe(sample=tokens(9))
def rows_for_whole_numbers(keras: Any) -> Any:
    """One number for each class; a cast to whole numbers of what is none, and of tokens."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6,))
    rows = tf.one_hot(tf.cast(x * 0.7 - 1.5, tf.int32), 9)
    looked_up = L.Embedding(9, 4)(tf.cast(x, tf.int64))
    y = L.Conv1D(3, 2)(L.Concatenate()([rows, looked_up]))
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@recipe
def standardized_by_moments(keras: Any) -> Any:
    """Mean and variance of each sample (`tf.nn.moments`), and zeros beside the channels."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6, 5, 2))
    y = L.Conv2D(3, 2)(x)
    mean, variance = tf.nn.moments(y, axes=[1, 2], keepdims=True)
    y = (y - mean) / tf.sqrt(variance + 1e-3)
    y = tf.pad(y, [[0, 0], [0, 1], [2, 0], [1, 2]])
    row = tf.pad(L.GlobalMaxPooling2D()(y), [[0, 0], [0, 2]])
    steps = tf.pad(tf.reduce_mean(y, axis=1), [[0, 0], [0, 0], [2, 1]])
    return keras.Model(x, L.Dense(3)(L.Concatenate()([row, L.Flatten()(steps)])))


def _first_is_nothing(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array[0] = 0
    return array


@recipe(sample=_first_is_nothing)
def states_of_steps_that_do_not_count(keras: Any) -> Any:
    """Of a sequence whose steps are all masked the state is what it started with, and the output is zeros."""
    L = keras.layers
    x = keras.Input((5, 3))
    read, start = L.Masking()(x), L.Dense(4)(L.Flatten()(x))
    lstm = L.LSTM(4, return_state=True)(read, initial_state=[start, L.Dense(4, activation="tanh")(start)])
    gru = L.GRU(4, return_state=True)(read, initial_state=start)
    both = L.Bidirectional(L.LSTM(4, return_state=True))(read, initial_state=[start] * 4)
    return keras.Model(x, L.Dense(3)(L.Concatenate()([*lstm, *gru, *both])))


@recipe(sample=tokens(9))
def masks_of_each_step(keras: Any) -> Any:
    """Masks that a `TimeDistributed` makes go on to what passes them, and end where layers do not support them."""
    L = keras.layers
    x = keras.Input((4, 5))
    y = L.TimeDistributed(L.Embedding(9, 3, mask_zero=True))(x)
    y = L.TimeDistributed(L.Dense(4, activation="relu"))(y)
    return keras.Model(x, L.Dense(3)(L.LSTM(4)(L.Reshape((20, 4))(y))))


@recipe
def frames_ahead(keras: Any) -> Any:
    """The states of a ConvLSTM2D go into another one."""
    L = keras.layers
    x = keras.Input((3, 6, 5, 2))
    _, *states = L.ConvLSTM2D(2, 3, padding="same", return_sequences=True, return_state=True)(x)
    y = L.ConvLSTM2D(2, 3, padding="same")(L.Conv3D(3, 1)(x), initial_state=states)
    return keras.Model(x, L.Dense(3)(L.Flatten()(L.Concatenate()([y, states[1]]))))


@recipe(sample=_ends_early)
def states_of_both_ways(keras: Any) -> Any:
    """Attention of the last states of both ways to all steps, and states alone, one of them of masked steps."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((7, 3))
    read = L.Masking()(x)
    steps, ahead, _, back, _ = L.Bidirectional(L.LSTM(4, return_sequences=True, return_state=True))(read)
    state = L.Dense(8)(L.Concatenate()([ahead, back]))
    scores = tf.reduce_sum(steps * tf.expand_dims(state, 1), axis=-1)
    context = tf.reduce_sum(steps * tf.expand_dims(tf.nn.softmax(scores), -1), axis=1)
    _, *of_gru = L.Bidirectional(L.GRU(3, return_state=True), merge_mode="sum")(read)
    twice = L.Bidirectional(L.SimpleRNN(2, return_state=True))
    (_, first, _), (last, _, second) = twice(read), twice(x[:, 2:])
    return keras.Model(x, L.Dense(3)(L.Concatenate()([context, *of_gru, first, last, second])))


@recipe(sample=_ends_early)
def masks_end_at_operations(keras: Any) -> Any:
    """What averages or repeats steps reads no mask behind a bare operation."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((7, 3))
    read = L.LSTM(4, return_sequences=True)(L.Masking()(x))
    moved = L.Dense(4, activation="tanh")(read + 0.5)
    parts = [tf.reduce_mean(read, axis=1), tf.reduce_max(read, axis=1), L.GlobalAveragePooling1D()(tf.nn.relu(read)),
             L.GRU(3)(moved), L.GRU(2)(read)]  # fmt: skip
    return keras.Model(x, L.Dense(3)(L.Concatenate()(parts)))


@recipe(sample=_ends_early)
def casts_and_states_of_masked_steps(keras: Any) -> Any:
    """A cast to a tensor's own dtype is that tensor, mask and all; a state is not what masked steps put out."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((7, 3))
    read = L.Masking()(x)
    same = tf.cast(read, keras.backend.floatx())
    steps, state = L.GRU(3, return_sequences=True, return_state=True, zero_output_for_mask=True)(read)
    parts = [L.LSTM(2)(same), L.GlobalAveragePooling1D()(same), state, L.Flatten()(steps)]
    return keras.Model(x, L.Dense(3)(L.Concatenate()(parts)))


@recipe
def first_call_behind_the_second(keras: Any) -> Any:
    """Layers and models whose first call reads something deeper, called twice inside of a model called twice."""
    L = keras.layers
    a, b, start = keras.Input((6,)), keras.Input((4,)), keras.Input((4,))
    shared = L.Dense(4, activation="relu")
    inner = keras.Model(start, shared(start) * shared(start[:, ::-1]))
    deep = inner(L.Dense(4)(a))
    return keras.Model([a, b], L.Dense(3)(L.Concatenate()([deep, inner(b)])))


@recipe
def two_constants_first(keras: Any) -> Any:
    import numpy as np
    import tensorflow as tf

    x = keras.Input((2,))
    offsets, factors = (np.array(two, keras.backend.floatx()) for two in ([0.5, 0.25], [2.0, -0.5]))
    y = tf.subtract(offsets, keras.layers.Dense(2)(x))
    return keras.Model(x, keras.layers.Dense(3)(tf.multiply(factors, y)))


@recipe
def gelu_by_tanh(keras: Any) -> Any:
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((5, 4))
    y = tf.nn.gelu(L.Conv1D(4, 2)(x), approximate=True)
    y = keras.activations.gelu(L.Conv1D(3, 2)(y), approximate=True)
    return keras.Model(x, L.Dense(3)(L.Flatten()(y)))


@recipe
def constants_for_each_place(keras: Any) -> Any:
    """Sines of the place, as in transformers, and other constants that differ along several axes."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((5, 4))
    places = np.sin(np.arange(5)[:, None] / np.arange(1, 5)).astype(np.float32)

    def constant(values: np.ndarray) -> Any:
        return tf.constant(values, x.dtype)

    y = L.Conv1D(4, 1)(x) + constant(places)
    y = y * constant(places[None] - 2) + constant(places[:, :1])
    y = L.Conv1D(4, 1)(y / (places + 1.5).tolist())
    return keras.Model(x, L.Dense(3)(L.Flatten()(constant(places) - y)))


@recipe
def functions_without_a_layer(keras: Any) -> Any:
    """Functions of each value that Keras has as bare operations alone."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6, 4))
    y = L.Conv1D(5, 2, activation="softplus")(x)
    small = tf.tanh(L.Conv1D(5, 2)(x)) * 0.5
    math = tf.math
    parts = [math.log(y), math.log1p(y), math.expm1(small), tf.sqrt(y), math.rsqrt(y), math.reciprocal(y), tf.sin(y),
             tf.cos(y), tf.tan(small), tf.asin(small), tf.acos(small), tf.atan(y), tf.sinh(small), tf.cosh(small),
             math.asinh(y), math.acosh(y + 1.5), math.atanh(small), math.erf(y), math.erfc(small)]  # fmt: skip
    return keras.Model(x, L.Dense(3)(L.Flatten()(tf.concat(parts, axis=-1))))


@recipe
def quotients_and_powers(keras: Any) -> Any:
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6, 4))
    y, weights = L.Conv1D(5, 2)(x), tf.exp(L.Conv1D(1, 2)(x))
    mean = tf.reduce_sum(y * weights, axis=1) / tf.reduce_sum(weights, axis=1)
    z = tf.nn.softplus(mean)
    powers = [z**3, z**0.5, tf.pow(z, -2.0), tf.pow(z, 1 / 3), z**-0.25, 2.0 / z, tf.divide(1.0, z)]
    return keras.Model(x, L.Dense(3)(tf.concat(powers, axis=-1)))


@recipe
def deviations_and_lengths(keras: Any) -> Any:
    """Normalization by hand, the distance of two embeddings, and lengths."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((6, 4))
    y = L.Conv1D(5, 2)(x)
    mean, variance = tf.reduce_mean(y, axis=-1, keepdims=True), tf.math.reduce_variance(y, axis=-1, keepdims=True)
    normal = (y - mean) / tf.sqrt(variance + 0.125)
    spread = tf.math.reduce_std(normal, axis=1)
    apart = tf.sqrt(tf.reduce_sum(tf.square(spread - normal[:, 0]), axis=1, keepdims=True) + 0.5)
    length = tf.norm(normal, axis=1)
    return keras.Model(
        x, L.Dense(3)(tf.concat([spread, apart, length, tf.norm(y, axis=[1, 2], keepdims=True)[:, 0]], 1))
    )


@recipe
def heads_by_hand(keras: Any) -> Any:
    """Attention of several heads without a layer for it: products of matrices of four axes."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((5, 6))

    def heads(name: str) -> Any:
        return tf.transpose(tf.reshape(L.Dense(6, name=name)(x), [-1, 5, 2, 3]), [0, 2, 1, 3])

    query, key, value = heads("query"), heads("key"), heads("value")
    scores = tf.nn.softmax(tf.matmul(query, key, transpose_b=True) / 3**0.5, axis=-1)
    y = tf.reshape(tf.transpose(tf.matmul(scores, value), [0, 2, 1, 3]), [-1, 5, 6])
    return keras.Model(x, L.Dense(3)(L.GlobalAveragePooling1D()(x + L.Dense(6)(y))))


@recipe
def margins_and_rolls(keras: Any) -> Any:
    """Margins as in a mirror and of another number, and places that move along several axes."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((5, 4, 3))
    mirror = tf.pad(x, [[0, 0], [2, 1], [0, 3], [0, 0]], mode="REFLECT")
    mirror = tf.pad(L.Conv2D(2, 2)(mirror), [[0, 0], [1, 2], [3, 0], [0, 0]], mode="SYMMETRIC")
    ones = tf.pad(L.Conv2D(2, 2)(x), [[0, 0], [1, 0], [2, 1], [0, 0]], constant_values=0.5)
    rolled = tf.roll(x, shift=[1, -1], axis=[1, 2])
    largest = L.MaxPooling2D()(tf.pad(x, [[0, 0], [1, 0], [0, 2], [0, 0]], constant_values=-1e9))
    parts = [L.Flatten()(L.Conv2D(2, 2)(part)) for part in (mirror, ones, rolled, largest)]
    return keras.Model(x, L.Dense(3)(L.Concatenate()(parts)))


@recipe
def bounds_and_patches(keras: Any) -> Any:
    """Bounds for each channel, both signs, the logarithm of a sum of powers, and patches of an image."""
    import tensorflow as tf

    L = keras.layers
    x = keras.Input((7, 8, 3))
    y = tf.image.extract_patches(x, [1, 3, 3, 1], [1, 3, 3, 1], [1, 1, 1, 1], "VALID")
    y = L.Conv2D(4, 1)(y)
    y = tf.minimum(tf.maximum(y, [-0.5, 0.25, 0.0, -0.125]), [0.5, 1.0, 2.0, 0.75])
    parts = [tf.nn.crelu(y), L.Conv2D(3, 1)(y)]
    sums = [tf.reduce_logsumexp(y, axis=-1, keepdims=True), tf.expand_dims(tf.reduce_logsumexp(parts[1], axis=3), -1)]
    return keras.Model(x, L.Dense(3)(L.Flatten()(tf.concat([*parts, *sums], axis=-1))))
