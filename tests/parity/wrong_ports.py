"""Wrong ports, as subjects: `parity run --subject tests/parity/wrong_ports.py:scaled32` must end red.

Each takes the port's own map and spoils it. All of them once passed somewhere, while the float32 limit was measured on
the subject itself or a named defect of the reference was taken for a verdict.
"""

from __future__ import annotations

import copy

import numpy as np
import torch

import signxai_torch
from parity.run.mutants.mutant import replaced
from signxai_torch.lrp.composites import RuleComposite
from signxai_torch.lrp.weightless import Pass


def right(model, x, method, target, **parameters):
    """The port itself; not wrong."""
    return np.asarray(signxai_torch.explain(model, x, method, target=target, **parameters))


def scaled32(model, x, method, target, **parameters):
    """In float32 a quarter too large; right in float64."""
    relevance = right(model, x, method, target, **parameters)
    return relevance * np.float32(1.25) if x.dtype == torch.float32 else relevance


def slightly_scaled32(model, x, method, target, **parameters):
    """In float32 0.2 % too large; right in float64."""
    relevance = right(model, x, method, target, **parameters)
    return relevance * np.float32(1.002) if x.dtype == torch.float32 else relevance


def noisy32(model, x, method, target, **parameters):
    """In float32 with 5 % noise; right in float64."""
    relevance = right(model, x, method, target, **parameters)
    if x.dtype != torch.float32:
        return relevance
    noise = np.random.default_rng(0).normal(size=relevance.shape).astype(relevance.dtype)
    return relevance + np.float32(0.05) * noise * np.linalg.norm(relevance) / np.linalg.norm(noise)


def bfloat32(model, x, method, target, **parameters):
    """In float32 rounded to bfloat16, as mixed precision would; right in float64."""
    relevance = right(model, x, method, target, **parameters)
    return torch.from_numpy(relevance).bfloat16().float().numpy() if x.dtype == torch.float32 else relevance


def nan(model, x, method, target, **parameters):
    """Not a number, everywhere."""
    return np.full_like(right(model, x, method, target, **parameters), np.nan)


def narrow(model, x, method, target, **parameters):
    """Of another shape."""
    return right(model, x, method, target, **parameters)[..., :3]


def constant(model, x, method, target, **parameters):
    """The right sum, spread evenly."""
    relevance = right(model, x, method, target, **parameters)
    return np.full_like(relevance, relevance.mean(dtype=np.float64))


def mirrored(model, x, method, target, **parameters):
    """The right values in reverse order along the last axis."""
    return right(model, x, method, target, **parameters)[..., ::-1].copy()


def random(model, x, method, target, **parameters):
    """Standard normal numbers."""
    relevance = right(model, x, method, target, **parameters)
    return np.random.default_rng(1).normal(size=relevance.shape).astype(relevance.dtype)


def garbage(model, x, method, target, **parameters):
    """Minus three times the map in reverse order along the second last axis."""
    return -3 * np.flip(right(model, x, method, target, **parameters), -2).copy()


def without_bias32(model, x, method, target, **parameters):
    """In float32 every bias is forgotten; right in float64."""
    if x.dtype == torch.float32:
        model = copy.deepcopy(model)
        with torch.no_grad():
            for name, values in model.named_parameters():
                if name.rpartition(".")[2] == "bias":
                    values.zero_()
    return right(model, x, method, target, **parameters)


def garbage_beside_a_permute(model, x, method, target, **parameters):
    """Garbage on a network that permutes without reshaping; right on every other, such as the one it is put for."""
    kinds = {layer.class_name for layer in model.description.layers}
    port = garbage if "Permute" in kinds and "Reshape" not in kinds else right
    return port(model, x, method, target, **parameters)


def permute_that_moves_nothing(model, x, method, target, **parameters):
    """SIGN-XAI's defect, copied: relevance goes unchanged through a Permute that keeps the shape."""
    permutes = {layer.module for layer in model.description.layers if layer.class_name == "Permute"}
    rule_of = RuleComposite.rule_of

    def passing(self, operation, step=0):
        passes = operation.module in permutes and operation.keeps_shape
        return Pass() if passes else rule_of(self, operation, step)

    with replaced(RuleComposite, "rule_of", passing)():
        return right(model, x, method, target, **parameters)


def spread_beside_offsets(model, x, method, target, **parameters):
    """On a network with offsets the right sum, spread evenly where the input is not zero; right on one without."""
    relevance = right(model, x, method, target, **parameters)
    if not any(values.any() for name, values in model.named_parameters() if name.rpartition(".")[2] == "bias"):
        return relevance
    places = x.numpy() != 0
    return np.where(places, relevance.sum(dtype=np.float64) / max(places.sum(), 1), 0).astype(relevance.dtype)
