"""The TensorFlow references: a worker process, its client, and the store of its results.

Imports NumPy and h5py alone, never TensorFlow or torch: the worker's files are run by another interpreter.
"""

from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError
from parity.reference.request import (
    NoiseSpec,
    ReferenceAnswer,
    ReferenceCall,
    ReferenceRequest,
    ReferenceRequestError,
    noise_array,
)
from parity.reference.store import ResultStore, StoreError

__all__ = [
    "NoiseSpec",
    "ReferenceAnswer",
    "ReferenceCall",
    "ReferenceClient",
    "ReferenceEnvironmentError",
    "ReferenceRequest",
    "ReferenceRequestError",
    "ResultStore",
    "StoreError",
    "noise_array",
]
