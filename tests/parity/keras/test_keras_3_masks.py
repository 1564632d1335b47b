"""Masks in files of Keras 3 that Keras 2, and so the references, would not make: what reads them is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import parity.keras
from parity.keras.masks_taken import run_order
from tests.parity.keras.keras_3_built import L, keras, ops, running


def _masked_and_plain(join: Callable[..., Any]) -> Any:
    x = L.Input((7, 3))
    return keras.Model(x, L.GlobalAveragePooling1D()(join(L.Masking()(x), x)))


def _counts(x: Any) -> Any:
    """Return the mask that Masking makes."""
    return ops.any(ops.not_equal(x, 0.0), axis=-1)


def _adding(x: Any) -> Any:
    a, b = L.Input(x.shape[1:]), L.Input(x.shape[1:])
    return keras.Model([a, b], L.GRU(3, return_sequences=True)(L.Add()([a, b])))


OTHERWISE: dict[str, Callable[[], Any]] = {
    "a layer that Keras 2 ends masks at": lambda: _masked_and_plain(lambda read, x: L.Rescaling(2.0)(read)),
    "a sum with what has no mask": lambda: _masked_and_plain(lambda read, x: L.Add()([read, L.Dense(3)(x)])),
    "attention to such a sum": lambda: _masked_and_plain(
        lambda read, x: L.Attention()([L.Add()([read, L.Dense(3)(x)]), x])
    ),
    "a mask of the user's": lambda: _masked_and_plain(lambda read, x: L.GRU(3, return_sequences=True)(
        read, mask=ops.not_equal(x[..., 0], 1.0)
    )),
    "all numbers of a step": lambda: _masked_and_plain(lambda read, x: L.GRU(3, return_sequences=True)(
        read, mask=ops.all(ops.not_equal(x, 0.0), axis=-1)
    )),
    "along another axis": lambda: _masked_and_plain(lambda read, x: L.GRU(3, return_sequences=True)(
        read, mask=ops.any(ops.not_equal(ops.concatenate([x, x, x[..., :1]], axis=-1), 0.0), axis=1)
    )),
    "nothing counts": lambda: _masked_and_plain(lambda read, x: L.GRU(3, return_sequences=True)(
        read, mask=ops.all(ops.stack([_counts(x), ops.zeros_like(_counts(x))], axis=0), axis=0)
    )),
    "attention to all, told": lambda: _masked_and_plain(
        lambda read, x: L.Attention()([read, read], mask=[_counts(x), None])
    ),
    "attention of all, told": lambda: _masked_and_plain(
        lambda read, x: L.Attention()([read, read], mask=[None, _counts(x)])
    ),
    "attention without masks, told": lambda: _masked_and_plain(
        lambda read, x: L.Attention()([read, read], mask=[None, None])
    ),
    "the mask of another input": lambda: _masked_and_plain(
        lambda read, x: L.MultiHeadAttention(2, 3)(read, x, value_mask=_counts(x))
    ),
    "the mask of a key that is the value": lambda: _masked_and_plain(
        lambda read, x: L.MultiHeadAttention(2, 3)(x, x, key_mask=_counts(x))
    ),
    "a mask of pairs": lambda: _masked_and_plain(
        lambda read, x: L.MultiHeadAttention(2, 3)(x, x, attention_mask=x[..., :1] * ops.swapaxes(x[..., :1], 1, 2))
    ),
    "a mask of the user's for a nested model": lambda: _masked_and_plain(
        lambda read, x: running(x)(read, mask=ops.not_equal(x[..., 0], 1.0))
    ),
    "a sum with what has no mask, in a nested model": lambda: _masked_and_plain(
        lambda read, x: _adding(x)([read, x])
    ),
    "one of two masks": lambda: _masked_and_plain(lambda read, x: L.Add()([read, L.Masking(1.0)(x)])),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERWISE)
def test_masks_that_keras_2_would_not_make_are_refused(case: str, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    OTHERWISE[case]().save(path)
    with pytest.raises(parity.keras.ConversionError, match="mask"):
        parity.keras.load(path)


@pytest.mark.parametrize("merge", ["Multiply", "Maximum", "Minimum"])
def test_a_merge_that_leaves_out_masked_steps_is_refused(merge: str, tmp_path: Path) -> None:
    x = L.Input((6, 3))
    masked = L.Masking()(x)
    y = getattr(L, merge)()([masked, L.Conv1D(3, 1)(masked)])
    path = tmp_path / "model.keras"
    keras.Model(x, L.Dense(2)(L.Flatten()(y))).save(path)
    with pytest.raises(parity.keras.ConversionError, match="leaves out steps"):
        parity.keras.load(path)


@pytest.mark.parametrize("layer", [lambda: L.MultiHeadAttention(2, 3, dropout=0.1),
                                   lambda: L.GroupQueryAttention(3, 4, 2, dropout=0.1)])  # fmt: skip
def test_attention_with_dropout_and_a_masked_query_is_refused(layer: Any, tmp_path: Path) -> None:
    x = L.Input((6, 3))
    masked = L.Masking()(x)
    path = tmp_path / "model.keras"
    keras.Model(x, L.Dense(2)(L.Flatten()(layer()(masked, masked)))).save(path)
    with pytest.raises(parity.keras.ConversionError, match="it has dropout, and its query has a mask"):
        parity.keras.load(path)


def _embedded() -> tuple[Any, Any]:
    x = L.Input((6,))
    return x, L.Embedding(9, 4, mask_zero=True)(x)


def _blocks(before: bool, count: int) -> Any:
    """Return a transformer of blocks that normalise before the attention, or behind it."""
    x, y = _embedded()
    for _ in range(count):
        if before:
            read = L.LayerNormalization()(y)
            y = L.Add()([y, L.MultiHeadAttention(2, 2)(read, read)])
        else:
            y = L.LayerNormalization()(L.Add()([y, L.MultiHeadAttention(2, 2)(y, y)]))
    return keras.Model(x, L.GlobalAveragePooling1D()(y))


@pytest.mark.parametrize(("before", "count"), [(False, 1), (True, 1), (True, 3)])
def test_masks_that_are_there_when_the_model_runs(before: bool, count: int, tmp_path: Path) -> None:
    model, path = _blocks(before, count), tmp_path / "m.keras"
    rng = np.random.default_rng(0)
    model.set_weights([0.5 * rng.normal(size=values.shape) for values in model.get_weights()])
    model.save(path)
    tokens = np.array([[1, 2, 3, 0, 0, 0], [4, 5, 0, 1, 0, 0]], np.float32)
    np.testing.assert_allclose(parity.keras.load(path).logits(tokens), model.predict(tokens, verbose=0), atol=1e-5)


def _read_twice() -> Any:
    x, y = _embedded()
    return keras.Model(x, L.Flatten()(L.MultiHeadAttention(1, 2)(L.MultiHeadAttention(2, 2)(y, y), y)))


def _read_by_a_dropout() -> Any:
    """At inference the dropout gives the very tensor that it reads."""
    x, y = _embedded()
    made = L.MultiHeadAttention(2, 2)(L.Dropout(0.5)(y), L.Dense(4)(y))
    return keras.Model(x, L.Flatten()(L.Attention()([made, y])))


@pytest.mark.parametrize("build", [lambda: _blocks(False, 2), _read_twice, _read_by_a_dropout])
def test_masks_that_another_attention_takes_off_are_refused(build: Callable[[], Any], tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    build().save(path)
    with pytest.raises(parity.keras.ConversionError, match="is gone when Keras 3 runs the model"):
        parity.keras.load(path)


def test_scores_of_a_query_with_a_mask_are_refused(tmp_path: Path) -> None:
    x, y = _embedded()
    made, _ = L.MultiHeadAttention(2, 2)(y, y, return_attention_scores=True)
    keras.Model(x, L.Flatten()(made)).save(tmp_path / "m.keras")
    with pytest.raises(parity.keras.ConversionError, match="it gives its scores, and its query has a mask"):
        parity.keras.load(tmp_path / "m.keras")


def test_the_order_in_which_keras_3_runs_layers() -> None:
    """The longer way first, and what a walk from the output reaches first."""
    reads = {"x": (), "a": ("x",), "b": ("x",), "c": ("b",), "d": ("x",), "out": ("a", "c", "d")}
    assert list(run_order(reads, "out")) == ["x", "b", "a", "c", "d", "out"]
