"""A Keras network explained: forward layer by layer, then relevance layer by layer back.

- a kernel has the method's rule; relevance passes its activation as it is;
- other layers have the rule that `weightless` has for their class, the derivative in deep Taylor and in the gradient.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from tests.signxai_torch.oracles import formulas
from tests.signxai_torch.oracles.kernels import KERNELS, kernel_of
from tests.signxai_torch.oracles.layer import STEP, Array, Layer, activation_of, jacobians
from tests.signxai_torch.oracles.methods import Method
from tests.signxai_torch.oracles.table import Made, apply, as_kept, channels_last, made_by
from tests.signxai_torch.oracles.weightless import Site, rule_of

SEEN_THROUGH = ("Flatten", "Permute", "Reshape", "ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
"""What SIGN-XAI looks through when it asks whether a kernel is the first one."""


class NetworkLayer(Layer, Protocol):
    """A layer that knows what it reads."""

    @property
    def name(self) -> str: ...
    @property
    def inbound(self) -> tuple[str, ...]: ...


class Oracle:
    """A network for one sample.

    Parameters
    ----------
    layers
        Each behind those it reads; the last one makes the output.
    *inputs
        In Keras layout without a batch axis, in the order of the input layers.
    """

    def __init__(self, layers: Sequence[NetworkLayer], *inputs: Array) -> None:
        self.layers = {layer.name: layer for layer in layers}
        self.inputs = [layer.name for layer in layers if not layer.inbound]
        self.made = {name: Made(np.asarray(x, np.float64)) for name, x in zip(self.inputs, inputs, strict=True)}
        for layer in layers:
            if layer.inbound:
                self.made[layer.name] = made_by(layer, [self.made[name] for name in layer.inbound])
        self.output = layers[-1].name
        self._jacobians: dict[str, list[Array]] = {}

    @property
    def logits(self) -> Array:
        return self.made[self.output].value

    def relevance(self, method: Method, target: int | tuple[int, ...]) -> list[Array]:
        """Return the map of each input, in Keras layout."""
        arriving = {name: np.zeros(made.value.shape) for name, made in self.made.items()}
        arriving[self.output][target] = method.start(float(self.logits[target]))
        for name, layer in reversed(self.layers.items()):
            if name not in self.inputs:
                parts = self._handed_back(layer, arriving[name], method)
                for producer, part in zip(layer.inbound, parts, strict=True):
                    assert part.shape == arriving[producer].shape
                    arriving[producer] += part
        return [arriving[name] for name in self.inputs]

    def _handed_back(self, layer: NetworkLayer, R: Array, method: Method) -> list[Array]:
        read = [self.made[name].value for name in layer.inbound]
        if layer.class_name in KERNELS:
            return [self._by_kernel(layer, read[0], R, method)]
        site = Site(layer, read, self.made[layer.name].value, lambda: self._jacobians_of(layer, read))
        return rule_of(layer)(site, R) if method.layers == "rules" else site.derivative(R)

    def _jacobians_of(self, layer: NetworkLayer, read: list[Array]) -> list[Array]:
        if layer.name not in self._jacobians:
            masks = [self.made[name].mask for name in layer.inbound]
            self._jacobians[layer.name] = jacobians(lambda *moved: apply(layer, list(moved), masks), read)
        return self._jacobians[layer.name]

    def _by_kernel(self, layer: NetworkLayer, read: Array, R: Array, method: Method) -> Array:
        x, arriving = channels_last(layer, read), channels_last(layer, R)
        kernel = kernel_of(layer, x.shape)
        rule = method.rule(layer.class_name, self._is_first(layer))
        if rule is None:
            inside = kernel.preactivation(x)
            slopes = activation_of(layer)(inside + 1j * STEP).imag / STEP
            back = kernel.affine.matrix(formulas.whole).T @ (arriving * slopes).ravel()
        else:
            back = rule(kernel.affine, x.ravel(), arriving.ravel())
        return as_kept(layer, back.reshape(x.shape))

    def _is_first(self, layer: NetworkLayer) -> bool:
        """Return whether a layer reads inputs alone, as they are or moved."""
        pending = list(layer.inbound)
        while pending:
            name = pending.pop()
            if name in self.inputs:
                continue
            if self.layers[name].class_name not in SEEN_THROUGH:
                return False
            pending += self.layers[name].inbound
        return True
