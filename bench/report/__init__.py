"""`bench.html`: a run's results as one offline page."""

from bench.report.html import render

__all__ = ["render"]
