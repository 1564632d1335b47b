"""Models in the forms that people save them in: several inputs and outputs, nested, weights apart from their JSON."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from parity import keras
from parity.assets.inputs import InputError, load_inputs, stream_inputs
from parity.assets.models import ModelNotFoundError, resolve
from parity.commands.cli import main
from parity.keras.network import write_network
from parity.reference.request import ReferenceAnswer
from parity.run.mutants.networks import written
from parity.run.runner import Runner
from parity.run.subjects import FunctionSubject, SignxaiTorch
from parity.run.subjects.returned import ReturnedError, map_of
from signxai_torch import explain
from tests.parity.echo_client import EchoClient
from tests.parity.judged.registry import conv, dense, network
from tests.parity.keras.keras_files import functional, input_layer, layer, tiny
from tests.parity.small_networks import plan


def together(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "together.npz", **arrays)
    return folder / "together.npz"


PARTS = (("image", (2, 2, 1)), ("features", (3,)))


# --- inputs ------------------------------------------------------


def test_several_inputs_are_joined_in_the_models_order(tmp_path):
    path = together(tmp_path, features=np.array([5.0, 6, 7]), image=np.arange(4.0).reshape(2, 2, 1))
    (sample,) = stream_inputs([path], (7,), "none", PARTS)
    np.testing.assert_array_equal(sample.array, [0, 1, 2, 3, 5, 6, 7])


def test_samples_of_several_inputs_go_together(tmp_path):
    path = together(tmp_path, features=np.zeros((2, 3)), image=np.ones((2, 2, 2, 1)))
    samples = list(stream_inputs([path], (7,), "none", PARTS))
    assert [sample.name for sample in samples] == ["together[0]", "together[1]"]
    assert all(sample.array.tolist() == [1] * 4 + [0] * 3 for sample in samples)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"image": np.zeros((2, 2, 1))}, "no array 'features'"),
        ({"image": np.zeros((2, 2, 1)), "features": np.zeros(4)}, "features"),
        ({"image": np.zeros((2, 2, 2, 1)), "features": np.zeros((3, 3))}, "different numbers of samples"),
    ],
)
def test_what_is_no_sample_of_several_inputs_is_refused(tmp_path, arrays, words):
    with pytest.raises(InputError, match=words):
        list(stream_inputs([together(tmp_path, **arrays)], (7,), "none", PARTS))


def test_a_model_of_one_input_reads_arrays_as_ever(tmp_path):
    path = together(tmp_path, features=np.zeros(3))
    assert [sample.name for sample in load_inputs([path], (3,), "none")] == ["together.features"]


# --- models ------------------------------------------------------


def two_outputs(folder: Path) -> Path:
    model = tiny()
    end = model.layers[-1]
    other = layer("Activation", "other", activation="tanh")
    entries = [input_layer(5, 4, 2), *model.layers[1:], other]
    chained = [entry | {"inbound_nodes": [[[before, 0, 0, {}]]] if before else []} for entry, before in zip(
        entries, [None, *(entry["config"]["name"] for entry in entries)], strict=False)]  # fmt: skip
    model.architecture = functional(*chained)
    model.architecture["config"]["output_layers"] = [[end["config"]["name"], 0, 0], ["other", 0, 0]]
    return model.write(folder / "outputs.h5")


def test_an_output_is_chosen_by_its_name(tmp_path):
    path = two_outputs(tmp_path)
    first = keras.load(path, output=tiny().layers[-1]["config"]["name"], dtype=torch.float64)
    other = keras.load(path, output="other", dtype=torch.float64)
    x = np.random.default_rng(0).normal(size=(2, 5, 4, 2))
    assert first.description.removed_softmax
    assert not other.description.removed_softmax
    probabilities = torch.from_numpy(first.logits(x)).softmax(1)
    np.testing.assert_allclose(probabilities.tanh(), other.logits(x), rtol=1e-12)
    assert "the output 'other' alone" in other.description.spelled
    with pytest.raises(keras.ConversionError, match="no output 'third'; its outputs are"):
        keras.load(path, output="third")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("parity.run.session.ReferenceClient", EchoClient)
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient"}))
    monkeypatch.setattr(EchoClient, "interrupt_after", None)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments: str) -> dict[str, Any]:
    result = CliRunner().invoke(main, ["run", *arguments, "--method", "gradient,lrp_z"], catch_exceptions=False)
    assert result.exit_code in (0, 1), result.output
    return json.loads(Path("reports/parity.json").read_text())


def statuses(document: dict[str, Any]) -> dict[str, str]:
    return {row["method"]: row["status"] for row in document["results"] if row["dtype"] == "float64"}


def test_weights_with_their_json_under_another_name(place):
    tiny().write_weights(place / "weights.h5")
    (place / "model.json").write_text(json.dumps(tiny().architecture))
    np.save("x.npy", np.random.default_rng(0).normal(size=(5, 4, 2)).astype("float32"))
    document = run("--model", "weights.h5", "--config", "model.json", "--inputs", "x.npy")
    assert statuses(document) == {"gradient": "mismatch", "lrp_z": "parity"}
    assert "the architecture of another file" in document["models"][0]["reference_network"]
    words = shlex.split(document["results"][0]["reproduce"])
    assert words[words.index("--config") + 1] == str(place / "model.json")


def test_sizes_that_the_model_leaves_open(place):
    rng = np.random.default_rng(0)
    steps = network((None, 3), conv(rng, "c", (2,), 3, 4, activation="relu"), dense(rng, "out", 4, 2))
    write_network(steps, place / "steps.h5")
    np.save("x.npy", rng.normal(size=(6, 3)).astype("float32"))
    with pytest.raises(keras.ConversionError, match="--input-shape"):
        resolve("steps.h5").load()
    document = run("--model", "steps.h5", "--inputs", "x.npy", "--input-shape", "6,3")
    assert statuses(document) == {"gradient": "mismatch", "lrp_z": "parity"}
    assert "sizes of the input that the file leaves open" in document["models"][0]["reference_network"]
    words = shlex.split(document["results"][0]["reproduce"])
    assert words[words.index("--input-shape") + 1] == "6,3"


def test_one_output_of_two(place):
    two_outputs(place)
    np.save("x.npy", np.random.default_rng(0).normal(size=(5, 4, 2)).astype("float32"))
    document = run("--model", "outputs.h5", "--output", "other", "--inputs", "x.npy")
    assert statuses(document)["gradient"] == "mismatch"
    words = shlex.split(document["results"][0]["reproduce"])
    assert words[words.index("--output") + 1] == "other"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("vgg_mnist", None, "out"), "none of --config, --output and --input-shape"),
        (("own.h5", None, None, (("", (3,)), ("b", (3,)))), "told more than once"),
        (("own.h5", None, None, (("b", (3,)), ("b", (4,)))), "told more than once"),
        (("own.h5", Path("absent.json"), None), "there is no such file"),
        (("own.h5", Path("model.json"), None), "holds its own layers"),
    ],
)
def test_options_that_do_not_go_with_a_model(tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    tiny().write(tmp_path / "own.h5")
    (tmp_path / "model.json").write_text(json.dumps(tiny().architecture))
    with pytest.raises(ModelNotFoundError, match=words):
        resolve(*arguments)


# --- the network that the reference is given ---------------------


class AnotherFile(EchoClient):
    """Says of the user's own file what another network would say."""

    def answer(self, request):
        answers = super().answer(request)
        if request.call.kind != "file-logits":
            return answers
        return [ReferenceAnswer(np.asarray(answer.array) * 1.001) for answer in answers]


class Fused(EchoClient):
    """Cannot read the user's own file in float64, and computes something else in float32 with oneDNN."""

    def answer(self, request):
        answers = super().answer(request)
        if request.call.kind != "file-logits":
            return answers
        if request.dtype == "float64":
            return [ReferenceAnswer(None, error="ValueError: float", error_kind="method") for _ in answers]
        return [ReferenceAnswer(np.asarray(answer.array) * (2 if request.onednn else 1)) for answer in answers]


class FusedAndDead(Fused):
    """Dies where it is asked without oneDNN."""

    def answer(self, request):
        if request.call.kind == "file-logits" and not request.onednn:
            return [ReferenceAnswer(None, error="it died", error_kind="crash") for _ in request.inputs]
        return super().answer(request)


class LosingDigits(EchoClient):
    """Reads the file in float32 alone, and computes a written network with a tenth of an error there."""

    def answer(self, request):
        answers = super().answer(request)
        if request.call.kind == "file-logits" and request.dtype == "float64":
            return [ReferenceAnswer(None, error="ValueError: float", error_kind="method") for _ in answers]
        if request.call.kind == "logits" and request.dtype == "float32":
            return [ReferenceAnswer(np.asarray(answer.array) * 1.1) for answer in answers]
        return answers


@pytest.mark.parametrize(
    ("client", "fine"),
    [(EchoClient, True), (AnotherFile, False), (Fused, True), (FusedAndDead, False), (LosingDigits, False)],
)
def test_the_written_network_is_held_to_the_file(tmp_path, monkeypatch, client, fine):
    monkeypatch.setattr(EchoClient, "wrong", frozenset())
    source, (x,) = written("nested", tmp_path)
    runner = Runner(plan(source, x, "gradient", dtypes=("float64",)), client(), SignxaiTorch())
    (row,) = [outcome.row for outcome in runner.run()]
    assert ("without oneDNN" in str(runner.facts.reference_network)) is (client in (Fused, LosingDigits))
    assert (row["status"] == "parity") is fine
    assert fine or (row["failed_check"] == "logits" and "not that of the file" in row["message"])


# --- subjects ----------------------------------------------------


def test_a_function_gets_a_tuple_of_several_inputs_and_returns_one(tmp_path, monkeypatch):
    monkeypatch.setattr(EchoClient, "wrong", frozenset())
    source, (x,) = written("two_inputs", tmp_path)

    def port(model, x, method, target, **parameters):
        assert [part.shape for part in x] == [(1, 2, 5, 4), (1, 3)]
        return explain(model, x, method, target=target, **parameters)

    runner = Runner(plan(source, x, "gradient", dtypes=("float64",)), EchoClient(), FunctionSubject(port, "port"))
    assert [outcome.row["status"] for outcome in runner.run()] == ["reference-defect"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.zeros((1, 43)), "ndarray, and the model takes 2 inputs"),
        ((np.zeros((1, 2, 5, 4)),), "return a map for each"),
        ((np.zeros((1, 5, 4, 2)), np.zeros((1, 3))), "expected those of the inputs"),
    ],
)
def test_what_is_no_map_of_several_inputs(tmp_path, value, words):
    source, (x,) = written("two_inputs", tmp_path)
    with pytest.raises(ReturnedError, match=words):
        map_of(value, source.load(), x.array[None])
