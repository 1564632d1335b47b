"""The port of this repository as a subject."""

from __future__ import annotations

import time
from collections.abc import Mapping
from importlib import metadata
from typing import Any

import torch

import signxai_torch
from parity.keras import KerasModule
from parity.run.subjects.protocol import Array, SubjectAnswer
from signxai_torch.api import explain
from signxai_torch.lrp.passes import rules_of
from signxai_torch.methods.grammar import parse
from signxai_torch.sweep.parameters import parameters_of
from signxai_torch.sweep.plan import Plan, Wanted


def _plan(methods: Mapping[str, Mapping[str, Any]]) -> Plan:
    parsed = {name: parse(name) for name in methods}
    return Plan([Wanted(parsed[name], parameters_of(parsed[name], set_by)) for name, set_by in methods.items()])


class SignxaiTorch:
    """The port of this repository."""

    name = "signxai_torch"
    spec = "signxai_torch"

    def versions(self) -> dict[str, str]:
        """See `Subject.versions`."""
        packages = ("torch", "zennit", "numpy")
        return {"signxai_torch": signxai_torch.__version__} | {name: metadata.version(name) for name in packages}

    def attribute(
        self, module: KerasModule, inputs: Array, targets: list[int], method: str, parameters: Mapping[str, Any]
    ) -> Array:
        """See `Subject.attribute`."""
        x = module.to_torch(inputs)
        return module.to_keras(explain(module, x, method, target=module.targets(targets), **parameters))

    def attribute_many(
        self, module: KerasModule, inputs: Array, targets: list[int], methods: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, SubjectAnswer]:
        """See `Subject.attribute_many`; methods share what `signxai_torch.explain_many` lets them share."""
        x = module.to_torch(inputs)
        answers: dict[str, SubjectAnswer] = {}
        for job in _plan(methods).jobs:
            begun = time.perf_counter()
            try:
                maps = Plan(job.wanted).run(module, x, module.targets(targets))
            except Exception:  # which method raised it is seen when each runs alone
                answers |= {asked.method.name: self._alone(module, inputs, targets, asked) for asked in job.wanted}
                continue
            seconds = (time.perf_counter() - begun) / len(maps)
            answers |= {
                name: SubjectAnswer(module.to_keras(array), seconds, together=len(maps)) for name, array in maps.items()
            }
        return {name: answers[name] for name in methods}

    def together(self, methods: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
        """See `Subject.together`: the jobs of a plan."""
        return [[asked.method.name for asked in job.wanted] for job in _plan(methods).jobs]

    def _alone(self, module: KerasModule, inputs: Array, targets: list[int], asked: Wanted) -> SubjectAnswer:
        begun = time.perf_counter()
        try:
            array = self.attribute(module, inputs, targets, asked.method.name, asked.parameters)
        except Exception as error:
            return SubjectAnswer(None, 0.0, f"{type(error).__name__}: {error}")
        return SubjectAnswer(array, time.perf_counter() - begun)

    def rules(self, module: KerasModule, inputs: Array, method: str) -> list[tuple[str, str, str]]:
        """See `Subject.rules`."""
        parsed = parse(method)
        if not parsed.row.layers:
            return []
        with torch.no_grad():
            return rules_of(module, module.to_torch(inputs), parsed, parameters_of(parsed, {}))
