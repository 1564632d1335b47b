"""Many methods at once: plan, walk, memory, layout."""
