"""What is known of both references where one layer reads another one in several places."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.conditions import reads_twice, tensors_read
from parity.judge.known.difference import KnownDifference
from parity.judge.known.rewrites import EACH_READ_ONCE, IN_ORDER_OF_ARRIVAL
from parity.judge.known.signxai import RUN_BY_KERAS
from parity.keras import ModelDescription

if TYPE_CHECKING:
    from signxai_torch.methods.grammar import Method


def _signxai(method: Method, model: ModelDescription) -> bool:
    tensors = tensors_read(model.layers)
    twice = any(reads_twice(layer, tensors[layer.name]) for layer in model.layers)
    return method.family not in (*RUN_BY_KERAS, "input", "random") and twice


def _innvestigate(method: Method, model: ModelDescription) -> bool:
    # This one it leaves to TensorFlow as a whole.
    by_tensorflow = method.row.template == "gradient.baseline"
    twice = any(reads_twice(layer, layer.inbound) for layer in model.layers)
    return method.family not in ("input", "random") and not by_tensorflow and twice


REPEATED_READS: tuple[KnownDifference, ...] = (
    KnownDifference(
        name="signxai-read-twice",
        references=("signxai",),
        applies=_signxai,
        condition=(
            "A layer that reads one tensor in several places, such as Add()([x, x]), or Add()([x, y]) where y is x "
            "behind what hands the tensor on at inference (a linear activation, noise, an augmentation), in signxai "
            "1.1.9.2."
        ),
        cause=(
            "It takes the derivative of the layer by each tensor that it reads. By a tensor that stands in several "
            "places that is the derivative by all of them together, and it adds these up, so each place counts for all."
        ),
        evidence=(
            "Conv2D relu, Concatenate of its result with itself, Conv2D relu, Flatten, Dense: the maps of all 162 "
            "methods that it runs layer by layer are twice those of the port (of VarGrad four times, being squared), "
            "and so is lrp_z of Conv2D, Add to itself behind a linear activation, GaussianNoise, GaussianDropout, "
            "AlphaDropout, ActivityRegularization or RandomFlip, which hand the tensor on. Behind Dropout or "
            "SpatialDropout2D, which copy it, they are right, and so is Grad-CAM, which Keras runs."
        ),
        rewrites=(EACH_READ_ONCE, IN_ORDER_OF_ARRIVAL),
    ),
    KnownDifference(
        name="innvestigate-read-twice",
        references=("innvestigate",),
        applies=_innvestigate,
        condition="A layer that reads another one in several places, such as Add()([x, x]), in innvestigate 2.1.2.",
        cause=(
            "It takes the derivative of the layer by each tensor in its list of inputs. By a tensor that stands in "
            "several places that is the derivative by all of them together, and it adds these up."
        ),
        evidence=(
            "Conv2D relu, Concatenate of its result with itself, Conv2D relu, Flatten, Dense: the maps of lrp.z, "
            "lrp.alpha_2_beta_1, innvestigate.smoothgrad and 50 other names are twice the port's; "
            "gradient.baseline, which TensorFlow computes as a whole, is right. With a layer between them all agree."
        ),
        rewrites=(EACH_READ_ONCE,),
    ),
)
