"""The table of known differences that are not the port's fault, each with its evidence.

An entry covers a case only if its own check holds there (see `parity.judge.verdict.judge`).
"""

from __future__ import annotations

from dataclasses import replace

from parity.judge.verdict import FLOAT32_TIMES_FLOOR, Divergence, Limits, NoiseFloor, limits_for

DIVERGENCES: tuple[Divergence, ...] = (
    Divergence(
        name="signxai-bounded-is-zero",
        methods=("zblrp_*",),
        references=("signxai",),
        condition="The Bounded (z^B) rule on the input layer in signxai 1.1.9.2, whatever the bounds.",
        cause=(
            "Its Bounded rule computes W^T t - (W+^T t + W-^T t): the factors x, low and high are missing, "
            "so the result is zero in exact arithmetic and rounding noise in practice."
        ),
        evidence=(
            "max|R| is 5e-11 (lrp.z), 2e-11 (epsilon 0.1) and 2e-12 (alpha_1_beta_0) at relevance of "
            "order 1, and the norm 7e-8 on VGG16 at 224 x 224; the same formula in float64 gives 0; sample 0 "
            "alone and in a batch of 3 differ by 104 %. iNNvestigate 2.1.2 computes "
            "x W^T t - low W+^T t - high W-^T t, the rule as published (Montavon et al. 2017, "
            "Pattern Recognition 65)."
        ),
        status="reference-defect",
        alternative="innvestigate",
        reference_max_below=1e-6,
    ),
    Divergence(
        name="signxai-deep-lift-missing",
        methods=("deep_lift",),
        references=("signxai",),
        condition="deep_lift in signxai 1.1.9.2.",
        cause=(
            "The analyzer wraps the package deeplift, which it does not declare and which does not run on "
            "TensorFlow 2; iNNvestigate 2.1.2 has no DeepLIFT."
        ),
        evidence=(
            "create_analyzer('deep_lift', model) raises ImportError. Every row covered by this entry holds the port's "
            "map to what the Rescale rule promises instead: it sums to f(x) - f(0), and is zero where x is. No other "
            "implementation is run there; the tests hold the port to captum's DeepLift (1e-12, no pool behind a ReLU)."
        ),
        status="reference-defect",
        raises=("deeplift",),
        holds=("sums_to_the_change", "nothing_where_nothing_changes"),
    ),
    Divergence(
        name="signxai-relu-per-consumer",
        methods=("guided_backprop*", "deconvnet*"),
        references=("signxai",),
        condition="A layer whose output several layers read (a residual branch), in signxai 1.1.9.2.",
        cause=(
            "It rectifies what arrives from each consumer and adds up then; the gradient of a ReLU's output is the "
            "sum over its consumers, so the sum has to be rectified, as iNNvestigate 2.1.2 and the methods' papers do."
        ),
        evidence=(
            "resnet_mnist, guided_backprop: rel. L2 0.17 between the two references and between signxai and the "
            "port, 3e-16 between iNNvestigate and the port in float64; equal on every model without branches."
        ),
        status="reference-defect",
        alternative="innvestigate",
    ),
    Divergence(
        name="deconvnet-relu-layer",
        methods=("deconvnet*",),
        references=("signxai", "innvestigate"),
        condition=(
            "deconvnet on a model with layers of class ReLU, in both references, or LeakyReLU, in signxai 1.1.9.2."
        ),
        cause="Both references copy such a layer with a keyword `activation`, which the class does not take.",
        evidence=(
            "Both raise TypeError: Keyword argument not understood: activation. The port's rule sits on "
            "the ReLU module, which both spellings become; it is at parity where the model spells attributes."
        ),
        status="reference-defect",
        raises=("Keyword argument not understood",),
    ),
    Divergence(
        name="signxai-concatenate-order",
        methods=("*",),
        references=("signxai",),
        condition=(
            "A model whose Concatenate inputs reach the layer, depth first from the input, in another order than the "
            "model's, such as [x, f(x)], in signxai 1.1.9.2."
        ),
        cause=(
            "It takes a layer's inputs in the order in which they arrive, so it evaluates and explains another "
            "network: [x, f(x)] becomes [f(x), x]."
        ),
        evidence=(
            "Input (3,), Dense, Concatenate [x, dense], Dense: gradient rel. L2 1.6 between signxai and both "
            "iNNvestigate and the port. The port on the network with the inputs swapped agrees with signxai within the "
            "float64 limits, which every row covered by this entry repeats where iNNvestigate lacks the method."
        ),
        status="reference-defect",
        alternative="innvestigate",
        imitated=True,
    ),
    Divergence(
        name="signxai-input-rule-on-a-branch",
        methods=("lrpsign_*", "zblrp_*"),
        references=("signxai",),
        condition="The SIGN, SIGNmu or Bounded rule on an input layer that several layers read, in signxai 1.1.9.2.",
        cause=(
            "These rules hand back one map per consumer where one sum is expected, and TensorFlow stops. Bounded stops "
            "before: it differentiates by the input what only its bounds went into, and adds None to None."
        ),
        evidence=(
            "Input (7,), Dense read by two Dense layers, Concatenate, Dense: lrpsign_z raises InvalidArgumentError "
            "(`different ndims`). What TensorFlow says of the extra axis depends on the layer: each kind has a case in "
            "tests/fuzz/regressions. Where one layer reads it, SIGN and SIGNmu do not stop so."
        ),
        status="reference-defect",
        raises=(
            "different ndims",  # Dense
            "Input to reshape is a tensor with",  # Dense on a map, Conv1D
            "input_sizes must be 4-dimensional, got: 5",  # Conv2D, SeparableConv2D
            "DepthwiseConv2DBackpropInput: out_backprop must be 4-dimensional",
            "is not divisible by block_shape",  # anything dilated
            "A merge layer should be called on a list of inputs. Received: input_shape=(None, None)",  # Bounded
        ),
    ),
    Divergence(
        name="signxai-grad-cam-is-transposed",
        methods=("grad_cam*", "guided_grad_cam*"),
        references=("signxai",),
        condition="Grad-CAM on images that are not square, in signxai 1.1.9.2.",
        cause=(
            "It resizes the heat map with (height, width) where the image library takes (width, height), so the map "
            "has the shape of the transposed image; guided Grad-CAM then multiplies arrays that do not fit."
        ),
        evidence=(
            "Input (7, 4, 3): grad_cam returns (4, 7, 3), guided_grad_cam raises ValueError (operands could not be "
            "broadcast). On square images the port agrees to the last bit, and so it does on others when it is asked "
            "for a map of the swapped size, which every grad_cam row covered by this entry repeats."
        ),
        status="reference-defect",
        raises=("broadcast",),
        imitated=True,
    ),
    Divergence(
        name="signxai-grad-cam-of-nothing",
        methods=("grad_cam_timeseries*",),
        references=("signxai",),
        condition=(
            "grad_cam_timeseries where nothing in the target layer's maps speaks for the class (the largest weighted "
            "sum is 0, as behind a convolution that is off everywhere), in signxai 1.1.9.2."
        ),
        cause="It divides by the largest value of the weighted sum, which is zero; the port's map is zero there.",
        evidence=(
            "A Conv1D whose ReLU is off for the whole series: the map is NaN everywhere, beside a RuntimeWarning of "
            "NumPy (invalid value encountered in divide). grad_cam, of the same package, guards the division. A row "
            "is covered by this entry only if the reference is NaN everywhere and the port zero everywhere."
        ),
        status="reference-defect",
        undefined=True,
    ),
    Divergence(
        name="signxai-sign-rule-on-the-last-layer",
        methods=("lrpsign_*",),
        references=("signxai",),
        condition="The SIGN or SIGNmu rule on a first kernel layer that makes the output, in signxai 1.1.9.2.",
        cause="These rules do not start relevance at the output as the others do; they divide None.",
        evidence="Flatten, Dense: lrpsign_z raises ValueError (Attempt to convert a value (None)) in its SafeDivide.",
        status="reference-defect",
        raises=("value (None)",),
    ),
    Divergence(
        name="signxai-permute-of-equal-sizes",
        methods=("lrp*", "zblrp_*", "w2lrp_*", "flatlrp_*"),
        references=("signxai",),
        condition="LRP through a Permute layer that keeps the shape because sizes are equal, in signxai 1.1.9.2.",
        cause=(
            "It passes relevance unchanged through every layer whose input and output shapes agree, so the relevance "
            "of permuted values lands on other values."
        ),
        evidence=(
            "Conv2D to (4, 6, 4), Permute (3, 2, 1), Conv2D, Dense: lrp_z rel. L2 1.2 between the two references; the "
            "port with the same shortcut agrees with signxai within the float64 limits, which every row covered by "
            "this entry repeats where iNNvestigate lacks the method. With unequal sizes all three agree."
        ),
        status="reference-defect",
        alternative="innvestigate",
        imitated=True,
    ),
    Divergence(
        name="signxai-relevance-of-all-classes",
        methods=("lrp*", "zblrp_*", "w2lrp_*", "flatlrp_*"),
        references=("signxai",),
        condition=(
            "LRP on a model of several classes whose last layer has no kernel and keeps the shape: an activation or "
            "dropout of its own, or a Flatten, Reshape or Permute that changes nothing, in signxai 1.1.9.2."
        ),
        cause=(
            "The class is chosen in the last layer. Where that has no kernel, the chosen value is handed on as one "
            "number, which TensorFlow spreads over all units of the Dense below: every class gets the relevance of the "
            "chosen one. Where a Flatten is below, TensorFlow stops."
        ),
        evidence=(
            "Conv2D, Flatten, Dense(3), Activation('sigmoid'): lrp_z Pearson below 0.95 between signxai and both "
            "iNNvestigate and the port, and 1 to the last bits where the relevance is spread over the classes in the "
            "port too, which every row covered by this entry repeats where iNNvestigate lacks the method. All agree "
            "with a single class, where nothing can be spread, and with Dense(3, 'sigmoid'). Conv2D, Flatten, "
            "Activation('relu'): lrp_z_IB raises InvalidArgumentError (Input to reshape is a tensor with 1 values)."
        ),
        status="reference-defect",
        alternative="innvestigate",
        raises=("Input to reshape is a tensor with 1 values",),
        imitated=True,
    ),
    Divergence(
        name="signxai-deconvnet-relu-on-the-output",
        methods=("deconvnet*",),
        references=("signxai",),
        condition=(
            "deconvnet on a model whose output is made by a ReLU, as an attribute of the last Dense or as an "
            "Activation of its own, in signxai 1.1.9.2."
        ),
        cause=(
            "Its rule for layers with a ReLU takes the derivative of the Dense with the one chosen value as the "
            "relevance of all units, and TensorFlow stops."
        ),
        evidence=(
            "Conv2D relu, Flatten, Dense(3, 'relu'): deconvnet raises InvalidArgumentError (Matrix size-incompatible); "
            "iNNvestigate and the port agree there."
        ),
        status="reference-defect",
        alternative="innvestigate",
        raises=(
            "Matrix size-incompatible",
            "Input tensor must be at least 2D: [1]",  # a bias
            "different ndims: [1] vs. [",  # none
        ),
    ),
    Divergence(
        name="signxai-batch-normalization-without-offset",
        methods=("lrp*", "zblrp_*", "w2lrp_*", "flatlrp_*"),
        references=("signxai",),
        condition="LRP on a model with BatchNormalization(center=False), in signxai 1.1.9.2.",
        cause=(
            "Without an offset its rule takes the first sample of the output instead of the output, and multiplies "
            "arrays of different ranks."
        ),
        evidence="Keras raises ValueError: Cannot merge tensors with different batch sizes; center=True is at parity.",
        status="reference-defect",
        raises=("Cannot merge tensors",),
    ),
    Divergence(
        name="signxai-batch-normalization-at-the-end",
        methods=("lrp*", "zblrp_*", "w2lrp_*", "flatlrp_*"),
        references=("signxai",),
        condition="LRP on a model of several classes whose last layer is a BatchNormalization, in signxai 1.1.9.2.",
        cause=(
            "The class is chosen in the last layer, whose rule then takes the one chosen value for the output of every "
            "unit, so every class gets relevance."
        ),
        evidence=(
            "Conv2D, Flatten, Dense(4), BatchNormalization, lrp_flat: the map sums to 3.64708 in signxai; the rule's "
            "formula gives 3.64708 with the chosen output in place of each unit's own, 0.42775 as it should be (the "
            "port) and 0.89949 summed over all classes. iNNvestigate is wrong on every BatchNormalization, so no "
            "reference is left and such a case is not judged."
        ),
        status="reference-defect",
    ),
    Divergence(
        name="innvestigate-batch-normalization",
        methods=("lrp*", "zblrp_*", "w2lrp_*", "flatlrp_*", "lrpz_*"),
        references=("innvestigate",),
        condition="LRP on a model with BatchNormalization, in innvestigate 2.1.2.",
        cause=(
            "It replaces the layer by k x + c with k = gamma / sqrt(variance^2 + epsilon): the variance is squared, "
            "and the offset lacks gamma."
        ),
        evidence=(
            "innvestigate/backend/graph.py, apply_mapping_to_fused_bn_layer: `sqrt(variance**2 + layer.epsilon)`. "
            "rel. L2 0.1 to 2 between the two references (epsilon 0.1, flat)."
        ),
        status="reference-defect",
        alternative="signxai",
    ),
    Divergence(
        name="innvestigate-batch-normalization-graph",
        methods=("deep_taylor*", "deconvnet*", "guided_backprop*", "*integrated_gradients*", "*smoothgrad*"),
        references=("innvestigate",),
        condition="Methods that copy a model with BatchNormalization, in innvestigate 2.1.2.",
        cause="The copied layer still hangs on the original model's input, which nobody feeds.",
        evidence=(
            "TensorFlow raises InvalidArgumentError: You must feed a value for placeholder tensor; or, while it copies "
            "the weights, TypeError: Cannot convert ... dtype([('resource', 'u1')]). Conv2D, BatchNormalization, ReLU, "
            "Flatten, Dense: integrated_gradients and smoothgrad raise in float32 too, guided_backprop does not."
        ),
        status="reference-defect",
        alternative="signxai",
        raises=("You must feed a value for placeholder", "dtype([('resource', 'u1')])"),
    ),
    Divergence(
        name="innvestigate-input-rule-behind-padding",
        methods=("*_flat", "*_flat_until_idx", "zblrp_*", "w2lrp_*", "flatlrp_*", "lrpz_*"),
        references=("innvestigate",),
        condition="A rule for the input layer on a model that begins with ZeroPadding, in innvestigate 2.1.2.",
        cause="It does not look through the padding, finds no input layer, and leaves the rule unused without a word.",
        evidence=(
            "ZeroPadding2D, SeparableConv2D, Flatten, Dense: sequential_preset_b_flat equals sequential_preset_b "
            "there; rel. L2 0.98 between the two references (flat). Without the padding they agree."
        ),
        status="reference-defect",
        alternative="signxai",
    ),
    Divergence(
        name="innvestigate-derivative-in-lrp",
        methods=("lrp*", "zblrp_*", "w2lrp_*", "flatlrp_*", "lrpz_*"),
        references=("innvestigate",),
        condition=(
            "LRP on a model with layers of class LeakyReLU, ELU and the like, ReLU (flat and w_square), or max-pooling "
            "that keeps the shape, in innvestigate 2.1.2."
        ),
        cause=(
            "It multiplies relevance by the derivative of these layers, though it passes the same functions unchanged "
            "as `Activation`; SIGN-XAI passes relevance through all layers that keep the shape."
        ),
        evidence=(
            "LeakyReLU(0.25), Flatten, Dense relu, Dense: lrp.flat rel. L2 1.5 between the two references; 0 where the "
            "function is an attribute of the layer before."
        ),
        status="reference-defect",
        alternative="signxai",
    ),
)
BY_NAME = {entry.name: entry for entry in DIVERGENCES}


FLIP = Divergence(
    name="float32-flip-in-the-reference",
    methods=("*",),
    references=("signxai", "innvestigate"),
    condition=(
        "A float32 case whose float64 twin is at parity, where the reference in float32 is farther from itself in "
        "float64 than torch is."
    ),
    cause=(
        "A ReLU sign or a max-pool winner with a pre-activation near 1e-8 flips in TensorFlow's float32 and not in "
        "torch's; the limit, 3 times torch's own floor, does not know of it."
    ),
    evidence=(
        "The float64 lane of the same case is at its limit of 1e-10, and the float32 maps differ by no more than 3 "
        "times the reference's own float32 floor (reference in float32 against reference in float64, same case)."
    ),
    limits=limits_for("float32"),
)
"""Not part of the table: it speaks of single cases, and its limits are measured for each (`flip`)."""


def flip(reference_floor: NoiseFloor) -> Divergence:
    """Return `FLIP` with the limits of one case: 3 times the reference's own distance between its two dtypes."""
    return replace(FLIP, limits=limits_for("float32", reference_floor))


ROUNDING = Divergence(
    name="float64-rounding-of-denominators",
    methods=("lrp*", "w2lrp_*", "flatlrp_*"),
    references=("signxai", "innvestigate"),
    condition=(
        "A float64 case of a rule without bias, or of LRP on a model that adds branches, where the port differs from "
        "itself by more than a third of the limit when the same input lies in another memory order, in which its "
        "convolutions add the same numbers in another order."
    ),
    cause=(
        "Without the bias, and in sums of branches, some denominators are the difference of nearly equal numbers; "
        "dividing by them turns rounding in the last digit into relevance, layer after layer."
    ),
    evidence=(
        "vgg16-seeded, lrp.z_IB: the largest relevance is 6e16 where the logit is below 1; the port differs from "
        "itself by 2.3e-10 in another memory order and from the reference by 3.3e-10; lrp_z, the same rule with the "
        "bias, by 1.9e-15 and 2.5e-15. A random network with Add, lrp_w_square: 3.2460779e-10 from itself and "
        "3.246e-10 from the reference, all of it from one sum of 1.37e-6 that changes by 3.2e-10 of itself, every "
        "other denominator by 9.2e-15 or less; of four changes of the input's last digit three move the map by 6e-15 "
        "or less, and one by 3.246e-10 too."
    ),
    limits=limits_for("float64"),
)
"""Not part of the table either: its limits are measured for each case (`rounding`)."""
ROUNDING_MOST = 1e-8  # of any limit: a map that rounds worse says nothing about the rule


def rounding(own: NoiseFloor) -> Divergence:
    """Return `ROUNDING` with the limits of one case: 3 times the subject's own distance between two memory orders."""
    base = limits_for("float64")

    def hold(measured: float, least: float) -> float:
        return min(max(FLOAT32_TIMES_FLOOR * measured, least), ROUNDING_MOST)

    limits = Limits(hold(own.rel_l2, base.rel_l2), hold(own.slope, base.slope), hold(own.max_err, base.max_err))
    return replace(ROUNDING, limits=limits)
