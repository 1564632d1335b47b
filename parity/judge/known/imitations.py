"""What a reference makes of a model by a defect, as changes to the converted model: see `Divergence.imitated`."""

from __future__ import annotations

from torch import Tensor, nn

from parity.judge.known.defects import output_layer, unmoved
from parity.keras import KerasModule


def imitate(module: KerasModule, defect: str) -> None:
    """Change a converted model into what SIGN-XAI explains in its place.

    Parameters
    ----------
    module : KerasModule
        Loaded for this only.
    defect : str
        The name of the divergence.
    """
    for name in unmoved(module.description):
        # The subject passes relevance unchanged through layers of stride 1 that keep the shape.
        module.get_submodule(name.replace(".", "_")).stride = 1  # type: ignore[assignment]
    if defect == "signxai-relevance-of-all-classes":
        module.append(f"{output_layer(module.description).name}_of_all_classes", OfAllClasses())


class OfAllClasses(nn.Module):
    """Its input itself, so that relevance starts where it starts without it; of one class it becomes that of all."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Identity()  # what has children is no layer, and gets no rule

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits `(N, classes)`."""
        if x.requires_grad:
            x.register_hook(lambda relevance: relevance.sum(dim=1, keepdim=True).expand_as(relevance))
        return x
