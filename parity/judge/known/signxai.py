"""What is known of SIGN-XAI 1.1.9.2: where it is wrong or raises, and how it is asked all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.arrival import ORDERED, arrival_order
from parity.judge.known.conditions import (
    activation_of,
    branches,
    classes,
    hands_on,
    input_layers,
    output_layer,
    resized_open,
    unmoved,
)
from parity.judge.known.difference import KnownDifference
from parity.judge.known.rewrites import (
    IN_ORDER_OF_ARRIVAL,
    LAYER_BEHIND_THE_OUTPUT,
    NO_BRANCH_AT_A_LAYER,
    ONLY_THE_TARGET,
    PERMUTE_THROUGH_ANOTHER_SHAPE,
    PERMUTED_INPUT,
    RELU_ATTRIBUTE,
    SIZED,
    ZERO_OFFSET,
)
from parity.keras import ModelDescription
from parity.keras.network import keras_order, network_of

if TYPE_CHECKING:
    from signxai_torch.methods.grammar import Method

RUN_BY_KERAS = ("grad_cam", "grad_cam_timeseries", "guided_grad_cam", "random_uniform")
"""The families that SIGN-XAI runs on the Keras model itself and not layer by layer."""
_ONE_CONSUMER = ("SIGN", "SIGNmu", "Bounded")


def _integrated_gradients(method: Method, _model: ModelDescription) -> bool:
    return method.family == "integrated_gradients"


def _bounded(method: Method, model: ModelDescription) -> bool:
    normalizing = {layer.name for layer in model.layers if layer.class_name == "BatchNormalization"}
    # Behind a normalization no layer takes the input rule.
    seen = not normalizing.issuperset(input_layers(model))
    return method.input_rule == "Bounded" and method.prefix is not None and seen


def _deep_lift(method: Method, _model: ModelDescription) -> bool:
    return method.family == "deep_lift"


def _relu_per_consumer(method: Method, model: ModelDescription) -> bool:
    return method.family in ("guided_backprop", "deconvnet") and branches(model)


def _several_inputs(method: Method, model: ModelDescription) -> bool:
    return len(model.inputs) > 1 and method.family not in ("input", "random")


def _deconvnet_relu_layer(method: Method, model: ModelDescription) -> bool:
    return method.family == "deconvnet" and any("ReLU" in name for name in classes(model))


def _concatenate_order(method: Method, model: ModelDescription) -> bool:
    if method.family in RUN_BY_KERAS or not any(layer.class_name in ORDERED for layer in model.layers):
        return False
    return bool(arrival_order(keras_order(network_of(model))))  # files of Keras 3 keep layers in another order


def _input_rule_on_a_branch(method: Method, model: ModelDescription) -> bool:
    producers = [name for layer in model.layers for name in layer.inbound]
    several = any(producers.count(name) > 1 for name in input_layers(model))
    return bool(method.row.layers) and method.input_rule in _ONE_CONSUMER and several


def _grad_cam_transposed(method: Method, model: ModelDescription) -> bool:
    return method.family in ("grad_cam", "guided_grad_cam") and len(set(model.input_shape[:2])) == 2


def _grad_cam_timeseries(method: Method, _model: ModelDescription) -> bool:
    return method.family == "grad_cam_timeseries"


def _sign_rule_on_the_last_layer(method: Method, model: ModelDescription) -> bool:
    return method.input_rule in ("SIGN", "SIGNmu") and output_layer(model).name in input_layers(model)


def _permute_of_equal_sizes(method: Method, model: ModelDescription) -> bool:
    return bool(method.row.layers and unmoved(model))


def _open_sizes(method: Method, model: ModelDescription) -> bool:
    return bool(method.row.layers and resized_open(model))


def _relevance_of_all_classes(method: Method, model: ModelDescription) -> bool:
    last = output_layer(model)
    return bool(method.row.layers) and hands_on(model, last) and last.output_shape[-1] != 1


def _deconvnet_relu_on_the_output(method: Method, model: ModelDescription) -> bool:
    last = output_layer(model)
    made_by_relu = last.class_name in ("Dense", "Activation") and activation_of(last) == "relu"
    # A layer of class ReLU is asked about as an Activation, which then makes the output.
    return method.family == "deconvnet" and (made_by_relu or last.class_name == "ReLU")


def _without_offset(method: Method, model: ModelDescription) -> bool:
    none = any(one.class_name == "BatchNormalization" and one.config.get("center") is False for one in model.layers)
    return bool(method.row.layers) and none


def _normalization_at_the_end(method: Method, model: ModelDescription) -> bool:
    last = output_layer(model)
    return bool(method.row.layers) and last.class_name == "BatchNormalization" and last.output_shape[-1] != 1


SIGNXAI: tuple[KnownDifference, ...] = (
    KnownDifference(
        name="kink-at-the-baseline",
        references=("signxai", "innvestigate"),
        applies=_integrated_gradients,
        condition="Integrated gradients where max-pooling ties at the baseline, in both references.",
        cause=(
            "At the baseline windows are equal and max-pools tie; TensorFlow's convolutions round equal windows apart "
            "in places, so the last digit decides which of them gets the gradient of that one point."
        ),
        evidence=(
            "tests/fuzz/regressions/tie_at_the_baseline.json: Conv2D, GlobalMaxPooling2D on a 4 x 6 image: of 50 "
            "points 49 agree to 1e-15; at the baseline two windows tie, and the gradients differ by 36 %. The "
            "reference's own gradient jumps as much when the last digits of the baseline change, as every row shows."
        ),
        by_values="kink",
    ),
    KnownDifference(
        name="signxai-several-inputs",
        references=("signxai",),
        applies=_several_inputs,
        condition="A model of several inputs, in signxai 1.1.9.2.",
        cause="It starts at the first input layer alone, and waits there for what the others would bring.",
        evidence=(
            "Two inputs, a Conv1D and a Dense on them, Concatenate, Dense: gradient and lrp_z raise ValueError (Xs has "
            "not supported type list) for a list of inputs, and AttributeError ('NoneType' object has no attribute "
            "'numpy') for the first alone. iNNvestigate 2.1.2 takes a list, and the port agrees with it."
        ),
        recipe="averaged",
    ),
    KnownDifference(
        name="signxai-grad-cam-of-nothing",
        references=("signxai",),
        applies=_grad_cam_timeseries,
        condition=(
            "grad_cam_timeseries where nothing in the target layer's maps speaks for the class (the largest weighted "
            "sum is 0, as behind a convolution that is off everywhere), in signxai 1.1.9.2."
        ),
        cause="It divides by the largest value of the weighted sum, which is zero; the port's map is zero there.",
        evidence=(
            "A Conv1D whose ReLU is off for the whole series: the map is NaN everywhere, beside a RuntimeWarning of "
            "NumPy (invalid value encountered in divide). grad_cam, of the same package, guards the division."
        ),
        by_values="undefined",
    ),
    KnownDifference(
        name="signxai-bounded-is-zero",
        references=("signxai",),
        applies=_bounded,
        condition="The Bounded (z^B) rule on the input layer in signxai 1.1.9.2, whatever the bounds.",
        cause=(
            "Its Bounded rule computes W^T t - (W+^T t + W-^T t): the factors x, low and high are missing, so the "
            "result is zero in exact arithmetic and rounding noise in practice."
        ),
        evidence=(
            "max|R| is 5e-11 (lrp.z), 2e-11 (epsilon 0.1) and 2e-12 (alpha_1_beta_0) at relevance of order 1, and "
            "the norm 7e-8 on VGG16 at 224 x 224; the same formula in float64 gives 0; sample 0 alone and in a batch "
            "of 3 differ by 104 %. iNNvestigate 2.1.2 computes x W^T t - low W+^T t - high W-^T t, the rule as "
            "published (Montavon et al. 2017, Pattern Recognition 65)."
        ),
        recipe="spliced",
    ),
    KnownDifference(
        name="signxai-deep-lift-missing",
        references=("signxai",),
        applies=_deep_lift,
        condition="deep_lift in signxai 1.1.9.2.",
        cause=(
            "The analyzer wraps the package deeplift, which it does not declare and which does not run on TensorFlow "
            "2; iNNvestigate 2.1.2 has no DeepLIFT."
        ),
        evidence=(
            "create_analyzer('deep_lift', model) raises ImportError. The subject is held to what the Rescale rule "
            "promises (parity/judge/known/promises.py); the port's tests hold it to captum's DeepLift too (1e-12, no "
            "pool behind a ReLU)."
        ),
        recipe="promised",
    ),
    KnownDifference(
        name="signxai-relu-per-consumer",
        references=("signxai",),
        applies=_relu_per_consumer,
        condition="A layer whose output several layers read (a residual branch), in signxai 1.1.9.2.",
        cause=(
            "It rectifies what arrives from each consumer and adds up then; the gradient of a ReLU's output is the "
            "sum over its consumers, so the sum has to be rectified, as iNNvestigate 2.1.2 and the methods' papers "
            "do."
        ),
        evidence=(
            "resnet_mnist, guided_backprop: rel. L2 0.17 between the two references and between signxai and the "
            "port, 3e-16 between iNNvestigate and the port in float64; equal on every model without branches."
        ),
        rewrites=(NO_BRANCH_AT_A_LAYER,),
    ),
    KnownDifference(
        name="signxai-deconvnet-relu-layer",
        references=("signxai",),
        applies=_deconvnet_relu_layer,
        condition="deconvnet on a model with layers of class ReLU, LeakyReLU or the like, in signxai 1.1.9.2.",
        cause="It copies such a layer with a keyword `activation`, which the class does not take.",
        evidence=(
            "It raises TypeError: Keyword argument not understood: activation. It gives maps where the same ReLU "
            "is spelled Activation('relu')."
        ),
        rewrites=(RELU_ATTRIBUTE,),
    ),
    KnownDifference(
        name="signxai-concatenate-order",
        references=("signxai",),
        applies=_concatenate_order,
        condition=(
            "A model whose Concatenate inputs reach the layer, depth first from the input, in another order than the "
            "model's, such as [x, f(x)], in signxai 1.1.9.2; also Subtract, Dot, Maximum and Minimum (where values are "
            "equal) and the scaled sum of InceptionResNetV2."
        ),
        cause=(
            "It takes a layer's inputs in the order in which they arrive, so it evaluates and explains another "
            "network: [x, f(x)] becomes [f(x), x]."
        ),
        evidence=(
            "Input (3,), Dense, Concatenate [x, dense], Dense: gradient rel. L2 1.6 between signxai and both "
            "iNNvestigate and the port. With the inputs in the order in which they arrive all agree."
        ),
        rewrites=(IN_ORDER_OF_ARRIVAL,),
    ),
    KnownDifference(
        name="signxai-input-rule-on-a-branch",
        references=("signxai",),
        applies=_input_rule_on_a_branch,
        condition="The SIGN, SIGNmu or Bounded rule on an input layer that several layers read, in signxai 1.1.9.2.",
        cause=(
            "These rules hand back one map per consumer where one sum is expected, and TensorFlow stops. Bounded "
            "stops before: it differentiates by the input what only its bounds went into, and adds None to None."
        ),
        evidence=(
            "Input (7,), Dense read by two Dense layers, Concatenate, Dense: lrpsign_z raises InvalidArgumentError "
            "(`different ndims`). What TensorFlow says of the extra axis depends on the layer: each kind has a case "
            "in tests/fuzz/regressions. Where one layer reads it, SIGN and SIGNmu do not stop so."
        ),
        rewrites=(NO_BRANCH_AT_A_LAYER,),
    ),
    KnownDifference(
        name="signxai-grad-cam-is-transposed",
        references=("signxai",),
        applies=_grad_cam_transposed,
        condition="Grad-CAM on images that are not square, in signxai 1.1.9.2.",
        cause=(
            "It resizes the heat map with (height, width) where the image library takes (width, height), so the map "
            "has the shape of the transposed image; guided Grad-CAM then multiplies arrays that do not fit."
        ),
        evidence=(
            "Input (7, 4, 3): grad_cam returns (4, 7, 3), guided_grad_cam raises ValueError (operands could not be "
            "broadcast). On square images the port agrees to the last bit, and on others with the map of the image "
            "lying on its side."
        ),
        rewrites=(PERMUTED_INPUT,),
    ),
    KnownDifference(
        name="signxai-sign-rule-on-the-last-layer",
        references=("signxai",),
        applies=_sign_rule_on_the_last_layer,
        condition="The SIGN or SIGNmu rule on a first kernel layer that makes the output, in signxai 1.1.9.2.",
        cause="These rules do not start relevance at the output as the others do; they divide None.",
        evidence="Flatten, Dense: lrpsign_z raises ValueError (Attempt to convert a value (None)) in its SafeDivide.",
        rewrites=(ONLY_THE_TARGET, LAYER_BEHIND_THE_OUTPUT),
    ),
    KnownDifference(
        name="signxai-permute-of-equal-sizes",
        references=("signxai",),
        applies=_permute_of_equal_sizes,
        condition="LRP through a Permute layer that keeps the shape because sizes are equal, in signxai 1.1.9.2.",
        cause=(
            "It passes relevance unchanged through every layer whose input and output shapes agree, so the relevance "
            "of permuted values lands on other values."
        ),
        evidence=(
            "Conv2D to (4, 6, 4), Permute (3, 2, 1), Conv2D, Dense: lrp_z rel. L2 1.2 between the two references. "
            "With unequal sizes all agree."
        ),
        rewrites=(PERMUTE_THROUGH_ANOTHER_SHAPE,),
    ),
    KnownDifference(
        name="signxai-open-sizes",
        references=("signxai",),
        applies=_open_sizes,
        condition=(
            "LRP through a padding, cropping or upsampling layer of a model that leaves that size open, in signxai "
            "1.1.9.2."
        ),
        cause=(
            "It passes relevance unchanged through every layer whose input and output shapes agree as they are "
            "declared, and an open size agrees with every other."
        ),
        evidence=(
            "Input (None, 2), ZeroPadding1D [1, 0], Conv1D: each LRP map of a series of 14 steps has 15. Input "
            "(14, 2), nothing else changed: at parity."
        ),
        rewrites=(SIZED,),
    ),
    KnownDifference(
        name="signxai-relevance-of-all-classes",
        references=("signxai",),
        applies=_relevance_of_all_classes,
        condition=(
            "LRP on a model of several classes whose last layer has no kernel and keeps the shape: an activation or "
            "dropout of its own, or a Flatten, Reshape or Permute that changes nothing, in signxai 1.1.9.2."
        ),
        cause=(
            "The class is chosen in the last layer. Where that has no kernel, the chosen value is handed on as one "
            "number, which TensorFlow spreads over all units of the Dense below: every class gets the relevance of "
            "the chosen one. Where a Flatten is below, TensorFlow stops."
        ),
        evidence=(
            "Conv2D, Flatten, Dense(3), Activation('sigmoid'): lrp_z Pearson below 0.95 between signxai and both "
            "iNNvestigate and the port. All agree with a single class, where nothing can be spread, and with "
            "Dense(3, 'sigmoid'). Conv2D, Flatten, Activation('relu'): lrp_z_IB raises InvalidArgumentError (Input "
            "to reshape is a tensor with 1 values)."
        ),
        rewrites=(ONLY_THE_TARGET,),
    ),
    KnownDifference(
        name="signxai-deconvnet-relu-on-the-output",
        references=("signxai",),
        applies=_deconvnet_relu_on_the_output,
        condition=(
            "deconvnet on a model whose output is made by a ReLU, as an attribute of the last Dense or as an "
            "Activation of its own, in signxai 1.1.9.2."
        ),
        cause=(
            "Its rule for layers with a ReLU takes the derivative of the Dense with the one chosen value as the "
            "relevance of all units, and TensorFlow stops."
        ),
        evidence=(
            "Conv2D relu, Flatten, Dense(3, 'relu'): deconvnet raises InvalidArgumentError (Matrix size- "
            "incompatible); iNNvestigate and the port agree there."
        ),
        rewrites=(ONLY_THE_TARGET, LAYER_BEHIND_THE_OUTPUT),
    ),
    KnownDifference(
        name="signxai-batch-normalization-without-offset",
        references=("signxai",),
        applies=_without_offset,
        condition="LRP on a model with BatchNormalization(center=False), in signxai 1.1.9.2.",
        cause=(
            "Without an offset its rule takes the first sample of the output instead of the output, and multiplies "
            "arrays of different ranks."
        ),
        evidence="Keras raises ValueError: Cannot merge tensors with different batch sizes; center=True is at parity.",
        rewrites=(ZERO_OFFSET,),
    ),
    KnownDifference(
        name="signxai-batch-normalization-at-the-end",
        references=("signxai",),
        applies=_normalization_at_the_end,
        condition="LRP on a model of several classes whose last layer is a BatchNormalization, in signxai 1.1.9.2.",
        cause=(
            "The class is chosen in the last layer, whose rule then takes the one chosen value for the output of "
            "every unit, so every class gets relevance."
        ),
        evidence=(
            "Conv2D, Flatten, Dense(4), BatchNormalization, lrp_flat: the map sums to 3.64708 in signxai; the rule's "
            "formula gives 3.64708 with the chosen output in place of each unit's own, 0.42775 as it should be (the "
            "port) and 0.89949 summed over all classes. With the explained class alone all agree."
        ),
        rewrites=(ONLY_THE_TARGET,),
    ),
)
