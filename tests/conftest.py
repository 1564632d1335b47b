"""Shared by all tests."""

from parity.run.torch_arithmetic import round_equal_windows_equally

round_equal_windows_equally()  # before torch multiplies anything
