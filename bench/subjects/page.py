"""The page `docs/subjects.md`: every port, what it offers, and where it leaves the originals."""

from __future__ import annotations

from collections.abc import Sequence

from bench.subjects.table import Port
from parity.report.subjects import Judged, broken, model_table, models, parting, said_of, totals_table


def text(ports: Sequence[Port], subjects: Sequence[Judged]) -> str:
    """Return the page."""
    lines = [
        "# Ports side by side",
        "",
        "`make subjects` asks every port the same questions: the core methods (one per rule and family) on the four",
        "shipped models, one input each, and on two networks that other people trained. Each is held to the untouched",
        "TensorFlow originals (iNNvestigate 2.1.2, SIGN-XAI 1.1.9.2) by the same judge, in float64 and in float32.",
        "A port that has no such method says so (\"not offered\"); that is no fault.",
        "",
        *totals_table(subjects),
        "",
        "*Equal* is at parity, or, where the original is wrong, equal to what the method is held to instead. The",
        "*published floor* is what earlier comparisons called equal: Pearson and SSIM of at least 0.95, in both lanes.",
        "*Errors* are methods that a port has and that raise.",
        "",
        "## How each is set up",
        "",
        *(_configuration(port, subject) for port, subject in zip(ports, subjects, strict=True)),
        "",
        "Each is the fairest setting that we know; the linked file says why, and a better one is welcome.",
        "",
        "## Model by model",
        "",
        "The relative L2 distance to the original in float64 / float32, of the worst input. Bold is beyond the limit;",
        "*at layer* is where relevance parts first (`parity trace`). - is not offered.",
    ]  # fmt: skip
    for model, methods in models(subjects).items():
        lines += ["", f"### {model}", "", *model_table(subjects, model, methods)]
    lines += said_of("## Where they part, and why", parting(subjects))
    if parting(subjects):
        lines += [
            "",
            "Each was proved by making that very change in the right port: the map is the same to 1e-10 and better.",
        ]
    lines += said_of("## What has no numbers", broken(subjects))
    return "\n".join([*lines, ""])


def _configuration(port: Port, subject: Judged) -> str:
    version = subject.versions.get(port.package)
    which = f" {version}" if version else ""
    return f"- **{port.name}** ({port.package}{which}): {port.configuration} [{port.module}](../{port.module})"
