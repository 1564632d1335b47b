"""Random networks without TensorFlow: every rewrite gives the same logits, and its difference no longer applies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings

from parity import keras
from parity.judge.known.rewrite import NoEquivalentError
from parity.judge.known.rewrites import PERMUTED_INPUT, REWRITES, of_size
from parity.judge.known.table import KNOWN_DIFFERENCES
from parity.keras import ModelDescription
from parity.keras.network import Network, read_network, write_network
from parity.run.subjects import parse
from tests.fuzz.architectures import cases
from tests.fuzz.builder import Case
from tests.fuzz.networks import write

pytestmark = pytest.mark.slow

METHODS = [parse(name) for name in ("lrp_z", "lrp_flat", "lrpsign_z", "deconvnet", "gradient")]
# Their conditions speak of branches and sizes, which an equivalent network has too.
STILL_SAID = ("signxai-relu-per-consumer", "signxai-grad-cam-is-transposed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


def logits(path: Path, x: np.ndarray) -> np.ndarray:
    return keras.load(path, dtype=torch.float64).logits(x[None]).reshape(-1)


def same_logits(network: Network, before: np.ndarray, x: np.ndarray, there: Path) -> None:
    for rewrite in REWRITES:
        if rewrite is PERMUTED_INPUT and x.ndim != 3:
            continue
        try:
            other = rewrite.network(network, 0)
        except NoEquivalentError:
            continue
        write_network(other, there)
        expected = before[:1] if rewrite.one_class else before
        largest = np.abs(before).max()
        np.testing.assert_allclose(logits(there, rewrite.inputs(x)), expected, rtol=0, atol=1e-13 * largest)


def no_longer_applies(network: Network, description: ModelDescription, x: np.ndarray, there: Path) -> None:
    for difference in KNOWN_DIFFERENCES:
        methods = [method for method in METHODS if difference.applies(method, description)]
        if not (methods and difference.rewrites) or difference.name in STILL_SAID:
            continue
        other = network
        try:
            for rewrite in REWRITES:
                other = rewrite.network(other, 0) if rewrite in difference.rewrites else other
        except NoEquivalentError:
            continue
        if any(rewrite.sized for rewrite in difference.rewrites):
            other = of_size(other, x.shape)
        write_network(other, there)
        rewritten = keras.load(there).description
        assert not any(difference.applies(method, rewritten) for method in methods), difference.name


@settings(max_examples=25, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_rewrites_of_random_networks(folder: Path, case: Case) -> None:
    source, x = write(case, folder / "fuzzed.h5")
    module, array = source.load("float64"), x.array.astype(float)
    network = read_network(source.path, None, module.description)
    before = module.logits(array[None]).reshape(-1)
    same_logits(network, before, array, folder / "there.h5")
    no_longer_applies(network, module.description, array, folder / "there.h5")
