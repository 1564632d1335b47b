"""Tests of the comparison of ports."""
