"""Files that cannot be converted: each ends in one sentence that names the file, the place and what to do."""

from __future__ import annotations

import json
import sys
import zipfile

import h5py
import numpy as np
import pytest
import torch

import parity.keras
from parity.errors import ParityError
from parity.keras import ConversionError
from tests.parity.keras.keras_files import (
    KerasModel,
    functional,
    input_layer,
    layer,
    sequential,
    tiny,
    tiny_branches,
    write_by_name,
)


def refusal(path, **arguments) -> str:
    """Return the message of the refusal."""
    with pytest.raises(ConversionError) as caught:
        parity.keras.load(path, **arguments)
    message = str(caught.value)
    assert isinstance(caught.value, ParityError)
    assert message.endswith((".", "?")), message
    return message


# ---------------------------------------------------------------- layers and configurations


def head(*layers):
    """Return a model that starts with the given layers on a (5, 4, 2) input."""
    return KerasModel(sequential(input_layer(5, 4, 2), *layers, layer("Flatten", "flatten")))


def transposed(axes, **settings):
    """Return a model of one transposed convolution."""
    made = layer(f"Conv{axes}DTranspose", "up", filters=3, kernel_size=[2] * axes, **settings)
    weights = {"up": {"kernel": np.zeros((*[2] * axes, 3, 2)), "bias": np.zeros(3)}}
    return KerasModel(sequential(input_layer(*[4] * axes, 2), made), weights)


LAMBDA = {"function": ["4wEAAAAAAAAA", None, None], "function_type": "lambda"}
LAYERS = {
    "unknown class": (head(layer("Hashing", "deep")), ["'deep'", "Hashing", "Replace it"]),
    "custom class": (head(layer("MyAttention", "mine")), ["'mine'", "MyAttention", "never run"]),
    "custom class of a package": (
        head({"class_name": "ReLU", "registered_name": "pkg>ReLU", "config": {"name": "mine"}}),
        ["'mine'", "pkg>ReLU", "never run"],
    ),
    "custom class with Keras's name": (
        head({"class_name": "ReLU", "module": "my_code", "config": {"name": "mine"}}),
        ["'mine'", "my_code.ReLU", "never run"],
    ),
    "Lambda": (head(layer("Lambda", "code", **LAMBDA)), ["'code'", "Lambda", "never run"]),
    "TensorFlow operation": (
        head(layer("TFOpLambda", "tf.math.add", function="math.add")),
        ["'tf.math.add'", "math.add", "layers of Keras"],
    ),
    "custom activation": (
        head(layer("Activation", "act", activation="my_function")),
        ["'act'", "'my_function'", "never run"],
    ),
    "lambda as activation": (
        head(layer("Activation", "act", activation={"class_name": "__lambda__", "config": {"value": "x"}})),
        ["'act'", "__lambda__", "not supported"],
    ),
    "marshalled activation": (head(layer("Activation", "act", activation=["4wEA", None])), ["'act'", "lambda"]),
    "custom layer as activation": (
        head(layer("Activation", "act", activation={"class_name": "Mine", "config": {}})),
        ["'act'", "'Mine'"],
    ),
    "channels somewhere": (
        head(layer("MaxPooling2D", "pool", pool_size=[2, 2], data_format="channels_middle")),
        ["'pool'", "'channels_middle'", "expected 'channels_last'"],
    ),
    "interpolation": (
        head(layer("UpSampling2D", "up", size=[2, 2], interpolation="bicubic")),
        ["'up'", "'bicubic'", "Use 'nearest'"],
    ),
    "transposed with an output padding that TensorFlow refuses": (
        transposed(2, output_padding=3, strides=3),
        ["'up'", "'output_padding' of 3", "Rebuild"],
    ),
    "transposed over volumes, dilated": (transposed(3, dilation_rate=2), ["'up'", "'dilation_rate'", "Rebuild"]),
    "connected in an unknown way": (
        KerasModel(
            sequential(
                input_layer(5, 2), layer("LocallyConnected1D", "c", filters=3, kernel_size=[2], implementation=4)
            ),
            {"c": {"kernel": np.zeros((4, 4, 3)), "bias": np.zeros((4, 3))}},
        ),
        ["'c'", "'implementation' is 4", "1, 2 or 3"],
    ),
    "vector repeated never": (
        head(layer("Flatten", "f"), layer("RepeatVector", "again", n=0)),
        ["'again'", "positive"],
    ),
    "mask that would be used": (
        KerasModel(sequential(input_layer(5, 4), layer("Masking", "m"), layer("Softmax", "soft"))),
        ["'soft'", "mask", "without masks"],
    ),
    "wrong rank": (head(layer("GlobalMaxPooling1D", "pool")), ["'pool'", "3 axes", "expected 2"]),
    "window too large": (
        head(layer("MaxPooling2D", "pool", pool_size=[6, 2], padding="valid")),
        ["'pool'", "larger than its input"],
    ),
    "unknown padding": (head(layer("MaxPooling2D", "pool", padding="full")), ["'pool'", "'full'", "valid, same"]),
    "text where a number belongs": (
        head(layer("MaxPooling2D", "pool", pool_size="two")),
        ["'pool'", "'pool_size'", "'two'"],
    ),
    "negative size": (head(layer("MaxPooling2D", "pool", pool_size=[-2, 2])), ["'pool'", "positive"]),
    "no size": (head(layer("MaxPooling2D", "pool", pool_size=[])), ["'pool'", "'pool_size'"]),
    "padding of three axes": (head(layer("ZeroPadding2D", "pad", padding=[1, 2, 3])), ["'pad'", "2 pairs"]),
    "negative padding": (head(layer("ZeroPadding2D", "pad", padding=-1)), ["'pad'", "not negative"]),
    "crops everything": (head(layer("Cropping2D", "crop", cropping=[[3, 2], [0, 0]])), ["'crop'", "nothing is left"]),
    "impossible reshape": (head(layer("Reshape", "shape", target_shape=[7, 3])), ["'shape'", "[7, 3]"]),
    "reshape with two open sizes": (head(layer("Reshape", "shape", target_shape=[-1, -1])), ["'shape'", "-1"]),
    "permutation with a repeat": (head(layer("Permute", "turn", dims=[1, 1, 2])), ["'turn'", "[1, 1, 2]"]),
    "softmax over the batch": (head(layer("Softmax", "soft", axis=0)), ["'soft'", "axis"]),
    "softmax over two axes": (head(layer("Softmax", "soft", axis=[1, 2])), ["'soft'", "axis"]),
    "dropout rate": (head(layer("Dropout", "drop", rate=1.5)), ["'drop'", "1.5"]),
    "number that is none": (head(layer("LeakyReLU", "leak", alpha=float("nan"))), ["'leak'", "'alpha'", "nan"]),
    "output beyond any memory": (head(layer("ZeroPadding2D", "pad", padding=10**8)), ["'pad'", "numbers per sample"]),
    "dropout without rate": (head(layer("Dropout", "drop")), ["'drop'", "lacks 'rate'"]),
    "output of an open size": (
        KerasModel(sequential(input_layer(None, 4, 2), layer("ReLU", "re"))),
        ["'re'", "(None, 4, 2)"],
    ),
    "open size at Flatten": (
        KerasModel(sequential(input_layer(None, 4, 2), layer("Flatten", "flat"))),
        ["'flat'", "open", "--input-shape"],
    ),
    "input beyond any memory": (
        KerasModel(sequential(input_layer(10**6, 10**6), layer("Flatten", "flat"))),
        ["'x'", "numbers per sample"],
    ),
    "no input shape": (KerasModel(sequential(layer("Flatten", "flat"))), ["input shape", "'tiny'"]),
    "no layers": (KerasModel(sequential()), ["'tiny'", "no list of layers"]),
    "only an input": (KerasModel(sequential(input_layer(4))), ["'tiny'", "no layers"]),
    "subclassed model": (KerasModel({"class_name": "MyModel", "config": {}}), ["'MyModel'", "rebuild"]),
    "architecture is a list": (KerasModel([1, 2]), ["not a JSON object"]),
    "layer is a number": (KerasModel(sequential(3)), ["int"]),
    "layer without a name": (KerasModel(sequential(input_layer(4), {"class_name": "ReLU", "config": {}})), ["name"]),
    "two layers of one name": (head(layer("ReLU", "same"), layer("ReLU", "same")), ["'same'", "Rename"]),
}


@pytest.mark.parametrize("case", LAYERS)
def test_layers(tmp_path, case):
    model, said = LAYERS[case]
    message = refusal(model.write(tmp_path / "spoilt.h5"))
    for part in ["spoilt.h5", *said]:
        assert part in message


# ---------------------------------------------------------------- graphs


def _inputs(model):
    model.layers.insert(1, input_layer(5, 4, 2, name="second", inbound=[]))
    model.architecture["config"]["input_layers"].append(["second", 0, 0])


def _outputs(model):
    model.architecture["config"]["output_layers"].append(["add", 0, 0])


def _shared(model):
    model.layers[1]["inbound_nodes"].append([["right", 0, 0, {}]])


def _other_call(model):
    _shared(model)
    model.layers[3]["inbound_nodes"][0][0][1] = 5


def _circle(model):
    model.layers[1]["inbound_nodes"] = [[["dense", 0, 0, {}]]]


def _nowhere(model):
    model.layers[3]["inbound_nodes"][0][1][0] = "nowhere"


def _second_tensor(model):
    model.layers[3]["inbound_nodes"][0][1][2] = 1


def _constant(model):
    model.layers[3]["inbound_nodes"][0][1][3] = {"y": 2.0}


def _training(model):
    model.layers[1]["inbound_nodes"][0][0][3] = {"training": True}


def _dangling(model):
    model.layers.append(layer("ReLU", "dangling", "left"))
    model.architecture["config"]["output_layers"] = [["dense", 0, 0]]


def _not_called(model):
    model.layers[1]["inbound_nodes"] = []


def _no_nodes(model):
    del model.layers[1]["inbound_nodes"]


def _hidden_input(model):
    model.layers.insert(1, input_layer(5, 4, 2, name="second", inbound=[]))


def _unlike_shapes(model):
    model.layers[1]["config"]["padding"] = "valid"


def _three_into_one(model):
    model.layers[4]["inbound_nodes"] = [[["add", 0, 0, {}], ["left", 0, 0, {}]]]


GRAPHS = {
    "an input that leads nowhere": (_inputs, ["'second'", "does not lead"]),
    "several outputs": (_outputs, ["2 outputs", "dense, add", "--output"]),
    "an input that is not declared": (_hidden_input, ["'second'", "not among its inputs"]),
    "a call that leads nowhere": (_shared, ["'left_call_2'", "does not lead"]),
    "a call that is not there": (_other_call, ["'add'", "call 5", "'left'"]),
    "a circle": (_circle, ["circle"]),
    "a producer that is not there": (_nowhere, ["'add'", "'nowhere'"]),
    "a second output of a layer": (_second_tensor, ["'add'", "'right'", "output 1"]),
    "a constant as argument": (_constant, ["'add'", "y=2.0"]),
    "training=True": (_training, ["'left'", "training=True"]),
    "a layer that leads nowhere": (_dangling, ["'dangling'", "output"]),
    "a layer never called": (_not_called, ["'left'", "never called"]),
    "a layer without nodes": (_no_nodes, ["'left'", "inbound_nodes"]),
    "shapes that do not add up": (_unlike_shapes, ["'add'", "do not match"]),
    "two tensors for a layer of one": (_three_into_one, ["'mean'", "2 tensors"]),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_graphs(tmp_path, case):
    spoil, said = GRAPHS[case]
    model = tiny_branches()
    spoil(model)
    message = refusal(model.write(tmp_path / "spoilt.h5"))
    for part in ["spoilt.h5", *said]:
        assert part in message


def test_everything_that_cannot_be_converted_is_told_at_once(tmp_path):
    layers = [
        layer("TFOpLambda", "odd", function="math.cumsum"),
        layer("Discretization", "bins"),
        layer("Custom>Mine", "mine"),
        layer("Mine2", "mine_too"),
        layer("Lambda", "code", **LAMBDA),
    ]
    message = refusal(KerasModel(sequential(input_layer(4), *layers)).write(tmp_path / "m.h5"))
    for part in ["5 things", "'odd'", "math.cumsum", "Keras' own Discretization", "none of Keras' own", "'code'"]:
        assert part in message


OPERATIONS = {
    "not in the table": ("math.floordiv", {"y": 127.5}, ["(math.floordiv)", "is not in the table"]),
    "a bound of many that costs digits": ("math.maximum", {"y": [3.0, -3e9]}, ["by -3000000000.0", "lose digits"]),
    "no layer does that": ("math.pow", {"y": [3.0, 2.0]}, ["to the power of one number"]),
    "a bound that costs digits": ("math.maximum", {"y": -3e9}, ["bounds values by -3000000000.0", "lose digits"]),
    "a divisor that may be 0": ("math.divide_no_nan", {"y": ["x", 0, 0]}, ["gives 0 where they are 0"]),
    "a power without layers": ("math.pow", {"y": 2.5}, ["raises to the power 2.5"]),
    "a power of a power": ("math.pow", {"y": ["x", 0, 0]}, ["to the power of one number"]),
    "lengths by sums": ("norm", {"ord": 1, "axis": 1}, ["ord=1", "only the Euclidean norm"]),
    "a part of the batch": ("__operators__.getitem", {"slice_spec": [{"start": 1}]}, ["takes a part of the batch"]),
    "nothing of an axis": ("__operators__.getitem", {"slice_spec": [{}, {"start": 70}]}, ["takes nothing", "of 70"]),
    "parts of the wrong sizes": ("split", {"num_or_size_splits": 3, "axis": 1}, ["splits 70 places into 3 parts"]),
    "a setting that is not known": ("math.reduce_mean", {"axis": 1, "keep_dims": True}, ["keep_dims=True"]),
    "an image of TensorFlow 1": ("compat.v1.image.resize", {"size": [3, 3]}, ["(compat.v1.image.resize)"]),
    "gathered by values": ("gather", {"indices": ["x", 0, 0], "axis": 1}, ["only constant places are"]),
    "a part of the batch by tf.slice": ("slice", {"begin": [0, 0, 0], "size": [2, -1, -1]}, ["part of the batch"]),
    "another epsilon": ("math.l2_normalize", {"axis": -1, "epsilon": 0.1}, ["epsilon=0.1"]),
    "copies of samples": ("tile", {"multiples": [2, 1, 1]}, ["the batch among them"]),
    "a series turned around as one image": ("image.flip_left_right", {}, ["tensors of 3 axes", "only images"]),
    "a constant of more axes": ("math.multiply", {"y": [[[[1.0, 2.0]]]]}, ["more axes than the tensor"]),
    "half precision": ("cast", {"dtype": "float16"}, ["casts to 'float16'"]),
    "samples added up": ("math.reduce_sum", {"axis": 0}, ["works along the batch axis"]),
    "an axis too long to turn around": (
        "__operators__.getitem", {"slice_spec": [{"class_name": "__ellipsis__"}, {"step": -1}, {}]}, ["70 places"],
    ),
    "channels first": ("nn.bias_add", {"bias": [1.0, 2.0], "data_format": "NCHW"}, ["that are the first axis"]),
}  # fmt: skip


@pytest.mark.parametrize("case", OPERATIONS)
def test_a_bare_operation_with_constants_is_told_as_what_it_is(tmp_path, case):
    """And not as a layer whose call passes something that could be left out."""
    function, told, said = OPERATIONS[case]
    operation = layer("TFOpLambda", "odd", [], function=function)
    operation["inbound_nodes"] = [["x", 0, 0, told]]
    model = KerasModel(functional(input_layer(70, 2, inbound=[]), operation, layer("Flatten", "flat", "odd")))
    message = refusal(model.write(tmp_path / "m.h5"))
    for part in ["'odd' (TFOpLambda)", "bare operation", *said, "Use layers of Keras instead"]:
        assert part in message
    assert "Call the layer without it" not in message


def test_results_that_no_layer_gives(tmp_path):
    lstm = layer("LSTM", "cell", "x", units=2, return_state=True)
    for result, said in ((3, "'cell' result 3 is read, and it has 2"), (10**9, "which it cannot have")):
        head = layer("Flatten", "flat")
        head["inbound_nodes"] = [[["cell", 0, result, {}]]]
        model = KerasModel(functional(input_layer(7, 2, inbound=[]), lstm, head))
        assert said in refusal(model.write(tmp_path / "m.h5"))


def _of_sizes(function, **told):
    """Return an operation on a series that is told the size of its batch."""
    sizes = layer("TFOpLambda", "sizes", "x", function="compat.v1.shape")
    batch = layer("SlicingOpLambda", "batch", "sizes", function="__operators__.getitem")
    batch["inbound_nodes"] = [["sizes", 0, 0, {"slice_spec": 0}]]
    operation = layer("TFOpLambda", "odd", [], function=function)
    operation["inbound_nodes"] = [["x", 0, 0, {key: _placed(value) for key, value in told.items()}]]
    return [input_layer(7, 2, inbound=[]), sizes, batch, operation]


def _placed(value):
    return (
        ["batch", 0, 0] if value == "the batch" else [_placed(item) for item in value] if type(value) is list else value
    )


@pytest.mark.parametrize(
    ("function", "told", "said"),
    [
        ("__operators__.getitem", {"slice_spec": [{}, "the batch"]}, "takes the part the batch's size"),
        ("roll", {"shift": "the batch", "axis": 1}, "moves by the batch's size places"),
        ("math.add", {"y": "the batch"}, "has a constant that is no finite number"),
    ],
)
def test_the_batchs_size_is_no_number(tmp_path, function, told, said):
    model = KerasModel(functional(*_of_sizes(function, **told), layer("Flatten", "flat", "odd")))
    assert said in refusal(model.write(tmp_path / "m.h5"))


def test_arithmetic_of_sizes_and_a_size_as_the_output(tmp_path):
    *layers, _ = _of_sizes("roll", shift=1, axis=1)
    less = layer("TFOpLambda", "less", [], function="math.subtract")
    less["inbound_nodes"] = [["batch", 0, 0, {"y": 1}]]
    model = KerasModel(functional(*layers, less))
    assert "computes with sizes of tensors" in refusal(model.write(tmp_path / "m.h5"))
    assert "is the size of a tensor" in refusal(KerasModel(functional(*layers)).write(tmp_path / "n.h5"))


def test_sizes_of_a_tensor_where_values_belong(tmp_path):
    sizes = layer("TFOpLambda", "sizes", "x", function="compat.v1.shape")
    model = KerasModel(functional(input_layer(7, 2, inbound=[]), sizes, layer("Flatten", "flat", "sizes")))
    assert "'flat' (Flatten): it reads sizes of a tensor" in refusal(model.write(tmp_path / "m.h5"))


def test_endless_nesting(tmp_path):
    architecture = sequential(layer("ReLU", "relu"))
    for depth in range(60):
        architecture = sequential(architecture | {"name": f"n{depth}"}, name=f"n{depth}")
    assert "deep" in refusal(KerasModel(architecture).write(tmp_path / "m.h5"))


# ---------------------------------------------------------------- weights


def _wrong_shape(model):
    model.weights["dense"]["kernel"] = np.ones((35, 4))


def _transposed(model):
    model.weights["dense"]["kernel"] = model.weights["dense"]["kernel"].T


def _missing(model):
    del model.weights["dense"]["bias"]


def _left_over(model):
    model.weights["dense"]["extra"] = np.ones(3)


def _missing_layer(model):
    del model.weights["conv"]


def _left_over_layer(model):
    model.weights["other"] = {"kernel": np.ones(3)}


def _model_weights(model):
    model.weights["top_level_model_weights"] = {"kernel": np.ones(3)}


def _nan(model):
    model.weights["conv"]["kernel"][1, 0, 1, 2] = np.nan


def _infinite(model):
    model.weights["dense"]["bias"][2] = np.inf


def _too_large_for_float32(model):
    model.weights["dense"]["bias"][2] = 1e300


def _integers(model):
    model.weights["dense"]["bias"] = np.ones(4, np.int8)


def _exchanged(model):
    bias = model.weights["conv"]
    model.weights["conv"] = {"bias": bias["bias"], "kernel": bias["kernel"]}


def _units(model):
    model.layers[3]["config"]["units"] = 10**9


def _groups(model):
    model.layers[1]["config"]["groups"] = 3


WEIGHTS = {
    "wrong shape": (_wrong_shape, ["'dense'", "'kernel'", "(35, 4)", "(36, 4)"]),
    "transposed": (_transposed, ["'dense'", "(4, 36)", "(36, 4)"]),
    "a parameter never filled": (_missing, ["'dense'", "never be filled", "kernel, bias"]),
    "a tensor left over": (_left_over, ["'dense'", "left over"]),
    "a layer without weights": (_missing_layer, ["'conv'", "no weights"]),
    "weights without a layer": (_left_over_layer, ["'other'", "left over"]),
    "weights of the model itself": (_model_weights, ["top_level_model_weights", "left over"]),
    "NaN": (_nan, ["'conv'", "'kernel'", "NaN", "1 of 24", "(1, 0, 1, 2)"]),
    "infinity": (_infinite, ["'dense'", "'bias'", "infinity", "(2,)"]),
    "overflow in float32": (_too_large_for_float32, ["'dense'", "'bias'", "infinity"]),
    "integers": (_integers, ["dense", "int8", "float"]),
    "exchanged": (_exchanged, ["bias"]),
    "absurd size": (_units, ["'dense'", "1000000000"]),
    "groups": (_groups, ["'conv'", "3 groups"]),
}


@pytest.mark.parametrize("case", WEIGHTS)
def test_weights(tmp_path, case):
    spoil, said = WEIGHTS[case]
    model = tiny()
    spoil(model)
    message = refusal(model.write(tmp_path / "spoilt.h5"))
    for part in ["spoilt.h5", *said]:
        assert part in message


def test_float64_takes_what_float32_cannot(tmp_path):
    model = tiny()
    _too_large_for_float32(model)
    module = parity.keras.load(model.write(tmp_path / "m.h5"), dtype=torch.float64)
    assert module.dense.bias.max() == 1e300


def test_negative_variance(tmp_path):
    vectors = {"gamma": 1.0, "beta": 0.0, "moving_mean": 0.0, "moving_variance": -1.0}
    weights = {"norm": {name: np.full(4, value) for name, value in vectors.items()}}
    model = KerasModel(sequential(input_layer(4), layer("BatchNormalization", "norm", epsilon=1e-3)), weights)
    assert "'norm'" in (message := refusal(model.write(tmp_path / "m.h5")))
    assert "moving_variance" in message


def test_positions_with_a_layer_too_many(tmp_path):
    path = tmp_path / "m.weights.h5"
    model = tiny()
    with h5py.File(path, "w") as file:
        for group, name in (("conv2d", "conv"), ("dense", "dense"), ("dense_1", "dense")):
            for i, values in enumerate(model.weights[name].values()):
                file[f"layers/{group}/vars/{i}"] = values
    (tmp_path / "m.json").write_text(json.dumps(model.architecture))
    message = refusal(path)
    assert "dense_1" in message
    assert "left over" in message


def test_positions_with_a_layer_too_few_or_a_gap(tmp_path):
    path = tmp_path / "m.weights.h5"
    model = tiny()
    (tmp_path / "m.json").write_text(json.dumps(model.architecture))
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = model.weights["conv"]["kernel"]
        file["layers/conv2d/vars/1"] = model.weights["conv"]["bias"]
    assert "'dense'" in refusal(path)
    with h5py.File(path, "a") as file:
        file["layers/dense/vars/1"] = model.weights["dense"]["bias"]
    assert "not 0, 1, 2" in refusal(path)


# ---------------------------------------------------------------- files


def test_absent_and_directory(tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.h5")
    assert "directory" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["checkpoint", "m.index", "m.data-00000-of-00001", "m"])
def test_checkpoints_of_tensorflow(tmp_path, name):
    for file in ("checkpoint", "m.index", "m.data-00000-of-00001"):
        (tmp_path / file).write_bytes(b"tensors")
    message = refusal(tmp_path / name)
    for word in (name, "a TensorFlow checkpoint", "without the model", "model.load_weights", "model.save('model.h5')"):
        assert word in message


KERAS_1 = {
    "by a class": [layer("Convolution2D", "c", nb_filter=3)],
    "by a setting": [layer("Dense", "d", output_dim=3, W_regularizer=None)],
    "inside of a model": [{"class_name": "Sequential", "config": [layer("Merge", "m", mode="concat")]}],
}


@pytest.mark.parametrize("case", KERAS_1)
@pytest.mark.parametrize("as_list", [True, False])
def test_files_of_keras_1_are_named_as_such(tmp_path, case, as_list):
    architecture = sequential(input_layer(5, 4, 2), *KERAS_1[case])
    if as_list:  # as Keras 1 keeps a Sequential model
        architecture["config"] = architecture["config"]["layers"]
    message = refusal(KerasModel(architecture, {}).write(tmp_path / "old.h5"))
    for word in ("old.h5", "a file of Keras 1", "Keras 2.0 to 2.3", "save it again"):
        assert word in message
    assert message.count(". ") == 0, "one sentence"


def test_the_version_in_a_file_tells_keras_1_too(tmp_path):
    path = tiny().write(tmp_path / "old.h5")
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["keras_version"] = b"1.2.2"
    assert "Keras 1 (version 1.2.2)" in refusal(path)


@pytest.mark.parametrize("size", [0, 1, 100, 100_000])
def test_random_bytes(tmp_path, size):
    path = tmp_path / "noise.h5"
    path.write_bytes(np.random.default_rng(1).bytes(size))
    assert "noise.h5" in refusal(path)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path, part):
    path = tiny().write(tmp_path / "cut.h5")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    assert "cut.h5" in refusal(path)


def test_hdf5_that_is_not_keras(tmp_path):
    path = tmp_path / "data.h5"
    with h5py.File(path, "w") as file:
        file["measurements"] = np.ones(3)
    assert "not a Keras model" in refusal(path)


def test_full_file_without_weights(tmp_path):
    path = tmp_path / "m.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps(tiny().architecture)
    assert "not a Keras model" in refusal(path)
    with h5py.File(path, "a") as file:
        file.create_group("model_weights")
    assert "layer_names" in refusal(path)


def test_architecture_that_is_not_json(tmp_path):
    path = tiny().write(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        file.attrs["model_config"] = "{'class_name': "
    assert "JSON" in refusal(path)


def test_data_never_written_is_not_taken_for_zeros(tmp_path):
    path = tiny().write(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        group = file["model_weights/conv/conv"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (2, 2, 2, 3), "f4")
    assert "0 of its 96 bytes" in refusal(path)
    with h5py.File(path, "a") as file:
        group = file["model_weights/conv/conv"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (2, 2, 2, 3), "f4", chunks=(1, 2, 2, 3))[0] = 1.0
    assert "1 of its 2 chunks" in refusal(path)


def test_links_to_other_files_are_not_followed(tmp_path):
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = np.ones((2, 2, 2, 3))
    path = tiny().write(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        group = file["model_weights/conv/conv"]
        del group["kernel:0"]
        group["kernel:0"] = h5py.ExternalLink("other.h5", "/secret")
    assert "link" in refusal(path)


def test_listed_tensor_is_absent(tmp_path):
    path = tiny().write(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        del file["model_weights/conv/conv/kernel:0"]
    message = refusal(path)
    assert "conv/kernel:0" in message
    assert "incomplete" in message


def test_tensor_that_no_layer_lists(tmp_path):
    path = tiny().write(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        file["model_weights/conv/stray"] = np.ones(3)
    assert "'/model_weights/conv/stray' is left over" in refusal(path)


def test_other_backends(tmp_path):
    path = tiny().write(tmp_path / "m.h5")
    with h5py.File(path, "a") as file:
        file["model_weights"].attrs["backend"] = b"theano"
    assert "'theano'" in refusal(path)


def test_weights_alone(tmp_path):
    path = tiny().write_weights(tmp_path / "w.h5")
    message = refusal(path)
    assert "no architecture" in message
    assert "w.json" in message


def test_two_architectures(tmp_path):
    path = tiny().write(tmp_path / "m.h5")
    (tmp_path / "c.json").write_text("{}")
    assert "second one" in refusal(path, config=tmp_path / "c.json")
    weights = tiny().write_weights(tmp_path / "w.h5")
    assert "Pass one" in refusal(weights, config=tmp_path / "c.json", architecture="vgg16")


def test_config_of_another_model(tmp_path):
    path = tiny().write_weights(tmp_path / "w.h5")
    (tmp_path / "w.json").write_text(json.dumps(tiny_branches().architecture))
    assert "'conv'" in refusal(path)


def test_config_that_is_absent_or_not_text(tmp_path):
    path = tiny().write_weights(tmp_path / "w.h5")
    assert "absent.json" in refusal(path, config=tmp_path / "absent.json")
    (tmp_path / "w.json").write_bytes(b"\xff\xfe\x00")
    assert "w.json" in refusal(path)


def test_unknown_architecture_and_dtype(tmp_path):
    path = tiny().write_weights(tmp_path / "w.h5")
    assert "vgg16, vgg19" in refusal(path, architecture="resnet50")
    assert "float16" in refusal(path, dtype=torch.float16)


def test_architecture_without_classifier(tmp_path):
    path = tiny().write_weights(tmp_path / "w.h5")
    assert "include_top=True" in refusal(path, architecture="vgg16")


def test_zip_that_is_not_keras(tmp_path):
    path = tmp_path / "m.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    assert "not a .keras model" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(tiny().architecture))
        archive.writestr("model.weights.h5", b"noise")
    assert "model.weights.h5" in refusal(path)


def test_nothing_in_a_file_is_imported_or_run(tmp_path, monkeypatch):
    """A module named in an architecture is not even looked for."""
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    entry = {"class_name": "Evil", "module": "evil", "registered_name": "Evil", "config": {"name": "mine"}}
    refusal(head(entry).write(tmp_path / "m.h5"))
    assert "evil" not in sys.modules
    assert "tensorflow" not in sys.modules


def test_weights_written_twice_under_one_layer(tmp_path):
    path = tmp_path / "w.h5"
    with h5py.File(path, "w") as file:
        write_by_name(file, tiny().weights)
        file.attrs["layer_names"] = [b"conv", b"conv", b"flatten", b"dense"]
    (tmp_path / "w.json").write_text(json.dumps(tiny().architecture))
    assert "listed twice" in refusal(path)


def _inside(class_name, **config):
    return {"class_name": class_name, "config": {"name": class_name.lower(), **config}}


def test_masks_of_each_step_are_refused_where_a_layer_would_read_them(tmp_path):
    table = _inside("Embedding", input_dim=9, output_dim=3, mask_zero=True)
    chars = layer("TimeDistributed", "chars", "x", layer=table)
    words = layer("TimeDistributed", "words", "chars", layer=_inside("LSTM", units=2))
    model = KerasModel(
        functional(input_layer(4, 5, inbound=[]), chars, words, layer("Flatten", "flat", "words")),
        {
            "chars": {"chars/embeddings": np.zeros((9, 3), np.float32)},
            "words": {
                "words/kernel": np.zeros((3, 8), np.float32), "words/recurrent_kernel": np.zeros((2, 8), np.float32),
                "words/bias": np.zeros(8, np.float32),
            },
        },
    )  # fmt: skip
    message = refusal(model.write(tmp_path / "m.h5"))
    assert "'words' (TimeDistributed): it reads a sequence with a mask" in message
