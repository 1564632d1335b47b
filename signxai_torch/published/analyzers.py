"""The published analyzer classes: each names a method of the table and passes its options on.

This file has those of the gradient family, and imports the others; `published.analyzer` has what they share.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from signxai_torch.api import explain
from signxai_torch.families.gradients import noise_for
from signxai_torch.lrp.targets import Target
from signxai_torch.published.analyzer import AnalyzerBase, Map, MethodAnalyzer
from signxai_torch.published.lrp_analyzers import (
    AdvancedLRPAnalyzer,
    BoundedLRPAnalyzer,
    DeepTaylorAnalyzer,
    DirectLRPStdxEpsilonAnalyzer,
    LRPAnalyzer,
    LRPSequential,
    LRPStdxEpsilonAnalyzer,
)
from signxai_torch.published.options import canonical, choose

__all__ = [
    "AdvancedLRPAnalyzer",
    "AnalyzerBase",
    "BoundedLRPAnalyzer",
    "DeconvNetAnalyzer",
    "DeepLiftAnalyzer",
    "DeepTaylorAnalyzer",
    "DirectLRPStdxEpsilonAnalyzer",
    "GradCAMAnalyzer",
    "GradientAnalyzer",
    "GradientXInputAnalyzer",
    "GradientXSignAnalyzer",
    "GuidedBackpropAnalyzer",
    "IntegratedGradientsAnalyzer",
    "LRPAnalyzer",
    "LRPSequential",
    "LRPStdxEpsilonAnalyzer",
    "MethodAnalyzer",
    "SmoothGradAnalyzer",
    "VarGradAnalyzer",
    "VarGradBaseAnalyzer",
    "VarGradXInputAnalyzer",
    "VarGradXInputXSignAnalyzer",
    "VarGradXSignAnalyzer",
]

GAUSSIAN_BASELINE = {"samples": 1, "noise_scale": 0.1}  # the published API's: N(0, 0.1)


def _gaussian(x: Tensor) -> Tensor:
    return noise_for(x, GAUSSIAN_BASELINE)(0)


BASELINES: Mapping[str, Any] = {
    "zero": 0.0,
    "black": 0.0,
    "white": 1.0,
    "gaussian": _gaussian,
}
"""Values of `baseline_type`; "white" is meant for inputs in [0, 1], "gaussian" is drawn anew for each call."""


class GradientAnalyzer(MethodAnalyzer):
    """Method ``gradient``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    """

    method = "gradient"

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)


class GradientXInputAnalyzer(MethodAnalyzer):
    """Method ``gradient_x_input``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    """

    method = "gradient_x_input"

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)


class GuidedBackpropAnalyzer(MethodAnalyzer):
    """Method ``guided_backprop``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    """

    method = "guided_backprop"

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)


class DeconvNetAnalyzer(MethodAnalyzer):
    """Method ``deconvnet``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    """

    method = "deconvnet"

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)


class GradientXSignAnalyzer(MethodAnalyzer):
    """Method ``gradient_x_sign_mu_M``, with the default threshold ``gradient_x_sign``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    mu : float
        Threshold in the units of the input: +1 where x >= mu, else -1.
    """

    method = "gradient_x_sign"

    def __init__(self, model: nn.Module, mu: float = 0.0) -> None:
        super().__init__(model, mu=mu)

    def resolve(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the method and its threshold."""
        return "gradient_x_sign_mu", options


class _BaselineAnalyzer(MethodAnalyzer):
    def resolve(self, options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
        """Return the method and its baseline; a baseline of the caller's own counts more than `baseline_type`."""
        baseline = choose("baseline_type", options.pop("baseline_type"), BASELINES)
        return self.method, {"baseline": baseline} | options


class IntegratedGradientsAnalyzer(_BaselineAnalyzer):
    """Method ``integrated_gradients``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    steps : int
        Number of points on the path, both ends included.
    baseline_type : str
        "zero" or "black" (0), "white" (1), "gaussian" (N(0, 0.1), drawn at every call).
    """

    method = "integrated_gradients"

    def __init__(self, model: nn.Module, steps: int = 50, baseline_type: str = "zero") -> None:
        super().__init__(model, steps=steps, baseline_type=baseline_type)


class DeepLiftAnalyzer(_BaselineAnalyzer):
    """Method ``deep_lift`` (Rescale rule).

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    baseline_type : str
        "zero" or "black" (0), "white" (1), "gaussian" (N(0, 0.1), drawn at every call).
    """

    method = "deep_lift"

    def __init__(self, model: nn.Module, baseline_type: str = "zero") -> None:
        super().__init__(model, baseline_type=baseline_type)


class SmoothGradAnalyzer(MethodAnalyzer):
    """Method ``smoothgrad``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    noise_level : float
        Standard deviation of the noise in the units of the input, as in the reference; it is not scaled by the
        range of the input.
    num_samples : int
        Number of noisy copies.
    stdev_spread : None
        Without meaning; the published class did not look at it either.

    Raises
    ------
    ValueError
        If `stdev_spread` is given.
    """

    method = "smoothgrad"

    def __init__(
        self, model: nn.Module, noise_level: float = 0.2, num_samples: int = 50, stdev_spread: float | None = None
    ) -> None:
        if stdev_spread is not None:
            raise ValueError(
                f"stdev_spread={stdev_spread} has no effect: the noise's standard deviation is noise_level; for a "
                "spread relative to the input's range give noise_level=stdev_spread * float(x.max() - x.min())"
            )
        super().__init__(model, noise_level=noise_level, num_samples=num_samples)


class VarGradAnalyzer(MethodAnalyzer):
    """Method ``vargrad``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    noise_level : float
        Standard deviation of the noise in the units of the input.
    num_samples : int
        Number of noisy copies.
    """

    method = "vargrad"

    def __init__(self, model: nn.Module, noise_level: float = 0.2, num_samples: int = 50) -> None:
        super().__init__(model, noise_level=noise_level, num_samples=num_samples)


class VarGradBaseAnalyzer(MethodAnalyzer):
    """Method ``vargrad``; the base of those that multiply it.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    noise_scale : float
        Standard deviation of the noise in the units of the input.
    augment_by_n : int
        Number of noisy copies.
    """

    method = "vargrad"

    def __init__(self, model: nn.Module, noise_scale: float = 0.2, augment_by_n: int = 50) -> None:
        super().__init__(model, noise_scale=noise_scale, augment_by_n=augment_by_n)


class VarGradXInputAnalyzer(VarGradBaseAnalyzer):
    """Method ``vargrad_x_input``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    noise_scale : float
        Standard deviation of the noise in the units of the input.
    augment_by_n : int
        Number of noisy copies.
    """

    method = "vargrad_x_input"


class VarGradXSignAnalyzer(VarGradBaseAnalyzer):
    """Method ``vargrad_x_sign``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    noise_scale : float
        Standard deviation of the noise in the units of the input.
    augment_by_n : int
        Number of noisy copies.
    """

    method = "vargrad_x_sign"


class VarGradXInputXSignAnalyzer(VarGradBaseAnalyzer):
    """Method ``vargrad_x_input_x_sign``.

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes). It is only read.
    noise_scale : float
        Standard deviation of the noise in the units of the input.
    augment_by_n : int
        Number of noisy copies.
    """

    method = "vargrad_x_input_x_sign"


class GradCAMAnalyzer(MethodAnalyzer):
    """Method ``grad_cam`` for images, ``grad_cam_timeseries`` for inputs (N, C, T).

    Parameters
    ----------
    model : torch.nn.Module
        Returns logits of shape (N, classes).
    target_layer : str or torch.nn.Module, optional
        What is looked at: a layer by name, with the activation that reads it, or a module's own output; None takes
        the last convolution.
    """

    method = "grad_cam"

    def __init__(self, model: nn.Module, target_layer: str | nn.Module | None = None) -> None:
        super().__init__(model, target_layer=target_layer)

    def analyze(self, input_tensor: Tensor, target_class: Target = None, **kwargs: Any) -> Map:
        """Return the map of an input, see `AnalyzerBase.analyze`; 0 to 255 for images, 0 to 1 for series."""
        series = isinstance(input_tensor, Tensor) and input_tensor.dim() == 3
        name = "grad_cam_timeseries" if series else self.method
        maps: Map = explain(self.model, input_tensor, name, target_class, **self.options | canonical(kwargs))
        return maps
