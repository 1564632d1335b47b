"""Which rule each layer gets in the reference: the question, and what the real packages answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from parity.reference import ReferenceCall, ReferenceClient, ReferenceRequest, ReferenceRequestError
from parity.reference.request import ReferenceAnswer, rules_call
from parity.reference.rules import ask_rules, read_rules
from parity.reference.store import answer_key
from tests.parity.reference.conftest import source

MAPS = [ReferenceAnswer(np.zeros(3))]


def table(*lines: tuple[str, str, str]) -> ReferenceAnswer:
    return ReferenceAnswer(np.array([[text.encode() for text in line] for line in lines]))


def test_the_question_is_one_of_its_own_and_leaves_the_others_as_they_were(ask):
    request = ask("lrp.z")
    question = rules_call(replace(request.call, modifiers=(("x_input", None),)))
    assert question.kind == "analyzer-rules"
    assert question.asked_for_rules == request.call
    assert request.call.asked_for_rules is None
    assert ReferenceCall.from_json(question.to_json()) == question
    versions = {"worker": "1"}
    assert answer_key(request, 0, versions) != answer_key(replace(request, call=question), 0, versions)
    # What is in stores today has this key; a change of it would throw all of them away.
    assert sorted(request.call.to_json()) == ["backend", "kind", "modifiers", "name", "noise", "options"]


def test_logits_have_no_rules():
    with pytest.raises(ReferenceRequestError, match="logits-rules"):
        rules_call(ReferenceCall("signxai", "logits"))


def test_one_input_is_asked_for_and_the_layers_come_back(ask):
    asked: list[ReferenceRequest] = []

    def answer(request: ReferenceRequest) -> list[ReferenceAnswer]:
        asked.append(request)
        return [table(("größe", "Dense", "ZRule(bias=True)"))]

    found = ask_rules(answer, ask("lrp.z", inputs=3), MAPS * 3)
    assert found.to_json() == {
        "reference": "signxai",
        "layers": [["größe", "Dense", "ZRule(bias=True)"]],
        "problem": None,
    }
    assert [len(one.inputs) for one in asked] == [1]


def fail(_request: ReferenceRequest) -> list[ReferenceAnswer]:
    raise RuntimeError("the client broke\nat length")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: [ReferenceAnswer(None, error="the worker died", error_kind="crash")], "the worker died"),
        (lambda _: MAPS, "no table of layers"),
        (lambda _: [], "IndexError"),
        (fail, "RuntimeError: the client broke"),
    ],
)
def test_whatever_goes_wrong_is_told_and_raises_nothing(ask, answer, reason):
    found = ask_rules(answer, ask("lrp.z"), MAPS)
    assert found.layers == ()
    assert reason in (found.problem or "")
    assert "\n" not in (found.problem or "")


def test_a_reference_without_a_map_is_not_asked_again(ask):
    found = ask_rules(fail, ask("lrp.z"), [ReferenceAnswer(None, error="it raised", error_kind="method")])
    assert found.problem == "the reference gave no map: it raised"


def test_a_request_that_has_no_rules_is_told(ask):
    request = replace(ask("lrp.z"), call=ReferenceCall("signxai", "logits"))
    assert "logits" in (ask_rules(fail, request, MAPS).problem or "")


@pytest.fixture(scope="module")
def real(reference_python, tmp_path_factory):
    store = tmp_path_factory.mktemp("rules") / "store"
    with ReferenceClient(reference_python, store, keep_both=True, threads=1, timeout=120) as client:
        yield client


@pytest.fixture
def rules(real, models):
    """`rules("vgg", "wrapper", "lrp_z")` -> name and rule of each layer in the reference."""

    def one(net: str, backend: str, kind: str, name: str, dtype: str = "float32", **options) -> dict[str, str]:
        x = dict(np.load(models / f"truth-{net}.npz"))["x"].astype(np.float32)
        call = rules_call(ReferenceCall(backend, kind, name, options))
        (answer,) = real.answer(ReferenceRequest(source(models / f"{net}.h5"), (x,), (1,), call, dtype))
        assert answer.error is None, answer.error
        return {layer: rule for layer, _, rule in read_rules(answer)}

    return one


@pytest.mark.reference
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_forks_rules_are_seen_at_work(rules, dtype):
    found = list(rules("vgg", "signxai", "wrapper", "lrpsign_epsilon_0_25_std_x_mu_0_5", dtype).values())
    assert found[0] == "SIGNmuRule(mu=0.5, bias=True)"
    assert "GradientReplacementLayer()" in found
    assert found[-1] == "StdxEpsilonRule(stdfactor=0.25, bias=True)"


@pytest.mark.reference
def test_composites_give_dense_and_convolution_their_own_rules(rules):
    for backend, name in (("signxai", "lrp.sequential_composite_b"), ("innvestigate", "lrp.sequential_preset_b")):
        found = list(rules("vgg", backend, "analyzer", name).values())
        assert found[0] == "Alpha2Beta1Rule(alpha=2.0, beta=1.0, bias=True)", backend
        assert found[-1] == "EpsilonRule(epsilon=0.1, bias=True)", backend


@pytest.mark.reference
def test_innvestigates_rules_are_seen_at_work(rules):
    found = list(rules("vgg", "innvestigate", "analyzer", "deep_taylor.bounded", low=-4, high=4).values())
    assert found[0] == "BoundedRule(low=-4.0, high=4.0, bias=False)"
    assert found[-1] == "Alpha1Beta0IgnoreBiasRule(alpha=1.0, beta=0.0, bias=False)"
    assert "_gradient_reverse_mapping" in found


@pytest.mark.reference
def test_the_packages_are_left_as_they_were(real, models, rules):
    """A map that is asked for after the rules is the map that was asked for before."""
    x = dict(np.load(models / "truth-vgg.npz"))["x"].astype(np.float32)
    for backend, name in (("signxai", "lrp.z"), ("innvestigate", "lrp.z")):
        request = ReferenceRequest(
            source(models / "vgg.h5"), (x,), (1,), ReferenceCall(backend, "analyzer", name), "float64"
        )
        (before,) = real.answer(request)
        rules("vgg", backend, "analyzer", name, "float64")
        real._refresh = True
        (after,) = real.answer(request)
        real._refresh = False
        assert not after.from_store
        assert np.array_equal(before.array, after.array), backend


@pytest.mark.reference
def test_an_analyzer_without_rules_says_so(real, models):
    x = dict(np.load(models / "truth-vgg.npz"))["x"].astype(np.float32)
    call = rules_call(ReferenceCall("innvestigate", "analyzer", "input"))
    (answer,) = real.answer(ReferenceRequest(source(models / "vgg.h5"), (x,), (1,), call, "float32"))
    assert "does not work by rules on layers" in (answer.error or "")
