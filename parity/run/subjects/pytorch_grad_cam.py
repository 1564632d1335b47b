"""Stock pytorch-grad-cam (the package `grad-cam`) as a subject: its Grad-CAM and its guided backpropagation.

Where it leaves a choice, the one that is nearest to the originals is taken:

- `GradCAM` looks at the layer that the case names, its activation included, and explains the logit of the target;
- its map lies between 0 and 1 and has one channel; it is multiplied by 255 and repeated for each channel, as the
  originals' is. It subtracts the least value before it scales, resizes bilinearly, and computes in float32, whatever
  the dtype; the originals resize bicubically what they have cut to whole numbers. That is stock and stays;
- `GuidedBackpropReLUModel` is multiplied by the logit, from which the originals start.

It has no Grad-CAM of time series, and its product of both for guided Grad-CAM is that of its examples, not of the
library.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from parity.keras import KerasModule
from parity.run.subjects.function import FunctionSubject
from parity.run.subjects.stock import refuse_several, stock
from signxai_torch.methods.grammar import Method, parse


def subject() -> FunctionSubject:
    """Return stock pytorch-grad-cam as a subject.

    Raises
    ------
    ParityError
        If it is not installed.
    """
    return stock(explain, "pytorch_grad_cam", "pytorch_grad_cam", "grad-cam", __file__)


def explain(model: KerasModule, x: Tensor, method: str, target: list[int], **parameters: Any) -> Tensor:
    """Return pytorch-grad-cam's map of a batch in the shape of `x`.

    Raises
    ------
    NotImplementedError
        If it has no such method, or takes no such input; the text is the reason.
    """
    parsed = parse(method)
    refuse_several(model, "pytorch_grad_cam")
    if parsed.modifiers or parsed.family not in ("grad_cam", "guided_backprop"):
        raise NotImplementedError(f"pytorch-grad-cam has no {method}")
    if x.dim() != 4:
        raise NotImplementedError("pytorch-grad-cam explains pictures (N, C, H, W)")
    if parsed.family == "guided_backprop":
        return _guided(model, x, target)
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    layer = _layer(model, parsed, parameters)
    with GradCAM(model, [layer]) as cam:
        made = cam(x.detach().requires_grad_(), [ClassifierOutputTarget(index) for index in target])
    return torch.from_numpy(np.asarray(made))[:, None].expand(x.shape) * 255


def _layer(model: KerasModule, parsed: Method, parameters: dict[str, Any]) -> nn.Module:
    """Return the module whose output is that of the Keras layer, its activation included."""
    name = parameters.get("target_layer", parsed.parameters["target_layer"])
    if name is None:
        convolutions = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
        if not convolutions:
            raise NotImplementedError("the model has no convolution for Grad-CAM to look at")
        name = convolutions[-1]
    return model.get_submodule(model.layer_outputs.get(name, name))


def _guided(model: KerasModule, x: Tensor, target: list[int]) -> Tensor:
    from pytorch_grad_cam import GuidedBackpropReLUModel

    guided = GuidedBackpropReLUModel(model)
    # It takes one picture at a time, and gives it back with channels last.
    maps = [guided(part[None], index) for part, index in zip(x, target, strict=True)]
    with torch.no_grad():
        logits = model(x)[torch.arange(len(x)), torch.tensor(target)]
    made = torch.stack([torch.as_tensor(one).reshape(x.shape[2], x.shape[3], x.shape[1]) for one in maps])
    result: Tensor = made.movedim(-1, 1) * logits.reshape(-1, 1, 1, 1)
    return result
