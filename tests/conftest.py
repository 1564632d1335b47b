"""Shared by all tests."""

from parity.rounding import round_equal_windows_equally

round_equal_windows_equally()  # before torch multiplies anything
