"""A client of the references for many small models."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError, find_python


@contextmanager
def client_for_small_models(store: Path) -> Iterator[ReferenceClient]:
    """Yield a client that keeps both references, torch on one thread; skip where there is no reference environment."""
    try:
        find_python()
    except ReferenceEnvironmentError as error:
        pytest.skip(f"no reference environment: {error}")
    before = torch.get_num_threads()
    torch.set_num_threads(1)  # tiny models are slower on several threads
    with ReferenceClient(store=store, keep_both=True, threads=1) as client:
        yield client
    torch.set_num_threads(before)
