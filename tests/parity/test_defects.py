"""Which defect bites follows from the layers; one that is imitated covers only what the imitation explains."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from parity import keras
from parity.judge.known.defects import arrival_order, defect_of, unmoved
from parity.judge.known.divergences import BY_NAME
from parity.judge.known.imitations import imitate
from parity.judge.metrics import compare
from parity.judge.verdict import judge, judge_imitation, limits_for
from parity.keras import ModelDescription
from parity.reference.request import ReferenceAnswer, ReferenceRequest
from parity.run.cases import Plan
from parity.run.questions import NotInReferenceError, question
from parity.run.runner import Runner, in_order
from parity.run.subjects import SignxaiTorch, parse
from signxai_torch import explain
from tests.fuzz.networks import write
from tests.parity.echo_client import EchoClient

Layers = list[dict]


def one(kind: str, name: str, *inbound: str, **config: object) -> dict:
    return {"class": kind, "name": name, "from": list(inbound), "config": config}


def dense(name: str, *inbound: str, units: int = 3, activation: str = "linear") -> dict:
    return one("Dense", name, *inbound, units=units, activation=activation, use_bias=True)


def described(folder: Path, shape: list[int], *layers: dict) -> ModelDescription:
    case = {"input": shape, "layers": list(layers), "sequential": False, "exact": False, "seed": 1, "methods": []}
    return keras.load(write(case, folder / "net.h5")[0].path).description


def conv(name: str, before: str, filters: int = 4) -> dict:
    return one("Conv2D", name, before, filters=filters, kernel_size=[2, 2], strides=[1, 1], padding="same",
               activation="relu", use_bias=True)  # fmt: skip


def test_inputs_arrive_depth_first(tmp_path: Path) -> None:
    swapped = described(
        tmp_path, [3], dense("f", "x"), one("Concatenate", "join", "x", "f", axis=-1), dense("o", "join")
    )
    assert arrival_order(swapped) in ({}, {"join": ("f", "x")})
    straight = described(
        tmp_path, [3], dense("f", "x"), one("Concatenate", "join", "f", "x", axis=-1), dense("o", "join")
    )
    assert bool(arrival_order(swapped)) != bool(arrival_order(straight)), "one of the two orders is the model's"


def test_a_permutation_counts_where_it_moves_and_keeps_the_shape(tmp_path: Path) -> None:
    def permuted(shape: list[int], dims: list[int]) -> ModelDescription:
        flat = one("Flatten", "flat", "perm")
        return described(tmp_path, shape, one("Permute", "perm", "x", dims=dims), flat, dense("o", "flat"))

    assert unmoved(permuted([4, 5, 4], [3, 2, 1])) == ("perm",)
    assert unmoved(permuted([4, 5, 3], [3, 2, 1])) == ()
    assert unmoved(permuted([4, 5, 4], [1, 2, 3])) == ()


def test_defects_by_layers(tmp_path: Path) -> None:
    bn = one("BatchNormalization", "bn", "f", epsilon=2.0**-10, scale=True, center=False)
    model = described(tmp_path, [5, 4, 2], conv("f", "x"), bn, one("Flatten", "flat", "bn"), dense("o", "flat"))
    assert defect_of(parse("lrp_z"), model, "signxai") == "signxai-batch-normalization-without-offset"
    assert defect_of(parse("lrp_z"), model, "innvestigate") == "innvestigate-batch-normalization"
    assert defect_of(parse("gradient"), model, "signxai") is None
    assert defect_of(parse("grad_cam"), model, "signxai") == "signxai-grad-cam-is-transposed"


@pytest.mark.parametrize(
    ("last", "asked", "defect"),
    [("linear", ["signxai", "innvestigate"], None), ("softmax", ["signxai", "innvestigate"], None),
     ("sigmoid", ["signxai"], None), ("layer", ["innvestigate"], "signxai-relevance-of-all-classes"),
     ("softmax layer", ["signxai", "innvestigate"], None), ("linear layer", ["signxai", "innvestigate"], None)],
)  # fmt: skip
def test_only_signxai_starts_from_before_the_activation_of_the_output(
    tmp_path: Path, last: str, asked: list[str], defect: str | None
) -> None:
    name = {"layer": "tanh"}.get(last, last.removesuffix(" layer"))
    layers = [dense("o", "x"), one("Activation", "a", "o", activation=name)]
    model = described(tmp_path, [5], *(layers if "layer" in last else [dense("o", "x", activation=last)]))
    how = question(parse("lrp_z"), model)
    assert ([call.backend for call in how.calls], how.defect) == (asked, defect)
    other = question(parse("lrp_flat"), model)
    assert "innvestigate" in [call.backend for call in other.calls]


def test_the_imitation_gives_every_class_the_relevance_of_the_chosen_one(tmp_path: Path) -> None:
    layers = [dense("o", "x"), one("Activation", "a", "o", activation="tanh")]
    case = {"input": [5], "layers": layers, "sequential": False, "exact": False, "seed": 1, "methods": []}
    module = keras.load(write(case, tmp_path / "net.h5")[0].path, dtype=torch.float64)
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[None]
    value = module(x)[0, 1].item()
    imitate(module, "signxai-concatenate-order")
    assert explain(module, x, "lrp.flat", 1).sum() == pytest.approx(value)
    imitate(module, "signxai-relevance-of-all-classes")
    assert module(x)[0, 1].item() == value
    assert explain(module, x, "lrp.flat", 1).sum() == pytest.approx(3 * value)


@pytest.mark.parametrize("units", [1, 3])
def test_an_activation_that_is_a_layer_of_its_own_is_where_relevance_starts(tmp_path: Path, units: int) -> None:
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[None]
    starts = {}
    for what, layers in {
        "own": [dense("o", "x", units=units), one("Activation", "a", "o", activation="tanh")],
        "attribute": [dense("o", "x", units=units, activation="tanh")],
    }.items():
        case = {"input": [5], "layers": layers, "sequential": False, "exact": False, "seed": 1, "methods": []}
        module = keras.load(write(case, tmp_path / f"{what}.h5")[0].path, dtype=torch.float64)
        starts[what] = explain(module, x, "lrp_z_IB", 0).sum()  # without a bias nothing is lost on the way
        value = module(x)[0, 0].item()
        expected = None if units == 1 or what == "attribute" else "signxai-relevance-of-all-classes"
        assert defect_of(parse("lrp_z"), module.description, "signxai") == expected
    assert starts["own"] == pytest.approx(value)
    assert starts["attribute"] != pytest.approx(value, rel=1e-3)


def test_what_does_nothing_at_the_end_is_no_layer(tmp_path: Path) -> None:
    """A linear activation, as Keras may write it, as a layer in an attribute, or as one of its own."""
    x = torch.linspace(-1, 1, 5, dtype=torch.float64)[None]
    written = {"class_name": "Activation", "config": {"name": "linear", "activation": "linear", "dtype": "float32"}}
    sums = []
    for layers in (
        [dense("h", "x", activation="relu"), dense("o", "h")],
        [dense("h", "x", activation="relu"), dense("o", "h", activation=written)],
        [dense("h", "x", activation="relu"), dense("o", "h"), one("Activation", "a", "o", activation="linear")],
    ):
        case = {"input": [5], "layers": layers, "sequential": False, "exact": False, "seed": 1, "methods": []}
        module = keras.load(write(case, tmp_path / "net.h5")[0].path, dtype=torch.float64)
        sums.append(explain(module, x, "lrp_z_IB", 1).sum())
    assert sums == pytest.approx(sums[:1] * 3)


@pytest.mark.parametrize("error", ["You must feed a value for placeholder tensor", "TypeError: no argument 'foo'"])
def test_a_wrong_reference_stands_in_only_for_one_that_has_no_float64(tmp_path: Path, error: str) -> None:
    class Failing(EchoClient):
        def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
            if request.call.kind != "logits" and request.call.backend == "innvestigate":
                return [ReferenceAnswer(None, error=error, error_kind="method") for _ in request.inputs]
            return super().answer(request)

    layers = [dense("o", "x"), one("Activation", "a", "o", activation="tanh")]
    case = {"input": [5], "layers": layers, "sequential": False, "exact": False, "seed": 1, "methods": []}
    source, x = write(case, tmp_path / "net.h5")
    names = frozenset(["lrp_flat"])
    rows = [one.row for one in Runner(Plan(source, (x,), ("lrp_flat",), names, names), Failing(), SignxaiTorch()).run()]
    found = {row["dtype"]: (row["status"], row["reference"]) for row in rows}
    assert found["float32"] == ("error", "innvestigate")
    fed = error.startswith("You")
    assert found["float64"] == (("parity", "signxai") if fed else ("error", "innvestigate"))


def test_where_both_references_are_wrong_nothing_is_judged(tmp_path: Path) -> None:
    last = one("BatchNormalization", "bn", "o", epsilon=0.001, scale=True, center=True)
    model = described(tmp_path, [5], dense("o", "x"), last)
    with pytest.raises(NotInReferenceError, match=r"no reference is left for lrp_flat .* signxai by signxai-batch-"):
        question(parse("lrp_flat"), model)
    assert question(parse("lrp_flat"), model, "signxai").defect == "signxai-batch-normalization-at-the-end"
    assert question(parse("lrp_flat"), described(tmp_path, [5], dense("o", "x", units=1), last)).defect is None


@pytest.mark.parametrize("theirs", [0.0, 1.0])
def test_logits_that_only_one_side_has_are_a_mismatch(tmp_path: Path, theirs: float) -> None:
    class Wrong(EchoClient):
        def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
            return [ReferenceAnswer(np.full(3, theirs, request.dtype)) for _ in request.inputs]

    case = {"input": [5], "layers": [dense("o", "x")], "sequential": False, "exact": False, "seed": 1, "methods": []}
    source, x = write(case, tmp_path / "net.h5")
    runner = Runner(Plan(source, (x,), ("lrp_z",), frozenset(["lrp_z"]), frozenset()), Wrong(), SignxaiTorch())
    rows = [outcome.row for outcome in runner.run()]
    assert {(row["status"], row["failed_check"]) for row in rows} == {("mismatch", "logits")}


def test_deconvnet_on_a_relu_at_the_output_is_named(tmp_path: Path) -> None:
    model = described(tmp_path, [5], dense("o", "x", activation="relu"))
    assert defect_of(parse("deconvnet"), model, "signxai") == "signxai-deconvnet-relu-on-the-output"
    assert defect_of(parse("guided_backprop"), model, "signxai") is None


def test_a_sound_reference_is_taken_and_the_defective_one_is_no_way_back(tmp_path: Path) -> None:
    leaky = one("LeakyReLU", "leaky", "x", alpha=0.25)
    model = described(tmp_path, [5, 4, 2], leaky, one("Flatten", "flat", "leaky"), dense("o", "flat"))
    how = question(parse("lrp.flat"), model)
    assert ([call.backend for call in how.calls], how.defect) == (["signxai"], "innvestigate-derivative-in-lrp")
    plain = question(parse("lrp_flat"), model)
    assert ([call.backend for call in plain.calls], plain.defect) == (["signxai"], None)


def test_deep_taylor_is_refused_where_its_one_reference_is_wrong(tmp_path: Path) -> None:
    residual = [
        conv("f", "x", filters=2),
        one("Add", "add", "x", "f"),
        one("Flatten", "flat", "add"),
        dense("o", "flat"),
    ]
    with pytest.raises(NotInReferenceError, match="twice"):
        question(parse("deep_taylor"), described(tmp_path, [5, 4, 2], *residual))


REFERENCE = np.random.default_rng(3).normal(size=(12, 12, 2))
DEFECT = BY_NAME["signxai-concatenate-order"]


@pytest.mark.parametrize(("imitation", "status"), [(REFERENCE, "reference-defect"), (REFERENCE * 1.01, "mismatch")])
def test_an_imitated_defect_covers_only_what_it_explains(imitation: np.ndarray, status: str) -> None:
    limits = limits_for("float64")
    plain = judge(compare(REFERENCE, -REFERENCE), limits, DEFECT)
    verdict = judge_imitation(compare(REFERENCE, imitation), limits, DEFECT, plain)
    assert (verdict.status, verdict.divergence) == (status, DEFECT.name if status == "reference-defect" else None)


NOTHING, ZERO = np.full((6, 2), np.nan), np.zeros((6, 2))
A_VALUE = np.eye(6, 2)


@pytest.mark.parametrize(
    ("reference", "subject", "status", "named"),
    [
        (NOTHING, ZERO, "reference-defect", True),
        (A_VALUE, A_VALUE, "parity", False),
        (NOTHING, A_VALUE, "mismatch", False),
        (NOTHING, NOTHING, "mismatch", False),
        (np.where(A_VALUE, 0, np.nan), ZERO, "mismatch", False),
        (ZERO, ZERO, "mismatch", False),
        (ZERO + np.inf, ZERO, "mismatch", False),
    ],
)
def test_an_undefined_map_is_covered_where_the_port_is_zero(
    reference: np.ndarray, subject: np.ndarray, status: str, named: bool
) -> None:
    defect = BY_NAME["signxai-grad-cam-of-nothing"]
    verdict = judge(compare(reference, subject), limits_for("float64"), defect)
    assert (verdict.status, verdict.divergence) == (status, defect.name if named else None)


# Grad-CAM of images that are not square: the reference's transposed map is held to one of the swapped size.

IMAGE = {"input": [7, 5, 3], "sequential": False, "exact": False, "seed": 3, "methods": [], "layers": [
    conv("f", "x"), one("Flatten", "flat", "f"), dense("o", "flat")]}  # fmt: skip


class TransposingClient(EchoClient):
    """Answers as SIGN-XAI does: the map is resized to (width, height)."""

    def answer(self, request: ReferenceRequest) -> list[ReferenceAnswer]:
        if request.call.kind == "logits":
            return super().answer(request)
        source = request.model
        module = keras.load(source.path, dtype=getattr(torch, request.dtype))
        maps = []
        for array, target in zip(request.inputs, request.targets, strict=True):
            size = array.shape[1::-1]
            found = explain(module, module.to_torch(array[None]), "grad_cam", target, target_layer="f", size=size)
            maps.append(ReferenceAnswer(module.to_keras(found)[0]))
        return maps


class Mutant(SignxaiTorch):
    """The port, with something done to the map that it gives."""

    def __init__(self, change: Callable[[np.ndarray, bool], np.ndarray] = lambda array, asked: array) -> None:
        self.change = change

    def attribute_many(self, module, inputs, targets, methods):
        found = super().attribute_many(module, inputs, targets, methods)
        return {
            name: replace(one, array=self.change(np.asarray(one.array), "size" in methods[name]))
            for name, one in found.items()
        }


def noise(array: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, array.shape).astype(array.dtype)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        (lambda array, asked: array, "reference-defect"),
        (lambda array, asked: noise(array), "mismatch"),
        (lambda array, asked: array if asked else noise(array), "mismatch"),
        (lambda array, asked: noise(array) if asked else array, "mismatch"),
        (lambda array, asked: array * 1.001, "mismatch"),
        (lambda array, asked: array[:, ::-1], "mismatch"),
        (lambda array, asked: array * 0, "mismatch"),
    ],
    ids=["the port", "noise", "noise unless a size is given", "noise if one is", "scaled", "upside down", "zero"],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_transposed_grad_cam_is_compared_in_numbers(tmp_path: Path, change, status: str, dtype: str) -> None:
    source, image = write(IMAGE, tmp_path / "net.h5")
    lanes = [frozenset(["grad_cam"] if dtype == lane else []) for lane in ("float64", "float32")]
    plan = Plan(source, (image,), ("grad_cam",), *lanes)
    rows = [outcome.row for outcome in Runner(plan, TransposingClient(), Mutant(change)).run()]
    assert [row["status"] for row in rows] == [status], rows[0]["message"]
    name = "signxai-grad-cam-is-transposed"
    assert rows[0]["divergence"] == (name if status == "reference-defect" else None)


def test_the_defect_follows_from_the_sizes_of_the_input_where_the_model_leaves_them_open(tmp_path: Path) -> None:
    model = described(tmp_path, [7, 5, 3], conv("f", "x"), one("GlobalMaxPooling2D", "all", "f"), dense("o", "all"))
    opened = replace(model, input_shape=(None, None, 3))
    name = "signxai-grad-cam-is-transposed"
    for shape, expected in (((7, 5, 3), name), ((6, 6, 3), None)):
        ((_, how),) = in_order(["grad_cam"], replace(opened, input_shape=shape), "auto")
        assert how.defect == expected


def test_grad_cam_of_a_layer_that_gives_no_maps_is_refused(tmp_path: Path) -> None:
    flat = one("Reshape", "rows", "f", target_shape=[35, 4])
    series = one("Conv1D", "g", "rows", filters=2, kernel_size=[3], strides=[1], padding="valid",
                 activation="relu", use_bias=True)  # fmt: skip
    model = described(
        tmp_path, [7, 5, 3], conv("f", "x"), flat, series, one("Flatten", "flat", "g"), dense("o", "flat")
    )
    for method in ("grad_cam", "grad_cam_timeseries"):
        with pytest.raises(NotInReferenceError, match=r"layer 'g' gives \(33, 2\)|not made for inputs"):
            question(parse(method), model)


def test_a_layer_of_keras_ends_behind_its_own_activation_and_no_other(tmp_path: Path) -> None:
    bare = conv("bare", "f") | {}
    bare["config"] = {**bare["config"], "activation": "linear"}
    layers = [conv("f", "x"), bare, one("ReLU", "relu", "bare"), one("Flatten", "flat", "relu"), dense("o", "flat")]
    case = {**IMAGE, "layers": layers}
    module = keras.load(write(case, tmp_path / "net.h5")[0].path)
    assert module.layer_outputs["f"] == "f_activation"
    assert module.layer_outputs["bare"] == "bare"
    assert module.layer_outputs["relu"] == "relu"
    x = torch.as_tensor(np.random.default_rng(0).normal(size=(1, 3, 7, 5)), dtype=torch.float32)
    given = {None: "bare", "f": "f_activation", "relu": "relu"}
    for name, end in given.items():
        expected = explain(module, x, "grad_cam", 1, target_layer=module.get_submodule(end))
        assert np.array_equal(explain(module, x, "grad_cam", 1, target_layer=name), expected)
