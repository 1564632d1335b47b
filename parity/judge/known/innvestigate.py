"""What is known of iNNvestigate 2.1.2: where it is wrong or raises."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.conditions import (
    classes,
    input_layers,
    keeps_shape,
    layers_at_every_step,
    more_than_a_relu,
    same_shape,
    takes_open_sizes,
)
from parity.judge.known.difference import KnownDifference
from parity.judge.known.rewrites import (
    FUNCTION_OF_AN_ACTIVATION,
    NORMALIZATION_AS_DENSE,
    ONLY_THE_TARGET,
    RELU_ATTRIBUTE,
    SIZED,
)
from parity.keras import ModelDescription

if TYPE_CHECKING:
    from signxai_torch.methods.grammar import Method

# What its LRP takes the derivative of and SIGN-XAI passes relevance through.
_BENT = {"LeakyReLU", "ELU", "PReLU", "ThresholdedReLU", "Softmax", "Masking"}
_KEEP_THE_SHAPE = {"Rescaling", "TFOpLambda", "Normalization", "LayerScale", "LayerNormalization", "GroupNormalization",
                   "UnitNormalization"}  # fmt: skip
_STATISTICS = {"LayerNormalization", "GroupNormalization", "UnitNormalization"}
# Functions whose derivative TensorFlow makes of the input and constants.
_WITH_CONSTANTS = {"math.acos", "math.asin", "math.atan", "math.atanh", "math.log1p"}
# Rules that give relevance to units that are off, so that the derivative of a ReLU layer matters.
_BLIND_TO_X = ("Flat", "WSquare")


def _deconvnet_relu_layer(method: Method, model: ModelDescription) -> bool:
    return method.family == "deconvnet" and "ReLU" in classes(model)


def _normalization(method: Method, model: ModelDescription) -> bool:
    return method.family == "lrp" and "BatchNormalization" in classes(model)


def _normalization_graph(method: Method, model: ModelDescription) -> bool:
    normalized = method.family not in ("lrp", "input", "random") and "BatchNormalization" in classes(model)
    return normalized and not _normalization_of_several_inputs(method, model)


def _normalization_of_several_inputs(method: Method, model: ModelDescription) -> bool:
    several = len(model.inputs) > 1 and "BatchNormalization" in classes(model)
    return several and method.family in ("gradient", "guided_backprop", "deconvnet")


def _sizes_at_every_step(method: Method, model: ModelDescription) -> bool:
    constants = any(
        kind in (*_STATISTICS, "BatchNormalization")
        or (kind == "MultiHeadAttention" and settings.get("use_causal_mask"))
        for kind, settings in layers_at_every_step(model)
    )
    return method.family not in ("input", "random") and constants


def _length_of_a_sample(method: Method, model: ModelDescription) -> bool:
    normalized = any(one.class_name == "Dot" and one.config.get("normalize") for one in model.layers)
    functions = {layer.config.get("function") for layer in model.layers if layer.class_name == "TFOpLambda"}
    applies = normalized or classes(model) & _STATISTICS or functions & _WITH_CONSTANTS
    return method.family not in ("input", "random") and bool(applies)


def _input_rule_behind_padding(method: Method, model: ModelDescription) -> bool:
    hidden = input_layers(model) != input_layers(model, through_padding=False)
    return method.family == "lrp" and bool(method.input_rule) and hidden


def _derivative_in_lrp(method: Method, model: ModelDescription) -> bool:
    blind = any(rule in _BLIND_TO_X for rule, _ in method.row.layers.values())
    bent = classes(model) & (_BENT | _KEEP_THE_SHAPE) or (blind and "ReLU" in classes(model))
    bent = bent or any(more_than_a_relu(layer) for layer in model.layers)
    kept = any(
        keeps_shape(layer) or (layer.class_name == "TimeDistributed" and same_shape(model, layer))
        for layer in model.layers
    )
    return method.family == "lrp" and (bool(bent) or kept)


def _several_inputs(method: Method, model: ModelDescription) -> bool:
    return len(model.inputs) > 1 and method.family not in ("input", "random")


def _copies_of_several_inputs(method: Method, model: ModelDescription) -> bool:
    return len(model.inputs) > 1 and method.family in ("integrated_gradients", "smoothgrad")


def _copies_of_open_sizes(method: Method, model: ModelDescription) -> bool:
    return takes_open_sizes(model) and method.family in ("integrated_gradients", "smoothgrad")


INNVESTIGATE: tuple[KnownDifference, ...] = (
    KnownDifference(
        name="innvestigate-index-of-several-inputs",
        references=("innvestigate",),
        applies=_several_inputs,
        condition="The class to explain, for a model of several inputs, in innvestigate 2.1.2.",
        cause=(
            "Where a class is chosen by its index, it takes the number of samples from the shape of the list of "
            "inputs, and hands TensorFlow that list inside of another. Where the largest output is explained, both "
            "are right."
        ),
        evidence=(
            "Two inputs of other shapes: analyze([a, b], neuron_selection=0) raises ValueError (inhomogeneous "
            "shape); of one shape: the list of arrays is not the size the model expected. On the network of the "
            "explained class alone, whose largest output it is, iNNvestigate and the port agree."
        ),
        rewrites=(ONLY_THE_TARGET,),
    ),
    KnownDifference(
        name="innvestigate-copies-of-several-inputs",
        references=("innvestigate",),
        applies=_copies_of_several_inputs,
        condition="Integrated gradients and SmoothGrad of a model of several inputs, in innvestigate 2.1.2.",
        cause="It copies the list of inputs as if it were one array, and hands TensorFlow what comes of that.",
        evidence=(
            "Two inputs, a Dense on each, Concatenate, Dense(1): integrated_gradients and smoothgrad raise ValueError "
            "for inputs of 4 and 3 numbers (inhomogeneous shape) and of 4 and 4 (not the size the model expected). "
            "gradient gives a map of each input."
        ),
        recipe="averaged",
    ),
    KnownDifference(
        name="innvestigate-copies-of-open-sizes",
        references=("innvestigate",),
        applies=_copies_of_open_sizes,
        condition="Integrated gradients and SmoothGrad of a model that leaves a size open, in innvestigate 2.1.2.",
        cause="It reshapes its copies of the input to the declared shape, in which an open size is None.",
        evidence=(
            "Input (None, 2), Conv1D, GlobalAveragePooling1D, Dense: integrated_gradients and smoothgrad raise "
            "TypeError in innvestigate/layers.py, where it calls tf.reshape. Input (9, 2) instead: at parity."
        ),
        rewrites=(SIZED,),
    ),
    KnownDifference(
        name="innvestigate-deconvnet-relu-layer",
        references=("innvestigate",),
        applies=_deconvnet_relu_layer,
        condition="deconvnet on a model with layers of class ReLU, in innvestigate 2.1.2.",
        cause="It copies such a layer with a keyword `activation`, which the class does not take.",
        evidence=(
            "It raises TypeError: Keyword argument not understood: activation. It gives maps where the same ReLU "
            "is spelled Activation('relu')."
        ),
        rewrites=(RELU_ATTRIBUTE,),
    ),
    KnownDifference(
        name="innvestigate-batch-normalization",
        references=("innvestigate",),
        applies=_normalization,
        condition="LRP on a model with BatchNormalization, in innvestigate 2.1.2.",
        cause=(
            "It replaces the layer by k x + c with k = gamma / sqrt(variance^2 + epsilon): the variance is squared, "
            "and the offset lacks gamma."
        ),
        evidence=(
            "innvestigate/backend/graph.py, apply_mapping_to_fused_bn_layer: `sqrt(variance**2 + layer.epsilon)`. "
            "rel. L2 0.1 to 2 between the two references (epsilon 0.1, flat)."
        ),
    ),
    KnownDifference(
        name="innvestigate-batch-normalization-graph",
        references=("innvestigate",),
        applies=_normalization_graph,
        condition="Any method but LRP on a model with BatchNormalization, in innvestigate 2.1.2.",
        cause="It copies the model, and the copied layer still hangs on the original's input, which nobody feeds.",
        evidence=(
            "TensorFlow raises InvalidArgumentError: You must feed a value for placeholder tensor; or, while it "
            "copies the weights, TypeError: Cannot convert ... dtype([('resource', 'u1')]). Conv2D, "
            "BatchNormalization, ReLU, Flatten, Dense: integrated_gradients and smoothgrad raise in float32 too, "
            "guided_backprop does not."
        ),
        recipe="averaged",
    ),
    KnownDifference(
        name="innvestigate-batch-normalization-of-several-inputs",
        references=("innvestigate",),
        applies=_normalization_of_several_inputs,
        condition=(
            "Gradients, guided backpropagation and deconvnet of a model of several inputs with BatchNormalization, "
            "which SIGN-XAI does not explain at all, in innvestigate 2.1.2."
        ),
        cause="It copies the model, and the copied layer still hangs on the original's input, which nobody feeds.",
        evidence=(
            "An image of 8 x 8 x 3 behind Conv2D, BatchNormalization, ReLU and an average, five numbers behind Dense "
            "and BatchNormalization, Concatenate, Dense of one class: gradient and guided_backprop raise "
            "InvalidArgumentError (You must feed a value for placeholder tensor). With a Dense layer of each channel "
            "alone in its place, which is the same function, they agree with the port to 1.8e-16, of three classes."
        ),
        rewrites=(NORMALIZATION_AS_DENSE,),
    ),
    KnownDifference(
        name="innvestigate-sizes-at-every-step",
        references=("innvestigate",),
        applies=_sizes_at_every_step,
        condition=(
            "A normalization, or a MultiHeadAttention that is called with use_causal_mask=True, at every step of a "
            "TimeDistributed, alone or in a model, in innvestigate 2.1.2."
        ),
        cause=(
            "It leaves the operations of the derivative to Keras, which takes some that depend on the input for "
            "constants and runs them before there is an input."
        ),
        evidence=(
            "TimeDistributed of BatchNormalization, LayerNormalization, GroupNormalization or UnitNormalization, alone "
            "or in a model behind Flatten, Conv1D or Conv2D, Flatten, Dense: gradient and guided_backprop raise "
            "InvalidArgumentError (You must feed a value for placeholder tensor) in float64, and but for "
            "LayerNormalization in float32; so they do with a causal MultiHeadAttention in the model. With any of 22 "
            "other kinds of layers they give maps. SIGN-XAI's gradient and the port's agree."
        ),
        recipe="averaged",
    ),
    KnownDifference(
        name="innvestigate-statistics-of-a-sample",
        references=("innvestigate",),
        applies=_length_of_a_sample,
        condition=(
            "A model with LayerNormalization, GroupNormalization, UnitNormalization, Dot(normalize=True), or one of "
            "tf.math's acos, asin, atan, atanh and log1p, in innvestigate 2.1.2."
        ),
        cause=(
            "It leaves the operations of the derivative to Keras, which takes some that depend on the input for "
            "constants and runs them before there is an input."
        ),
        evidence=(
            "Conv2D relu, UnitNormalization or GroupNormalization, Flatten, Dense: gradient and lrp.z raise "
            "InvalidArgumentError (You must feed a value for placeholder tensor) in float32, gradient and lrp.epsilon "
            "in float64. With LayerNormalization lrp.alpha_2_beta_1 raises in float64 and gives a map in float32, "
            "where Keras takes a fused operation. Conv1D, one of those five functions, Flatten, Dense: gradient and "
            "integrated_gradients raise it in both; with each of 14 other functions, such as log and sqrt, they give "
            "maps."
        ),
        recipe="averaged",
    ),
    KnownDifference(
        name="innvestigate-input-rule-behind-padding",
        references=("innvestigate",),
        applies=_input_rule_behind_padding,
        condition="A rule for the input layer on a model that begins with ZeroPadding, in innvestigate 2.1.2.",
        cause="It does not look through the padding, finds no input layer, and leaves the rule unused without a word.",
        evidence=(
            "ZeroPadding2D, SeparableConv2D, Flatten, Dense: sequential_preset_b_flat equals sequential_preset_b "
            "there; rel. L2 0.98 between the two references (flat). Without the padding they agree."
        ),
    ),
    KnownDifference(
        name="innvestigate-derivative-in-lrp",
        references=("innvestigate",),
        applies=_derivative_in_lrp,
        condition=(
            "LRP on a model with layers of class LeakyReLU, ELU, Masking and the like, ReLU with a slope or a bound "
            "(any ReLU for flat and w_square), Rescaling, functions such as tf.math.log, normalization but by batch "
            "statistics, or max-pooling or TimeDistributed that keeps the shape, in innvestigate 2.1.2."
        ),
        cause=(
            "It multiplies relevance by the derivative of these layers, though it passes the same functions "
            "unchanged as `Activation`; SIGN-XAI passes relevance through all layers that keep the shape."
        ),
        evidence=(
            "LeakyReLU(0.25), Flatten, Dense relu, Dense: lrp.flat rel. L2 1.5 between the two references; 0 where "
            "the function is an attribute of the layer before. Rescaling(1 / 127.5, -1), Conv2D, Flatten, Dense: "
            "lrp.alpha_2_beta_1 differs by the factor 127.5. Conv1D, ReLU(max_value=0.5), Flatten, Dense: rel. L2 "
            "0.74, with negative_slope=0.1 in its place 0.098; with threshold=0.2 the two agree. On deeplc's trained "
            "network, with 18 ReLU layers of slope 0.1, lrp.z and lrp.alpha_1_beta_0 are more than 100,000 times too "
            "small, and are, to 4e-16 and 1e-14, those of a port that takes the derivative there and nowhere else. "
            "With each such layer as the function of an Activation, iNNvestigate and the port agree (1e-15)."
        ),
        rewrites=(FUNCTION_OF_AN_ACTIVATION,),
    ),
)
