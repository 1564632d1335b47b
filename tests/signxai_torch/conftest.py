from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    """Tiny models are slower on several threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def numpys_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has no seed is drawn from numpy's global generator, so that a test can have two calls draw the same."""
    monkeypatch.setattr("signxai_torch.families.gradients.anew", lambda: np.random)
