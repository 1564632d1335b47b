"""float32 that is float32: TF32 and bfloat16, by which torch may replace it, are off while a model is explained.

cuDNN's convolutions round to the 10 bits of TF32 unless they are told not to, and `torch.set_float32_matmul_precision`
does the same to other products, on some processors too. The settings are the process's and not a thread's: other
threads compute in full float32 meanwhile, too. Torch's older ways to ask for them (`torch.backends.cudnn.allow_tf32`)
raise meanwhile, as they do wherever the newer ones are in use.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor

_EXACT = ("ieee", "none")
_LEAVES = (
    ("cuda", "matmul"), ("cuda", "conv"), ("cuda", "rnn"), ("mkldnn", "matmul"), ("mkldnn", "conv"), ("mkldnn", "rnn"),
)  # fmt: skip
_ON_A_PROCESSOR = [leaf for leaf in _LEAVES if leaf[0] == "mkldnn"]
_ABOVE = (("cuda", "all"), ("mkldnn", "all"))
_GENERIC = ("generic", "all")
# From torch 2.9 on a setting for each backend and operation, which takes that above it where it has none of its own.
_read: Any = getattr(torch._C, "_get_fp32_precision_getter", None)
_write: Any = getattr(torch._C, "_set_fp32_precision_setter", None)
_lock = threading.Lock()
_inside = 0
_undo: list[Callable[[], Any]] = []


@contextmanager
def full_float32(batch: Tensor) -> Iterator[None]:
    """Compute in full float32 inside, if a batch is of float32, or of tokens, and torch would not by itself.

    Parameters
    ----------
    batch : torch.Tensor
        What is explained.
    """
    if batch.dtype == torch.float64 or not _entered(batch.device.type):
        yield
        return
    try:
        yield
    finally:
        _left()


def _entered(device: str) -> bool:
    """Turn rounding off if a device rounds; return whether it does. What overlaps is undone by the last to leave."""
    global _inside
    with _lock:
        if not (_inside or _rounds(device)):
            return False
        try:
            if not _inside:
                _undo.extend(_set())
        except BaseException:
            _put_back()
            raise
        _inside += 1
        return True


def _left() -> None:
    global _inside
    with _lock:
        _inside -= 1
        if not _inside:
            _put_back()


def _put_back() -> None:
    while _undo:
        _undo.pop()()


def _rounds(device: str) -> bool:
    """Return whether torch may round products on a kind of device."""
    if device != "cpu":
        return device == "cuda"
    if _read is None:
        return torch.get_float32_matmul_precision() != "highest"
    return any(_read(*leaf) not in _EXACT for leaf in _ON_A_PROCESSOR)


def _set() -> Iterator[Callable[[], Any]]:
    """Turn rounding off; yield what undoes each step, to be called in reverse order."""
    if _read is None:
        yield from _set_before_2_9()
        return
    # That of all comes first: what takes it has no setting of its own then, which must not get one.
    asked_for = _older_setting()
    for place in (_GENERIC, *_ABOVE, *_LEAVES):
        value = _read(*place)
        if place == _GENERIC or value not in _EXACT:
            yield partial(_write_back, place, value, asked_for)
            _write(*place, "ieee")


def _write_back(place: tuple[str, str], value: str, asked_for: str) -> None:
    """Put a setting back, unless somebody has set it meanwhile."""
    set_meanwhile = place[1] == "matmul" and asked_for and _older_setting() not in ("", asked_for)
    if _read(*place) == "ieee" and not set_meanwhile:
        _write(*place, value)


def _older_setting() -> str:
    """Return `torch.get_float32_matmul_precision()`; nothing where the newer settings contradict it."""
    try:
        return torch.get_float32_matmul_precision()
    except RuntimeError:
        return ""


def _set_before_2_9() -> Iterator[Callable[[], Any]]:
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    yield partial(torch.set_float32_matmul_precision, products)
    torch.set_float32_matmul_precision("highest")
    yield partial(setattr, torch.backends.cudnn, "allow_tf32", convolutions)
    torch.backends.cudnn.allow_tf32 = False
