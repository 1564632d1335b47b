"""A third opinion on every rule and every layer: float64 NumPy, one sample at a time, nothing of torch or of the port.

`formulas` has the rules on explicit matrices, `matrices` the classic layers in torch layout.
"""
