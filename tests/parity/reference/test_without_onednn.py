"""A worker that dies with oneDNN is asked once more without it, and the model is remembered."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from parity.reference import ReferenceCall, ReferenceClient, ReferenceRequest
from tests.parity.keras.keras_files import KerasModel, functional, input_layer, layer
from tests.parity.reference.conftest import source
from tests.parity.reference.test_client import alive, starts

pytestmark = pytest.mark.slow

NOTE = "asked without oneDNN: the worker died of signal SIGABRT with it"


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "starts"))
    return tmp_path / "starts"


def onednn_of(log: Path) -> list[str]:
    """Whether each worker that was started had oneDNN, in their order."""
    return [line.rpartition("onednn=")[2] for line in starts(log)]


def test_a_worker_that_aborts_is_asked_once_more_without_onednn_and_the_answer_says_so(client, ask, log):
    one, request = client(), ask("abort", inputs=2)
    answers = one.answer(request)
    assert [answer.error for answer in answers] == [None, None]
    for answer, x in zip(answers, request.inputs, strict=True):
        assert np.array_equal(answer.array, 2 * x)
        assert answer.notes == ("a note", NOTE)
        assert answer.versions["onednn"] == "0"
    assert onednn_of(log) == ["1", "0"]
    assert not alive(int(starts(log)[0].split()[0])), "the worker that aborted is still there"


def test_what_was_answered_before_the_abort_is_kept_without_a_note(client, ask, log):
    first, second, third = client().answer(ask("abort_second", inputs=3))
    assert (first.error, first.notes) == (None, ("a note",))
    for answer in (second, third):
        assert (answer.error, answer.notes) == (None, ("a note", NOTE))
    assert onednn_of(log) == ["1", "0"]


def test_the_model_is_remembered_for_other_methods_and_backends(client, ask, log):
    one = client(keep_both=True)
    one.answer(ask("abort"))
    for request in (ask("double"), ask("double", backend="innvestigate"), ask("abort", number=2)):
        (answer,) = one.answer(request)
        assert answer.error is None
        assert answer.notes[-1] == NOTE
    assert onednn_of(log) == ["1", "0", "0"]


def test_another_model_keeps_onednn(client, ask, log, tmp_path):
    one = client()
    one.answer(ask("abort"))
    other = tmp_path / "other.h5"
    other.write_bytes(b"another model")
    (answer,) = one.answer(replace(ask("double"), model=source(other)))
    assert answer.notes == ("a note",)
    assert onednn_of(log) == ["1", "0", "1"]


def test_a_later_run_starts_no_worker_with_onednn_for_it(client, ask, log, tmp_path):
    client().answer(ask("abort"))
    (reason,) = json.loads((tmp_path / "store" / "without-onednn.json").read_text()).values()
    assert reason == "the worker died of signal SIGABRT"
    later = client()
    assert later.is_stored(ask("abort"))
    (stored,) = later.answer(ask("abort"))
    assert stored.from_store
    assert stored.notes == ("a note", NOTE)
    assert later.workers_started == 0
    assert not later.is_stored(ask("abort", number=2))
    (fresh,) = later.answer(ask("abort", number=2))
    assert (fresh.error, fresh.notes) == (None, ("a note", NOTE))
    assert onednn_of(log) == ["1", "0", "0"]


def test_answers_of_the_process_that_died_later_are_not_used_again(client, ask, log):
    """What spoilt its memory may have spoilt them."""
    one = client()
    (before,) = one.answer(ask("pid"))
    one.answer(ask("abort"))
    (after,) = one.answer(ask("pid"))
    assert not after.from_store
    assert after.array.flat[0] != before.array.flat[0]


def test_a_damaged_memory_costs_one_more_worker_and_no_answer(client, ask, log, tmp_path):
    client().answer(ask("abort"))
    (tmp_path / "store" / "without-onednn.json").write_text("{ damaged")
    (answer,) = client().answer(ask("abort", number=2))
    assert (answer.error, answer.notes[-1]) == (None, NOTE)
    assert onednn_of(log) == ["1", "0", "1", "0"]


@pytest.mark.parametrize("name", ["segfault", "exit"])
def test_a_worker_that_dies_either_way_is_one_error_and_asked_only_once_more(client, ask, log, tmp_path, name):
    one = client()
    (answer,) = one.answer(ask(name))
    assert answer.error_kind == "crash"
    assert "SIGSEGV" in answer.error or "exit code 5" in answer.error
    assert answer.notes[0].startswith("asked without oneDNN: the worker")
    assert onednn_of(log) == ["1", "0"]
    assert not (tmp_path / "store" / "without-onednn.json").exists(), "leaving oneDNN out did not help"
    assert one.answer(ask("double"))[0].notes == ("a note",)


@pytest.mark.parametrize("name", ["kill", "terminate", "limit", "close", "rubbish", "memory"])
def test_a_worker_that_was_ended_or_lives_on_is_not_asked_again(client, ask, log, name):
    one = client()
    (answer,) = one.answer(ask(name))
    assert answer.error is not None
    assert answer.notes == ()
    assert onednn_of(log) == ["1"]


def test_several_threads_may_meet_the_abort_at_once(client, ask, log, tmp_path):
    one = client(jobs=3)
    with ThreadPoolExecutor(6) as threads:
        answers = [some[0] for some in threads.map(one.answer, [ask("abort", number=n) for n in range(6)])]
    assert [answer.error for answer in answers] == [None] * 6
    assert {answer.notes[-1] for answer in answers} == {NOTE}
    assert onednn_of(log).count("1") <= 6, "each request at most once with oneDNN"
    assert len(json.loads((tmp_path / "store" / "without-onednn.json").read_text())) == 1
    assert one.store_errors == []


def test_who_asks_without_onednn_gets_that_and_no_note(client, ask, log):
    one = client()
    (answer,) = one.answer(replace(ask("pid"), onednn=False))
    assert answer.notes == ("a note",)
    assert answer.versions["onednn"] == "0"
    assert not one.is_stored(ask("pid"))
    (other,) = one.answer(ask("pid"))
    assert other.array.flat[0] != answer.array.flat[0], "they are two questions, and two processes"
    assert onednn_of(log) == ["0", "1"]


def test_what_a_few_models_need_is_not_told_of_the_environment(client, ask):
    one = client()
    one.answer(ask("abort"))
    assert one.environment()["onednn"] == "1"
    assert client().environment()["onednn"] == "1"


def test_a_store_that_cannot_remember_says_so_and_the_run_remembers(client, ask, log, monkeypatch):
    write = Path.write_bytes

    def full(self, data):
        if b"SIGABRT" in data:
            raise OSError(28, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    one = client()
    assert one.answer(ask("abort"))[0].error is None
    assert ["No space left on device" in str(error) for error in one.store_errors] == [True]
    assert one.answer(ask("abort", number=2))[0].notes[-1] == NOTE
    assert onednn_of(log) == ["1", "0"]


def residual_shortcut(path: Path, side: int = 62, channels: int = 8) -> KerasModel:
    """Write the shortcut of every residual net, of which TensorFlow 2.12 aborts on processors with AVX-512."""
    random = np.random.default_rng(0)
    model = KerasModel(
        functional(
            input_layer(side, side, channels, inbound=[]),
            layer("Conv2D", "shortcut", "x", filters=16, kernel_size=[1, 1], strides=[2, 2], use_bias=False),
            layer("GlobalAveragePooling2D", "mean", "shortcut"),
            layer("Dense", "out", "mean", units=3),
        ),
        {
            "shortcut": {"kernel": random.normal(size=(1, 1, channels, 16))},
            "mean": {},
            "out": {"kernel": random.normal(size=(16, 3)), "bias": random.normal(size=3)},
        },
    )
    model.write(path)
    return model


@pytest.mark.reference
@pytest.mark.parametrize("backend", ["signxai", "innvestigate"])
def test_the_shortcut_of_residual_nets_is_answered_by_the_real_reference(reference_python, tmp_path, backend):
    model = residual_shortcut(tmp_path / "net.h5")
    slope = model.weights["shortcut"]["kernel"][0, 0] @ model.weights["out"]["kernel"][:, 1] / 31**2
    expected = np.zeros((62, 62, 8))
    expected[::2, ::2] = slope
    random = np.random.default_rng(1)
    inputs = tuple(random.normal(size=(62, 62, 8)).astype(np.float32) for _ in range(6))
    call = ReferenceCall(backend, "analyzer", "gradient")
    with ReferenceClient(reference_python, tmp_path / "store", threads=1, timeout=120) as one:
        answers = one.answer(ReferenceRequest(source(tmp_path / "net.h5"), inputs, (1,) * 6, call))
    for answer in answers:
        assert answer.error is None, answer.error
        assert np.linalg.norm(answer.array - expected) < 1e-5 * np.linalg.norm(expected)
        # Whether the first worker aborts depends on the processor.
        noted = [note for note in answer.notes if "oneDNN" in note]
        assert all(note.startswith("asked without oneDNN: the worker died of signal SIG") for note in noted)
        assert bool(noted) == (answer.versions["onednn"] == "0")
