"""Networks with one layer of each kind, and what the references make of them."""

from tests.parity.judged import activations, augmentations, classic, graphs, merging, sequences, spatial, windows
from tests.parity.judged.registry import ROWS

__all__ = ["ROWS", "activations", "augmentations", "classic", "graphs", "merging", "sequences", "spatial", "windows"]
