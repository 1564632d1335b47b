"""What is known of layers that prepare inputs, in both references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.conditions import classes
from parity.judge.known.difference import KnownDifference
from parity.judge.known.rewrites import AUGMENTATION_OFF
from parity.keras import ModelDescription
from parity.keras.augmentations import AUGMENTATIONS_OF_KERAS_2

if TYPE_CHECKING:
    from signxai_torch.methods.grammar import Method


def _augmentation(method: Method, model: ModelDescription) -> bool:
    explains = method.family not in ("input", "random", "random_uniform")
    return explains and not classes(model).isdisjoint(AUGMENTATIONS_OF_KERAS_2)


PREPARATION: tuple[KnownDifference, ...] = (
    KnownDifference(
        name="augmentation",
        references=("signxai", "innvestigate"),
        applies=_augmentation,
        condition="A model with layers that augment images (RandomFlip, RandomCrop and the like), in both references.",
        cause=(
            "Keras augments where nobody says that it is inference, and neither reference says so: both explain "
            "another image every time. Most of these layers cannot be built in float64."
        ),
        evidence=(
            "RandomFlip (or RandomRotation), Conv2D, Flatten, Dense in float32: of eight calls for one image, the "
            "gradients differ from the first by up to 174 % in signxai and 178 % in iNNvestigate, and by 0 without the "
            "layer; the model's own predictions do not change. RandomContrast: signxai raises LookupError (no gradient "
            "of AdjustContrastv2). RandomRotation in float64: Keras raises TypeError (Input 'y' of 'Mul' Op)."
        ),
        rewrites=(AUGMENTATION_OFF,),
    ),
)
