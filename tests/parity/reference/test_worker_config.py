import copy

import pytest

from parity.keras.functions.table import _SOFTMAX
from parity.keras.modules.pointwise import POINTWISE, SOFTMAX
from parity.reference.worker.config import (
    _SOFTMAX_FUNCTIONS,
    FUNCTIONS,
    RefusedModelError,
    for_inference,
    refuse_foreign,
    refuse_rounding,
    without_softmax,
)

KNOWN = frozenset({"InputLayer", "Dense", "Activation", "Softmax", "Flatten", "TimeDistributed"})


def layer(kind, name, *inbound, **config):
    nodes = [[[producer, 0, 0, {}] for producer in inbound]] if inbound else []
    return {"class_name": kind, "name": name, "config": {"name": name, **config}, "inbound_nodes": nodes}


def functional(*layers, outputs=None):
    last = layers[-1]["name"]
    body = {
        "name": "model",
        "layers": list(layers),
        "input_layers": [["in", 0, 0]],
        "output_layers": [[name, 0, 0] for name in outputs or [last]],
    }
    return {"class_name": "Functional", "config": body}


def sequential(*layers):
    return {"class_name": "Sequential", "config": {"name": "model", "layers": list(layers)}}


IN = layer("InputLayer", "in")


def names(config):
    return [entry["config"]["name"] for entry in config["config"]["layers"]]


def test_softmax_attribute_becomes_linear_on_a_copy():
    config = functional(IN, layer("Dense", "d", "in", activation="softmax"))
    before = copy.deepcopy(config)
    found, removed = without_softmax(config)
    assert removed
    assert found["config"]["layers"][-1]["config"]["activation"] == "linear"
    assert config == before


@pytest.mark.parametrize("last", [("Activation", {"activation": "softmax"}), ("Softmax", {"axis": -1})])
def test_a_softmax_layer_is_left_out(last):
    kind, settings = last
    found, removed = without_softmax(functional(IN, layer("Dense", "d", "in"), layer(kind, "s", "d", **settings)))
    assert removed
    assert names(found) == ["in", "d"]
    assert found["config"]["output_layers"] == [["d", 0, 0]]
    found, removed = without_softmax(sequential(layer("Dense", "d"), layer(kind, "s", **settings)))
    assert removed
    assert names(found) == ["d"]


def test_a_softmax_in_the_middle_and_other_last_activations_stay():
    config = functional(IN, layer("Softmax", "s", "in"), layer("Dense", "d", "s", activation="sigmoid"))
    assert without_softmax(config) == (config, False)


def test_the_output_layer_is_found_wherever_it_stands():
    config = functional(IN, layer("Dense", "d", "in", activation="softmax"), layer("Dense", "x", "in"), outputs=["d"])
    found, removed = without_softmax(config)
    assert removed
    assert found["config"]["layers"][1]["config"]["activation"] == "linear"


def test_a_nested_last_model_loses_its_softmax():
    inner = sequential(layer("Dense", "d", activation="softmax"))
    found, removed = without_softmax(sequential(layer("Flatten", "f"), inner))
    assert removed
    assert found["config"]["layers"][1]["config"]["layers"][0]["config"]["activation"] == "linear"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (functional(IN, layer("Dense", "a", "in"), layer("Dense", "b", "in"), outputs=["a", "b"]), "2 outputs"),
        (sequential(layer("Softmax", "s")), "nothing else"),
    ],
)
def test_models_without_one_output_are_refused(config, words):
    with pytest.raises(RefusedModelError, match=words):
        without_softmax(config)


def test_several_inputs_are_kept():
    config = functional(IN, layer("Dense", "a", "in", activation="softmax"))
    config["config"]["input_layers"].append(["other", 0, 0])
    changed, _ = without_softmax(config)
    assert changed["config"]["input_layers"] == config["config"]["input_layers"]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (layer("Lambda", "l"), "holds code"),
        (layer("TFOpLambda", "l"), "holds code"),
        (layer("Mine", "l"), "custom class 'Mine'"),
        (sequential(layer("Lambda", "l")), "holds code"),
        (layer("TimeDistributed", "l", layer=layer("Lambda", "l")), "holds code"),
    ],
)
def test_code_and_custom_layers_are_refused_by_name(bad, words):
    with pytest.raises(RefusedModelError, match=f"'l'.*{words}"):
        refuse_foreign(sequential(layer("Flatten", "f"), bad), KNOWN)


def test_the_functions_that_are_built_are_those_that_are_converted():
    assert set(FUNCTIONS) == {*POINTWISE, SOFTMAX}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_of_tensorflow_by_name_are_built(function):
    refuse_foreign(sequential(layer("Flatten", "f"), layer("TFOpLambda", "l", function=function)), KNOWN)


@pytest.mark.parametrize("function", ["io.read_file", "py_function", "raw_ops.PyFunc", "math.reduce_sum", 3, None])
def test_other_functions_are_not(function):
    with pytest.raises(RefusedModelError, match=r"'l'.*holds code"):
        refuse_foreign(sequential(layer("Flatten", "f"), layer("TFOpLambda", "l", function=function)), KNOWN)


def test_a_custom_model_class_is_refused():
    with pytest.raises(RefusedModelError, match="'MyModel'"):
        refuse_foreign({"class_name": "MyModel", "config": {}}, KNOWN)


def test_the_dtype_reaches_every_layer_whatever_policy_it_had():
    policy = {"class_name": "Policy", "config": {"name": "mixed_float16"}}
    config = sequential(layer("Dense", "a", dtype=policy), sequential(layer("Dense", "b", dtype="float32")))
    found = for_inference(config, "float64")
    assert found["config"]["layers"][0]["config"]["dtype"] == "float64"
    assert found["config"]["layers"][1]["config"]["layers"][0]["config"]["dtype"] == "float64"
    assert config["config"]["layers"][0]["config"]["dtype"] == policy


def test_what_only_training_needs_is_dropped():
    mine = {"class_name": "Mine", "config": {}}
    dense = layer("Dense", "d", kernel_initializer=mine, kernel_regularizer=mine, bias_constraint=mine, units=3)
    settings = for_inference(sequential(dense), "float32")["config"]["layers"][0]["config"]
    assert settings["kernel_initializer"]["class_name"] == "Zeros"
    assert settings["kernel_regularizer"] is None
    assert settings["bias_constraint"] is None
    assert settings["units"] == 3


LEAKY = {"name": "leaky_re_lu", "trainable": True, "dtype": "float32", "alpha": 0.1}


@pytest.mark.parametrize(
    "form",
    [
        {"class_name": "LeakyReLU", "config": LEAKY},
        {"module": "keras.layers", "class_name": "LeakyReLU", "config": LEAKY, "registered_name": None},
        {"class_name": "LeakyReLU", "config": LEAKY, "__passive_serialization__": True, "shared_object_id": 3},
    ],
)
def test_keras_own_activation_layers_are_built_in_the_models_dtype(form):
    """Left in the dtype of the file, such a layer would round the maps of a float64 model to float32."""
    config = sequential(layer("Dense", "d", activation=form))
    refuse_foreign(config, KNOWN)
    built = for_inference(config, "float64")["config"]["layers"][0]["config"]["activation"]
    assert built == {"class_name": "LeakyReLU", "config": {**LEAKY, "dtype": "float64"}}


def test_an_activation_layer_as_an_activation_is_what_it_holds():
    """Keras 2.12 itself cannot read it back: `Unknown activation function: 'Activation'`."""
    inner = {"class_name": "Activation", "config": {"activation": {"class_name": "ELU", "config": {"alpha": 2.0}}}}
    config = sequential(layer("Activation", "a", activation=inner))
    refuse_foreign(config, KNOWN)
    built = for_inference(config, "float64")["config"]["layers"][0]["config"]["activation"]
    assert built == {"class_name": "ELU", "config": {"alpha": 2.0, "dtype": "float64"}}


@pytest.mark.parametrize("module", ["builtins", "keras.activations", None])
def test_a_function_of_keras_written_as_an_object_is_its_name(module):
    form = {"module": module, "class_name": "function", "config": "relu", "registered_name": "relu"}
    config = sequential(layer("Dense", "d", activation=form))
    refuse_foreign(config, KNOWN)
    assert for_inference(config, "float64")["config"]["layers"][0]["config"]["activation"] == "relu"


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"class_name": "PReLU", "config": {}}, "PReLU.*weights.*layer of its own"),
        ({"class_name": "Dense", "config": {"units": 3}}, "class 'Dense'"),
        ({"class_name": "Lambda", "config": {"function": "..."}}, "class 'Lambda'"),
        ({"class_name": "__lambda__", "config": {"value": "4wEAAAA="}}, "class '__lambda__'"),
        ({"class_name": "Mine", "config": {}}, "class 'Mine'"),
        ({"class_name": "ReLU", "config": {}, "registered_name": "Custom>ReLU"}, "custom.*'Custom>ReLU'"),
        ({"class_name": "ReLU", "config": {}, "module": "mine.layers"}, "custom activation of class 'ReLU'"),
        ({"class_name": "function", "config": "mine", "module": "mine"}, "custom activation 'mine'"),
        ({"class_name": "function", "config": "f", "registered_name": "Custom>f"}, "custom activation 'f'"),
        ({"class_name": "Activation", "config": {"activation": {"class_name": "PReLU", "config": {}}}}, "PReLU"),
        (["4wEAAAA=", None, None], "code"),
        ({"config": {}}, "code"),
    ],
)
def test_code_and_foreign_activations_are_refused_by_the_layers_name(form, words):
    with pytest.raises(RefusedModelError, match=f"'l'.*{words}"):
        refuse_foreign(sequential(layer("Dense", "l", activation=form)), KNOWN)


@pytest.mark.parametrize(
    "softmax",
    [
        {"class_name": "Softmax", "config": {"axis": -1}},
        {"class_name": "Activation", "config": {"activation": "softmax"}},
        {"module": "keras.activations", "class_name": "function", "config": "softmax", "registered_name": "softmax"},
    ],
)
def test_a_last_softmax_written_as_an_object_is_taken_off_too(softmax):
    found, removed = without_softmax(sequential(layer("Dense", "d", activation=softmax)))
    assert removed
    assert found["config"]["layers"][0]["config"]["activation"] == "linear"


def test_operations_are_built_where_their_functions_may_be_called():
    bad = sequential(layer("Flatten", "f"), layer("SlicingOpLambda", "l", function="__operators__.getitem"))
    refuse_foreign(bad, KNOWN, lambda function: function == "__operators__.getitem")
    with pytest.raises(RefusedModelError, match=r"'l'.*holds code"):
        refuse_foreign(bad, KNOWN, lambda function: False)


@pytest.mark.parametrize("function", ["cast", "compat.v1.cast", "image.rgb_to_grayscale"])
def test_operations_that_round_to_float32_are_told(function):
    with pytest.raises(RefusedModelError, match=f"{function.removeprefix('compat.v1.')} in float32"):
        refuse_rounding(sequential(layer("TFOpLambda", "l", function=function)))
    refuse_rounding(sequential(layer("TFOpLambda", "l", function="math.reduce_mean"), layer("Dense", "d")))


def test_a_bare_softmax_at_the_end_is_left_out():
    ends = [layer("Dense", "d"), layer("TFOpLambda", "s", function="nn.softmax")]
    model = {"class_name": "Functional", "config": {"layers": ends, "output_layers": [["s", 0, 0]]}}
    ends[1]["inbound_nodes"] = [["d", 0, 0, {"axis": -1}]]
    config, had_softmax = without_softmax(model)
    assert had_softmax
    assert config["config"]["output_layers"] == [["d", 0, 0]]
    assert [entry["config"]["name"] for entry in config["config"]["layers"]] == ["d"]


def test_inputs_and_outputs_named_by_a_dict_come_in_a_list():
    model = functional(layer("InputLayer", "b"), layer("InputLayer", "a"), layer("Dense", "d", "a"))
    model["config"] |= {"input_layers": {"z": ["b", 0, 0], "a": ["a", 0, 0]}, "output_layers": {"y": ["d", 0, 0]}}
    config, _ = without_softmax(model)
    assert config["config"]["input_layers"] == [["a", 0, 0], ["b", 0, 0]]
    assert config["config"]["output_layers"] == [["d", 0, 0]]


def test_a_choice_of_two_numbers_rounds_to_float32():
    def chosen(**told):
        call = {"class_name": "TFOpLambda", "config": {"name": "w", "function": "where"}}
        return sequential(call | {"inbound_nodes": [["c", 0, 0, told]]})

    with pytest.raises(RefusedModelError, match="where of two numbers in float32"):
        refuse_rounding(chosen(x=0.1, y=2))
    refuse_rounding(chosen(x=["d", 0, 0], y=0.1))


def test_the_converter_and_the_worker_take_the_same_softmaxes_off():
    assert {name.removeprefix("compat.v1.") for name in _SOFTMAX_FUNCTIONS} | {"ops.Softmax"} == set(_SOFTMAX)
