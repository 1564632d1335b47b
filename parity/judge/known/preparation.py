"""What is known of layers that prepare inputs, in both references."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.conditions import classes, rounds_to_float32
from parity.judge.known.difference import KnownDifference
from parity.judge.known.rewrites import AUGMENTATION_OFF, IN_ORDER_OF_ARRIVAL, ROUNDED_ONCE
from parity.judge.known.signxai import RUN_BY_KERAS
from parity.keras import ModelDescription
from parity.keras.augmentations import AUGMENTATIONS_OF_KERAS_2

if TYPE_CHECKING:
    from signxai_torch.methods.grammar import Method


def _augmentation(method: Method, model: ModelDescription) -> bool:
    explains = method.family not in ("input", "random", "random_uniform")
    return explains and not classes(model).isdisjoint(AUGMENTATIONS_OF_KERAS_2)


def _rounded_for_each_reader(method: Method, model: ModelDescription) -> bool:
    read = [name for layer in model.layers for name in layer.inbound]
    several = any(rounds_to_float32(layer) and read.count(layer.name) > 1 for layer in model.layers)
    return method.family not in (*RUN_BY_KERAS, "input", "random") and several


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
    KnownDifference(
        name="signxai-rounded-for-each-reader",
        references=("signxai",),
        applies=_rounded_for_each_reader,
        condition=(
            "A Resizing, CenterCrop or RandomCrop, but by the nearest pixel, that several layers read, or one in "
            "several places, in signxai 1.1.9.2."
        ),
        cause=(
            "TensorFlow resizes in float32 whatever the dtype, and rounds what comes back to it likewise. SIGN-XAI "
            "takes each reader's part through the layer by itself and adds up then, so each part is rounded; the "
            "derivative is that of the sum, which is rounded once."
        ),
        evidence=(
            "Resizing(9, 8), two Conv2D, Add, Conv2D, Flatten, Dense in float64: gradient and lrp_z differ from the "
            "port by rel. L2 1e-7, iNNvestigate's lrp.z and lrp.alpha_2_beta_1 by 1e-12 at most; so it is with "
            "Concatenate of the layer with itself. With a Dropout behind the Resizing, which adds up the parts first, "
            "SIGN-XAI agrees too."
        ),
        rewrites=(ROUNDED_ONCE, IN_ORDER_OF_ARRIVAL),
    ),
)
