"""Keras models to convert, by name. The reference interpreter builds them; the tests read the names."""

from tests.parity.keras.recipes import classic, graphs, merging, operations, sequences, spatial
from tests.parity.keras.recipes.registry import ALL_FORMATS, RECIPES, ROUNDED

__all__ = ["ALL_FORMATS", "RECIPES", "ROUNDED", "classic", "graphs", "merging", "operations", "sequences", "spatial"]
