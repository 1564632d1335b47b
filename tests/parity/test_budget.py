"""Cores and memory: who gets what, and what is told when it is less than was asked for."""

from __future__ import annotations

import pytest

from parity.errors import ParityError
from parity.run.budget import GIB, require_room, share, smallest

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


@pytest.mark.parametrize("parameters", [SMALL, VGG16])
def test_a_limit_that_holds_no_worker_is_refused_and_the_number_that_is_told_will_do(parameters: int) -> None:
    for limit in (0.0001, 0.5, 1.3, smallest(parameters) / GIB - 0.001):
        with pytest.raises(ParityError, match=r"--memory-limit .* is too small.*give at least") as refused:
            require_room(parameters, limit)
    enough = float(str(refused.value).split()[-1])
    require_room(parameters, enough, total=0)
    one = share(parameters, None, enough, cores=2)
    assert one.jobs == 1
    assert one.memory_limit is not None
    assert one.memory_limit >= GIB + 100 * parameters, "a worker gets what it was said to need"


def test_a_large_model_that_the_machine_cannot_hold_is_refused() -> None:
    with pytest.raises(ParityError, match=r"18\.8 GB .* this machine has 16\.0 GB.*--memory-limit 18\.8"):
        require_room(VGG16, total=16 * GIB)
    require_room(VGG16, total=19 * GIB)
    require_room(SMALL, total=GIB)


def test_a_large_model_for_which_too_little_is_free_is_told() -> None:
    note = share(VGG16, cores=2, available=12 * GIB).note
    assert note is not None
    assert "12.0 GB were free" in note
    assert share(VGG16, cores=2, available=20 * GIB).note is None


def test_the_systems_own_numbers() -> None:
    assert share(SMALL).jobs >= 1
