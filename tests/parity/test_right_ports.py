"""The port where a run was once red though nothing was wrong with it; beside each a wrong port that still is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.parity import odd_networks
from tests.parity.judging_desk import (
    Desk,
    opened,
    regression,
    require_green,
    require_red,
    require_unjudged,
)

pytestmark = pytest.mark.reference

NESTED = (
    "gradient", "guided_backprop", "grad_cam", "deep_lift", "lrp_z", "lrpsign_z", "zblrp_epsilon_0_1_VGG16ILSVRC",
    "lrp.z",
)  # fmt: skip
LEAKY = (
    "gradient", "input_t_gradient", "lrp_z", "lrp_epsilon_0_1", "lrp_flat", "lrp.z", "guided_backprop", "deconvnet",
)  # fmt: skip


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with opened() as desk:
        yield desk


def test_a_model_inside_a_model(desk: Desk, tmp_path: Path) -> None:
    nested, flat = odd_networks.nested(tmp_path / "nested.h5")
    maps = []
    for network in (nested, flat):
        outcomes = list(desk.runner(network, NESTED, "right", ["float64"]).run())
        require_green([outcome.row for outcome in outcomes])
        maps.append({outcome.row["method"]: outcome.subject for outcome in outcomes})
    assert all(np.array_equal(maps[0][name], maps[1][name]) for name in NESTED)
    require_red(desk.rows(nested, NESTED, "random", ["float64"]))


def test_a_shortcut_of_which_tensorflow_dies(desk: Desk, tmp_path: Path) -> None:
    network = odd_networks.strided_shortcut(tmp_path / "shortcut.h5")
    require_green(desk.rows(network, ["gradient", "lrp_z"], "right"))
    require_red(desk.rows(network, ["gradient", "lrp_z"], "random"))


def test_deep_taylor_of_a_negative_output(desk: Desk, tmp_path: Path) -> None:
    network = odd_networks.negative_logit(tmp_path / "negative.h5")
    methods = ["deep_taylor", "deep_taylor.bounded"]
    require_unjudged(desk.rows(network, methods, "right"))
    require_red(desk.rows(network, methods, "random"))
    require_red(desk.rows(network, methods, "nan"))


@pytest.mark.parametrize("make", [odd_networks.linear, odd_networks.affine], ids=lambda make: make.__name__)
def test_the_variance_of_a_gradient_that_does_not_change(desk: Desk, tmp_path: Path, make) -> None:
    network = make(tmp_path / "network.h5")
    methods = ["vargrad", "vargrad_x_input"]
    require_unjudged(desk.rows(network, methods, "right"))
    require_red(desk.rows(network, methods, "random"))
    require_red(desk.rows(network, methods, "nan"))


def test_a_correct_network_whose_float32_logits_are_far_off(desk: Desk, tmp_path: Path) -> None:
    network = odd_networks.mobile_network(tmp_path / "mobile.h5")
    runner = desk.runner(network, ["gradient"], "right")
    assert runner.facts.logits_rel_l2["float32"] > 1e-5  # what was once taken for another network
    assert runner.facts.logits_rel_l2["float64"] < 1e-12
    assert not runner.facts.problems
    require_green([outcome.row for outcome in runner.run()])


def test_a_path_of_gradients_through_a_normalized_series(desk: Desk, tmp_path: Path) -> None:
    network = odd_networks.normalized_series(tmp_path / "series.h5")
    require_green(desk.rows(network, ["gradient.baseline"], "right"))
    require_red(desk.rows(network, ["gradient.baseline"], "random"))


def test_a_layer_object_as_activation(desk: Desk, tmp_path: Path) -> None:
    network = odd_networks.leaky_attribute(tmp_path / "leaky.h5")
    require_green(desk.rows(network, LEAKY, "right"))
    require_red(desk.rows(network, LEAKY, "random", ["float64"]))


def test_two_known_differences_at_once(desk: Desk, tmp_path: Path) -> None:
    case = regression("two_defects_at_once", tmp_path)
    methods = ["gradient", "zblrp_alpha_1_beta_0_VGG16ILSVRC"]
    rows = desk.rows(case, methods, "right", ["float64"])
    require_green(rows)
    assert {row["divergence"] for row in rows if row["method"] == methods[1]} == {
        "signxai-bounded-is-zero, signxai-batch-normalization-without-offset"
    }
    require_red(desk.rows(case, methods, "random", ["float64"]))
