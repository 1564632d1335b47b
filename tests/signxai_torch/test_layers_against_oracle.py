"""Networks around every kind of Keras layer, converted and explained, held to an oracle that knows Keras' files alone.

The references are asked about most of them as well (`tests.parity.test_judged_layers`); here nobody but NumPy is, so
that what no reference can explain, such as a layer that is called twice, has a second opinion too.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

from parity.keras import augmentations
from parity.keras.handlers.table import HANDLERS
from tests.signxai_torch import oracles
from tests.signxai_torch.against_oracle import CASES, by_oracle, methods_of, subject
from tests.signxai_torch.oracles.table import FORWARD
from tests.signxai_torch.oracles.weightless import OPERATIONS
from tests.signxai_torch.single_layers import distance

EXACT = 1e-10
# Two branches of one tensor, subtracted, whose relevance takes no notice of weights.
ZERO_BY_DEFINITION = {"subtract": ["lrp_flat"]}
SEEDS = (0, 1)
NUMPY_ALONE = {"__future__", "collections.abc", "dataclasses", "functools", "itertools", "typing", "numpy"}
WITHOUT_ORACLE = {
    "what rounds to float32 step by step as one kernel of TensorFlow's does": {"RandomCrop"},
    "what Keras 3 alone has, and does nothing but in training": set(augmentations.UNKNOWN_TO_KERAS_2),
    "what computes nothing": {"InputLayer"},
}  # fmt: skip


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CASES)
def test_logits(name, seed):
    one = subject(name, seed)
    expected = np.stack([oracle.logits for oracle in one.oracles])
    assert np.abs(expected).max() > 1e-3
    x = one.inputs if len(one.inputs) > 1 else one.inputs[0]
    assert distance(one.model.logits(x), expected) <= 1e-12


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", CASES)
def test_maps(name, seed):
    one = subject(name, seed)
    wrong, nothing = {}, []
    for method in methods_of(name):
        expected = by_oracle(one.oracles, method, one.targets)
        assert np.isfinite(expected).all()
        if not expected.any():
            nothing.append(method)
        if (error := distance(one.by_port(method), expected)) > EXACT:
            wrong[method] = error
    assert not wrong
    assert nothing == ZERO_BY_DEFINITION.get(name, []), "a map of zeros proves nothing"


def test_every_layer_that_converts_has_an_oracle():
    assert set(HANDLERS) - set(FORWARD) == set().union(*WITHOUT_ORACLE.values())
    assert set(FORWARD) - set(HANDLERS) - set(OPERATIONS) == {"BatchNormalizationV1"}, "a name that is read as another"


def test_every_oracle_is_used():
    """In some number of dimensions."""
    layers = [layer for name in CASES for layer in subject(name, 0).network]
    used = {layer.class_name for layer in layers}
    used |= {layer.config["layer"]["class_name"] for layer in layers if "layer" in layer.config}
    assert {_in_any_dimension(name) for name in FORWARD} <= {_in_any_dimension(name) for name in used}


def _in_any_dimension(class_name: str) -> str:
    return re.sub(r"[123]D", "nD", class_name)


def test_the_oracles_know_numpy_alone():
    for path in Path(oracles.__file__).parent.glob("*.py"):
        tree = ast.parse(path.read_text())
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {one for one in imported if not one.startswith(oracles.__name__)} <= NUMPY_ALONE, path.name
