"""Networks with one layer of each kind, and what the references make of them."""

from tests.parity.judged import classic, graphs, merging, sequences, spatial
from tests.parity.judged.registry import ROWS

__all__ = ["ROWS", "classic", "graphs", "merging", "sequences", "spatial"]
