"""The port of this repository, asked once, and asked many times."""

from __future__ import annotations

import signxai_torch
from bench.contenders.common import Job, Task


def prepare(task: Task) -> Job:
    """Return the call of `signxai_torch.explain`, with the method's own defaults (50 samples, 50 steps)."""
    return Job(lambda: signxai_torch.explain(task.network.module, task.x, task.method, task.targets))


def prepare_explainer(task: Task) -> Job:
    """Return the call of a `signxai_torch.Explainer` that has met such a batch before."""
    explainer = signxai_torch.Explainer(task.network.module, task.method)
    explainer(task.x, task.targets)
    return Job(lambda: explainer(task.x, task.targets))
