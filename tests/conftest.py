"""Shared by all tests: where the reference environment is, and the results store."""

from __future__ import annotations

import parity  # before torch runs anything: sets MKL's reproducible mode

assert parity.__name__ == "parity"
