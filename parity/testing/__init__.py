"""Parity in a test run: cases of a project's own, the pytest plugin, and the report that it writes."""

from __future__ import annotations

from parity.testing.cases import Judgement, judge, parity_case

__all__ = ["Judgement", "judge", "parity_case"]
