"""The shape of what comes out: modules, names, description, layouts, state. No TensorFlow."""

from __future__ import annotations

import copy
import json

import h5py
import numpy as np
import pytest
import torch
from torch import nn
from zennit.layer import Sum

import parity.keras
from parity.hashing import file_sha256
from parity.keras import ConversionError
from parity.keras.handlers import shapes
from parity.keras.keras_2 import keras_2_config
from parity.keras.modules.kernels import PaddedConv2d, SeparableConv
from parity.keras.network import network_of, read_network, write_network
from tests.parity.keras.keras_files import (
    KerasModel,
    functional,
    input_layer,
    layer,
    sequential,
    tiny,
    tiny_branches,
    tiny_logits,
)


@pytest.fixture
def path(tmp_path):
    return tiny().write(tmp_path / "tiny.h5")


@pytest.fixture
def x():
    return np.random.default_rng(5).normal(size=(3, 5, 4, 2))


def test_logits_equal_a_computation_in_numpy(path, x):
    module = parity.keras.load(path, dtype=torch.float64)
    np.testing.assert_allclose(module(module.to_torch(x)).numpy(), tiny_logits(tiny(), x), rtol=1e-12)


def test_flattening_channels_first_would_be_noticed(path, x, monkeypatch):
    monkeypatch.setattr(shapes, "flatten_order", lambda sizes: None)
    module = parity.keras.load(path, dtype=torch.float64)
    assert not np.allclose(module(module.to_torch(x)).numpy(), tiny_logits(tiny(), x), rtol=0.1)


def test_modules_are_torchs_own_and_carry_keras_names(path):
    module = parity.keras.load(path)
    kinds = {name: type(child) for name, child in module.named_children()}
    assert kinds == {"conv": nn.Conv2d, "conv_activation": nn.ReLU, "flatten": nn.Flatten, "dense": nn.Linear}
    assert module.conv_activation.inplace is False


def test_description(path):
    description = parity.keras.load(path).description
    assert description.name == "tiny"
    assert description.input_shape == (5, 4, 2)
    assert description.removed_softmax is True
    assert description.source_sha256 == file_sha256(path)
    assert description.classes == 4
    assert description.parameters == 27 + 148
    found = [(item.name, item.class_name, item.inbound, item.output_shape, item.module) for item in description.layers]
    assert found == [
        ("x", "InputLayer", (), (5, 4, 2), None),
        ("conv", "Conv2D", ("x",), (4, 3, 3), "conv"),
        ("flatten", "Flatten", ("conv",), (36,), "flatten"),
        ("dense", "Dense", ("flatten",), (4,), "dense"),
    ]
    assert description.layers[1].parameters == 27
    assert description.layers[1].config["filters"] == 3
    with pytest.raises(AttributeError):
        description.name = "other"


def test_eval_mode_and_no_gradients(path):
    module = parity.keras.load(path)
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_loading_leaves_the_random_generators_alone(path):
    torch.manual_seed(1)
    np.random.seed(1)
    expected = torch.rand(1).item(), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(1)
    parity.keras.load(path)
    assert (torch.rand(1).item(), np.random.rand()) == expected


def test_copies_and_state_dict(path, x):
    module = parity.keras.load(path)
    other = copy.deepcopy(module)
    other.load_state_dict(module.state_dict(), strict=True)
    tensor = module.to_torch(x)
    torch.testing.assert_close(other(tensor), module(tensor), rtol=0, atol=0)
    assert set(module.state_dict()) == {"conv.weight", "conv.bias", "dense.weight", "dense.bias"}


def test_layouts_there_and_back(path, x):
    module = parity.keras.load(path, dtype=torch.float64)
    tensor = module.to_torch(x)
    assert tensor.shape == (3, 2, 5, 4)
    assert tensor[1, 0, 3, 2] == x[1, 3, 2, 0]
    np.testing.assert_array_equal(module.to_keras(tensor), x)
    assert module.to_keras(tensor).flags.c_contiguous
    assert module.to_keras(tensor.numpy()).shape == x.shape
    tensor.zero_()
    assert np.abs(x).max() > 0, "to_torch must not share memory with the caller's array"


def test_inputs_by_name(tmp_path):
    architecture = functional(
        input_layer(4, name="a", inbound=[]), input_layer(3, name="b", inbound=[]),
        layer("Concatenate", "both", ["a", "b"]), start=("a", "b"), end=("both",),
    )  # fmt: skip
    module = parity.keras.load(KerasModel(architecture).write(tmp_path / "two.h5"))
    (first, shape), (second, other) = module.description.inputs
    rng = np.random.default_rng(0)
    arrays = {second: rng.normal(size=(3, *other)), first: rng.normal(size=(3, *shape))}
    by_name, by_place = module.to_torch(arrays), module.to_torch([arrays[first], arrays[second]])
    assert all(torch.equal(a, b) for a, b in zip(by_name, by_place, strict=True))
    with pytest.raises(parity.keras.ConversionError, match=f"takes the inputs .*{first}.*, given .*wrong"):
        module.to_torch({**arrays, "wrong": arrays[first]})


def test_add_is_zennits_sum(tmp_path, x):
    module = parity.keras.load(tiny_branches().write(tmp_path / "branches.h5"), dtype=torch.float64)
    assert isinstance(module.add, Sum)
    seen = []
    module.add.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0].shape, output.shape)))
    module(module.to_torch(x))
    assert seen == [((3, 3, 5, 4, 2), (3, 3, 5, 4))]
    assert module.description.removed_softmax is False


def test_uneven_same_padding_stays_inside_the_convolution(tmp_path):
    rng = np.random.default_rng(6)
    layers = [layer("Conv2D", "conv", filters=3, kernel_size=[2, 3], strides=[2, 2], padding="same")]
    layers += [layer("SeparableConv2D", "separable", filters=2, kernel_size=[3, 3], use_bias=False)]
    layers += [layer("GlobalMaxPooling2D", "max")]
    weights = {
        "conv": {"kernel": rng.normal(size=(2, 3, 2, 3)), "bias": np.zeros(3)},
        "separable": {
            "depthwise_kernel": rng.normal(size=(3, 3, 3, 1)),
            "pointwise_kernel": rng.normal(size=(1, 1, 3, 2)),
        },
    }
    model = KerasModel(sequential(input_layer(9, 6, 2), *layers), weights)
    module = parity.keras.load(model.write(tmp_path / "m.h5"))
    assert type(module.conv) is PaddedConv2d
    assert isinstance(module.conv, nn.Conv2d)
    assert module.conv.margins == ((0, 1), (0, 1))
    assert type(module.separable) is SeparableConv
    assert {name for name, _ in module.separable.named_parameters()} == {"depthwise_weight", "pointwise_weight"}
    assert module.separable.bias is None


def test_maxima_of_global_pooling_share_the_gradient(tmp_path):
    model = KerasModel(sequential(input_layer(3, 2, 1), layer("GlobalMaxPooling2D", "max")))
    module = parity.keras.load(model.write(tmp_path / "m.h5"))
    x = torch.tensor([[1.0, 5.0, 5.0, 0.0, 5.0, 2.0]]).reshape(1, 1, 3, 2).requires_grad_()
    module(x).sum().backward()
    third = 1 / 3
    torch.testing.assert_close(x.grad.flatten(), torch.tensor([0, third, third, 0, third, 0]))


def test_names_that_torch_would_refuse(tmp_path):
    names = ["a.b", "a_b", "training", "forward", "description", "_steps", "dtype", "float"]
    layers = [layer("ReLU", name) for name in names]
    module = parity.keras.load(KerasModel(sequential(input_layer(4), *layers)).write(tmp_path / "m.h5"))
    modules = [item.module for item in module.description.layers[1:]]
    assert modules == ["a_b", "a_b_", "training_", "forward_", "description_", "_steps_", "dtype_", "float_"]
    assert module(torch.ones(1, 4)).shape == (1, 4)
    assert all(isinstance(module.get_submodule(name), nn.ReLU) for name in modules)


def test_keras_3_layout_is_read_by_class_and_position(tmp_path, x):
    """As Keras 3.15 writes it: class names and counters, beside an optimizer and a dropout's generator."""
    model = tiny()
    model.layers.insert(2, layer("Dropout", "drop", rate=0.5))
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        for group, name in (("conv2d", "conv"), ("dense", "dense")):
            for i, values in enumerate(model.weights[name].values()):
                file[f"layers/{group}/vars/{i}"] = values
        file["layers/dropout/seed_generator/vars/0"] = np.zeros(2, np.uint32)
        file.create_group("layers/flatten/vars")
        file["optimizer/vars/0"] = np.zeros(3)
        file.create_group("vars").attrs["name"] = "tiny"
    (tmp_path / "m.json").write_text(json.dumps(model.architecture))
    module = parity.keras.load(path, dtype=torch.float64)
    np.testing.assert_allclose(module(module.to_torch(x)).numpy(), tiny_logits(model, x), rtol=1e-12)


@pytest.mark.parametrize(
    ("container", "expected"), [("layers", (1.5 + 3) / 6), ("_layer_checkpoint_dependencies", 0.2 * 1.5 + 0.5)]
)
def test_version_is_told_by_the_layout(tmp_path, container, expected):
    """Keras 3 computes hard_sigmoid differently, and its weights-only files do not say who wrote them."""
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        file[f"{container}/dense/vars/0"] = np.ones((3, 2))
    dense = layer("Dense", "dense", units=2, use_bias=False, activation="hard_sigmoid")
    (tmp_path / "m.json").write_text(json.dumps(sequential(input_layer(3), dense)))
    made = parity.keras.load(path).logits(np.full((1, 3), 0.5, np.float32))
    np.testing.assert_allclose(made, np.full((1, 2), expected), rtol=1e-6)


def test_keras_3_config_in_a_full_file(tmp_path):
    """Keras 3 writes histories of tensors, batch_shape and dtype policies."""

    def tensor(name):
        return {"class_name": "__keras_tensor__", "config": {"shape": [None], "keras_history": [name, 0, 0]}}

    model = tiny_branches()
    for entry in model.layers:
        config = entry["config"]
        config["dtype"] = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float32"}}
        if "batch_input_shape" in config:
            config["batch_shape"] = config.pop("batch_input_shape")
        names = [call[0] for call in entry["inbound_nodes"][0]] if entry["inbound_nodes"] else []
        args = [[tensor(name) for name in names]] if len(names) > 1 else [tensor(name) for name in names]
        entry["inbound_nodes"] = [{"args": args, "kwargs": {"mask": None}}] if names else []
    model.architecture["config"]["output_layers"] = ["dense", 0, 0]
    module = parity.keras.load(model.write(tmp_path / "k3.h5"))
    before = parity.keras.load(tiny_branches().write(tmp_path / "k2.h5"))
    x = torch.ones(1, 2, 5, 4)
    torch.testing.assert_close(module(x), before(x), rtol=0, atol=0)


ATTENTION = {"num_heads": 2, "key_dim": 3, "value_dim": 3, "use_bias": True, "output_shape": None}


def attending(call, name="attention"):
    """Return a model of Keras 3 around an attention of a query to a value, and the tensors of its parts."""
    rng = np.random.default_rng(5)
    tensors = {
        part: [rng.normal(size=size) for size in sizes]
        for part, sizes in {
            "query_dense": [(4, 2, 3), (2, 3)], "key_dense": [(4, 2, 3), (2, 3)], "value_dense": [(4, 2, 3), (2, 3)],
            "output_dense": [(2, 3, 4), (4,)],
        }.items()
    }  # fmt: skip
    inputs = [input_layer(5, 4, name=one, inbound=[]) for one in ("q", "v")]
    attention = layer("MultiHeadAttention", name, [], seed=None, flash_attention=False, **ATTENTION)
    attention["inbound_nodes"] = [call]
    flat = layer("Flatten", "flatten", name)
    return functional(*inputs, attention, flat, start=("q", "v")), tensors


def history(name):
    return {"class_name": "__keras_tensor__", "config": {"shape": [None, 5, 4], "keras_history": [name, 0, 0]}}


CALLS = {
    "by place": {"args": [history("q"), history("v")], "kwargs": {}},
    "the value by name": {"args": [history("q")], "kwargs": {"value": history("v")}},
    "both by name": {"args": [], "kwargs": {"query": history("q"), "value": history("v")}},
    "both by name, the value first": {"args": [], "kwargs": {"value": history("v"), "query": history("q")}},
}


def attended(folder, call, prefix=""):
    architecture, tensors = attending(call)
    path = folder / f"m{len(list(folder.iterdir()))}.weights.h5"
    with h5py.File(path, "w") as file:
        for part, values in tensors.items():
            for i, array in enumerate(values):
                file[f"layers/multi_head_attention/{prefix}{part}/vars/{i}"] = array
        file["layers/multi_head_attention/_dropout_layer/seed_generator/vars/0"] = np.zeros(2, np.uint32)
    path.with_name(path.name.replace(".weights.h5", ".json")).write_text(json.dumps(architecture))
    return path


@pytest.mark.parametrize("prefix", ["", "_"])
@pytest.mark.parametrize("call", CALLS)
def test_attention_of_keras_3_is_read_by_the_parts_it_keeps_its_weights_in(tmp_path, call, prefix):
    """Keras 3 names parts by their public names, Keras 2.12 by the attributes that hold them."""
    module = parity.keras.load(attended(tmp_path, CALLS[call], prefix), dtype=torch.float64)
    right = parity.keras.load(attended(tmp_path, CALLS["by place"]), dtype=torch.float64)
    query, value = torch.randn(2, 1, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(module(query, value), right(query, value), rtol=0, atol=0)
    assert not torch.allclose(module(query, value), module(value, query))


@pytest.mark.parametrize("call", CALLS)
def test_attention_of_keras_3_is_written_as_keras_2_reads_it(tmp_path, call):
    path = attended(tmp_path, CALLS[call])
    description = parity.keras.load(path).description
    (made,) = [one for one in network_of(description) if one.class_name == "MultiHeadAttention"]
    assert {"seed", "flash_attention"}.isdisjoint(made.config)
    assert [made.config[f"{role}_shape"] for role in ("query", "key", "value")] == [[None, 5, 4]] * 3
    write_network(read_network(path, None, description), tmp_path / "there.h5")
    before, after = (parity.keras.load(one, dtype=torch.float64) for one in (path, tmp_path / "there.h5"))
    tensors = torch.randn(2, 1, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(after(*tensors), before(*tensors), rtol=0, atol=0)


def test_layers_inside_of_others_lose_what_keras_3_alone_knows(tmp_path):
    inner = {
        "module": "keras.layers", "class_name": "Dense", "registered_name": None, "build_config": {},
        "config": {"name": "d", "units": 2, "use_bias": False, "dtype": {"class_name": "DTypePolicy"}, "lora_rank": 1},
    }  # fmt: skip
    assert keras_2_config("TimeDistributed", {"name": "t", "layer": inner}) == {
        "name": "t",
        "layer": {"class_name": "Dense", "config": {"name": "d", "units": 2, "use_bias": False}},
    }
    path = tmp_path / "m.weights.h5"
    with h5py.File(path, "w") as file:
        file["layers/time_distributed/layer/vars/0"] = np.ones((3, 2))
    steps = layer("TimeDistributed", "t", layer=inner)
    (tmp_path / "m.json").write_text(json.dumps(sequential(input_layer(4, 3), steps, layer("Flatten", "f"))))
    assert parity.keras.load(path)(torch.ones(1, 3, 4)).unique().tolist() == [3.0]


def test_dense_only_and_open_sizes(tmp_path):
    weights = {"dense": {"kernel": np.ones((2, 3)), "bias": np.zeros(3)}}
    layers = [layer("GlobalAveragePooling2D", "mean"), layer("Dense", "dense", units=3)]
    model = KerasModel(sequential(input_layer(None, None, 2), *layers), weights)
    module = parity.keras.load(model.write(tmp_path / "m.h5"))
    assert module.description.input_shape == (None, None, 2)
    assert module(torch.ones(1, 2, 3, 8)).shape == module(torch.ones(1, 2, 5, 4)).shape == (1, 3)


def test_nested_layers_are_named_after_their_model(tmp_path):
    inner = sequential(layer("ReLU", "relu"), layer("Flatten", "flatten"), name="inner")
    inner |= {"name": "inner", "inbound_nodes": [[["x", 1, 0, {}]]]}
    dense = layer("Dense", "dense", "inner", units=2, use_bias=False)
    model = KerasModel(functional(input_layer(3, 2, inbound=[]), inner, dense), {"dense": {"kernel": np.ones((6, 2))}})
    description = parity.keras.load(model.write(tmp_path / "m.h5")).description
    assert [item.name for item in description.layers] == ["x", "inner/relu", "inner/flatten", "dense"]
    assert description.layers[3].inbound == ("inner/flatten",)
    assert description.layers[1].module == "inner/relu"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda x: x[:, :, :, 0], "given (3, 4, 5)"),
        (lambda x: x[0], "given (5, 2, 4)"),
        (lambda x: x.transpose(0, 3, 1, 2), "order of the channels"),
        (lambda x: x[:0], "batch"),
        (lambda x: x.astype(complex), "complex"),
        (lambda x: x.astype(str), "dtype"),
    ],
)
def test_unsuitable_inputs(path, x, spoil, said):
    module = parity.keras.load(path)
    with pytest.raises(ConversionError) as caught:
        module.to_torch(spoil(x))
    assert said in str(caught.value)


def test_input_of_another_dtype(path, x):
    module = parity.keras.load(path, dtype=torch.float64)
    with pytest.raises(ConversionError, match=r"computes in torch\.float64, the input is torch\.float32"):
        module(module.to_torch(x).float())
