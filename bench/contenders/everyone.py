"""The contenders by name, in the order in which they are measured and shown."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from bench.contenders import port, stock_zennit, with_captum
from bench.contenders.common import Job, Task, gradient_unit
from bench.contenders.reference import Reference

UNIT, PORT, EXPLAINER = "unit", "signxai_torch", "Explainer"
ZENNIT, CAPTUM, REFERENCE = "zennit", "captum", "tensorflow"
CONTENDERS = (PORT, EXPLAINER, ZENNIT, CAPTUM, REFERENCE)
IN_TORCH: dict[str, Callable[[Task], Job]] = {
    UNIT: gradient_unit,
    PORT: port.prepare,
    EXPLAINER: port.prepare_explainer,
    ZENNIT: stock_zennit.prepare,
    CAPTUM: with_captum.prepare,
}
"""The contenders that run in this process."""


class Everyone:
    """All contenders, with the one reference process that they share.

    Parameters
    ----------
    threads : int
        Threads of each of them.
    with_reference : bool
        Whether TensorFlow may be started.
    """

    def __init__(self, threads: int, with_reference: bool) -> None:
        self.reference = Reference(threads, with_reference)

    def __enter__(self) -> Everyone:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reference.__exit__(kind, error, trace)

    def prepare(self, contender: str, task: Task) -> Job:
        """Return a contender's call for a task.

        Raises
        ------
        UnavailableError, NoCounterpartError
            If it cannot be measured; the text says why.
        """
        if contender == REFERENCE:
            return self.reference.prepare(task)
        return IN_TORCH[contender](task)
