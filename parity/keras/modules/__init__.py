"""The torch modules that torch itself lacks. All take and return torch layout: `(N, C, H, W)`, `(N, C, T)`, `(N, F)`.

What is one layer in Keras, whatever functions it takes here, declares that to the port with the class attribute
`signxai_operation` (`signxai_torch.operations.declared`).
"""
