"""The published factories of analyzers of the variance of gradients."""

from __future__ import annotations

from torch import nn

from signxai_torch.published.analyzers import (
    VarGradAnalyzer,
    VarGradXInputAnalyzer,
    VarGradXInputXSignAnalyzer,
    VarGradXSignAnalyzer,
)


def vargrad_analyzer(model: nn.Module, noise_scale: float = 0.2, augment_by_n: int = 50) -> VarGradAnalyzer:
    """Return an analyzer of the method ``vargrad``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    noise_scale : float
        Standard deviation of the noise in the units of the input.
    augment_by_n : int
        Number of noisy copies.

    Returns
    -------
    VarGradAnalyzer
        The analyzer; ``analyze(x, target_class)`` gives the map.
    """
    return VarGradAnalyzer(model, noise_scale, augment_by_n)


def vargrad_x_input_analyzer(
    model: nn.Module, noise_scale: float = 0.2, augment_by_n: int = 50
) -> VarGradXInputAnalyzer:
    """Return an analyzer of the method ``vargrad_x_input``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    noise_scale : float
        Standard deviation of the noise in the units of the input.
    augment_by_n : int
        Number of noisy copies.

    Returns
    -------
    VarGradXInputAnalyzer
        The analyzer; ``analyze(x, target_class)`` gives the map.
    """
    return VarGradXInputAnalyzer(model, noise_scale, augment_by_n)


def vargrad_x_sign_analyzer(model: nn.Module, noise_scale: float = 0.2, augment_by_n: int = 50) -> VarGradXSignAnalyzer:
    """Return an analyzer of the method ``vargrad_x_sign``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    noise_scale : float
        Standard deviation of the noise in the units of the input.
    augment_by_n : int
        Number of noisy copies.

    Returns
    -------
    VarGradXSignAnalyzer
        The analyzer; ``analyze(x, target_class)`` gives the map.
    """
    return VarGradXSignAnalyzer(model, noise_scale, augment_by_n)


def vargrad_x_input_x_sign_analyzer(
    model: nn.Module, noise_scale: float = 0.2, augment_by_n: int = 50
) -> VarGradXInputXSignAnalyzer:
    """Return an analyzer of the method ``vargrad_x_input_x_sign``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    noise_scale : float
        Standard deviation of the noise in the units of the input.
    augment_by_n : int
        Number of noisy copies.

    Returns
    -------
    VarGradXInputXSignAnalyzer
        The analyzer; ``analyze(x, target_class)`` gives the map.
    """
    return VarGradXInputXSignAnalyzer(model, noise_scale, augment_by_n)
