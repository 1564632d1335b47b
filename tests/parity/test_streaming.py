"""Many inputs: globs, chunks, the same rows as all at once, and memory that does not grow with their number."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from parity.assets.inputs import InputError, expand, stream_inputs
from parity.report.junit import junit_parts
from parity.run import cases
from parity.run.results import encode
from parity.run.session import Session
from tests.parity.echo_client import EchoClient
from tests.parity.keras.keras_files import KerasModel, input_layer, layer, sequential

pytestmark = pytest.mark.slow

SIDE = 48
ROW = 3_000
"""More bytes than a row at parity takes."""
MAPS = SIDE * SIDE * 3 * (8 + 8 + 4 + 4)
"""Bytes of all maps of an input: two sides in two lanes."""


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("parity.run.session.ReferenceClient", EchoClient)
    monkeypatch.setattr(EchoClient, "wrong", frozenset())
    monkeypatch.setattr(EchoClient, "interrupt_after", None)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    architecture = sequential(
        input_layer(SIDE, SIDE, 3),
        layer("Conv2D", "conv", filters=4, kernel_size=[3, 3], activation="relu"),
        layer("GlobalAveragePooling2D", "mean"),
        layer("Dense", "dense", units=3),
    )
    conv = {"kernel": rng.normal(size=(3, 3, 3, 4)), "bias": rng.normal(size=4)}
    dense = {"kernel": rng.normal(size=(4, 3)), "bias": rng.normal(size=3)}
    return KerasModel(architecture, {"conv": conv, "mean": {}, "dense": dense}).write(tmp_path / "mine.h5")


def pictures(count: int, folder: str = "photos") -> str:
    """Write pictures; return a glob of them."""
    Path(folder).mkdir()
    rng = np.random.default_rng(6)
    for number in range(count):
        Image.fromarray(rng.integers(0, 256, (SIDE, SIDE, 3), np.uint8)).save(f"{folder}/p{number:03}.png")
    return f"{folder}/*.png"


def run(model: Path, pattern: str, report: str, **options: Any) -> dict[str, Any]:
    fixed = {"models": [str(model)], "methods": ["gradient", "lrp_z"], "files": [pattern], "directory": Path(report)}
    return dict(Session(**(fixed | options)).run())


def without_times(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in document["results"]]


def test_globs_are_sorted_and_literal_names_are_no_globs(tmp_path: Path) -> None:
    pictures(3)
    Path("photos/[1].png").write_bytes(Path("photos/p001.png").read_bytes())
    Path("photos/a.png").mkdir()
    names = [path.name for path in expand(["photos/p*.png", "photos/[1].png", str(tmp_path / "**" / "p00[02].png")])]
    assert names == ["p000.png", "p001.png", "p002.png", "[1].png", "p000.png", "p002.png"]
    with pytest.raises(InputError, match=r"no file matches 'photos/\*\.jpg'"):
        expand(["photos/*.jpg"])


def test_a_stream_reads_no_further_than_it_is_asked() -> None:
    pattern = pictures(3)
    Path("photos/p001.png").write_bytes(b"no picture")
    stream = stream_inputs([pattern], (SIDE, SIDE, 3), "none")
    assert next(stream).name == "p000"
    with pytest.raises(InputError, match="p001"):
        next(stream)


def test_rows_and_maps_are_those_of_a_run_all_at_once(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pattern = pictures(7)
    whole = run(model, pattern, "whole")
    monkeypatch.setattr(cases.Series.plans, "__defaults__", (3,))
    parts = run(model, pattern, "parts")
    assert without_times(parts) == without_times(whole)
    assert len(whole["results"]) == 2 * 2 * 7
    assert parts["inputs"] == whole["inputs"]
    for key in ("top1_agreement", "rules"):
        assert parts["models"][0][key] == whole["models"][0][key]
    with h5py.File("whole/parity-arrays.h5") as one, h5py.File("parts/parity-arrays.h5") as other:
        for index in range(len(whole["results"])):
            for side in ("reference", "subject"):
                assert np.array_equal(one[f"results/{index}/{side}"], other[f"results/{index}/{side}"])
        assert set(one) == set(other)


def test_inputs_by_name_and_by_number_are_found_in_later_chunks(model: Path) -> None:
    pattern = pictures(40)
    named = run(model, pattern, "named", input_names=["p038", "p002"], dtype="float64")
    assert [row["input"] for row in named["results"]] == ["p038", "p002"] * 2
    few = run(model, pattern, "few", samples=18, dtype="float64", methods=["gradient"])
    assert [row["input"] for row in few["results"]] == [f"p{number:03}" for number in range(18)]


def peak(model: Path, count: int) -> int:
    pattern = pictures(count, f"photos{count}")
    tracemalloc.start()
    try:
        document = run(model, pattern, f"report{count}", methods=["gradient"])
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert len(document["results"]) == 2 * count
    return most


def size(found: Any, seen: set[int]) -> int:
    """Return the bytes of plain data, what is shared counted once."""
    if id(found) in seen:
        return 0
    seen.add(id(found))
    inner = [*found, *found.values()] if isinstance(found, dict) else found if isinstance(found, list | tuple) else []
    return sys.getsizeof(found) + sum(size(one, seen) for one in inner)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.4 kB on Python 3.10")
def test_a_row_takes_what_the_page_of_large_runs_says(model: Path) -> None:
    pattern = pictures(16)
    rows = run(model, pattern, "report")["results"]
    assert {row["status"] for row in rows} == {"parity"}
    assert 1_000 < size(rows, set()) / len(rows) < ROW
    assert len({id(row["limits"]) for row in rows}) < len(rows) / 4, "equal limits are kept more than once"


@pytest.mark.parametrize("parts", [encode, junit_parts])
def test_a_report_is_written_piece_by_piece(parts: Any, model: Path) -> None:
    document = run(model, pictures(2), "report", methods=["gradient"])
    taken = []
    for count in (1, 400):
        many = document | {"results": document["results"] * count}
        tracemalloc.start()
        written = sum(map(len, parts(many)))
        taken.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert written > 1_000_000
    assert taken[1] - taken[0] < 100_000, "memory grows with the rows"


def test_memory_does_not_grow_with_the_number_of_inputs(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    peak(model, 1)  # what is loaded once
    few, many = peak(model, 32), peak(model, 128)
    # Rows are kept, inputs' entries too; how far the reference is ahead is a matter of luck.
    allowed = 96 * 2 * ROW + 96 * 1_000 + 2 * cases.CHUNK * MAPS
    assert many - few < allowed, f"{few / 1e6:.1f} MB for 32 inputs, {many / 1e6:.1f} MB for 128"
    monkeypatch.setattr(cases.Series.plans, "__defaults__", (1000,))
    assert peak(model, 129) - few > allowed, "the check above cannot fail"
