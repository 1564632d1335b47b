import errno
import json
import os
import resource
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from parity.hashing import array_sha256, json_sha256
from parity.reference import ReferenceAnswer, ReferenceRequest, ResultStore, StoreError
from parity.reference.store import answer_key, store_location

ROOT = Path(__file__).resolve().parents[3]

KEY = "ab" * 32


def an_answer(seed=0, shape=(5, 4, 3), dtype=np.float32):
    array = np.random.RandomState(seed).normal(size=shape).astype(dtype)
    computed = "2026-01-02T03:04:05+00:00"
    return ReferenceAnswer(array, 1.5, versions={"tensorflow": "2"}, peak_rss=7, notes=("widened",), computed=computed)


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "store")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(), (10,), (5, 4, 3)])
def test_an_answer_comes_back_as_it_went_in(store, shape, dtype):
    answer = an_answer(shape=shape, dtype=dtype)
    store.put(KEY, answer)
    found = store.get(KEY)
    assert found.from_store
    assert found.array.dtype == answer.array.dtype
    assert found.array.shape == shape
    assert np.array_equal(found.array, answer.array)
    assert (found.seconds, found.versions, found.peak_rss, found.notes) == (1.5, {"tensorflow": "2"}, 7, ("widened",))


def test_an_error_of_the_method_is_an_answer_too(store):
    store.put(KEY, ReferenceAnswer(None, error="no", error_kind="method", stderr_tail="trace"))
    found = store.get(KEY)
    assert found.array is None
    assert (found.error, found.error_kind, found.stderr_tail) == ("no", "method", "trace")


def test_an_entry_that_does_not_say_when_it_was_computed_has_the_time_of_its_file(store):
    """As earlier versions wrote them."""
    answer = an_answer()
    answer.computed = ""
    store.put(KEY, answer)
    os.utime(store.path(KEY), (86400, 86400))
    assert store.get(KEY).computed == "1970-01-02T00:00:00+00:00"
    store.put(KEY, an_answer())
    assert store.get(KEY).computed == "2026-01-02T03:04:05+00:00"


def test_a_refusal_that_was_lifted_is_asked_again(store):
    text = "layer 'd' has a custom activation: only named Keras activations are built"
    store.put(KEY, ReferenceAnswer(None, error=text, error_kind="method"))
    assert store.get(KEY) is None
    assert store.damaged == []


def test_nothing_there_is_nothing_damaged(store):
    assert store.get(KEY) is None
    assert store.damaged == []
    assert store.environment("signxai") == {}


def test_a_flipped_bit_is_noticed_or_harmless(store):
    """Flips a bit in every byte in turn: the answer is the same, or it is gone; never another one."""
    answer = an_answer(shape=(3, 2))
    store.put(KEY, answer)
    path = store.path(KEY)
    good = path.read_bytes()
    noticed = 0
    for position in range(len(good)):
        bad = bytearray(good)
        bad[position] ^= 1 << (position % 8)
        path.write_bytes(bytes(bad))
        found = store.get(KEY)
        if found is None:
            noticed += 1
        else:
            assert np.array_equal(found.array, answer.array)
            assert found.to_json() == answer.to_json()
    assert noticed > len(good) // 3
    assert len(store.damaged) == noticed


@pytest.mark.parametrize("member", ["array", "meta"])
def test_a_whole_entry_with_other_numbers_is_noticed(store, member):
    """As an edit or a bad disk cache would leave it: the container is fine, the content is not."""
    store.put(KEY, an_answer())
    path = store.path(KEY)
    with np.load(path) as file:
        members = dict(file)
    if member == "array":
        members["array"][0, 0, 0] += 1e-6
    else:
        members["meta"] = np.frombuffer(members["meta"].tobytes().replace(b"1.5", b"1.6"), dtype=np.uint8)
    np.savez(path, **members)
    assert store.get(KEY) is None
    assert store.damaged == [path]


@pytest.mark.parametrize("length", [0, 1, 100, 400])
def test_a_cut_entry_is_noticed(store, length):
    store.put(KEY, an_answer())
    path = store.path(KEY)
    path.write_bytes(path.read_bytes()[:length])
    assert store.get(KEY) is None
    assert store.damaged == [path]


def test_an_entry_under_another_key_is_noticed(store):
    store.put(KEY, an_answer())
    other = "cd" * 32
    store.path(other).parent.mkdir(parents=True)
    store.path(KEY).rename(store.path(other))
    assert store.get(other) is None
    assert store.damaged


def test_a_damaged_entry_is_replaced(store):
    store.put(KEY, an_answer())
    store.path(KEY).write_bytes(b"rubbish")
    store.put(KEY, an_answer(seed=1))
    assert np.array_equal(store.get(KEY).array, an_answer(seed=1).array)


def test_a_full_disk_is_said_clearly_and_leaves_nothing_half_written(store):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    big = an_answer(shape=(100, 100))
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(StoreError, match=r"cannot write to the store .*free some space .*PARITY_STORE"):
            store.put(KEY, big)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path for path in store.root.rglob("*") if path.is_file()] == []
    store.put(KEY, big)
    assert store.get(KEY) is not None


def test_no_space_left_names_the_store(store, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left on device; free some space"):
        store.put(KEY, an_answer())


def test_a_store_that_is_a_file_is_said_clearly(tmp_path):
    path = tmp_path / "file"
    path.write_text("")
    store = ResultStore(path)
    assert store.get(KEY) is None
    with pytest.raises(StoreError, match="name another store"):
        store.put(KEY, an_answer())


def test_readers_and_writers_at_once_see_whole_entries(store):
    """Four writers replace one entry over and over while four readers read it."""
    answers = [an_answer(seed, shape=(64, 64)) for seed in range(4)]
    store.put(KEY, answers[0])
    stop = time.monotonic() + 1.0
    wrong: list[object] = []

    def write(seed):
        own = ResultStore(store.root)
        while time.monotonic() < stop:
            own.put(KEY, answers[seed])

    def read():
        own = ResultStore(store.root)
        while time.monotonic() < stop:
            found = own.get(KEY)
            if found is None or not any(np.array_equal(found.array, one.array) for one in answers):
                wrong.append(found)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(4)]
    threads += [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert [path.name for path in store.root.rglob("*.tmp")] == []


def test_what_killed_writers_left_is_removed_when_it_is_old(store):
    store.put(KEY, an_answer())
    old, new = store.path(KEY).with_name(".old.tmp"), store.path(KEY).with_name(".new.tmp")
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    store.put_environment("signxai", {"tensorflow": "2"})
    assert not old.exists()
    assert new.exists()
    assert store.environment("signxai") == {"tensorflow": "2"}


def test_location(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARITY_STORE", raising=False)
    assert store_location() == ROOT / ".parity-store"  # never the working folder
    monkeypatch.setattr("parity.reference.store.CHECKOUT", tmp_path / "site-packages")
    monkeypatch.setattr("parity.reference.store.cache_folder", lambda: tmp_path / "cache")
    assert store_location() == tmp_path / "cache" / "store"
    monkeypatch.setattr("parity.reference.store.cache_folder", lambda: None)
    with pytest.raises(StoreError, match="--store or PARITY_STORE"):
        store_location()
    monkeypatch.setenv("PARITY_STORE", str(tmp_path / "elsewhere"))
    assert store_location() == tmp_path / "elsewhere"
    assert store_location(tmp_path / "named") == tmp_path / "named"


def test_the_key_covers_what_matters_and_nothing_else(ask, model, tmp_path):
    versions = {"tensorflow": "1"}
    base = ask("double")

    def key(request=base, versions=versions):
        return answer_key(request, 0, versions)

    def changed(**fields):
        values = {name: getattr(base, name) for name in ("model", "inputs", "targets", "call", "dtype")}
        return key(ReferenceRequest(**(values | fields)))

    from dataclasses import replace

    others = [
        changed(model=replace(model, sha256="0" * 64)),
        changed(model=replace(model, architecture="vgg16")),
        changed(inputs=(base.inputs[0] + 1,)),
        changed(inputs=(base.inputs[0].reshape(3, 2, 1),)),
        changed(inputs=(base.inputs[0].astype(np.float64),)),
        changed(targets=(1,)),
        changed(dtype="float64"),
        changed(onednn=False),
        changed(call=ask("other").call),
        changed(call=ask("double", a=1).call),
        changed(call=ask("double", backend="innvestigate").call),
        key(versions={"tensorflow": "2"}),
    ]
    assert len({key(), *others}) == len(others) + 1
    assert changed(model=replace(model, name="other", path=tmp_path / "other.h5")) == key()


def test_the_key_with_onednn_is_that_of_earlier_versions(ask):
    """What was stored before there was a choice stays valid."""
    request = ask("double")
    known = {
        "format": 1,
        "model": request.model.sha256,
        "architecture": None,
        "input": array_sha256(request.inputs[0]),
        "target": 0,
        "call": request.call.to_json(),
        "dtype": "float32",
        "versions": {"tensorflow": "1"},
    }
    assert answer_key(request, 0, {"tensorflow": "1"}) == json_sha256(known)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"text"', json.dumps({KEY: 3}), "\x00"])
def test_damaged_memory_of_models_without_onednn_counts_as_none_and_is_replaced(store, text):
    store.root.mkdir()
    (store.root / "without-onednn.json").write_text(text)
    assert store.without_onednn() == {}
    store.put_without_onednn(KEY, "it died")
    store.put_without_onednn("cd" * 32, "it died too")
    assert store.without_onednn() == {KEY: "it died", "cd" * 32: "it died too"}
    assert list(store.root.glob(".*.tmp")) == []
