"""The trace names the layer that is broken, and no other; and tells the converter's fault from the rule's."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from parity.reference import ReferenceClient
from parity.run.cases import Plan
from parity.run.runner import Runner
from parity.run.subject_maps import SubjectMaps
from parity.run.subjects import SignxaiTorch, Subject, SubjectAnswer
from parity.run.trace.table import Trace
from parity.run.trace.tracing import NoTraceError, trace
from tests.parity.broken_layers import FAULTS, broken, broken_operation
from tests.parity.trace_networks import NETWORKS, network

pytestmark = pytest.mark.reference
METHODS = (
    "lrp_z", "lrp_epsilon_0_1", "lrpsign_epsilon_0_25_std_x", "lrp_alpha_1_beta_0", "lrp_sequential_composite_b",
)  # fmt: skip
MORE = ("gradient", "guided_backprop", "deconvnet", "w2lrp_z", "input_t_gradient", "gradient_x_sign", "lrp_flat")
INNVESTIGATES = ("lrp.alpha_2_beta_1", "lrp.sequential_preset_b_flat_until_idx")
KERNELS = {
    "vgg": ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "d1", "d2", "out"),
    "residual": ("c0", "c1", "a1", "a2", "b0", "b1", "b2", "e1", "e2", "d1", "out"),
    "series": ("c1", "c2", "c3", "c4", "c5", "c6", "c7", "d1", "d2", "out"),
}
Traced = Callable[..., Trace]


@pytest.fixture(scope="module")
def runners(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Runner]]:
    """A runner of each network with the port itself."""
    folder = tmp_path_factory.mktemp("networks")
    with ReferenceClient(store=folder / "store", keep_both=True, threads=1, timeout=120) as client:
        made = {}
        for name in NETWORKS:
            source, x = network(name, folder)
            plan = Plan(source, (x,), METHODS, frozenset(METHODS), frozenset(METHODS))
            made[name] = Runner(plan, client, SignxaiTorch())
        yield made


def traced(runner: Runner, method: str, subject: Subject | None = None, dtype: str = "float64") -> Trace:
    other = copy.copy(runner)
    if subject is not None:
        other.subject = subject
        other.maps = SubjectMaps(subject, runner.modules, runner.inputs, runner.facts.targets)
    return trace(other, method, dtype, causes=False)


class Asked(SignxaiTorch):
    """A function in place of the port; unlike a `FunctionSubject`, without a copy of the model for every part."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def attribute(self, module, inputs, targets, method, parameters):
        return module.to_keras(
            self._function(module, module.to_torch(inputs), method, module.targets(targets), **parameters)
        )

    def attribute_many(self, module, inputs, targets, methods):
        return {name: self._alone_of(module, inputs, targets, name, given) for name, given in methods.items()}

    def _alone_of(self, module, inputs, targets, name, given):
        try:
            return SubjectAnswer(self.attribute(module, inputs, targets, name, given))
        except NotImplementedError as error:
            return SubjectAnswer(None, error=str(error), unsupported=True)


def as_subject(function: Callable[..., Any]) -> Subject:
    return Asked(function)


@pytest.mark.parametrize(
    ("name", "method"),
    [*((name, method) for name in NETWORKS for method in (*METHODS, *MORE)), *(("vgg", one) for one in INNVESTIGATES)],
)
def test_of_a_right_port_every_layer_agrees(runners, name, method):
    found = traced(runners[name], method)
    assert (found.kind, found.layer) == (None, None), found.says
    compared = [one for line in found.lines for one in line.handed if not one.numbers.unknown]
    assert len(compared) == sum(len(line.handed) for line in found.lines)
    assert all(one.numbers.within(1e-10) for one in compared)
    assert all(line.made.within(1e-12) for line in found.lines)


QUICK = (("vgg", "lrp_z"), ("residual", "lrp_epsilon_0_1"), ("series", "lrpsign_epsilon_0_25_std_x"))


@pytest.mark.parametrize(
    ("name", "method"),
    [
        pytest.param(name, method, marks=() if (name, method) in QUICK else pytest.mark.slow)
        for name in NETWORKS
        for method in METHODS
    ],
)
def test_the_broken_layer_is_named(runners, name, method):
    """Every fault in every layer with a kernel that it can break."""
    runner, tried, wrong = runners[name], 0, []
    rules = {line.name: line.subject_rule for line in traced(runner, method).lines}
    classes = {layer.name: layer.class_name for layer in runner.modules["float64"].description.layers}
    right_map = map_of(runner, method, SignxaiTorch())
    for layer in KERNELS[name]:
        for kind, fault in FAULTS.items():
            epsilon = rules[layer].startswith(("Z", "Epsilon", "Stdx"))
            if (kind == "other_epsilon" and not epsilon) or (kind == "padded_elsewhere" and classes[layer] == "Dense"):
                continue
            subject = as_subject(broken(layer, fault))
            if np.array_equal(map_of(runner, method, subject), right_map):
                continue  # it does nothing on this input, so there is nothing to find
            found = traced(runner, method, subject)
            tried += 1
            if (found.kind, found.layer) != ("relevance", layer):
                wrong.append((layer, kind, found.kind, found.layer))
    assert wrong == []
    assert tried >= 25


def map_of(runner: Runner, method: str, subject: Subject) -> np.ndarray:
    """Return a subject's map of the whole model."""
    maps = SubjectMaps(subject, runner.modules, runner.inputs, runner.facts.targets).take(method, {}, "float64")
    return maps.arrays[0]


@pytest.mark.parametrize("layer", ["n", "s1", "s2", "s3", "gap", "a1r", "s2r"])
def test_layers_without_a_kernel_are_named_too(runners, layer):
    found = traced(runners["residual"], "lrp_z", as_subject(broken_operation(layer, 1.03)))
    assert (found.kind, found.layer) == ("relevance", layer), found.says
    assert "slope 1.0" in found.says


def test_in_float32_the_layer_is_the_same(runners):
    found = traced(runners["vgg"], "lrp_epsilon_0_1", as_subject(broken("c5", FAULTS["scaled"])), "float32")
    assert (found.kind, found.layer) == ("relevance", "c5"), found.says


def test_what_is_done_around_the_layers_is_told_apart(runners):
    def wrong(model, x, method, target, **parameters):
        from parity.run.mutants.mutant import right

        return right(model, x, method, target, **parameters) * (2 if method.endswith("_x_sign") else 1)

    found = traced(runners["vgg"], "gradient_x_sign", as_subject(wrong))
    assert (found.kind, found.layer) == ("around", None)
    assert "x_sign" in found.says


@pytest.mark.parametrize("method", ["smoothgrad", "integrated_gradients", "grad_cam", "random_uniform", "vargrad"])
def test_what_passes_no_layers_has_no_trace_and_says_why(runners, method):
    with pytest.raises(NoTraceError, match=f"{method} has no trace: it "):
        traced(runners["vgg"], method)


def test_a_part_that_the_subject_does_not_explain_is_told_and_names_nobody(runners):
    def picky(model, x, method, target, **parameters):
        from parity.run.mutants.mutant import right

        if x.shape[-1] == 6:  # behind the first pooling
            raise NotImplementedError("no such shapes")
        return right(model, x, method, target, **parameters)

    found = traced(runners["vgg"], "lrp_z", as_subject(picky))
    assert (found.kind, found.layer) == (None, None)
    assert "Not compared" in found.says
    problems = {line.name: [one.numbers.problem for one in line.handed if one.numbers.unknown] for line in found.lines}
    assert [name for name, told in problems.items() if told] == ["c4", "c3"] or "no such shapes" in str(problems)


# --- faults of the converter -----------------------------------------------------------------------------------------


def _one_weight(module, x):
    """Change the first weight that counts for this input: what reads a dead channel does not."""
    weights, logits = module.get_submodule("c4").weight.view(-1), module.logits(x)
    for place in range(len(weights)):
        weights[place] += 0.01
        if not np.array_equal(module.logits(x), logits):
            return
        weights[place] -= 0.01
    raise AssertionError("no weight of this layer counts")


def _flatten_order(module, x):
    del x
    module.get_submodule("d1").weight.copy_(module.get_submodule("d1").weight.flip(1))


def _norm_epsilon(module, x):
    del x
    module.get_submodule("n").eps *= 2


@pytest.mark.parametrize(
    ("name", "change", "layer"),
    [("vgg", _one_weight, "c4"), ("series", _one_weight, "c4"), ("vgg", _flatten_order, "d1"),
     ("residual", _norm_epsilon, "n")],
)  # fmt: skip
def test_a_fault_of_the_converter_is_named_as_such(runners, name, change, layer):
    spoilt = copy.copy(runners[name])
    spoilt.modules = {dtype: copy.deepcopy(module) for dtype, module in runners[name].modules.items()}
    with torch.no_grad():
        for dtype, module in spoilt.modules.items():
            change(module, spoilt.inputs.astype(dtype))
    found = trace(spoilt, "lrp_z", "float64")
    assert (found.kind, found.layer) == ("network", layer), found.says
    assert f"The networks part at {layer}" in found.says


def test_maps_of_the_layer_that_parts_are_kept(runners):
    found = traced(runners["vgg"], "lrp_z", as_subject(broken("c5", FAULTS["scaled"])))
    assert list(found.maps) == ["p2"]
    reference, subject = found.maps["p2"]
    assert reference.shape == subject.shape == (3, 3, 5)
    assert found.to_json()["layers"][0]["name"] == "out"


def test_the_table_is_plain_json(runners, tmp_path: Path):
    import json

    text = json.dumps(traced(runners["residual"], "lrp_z").to_json(), allow_nan=False)
    assert json.loads(text)["kind"] is None
