"""The subject signxai2: another interpreter answers; here one with a package of that name that was made up."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from parity.errors import ParityError
from parity.run.subjects import subject
from tests.parity.subject_cases import Modules, load, sample

pytestmark = pytest.mark.slow

WRAPPERS = """
import os
import torch

def gradient(model, x, target_class):
    print("signxai2 prints")
    assert x.shape[0] == 1
    point = x.clone().requires_grad_()
    (made,) = torch.autograd.grad(model(point)[0, target_class], point)
    return made

def gradient_x_input(model, x, target_class):
    return (gradient(model, x, target_class) * x)[0].numpy()  # without the batch axis

def grad_cam(model, x, target_class):
    return x[:, 0].numpy()  # without channels

def lrp_z(model, x, target_class):
    raise ValueError("no rule")

def lrp_flat(model, x, target_class):
    os._exit(3)

def deconvnet(model, x, target_class):
    return torch.zeros(3)
"""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    return load(tmp_path_factory.mktemp("model"))


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a program that is this Python with a package `signxai2`."""
    package = tmp_path / "site" / "signxai" / "torch_signxai" / "methods"
    package.mkdir(parents=True)
    for folder in (package, package.parent, package.parent.parent):
        (folder / "__init__.py").write_text("", encoding="utf-8")
    (package / "wrappers.py").write_text(WRAPPERS, encoding="utf-8")
    for name, version in (("signxai2", "0.0.1"), ("numpy", "0.0.2")):
        about = tmp_path / "site" / f"{name}-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    program = tmp_path / "python"
    program.write_text(
        f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{tmp_path / "site"}" exec {sys.executable} "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    monkeypatch.setenv("SIGNXAI2_PYTHON", str(program))
    return program


def test_the_wrapper_of_the_method_s_name_answers(interpreter, modules) -> None:
    made, inputs = subject("signxai2"), sample()
    versions = made.versions()
    assert versions.keys() == {"signxai2", "torch", "zennit", "numpy", "python"}
    assert (versions["signxai2"], versions["numpy"]) == ("0.0.1", "0.0.2"), "of its own environment"
    methods = ("gradient", "gradient_x_input", "grad_cam", "lrp_z", "lrp_epsilon_0_1", "smoothgrad", "deconvnet")
    answers = made.attribute_many(modules["float64"], inputs, [1], {name: {} for name in methods})
    expected = subject("signxai_torch").attribute(modules["float64"], inputs, [1], "gradient", {})
    np.testing.assert_allclose(answers["gradient"].array, expected, rtol=1e-12)
    np.testing.assert_allclose(answers["gradient_x_input"].array, expected * inputs, rtol=1e-12)
    np.testing.assert_array_equal(answers["grad_cam"].array, np.broadcast_to(inputs[..., :1], inputs.shape))
    assert "ValueError: no rule" in answers["lrp_z"].error
    assert answers["lrp_epsilon_0_1"].unsupported
    assert "signxai2 has no lrp_epsilon_0_1" in answers["lrp_epsilon_0_1"].error
    assert answers["smoothgrad"].unsupported
    assert answers["deconvnet"].array.shape == (1, 3)  # never made to fit: the judge looks at the shape first


def test_a_process_that_ends_costs_its_own_answer(interpreter, modules) -> None:
    made = subject("signxai2")
    answers = made.attribute_many(modules["float32"], sample().astype("float32"), [1], {"lrp_flat": {}, "gradient": {}})
    assert "exit code 3" in answers["lrp_flat"].error
    assert answers["gradient"].error is None


def test_an_environment_that_is_not_there_is_told(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SIGNXAI2_PYTHON", str(tmp_path / "nothing"))
    with pytest.raises(ParityError, match="make subjects"):
        subject("signxai2")


def test_an_environment_without_it_is_told(monkeypatch) -> None:
    monkeypatch.setenv("SIGNXAI2_PYTHON", sys.executable)
    with pytest.raises(ParityError, match="has no signxai2"):
        subject("signxai2")
