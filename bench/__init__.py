"""`make bench`: how fast the port is beside stock zennit, captum and the TensorFlow reference.

A tool of the repository, not part of the wheel: it knows `signxai_torch` and `parity`; neither knows it.
"""
