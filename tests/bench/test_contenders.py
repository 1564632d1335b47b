"""Contenders on a toy network: they compute what they say, and say what they cannot."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch

from bench import memory
from bench.contenders import Everyone, NoCounterpartError, Task, UnavailableError, gradient_unit
from bench.networks import TOY, Network, load
from bench.plan import METHODS, Memory
from bench.reference_total import stored_total
from bench.workbench import finished
from parity.reference.environment import ReferenceEnvironmentError, find_python

NOT_THERE = {(name, method) for name in ("zennit", "captum") for method in METHODS if "std_x" in method} | {
    *(("zennit", "lrpsign_epsilon_0_1"), ("captum", "lrpsign_epsilon_0_1"), ("captum", "lrp_flat")),
    *(("captum", "lrp_w_square"), ("captum", "lrp_alpha_2_beta_1"), ("captum", "lrp_sequential_composite_b")),
}
"""The methods that a contender has no rule for, as (contender, method)."""


@pytest.fixture(scope="module")
def network() -> Network:
    return load(TOY)


@pytest.fixture
def task(network: Network) -> Callable[[str], Task]:
    x = network.batch(3)
    return lambda method: Task(network, x, network.targets(x), method)


def map_of(contender: str, task: Task) -> np.ndarray:
    with Everyone(1, with_reference=False) as everyone:
        result = everyone.prepare(contender, task).call()
    return np.asarray(result.detach() if isinstance(result, torch.Tensor) else result)


@pytest.mark.parametrize("contender", ["signxai_torch", "zennit", "captum"])
def test_gradient_is_the_unit(contender: str, task: Callable[[str], Task]) -> None:
    if contender == "captum":
        pytest.importorskip("captum")
    unit = gradient_unit(task("gradient")).call().numpy()
    np.testing.assert_allclose(map_of(contender, task("gradient")), unit, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("contender", ["zennit", "captum"])
def test_epsilon_is_the_same_rule(contender: str, task: Callable[[str], Task]) -> None:
    if contender == "captum":
        pytest.importorskip("captum")
    port = map_of("signxai_torch", task("lrp_epsilon_0_1"))
    np.testing.assert_allclose(map_of(contender, task("lrp_epsilon_0_1")), port, rtol=1e-3, atol=1e-5)


def test_captum_leaves_the_others_network_alone(network: Network, task: Callable[[str], Task]) -> None:
    pytest.importorskip("captum")
    before = [one.clone() for one in network.module.parameters()]
    storages = [one.data_ptr() for one in network.module.parameters()]
    map_of("captum", task("lrp_alpha_1_beta_0"))
    assert all(torch.equal(a, b) for a, b in zip(before, network.module.parameters(), strict=True))
    assert storages == [one.data_ptr() for one in network.module.parameters()]
    assert not any(hasattr(one, "rule") for one in network.module.modules())


@pytest.mark.parametrize("contender", ["signxai_torch", "zennit", "captum"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs_or_says_why_not(contender: str, method: str, task: Callable[[str], Task]) -> None:
    if contender == "captum":
        pytest.importorskip("captum")
    with Everyone(1, with_reference=False) as everyone, contextlib.suppress(NoCounterpartError):
        result = np.asarray(torch.as_tensor(everyone.prepare(contender, task(method)).call()).detach())
        assert result.shape == (3, 1, 8, 8)
        assert np.isfinite(result).all()
        return
    assert (contender, method) in NOT_THERE


def test_without_captum_it_is_unavailable(task: Callable[[str], Task], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("captum", "captum.attr"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UnavailableError, match="captum"):
        map_of("captum", task("gradient"))


def test_the_reference_says_why_it_cannot(task: Callable[[str], Task]) -> None:
    with pytest.raises(UnavailableError, match="told to do without"):
        map_of("tensorflow", task("gradient"))
    with Everyone(1, with_reference=True) as everyone, pytest.raises(UnavailableError, match="no Keras model"):
        everyone.prepare("tensorflow", task("gradient"))


def test_an_empty_store_gives_no_total(tmp_path_factory: pytest.TempPathFactory) -> None:
    with pytest.raises(UnavailableError):
        stored_total(load("vgg_mnist"), "lrp", tmp_path_factory.mktemp("store"), 2)


@pytest.mark.reference
@pytest.mark.slow
def test_the_reference_is_measured_in_its_own_process() -> None:
    try:
        find_python()
    except ReferenceEnvironmentError as error:
        pytest.skip(f"no reference environment: {error}")
    seen = memory.measure(Memory("vgg_mnist", 1, "lrp_z", "tensorflow"), threads=1)
    assert seen["before"] > 200e6  # TensorFlow itself; the process that asks is smaller
    assert seen["peak"] > seen["before"]


@pytest.mark.reference
@pytest.mark.slow
def test_the_reference_computes_every_round_anew() -> None:
    """Its worker keeps what methods have in common, and would answer the second round in no time."""
    try:
        find_python()
    except ReferenceEnvironmentError as error:
        pytest.skip(f"no reference environment: {error}")
    with Everyone(1, with_reference=True) as everyone:
        network = load("vgg_mnist")
        job = everyone.reference.prepare(Task(network, network.batch(1), [0], "lrp_z"))
        for _ in range(4):
            job.call()
    assert job.clock is not None
    assert min(job.clock) > 0.1 * max(job.clock[1:])


@pytest.mark.reference
@pytest.mark.slow
def test_a_method_that_no_reference_has_is_not_measured() -> None:
    with pytest.raises((NoCounterpartError, UnavailableError)):
        memory.measure(Memory("vgg_mnist", 1, "occlusion", "tensorflow"), threads=1)


def test_a_call_on_another_device_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Module:
        @staticmethod
        def synchronize() -> None:
            order.append("waited")

    monkeypatch.setattr(torch, "get_device_module", lambda device: Module)
    assert finished(lambda: order.append("called") or "map", "cuda")() == "map"
    assert order == ["called", "waited"]
    assert finished(len, "cpu") is len, "a processor needs no waiting"
