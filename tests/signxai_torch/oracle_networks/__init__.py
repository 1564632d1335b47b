"""Networks for the oracle besides those that the references are asked about (`tests.parity.judged`).

They have what those rows lack: windows of other forms, maxima that are equal, attention of all forms, several inputs,
layers that are called twice, outputs per position.
"""

from tests.signxai_torch.oracle_networks import activations, graphs, merging, operations, sequences, spatial
from tests.signxai_torch.oracle_networks.registry import NETWORKS, Case, call_twice

__all__ = ["NETWORKS", "Case", "activations", "call_twice", "graphs", "merging", "operations", "sequences", "spatial"]
