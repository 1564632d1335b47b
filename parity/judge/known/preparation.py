"""What is known of layers that prepare inputs, in both references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.conditions import classes
from parity.judge.known.difference import KnownDifference
from parity.judge.known.rewrites import AUGMENTATION_OFF
from parity.keras import ModelDescription
from parity.keras.handlers.preprocessing import RANDOM

if TYPE_CHECKING:
    from signxai_torch.methods.grammar import Method

_AUGMENTATIONS = {*RANDOM, "RandomCrop"}


def _augmentation(method: Method, model: ModelDescription) -> bool:
    return method.family not in ("input", "random", "random_uniform") and bool(classes(model) & _AUGMENTATIONS)


PREPARATION: tuple[KnownDifference, ...] = (
    KnownDifference(
        name="augmentation",
        references=("signxai", "innvestigate"),
        applies=_augmentation,
        condition="A model with layers that augment images (RandomFlip, RandomCrop and the like), in both references.",
        cause=(
            "Keras augments where nobody says that it is inference: SIGN-XAI calls each layer without saying so, and "
            "explains another image every time. Most of these layers cannot be built in float64."
        ),
        evidence=(
            "RandomFlip, Conv2D, Flatten, Dense: signxai's gradient in float32 differs from call to call. "
            "RandomRotation in float64: Keras raises TypeError (Input 'y' of 'Mul' Op has type float32)."
        ),
        rewrites=(AUGMENTATION_OFF,),
    ),
)
