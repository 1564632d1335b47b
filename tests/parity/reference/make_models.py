"""Makes small random Keras models; run by the reference interpreter: make_models.py FOLDER.

`truth-NAME.npz` holds what TensorFlow itself says of a model in float64, without either reference package:
an input, the logits, and along a path and around the input the gradients of logit 1.
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import h5py
import numpy as np
import tensorflow as tf
from tensorflow.keras import layers


def randomized(model, seed):
    """Weights of both signs, biases included, so that every part of a rule matters."""
    random = np.random.RandomState(seed)
    weights = []
    for array in model.get_weights():
        fan_in = max(1, int(np.prod(array.shape[:-1]))) if array.ndim > 1 else 30
        weights.append(random.normal(0, np.sqrt(1.5 / fan_in), array.shape))
    model.set_weights(weights)
    return model


def vgg(last="attribute"):
    x = inputs = layers.Input((10, 10, 3))
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv2d")(x)
    x = layers.Conv2D(4, 3, padding="same", activation="relu", name="conv2d_1")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(8, activation="relu")(x)
    if last == "attribute":
        x = layers.Dense(5, activation="softmax")(x)
    elif last == "activation":
        x = layers.Activation("softmax")(layers.Dense(5)(x))
    return tf.keras.Model(inputs, x)


def sequential():
    return tf.keras.Sequential(
        [
            layers.Conv2D(4, 3, activation="relu", input_shape=(8, 8, 1)),
            layers.Flatten(),
            layers.Dense(5),
            layers.Softmax(),
        ]
    )


def branches():
    x = inputs = layers.Input((8, 6, 2))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
    x = layers.Add()([x, y])
    x = layers.Flatten()(x)
    return tf.keras.Model(inputs, layers.Dense(5)(x))


def series():
    x = inputs = layers.Input((20, 2))
    x = layers.Conv1D(4, 5, padding="same", activation="relu", name="last_conv")(x)
    x = layers.Flatten()(x)
    return tf.keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def with_lambda():
    x = inputs = layers.Input((4,))
    x = layers.Lambda(lambda value: value * 2)(x)
    return tf.keras.Model(inputs, layers.Dense(3)(x))


def truth(path):
    """Logits and gradients in float64 by a plain GradientTape."""
    tf.keras.backend.set_floatx("float64")
    with h5py.File(path) as file:
        text = file.attrs["model_config"]
    model = tf.keras.models.model_from_json(text.replace('"float32"', '"float64"').replace("softmax", "linear"))
    model.load_weights(path)
    if isinstance(model.layers[-1], layers.Softmax):
        model = tf.keras.Model(model.inputs, model.layers[-2].output)
    random = np.random.RandomState(5)
    x = random.normal(0, 1, model.input_shape[1:]).astype(np.float32).astype(np.float64)
    steps = np.linspace(0, 1, 50).reshape((-1,) + (1,) * x.ndim)
    noise = np.random.RandomState(11).normal(0, 0.2, (50, *x.shape))
    noise_one = np.random.RandomState(11).normal(0, 1, (64, *x.shape))
    lefts = (np.arange(64) / 64).reshape((-1,) + (1,) * x.ndim)

    def gradient(points):
        points = tf.constant(points)
        with tf.GradientTape() as tape:
            tape.watch(points)
            out = model(points)[:, 1]
        return tape.gradient(out, points).numpy()

    found = {
        "x": x,
        "logits": model(x[None]).numpy()[0],
        "gradient": gradient(x[None])[0],
        "path": gradient(steps * x),  # the eager fork's grid: both ends
        "left_path": gradient(lefts * x),  # innvestigate's grid: left ends
        "noisy": gradient(x + noise),
        "noisy_one": gradient(x + noise_one),
    }
    tf.keras.backend.set_floatx("float32")
    return found


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    models = {
        "vgg": vgg(),
        "vgg_activation": vgg("activation"),
        "sequential": sequential(),
        "branches": branches(),
        "series": series(),
        "lambda": with_lambda(),
    }
    for seed, (name, model) in enumerate(models.items()):
        randomized(model, seed).save(folder / f"{name}.h5", include_optimizer=False)
    models["vgg"].save_weights(folder / "weights_only.h5")
    (folder / "with_json.json").write_text(models["vgg"].to_json())
    models["vgg"].save_weights(folder / "with_json.h5")
    for name in ("vgg", "vgg_activation", "sequential", "branches", "series"):
        np.savez(folder / f"truth-{name}.npz", **truth(str(folder / f"{name}.h5")))


main(Path(sys.argv[1]))
