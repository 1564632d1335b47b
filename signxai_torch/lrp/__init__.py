"""Rules, composites, and where relevance starts."""
