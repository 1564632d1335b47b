"""Other libraries as subjects: equal to the port where they have the method, else unsupported."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import numpy as np
import pytest
import torch
from zennit.canonizers import Canonizer, SequentialMergeBatchNorm

from parity import keras
from parity.assets.models import resolve
from parity.errors import ParityError
from parity.run.subjects import subject
from parity.run.subjects.zennit import _merged_batch_norms
from tests.parity.subject_cases import Modules, load, sample


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    return load(tmp_path_factory.mktemp("model"))


@pytest.fixture
def inputs() -> np.ndarray:
    return sample()


EXACT = {
    "zennit": ("gradient", "gradient_x_input", "guided_backprop", "lrp_z", "lrp_epsilon_0_1", "lrp_flat", "flatlrp_z",
               "zblrp_z_VGG16ILSVRC"),
    "captum": ("gradient", "input_t_gradient", "deconvnet", "lrp_z", "lrp_epsilon_0_1"),
    "pytorch_grad_cam": ("guided_backprop",),
    "numpy_lrp": ("lrp_z", "lrp_epsilon_0_1", "lrp_flat", "lrp_w_square", "flatlrp_z", "zblrp_z_VGG16ILSVRC"),
}  # fmt: skip
LACKS = {
    "zennit": ("lrpsign_z", "gradient_x_sign", "smoothgrad", "lrp_gamma", "deep_lift", "grad_cam", "deep_taylor"),
    "captum": ("lrpsign_z", "gradient_x_sign", "smoothgrad", "lrp_flat", "w2lrp_z", "lrp_z_IB", "deep_taylor"),
    "pytorch_grad_cam": ("gradient", "lrp_z", "grad_cam_timeseries", "guided_backprop_x_sign"),
    "numpy_lrp": ("gradient", "lrpsign_z", "lrp_epsilon_0_25_std_x", "lrp_gamma", "grad_cam"),
}
PACKAGES = {"pytorch_grad_cam": "grad-cam", "numpy_lrp": "numpy"}
"""What they are installed from, where that has another name."""
WORDS = {"pytorch_grad_cam": "pytorch-grad-cam", "numpy_lrp": ""}
"""How they say what they lack, where that is another word."""


@pytest.mark.parametrize("library", EXACT)
def test_a_stock_library_is_judged_fairly(library: str, modules, inputs) -> None:
    pytest.importorskip(library if library != "numpy_lrp" else "numpy")
    module = modules["float64"]
    port, made = subject("signxai_torch"), subject(library)
    package = PACKAGES.get(library, library)
    assert made.versions()[package] == metadata.version(package)
    methods: dict[str, dict[str, Any]] = {name: {} for name in EXACT[library]}
    for name, given in made.attribute_many(module, inputs, [1], methods).items():
        assert given.error is None, (name, given.error)
        expected = port.attribute(module, inputs, [1], name, {})
        assert np.abs(given.array - expected).max() <= 1e-10 * np.abs(expected).max(), name
    for name, given in made.attribute_many(module, inputs, [1], {name: {} for name in LACKS[library]}).items():
        assert given.unsupported, (name, given.error)
        assert WORDS.get(library, library) in given.error
    assert np.array_equal(module(module.to_torch(inputs)), modules["float64"](module.to_torch(inputs)))


def test_captum_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parity.run.subjects.stock.find_spec", lambda _: None)
    with pytest.raises(
        ParityError, match=r"needs captum, which is not installed: pip install 'signxai-torch-parity\[subjects\]'"
    ):
        subject("captum")


def test_zennit_merges_each_batch_norm_into_its_own_convolution() -> None:
    source = resolve("resnet_mnist")
    module = keras.load(source.path, architecture=source.architecture, dtype=torch.float64)
    (canonizer,) = _merged_batch_norms(module)
    pairs = {norm: linears for linears, norm in canonizer.name_map}
    assert pairs["block2_1_bn"] == ["block2_1_conv"], "not the neighbour of the other branch"
    assert len(pairs) == sum(layer.class_name == "BatchNormalization" for layer in module.description.layers)
    x = torch.randn(2, 1, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    before = module(x)

    def distance(canonizer: Canonizer) -> float:
        merged = canonizer.apply(module)
        try:
            return float((module(x) - before).norm() / before.norm())
        finally:
            for instance in merged:
                instance.remove()

    # Zennit leaves the eps of what it merged in place, 0.001 here, 0.05 % a layer.
    assert distance(canonizer) < 0.01
    assert distance(SequentialMergeBatchNorm()) > 0.1, "so it would explain another network"
    assert torch.equal(module(x), before)
