"""Whether both sides have the same network: their logits, before any map is believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from parity.judge.known.conditions import takes_tokens
from parity.keras import KerasModule
from parity.reference.environment import ReferenceEnvironmentError
from parity.reference.request import ReferenceAnswer
from parity.run.ahead import Ahead, Task
from parity.run.cases import DTYPES
from parity.run.file_logits import (
    FLOAT32_LEAST,
    FLOAT64_LIMIT,
    File,
    FileLogits,
    NoFileLogitsError,
    relative_distance,
    widened,
)
from parity.run.noise import LAST_DIGITS, nudged
from parity.run.records import ModelFacts
from parity.run.reference_side import ReferenceSide

Array = npt.NDArray[Any]


def check_logits(
    facts: ModelFacts,
    modules: Mapping[str, KerasModule],
    side: ReferenceSide,
    inputs: Array,
    target: int | None,
    at_once: int = 0,
) -> None:
    """Fill in targets and the distance of the logits, and say in which lanes the networks are not the same.

    float64 decides whether it is the same network. In float32 the distance is held to 3 times what the reference's own
    float32 logits are from its float64 ones, or move by when the input is scaled by a few last digits, at least 1e-5.

    Parameters
    ----------
    facts
        What is known of the model; filled in here.
    modules
        The converted model by lane.
    side
        The references.
    inputs
        Keras layout, batch first.
    target
        The explained class of every input; None takes the arg-max of each.
    at_once
        How many lanes are asked for at once, so that as many workers start together; 0 asks one after another.

    Raises
    ------
    IndexError
        If the target is out of range.
    ReferenceEnvironmentError
        If there is no reference to ask.
    """
    logits = {name: _logits(module, inputs) for name, module in modules.items()}
    best = logits["float64"].argmax(axis=1)
    classes = logits["float64"].shape[1]
    if target is not None and not 0 <= target < classes:
        raise IndexError(f"target {target} is out of range: the model has {classes} classes")
    facts.targets = tuple(int(index) if target is None else target for index in best)
    theirs: dict[str, Array] = {}
    left_out = ("float64",) if facts.plan.large and not facts.plan.float64 else ()
    lanes = [dtype for dtype in DTYPES if dtype not in left_out]
    file = File(side, facts.description, facts.plan.source)
    beside = ThreadPoolExecutor(1)
    try:
        # Keras 3 starts while TensorFlow does.
        early = beside.submit(file.logits, inputs, "float32") if file.of_keras_3 else None
        with Ahead([Task(dtype, partial(side.logits, list(inputs), dtype)) for dtype in lanes], at_once) as ahead:
            for dtype in lanes:
                values = _theirs(facts, ahead.take(dtype))
                if values is None:
                    return
                theirs[dtype] = values
        if facts.description.spelled:
            _hold_to_the_file(facts, file, inputs, theirs, early)
    finally:
        beside.shutdown(wait=False, cancel_futures=True)
    facts.top1_agreement = float(np.mean(theirs["float32"].argmax(axis=1) == best))
    for dtype, values in theirs.items():
        distance = relative_distance(logits[dtype], values)
        if np.isfinite(distance):
            facts.logits_rel_l2[dtype] = distance
        limit = FLOAT64_LIMIT if dtype == "float64" else _float32_limit(facts, side, inputs, theirs, distance)
        if not distance <= limit:
            text = (
                f"the logits of the two sides differ by rel. L2 {distance:.3g} in {dtype}, more than {limit:.3g}: the "
                "networks are not the same, so no map is compared"
            )
            if not np.isfinite(values).all():
                text = f"the reference's logits in {dtype} are not all finite, so no map is compared"
            # Other numbers in float64 are another network, in whatever lane.
            facts.problems |= dict.fromkeys(DTYPES if dtype == "float64" else (dtype,), text)


def _hold_to_the_file(
    facts: ModelFacts, file: File, inputs: Array, theirs: Mapping[str, Array], early: Future[FileLogits] | None
) -> None:
    """Hold the network that was written for the reference to the file it was made of, as Keras itself reads that."""
    spelling = f"written for the reference with {', '.join(facts.description.spelled)}"
    try:
        held = file.hold(inputs, theirs, None if early is None else early.result())
    except NoFileLogitsError as error:
        facts.reference_network = f"{spelling}; it was not held to the file: {error}"
        return
    facts.reference_network = (
        f"{spelling}; its logits are within {held.distance:.2g} of those of the file by {held.by} in {held.dtype}"
    )
    if not held.same:
        text = (
            f"the network that was written for the reference is not that of the file: its logits differ by rel. L2 "
            f"{held.distance:.3g} in {held.dtype}, more than {held.limit:.3g}"
        )
        facts.problems |= dict.fromkeys(DTYPES, text)


def _float32_limit(
    facts: ModelFacts, side: ReferenceSide, inputs: Array, theirs: Mapping[str, Array], distance: float
) -> float:
    """Return the limit in float32; more samples of the reference's noise are taken only where the first is small."""
    exact = theirs.get("float64")
    base = theirs["float32"] if exact is None else exact
    limit = FLOAT32_LEAST if exact is None else widened(FLOAT32_LEAST, relative_distance(exact, theirs["float32"]))
    more = not distance <= limit and not takes_tokens(facts.description)  # tokens that are scaled are other ones
    for digits in LAST_DIGITS if more else ():
        answers = side.logits([nudged(x.astype("float32"), digits) for x in inputs], "float32")
        if all(answer.array is not None for answer in answers):
            moved = _stacked([np.asarray(answer.array) for answer in answers])
            limit = widened(limit, relative_distance(base, moved))
    return limit


def _theirs(facts: ModelFacts, answers: Sequence[ReferenceAnswer]) -> Array | None:
    """Return the reference's logits, or None, with the reason noted, if it could not compute them."""
    failed = next((answer for answer in answers if answer.array is None), None)
    if failed is None:
        return _stacked([np.asarray(answer.array) for answer in answers])
    if failed.error_kind == "environment":
        raise ReferenceEnvironmentError(str(failed.error))
    facts.problems = dict.fromkeys(DTYPES, f"the reference could not compute the logits: {failed.error}")
    facts.broken = True
    return None


def _stacked(logits: list[Array]) -> Array:
    return np.stack([one.reshape(-1) for one in logits]).astype(np.float64)


def _logits(module: KerasModule, inputs: Array) -> Array:
    return np.concatenate([module.logits(x[None]).astype(np.float64).reshape(1, -1) for x in inputs])
