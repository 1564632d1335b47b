"""The published port's vocabulary: analyzers, hooks, composite factories, functions."""
