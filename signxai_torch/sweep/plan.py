"""What several methods share: an explicit plan, made before anything is computed.

A plan is a tree. Its branches are jobs: one walk of rules (`signxai_torch.sweep.walk`) for all methods of rules, one
gradient, one set of noisy inputs for SmoothGrad and VarGrad of the same noise, and each other
map by itself. Under a walk stand its backward passes, under a pass the rules of the input layer; the leaves are
method names, which differ in what multiplies the map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from signxai_torch.families import baselines, cam, deep_lift, gradients
from signxai_torch.families.gradients import STATISTICS, of_noisy_inputs
from signxai_torch.families.modifiers import modify
from signxai_torch.lrp.composites import BATCH_NORMS, ActivationComposite, composite_for
from signxai_torch.lrp.passes import warn_of_softmax
from signxai_torch.lrp.targets import Target, target_indices
from signxai_torch.lrp.weightless import DeconvNetReLU, GuidedReLU
from signxai_torch.methods.grammar import Method
from signxai_torch.operations.counting import Count, size
from signxai_torch.operations.inputs import Several
from signxai_torch.operations.model import Model, explaining
from signxai_torch.sweep.parameters import DRAWN
from signxai_torch.sweep.tokens import refuse_gradients_of_tokens
from signxai_torch.sweep.walk import Way, walk

Parameters = Mapping[str, Any]
Attribution = Callable[[Model, Tensor, Target, Method, Parameters], Tensor]


def _way_of_rules(method: Method, parameters: Parameters) -> Way:
    return Way(composite_for(method, parameters, parameters.get("batch_norm", BATCH_NORMS[0])), method.head)


WAYS: dict[str, Callable[[Method, Parameters], Way]] = {
    "guided_backprop": lambda method, given: Way(ActivationComposite(GuidedReLU()), given.get("start", method.head)),
    "deconvnet": lambda method, given: Way(ActivationComposite(DeconvNetReLU()), given.get("start", method.head)),
    "lrp": lambda method, parameters: _way_of_rules(method, parameters),
    "deep_taylor": lambda method, parameters: _way_of_rules(method, parameters),
}
"""The families that are one backward pass each, and which."""

MAPS: dict[str, Attribution] = {
    "gradient": gradients.gradient,
    "integrated_gradients": gradients.integrated_gradients,
    "grad_cam": cam.grad_cam,
    "grad_cam_timeseries": cam.grad_cam_timeseries,
    "guided_grad_cam": cam.guided_grad_cam,
    "deep_lift": deep_lift.deep_lift,
    "occlusion": baselines.occlusion,
    "random_uniform": baselines.random_uniform,
    "input": baselines.identity,
    "random": baselines.random,
}
"""The families that share nothing but a map between the variants of a name. `gradients.STATISTICS` has the rest."""


@dataclass(frozen=True)
class Node:
    """A branch or leaf of a plan: what is computed there, once, for all that hangs under it."""

    what: str
    children: tuple[Node, ...] = ()
    methods: tuple[str, ...] = ()

    def lines(self, lead: str = "") -> Iterator[str]:
        """Yield the lines of the tree under this node, without the node's own."""
        for index, child in enumerate(self.children):
            last = index == len(self.children) - 1
            names = f": {', '.join(child.methods)}" if child.methods else ""
            yield f"{lead}{'└── ' if last else '├── '}{child.what}{names}"
            yield from child.lines(lead + ("    " if last else "│   "))


@dataclass(frozen=True)
class Wanted:
    """A method and its parameters."""

    method: Method
    parameters: Parameters


@dataclass
class Job:
    """What is computed together.

    Attributes
    ----------
    kind : str
        "walk", "noise" or "map".
    what : str
        The job in words.
    wanted : list of Wanted
        The methods that it serves.
    """

    kind: str
    what: str
    wanted: list[Wanted] = field(default_factory=list)

    def shares(self, other: Job) -> bool:
        """Return whether another job is the same computation; arrays among its parameters are compared by value."""
        if (self.kind, self.what) != (other.kind, other.what):
            return False
        return self.kind == "walk" or _equal(self.wanted[0].parameters, other.wanted[0].parameters)


class Plan:
    """The jobs that several methods come down to; ``str(plan)`` draws the tree.

    Parameters
    ----------
    wanted : sequence of Wanted
        Methods with their parameters.
    strict : bool
        Refuse what only the literature has a rule for.

    Attributes
    ----------
    seed : int or None
        Of the methods that draw noise, where their own parameters have none.
    """

    def __init__(self, wanted: Sequence[Wanted], strict: bool = False) -> None:
        self.seed: int | None = None
        jobs: list[Job] = []
        for one in wanted:
            job = _job(one)
            same = next((other for other in jobs if other.shares(job)), None)
            if same is None:
                jobs.append(job)
            else:
                same.wanted.append(one)
        self.jobs = tuple(jobs)
        self.methods = tuple(one.method.name for one in wanted)
        self.strict = strict

    def __str__(self) -> str:
        title = f"{len(self.methods)} methods, {len(self.jobs)} jobs, {self.passes} backward passes of rules"
        return "\n".join([title, *self.tree.lines()])

    def _repr_html_(self) -> str:
        """Return the tree for a notebook."""
        return f'<pre style="line-height:1.3">{escape(str(self))}</pre>'

    @property
    def passes(self) -> int:
        """How many backward passes the walks take."""
        ways = [{_way(one).above for one in job.wanted} for job in self.jobs if job.kind == "walk"]
        return sum(len(passes) for passes in ways)

    @property
    def tree(self) -> Node:
        """The plan as a tree."""
        return Node("plan", tuple(_node(job) for job in self.jobs))

    def memory(self, model: nn.Module | Model, x: Tensor | Several) -> int:
        """Return the bytes that the plan takes for a batch like `x` besides the weights, at most; runs the model once.

        It is the largest job's share and the finished maps. Jobs with batches of their own count with the smallest.
        """
        if not isinstance(model, Model):
            with explaining(model, x) as (explained, batch):
                return self.memory(explained, batch)
        assert isinstance(x, Tensor), "a Model has its inputs in one tensor"
        count = Count()
        with torch.no_grad():
            model.logits(x, count)
        return max((_memory(job, count, x) for job in self.jobs), default=0) + len(self.methods) * size(x)

    def run(
        self, model: nn.Module | Model, x: Tensor, target: Target, memory_limit: int | None = None
    ) -> dict[str, Tensor]:
        """Return a map per method name, in the shape of `x`, but for Grad-CAM with a size of its own.

        Parameters
        ----------
        model : torch.nn.Module or Model
            The model.
        x : torch.Tensor
            Inputs, batch first.
        target : None, int or one int per sample
            The explained class.
        memory_limit : int, optional
            Bytes besides the weights. The batch is explained in parts that fit.

        Raises
        ------
        ValueError
            If not even one sample fits.
        """
        model = model if isinstance(model, Model) else Model(model)
        refuse_gradients_of_tokens(model, x, [one.method for job in self.jobs for one in job.wanted])
        parts, targets = [x], [target]
        if memory_limit is not None and self.jobs:
            parts, targets = self._parts(model, x, target, memory_limit)
        maps: dict[str, Tensor] = {}
        for job in self.jobs:
            found = [self._job(job, model, *part, memory_limit) for part in zip(parts, targets, strict=True)]
            for one, results in zip(job.wanted, zip(*found, strict=True), strict=True):
                maps[one.method.name] = results[0] if len(results) == 1 else torch.cat(results)
        return {name: maps[name] for name in self.methods}

    def _parts(self, model: Model, x: Tensor, target: Target, memory_limit: int) -> tuple[list[Tensor], list[Target]]:
        """Return the batch in parts that fit, and the targets of each."""
        need = self.memory(model, x[:1])
        if need > memory_limit:
            shape = f"shape {tuple(x.shape[1:])}" if model.inputs.alone else f"the shapes {model.inputs.described()}"
            raise ValueError(
                f"memory_limit {memory_limit} is too small: one sample of {shape} needs {need} "
                f"bytes for these {len(self.methods)} methods; give more, or explain fewer methods at once"
            )
        step = memory_limit // need
        parts = [x[first : first + step] for first in range(0, len(x), step)]
        with torch.no_grad():
            logits = torch.cat([model.logits(part) for part in parts])
            indices = target_indices(logits, target, model.shape)
        if len(model.shape) > 1:  # a place per sample
            indices = _places(indices, model.shape)
        return parts, list(indices.split(step))

    def _job(self, job: Job, model: Model, x: Tensor, target: Target, limit: int | None) -> list[Tensor]:
        # What a job of many copies may take for them: what its noise and the finished maps leave.
        budget = {} if limit is None else {"budget": limit - _kept(job, x) - len(self.methods) * size(x)}
        results = self._maps(job, model, x, target, budget)
        return [
            modify(result, x, one.method, one.parameters).detach()
            for one, result in zip(job.wanted, results, strict=True)
        ]

    def _maps(self, job: Job, model: Model, x: Tensor, target: Target, budget: Parameters) -> Sequence[Tensor]:
        first = job.wanted[0]
        if job.kind == "walk":
            return walk(model, x, target, [_way(one) for one in job.wanted], self.strict)
        parameters = {**first.parameters, **budget, "strict": self.strict}
        if first.method.family in DRAWN and not {"noise", "seed"} & parameters.keys():
            parameters["seed"] = self.seed
        model.softmax = ""
        maps = self._other_maps(job, model, x, target, parameters)
        warn_of_softmax(model.softmax)
        return maps

    def _other_maps(
        self, job: Job, model: Model, x: Tensor, target: Target, parameters: Parameters
    ) -> Sequence[Tensor]:
        first = job.wanted[0]
        if job.kind == "noise":
            return of_noisy_inputs(model, x, target, parameters, [one.method.family for one in job.wanted])
        return [MAPS[first.method.family](model, x, target, first.method, parameters)] * len(job.wanted)


def _places(indices: Tensor, shape: Sequence[int]) -> Tensor:
    """Return flat indices as places in an output of several axes, shape (N, axes); torch 2.1 cannot do so itself."""
    places = []
    for size_of_axis in reversed(shape):
        places.append(indices % size_of_axis)
        indices = indices // size_of_axis
    return torch.stack(places[::-1], dim=1)


def _way(one: Wanted) -> Way:
    return WAYS[one.method.family](one.method, one.parameters)


def _job(one: Wanted) -> Job:
    """Return the job that a method belongs to, with no other method in it yet."""
    family = one.method.family
    if family in WAYS:
        return Job("walk", "one forward pass", [one])
    given = ", ".join(f"{key}={value!r}" for key, value in sorted(_shown(one.parameters).items()))
    if family in STATISTICS:
        return Job("noise", f"gradients at noisy inputs ({given})", [one])
    template = one.method.row.family if family == "gradient" else one.method.row.template
    return Job("map", f"{template} ({given})" if given else template, [one])


_FACTORS = ("mu", "vlow", "vhigh", "times_input")
"""Parameters of what multiplies a map; the map itself does not know them."""


def _shown(parameters: Parameters) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key not in _FACTORS}


def _equal(one: Parameters, other: Parameters) -> bool:
    """Return whether two methods have the same parameters."""
    first, second = _shown(one), _shown(other)
    return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)


def _same(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, (tuple, list)) and type(one) is type(other):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, (Tensor, np.ndarray)) or isinstance(other, (Tensor, np.ndarray)):
        return type(one) is type(other) and one.shape == other.shape and bool((one == other).all())
    return type(one) is type(other) and bool(one == other)


def _node(job: Job) -> Node:
    if job.kind == "noise":
        by_family = _grouped(job.wanted, lambda one: f"{STATISTICS[one.method.family]} of the gradients")
        return Node(job.what, tuple(Node(what, methods=_names(group)) for what, group in by_family.items()))
    if job.kind == "map":
        return Node(job.what, methods=_names(job.wanted))
    passes = []
    for title, group in _grouped(job.wanted, lambda one: _way(one).above.title).items():
        leaves = _grouped(group, lambda one: _way(one).input_title)
        passes.append(Node(title, tuple(Node(what, methods=_names(members)) for what, members in leaves.items())))
    return Node(job.what, tuple(passes))


def _grouped(wanted: Sequence[Wanted], key: Callable[[Wanted], str]) -> dict[str, list[Wanted]]:
    groups: dict[str, list[Wanted]] = {}
    for one in wanted:
        groups.setdefault(key(one), []).append(one)
    return groups


def _names(wanted: Sequence[Wanted]) -> tuple[str, ...]:
    return tuple(one.method.name for one in wanted)


def _memory(job: Job, count: Count, x: Tensor) -> int:
    return count.relevance if job.kind == "walk" else count.gradient + _kept(job, x)


def _kept(job: Job, x: Tensor) -> int:
    """Return the bytes that a job keeps besides what one batch of it takes: all its noise, in float64."""
    if job.kind != "noise":
        return 0
    samples = max(int(one.parameters["samples"]) for one in job.wanted)
    gradients = size(x) * any(STATISTICS[one.method.family] == "variance" for one in job.wanted)
    return samples * (size(x.double()) + gradients)
