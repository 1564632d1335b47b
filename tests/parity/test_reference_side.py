"""What the references say of one model: about equivalent networks, and put together from several answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from parity import keras
from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.judge.known.rewrite import Rewrite
from parity.judge.known.rewrites import ONLY_THE_TARGET, REWRITES, ZERO_OFFSET
from parity.reference.request import NoiseSpec, ReferenceAnswer, ReferenceCall, ReferenceRequest, noise_array
from parity.run.calls import SEED
from parity.run.questions import Candidate, question
from parity.run.reference_side import ReferenceSide, modified, points_of, together
from parity.run.subjects import parse
from signxai_torch import explain
from tests.parity.echo_client import EchoClient
from tests.parity.small_networks import conv, dense, flatten, layer, normalization, written

NETWORK = [conv("f", "x"), normalization("bn", "f", center=False), flatten("bn"), dense("o", "flat")]
LRP = ReferenceCall("signxai", "wrapper", "lrp_z")


class Recording(EchoClient):
    """Keeps the shapes of what it is asked, and answers from a store from the second question on if told so."""

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        answers = super().answer(request)
        for number, answer in enumerate(answers):
            answer.seconds = 1.0
            answer.computed = f"2026-01-0{1 + (len(self.requests) + number) % 9}T00:00:00+00:00"
        return answers


class Elsewhere(EchoClient):
    """Answers the logits of every network but the first with a relative error."""

    def __init__(self, error: float) -> None:
        super().__init__()
        self.error = error

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        answers = super().answer(request)
        if request.call.asks_for_logits and request.model.path != self.requests[0].model.path:
            for answer in answers:
                answer.array = np.asarray(answer.array) * (1 + self.error)
        return answers


def side_of(client: EchoClient, source: ModelSource) -> tuple[ReferenceSide, keras.KerasModule]:
    module = keras.load(source.path, dtype=torch.float64)
    return ReferenceSide(client, source, module.description), module


def ports(module: keras.KerasModule, x: Input, method: str, target: int, **parameters: object) -> np.ndarray:
    return module.to_keras(explain(module, module.to_torch(x.array[None]), method, target, **parameters))[0]


def close(relevance: np.ndarray | None, right: np.ndarray, limit: float = 1e-12) -> None:
    assert relevance is not None
    np.testing.assert_allclose(relevance, right, rtol=0, atol=limit * np.abs(right).max())


# Equivalent networks


def test_an_equivalent_network_is_written_once_and_its_logits_are_compared_once(tmp_path: Path) -> None:
    source, x = written(tmp_path, [5, 4, 2], *NETWORK)
    client = EchoClient()
    side, module = side_of(client, source)
    way = Candidate(LRP, rewrites=(ZERO_OFFSET,))
    for dtype in ("float64", "float64", "float32"):
        (answer,) = side.maps(way, parse("lrp_z"), [x.array], [1], dtype)
        close(answer.array, ports(module, x, "lrp_z", 1), 1e-12 if dtype == "float64" else 1e-4)
    asked = [(request.call.kind, request.dtype, request.model.sha256) for request in client.requests]
    there = asked[-1][2]
    assert there != source.sha256
    assert asked == [
        ("logits", "float64", source.sha256), ("logits", "float64", there), ("wrapper", "float64", there),
        ("wrapper", "float64", there), ("wrapper", "float32", there),
    ]  # fmt: skip


def test_the_class_alone_is_a_network_of_its_own_for_each_target(tmp_path: Path) -> None:
    layers = [dense("h", "x"), dense("o", "h"), layer("Activation", "a", "o", activation="tanh")]
    source, x = written(tmp_path, [5], *layers)
    client = EchoClient()
    side, module = side_of(client, source)
    way = Candidate(LRP, rewrites=(ONLY_THE_TARGET,))
    answers = side.maps(way, parse("lrp_z"), [x.array] * 3, [0, 1, 2], "float64")
    for target, answer in enumerate(answers):
        close(answer.array, ports(module, x, "lrp_z", target))
    maps = [request for request in client.requests if not request.call.asks_for_logits]
    assert [request.targets for request in maps] == [(0,)] * 3
    assert len({request.model.sha256 for request in maps}) == 3


@pytest.mark.parametrize(("error", "believed"), [(1e-14, True), (1e-10, False), (np.nan, False)])
def test_no_map_of_a_network_with_other_logits_is_believed(error: float, believed: bool, tmp_path: Path) -> None:
    source, x = written(tmp_path, [5, 4, 2], *NETWORK)
    client = Elsewhere(error)
    side, _ = side_of(client, source)
    (answer,) = side.maps(Candidate(LRP, rewrites=(ZERO_OFFSET,)), parse("lrp_z"), [x.array], [1], "float32")
    assert (answer.array is not None) == believed
    if not believed:
        assert answer.error_kind == "protocol"
        assert (answer.error or "").startswith("the equivalent network is none: its logit of class 1 is ")
        assert all(request.call.asks_for_logits for request in client.requests)


def test_a_rewrite_that_changes_the_function_is_told_apart(tmp_path: Path) -> None:
    def wrong(network, _target):
        last = network.output
        return network.with_layer(type(last)(
            last.name, last.class_name, last.config, last.inbound,
            {name: values * np.float32(1.001) for name, values in last.weights.items()}, last.shape,
        ))  # fmt: skip

    source, x = written(tmp_path, [5, 4, 2], *NETWORK)
    side, _ = side_of(EchoClient(), source)
    (answer,) = side.maps(
        Candidate(LRP, rewrites=(Rewrite("worse", wrong),)), parse("lrp_z"), [x.array], [1], "float64"
    )
    assert answer.array is None
    assert "the equivalent network is none" in (answer.error or "")


def test_logits_that_cannot_be_compared_are_told(tmp_path: Path) -> None:
    class Dead(EchoClient):
        def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
            return [ReferenceAnswer(None, error="died of SIGABRT", error_kind="crash") for _ in request.inputs]

    source, x = written(tmp_path, [5, 4, 2], *NETWORK)
    side, _ = side_of(Dead(), source)
    (answer,) = side.maps(Candidate(LRP, rewrites=(ZERO_OFFSET,)), parse("lrp_z"), [x.array], [1], "float64")
    assert answer.error == "the logits of an equivalent network could not be compared: died of SIGABRT"


def test_without_onednn_the_equivalent_network_is_asked_so_too(tmp_path: Path) -> None:
    source, x = written(tmp_path, [5, 4, 2], *NETWORK)
    client = EchoClient()
    side, _ = side_of(client, source)
    for way in (Candidate(LRP), Candidate(LRP, rewrites=(ZERO_OFFSET,))):
        side.maps(way, parse("lrp_z"), [x.array], [1], "float32", False)
        assert not client.requests[-1].onednn


def test_the_order_of_rewrites_is_fixed() -> None:
    assert [rewrite for rewrite in REWRITES if rewrite.one_class] == [ONLY_THE_TARGET]
    assert REWRITES.index(ONLY_THE_TARGET) == len(REWRITES) - 2, "only a layer behind the output comes later"


# Averages


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "method", ["innvestigate.integrated_gradients", "innvestigate.smoothgrad", "gradient.baseline"]
)
def test_the_average_of_gradients_is_the_ports_own_map(method: str, dtype: str, tmp_path: Path) -> None:
    source, x = written(tmp_path, [5, 4, 2], *NETWORK)
    client = EchoClient()
    side, _ = side_of(client, source)
    module = keras.load(source.path, dtype=getattr(torch, dtype))
    (way,) = question(parse(method), module.description).candidates
    (answer,) = side.maps(way, parse(method), [x.array], [1], dtype)
    noise = {"seed": SEED} if "smooth" in method else {}
    close(answer.array, ports(module, x, method, 1, **noise), 1e-13 if dtype == "float64" else 1e-5)
    assert answer.array is not None
    assert answer.array.dtype == dtype
    (request,) = client.requests
    assert len(request.inputs) == {"gradient.baseline": 1}.get(method, 64)


def test_one_gradient_that_fails_fails_the_average(tmp_path: Path) -> None:
    class Failing(EchoClient):
        def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
            return [*super().answer(request)[:-1], ReferenceAnswer(None, error="no", error_kind="crash")]

    source, x = written(tmp_path, [5, 4, 2], *NETWORK)
    side, module = side_of(Failing(), source)
    method = parse("innvestigate.smoothgrad")
    (answer,) = side.maps(question(method, module.description).candidates[0], method, [x.array], [1], "float64")
    assert (answer.array, answer.error, answer.error_kind) == (None, "no", "crash")


def test_the_points_begin_at_the_baseline_and_never_reach_the_input() -> None:
    x = np.array([1.0, -2.0])
    points, weight = points_of(parse("innvestigate.integrated_gradients"), x)
    assert len(points) == 64
    np.testing.assert_array_equal(points[0], np.zeros(2))
    np.testing.assert_allclose(points[-1], x * 63 / 64)
    np.testing.assert_array_equal(weight, x)
    points, weight = points_of(parse("gradient.baseline"), x)
    np.testing.assert_array_equal(points, [x])
    np.testing.assert_array_equal(weight, np.ones(2))


def test_the_points_of_signxai_begin_at_the_baseline_and_end_at_the_input() -> None:
    x = np.array([1.0, -2.0])
    points, weight = points_of(parse("integrated_gradients"), x)
    assert len(points) == 50
    np.testing.assert_array_equal(points[0], np.zeros(2))
    np.testing.assert_allclose(points[-1], x, rtol=1e-15)
    np.testing.assert_array_equal(weight, x)


def test_the_noise_of_signxai_is_rounded_with_the_input_and_that_of_innvestigate_before() -> None:
    x = np.full(64, 1e4, dtype=np.float32)
    together, _ = points_of(parse("smoothgrad"), x)
    drawn = noise_array(NoiseSpec(SEED, 50, 0.2), x.shape)
    np.testing.assert_array_equal(together, (x.astype(float) + drawn).astype(np.float32))
    before, _ = points_of(parse("innvestigate.smoothgrad"), x)
    drawn = noise_array(NoiseSpec(SEED, 64, 1.0), x.shape).astype(np.float32)
    np.testing.assert_array_equal(before, x + drawn)


# Modifiers, and the age of what is put together


@pytest.mark.parametrize(
    "method",
    ["gradient_x_input", "gradient_x_sign", "gradient_x_sign_mu_0_5", "gradient_x_sign_mu",
     "gradient_x_sign_mu_neg_0_5", "lrp_z_x_input_x_sign"],
)  # fmt: skip
def test_modifiers_are_those_of_the_port(method: str, tmp_path: Path) -> None:
    source, x = written(tmp_path, [5], dense("h", "x"), dense("o", "h"))
    _, module = side_of(EchoClient(), source)
    x.array[:3] = (0.0, 0.5, -0.5)
    parsed = parse(method)
    mu = {"mu": 0.5} if method.endswith("_mu") else {}
    base = ports(module, x, parsed.base, 1)
    close(modified(base, x.array, parsed, "float64"), ports(module, x, method, 1, **mu))


def test_a_map_that_the_reference_gives_in_another_shape_is_not_multiplied(tmp_path: Path) -> None:
    class Upright(EchoClient):
        def map_of(self, module, call, array, target):
            relevance = super().map_of(module, call, array, target)
            return relevance if call.asks_for_logits else np.swapaxes(relevance, 0, 1)

    source, x = written(tmp_path, [7, 5, 3], conv("f", "x"), flatten("f"), dense("o", "flat"))
    side, module = side_of(Upright(), source)
    method = parse("grad_cam_x_input")
    (answer,) = side.maps(question(method, module.description).candidates[0], method, [x.array], [1], "float64")
    assert answer.array is not None
    assert answer.array.shape == (5, 7, 3)


def test_what_is_put_together_is_as_old_as_its_oldest_part() -> None:
    new = ReferenceAnswer(np.ones(2), 1.0, computed="2026-03-01T00:00:00+00:00", notes=("a",))
    old = ReferenceAnswer(np.ones(2), 2.0, computed="2026-01-01T00:00:00+00:00", from_store=True, notes=("b", "a"))
    older = ReferenceAnswer(np.ones(2), 2.0, computed="2025-01-01T00:00:00+00:00", from_store=True)
    mixed = together(np.zeros(2), [new, old])
    assert (mixed.seconds, mixed.from_store, mixed.notes) == (3.0, False, ("a", "b"))
    stored = together(np.zeros(2), [old, older])
    assert (stored.from_store, stored.computed) == (True, "2025-01-01T00:00:00+00:00")
    assert not stored.array.any()


def test_written_networks_go_with_the_object_and_readouts_before(tmp_path: Path) -> None:
    source, x = written(tmp_path, [6, 5, 3], conv("f", "x"), flatten("f"), dense("o", "flat"))
    client = EchoClient()
    side, module = side_of(client, source)
    method = parse("zblrp_epsilon_0_25_std_x_VGG16ILSVRC")
    for _ in range(3):
        side.maps(question(method, module.description).candidates[0], method, [x.array], [1], "float64")
    networks = {request.model.path for request in client.requests} - {source.path}
    assert len([path for path in networks if path.exists()]) == 2  # above and below
    del side
    assert not any(path.exists() for path in networks)
