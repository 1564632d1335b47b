"""What a subject is held to: sound references, then equivalent networks, then what is put together, or nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import parity.keras
from parity.judge.known.arrival import arrival_order
from parity.judge.known.rewrites import (
    FUNCTION_OF_AN_ACTIVATION,
    IN_ORDER_OF_ARRIVAL,
    LAYER_BEHIND_THE_OUTPUT,
    NO_BRANCH_AT_A_LAYER,
    ONLY_THE_TARGET,
    PERMUTE_THROUGH_ANOTHER_SHAPE,
    PERMUTED_INPUT,
    RELU_ATTRIBUTE,
    ZERO_OFFSET,
)
from parity.keras import ModelDescription
from parity.keras.network import Network, NetworkLayer, keras_order, network_of, write_network
from parity.run.calls import NotInReferenceError
from parity.run.questions import Candidate, question
from parity.run.subjects import parse
from tests.parity.judged import registry
from tests.parity.small_networks import conv, dense, described, flatten, layer, normalization

IMAGE = [5, 4, 2]


def candidates(method: str, model: ModelDescription, reference: str = "auto") -> tuple[Candidate, ...]:
    return question(parse(method), model, reference).candidates


def shape_of(candidate: Candidate) -> tuple:
    return candidate.call.backend, candidate.recipe, candidate.rewrites


def named(candidate: Candidate) -> list[str]:
    return [difference.name for difference in candidate.differences]


def plain_model(folder: Path) -> ModelDescription:
    return described(folder, [6, 6, 3], conv("f", "x"), flatten("f"), dense("o", "flat"))


def normalized(folder: Path, center: bool = True) -> ModelDescription:
    return described(folder, IMAGE, conv("f", "x"), normalization("bn", "f", center), flatten("bn"), dense("o", "flat"))


# Sound references


def test_a_sound_reference_is_asked_as_it_is_and_excuses_nothing(tmp_path: Path) -> None:
    for method, order in (("lrp_z", ["signxai", "innvestigate"]), ("lrp.z", ["innvestigate", "signxai"])):
        asked = candidates(method, plain_model(tmp_path))
        assert [candidate.call.backend for candidate in asked] == order
        for candidate in asked:
            assert (candidate.differences, candidate.rewrites, candidate.recipe) == ((), (), "plain")
            assert candidate.held_to is None


def test_the_reference_asked_for_is_the_only_one(tmp_path: Path) -> None:
    model = plain_model(tmp_path)
    for backend in ("signxai", "innvestigate"):
        assert [candidate.call.backend for candidate in candidates("lrp_z", model, backend)] == [backend]
    with pytest.raises(NotInReferenceError, match="innvestigate does not have a method lrpsign_z"):
        question(parse("lrpsign_z"), model, "innvestigate")
    with pytest.raises(NotInReferenceError, match="neither reference has a method occlusion"):
        question(parse("occlusion"), model)


def test_a_sound_reference_is_taken_before_the_wrong_one_on_another_network(tmp_path: Path) -> None:
    leaky = layer("LeakyReLU", "leaky", "x", alpha=0.25)
    model = described(tmp_path, IMAGE, leaky, flatten("leaky"), dense("o", "flat"))
    candidate, other = candidates("lrp.flat", model)
    assert shape_of(candidate) == ("signxai", "plain", ())
    assert shape_of(other) == ("innvestigate", "plain", (FUNCTION_OF_AN_ACTIVATION,))
    assert named(candidate) == ["innvestigate-derivative-in-lrp"]
    assert candidate.held_to == "signxai"
    sound, _ = candidates("lrp_flat", model)
    assert named(sound) == []


@pytest.mark.parametrize(
    ("last", "asked", "difference"),
    [
        ("linear", ["signxai", "innvestigate"], None),
        ("softmax", ["signxai", "innvestigate"], None),
        ("sigmoid", ["signxai"], None),
        ("layer", ["innvestigate", "signxai"], "signxai-relevance-of-all-classes"),
        ("softmax layer", ["signxai", "innvestigate"], None),
        ("linear layer", ["signxai", "innvestigate"], None),
    ],
)
def test_only_signxai_starts_from_before_the_activation_of_the_output(
    tmp_path: Path, last: str, asked: list[str], difference: str | None
) -> None:
    name = {"layer": "tanh"}.get(last, last.removesuffix(" layer"))
    layers = [dense("o", "x"), layer("Activation", "a", "o", activation=name)]
    model = described(tmp_path, [5], *(layers if "layer" in last else [dense("o", "x", activation=last)]))
    ways = candidates("lrp_z", model)
    assert [way.call.backend for way in ways] == asked
    assert {name for way in ways for name in named(way)} == ({difference} if difference else set())
    assert "innvestigate" in [way.call.backend for way in candidates("lrp_flat", model)]


# Equivalent networks


def test_normalization_without_offset_is_asked_about_with_an_offset_of_zero(tmp_path: Path) -> None:
    model = normalized(tmp_path, center=False)
    for method, difference in (
        ("lrp_z", ["signxai-batch-normalization-without-offset"]),
        ("lrp.z", ["innvestigate-batch-normalization", "signxai-batch-normalization-without-offset"]),
        ("lrpsign_epsilon_0_25_std_x", ["signxai-batch-normalization-without-offset"]),
    ):
        (candidate,) = candidates(method, model)
        assert shape_of(candidate) == ("signxai", "plain", (ZERO_OFFSET,))
        assert named(candidate) == difference
        assert candidate.held_to == "signxai on an equivalent network: center=False as an offset of zero"
    assert candidates("lrp_z", normalized(tmp_path))[0].differences == ()


def test_concatenate_in_another_order_is_left_to_innvestigate_where_that_has_the_method(tmp_path: Path) -> None:
    join = layer("Concatenate", "join", "x", "f", axis=-1)
    model = described(tmp_path, [3], dense("f", "x"), join, dense("o", "join"))
    there = ("signxai", "plain", (IN_ORDER_OF_ARRIVAL,))
    assert [shape_of(way) for way in candidates("lrp_z", model)] == [("innvestigate", "plain", ()), there]
    assert [shape_of(way) for way in candidates("lrpsign_z", model)] == [there]
    assert candidates("grad_cam_timeseries", described(
        tmp_path, [6, 2], layer("Conv1D", "c", "x", filters=2, kernel_size=[3], strides=[1], padding="same",
                                activation="relu", use_bias=True),
        layer("Concatenate", "join", "x", "c", axis=-1), flatten("join"), dense("o", "flat"),
    ))[0].differences == ()  # fmt: skip


def test_a_permutation_of_equal_sizes_goes_through_another_shape(tmp_path: Path) -> None:
    permute = layer("Permute", "p", "x", dims=[3, 2, 1])
    model = described(tmp_path, [4, 5, 4], permute, flatten("p"), dense("h", "flat"), dense("o", "h"))
    there = ("signxai", "plain", (PERMUTE_THROUGH_ANOTHER_SHAPE,))
    assert [shape_of(way) for way in candidates("lrp_z", model)] == [("innvestigate", "plain", ()), there]
    for method in ("lrpsign_z", "lrp_gamma", "lrp_epsilon_0_25_std_x", "lrp_z_IB"):
        assert [shape_of(way) for way in candidates(method, model)] == [there]
    assert [named(way) for way in candidates("gradient", model)] == [[], []]


def test_several_differences_take_all_their_rewrites_in_the_order_of_the_table(tmp_path: Path) -> None:
    model = described(
        tmp_path,
        [6, 4, 6],
        conv("f", "x", 6),
        layer("Permute", "p", "f", dims=[3, 2, 1]),
        normalization("bn", "p", center=False),
        flatten("bn"),
        dense("h", "flat"),
        layer("Concatenate", "join", "flat", "h", axis=-1),
        dense("o", "join"),
        layer("Activation", "a", "o", activation="tanh"),
    )
    needed = (ZERO_OFFSET, PERMUTE_THROUGH_ANOTHER_SHAPE, IN_ORDER_OF_ARRIVAL, ONLY_THE_TARGET)
    for method in ("lrp_z", "lrp_flat", "lrpsign_z", "lrp.z"):
        (candidate,) = candidates(method, model)
        assert shape_of(candidate) == ("signxai", "plain", needed)
    (spliced,) = candidates("zblrp_z_VGG16ILSVRC", model)
    assert shape_of(spliced) == ("innvestigate", "spliced", needed)
    assert len(named(spliced)) == 5


def test_ways_that_a_rewrite_makes_longer_arrive_in_order_still(tmp_path: Path) -> None:
    """What comes by the Permute arrives last in the model, and first where it comes by two Reshape layers besides."""
    model = described(
        tmp_path,
        [4, 4],
        layer("Permute", "p", "x", dims=[2, 1]),
        layer("Dropout", "d", "x", rate=0.5),
        layer("Activation", "e", "d", activation="linear"),
        layer("Subtract", "s", "e", "p"),
        flatten("s"),
        dense("o", "flat"),
    )
    assert arrival_order(keras_order(network_of(model))) == {}
    (asked,) = [one for one in candidates("lrp_z", model) if PERMUTE_THROUGH_ANOTHER_SHAPE in one.rewrites]
    network = network_of(model)
    for rewrite in asked.rewrites:
        network = rewrite.network(network, 0)
    assert arrival_order(keras_order(network)) == {}


def test_what_keras_runs_itself_needs_no_order_of_arrival(tmp_path: Path) -> None:
    """Grad-CAM is asked with the image lying on its side; inputs that arrive late do not matter to it."""
    model = described(
        tmp_path,
        [8, 6, 3],
        conv("f", "x", 3),
        layer("Dropout", "d", "f", rate=0.5),
        layer("Concatenate", "join", "f", "d", axis=-1),
        layer("Concatenate", "join_2", "join", "f", axis=-1),
        flatten("join_2"),
        dense("o", "flat"),
    )
    for candidate in candidates("grad_cam", model):
        assert IN_ORDER_OF_ARRIVAL not in candidate.rewrites
    assert candidates("grad_cam", model)


def test_inputs_stay_in_their_order_where_inputs_of_layers_are_put_in_order(tmp_path: Path) -> None:
    network = Network((
        NetworkLayer("a", "InputLayer", {"batch_input_shape": [None, 4]}, (), {}, (4,)),
        NetworkLayer("b", "InputLayer", {"batch_input_shape": [None, 4]}, (), {}, (4,)),
        NetworkLayer("deep", "Dense", {"units": 4}, ("b",), {}, (4,)),
        NetworkLayer("deeper", "Dense", {"units": 4}, ("deep",), {}, (4,)),
        NetworkLayer("join", "Subtract", {}, ("deeper", "a"), {}, (4,)),
    ))  # fmt: skip
    assert [one.name for one in IN_ORDER_OF_ARRIVAL.network(network, 0) if not one.inbound] == ["a", "b"]


@pytest.mark.parametrize(
    ("method", "layers", "rewrites"),
    [
        ("lrpsign_z", [dense("o", "x")], (ONLY_THE_TARGET, LAYER_BEHIND_THE_OUTPUT)),
        ("lrp_flat", [dense("o", "x"), normalization("bn", "o")], (ONLY_THE_TARGET,)),
        ("lrpsign_z", [dense("s", "x"), dense("a", "s"), dense("b", "s"), layer("Add", "sum", "a", "b"),
                       dense("o", "sum")], (NO_BRANCH_AT_A_LAYER,)),
    ],
)  # fmt: skip
def test_where_signxai_alone_has_a_method_it_is_asked_about_an_equivalent_network(
    tmp_path: Path, method: str, layers: list, rewrites: tuple
) -> None:
    assert [shape_of(way) for way in candidates(method, described(tmp_path, [5], *layers))] == [
        ("signxai", "plain", rewrites)
    ]


def test_both_references_copy_a_relu_layer_wrongly_in_deconvnet(tmp_path: Path) -> None:
    bent = [conv("f", "x", activation="linear"), layer("ReLU", "r", "f"), flatten("r"), dense("o", "flat")]
    ways = candidates("deconvnet", described(tmp_path, IMAGE, *bent))
    assert [shape_of(way) for way in ways] == [
        ("signxai", "plain", (RELU_ATTRIBUTE,)), ("innvestigate", "plain", (RELU_ATTRIBUTE,)),
    ]  # fmt: skip
    leaky = [layer("LeakyReLU", "r", "x", alpha=0.25), flatten("r"), dense("o", "flat")]
    assert [shape_of(way) for way in candidates("deconvnet", described(tmp_path, IMAGE, *leaky))] == [
        ("innvestigate", "plain", ())
    ]


# Put together


def test_the_bounded_rule_is_spliced_where_innvestigate_has_no_such_rule_above(tmp_path: Path) -> None:
    (way,) = candidates("zblrp_epsilon_0_25_std_x_VGG16ILSVRC", plain_model(tmp_path))
    assert shape_of(way) == ("innvestigate", "spliced", ())
    assert named(way) == ["signxai-bounded-is-zero"]
    assert (way.call.name, way.call.options["input_layer_rule"]) == ("lrp.z", [-123.68, 151.061])
    assert way.above is not None
    assert (way.above.backend, way.above.name) == ("signxai", "lrp_epsilon_0_25_std_x")
    assert way.held_to == "signxai above the input layer, innvestigate in it"
    plain, spliced = candidates("zblrp_epsilon_0_1_VGG16ILSVRC", plain_model(tmp_path))
    assert (shape_of(plain), spliced.recipe) == (("innvestigate", "plain", ()), "spliced")
    (normalization_above,) = candidates("zblrp_z_VGG16ILSVRC", normalized(tmp_path))
    assert normalization_above.recipe == "spliced"


def test_what_cannot_be_cut_behind_its_input_layer_has_nothing_left(tmp_path: Path) -> None:
    padded = described(
        tmp_path, [6, 6, 3], layer("ZeroPadding2D", "p", "x", padding=[[1, 1], [1, 1]]), conv("f", "p"),
        flatten("f"), dense("o", "flat"),
    )  # fmt: skip
    how = question(parse("zblrp_z_VGG16ILSVRC"), padded)
    assert how.candidates == ()
    for part in ("signxai-bounded-is-zero", "innvestigate-input-rule-behind-padding", "nothing else shows"):
        assert part in how.reason


@pytest.mark.parametrize(
    "method", ["innvestigate.integrated_gradients", "innvestigate.smoothgrad", "gradient.baseline"]
)
def test_innvestigates_gradients_with_normalization_are_averages(tmp_path: Path, method: str) -> None:
    (way,) = candidates(method, normalized(tmp_path))
    assert shape_of(way) == ("signxai", "averaged", ())
    assert (way.call.kind, way.call.name, way.call.noise) == ("wrapper", "gradient", None)
    assert named(way) == ["innvestigate-batch-normalization-graph"]
    assert way.held_to == "the mean of signxai's own gradients"
    assert candidates(method, plain_model(tmp_path))[0].differences == ()


@pytest.mark.parametrize("method", ["integrated_gradients", "smoothgrad", "vargrad", "gradient", "guided_backprop"])
def test_signxais_gradients_with_normalization_are_asked_as_they_are(tmp_path: Path, method: str) -> None:
    best = candidates(method, normalized(tmp_path))[0]
    assert shape_of(best) == ("signxai", "plain", ())
    assert best.differences == ()


def test_deep_lift_is_held_to_what_it_promises(tmp_path: Path) -> None:
    (way,) = candidates("deep_lift", plain_model(tmp_path))
    assert shape_of(way) == ("signxai", "promised", ())
    assert (way.call.name, named(way)) == ("input_t_gradient", ["signxai-deep-lift-missing"])
    for layers in ([dense("h", "x", activation="tanh"), dense("o", "h")], [dense("o", "x", activation="sigmoid")]):
        how = question(parse("deep_lift"), described(tmp_path, [5], *layers))
        assert how.candidates == ()
        assert "no reference is left for deep_lift" in how.reason


def test_the_gradient_that_deep_lift_is_held_to_is_a_sound_one(tmp_path: Path) -> None:
    """SIGN-XAI's gradient swaps the inputs of this Concatenate, so it is not asked."""
    join = layer("Concatenate", "join", "x", "f", axis=-1)
    (way,) = candidates("deep_lift", described(tmp_path, [3], dense("f", "x"), join, dense("o", "join")))
    assert shape_of(way) == ("innvestigate", "promised", ())
    normal = [dense("f", "x"), normalization("bn", "f"), layer("Concatenate", "join", "x", "bn", axis=-1)]
    (way,) = candidates("deep_lift", described(tmp_path, [3], *normal, dense("o", "join")))
    assert shape_of(way) == ("signxai", "promised", (IN_ORDER_OF_ARRIVAL,))


# Grad-CAM of images that are not square


def test_grad_cam_of_an_image_that_is_not_square_is_asked_lying_on_its_side(tmp_path: Path) -> None:
    model = described(tmp_path, [7, 5, 3], conv("conv2d_1", "x"), flatten("conv2d_1"), dense("o", "flat"))
    (way,) = candidates("grad_cam", model)
    assert shape_of(way) == ("signxai", "plain", (PERMUTED_INPUT,))
    for method in ("grad_cam_x_sign", "grad_cam_x_input", "grad_cam_x_input_x_sign"):
        (way,) = candidates(method, model)
        assert shape_of(way) == ("signxai", "multiplied", (PERMUTED_INPUT,))
        assert (way.call.name, way.call.modifiers) == ("grad_cam", ())
    how = question(parse("guided_grad_cam_MNISTCNN"), model)
    assert how.candidates == ()
    assert "signxai-grad-cam-is-transposed" in how.reason


# Where there is no question


def test_where_both_references_are_wrong_and_no_equivalent_is_known_nothing_is_left(tmp_path: Path) -> None:
    how = question(parse("deep_taylor"), normalized(tmp_path))
    assert how.candidates == ()
    assert how.reason.startswith("no reference is left for deep_taylor on such a model: innvestigate-batch-")


def test_deep_taylor_is_refused_where_its_one_reference_does_not_define_it(tmp_path: Path) -> None:
    residual = [conv("f", "x", filters=2), layer("Add", "add", "x", "f"), flatten("add"), dense("o", "flat")]
    with pytest.raises(NotInReferenceError, match="twice"):
        question(parse("deep_taylor"), described(tmp_path, IMAGE, *residual))
    separate = [conv("f", "x", activation="linear"), layer("ReLU", "r", "f"), flatten("r"), dense("o", "flat")]
    with pytest.raises(NotInReferenceError, match="layer 'r' is of the first kind"):
        question(parse("deep_taylor"), described(tmp_path, IMAGE, *separate))


@pytest.mark.parametrize(("groups", "is_asked"), [(4, False), (-1, False), (2, True), (1, True)])
def test_grad_cam_of_maps_that_are_normalised_one_by_one_is_not_judged(
    groups: int, is_asked: bool, tmp_path: Path
) -> None:
    norm = layer("GroupNormalization", "n", "f", groups=groups, axis=-1, epsilon=1e-3, scale=True, center=True)
    model = described(tmp_path, [6, 6, 3], conv("f", "x"), norm, flatten("n"), dense("o", "flat"))
    if is_asked:
        assert question(parse("grad_cam"), model).candidates
    else:
        with pytest.raises(NotInReferenceError, match="every mean is zero but for rounding"):
            question(parse("grad_cam"), model)


def test_grad_cam_of_maps_that_something_else_reads_too_is_judged(tmp_path: Path) -> None:
    norm = layer("GroupNormalization", "n", "f", groups=4, axis=-1, epsilon=1e-3, scale=True, center=True)
    join = layer("Add", "a", "n", "f")
    model = described(tmp_path, [6, 6, 3], conv("f", "x"), norm, join, flatten("a"), dense("o", "flat"))
    assert question(parse("grad_cam"), model).candidates


@pytest.mark.parametrize(
    ("method", "is_asked"), [("gradient", False), ("smoothgrad", False), ("lrp_z", True), ("input", True)]
)
def test_tensorflow_has_no_derivative_of_what_rounds(method: str, is_asked: bool, tmp_path: Path) -> None:
    rng, floor = np.random.default_rng(0), registry.layer("TFOpLambda", "floor", function="math.floor")
    parts = registry.network((5,), registry.dense(rng, "h", 5, 4), floor, registry.dense(rng, "o", 4, 3))
    write_network(parts, tmp_path / "floor.h5")
    model = parity.keras.load(tmp_path / "floor.h5").description
    if is_asked:
        assert question(parse(method), model).candidates
    else:
        with pytest.raises(NotInReferenceError, match=r"no derivative of math.floor in layer 'floor'"):
            question(parse(method), model)
