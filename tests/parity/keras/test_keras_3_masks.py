"""Masks in files of Keras 3 that Keras 2, and so the references, would not make: what reads them is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import parity.keras
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
    with pytest.raises(parity.keras.ConversionError, match="Rebuild the layer with dropout=0"):
        parity.keras.load(path)
