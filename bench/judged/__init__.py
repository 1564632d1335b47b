"""Models that are run through the harness for a page: what became of each is kept, and told in a table."""
