"""The method table: names, their grammar, their parameters."""
