"""How far explanations get on the models that people use, as they are: torchvision's classification families.

For each family the port explains one input with one method of every kind. Beside it stands how much of the logit
LRP's relevance sums to, with the port (batch normalisations merged), stock zennit (with the canonizer that it has for
the family, if any) and captum. A sum of 1 is all of it; biases take their share of the rest.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torchvision
from torch import Tensor, nn

import signxai_torch
from bench.cli import DOCS
from parity.run.results import write_atomically

FAMILIES = """alexnet vgg11 vgg11_bn resnet18 resnet50 resnext50_32x4d wide_resnet50_2 densenet121 squeezenet1_1
mobilenet_v2 mobilenet_v3_small mnasnet0_5 shufflenet_v2_x1_0 googlenet inception_v3 efficientnet_b0 efficientnet_v2_s
regnet_x_400mf convnext_tiny vit_b_16 swin_t maxvit_t"""
METHODS = """gradient guided_backprop grad_cam deep_lift deep_taylor lrp_z lrp_epsilon_0_1 lrp_alpha_1_beta_0
lrp_sequential_composite_a lrpsign_epsilon_0_25_std_x flatlrp_z"""
PAGE = DOCS / "models.md"
BEGIN, END = "<!-- zoo:begin (written by `make zoo`) -->", "<!-- zoo:end -->"
EPSILON = 0.01
_SIDES = {"vit_b_16": 224, "maxvit_t": 224, "inception_v3": 299}
_OF_ITS_OWN = ("googlenet", "inception_v3")


@dataclass(frozen=True)
class Line:
    """What became of one family.

    Attributes
    ----------
    family : str
        Its name.
    refused : tuple of str
        Methods that said that they cannot explain it.
    wrong : tuple of str
        Methods that raised anything else, changed the model, or gave a map that is zero or not finite.
    beyond : bool
        Whether rules of the literature were used.
    sums : tuple of str
        Sum of the relevance over the logit: the port, zennit, captum.
    """

    family: str
    refused: tuple[str, ...]
    wrong: tuple[str, ...]
    beyond: bool
    sums: tuple[str, ...]


def made(family: str) -> tuple[nn.Module, Tensor]:
    """Return a family with random weights, its batch normalisations settled on noise, and an input."""
    torch.manual_seed(0)
    more = {"init_weights": False} if family in _OF_ITS_OWN else {}
    model = getattr(torchvision.models, family)(weights=None, num_classes=10, **more)
    side = _SIDES.get(family, 64)
    if family.startswith("vit"):
        nn.init.normal_(model.heads.head.weight, 0, 0.02)
    if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = None  # the plain mean over all batches
        with torch.no_grad():
            model.train()
            for _ in range(2):
                model(torch.randn(4, 3, side, side) if side > 64 else torch.randn(4, 3, 96, 96))
    return model.eval(), torch.randn(1, 3, side, side)


def explained(family: str) -> Line:
    """Explain one family with every method, and sum its relevance with each library."""
    model, x = made(family)
    before = model(x).detach()
    target = int(before.argmax())
    refused, wrong, beyond = [], [], False
    for method in METHODS.split():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                relevance = signxai_torch.explain(model, x, method, target)
                if not relevance.any() or not np.isfinite(relevance).all() or not torch.equal(model(x), before):
                    wrong.append(method)
            except (ValueError, TypeError):
                refused.append(method)
            except Exception:
                wrong.append(method)
        beyond |= any(one.category is signxai_torch.BeyondReferenceWarning for one in caught)
    logit = float(before[0, target])
    sums = tuple(_ratio(of, model, x, target, logit) for of in (_of_port, _of_zennit, _of_captum))
    return Line(family, tuple(refused), tuple(wrong), beyond, sums)


def _ratio(relevance: Callable[[nn.Module, Tensor, int], float], model: nn.Module, x: Tensor, target: int,
           logit: float) -> str:  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return f"{relevance(model, x, target) / logit:.3g}"
        except Exception as error:
            return type(error).__name__


def _of_port(model: nn.Module, x: Tensor, target: int) -> float:
    return float(signxai_torch.explain(model, x, "lrp_epsilon_0_01", target, batch_norm="merge").sum())


def _of_zennit(model: nn.Module, x: Tensor, target: int) -> float:
    from zennit.attribution import Gradient
    from zennit.composites import LayerMapComposite, layer_map_base
    from zennit.rules import Epsilon
    from zennit.torchvision import ResNetCanonizer, VGGCanonizer
    from zennit.types import Linear as WithKernel

    name = type(model).__name__
    canonizers = [ResNetCanonizer()] if name == "ResNet" else [VGGCanonizer()] if name == "VGG" else []
    composite = LayerMapComposite([*layer_map_base(), (WithKernel, Epsilon(EPSILON))], canonizers=canonizers)
    with Gradient(model, composite) as attributor:
        _, relevance = attributor(x.clone(), lambda output: output * nn.functional.one_hot(torch.tensor([target]), 10))
    return float(relevance.sum())


def _of_captum(model: nn.Module, x: Tensor, target: int) -> float:
    from captum.attr import LRP

    return float(LRP(model).attribute(x, target=target).sum())


def table(lines: Sequence[Line]) -> str:
    """Return the Markdown that stands between the markers."""
    count = len(METHODS.split())
    rows = ["| family | methods that explain it | refused | epsilon LRP sums to, in logits | zennit | captum |",
            "|---|---:|---|---:|---:|---:|"]  # fmt: skip
    for line in lines:
        right = count - len(line.refused) - len(line.wrong)
        refused = ", ".join(f"`{name}`" for name in line.refused) or "-"
        wrong = f" **wrong: {', '.join(line.wrong)}**" if line.wrong else ""
        star = " \\*" if line.beyond else ""
        rows.append(f"| {line.family}{star} | {right} of {count}{wrong} | {refused} | {' | '.join(line.sums)} |")
    packages = f"torch {torch.__version__}, torchvision {torchvision.__version__}"
    caption = (
        f"Random weights, batch normalisations settled on noise, one input; {packages}. \\*: with rules of the "
        f"literature and their warning. Sums of ours and zennit's are with epsilon {EPSILON:g}, zennit's with its own "
        "canonizer where it has one, captum's with its defaults; a name in place of a number is what the library "
        "raised."
    )
    return "\n".join([*rows, "", caption, ""])


def update(path: Path, lines: Sequence[Line]) -> None:
    """Put the table between the markers of a page."""
    text = path.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if len(pattern.findall(text)) != 1:
        raise click.ClickException(f"{path} needs the lines {BEGIN} and {END}, once each")
    written: Any = pattern.sub(lambda _: f"{BEGIN}\n{table(lines)}{END}", text)
    write_atomically(path, written)


@click.command()
@click.option("--model", "models", help="Families instead of all, separated by commas.")
@click.option("--page/--no-page", "write_page", default=None, help="Write the table in docs/. [with all]")
def main(models: str | None, write_page: bool | None) -> None:
    """Explain torchvision's families as they are, beside zennit and captum."""
    families = FAMILIES.split() if models is None else models.replace(",", " ").split()
    lines = []
    for family in families:
        lines.append(explained(family))
        click.echo(table(lines[-1:]).splitlines()[2])
    if models is None if write_page is None else write_page:
        update(PAGE, lines)
    if any(line.wrong for line in lines):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
