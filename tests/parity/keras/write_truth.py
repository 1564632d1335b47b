"""What Keras makes of the recipes. Runs in the reference interpreter.

`python -m tests.parity.keras.write_truth OUT PART PARTS`, where part 0 of 1 is all. Per recipe: `NAME.h5` (float32),
`NAME-float64.h5`, and `NAME.npz` with inputs and outputs in both precisions; for the recipes in `ALL_FORMATS` every
other file format too. Weights are random with both signs and exact zeros.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.parity.keras.recipes import ALL_FORMATS, RECIPES


def random_weights(model: Any, rng: np.random.Generator) -> list[np.ndarray]:
    weights = []
    for variable in model.weights:
        values = rng.normal(size=variable.shape)
        name = variable.name
        if "kernel" in name:
            values *= (8 if name.startswith("amplify") else 1) / np.sqrt(max(np.prod(variable.shape[:-1]), 1))
            values[rng.random(values.shape) < 0.05] = 0
        elif "variance" in name:
            values = rng.uniform(0.3, 2.0, values.shape)
        elif "gamma" in name:
            values = 1 + 0.3 * values
        weights.append(values.astype(np.float32))  # exact in both precisions
    return weights


def logits(keras: Any, model: Any, x: Any) -> np.ndarray:
    """Return the model's output before its last softmax, computed by Keras itself."""
    last = model
    while hasattr(last, "layers"):
        last = last.layers[-1]
    if isinstance(last, keras.layers.TimeDistributed):
        last = last.layer
    activation = None if hasattr(last, "cell") else getattr(last, "activation", None)
    if isinstance(activation, keras.layers.Softmax) or activation is keras.activations.softmax:
        last.activation = keras.activations.linear
    elif isinstance(last, keras.layers.Softmax):
        last.call = lambda inputs: inputs
    else:
        before = model.layers[-2]
        if getattr(before, "activation", None) is keras.activations.softmax:  # softmax, then what does nothing
            before.activation = keras.activations.linear
    return np.asarray(model(x, training=False))


def input_shapes(model: Any) -> list[list[int]]:
    """Return the shape of each input, without the batch axis; an open size is 9."""
    shapes = model.input_shape if isinstance(model.input_shape, list) else [model.input_shape]
    return [[9 if size is None else size for size in shape[1:]] for shape in shapes]


def _given(inputs: list[np.ndarray], precision: str) -> Any:
    arrays = [x.astype(precision) for x in inputs]
    return arrays if len(arrays) > 1 else arrays[0]


def write_truth(keras: Any, name: str, build: Callable[[Any], Any], out: Path) -> None:
    arrays: dict[str, np.ndarray] = {}
    weights: list[np.ndarray] = []
    rng = np.random.default_rng([len(name), *name.encode()])
    for precision in ("float32", "float64"):
        keras.backend.clear_session()
        keras.backend.set_floatx(precision)
        model = build(keras)
        if not weights:
            weights = random_weights(model, rng)
            inputs = [rng.normal(size=(3, *shape)).astype(np.float32) for shape in input_shapes(model)]
            if (sample := getattr(build, "sample", None)) is not None:
                inputs = [sample(x) for x in inputs]
            # Several inputs go into one array, the values of one after those of the other.
            several = len(inputs) > 1
            arrays["x"] = np.concatenate([x.reshape(3, -1) for x in inputs], axis=1) if several else inputs[0]
        model.set_weights(weights)
        if precision == "float32":
            model.save(out / f"{name}.h5")
            if name in ALL_FORMATS:
                write_formats(keras, model, name, out)
        else:
            model.save(out / f"{name}-float64.h5")
            arrays["output"] = np.asarray(model(_given(inputs, precision), training=False))
        arrays[precision] = logits(keras, model, _given(inputs, precision))
    np.savez(out / f"{name}.npz", **arrays)


def write_formats(keras: Any, model: Any, name: str, out: Path) -> None:
    (out / f"{name}-by-name.json").write_text(model.to_json())
    model.save_weights(out / f"{name}-by-name.h5")
    (out / f"{name}-by-position.json").write_text(model.to_json())
    model.save_weights(out / f"{name}-by-position.weights.h5")
    model.save(out / f"{name}.keras", save_format="keras")


def write_layers_for_gpus(tf: Any, out: Path) -> None:
    """Write a model of layers for GPUs, and what Keras' plain layers say with its weights."""
    keras, gpu = tf.keras, tf.compat.v1.keras.layers

    def model(lstm: Any, gru: Any) -> Any:
        x = keras.Input((6, 3))
        y = keras.layers.Bidirectional(lstm(4, return_sequences=True, name="steps"), name="both")(x)
        y = lstm(5, name="last")(gru(3, return_sequences=True, go_backwards=True, name="gru")(y))
        return keras.Model(x, keras.layers.Dense(3, name="out")(y))

    keras.backend.set_floatx("float32")
    written, plain = model(gpu.CuDNNLSTM, gpu.CuDNNGRU), model(keras.layers.LSTM, keras.layers.GRU)
    written.set_weights(random_weights(written, np.random.default_rng(0)))
    written.save(out / "layers_for_gpus.h5")
    plain.load_weights(out / "layers_for_gpus.h5")
    written.save_weights(out / "layers_for_gpus-by-name.h5")
    (out / "layers_for_gpus-by-name.json").write_text(plain.to_json())
    x = np.random.default_rng(1).normal(size=(3, 6, 3)).astype(np.float32)
    np.savez(out / "layers_for_gpus.npz", x=x, float32=np.asarray(plain(x)))


def main() -> None:
    import tensorflow as tf

    from parity.reference.worker import missing_kernels

    missing_kernels.install()
    tf.config.threading.set_intra_op_parallelism_threads(1)
    out, part, parts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    for name, build in list(RECIPES.items())[part::parts]:
        write_truth(tf.keras, name, build, out)
    if part:
        return
    write_layers_for_gpus(tf, out)
    tf.keras.backend.set_floatx("float32")
    for name in ("VGG16", "VGG19"):
        small = {"weights": None, "input_shape": (32, 32, 3), "classes": 10}  # random weights take time to draw
        (out / f"{name.lower()}.json").write_text(getattr(tf.keras.applications, name)(**small).to_json())


if __name__ == "__main__":
    main()
