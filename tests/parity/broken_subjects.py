"""Ports that are broken in one layer of the networks of `trace_networks`, as subjects for the command line."""

from __future__ import annotations

from tests.parity.broken_layers import broken, scaled, without_bias

scaled_c5 = broken("c5", scaled)
biasless_c3 = broken("c3", without_bias)
