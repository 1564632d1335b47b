"""The table of known differences that are not the port's fault, each with its evidence.

An entry covers a case only if its own check holds there (see `parity.verdict.judge`).
"""

from __future__ import annotations

from dataclasses import replace

from parity.verdict import Divergence, NoiseFloor, limits_for

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
            "create_analyzer('deep_lift', model) raises ImportError. The port's Rescale rule is held to what "
            "defines it instead: the map sums to f(x) - f(reference) (tests/signxai_torch/test_deep_lift.py)."
        ),
        status="reference-defect",
        raises="deeplift",
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
        condition="deconvnet on a model with layers of class ReLU (rather than an activation attribute).",
        cause="Both references copy such a layer with a keyword `activation`, which the class does not take.",
        evidence=(
            "Both raise TypeError: Keyword argument not understood: activation. The port treats the two spellings of "
            "a ReLU alike; tests/signxai_torch compares it with a model that spells them as attributes."
        ),
        status="reference-defect",
        raises="activation",
    ),
    Divergence(
        name="innvestigate-model-check",
        methods=("lrp.sequential_preset_*", "lrp_sequential_preset_*"),
        references=("innvestigate",),
        condition="An LRP preset of innvestigate 2.1.2 on a model with layers of class ReLU or DepthwiseConv2D.",
        cause=(
            "Its model check for layers it does not list is declared as a warning and then falls through to a bare "
            "NotImplementedError."
        ),
        evidence=(
            "create_analyzer raises NotImplementedError (analyzer/base.py line 125). The presets equal the composites "
            "of the same rules, which SIGN-XAI has: lrp_sequential_composite_a and _b are at parity on these models."
        ),
        status="reference-defect",
        raises="NotImplementedError",
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
