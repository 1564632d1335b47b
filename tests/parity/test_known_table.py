"""The table of known differences: every entry says everything, and where it applies follows from the layers."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from parity import keras
from parity.assets.models import resolve
from parity.judge.known.arrival import arrival_order
from parity.judge.known.conditions import unmoved
from parity.judge.known.rewrites import REWRITES
from parity.judge.known.table import BY_NAME, KNOWN_DIFFERENCES, differences_of
from parity.keras import ModelDescription
from parity.run.subjects import list_methods, parse
from tests.parity.small_networks import conv, dense, described, flatten, layer, normalization


def names(method: str, model: ModelDescription, backend: str = "signxai") -> list[str]:
    return [difference.name for difference in differences_of(parse(method), model, backend)]


# The entries


def test_names_are_unique_and_spelled_alike() -> None:
    assert len(BY_NAME) == len(KNOWN_DIFFERENCES)
    for name in BY_NAME:
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name)


@pytest.mark.parametrize("name", BY_NAME)
def test_every_entry_has_its_texts(name: str) -> None:
    difference = BY_NAME[name]
    for text in (difference.condition, difference.cause, difference.evidence):
        assert len(text.split()) >= 4
    assert difference.cause.endswith(".")
    assert set(difference.references) <= {"signxai", "innvestigate"}
    assert set(difference.rewrites) <= set(REWRITES)
    assert not (difference.rewrites and difference.recipe != "plain"), "two ways where one would do"


@pytest.mark.parametrize("field", ["name", "references", "condition", "cause", "evidence"])
def test_an_entry_that_leaves_something_unsaid_is_refused(field: str) -> None:
    difference = KNOWN_DIFFERENCES[0]
    with pytest.raises(ValueError, match=f"has no {field}"):
        dataclasses.replace(difference, **{field: type(getattr(difference, field))()})


def test_the_words_of_rewrites_are_unique_because_written_networks_are_kept_by_them() -> None:
    assert len({rewrite.says for rewrite in REWRITES}) == len(REWRITES)


@pytest.mark.parametrize("model", ["vgg_mnist", "dense_mnist", "resnet_mnist", "cnn_timeseries"])
def test_only_differences_of_the_reference_asked_apply(model: str) -> None:
    description = keras.load(resolve(model).path).description
    applied = 0
    for name in list_methods():
        for backend in ("signxai", "innvestigate"):
            for known in names(name, description, backend):
                applied += 1
                assert backend in BY_NAME[known].references
    assert applied


@pytest.mark.parametrize("suffix", ["_VGG16ILSVRC", ""])
def test_the_zero_of_the_bounded_rule_is_signxais_and_of_zblrp_only(tmp_path: Path, suffix: str) -> None:
    model = described(tmp_path, [5], dense("h", "x"), dense("o", "h"))
    assert names(f"zblrp_epsilon_0_1{suffix}", model) == ["signxai-bounded-is-zero"]
    assert names(f"zblrp_epsilon_0_1{suffix}", model, "innvestigate") == []
    assert names("lrp_z", model) == []


# The conditions


def test_inputs_arrive_depth_first(tmp_path: Path) -> None:
    swapped, straight = (
        described(tmp_path, [3], dense("f", "x"), layer("Concatenate", "join", *order, axis=-1), dense("o", "join"))
        for order in (("x", "f"), ("f", "x"))
    )
    assert arrival_order(swapped.layers) in ({}, {"join": ("f", "x")})
    assert bool(arrival_order(swapped.layers)) != bool(arrival_order(straight.layers)), "one of the two is the model's"


def test_a_permutation_counts_where_it_moves_and_keeps_the_shape(tmp_path: Path) -> None:
    def permuted(shape: list[int], dims: list[int]) -> ModelDescription:
        permute = layer("Permute", "perm", "x", dims=dims)
        return described(tmp_path, shape, permute, flatten("perm"), dense("o", "flat"))

    assert unmoved(permuted([4, 5, 4], [3, 2, 1])) == ("perm",)
    assert unmoved(permuted([4, 5, 3], [3, 2, 1])) == ()
    assert unmoved(permuted([4, 5, 4], [1, 2, 3])) == ()


def test_differences_follow_from_the_layers(tmp_path: Path) -> None:
    model = described(
        tmp_path, [5, 4, 2], conv("f", "x"), normalization("bn", "f", center=False), flatten("bn"), dense("o", "flat")
    )
    assert names("lrp_z", model) == ["signxai-batch-normalization-without-offset"]
    assert names("lrp_z", model, "innvestigate") == ["innvestigate-batch-normalization"]
    assert names("gradient", model) == []
    assert names("gradient", model, "innvestigate") == ["innvestigate-batch-normalization-graph"]
    assert names("grad_cam", model) == ["signxai-grad-cam-is-transposed"]


def test_deconvnet_on_a_relu_at_the_output_is_named(tmp_path: Path) -> None:
    model = described(tmp_path, [5], dense("o", "x", activation="relu"))
    assert names("deconvnet", model) == ["signxai-deconvnet-relu-on-the-output"]
    assert names("guided_backprop", model) == []


@pytest.mark.parametrize(("units", "several"), [(1, False), (3, True)])
def test_classes_are_mixed_only_where_there_are_several(tmp_path: Path, units: int, several: bool) -> None:
    separate = described(tmp_path, [5], dense("o", "x", units=units), layer("Activation", "a", "o", activation="tanh"))
    assert names("lrp_z", separate) == ["signxai-relevance-of-all-classes"] * several
    last = described(tmp_path, [5], dense("o", "x", units=units), normalization("bn", "o"))
    assert names("lrp_flat", last) == ["signxai-batch-normalization-at-the-end"] * several
    attribute = described(tmp_path, [5], dense("o", "x", units=units, activation="tanh"))
    assert names("lrp_z", attribute) == []


def test_the_sign_rule_on_the_layer_that_makes_the_output(tmp_path: Path) -> None:
    alone = described(tmp_path, [5], dense("o", "x"))
    for method in ("lrpsign_z", "lrpsign_epsilon_100_mu_0_5"):
        assert names(method, alone) == ["signxai-sign-rule-on-the-last-layer"]
        assert names(method, described(tmp_path, [5], dense("h", "x"), dense("o", "h"))) == []
    assert names("lrp_z", alone) == []


def test_a_branch_counts_where_the_input_rule_or_a_relu_is(tmp_path: Path) -> None:
    ends = (layer("Add", "sum", "a", "b"), dense("o", "sum"))
    behind = described(tmp_path, [5], dense("s", "x"), dense("a", "s"), dense("b", "s"), *ends)
    at_the_input = described(tmp_path, [5], dense("a", "x"), dense("b", "x"), *ends)
    assert names("lrpsign_z", behind) == ["signxai-input-rule-on-a-branch"]
    assert names("lrpsign_z", at_the_input) == []
    assert names("flatlrp_z", behind) == []
    for model in (behind, at_the_input):
        assert names("guided_backprop", model) == ["signxai-relu-per-consumer"]
        assert names("guided_backprop", model, "innvestigate") == []


@pytest.mark.parametrize("backend", ["signxai", "innvestigate"])
def test_several_differences_are_all_named(tmp_path: Path, backend: str) -> None:
    model = described(
        tmp_path,
        [6, 4, 6],
        conv("f", "x", 6),
        layer("Permute", "p", "f", dims=[3, 2, 1]),
        normalization("bn", "p", center=False),
        flatten("bn"),
        dense("o", "flat"),
        layer("Activation", "a", "o", activation="tanh"),
    )
    expected = {
        "signxai": ["permute-of-equal-sizes", "relevance-of-all-classes", "batch-normalization-without-offset"],
        "innvestigate": ["batch-normalization"],
    }[backend]
    assert names("lrp_z", model, backend) == [f"{backend}-{name}" for name in expected]
