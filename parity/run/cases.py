"""Models x inputs x methods x dtypes: the cases of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from parity.assets.inputs import Input
from parity.assets.source import ModelSource
from parity.errors import ParityError
from parity.keras import ModelDescription
from parity.run.subjects import UnknownMethodError, list_methods, parse

DTYPES = ("float64", "float32")
CHUNK = 16
"""Inputs that are in memory at once: enough to share what the reference builds once per method."""
LARGE = 10_000_000
"""Parameters from which on a model is large: one shipped input by default, float64 for `one_per_combination`."""
FIRST = (
    "gradient", "gradient_x_input", "gradient_x_sign", "gradient_x_sign_mu_0_5", "guided_backprop", "deconvnet",
    "integrated_gradients", "smoothgrad", "vargrad", "grad_cam", "lrp_z", "lrp_epsilon_0_1", "lrp_flat",
    "lrp_w_square", "lrp_alpha_1_beta_0", "lrp_alpha_2_beta_1", "lrp_z_plus", "lrp_gamma",
    "lrpsign_epsilon_0_25_std_x", "lrpsign_epsilon_0_25_std_x_mu_0_5", "w2lrp_epsilon_0_1", "flatlrp_epsilon_0_1",
    "lrp_sequential_composite_a", "lrp_sequential_composite_b",
)  # fmt: skip
"""One method per rule and family: the set called "core"."""


@dataclass(frozen=True)
class Options:
    """What the user chose beside models, inputs, methods and lanes; a case is made again with the same.

    Attributes
    ----------
    target, reference, subject
        See `parity.run.runner.Runner`; the subject by its name.
    store
        Where reference results lie; None for the usual place.
    """

    target: int | None = None
    reference: str = "auto"
    subject: str = "signxai_torch"
    store: Path | None = None


@dataclass(frozen=True)
class Plan:
    """What a run compares for one model: each method on each input, in each method's lanes."""

    source: ModelSource
    inputs: tuple[Input, ...]
    methods: tuple[str, ...]
    float64: frozenset[str]
    float32: frozenset[str]
    large: bool = False
    options: Options = Options()

    def dtypes(self, method: str) -> tuple[str, ...]:
        """Return the lanes of a method."""
        lanes = (("float64", self.float64), ("float32", self.float32))
        return tuple(name for name, methods in lanes if method in methods)

    @property
    def count(self) -> int:
        """Number of cases."""
        return sum(len(self.dtypes(method)) for method in self.methods) * len(self.inputs)


@cache
def one_per_combination() -> tuple[str, ...]:
    """Return one method per combination of rules, and the gradients: what large models are compared on in float64.

    The reference takes up to 14 GB and some ten seconds a method there. Methods that only differ in a number or in
    what multiplies the map, and those that explain 50 copies of the input, are left to float32 and to small models.
    """
    chosen: dict[tuple[Any, ...], str] = {}
    for name in list_methods():
        method = parse(name)
        single_pass = method.row.layers or method.family in ("gradient", "guided_backprop", "deconvnet")
        if method.modifiers or not single_pass:
            continue
        prefix = method.prefix.name if method.prefix else method.row.template
        which = (prefix, method.row.template, method.input_rule, method.ignore_bias, method.parameters.get("alpha"))
        chosen.setdefault(which, name)
    return tuple(chosen.values())


@dataclass(frozen=True)
class Series:
    """What a run compares for one model on any number of inputs, a few of them in memory at a time.

    Attributes
    ----------
    outline
        The plan, without inputs.
    description
        The model.
    inputs
        Name -> hash of each input as it was planned, in the order of the results.
    read
        Starts reading the inputs from the first again; it may read others than those named.
    unread
        What was wrong with those that could not be read again.
    """

    outline: Plan
    description: ModelDescription
    inputs: Mapping[str, str]
    read: Callable[[], Iterable[Input]]
    unread: Sequence[str] = ()

    def plans(self, size: int = CHUNK) -> Iterator[Plan]:
        """Yield a plan for every `size` inputs.

        Raises
        ------
        ParityError
            If an input cannot be read any more; all others were yielded.
        """
        wanted = set(self.inputs)
        chunk: list[Input] = []
        for one in self.read():
            if one.name in wanted:
                wanted.remove(one.name)
                chunk.append(one)
            if chunk and (len(chunk) == size or not wanted):
                yield replace(self.outline, inputs=tuple(chunk))
                chunk = []
            if not wanted:
                return
        if chunk:
            yield replace(self.outline, inputs=tuple(chunk))
        missing = "; ".join(self.unread[:3]) or f"no {', '.join(sorted(wanted)[:3])}"
        raise ParityError(f"inputs of {self.outline.source.name} have changed since the run began: {missing}")

    @property
    def count(self) -> int:
        """Number of cases."""
        return sum(len(self.outline.dtypes(method)) for method in self.outline.methods) * len(self.inputs)


def select_methods(patterns: Sequence[str]) -> tuple[str, ...]:
    """Return the methods that patterns name, in the order of the table.

    Parameters
    ----------
    patterns : sequence of str
        Names or globs, each possibly several separated by commas; "all" is every listed method, "core" one per
        rule and family. A name need not be listed (any number works), a glob matches listed names.

    Raises
    ------
    ParityError
        If a name is unknown (the nearest are named) or a glob matches nothing.
    """
    listed = list_methods()
    chosen: dict[str, None] = {}
    for pattern in (part.strip() for text in patterns for part in text.split(",") if part.strip()):
        if pattern == "all":
            matches = listed
        elif pattern == "core":
            matches = list(FIRST)
        elif any(sign in pattern for sign in "*?["):
            matches = [name for name in listed if fnmatchcase(name, pattern)]
            if not matches:
                raise ParityError(f"no method matches {pattern!r}; `python -m parity methods` lists them")
        else:
            try:
                matches = [parse(pattern).name]
            except UnknownMethodError as error:
                raise ParityError(str(error)) from None
        chosen |= dict.fromkeys(matches)
    order = {name: index for index, name in enumerate(listed)}
    return tuple(sorted(chosen, key=lambda name: (order.get(name, len(order)), name)))


def select_inputs(available: Iterable[str], names: Sequence[str], samples: int | None) -> tuple[str, ...]:
    """Return the names of the inputs to explain: those named, or the first `samples` of them.

    Raises
    ------
    ParityError
        If a name is not among them.
    """
    if not names:
        return tuple(islice(available, samples))
    known = list(available)
    unknown = [name for name in names if name not in known]
    if unknown:
        some = ", ".join(known[:20]) + (f" and {len(known) - 20} more" if len(known) > 20 else "")
        raise ParityError(f"no input {unknown[0]!r}; the inputs are {some}")
    return tuple(dict.fromkeys(names))
