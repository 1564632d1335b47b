"""Cores and memory: who gets what, and what is told when it is less than was asked for."""

from __future__ import annotations

import pytest

from parity.budget import GIB, share

SMALL, VGG16 = 70_000, 138_357_544


@pytest.mark.parametrize(
    ("parameters", "jobs", "cores", "gib", "expected"),
    [  # jobs, both references kept, threads of a worker, threads of torch
        (SMALL, None, 2, 22, (2, True, 1, 1)),
        (SMALL, None, 1, 22, (1, True, 1, 1)),
        (SMALL, None, 64, 200, (4, True, 16, 1)),
        (SMALL, 8, 64, 200, (8, True, 8, 1)),
        (SMALL, None, 2, 4, (2, False, 1, 1)),
        (SMALL, None, 2, 1, (1, False, 2, 1)),
        (VGG16, None, 2, 22, (1, False, 2, 1)),
        (VGG16, None, 8, 64, (1, True, 8, 4)),
        (VGG16, 3, 8, 64, (3, False, 2, 4)),
    ],
)
def test_shares(parameters: int, jobs: int | None, cores: int, gib: float, expected: tuple) -> None:
    one = share(parameters, jobs, cores=cores, available=int(gib * GIB))
    assert (one.jobs, one.keep_both, one.reference_threads, one.torch_threads) == expected
    assert one.note is None
    assert one.memory_limit is None


def test_less_than_was_asked_for_is_told() -> None:
    one = share(VGG16, 4, cores=8, available=22 * GIB)
    assert one.jobs == 1
    assert one.note is not None
    assert "--jobs 4: 22.0 GB of memory hold 1 reference worker of about 13.9 GB" in one.note


def test_a_limit_of_memory_holds_for_all_workers_together() -> None:
    one = share(SMALL, 3, 8.0, cores=8, available=100 * GIB)
    assert one.memory_limit is not None
    assert one.memory_limit * one.jobs * (1 + one.keep_both) <= 8 * GIB


def test_the_systems_own_numbers() -> None:
    assert share(SMALL).jobs >= 1
