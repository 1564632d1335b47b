"""A model cut at a layer: the same numbers from there on, and the same gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from parity import keras
from parity.keras.cut import NoCutError, cut
from tests.parity.small_networks import conv, dense, flatten, layer, written
from tests.parity.trace_networks import NETWORKS, network


def edges(module: keras.KerasModule) -> list[tuple[str, str]]:
    return [(one.name, producer) for one in module.description.layers for producer in dict.fromkeys(one.inbound)]


@pytest.fixture(params=NETWORKS)
def whole(request, tmp_path):
    source, x = network(request.param, tmp_path)
    module = keras.load(source.path, dtype=torch.float64)
    return module, x.array[None].astype(np.float64)


def test_a_part_computes_the_logits_of_the_whole_from_each_tensor(whole):
    module, x = whole
    logits, tensors = module.logits(x), module.tensors(module.to_torch(x))
    tried = 0
    for reader, producer in edges(module):
        place = module.places[producer]
        values = place.to_keras(tensors[place.position])
        described = {one.name: one for one in module.description.layers}
        assert values.shape[1:] == described[producer].output_shape
        assert torch.equal(place.to_torch(values), tensors[place.position])
        part = cut(module, reader, producer, tensors)
        assert part.description.inputs == ((producer, described[producer].output_shape),)
        np.testing.assert_allclose(
            part.logits(values), logits, rtol=1e-12
        )  # memory lies otherwise, so sums round otherwise
        tried += 1
    assert tried > 12


def test_what_readers_hand_to_a_tensor_adds_up_to_its_gradient(whole):
    module, x = whole
    tensors = module.tensors(module.to_torch(x))
    for producer in {producer for _, producer in edges(module)}:
        parts = []
        for reader in [reader for reader, one in edges(module) if one == producer]:
            point = cut(module, reader, producer, tensors)
            place = module.places[producer]
            given = point.to_torch(place.to_keras(tensors[place.position])).requires_grad_()
            (gradient,) = torch.autograd.grad(point(given)[0, 1], given)
            parts.append(point.to_keras(gradient))
        start = tensors[module.places[producer].position].clone().requires_grad_()
        wanted = torch.autograd.grad(_logits_from(module, producer, start, tensors)[0, 1], start)[0]
        np.testing.assert_allclose(sum(parts), module.places[producer].to_keras(wanted), rtol=1e-11, atol=1e-14)


def _logits_from(module, producer, start, tensors):
    """Run the whole model again with another tensor in one place, with gradients."""
    values = list(tensors[: len(module.description.inputs)])
    position = module.places[producer].position
    if position < len(values):
        values[position] = start
    for step in module.steps:
        made = module._result(step, values)
        values.append(start if len(values) == position else made)
    return values[module.output_position]


def test_sub_modules_keep_their_names_and_are_shared(whole):
    module, x = whole
    tensors = module.tensors(module.to_torch(x))
    reader, producer = edges(module)[-3]
    part = cut(module, reader, producer, tensors)
    mine, theirs = dict(part.named_modules()), dict(module.named_modules())
    shared = [name for name in mine if name in theirs and name]
    assert shared
    assert all(mine[name] is theirs[name] for name in shared)
    assert part.dtype == module.dtype
    assert not part.training


def test_given_tensors_stand_in_place_of_what_layers_make(whole):
    module, x = whole
    zero = {"d1": torch.zeros(1, module.places["d1"] and 8 if "p3" in module.places or "c7" in module.places else 6,
                              dtype=torch.float64)}  # fmt: skip
    tensors = module.tensors(module.to_torch(x), given=zero)
    assert not tensors[module.places["d1"].position].any()
    assert not np.allclose(tensors[module.output_position].numpy(), module.logits(x))


def test_a_batch_goes_through_a_part_as_through_the_whole(whole):
    module, x = whole
    tensors = module.tensors(module.to_torch(x))
    reader, producer = edges(module)[len(edges(module)) // 2]
    place = module.places[producer]
    values = place.to_keras(tensors[place.position])
    part = cut(module, reader, producer, tensors)
    np.testing.assert_allclose(part.logits(np.repeat(values, 3, 0)), np.repeat(module.logits(x), 3, 0), rtol=1e-12)


def test_dropout_is_cut_on_both_sides(tmp_path):
    source, x = written(tmp_path, [6, 6, 2], conv("c", "x"), layer("Dropout", "drop", "c", rate=0.5), flatten("drop"),
                        dense("out", "flat"))  # fmt: skip
    module = keras.load(source.path, dtype=torch.float64)
    batch = x.array[None].astype(np.float64)
    tensors = module.tensors(module.to_torch(batch))
    for reader, producer in (("drop", "c"), ("flat", "drop")):
        place = module.places[producer]
        part = cut(module, reader, producer, tensors)
        assert np.array_equal(part.logits(place.to_keras(tensors[place.position])), module.logits(batch))


def test_a_cut_behind_which_nothing_is_computed_is_refused(tmp_path):
    source, x = written(tmp_path, [4], dense("d", "x"), layer("Activation", "soft", "d", activation="softmax"))
    module = keras.load(source.path)
    tensors = module.tensors(module.to_torch(x.array[None]))
    with pytest.raises(NoCutError, match="nothing is computed behind 'd'"):
        cut(module, "soft", "d", tensors)


def test_a_layer_that_does_not_read_the_tensor_is_refused(tmp_path):
    source, x = written(tmp_path, [4], dense("d", "x"), dense("out", "d"))
    module = keras.load(source.path)
    tensors = module.tensors(module.to_torch(x.array[None]))
    with pytest.raises(NoCutError, match="'out' reads nothing as one tensor"):
        cut(module, "out", "x", tensors)


def test_a_softmax_that_was_taken_off_is_cut_where_it_is_read(tmp_path):
    source, x = written(tmp_path, [4], dense("d", "x"), layer("Activation", "soft", "d", activation="softmax"),
                        layer("Activation", "end", "soft", activation="linear"))  # fmt: skip
    module = keras.load(source.path, dtype=torch.float64)
    batch = x.array[None].astype(np.float64)
    tensors = module.tensors(module.to_torch(batch))
    for reader, producer in (("soft", "d"), ("end", "soft")):
        place = module.places[producer]
        part = cut(module, reader, producer, tensors)
        assert np.array_equal(part.logits(place.to_keras(tensors[place.position])), module.logits(batch))
