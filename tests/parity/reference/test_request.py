import json

import numpy as np
import pytest

from parity.errors import ParityError
from parity.reference import NoiseSpec, ReferenceCall, ReferenceRequest, ReferenceRequestError, noise_array


def test_call_survives_json():
    call = ReferenceCall(
        "signxai",
        "wrapper",
        "smoothgrad",
        {"mu": (1, 2.5), "input_layer_rule": "Flat"},
        (("x_input", None), ("x_sign_mu", -0.5)),
        NoiseSpec(3, 50, 0.2),
    )
    assert ReferenceCall.from_json(json.loads(json.dumps(call.to_json()))) == call
    assert call.options["mu"] == [1, 2.5]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("tensorflow", "wrapper", "gradient"), "backend 'tensorflow'"),
        (("signxai", "method", "gradient"), "'method'"),
        (("innvestigate", "wrapper", "gradient"), "only the signxai backend"),
        (("signxai", "logits", "gradient"), "logits alone have no name"),
        (("signxai", "wrapper", ""), "logits alone have no name"),
        (("signxai", "logits", "", {"a": 1}), "takes no options"),
        (("signxai", "wrapper", "gradient", {"a": np.zeros(2)}), "not JSON"),
        (("signxai", "wrapper", "gradient", {"a": float("nan")}), "not JSON"),
        (("signxai", "wrapper", "gradient", {}, (("x_square", None),)), "modifier 'x_square'"),
        (("signxai", "wrapper", "gradient", {}, (("x_sign_mu", None),)), "x_sign_mu alone"),
        (("signxai", "wrapper", "gradient", {}, (("x_input", 1),)), "x_sign_mu alone"),
    ],
)
def test_bad_call_is_refused(arguments, words):
    with pytest.raises(ReferenceRequestError, match=words) as raised:
        ReferenceCall(*arguments)
    assert isinstance(raised.value, ParityError)


@pytest.mark.parametrize("values", [(-1, 5, 1.0), (2**32, 5, 1.0), (1, 0, 1.0), (1, 5, -0.1), (1, 5, float("nan"))])
def test_bad_noise_is_refused(values):
    with pytest.raises(ReferenceRequestError):
        NoiseSpec(*values)


def test_request_needs_a_target_per_input_and_a_known_dtype(model):
    call = ReferenceCall("signxai", "wrapper", "gradient")
    with pytest.raises(ReferenceRequestError, match="1 inputs but 2 targets"):
        ReferenceRequest(model, (np.zeros(3),), (1, 2), call)
    with pytest.raises(ReferenceRequestError, match="float16"):
        ReferenceRequest(model, (np.zeros(3),), (1,), call, "float16")


def test_noise_is_what_successive_draws_of_the_global_generator_give():
    spec = NoiseSpec(7, 5, 0.3)
    np.random.seed(7)
    drawn = [np.random.normal(0, 0.3, (1, 4, 3, 1))[0] for _ in range(5)]
    assert np.array_equal(noise_array(spec, (4, 3, 1)), np.stack(drawn))
