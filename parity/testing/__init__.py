"""Parity in a test run: the pytest plugin and the report that it writes."""
