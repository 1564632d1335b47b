"""A third opinion on every rule and every layer: float64 NumPy, one sample at a time, nothing of torch or of the port.

`formulas` has the rules on explicit matrices, `matrices` the classic layers as such, in torch layout. All else explains
whole networks as Keras writes them down: `table` says what each class computes (`kernels`, `places`, `merging`,
`normalization`, `attention`, `sequences`), `weightless` how those without a kernel hand relevance back, `methods` which
rule goes where, and `network` does it.
"""
