"""Every published name: there, with its signature; the published functions and the table of analyzers."""

from __future__ import annotations

import copy
import importlib
import inspect
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import signxai_torch as sx
from signxai_torch.lrp import rules
from signxai_torch.published import MODULES
from tests.signxai_torch.published import (
    ANALYZERS,
    EVERY_NAME,
    FUNCTIONS,
    HOOKS,
    TARGETS,
    dense_net,
    images,
    same,
    series_net,
    untouched,
    vgg_like,
)

pytestmark = pytest.mark.slow

PUBLISHED = [importlib.import_module(f"signxai_torch.published.{name}") for name in MODULES]


@pytest.fixture
def model() -> Iterator[nn.Module]:
    yield from untouched(vgg_like())


@pytest.fixture(scope="module")
def x() -> Tensor:
    return images()


@pytest.mark.parametrize("name", EVERY_NAME)
def test_is_exported(name: str) -> None:
    (home,) = [module for module in PUBLISHED if name in module.__all__]
    assert getattr(sx, name) is getattr(home, name)
    assert getattr(sx, name).__doc__


def test_exports_no_name_twice() -> None:
    names = [name for module in PUBLISHED for name in module.__all__] + sx.__all__
    assert len(names) == len(set(names))
    assert all(hasattr(sx, name) for name in names)


def test_published_names_come_when_they_are_asked_for() -> None:
    script = """
import sys, signxai_torch
assert len(dir(signxai_torch)) <= 15, dir(signxai_torch)
from signxai_torch import LRPAnalyzer, calculate_relevancemap
assert not {"zennit", "torchvision"} & set(sys.modules)
from signxai_torch import EpsilonHook
assert "zennit" in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], check=True)


@pytest.mark.parametrize(
    ("name", "own"),
    [("analyzers", "analyzers"), ("hooks", "hooks"), ("composites", "factories"), ("rules", "rules")],
)
def test_published_scripts_import_from_submodules(name: str, own: str) -> None:
    module = importlib.import_module(f"signxai_torch.{name}")
    assert module is importlib.import_module(f"signxai_torch.published.{own}") is getattr(sx, name)
    assert module.__spec__ is not None
    assert module.__spec__.name == module.__name__ == f"signxai_torch.published.{own}"


def test_no_such_name() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'EpsilonHok'"):
        _ = sx.EpsilonHok
    with pytest.raises(ImportError):
        importlib.import_module("signxai_torch.hoks")


@pytest.mark.parametrize(("name", "expected"), [*ANALYZERS.items(), *HOOKS.items(), *FUNCTIONS.items()])
def test_signature(name: str, expected: dict[str, Any]) -> None:
    parameters = inspect.signature(getattr(sx, name)).parameters
    named = {key: one.default for key, one in parameters.items() if one.kind is one.POSITIONAL_OR_KEYWORD}
    if name in ANALYZERS:
        assert next(iter(named)) == "model"
        named.pop("model")
    assert named == expected
    assert list(named) == list(expected)


@pytest.mark.parametrize("name", ANALYZERS)
def test_analyze_signature(name: str) -> None:
    analyzer = getattr(sx, name)
    assert issubclass(analyzer, sx.AnalyzerBase)
    parameters = list(inspect.signature(analyzer.analyze).parameters.values())
    assert [one.name for one in parameters] == ["self", "input_tensor", "target_class", "kwargs"]
    assert parameters[2].default is None
    assert parameters[3].kind is inspect.Parameter.VAR_KEYWORD


def test_analyzer_base_is_abstract(model: nn.Module) -> None:
    with pytest.raises(TypeError, match="abstract"):
        sx.AnalyzerBase(model)  # type: ignore[abstract]


def test_rules_have_their_published_names_too() -> None:
    for name, rule in rules.RULES.items():
        assert getattr(sx, f"{name}Rule")().rule == rule()
    assert sx.BoundedRule(-2, 3).rule == rules.Bounded(-2, 3)
    assert sx.StdxEpsilonRule is sx.StdxEpsilon
    assert sx.GammaRule(0.3, bias=False).rule == rules.Gamma(0.3, bias=False)


@pytest.mark.parametrize(
    "method", ["gradient_x_sign", "lrp.epsilon", "lrpsign_epsilon_0_3_std_x_mu_neg_0_2", "occlusion"]
)
def test_relevancemap_is_explain(method: str, model: nn.Module, x: Tensor) -> None:
    expected = sx.explain(model, x, method, TARGETS)
    same(sx.calculate_relevancemap(model, x, method, TARGETS), expected)
    same(sx.calculate_relevancemap(model, x, method, neuron_selection=TARGETS), expected)
    same(sx.calculate_relevancemap(model, x, method, TARGETS, torch.tensor(TARGETS)), expected)


def test_relevancemap_takes_published_and_own_parameters(model: nn.Module, x: Tensor) -> None:
    expected = sx.explain(model, x, "smoothgrad", 1, samples=4, noise_scale=0.1, seed=1)
    for spelled in ({"num_samples": 4, "noise_level": 0.1}, {"augment_by_n": 4, "noise_scale": 0.1}):
        same(sx.calculate_relevancemap(model, x, "smoothgrad", 1, seed=1, **spelled), expected)
    expected = sx.explain(model, x, "occlusion", 1, window=3, stride=2)
    same(sx.calculate_relevancemap(model, x, "occlusion", 1, window=3, stride=2), expected)


@pytest.mark.parametrize("selection", [2, [2, 3], np.array([1, 2])])
def test_two_targets_that_differ(selection: Any, model: nn.Module, x: Tensor) -> None:
    with pytest.raises(ValueError, match="neuron_selection"):
        sx.calculate_relevancemap(model, x, "gradient", 1, selection)


def test_without_batch_axis(model: nn.Module, x: Tensor) -> None:
    series, dense = series_net(), dense_net()
    for alone in x:
        result = sx.calculate_relevancemap(model, alone, "lrp_z", 2)
        assert result.shape == (3, 8, 6)
        same(result, sx.explain(model, alone.unsqueeze(0), "lrp_z", 2)[0])
    t = torch.arange(20, dtype=torch.float64).sin().reshape(2, 10)
    same(sx.calculate_relevancemap(series, t, "lrp_z", 2), sx.explain(series, t[None], "lrp_z", 2)[0])
    same(sx.calculate_relevancemap(dense, t.flatten(), "lrp_z"), sx.explain(dense, t.reshape(1, 20), "lrp_z")[0])
    same(sx.calculate_relevancemap(dense, t[None], "lrp_z"), sx.explain(dense, t[None], "lrp_z"))


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        (("gradiant",), ValueError, "Nearest: gradient"),
        (("deeptaylor",), ValueError, "deep_taylor"),
        (("lrp_z_plu",), ValueError, "lrp_z_plus"),
        (("gradient", 9), ValueError, "out of range"),
        (("gradient", "max_activation"), TypeError, "target"),
    ],
)
def test_relevancemap_refuses(
    arguments: tuple[Any, ...], error: type[Exception], said: str, model: nn.Module, x: Tensor
) -> None:
    with pytest.raises(error, match=said):
        sx.calculate_relevancemap(model, x, *arguments)


def test_relevancemap_says_what_is_no_model_or_tensor(model: nn.Module, x: Tensor) -> None:
    with pytest.raises(TypeError, match="model"):
        sx.calculate_relevancemap("gradient", x, model)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="x must be"):
        sx.calculate_relevancemap(model, x.numpy(), "gradient")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="sample"):
        sx.calculate_relevancemap(model, x, "gradient", samples=3)


def test_relevancemaps(model: nn.Module, x: Tensor) -> None:
    methods, inputs = ["gradient", "lrp.z"], [x, x[0], x[1:]]
    by_method = sx.calculate_relevancemaps(model, x, methods, 1)
    by_input = sx.calculate_relevancemaps(model, inputs, "lrp.z", neuron_selection=1)
    both = sx.calculate_relevancemaps(model, inputs, methods, [1, 2, 3])
    assert isinstance(by_method, dict)
    assert isinstance(by_input, list)
    assert isinstance(both, dict)
    assert list(by_method) == list(both) == methods
    for method in methods:
        same(by_method[method], sx.explain(model, x, method, 1))
        for result, one, target in zip(both[method], inputs, [1, 2, 3], strict=True):
            same(result, sx.calculate_relevancemap(model, one, method, target))
    for result, one in zip(by_input, inputs, strict=True):
        same(result, sx.calculate_relevancemap(model, one, "lrp.z", 1))
    with pytest.raises(TypeError, match="calculate_relevancemap"):
        sx.calculate_relevancemaps(model, x, "gradient")
    with pytest.raises(ValueError, match="2 targets for 3 inputs"):
        sx.calculate_relevancemaps(model, inputs, "gradient", [1, 2])
    with pytest.raises(ValueError, match="gradient"):
        sx.calculate_relevancemaps(model, x, ["gradient", "gradien"])


def test_supported_methods_are_those_of_the_table() -> None:
    table = sx.SUPPORTED_ZENNIT_METHODS
    assert list(table) == sx.list_methods()
    assert len(table) == len(sx.list_methods())
    assert all(issubclass(table[name], sx.AnalyzerBase) for name in table)
    assert "lrp.epsilon" in table
    assert "lrp_epsilon_0_3" in table
    assert "lrp_epsilonn" not in table
    assert table["lrp_epsilon_0_3"] is table["lrp_epsilon_0_3"]
    assert table["gradient"] is sx.GradientAnalyzer
    assert table["lrp.stdxepsilon"] is table["lrp_stdxepsilon"] is sx.LRPStdxEpsilonAnalyzer
    assert table["gradient_x_sign"] is sx.GradientXSignAnalyzer
    with pytest.raises(KeyError, match="gradient"):
        table["gradien"]
    assert "Method" in (table["lrp_epsilon_0_3"].__doc__ or "")


PUBLISHED_CLASSES = [name for name in sx.list_methods() if sx.SUPPORTED_ZENNIT_METHODS[name].__name__ in ANALYZERS]


@pytest.mark.parametrize(
    "name", [*PUBLISHED_CLASSES, "lrp.epsilon", "lrp_epsilon_0_3", "w2lrp_sequential_composite_b", "occlusion"]
)
@pytest.mark.usefixtures("numpys_draws")
def test_supported_class_is_explain(name: str, model: nn.Module, x: Tensor) -> None:
    np.random.seed(3)
    result = sx.SUPPORTED_ZENNIT_METHODS[name](model).analyze(x, TARGETS)
    np.random.seed(3)
    same(result, sx.explain(model, x, name, TARGETS))


def test_supported_class_takes_the_method_s_parameters(model: nn.Module, x: Tensor) -> None:
    analyzer = sx.SUPPORTED_ZENNIT_METHODS["smoothgrad_x_sign"](model, num_samples=3)
    same(analyzer.analyze(x, 1, seed=2), sx.explain(model, x, "smoothgrad_x_sign", 1, samples=3, seed=2))
    with pytest.raises(TypeError, match="epsilon"):
        sx.SUPPORTED_ZENNIT_METHODS["smoothgrad_x_sign"](model, epsilon=3)


@pytest.mark.parametrize("name", [*sx.list_methods(), "lrp_epsilon_0_3", "lrp.epsilon"])
def test_analyzers_can_be_pickled_and_copied(name: str, model: nn.Module) -> None:
    kind = sx.SUPPORTED_ZENNIT_METHODS[name]
    assert pickle.loads(pickle.dumps(kind)) is kind
    one = kind(model)
    for other in (pickle.loads(pickle.dumps(one)), copy.deepcopy(one)):
        assert type(other) is kind
        assert other.options == one.options
        assert other.model is not model


def test_a_pickled_analyzer_explains_in_another_process(model: nn.Module, x: Tensor, tmp_path: Path) -> None:
    """One that has never asked for the method: the class is made there."""
    names = ("lrpsign_epsilon_0_25_std_x", "lrp_epsilon_0_3", "gradient_x_sign")
    kinds = [sx.SUPPORTED_ZENNIT_METHODS[name] for name in names]
    plain = nn.Sequential(nn.Flatten(), nn.Linear(x[0].numel(), 3)).double()
    (tmp_path / "all").write_bytes(pickle.dumps(([kind(plain) for kind in kinds], x)))
    script = (
        "import pickle, sys; analyzers, x = pickle.load(open(sys.argv[1], 'rb')); "
        "pickle.dump([one.analyze(x, 1) for one in analyzers], open(sys.argv[2], 'wb'))"
    )
    subprocess.run([sys.executable, "-c", script, tmp_path / "all", tmp_path / "maps"], check=True, timeout=120)
    for kind, found in zip(kinds, pickle.loads((tmp_path / "maps").read_bytes()), strict=True):
        np.testing.assert_allclose(found, kind(plain).analyze(x, 1), rtol=1e-10, atol=1e-14)


class Derived(sx.SUPPORTED_ZENNIT_METHODS["lrp_z"]):  # type: ignore[misc]
    """A user's own."""


def test_a_class_derived_from_an_analyzer_is_pickled_by_its_name(model: nn.Module) -> None:
    assert type(pickle.loads(pickle.dumps(Derived(model)))) is Derived


def test_the_gaussian_baseline_can_be_pickled(model: nn.Module, x: Tensor) -> None:
    one = pickle.loads(pickle.dumps(sx.IntegratedGradientsAnalyzer(model, baseline_type="gaussian", steps=3)))
    assert one.analyze(x, 1).shape == tuple(x.shape)
