"""Wrong ports that once passed: each comes in through the door for subjects, is asked with the real references, is red.

Every group of cases is also run with the port itself through the same door, which must not be red: else red would say
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from parity.commands.run import run
from parity.judge.verdict import NOT_COUNTED
from parity.reference.client import ReferenceClient
from parity.reference.conversation import failed
from parity.reference.request import ReferenceAnswer, ReferenceRequest
from parity.run.cases import FIRST, select_methods
from tests.parity import wrong_ports
from tests.parity.judging_desk import (
    Desk,
    Written,
    is_red,
    opened,
    regression,
    require_green,
    require_red,
    shipped,
    told,
)
from tests.parity.odd_networks import image_on_its_side

pytestmark = pytest.mark.reference

FLOAT32_ONLY = ("scaled32", "slightly_scaled32", "noisy32", "bfloat32")
SMALL = ("vgg_mnist", "dense_mnist", "cnn_timeseries")
TRIED = ("gradient", "lrp_epsilon_0_1", "lrpsign_z", "lrp_z")
# On this input no ReLU of dense_mnist depends on a bias, so gradient, lrp_z and lrpsign_z are the same map without it.
BIAS_MATTERS = ("lrp_epsilon_0_1", "lrp_alpha_1_beta_0", "lrp_flat", "lrp_gamma", "lrp_z_plus")
WITHOUT_OFFSET = (
    "lrp_z", "lrp_z_IB", "lrp_epsilon_0_1", "lrp_alpha_2_beta_1", "lrp_gamma", "lrp_flat", "lrp_w_square",
    "lrp_z_plus", "lrp_epsilon_0_25_std_x", "lrp_sequential_composite_a", "lrpsign_z", "lrpz_epsilon_0_1",
    "w2lrp_epsilon_0_1", "flatlrp_alpha_1_beta_0", "lrp.z", "lrp.flat",
)  # fmt: skip
ON_A_BRANCH = ("lrpsign_z", "lrpsign_epsilon_0_1", "lrpsign_alpha_1_beta_0", "lrpsign_epsilon_0_25_std_x_mu_0_5")
BOUNDED = tuple(
    f"zblrp_{rule}_VGG16ILSVRC"
    for rule in ("epsilon_0_25_std_x", "epsilon_0_1", "z", "alpha_1_beta_0", "sequential_composite_b")
)
PERMUTED = ("lrp_gamma", "lrpsign_z", "lrp_epsilon_0_25_std_x", "lrpsign_epsilon_0_5_std_x", "lrp_z_IB")


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with opened() as desk:
        yield desk


def require_red_in_float32_alone(rows) -> None:
    require_red([row for row in rows if row["dtype"] == "float32"])
    require_green([row for row in rows if row["dtype"] == "float64"])


# --- faults in float32 alone: the limit is measured on the reference, and follows no subject -------------------------


@pytest.mark.parametrize("model", SMALL)
def test_the_port_in_both_lanes(desk: Desk, model: str) -> None:
    require_green(desk.rows(shipped(model), TRIED, "right"))


@pytest.mark.parametrize("model", SMALL)
@pytest.mark.parametrize("judged", FLOAT32_ONLY)
def test_a_fault_in_float32_alone(desk: Desk, judged: str, model: str) -> None:
    rows = desk.rows(shipped(model), TRIED, judged)
    require_red_in_float32_alone(rows)
    # What the reference is from itself is a hundred times less than the smallest of these faults.
    assert all(row["limits"]["rel_l2"] < 1e-4 for row in rows), told(rows)


@pytest.mark.slow
def test_a_small_fault_in_float32_for_each_rule_and_family(desk: Desk) -> None:
    rows = desk.rows(shipped("dense_mnist"), FIRST, "slightly_scaled32", ["float32"])
    compared = [row for row in rows if row["status"] not in NOT_COUNTED]
    assert {row["method"] for row in rows} - {row["method"] for row in compared} == {"grad_cam"}  # no convolution
    require_red(compared)


@pytest.mark.parametrize(("model", "methods"), [("dense_mnist", BIAS_MATTERS), ("vgg_mnist", ["lrp_alpha_1_beta_0"])])
def test_bias_forgotten_in_float32_alone(desk: Desk, model: str, methods: list[str]) -> None:
    require_green(desk.rows(shipped(model), methods, "right"))
    require_red_in_float32_alone(desk.rows(shipped(model), methods, "without_bias32"))


# --- beside a known difference of the reference ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def beside_a_crash() -> tuple[str, ...]:
    return select_methods(["deconvnet*", "innvestigate.*", "guided_backprop"])


def test_the_port_beside_a_reference_that_crashes(desk: Desk, beside_a_crash: tuple[str, ...]) -> None:
    require_green(desk.rows(shipped("resnet_mnist"), beside_a_crash, "right", ["float64"]))


@pytest.mark.parametrize(("judged", "check"), [("nan", "finite"), ("narrow", "shape")])
def test_no_map_beside_a_reference_that_crashes(
    desk: Desk, beside_a_crash: tuple[str, ...], judged: str, check: str
) -> None:
    rows = desk.rows(shipped("resnet_mnist"), beside_a_crash, judged, ["float64"])
    require_red(rows)
    assert {row["failed_check"] for row in rows} == {check}


def test_the_command_fails_too(tmp_path: Path) -> None:
    with opened():  # skips where there is no reference
        pass

    def exit_code(judged: str) -> int:
        arguments = ["--model", "resnet_mnist", "--method", "deconvnet", "--dtype", "float64", "--samples", "1"]
        judging = ["--subject", f"{wrong_ports.__file__}:{judged}", "--report", str(tmp_path / judged)]
        return CliRunner().invoke(run, [*arguments, *judging]).exit_code

    assert exit_code("right") == 0
    assert exit_code("nan") == 1
    assert exit_code("narrow") == 1


@pytest.mark.parametrize("name", ["normalization_without_offset", "input_rule_on_a_branch"])
def test_nan_on_what_the_fuzzer_once_failed_on(desk: Desk, tmp_path: Path, name: str) -> None:
    case = regression(name, tmp_path)
    methods = WITHOUT_OFFSET if name == "normalization_without_offset" else ON_A_BRANCH
    rows = desk.rows(case, methods, "right", ["float64"])
    assert not [row for row in rows if is_red(row)], told(rows)
    require_red(desk.rows(case, methods, "nan", ["float64"]))


def test_nan_where_the_heat_map_is_transposed(desk: Desk, tmp_path: Path) -> None:
    network, methods = image_on_its_side(tmp_path / "side.h5"), ("grad_cam", "grad_cam_x_input", "grad_cam_x_sign")
    require_green(desk.rows(network, methods, "right"))
    require_red(desk.rows(network, methods, "nan"))
    require_red(desk.rows(network, methods, "mirrored", ["float64"]))


def test_deep_lift_that_has_nothing_but_the_right_sum(desk: Desk) -> None:
    vgg = shipped("vgg_mnist")
    require_green(desk.rows(vgg, ["deep_lift"], "right"))
    require_red(desk.rows(vgg, ["deep_lift"], "constant", ["float64"]))
    require_red(desk.rows(vgg, ["deep_lift"], "mirrored", ["float64"]))


BEHIND_POOLS = pytest.mark.xfail(strict=True, reason="behind max-pooling DeepLIFT is held to its sum and zeros alone")


@pytest.mark.parametrize("model", ["dense_mnist", pytest.param("vgg_mnist", marks=BEHIND_POOLS)])
def test_deep_lift_that_is_right_on_a_network_without_offsets_alone(desk: Desk, model: str) -> None:
    require_red(desk.rows(shipped(model), ["deep_lift"], "spread_beside_offsets", ["float64"]))


@pytest.mark.parametrize(("model", "methods"), [("vgg_mnist", BOUNDED[:1]), ("resnet_mnist", BOUNDED)])
def test_random_numbers_where_both_references_are_wrong(desk: Desk, model: str, methods: tuple[str, ...]) -> None:
    require_green(desk.rows(shipped(model), methods, "right", ["float64"]))
    require_red(desk.rows(shipped(model), methods, "random", ["float64"]))


# --- a reference that explains another network in place of the model -------------------------------------------------


@pytest.fixture(scope="module")
def permuted(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return regression("permute_of_equal_sizes", tmp_path_factory.mktemp("permuted"))


def test_the_port_where_permuted_sizes_are_equal(desk: Desk, permuted: Written) -> None:
    require_green(desk.rows(permuted, PERMUTED, "right"))


@pytest.mark.parametrize("judged", ["garbage_beside_a_permute", "permute_that_moves_nothing"])
def test_right_for_another_network_alone(desk: Desk, permuted: Written, judged: str) -> None:
    require_red(desk.rows(permuted, PERMUTED, judged))


# --- a reference that raises what nobody knows -----------------------------------------------------------------------


class RaisingClient(ReferenceClient):
    """A reference that gives logits, and for every map an error that no known difference names."""

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        if request.call.asks_for_logits:
            return super().answer(request)
        return [failed("method", "RuntimeError: something that never happened before") for _ in request.inputs]


@pytest.mark.parametrize("judged", ["right", "nan", "random"])
@pytest.mark.parametrize(
    ("model", "methods"),
    [("dense_mnist", ("gradient", "lrp_z", "lrp.z")), ("resnet_mnist", ("deconvnet", "innvestigate.smoothgrad"))],
)
def test_a_reference_that_raises_what_no_entry_names(model: str, methods: tuple[str, ...], judged: str) -> None:
    with opened(RaisingClient) as desk:
        rows = desk.rows(shipped(model), methods, judged, ["float64"])
    require_red(rows)
    if judged != "nan":  # whose maps are refused before any reference is looked at
        assert {row["status"] for row in rows} == {"error"}
        assert all("never happened before" in row["message"] for row in rows)


def test_a_method_is_not_left_to_the_other_reference(desk: Desk) -> None:
    (row,) = desk.rows(shipped("dense_mnist"), ["lrp_z"], "right", ["float64"])
    assert row["reference"] == "signxai"
    with opened(RaisingClient) as raising:
        (row,) = raising.rows(shipped("dense_mnist"), ["lrp_z"], "right", ["float64"])
    assert row["reference"] == "signxai"
