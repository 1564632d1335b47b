"""What a model, its input and its output must be to be explained; each message says what to do."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from signxai_torch.operations.declared import ATTRIBUTE
from signxai_torch.operations.inputs import Inputs
from signxai_torch.operations.layout import with_settled_strides

DTYPES = (torch.float32, torch.float64)
TOKENS = (torch.int64, torch.int32)
"""The dtypes of tokens, which models with an embedding take."""
# What torch says of another dtype or device, in many ways; it says other things of shapes.
_MISMATCH = re.compile(r"dtype|datatype|device|scalar type|type \(|promoting|double", re.IGNORECASE)


def check_inputs(model: nn.Module, x: Any) -> tuple[Tensor, Inputs]:
    """Return `x` as one tensor that a model can be explained on, and how the model takes it.

    Raises
    ------
    TypeError
        If the model is no module, or `x` no tensor of float32 or float64 (or of tokens, for a model that has an
        embedding), nor a tuple, list or dict of such.
    ValueError
        If `x` is empty or holds NaN or infinite values, or if the model cannot be explained sample by sample.
    """
    check_model(model)
    return check_batch(x, takes_tokens(model))


def takes_tokens(model: nn.Module) -> bool:
    """Return whether a model has an embedding."""
    return any(looks_up(module) for module in model.modules())


def check_batch(x: Any, tokens: bool) -> tuple[Tensor, Inputs]:
    """Return `x` as one tensor, and how a model takes it; see `check_inputs`.

    Parameters
    ----------
    x : object
        What the user gave.
    tokens : bool
        Whether it may be whole numbers.
    """
    if isinstance(x, (Mapping, tuple, list)):
        return _checked_together(x)
    _check_tensor(x, "x", tokens)
    if x.dim() < 2:
        raise ValueError(f"x must have a batch axis and at least one value, not shape {tuple(x.shape)}")
    with torch.inference_mode(False):
        # Autograd takes no tensor of inference mode.
        return with_settled_strides(x.clone() if x.is_inference() else x.detach()), Inputs()


def _check_tensor(x: Any, name: str, tokens: bool = False) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name} must be a torch.Tensor in torch layout, batch first, not {type(x).__name__}")
    if x.layout is not torch.strided:
        raise TypeError(f"{name} must be a dense tensor, not {x.layout}; use {name}.to_dense()")
    if x.device.type == "meta":
        raise TypeError(f"{name} is on the device 'meta', where tensors have no values; make it on a real device")
    if tokens and x.dtype in TOKENS:
        _check_values(x, name)
        return
    if not x.is_floating_point():
        of_tokens = "; integers are tokens, and the model has no nn.Embedding" if x.dtype in TOKENS else ""
        raise TypeError(f"{name} must be floating point, not {x.dtype}; use {name}.float(){of_tokens}")
    if x.dtype not in DTYPES:
        raise TypeError(
            f"{name} must be float32 or float64, not {x.dtype}, in which small denominators vanish; "
            f"use model.float() and {name}.float()"
        )
    _check_values(x, name)


def _check_values(x: Tensor, name: str) -> None:
    if x.numel() == 0:
        raise ValueError(f"{name} must have a batch axis and at least one value, not shape {tuple(x.shape)}")
    if not is_finite(x):
        bad = tuple(int(i) for i in (~torch.isfinite(x)).nonzero()[0])
        raise ValueError(f"{name} holds NaN or infinite values, the first at index {bad}")


def _checked_together(x: Mapping[Any, Any] | Sequence[Any]) -> tuple[Tensor, Inputs]:
    """Return several inputs joined, and what they are; see `check_inputs`."""
    by_name = isinstance(x, Mapping)
    holder: type = dict if by_name else list if isinstance(x, list) else tuple
    keys = tuple(x) if by_name else ()
    if not all(isinstance(key, str) for key in keys):
        raise TypeError(f"x must have the names of the model's arguments as keys, not {', '.join(map(repr, keys))}")
    names = tuple(f"x[{key!r}]" for key in (keys or range(len(x))))
    parts = [x[key] for key in keys] if isinstance(x, Mapping) else list(x)
    if not parts:
        raise TypeError(f"x is an empty {holder.__name__}; give the model's inputs, batch first")
    for name, part in zip(names, parts, strict=True):
        if isinstance(part, Tensor) and not part.is_floating_point():
            raise TypeError(
                f"{name} is {part.dtype}: what a model looks up or chooses by (token ids, categories, masks) has no "
                "gradient and no relevance; explain a module whose forward takes the embeddings in its place, or one "
                "that holds it and takes the other inputs"
            )
        _check_tensor(part, name)
        if part.dim() == 0:
            raise ValueError(f"{name} must have a batch axis and at least one value, not shape {tuple(part.shape)}")
    _check_alike(names, parts)
    inputs = Inputs(
        names, tuple(part.shape[1:] for part in parts), holder, keys, all(part.is_contiguous() for part in parts)
    )
    with torch.inference_mode(False):
        return inputs.joined([part.clone() if part.is_inference() else part.detach() for part in parts]), inputs


def _check_alike(names: Sequence[str], parts: Sequence[Tensor]) -> None:
    """Refuse inputs of different dtypes, devices or numbers of samples."""
    first = parts[0]
    for name, part in zip(names, parts, strict=True):
        if part.dtype != first.dtype or part.device != first.device:
            raise TypeError(
                f"{names[0]} is {first.dtype} on {first.device}, {name} is {part.dtype} on {part.device}; all inputs "
                f"must be alike: use {name}.to({names[0]})"
            )
        if len(part) != len(first):
            raise ValueError(
                f"{names[0]} has {len(first)} samples and {name} has {len(part)}; every input needs a batch axis with "
                f"the same samples: use {name}.expand({len(first)}, ...) for one that all samples share"
            )
    if all(part.dim() == 1 for part in parts):
        raise ValueError(f"{names[0]} must have a batch axis and at least one value, not shape {tuple(first.shape)}")


def is_finite(x: Tensor) -> bool:
    """Return whether no value is NaN or infinite."""
    # The sum is finite only if all values are; it may overflow where they are, so then each is asked.
    return math.isfinite(x.detach().sum()) or bool(torch.isfinite(x).all())


def looks_up(module: nn.Module) -> bool:
    """Return whether a module looks tokens up in a table."""
    return isinstance(module, (nn.Embedding, nn.EmbeddingBag)) or getattr(module, ATTRIBUTE, None) == "embedding"


def check_model(model: Any) -> None:
    """Refuse what is no module, and modules that autograd cannot use or that mix the samples of a batch.

    Raises
    ------
    TypeError, ValueError
        See `check_inputs`.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, not {type(model).__name__}")
    for name, module in model.named_modules():
        if isinstance(module, _BatchNorm) and module.running_mean is None:
            raise ValueError(
                f"layer {name!r} ({type(module).__name__}, track_running_stats=False) takes the batch's statistics "
                "even in eval mode, so no sample would be explained as if alone; make it with track_running_stats=True "
                "and let it see training data in train mode first"
            )
    for name, parameter in model.named_parameters():
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise ValueError(f"parameter {name!r} is lazy and has no values yet; run the model once first")
        if parameter.device.type == "meta":
            raise ValueError(
                f"parameter {name!r} is on the device 'meta', where tensors have no values; load the model"
            )
        if parameter.is_inference():
            raise ValueError(
                f"parameter {name!r} was made under torch.inference_mode(), where no gradient can be taken; make or "
                "load the model outside of it"
            )


def check_logits(model: nn.Module, output: Any, count: int) -> Tensor:
    """Return an output that is one row of finite numbers per sample.

    Raises
    ------
    TypeError
        If it is no tensor.
    ValueError
        If it has not one row per sample, or holds NaN or infinite values; the message names the first parameter or
        buffer that does.
    """
    if not isinstance(output, Tensor):
        keys = f" with {', '.join(map(repr, output))}" if isinstance(output, dict) else ""
        raise TypeError(
            f"the model must return logits of shape (N, classes), not {type(output).__name__}{keys}; say which part "
            "are the logits, such as output=lambda made: made.logits"
        )
    if output.dim() < 2:
        raise ValueError(
            f"the model must return logits of shape (N, classes), not {tuple(output.shape)}; give the class axis with "
            "output=lambda made: made.reshape(len(made), -1), and x a batch axis if it has none"
        )
    if len(output) != count:
        raise ValueError(
            f"the model returned {len(output)} rows for a batch of {count} samples, so its rows are no samples, and "
            "none would be explained as if alone; give x a batch axis if it has none, or shape the output with output="
        )
    return check_finite(model, output)


def check_finite(model: nn.Module, output: Tensor) -> Tensor:
    """Return logits that are finite.

    Raises
    ------
    ValueError
        If they are not; the message names the first parameter or buffer that is not.
    """
    if is_finite(output.detach()):
        return output
    for name, values in (*model.named_parameters(), *model.named_buffers()):
        if not is_finite(values):
            raise ValueError(f"the model's logits are not finite: {name!r} holds NaN or infinite values")
    raise ValueError(
        "the model's logits are not finite, though all its parameters are; look at the scale of the input, and at what "
        "the model divides by"
    )


@contextmanager
def telling_of_mismatch(model: nn.Module, x: Tensor) -> Iterator[None]:
    """Say in plain words what torch says in many: that a model is of another dtype, or on another device, than `x`.

    A model may convert its input itself, so a mismatch is no error before torch says so.

    Raises
    ------
    TypeError
        Instead of a RuntimeError inside that speaks of dtypes or devices, if no parameter has those of `x`.
    """
    try:
        yield
    except RuntimeError as error:
        parameters = [(name, one) for name, one in model.named_parameters() if one.is_floating_point()]
        known = any((one.dtype, one.device) == (x.dtype, x.device) for _, one in parameters)
        if not parameters or known or not _MISMATCH.search(str(error)):
            raise
        name, one = parameters[0]
        able = one.dtype in DTYPES
        raise TypeError(
            f"x is {x.dtype} on {x.device}, the model's parameter {name!r} is {one.dtype} on {one.device}; use "
            + (f"x.to({str(one.device)!r}, {one.dtype})" if able else "model.float()")
        ) from error
