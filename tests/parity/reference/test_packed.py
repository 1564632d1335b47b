"""References in one file: packed, read where there is no TensorFlow, and compared with what is computed anew."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parity.reference import ReferenceAnswer, ReferenceClient, ResultStore
from parity.reference import client as client_module
from parity.reference.packed import PackedAnswers, PackError, write_pack
from parity.reference.verified import compared

KEYS = ["ab" * 32, "cd" * 32]
ABOUT = {"created": "2026-01-02T03:04:05+00:00", "command": "parity reference pack"}


def answer(array: Any = None, error: str | None = None) -> ReferenceAnswer:
    kind = "method" if error else None
    return ReferenceAnswer(array, 1.5, versions={"tensorflow": "2"}, error=error, error_kind=kind)


def a_store(folder: Path, *answers: ReferenceAnswer) -> ResultStore:
    store = ResultStore(folder)
    for key, one in zip(KEYS, answers, strict=False):
        store.put(key, one)
    store.put_environment("signxai", {"tensorflow": "2.12.1", "threads": "1"})
    return store


@pytest.fixture
def maps() -> list[ReferenceAnswer]:
    rng = np.random.default_rng(0)
    return [answer(rng.normal(size=(5, 4)).astype(dtype)) for dtype in ("float32", "float64")]


def test_answers_come_back_as_they_went_in(tmp_path: Path, maps: list[ReferenceAnswer]) -> None:
    path = tmp_path / "references.zip"
    assert write_pack(a_store(tmp_path / "store", maps[0], answer(error="no")), path, ABOUT) == 2
    pack = PackedAnswers(path)
    assert sorted(pack.names()) == KEYS
    assert pack.manifest["created"] == ABOUT["created"]
    assert pack.environment("signxai")["tensorflow"] == "2.12.1"
    found, failed, none = pack.get(KEYS[0]), pack.get(KEYS[1]), pack.get("ef" * 32)
    assert found is not None
    assert failed is not None
    np.testing.assert_array_equal(found.array, maps[0].array)
    assert found.from_store
    assert (failed.array, failed.error) == (None, "no")
    assert none is None


def test_the_same_answers_are_packed_into_the_same_bytes(tmp_path: Path, maps: list[ReferenceAnswer]) -> None:
    store = a_store(tmp_path / "store", *maps)
    for name in ("a.zip", "b.zip"):
        write_pack(store, tmp_path / name, ABOUT)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_an_empty_store_is_not_packed(tmp_path: Path) -> None:
    with pytest.raises(PackError, match="has no answers"):
        write_pack(ResultStore(tmp_path / "store"), tmp_path / "references.zip", ABOUT)
    assert not list(tmp_path.glob("references*"))


def test_what_is_no_pack_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "references.zip"
    path.write_text("no zip")
    with pytest.raises(PackError, match="is no pack of references"):
        PackedAnswers(path)
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("manifest.json", json.dumps({"format": 2}))
    with pytest.raises(PackError, match="has the format 2, expected 1"):
        PackedAnswers(path)


def test_a_damaged_answer_is_no_answer(tmp_path: Path, maps: list[ReferenceAnswer]) -> None:
    path = tmp_path / "references.zip"
    store = a_store(tmp_path / "store", *maps)
    store.path(KEYS[0]).write_bytes(store.path(KEYS[1]).read_bytes())
    write_pack(store, path, ABOUT)
    with pytest.raises(PackError, match=f"the answer {KEYS[0]} is damaged: the entry belongs to another key"):
        PackedAnswers(path).get(KEYS[0])


def test_a_client_without_an_environment_answers_from_a_pack(client, ask, tmp_path: Path, monkeypatch) -> None:
    request = ask("double", inputs=2)
    with client() as computing:
        computed = computing.answer(request)
        write_pack(computing.store, tmp_path / "references.zip", ABOUT)
    monkeypatch.setattr(client_module, "SHIPPED", tmp_path / "absent.zip")
    packs = [tmp_path / "references.zip"]
    with ReferenceClient(store=tmp_path / "empty", offline=True, packs=packs) as offline:
        answers = offline.answer(request)
        (missing,) = offline.answer(replace(request, inputs=(request.inputs[0] + 7,), targets=(0,)))
        assert offline.workers_started == 0
        assert offline.unable is None
        assert offline.environment()["tensorflow"] == computing.environment()["tensorflow"]
    for packed, one in zip(answers, computed, strict=True):
        assert packed.from_store
        np.testing.assert_array_equal(packed.array, one.array)
    assert missing.error_kind == "environment"
    assert "no TensorFlow is started (--offline)" in str(missing.error)
    assert not (tmp_path / "empty").exists()


def test_a_client_with_an_environment_computes_and_reads_no_pack(client, ask, tmp_path: Path) -> None:
    (tmp_path / "references.zip").write_text("no zip")
    with client(packs=[tmp_path / "references.zip"]) as one:
        (found,) = one.answer(ask("double"))
    assert not found.from_store


def test_a_damaged_pack_is_told_in_the_answer(client, ask, tmp_path: Path, monkeypatch) -> None:
    request = ask("double")
    with client() as computing:
        computing.answer(request)
        (entry,) = computing.store.root.glob("??/??/*.npz")
        entry.write_bytes(b"damaged")
        write_pack(computing.store, tmp_path / "references.zip", ABOUT)
    monkeypatch.setattr(client_module, "SHIPPED", tmp_path / "absent.zip")
    with ReferenceClient(store=tmp_path / "empty", offline=True, packs=[tmp_path / "references.zip"]) as offline:
        (found,) = offline.answer(request)
    assert (found.array, found.error_kind) == (None, "environment")
    assert "is damaged" in str(found.error)


def verdict(tmp_path: Path, packed: list[ReferenceAnswer], computed: list[ReferenceAnswer]):
    path = tmp_path / "references.zip"
    write_pack(a_store(tmp_path / "then", *packed), path, ABOUT)
    return compared(PackedAnswers(path), a_store(tmp_path / "now", *computed))


def test_what_is_computed_anew_to_the_last_bit_is_the_same(tmp_path: Path, maps: list[ReferenceAnswer]) -> None:
    found = verdict(tmp_path, maps, maps)
    assert found.same
    assert (found.identical, found.close, found.worst) == (2, 0, {})


@pytest.mark.parametrize(
    ("lane", "factor", "same"), [(0, 1e-4, True), (0, 2e-3, False), (1, 1e-13, True), (1, 1e-11, False)]
)
def test_rounding_is_told_from_other_numbers(tmp_path: Path, maps, lane: int, factor: float, same: bool) -> None:
    moved = list(maps)
    moved[lane] = answer((maps[lane].array * (1 + factor)).astype(maps[lane].array.dtype))
    found = verdict(tmp_path, maps, moved)
    assert found.same is same
    assert (found.close, len(found.different)) == ((1, 0) if same else (0, 1))


@pytest.mark.parametrize(
    ("now", "text"),
    [
        (answer(np.full((5, 4), np.nan, np.float32)), "relative L2 inf in float32"),
        (answer(np.zeros((4, 5), np.float32)), "shape or dtype is not the same"),
        (answer(error="raised"), "the error was None and is 'raised'"),
    ],
    ids=["nan", "shape", "error"],
)
def test_other_answers_are_told(tmp_path: Path, maps, now: ReferenceAnswer, text: str) -> None:
    found = verdict(tmp_path, maps, [now, maps[1]])
    assert not found.same
    assert text in found.text()


def test_answers_that_one_side_lacks_are_no_proof(tmp_path: Path, maps: list[ReferenceAnswer]) -> None:
    assert not verdict(tmp_path, maps, maps[:1]).same
    assert not verdict(tmp_path / "other", maps[:1], maps).same
    assert "lacks 1 that were" in verdict(tmp_path / "third", maps[:1], maps).text()
