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
)


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


def find(method: str, reference: str) -> Divergence | None:
    """Return the first entry that speaks of `method` as computed by `reference`, or None."""
    return next((entry for entry in DIVERGENCES if entry.covers(method, reference)), None)
