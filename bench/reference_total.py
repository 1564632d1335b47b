"""What the reference needs for all names, looked up in a store that `parity run` filled on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.contenders.common import UnavailableError
from bench.networks import Network
from bench.sweep_names import calls, names_of
from parity.reference.environment import (
    ReferenceEnvironmentError,
    find_python,
    package_versions,
    relevant_versions,
)
from parity.reference.request import ReferenceRequest
from parity.reference.store import ResultStore, answer_key


@dataclass(frozen=True)
class Total:
    """The reference's seconds over many names, one sample in float32.

    `setup_seconds`, the making of analyzers in graph mode, is not part of `seconds`.
    """

    names: int
    seconds: float
    setup_seconds: float


def stored_total(network: Network, which: str, store: Path | None, threads: int) -> Total:
    """Add up the stored seconds of a sweep's names for the network's first sample. The store is only read.

    Raises
    ------
    UnavailableError
        If an answer is missing, or one was computed with another number of threads: the text says which.
    """
    if network.source is None:
        raise UnavailableError(f"{network.name} is no Keras model")
    asked, names = calls(network), names_of(network, which)
    results = ResultStore(store)
    try:
        versions = package_versions(find_python())
    except ReferenceEnvironmentError as error:
        raise UnavailableError(f"the store cannot be looked into: {error}") from error
    target = network.targets(network.batch(1))[0]
    seconds, setup, missing = 0.0, 0.0, []
    for name in names:
        call = asked[name]
        request = ReferenceRequest(network.source, network.batch_arrays(1), (target,), call)
        answer = results.get(answer_key(request, 0, relevant_versions(call, versions)))
        if answer is None or answer.array is None:
            missing.append(name)
            continue
        if answer.versions.get("threads") != str(threads):
            used = answer.versions.get("threads")
            raise UnavailableError(f"stored seconds of {name} were taken with {used} threads, this run has {threads}")
        seconds += answer.seconds
        setup += answer.setup_seconds
    if missing:
        raise UnavailableError(
            f"{len(missing)} of {len(names)} names are not in the store ({missing[0]}, ...); fill it with "
            f"`make parity MODEL={network.name} METHODS=all`, or leave out --stored-total"
        )
    return Total(len(names), seconds, setup)
