"""What each layer made and handed on in a reference: the question, its form, and what the real packages answer."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from parity import keras
from parity.reference import ReferenceCall, ReferenceClient, ReferenceRequest, ReferenceRequestError
from parity.reference.request import trace_call
from parity.reference.store import answer_key
from parity.reference.trace import TracedLayer, packed, unpacked
from tests.parity.reference.conftest import source
from tests.parity.small_networks import written
from tests.parity.trace_networks import NETWORKS, network


def test_the_question_is_one_of_its_own_and_leaves_the_others_as_they_were(ask):
    request = ask("lrp.z")
    question = trace_call(replace(request.call, modifiers=(("x_input", None),)))
    assert question.kind == "analyzer-trace"
    assert question.asked_for_trace == request.call
    assert question.asked_for_rules is None
    assert request.call.asked_for_trace is None
    assert ReferenceCall.from_json(question.to_json()) == question
    versions = {"worker": "1"}
    assert answer_key(request, 0, versions) != answer_key(replace(request, call=question), 0, versions)


def test_logits_have_no_trace():
    with pytest.raises(ReferenceRequestError, match="logits-trace"):
        trace_call(ReferenceCall("signxai", "logits"))


def test_a_trace_survives_packing_and_equal_arrays_are_kept_once():
    big = np.arange(6000.0).reshape(20, 300)
    layers = (
        TracedLayer("x", "InputLayer", "", (), big, big, ()),
        TracedLayer("größe", "Dense", "ZRule(bias=True)", ("x",), np.float64(3.0).reshape(()), None, (big.copy(),)),
    )
    array = packed(layers)
    assert array.nbytes < 2 * big.nbytes
    for before, after in zip(layers, unpacked(array), strict=True):
        assert (before.name, before.class_name, before.rule, before.inbound) == (
            after.name, after.class_name, after.rule, after.inbound,
        )  # fmt: skip
        for one, other in zip((before.made, before.arrived, *before.handed), (after.made, after.arrived, *after.handed),
                              strict=True):  # fmt: skip
            assert (one is None) == (other is None)
            assert one is None or (np.array_equal(one, other) and one.shape == other.shape)


@pytest.mark.parametrize("array", [None, np.zeros(3), np.zeros(40, np.uint8), np.zeros((2, 2), np.uint8)])
def test_what_is_no_trace_is_refused(array):
    with pytest.raises(ValueError, match="no trace"):
        unpacked(array)


def test_a_trace_without_its_table_is_refused():
    stream = io.BytesIO()
    np.savez(stream, other=np.zeros(3))
    with pytest.raises(ValueError, match="no trace"):
        unpacked(np.frombuffer(stream.getvalue(), np.uint8))


@pytest.fixture(scope="module")
def real(reference_python, tmp_path_factory):
    store = tmp_path_factory.mktemp("traces") / "store"
    with ReferenceClient(reference_python, store, keep_both=True, threads=1, timeout=120) as client:
        yield client


CALLS = (
    ReferenceCall("signxai", "wrapper", "lrp_z"),
    ReferenceCall("signxai", "wrapper", "lrpsign_epsilon_0_25_std_x"),
    ReferenceCall("signxai", "wrapper", "guided_backprop"),
    ReferenceCall("innvestigate", "analyzer", "lrp.alpha_2_beta_1", {"disable_model_checks": True}),
)


def one_of(real, written, x, call, dtype="float64"):
    (answer,) = real.answer(ReferenceRequest(written, (x,), (1,), call, dtype))
    assert answer.error is None, answer.error
    return answer.array


@pytest.mark.reference
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.backend}-{call.name}")
@pytest.mark.parametrize("name", NETWORKS)
def test_the_last_that_is_handed_on_is_the_map_bit_for_bit(real, name, call, tmp_path):
    written, x = network(name, tmp_path)
    layers = unpacked(one_of(real, written, x.array, trace_call(call)))
    last = [part for layer in layers for name, part in zip(layer.inbound, layer.handed, strict=True) if name == "x"]
    assert np.array_equal(sum(last), one_of(real, written, x.array, call))
    # Every layer of the file is there, once, with what the converter says that it reads.
    described = {layer.name: layer for layer in keras.load(written.path).description.layers}
    assert {layer.name for layer in layers} == described.keys()
    for layer in layers:
        assert sorted(layer.inbound) == sorted(described[layer.name].inbound)
        assert layer.made is not None
        assert layer.made.shape == described[layer.name].output_shape


@pytest.mark.reference
@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.backend}-{call.name}")
def test_what_arrives_is_what_was_handed_to_it(real, call, tmp_path):
    written, x = network("residual", tmp_path)
    layers = unpacked(one_of(real, written, x.array, trace_call(call)))
    for layer in layers:
        parts = [
            part for one in layers for name, part in zip(one.inbound, one.handed, strict=True) if name == layer.name
        ]
        if parts and layer.arrived is not None:
            np.testing.assert_allclose(layer.arrived, sum(parts), rtol=1e-12, atol=1e-15)


@pytest.mark.reference
@pytest.mark.parametrize("call", [CALLS[0], CALLS[3]], ids=lambda call: call.backend)
def test_what_arrives_at_a_layer_is_the_map_of_the_network_above_it(real, call, tmp_path):
    """The same numbers by another way: a file of the upper half alone, explained at what the lower half made."""
    written_whole, x = network("vgg", tmp_path)
    layers = {layer.name: layer for layer in unpacked(one_of(real, written_whole, x.array, trace_call(call)))}
    shape, rows = NETWORKS["vgg"]
    del shape
    above = [row | {"from": ["x" if name == "p1" else name for name in row["from"]]} for row in rows[3:]]
    folder = tmp_path / "above"
    folder.mkdir()
    upper, _ = written(folder, list(layers["p1"].made.shape), *above)
    _copy_weights(written_whole.path, upper.path)
    found = one_of(real, source(upper.path), layers["p1"].made, call)
    np.testing.assert_allclose(found, layers["p1"].arrived, rtol=1e-10, atol=1e-14)


def _copy_weights(source_path, target_path):
    import h5py

    with h5py.File(source_path, "r") as source_file, h5py.File(target_path, "r+") as target:
        names: list[str] = []
        target["model_weights"].visititems(
            lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None
        )
        for name in names:
            target["model_weights"][name][...] = source_file["model_weights"][name][()]


@pytest.mark.reference
@pytest.mark.parametrize(
    ("call", "why"),
    [
        (ReferenceCall("innvestigate", "analyzer", "input"), "does not work by rules on layers"),
        (ReferenceCall("signxai", "wrapper", "smoothgrad"), "handed relevance on twice"),
    ],
    ids=["no-layers", "many-explanations"],
)
def test_what_has_no_trace_says_why(real, call, why, tmp_path):
    written, x = network("series", tmp_path)
    (answer,) = real.answer(ReferenceRequest(written, (x.array,), (1,), trace_call(call), "float64"))
    assert answer.array is None
    assert why in answer.error
