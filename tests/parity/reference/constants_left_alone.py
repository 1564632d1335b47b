"""Run in the reference environment: iNNvestigate's maps with weights as Keras keeps them, and left as tensors."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from keras.engine import base_layer_utils

tf.compat.v1.disable_eager_execution()

from parity.hashing import array_sha256, file_sha256  # noqa: E402
from parity.reference.request import ReferenceCall  # noqa: E402
from parity.reference.worker import constants, missing_kernels  # noqa: E402
from parity.reference.worker.methods import InnvestigateMethods  # noqa: E402
from parity.reference.worker.models import Models  # noqa: E402

WEIGHTS = Path(__file__).resolve().parents[3] / "weights"
ASKED: dict[str, tuple[tuple[str, dict[str, Any]], ...]] = {
    "vgg_mnist": (
        ("lrp.alpha_2_beta_1", {}),
        ("lrp.sequential_preset_b", {"input_layer_rule": [-1.0, 1.0]}),
    ),
    "cnn_timeseries": (("lrp.epsilon", {}), ("gradient", {})),
    # It cannot be asked for some of these on such a network, and must not begin to answer.
    "resnet_mnist": (("integrated_gradients", {"steps": 4}), ("lrp.z", {})),
}


def answers() -> dict[str, str]:
    """Return the SHA-256 of each map, or the kind of its error."""
    models, methods = Models(graph=True), InnvestigateMethods()
    told = {}
    for name, calls in ASKED.items():
        path = WEIGHTS / f"{name}.h5"
        for dtype in ("float32", "float64"):
            for method, options in calls:
                model = models.get(path, None, file_sha256(path), dtype)
                x = np.random.RandomState(3).randn(*model.input_shape[1:]).astype(dtype)
                try:
                    call = ReferenceCall("innvestigate", "analyzer", method, options)
                    told[f"{name} {method} {dtype}"] = array_sha256(methods.prepare(call, model, dtype).analyze(x, 1))
                except Exception as error:  # whatever iNNvestigate raises
                    told[f"{name} {method} {dtype}"] = type(error).__name__
    return told


def left_alone() -> dict[str, bool]:
    """Return what counts as made of weights and constants alone."""
    tf.keras.backend.clear_session()
    weight = tf.Variable([1.0, -2.0])
    asked = {
        "a constant": tf.constant([1.0]),
        "a product with a weight": weight * tf.cast(weight > 0, tf.float32),
        "an input": tf.compat.v1.placeholder(tf.float32, [2]),
        "a sum with an input": weight + tf.compat.v1.placeholder(tf.float32, [2]),
        "the phase of training": tf.compat.v1.placeholder_with_default(0.0, []),
        "a random number": weight * tf.random.uniform([2]),
        "a change of a weight": tf.compat.v1.assign(weight, [3.0, 3.0]),
    }
    with tf.control_dependencies([tf.compat.v1.assign(weight, [5.0, 5.0])]):
        asked["what waits for a change"] = tf.identity(tf.constant(1.0))
    return {name: constants.of_weights(tensor.op) for name, tensor in asked.items()}


if __name__ == "__main__":
    missing_kernels.install()
    as_keras = base_layer_utils.backend
    before = answers()
    constants.install()
    after = answers()
    installed = base_layer_utils.backend is not as_keras
    json.dump({"before": before, "after": after, "installed": installed, "left alone": left_alone()}, sys.stdout)
