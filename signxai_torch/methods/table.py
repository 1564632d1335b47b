"""The method table: every attribution method, its formula, its parameters and where it is defined.

A name is spelled ``prefix_rule[_parameters][_modifiers]`` (`signxai_torch.methods.grammar` reads and prints names);
this file holds the rows those parts refer to. There is no other list of methods anywhere.

References are SIGN-XAI 1.1.9.2 (its wrappers and its eager iNNvestigate fork, called ``signxai``) and
iNNvestigate 2.1.2 (called ``innvestigate``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

BACH = "Bach et al. 2015, doi:10.1371/journal.pone.0130140"
MONTAVON = "Montavon et al. 2017, doi:10.1016/j.patcog.2016.11.008"
SIGN = "Gumpfer et al. 2023, doi:10.1016/j.inffus.2023.101883"
LAPUSCHKIN = "Lapuschkin et al. 2019, doi:10.1038/s41467-019-08987-4"
KOHLBRENNER = "Kohlbrenner et al. 2020, arXiv:1910.09840"
SIMONYAN = "Simonyan et al. 2014, arXiv:1312.6034"
SHRIKUMAR = "Shrikumar et al. 2017, arXiv:1704.02685"
SPRINGENBERG = "Springenberg et al. 2015, arXiv:1412.6806"
ZEILER = "Zeiler and Fergus 2014, arXiv:1311.2901"
SUNDARARAJAN = "Sundararajan et al. 2017, arXiv:1703.01365"
SMILKOV = "Smilkov et al. 2017, arXiv:1706.03825"
ADEBAYO = "Adebayo et al. 2018, arXiv:1810.03292"
SELVARAJU = "Selvaraju et al. 2017, arXiv:1610.02391"


@dataclass(frozen=True)
class Prefix:
    """An LRP name's first part: the rule of the input layer.

    `epsilons`, `stdfactors` and `others` are the rules that SIGN-XAI has a wrapper for, as spelled in names.
    """

    name: str
    input_rule: str | None
    formula: str
    citation: str
    epsilons: str
    stdfactors: str
    others: str
    suffix: str = ""


COMPOSITES = "sequential_composite_a sequential_composite_b"
PREFIXES: dict[str, Prefix] = {
    row.name: row
    for row in (
        Prefix("lrp", None, "same rule as the other layers", BACH,
               "0_001 0_01 0_1 0_2 0_5 1 5 10 20 50 75 100", "0_1 0_25 0_5 1 2 3",
               f"z alpha_1_beta_0 {COMPOSITES}"),
        Prefix("lrpsign", "SIGN", "sgn(x) * W^T (R / (W x + b)), sgn(0) = +1", SIGN,
               "0_001 0_01 0_1 0_2 0_5 1 5 10 20 50 75 100", "0_1 0_25 0_5 1 2 3",
               f"z alpha_1_beta_0 {COMPOSITES} epsilon_100_mu_0 epsilon_100_mu_0_5 epsilon_100_mu_neg_0_5 "
               "epsilon_0_25_std_x_mu_0 epsilon_0_25_std_x_mu_0_5 epsilon_0_25_std_x_mu_neg_0_5"),
        Prefix("lrpz", "Z", "x * W^T (R / (W x + b))", BACH,
               "0_001 0_01 0_1 0_2 0_5 1 5 10 20 50 75 100", "0_1 0_25 0_5 1 2 3",
               f"alpha_1_beta_0 {COMPOSITES}"),
        Prefix("zblrp", "Bounded", "x * W^T t - l * W+^T t - h * W-^T t, t = R / (W x - W+ l - W- h)", MONTAVON,
               "0_001 0_01 0_1 0_2 0_5 1 5 10 20 100", "0_1 0_25 0_5",
               f"z alpha_1_beta_0 {COMPOSITES}", suffix="VGG16ILSVRC"),
        Prefix("w2lrp", "WSquare", "(W^2)^T (R / (W^2 1))", MONTAVON,
               "0_01 0_1 1 10 20 100", "0_1 0_25 0_5", f"z alpha_1_beta_0 {COMPOSITES}"),
        Prefix("flatlrp", "Flat", "1^T (R / (1 1)), all weights one", LAPUSCHKIN,
               "0_01 0_1 1 10 20 100", "0_1 0_25 0_5", f"z alpha_1_beta_0 {COMPOSITES}"),
    )
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One method before its prefix, numbers and modifiers are known.

    `template` spells the name; ``{epsilon}`` stands for a number in it. `layers` says which rule of
    `signxai_torch.lrp.rules.RULES` goes on which kind of kernel layer ("kernel", or "dense" and "conv"), with fixed
    parameters. `defaults` are the parameters that the name does not spell. `head` is the relevance the output
    starts from: "logit", "one" or "positive_logit". `signxai` and `innvestigate` name the
    analyzer of the reference, "" where it has none; `wrapped` lists the modified names that SIGN-XAI has a
    wrapper for, `listed` those that are listed besides ("." is the name as it is, without a modifier). `dotted` lists
    the rule's names with a dot, ``lrp.z``, which are iNNvestigate's.
    """

    template: str
    family: str
    formula: str
    citation: str
    head: str = "logit"
    layers: dict[str, tuple[str, dict[str, Any]]] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    input_rule: str | None = None
    signxai: str = ""
    innvestigate: str = ""
    ignore_bias: bool = False
    wrapped: str = ""
    listed: str = ""
    dotted: str = ""


X_FAMILIES = "x_input x_sign x_input_x_sign"
SIGN_MU = "x_sign x_sign_mu x_sign_mu_0 x_sign_mu_0_5 x_sign_mu_neg_0_5"
SEQUENTIAL = {
    "a": {"dense": ("Epsilon", {"epsilon": 0.1}), "conv": ("AlphaBeta", {"alpha": 1.0, "beta": 0.0})},
    "b": {"dense": ("Epsilon", {"epsilon": 0.1}), "conv": ("AlphaBeta", {"alpha": 2.0, "beta": 1.0})},
}
SEQUENTIAL_FORMULA = "dense: epsilon 0.1; convolution: "


def _lrp(template: str, rule: str, formula: str, citation: str, **more: Any) -> Row:
    return Row(template, "lrp", formula, citation, layers={"kernel": (rule, {})}, **more)


def _composite(template: str, kind: str, formula: str, **more: Any) -> Row:
    return Row(template, "lrp", SEQUENTIAL_FORMULA + formula, more.pop("citation", KOHLBRENNER),
               layers=SEQUENTIAL[kind], **more)  # fmt: skip


# The rules of the layers above the input layer. `_IB` (ignore bias) may follow where `ignore_bias` is set.
RULE_ROWS: tuple[Row, ...] = (
    _lrp("z", "Z", "x * W^T (R / (W x + b))", BACH, signxai="lrp.z", innvestigate="lrp.z",
         ignore_bias=True, listed=X_FAMILIES, dotted="z z_IB"),
    _lrp("epsilon", "Epsilon", "x * W^T (R / (z + e sgn(z))), z = W x + b, e = 1e-7", BACH,
         defaults={"epsilon": 1e-7}, signxai="lrp.epsilon", innvestigate="lrp.epsilon", ignore_bias=True,
         listed=f". {X_FAMILIES}", dotted="epsilon epsilon_IB"),
    _lrp("epsilon_{epsilon}", "Epsilon", "x * W^T (R / (z + e sgn(z))), z = W x + b", BACH,
         signxai="lrp.epsilon", innvestigate="lrp.epsilon", ignore_bias=True),
    _lrp("epsilon_{stdfactor}_std_x", "StdxEpsilon", "x * W^T (R / (z + e sgn(z))), e = factor * std(x)", SIGN,
         signxai="lrp.stdxepsilon"),
    _lrp("stdxepsilon", "StdxEpsilon", "x * W^T (R / (z + e sgn(z))), e = 0.25 * std(x)", SIGN,
         defaults={"stdfactor": 0.25}, signxai="lrp.stdxepsilon", dotted="stdxepsilon"),
    _lrp("alpha_{alpha}_beta_{beta}", "AlphaBeta",
         "a * (x+ W+^T + x- W-^T)(R / (W+ x+ + W- x- + b)) - b * (x+ W-^T + x- W+^T)(R / (W- x+ + W+ x- + b))",
         BACH, signxai="lrp.alpha_beta", innvestigate="lrp.alpha_beta", ignore_bias=True,
         dotted="alpha_1_beta_0 alpha_1_beta_0_IB alpha_2_beta_1 alpha_2_beta_1_IB"),
    _lrp("alpha_beta", "AlphaBeta", "as alpha_A_beta_B, with alpha and beta as parameters (2 and 1)", BACH,
         defaults={"alpha": 2.0, "beta": 1.0}, signxai="lrp.alpha_beta", innvestigate="lrp.alpha_beta",
         dotted="alpha_beta"),
    _lrp("gamma", "Gamma", "g h(W+, b+; W, b) - h(W, b; W+, b+), h(A, p; B, q) = (x+ A^T + x B^T) t, "
         "t = R / (A x+ + B x + p + q), g = 0.5; the reference's own rule, not the LRP-gamma of the literature",
         "SIGN-XAI 1.1.9.2, GammaRule", defaults={"gamma": 0.5}, signxai="lrp.gamma",
         listed=f". {X_FAMILIES}", dotted="gamma"),
    _lrp("gamma_{gamma}", "Gamma", "as gamma, with g from the name", "SIGN-XAI 1.1.9.2, GammaRule",
         signxai="lrp.gamma"),
    _lrp("flat", "Flat", "1^T (R / (1 1)), all weights one, no bias", LAPUSCHKIN, signxai="lrp.flat",
         innvestigate="lrp.flat", listed=f". {X_FAMILIES}", dotted="flat"),
    _lrp("w_square", "WSquare", "(W^2)^T (R / (W^2 1)), no bias", MONTAVON, signxai="lrp.w_square",
         innvestigate="lrp.w_square", listed=f". {X_FAMILIES}", dotted="w_square"),
    _lrp("z_plus", "ZPlus", "alpha_1_beta_0 without bias", MONTAVON, signxai="lrp.z_plus",
         innvestigate="lrp.z_plus", listed=".", dotted="z_plus"),
    _lrp("z_plus_fast", "ZPlusFast", "x * W+^T (R / (W+ x))", MONTAVON, signxai="lrp.z_plus_fast",
         innvestigate="lrp.z_plus_fast", listed=".", dotted="z_plus_fast"),
    _composite("sequential_composite_a", "a", "alpha 1 beta 0", signxai="lrp.sequential_composite_a",
               innvestigate="lrp.sequential_preset_a", dotted="sequential_composite_a"),
    _composite("sequential_composite_b", "b", "alpha 2 beta 1", signxai="lrp.sequential_composite_b",
               innvestigate="lrp.sequential_preset_b", dotted="sequential_composite_b"),
    _composite("sequential_preset_a", "a", "alpha 1 beta 0", innvestigate="lrp.sequential_preset_a",
               dotted="sequential_preset_a"),
    _composite("sequential_preset_b", "b", "alpha 2 beta 1", innvestigate="lrp.sequential_preset_b",
               dotted="sequential_preset_b"),
    _composite("sequential_preset_a_flat", "a", "alpha 1 beta 0; input layer: flat", input_rule="Flat",
               innvestigate="lrp.sequential_preset_a_flat", dotted="sequential_preset_a_flat"),
    _composite("sequential_preset_b_flat", "b", "alpha 2 beta 1; input layer: flat", input_rule="Flat",
               innvestigate="lrp.sequential_preset_b_flat", dotted="sequential_preset_b_flat"),
    _composite("sequential_preset_b_flat_until_idx", "b",
               "alpha 2 beta 1; flat up to layer index until_layer_idx, the Keras input being 0 (None: input layer)",
               input_rule="Flat", defaults={"until_layer_idx": None},
               innvestigate="lrp.sequential_preset_b_flat_until_idx",
               dotted="sequential_preset_b_flat_until_idx"),
    _composite("rule_until_index", "b",
               "alpha 2 beta 1; flat up to step until_layer_idx from the input (0: the input layer)",
               input_rule="Flat", defaults={"until_layer_idx": 0}, signxai="lrp.rule_until_index",
               dotted="rule_until_index"),
)  # fmt: skip

NOISE = {"samples": 50, "noise_scale": 0.2}
BASE_ROWS: tuple[Row, ...] = (
    Row("gradient", "gradient", "df_c/dx", SIMONYAN, head="one", signxai="gradient", innvestigate="gradient",
        wrapped=f". x_input {SIGN_MU}", listed="x_input_x_sign"),
    Row("gradient.baseline", "gradient", "df_c/dx", SIMONYAN, head="one", innvestigate="gradient.baseline",
        listed="."),
    Row("input_t_gradient", "gradient", "x * df_c/dx", SHRIKUMAR, head="one", defaults={"times_input": True},
        signxai="input_t_gradient", innvestigate="input_t_gradient", wrapped="."),
    Row("guided_backprop", "guided_backprop", "R+ [x > 0] at every ReLU, R = f_c at the output (start='one': 1)",
        SPRINGENBERG,
        signxai="guided_backprop", innvestigate="guided_backprop", wrapped=f". {SIGN_MU}",
        listed="x_input x_input_x_sign"),
    Row("deconvnet", "deconvnet", "R+ at every ReLU, R = f_c at the output (start='one': 1)", ZEILER,
        signxai="deconvnet",
        innvestigate="deconvnet", wrapped=f". {SIGN_MU}", listed="x_input x_input_x_sign"),
    Row("integrated_gradients", "integrated_gradients",
        "(x - r) * mean_i df_c/dx at r + (x - r) i / (n - 1), i = 0 .. n - 1, n = 50, r = 0", SUNDARARAJAN,
        head="one", defaults={"steps": 50, "baseline": 0.0, "grid": "both_ends"},
        signxai="integrated_gradients", wrapped=".", listed=X_FAMILIES),
    Row("innvestigate.integrated_gradients", "integrated_gradients",
        "(x - r) * mean_i df_c/dx at r + (x - r) i / n, i = 0 .. n - 1, n = 64, r = 0", SUNDARARAJAN,
        head="one", defaults={"steps": 64, "baseline": 0.0, "grid": "left"},
        innvestigate="integrated_gradients", listed="."),
    Row("smoothgrad", "smoothgrad", "mean_i df_c/dx at x + N(0, 0.2), n = 50", SMILKOV, head="one",
        defaults=NOISE, signxai="smoothgrad", wrapped=f". x_input {SIGN_MU}", listed="x_input_x_sign"),
    Row("innvestigate.smoothgrad", "smoothgrad", "mean_i df_c/dx at x + N(0, 1), n = 64", SMILKOV, head="one",
        defaults={"samples": 64, "noise_scale": 1.0, "round_noise": True}, innvestigate="smoothgrad", listed="."),
    Row("vargrad", "vargrad", "mean_i (g_i - mean g)^2, g_i = df_c/dx at x + N(0, 0.2), n = 50", ADEBAYO,
        head="one", defaults=NOISE, signxai="vargrad", wrapped=".", listed=X_FAMILIES),
    Row("grad_cam", "grad_cam", "relu(sum_c mean_hw(df/dA_c) A_c) / max, 8 bit, bicubic to the input's size",
        SELVARAJU, head="one", defaults={"target_layer": None}, signxai="grad_cam", wrapped=".",
        listed=X_FAMILIES),
    Row("grad_cam_timeseries", "grad_cam_timeseries",
        "relu(sum_c mean_t(df/dA_c) A_c) / max, linear interpolation to the input's length", SELVARAJU,
        head="one", defaults={"target_layer": None}, signxai="grad_cam_timeseries", wrapped="."),
    Row("guided_grad_cam", "guided_grad_cam", "grad_cam * guided gradient of the sum of the last convolution",
        SELVARAJU, head="one", defaults={"target_layer": None}, signxai="guided_grad_cam"),
    Row("deep_taylor", "deep_taylor", "alpha_1_beta_0 without bias; relevance starts from relu(logit)", MONTAVON,
        head="positive_logit", layers={"kernel": ("ZPlus", {})}, innvestigate="deep_taylor", listed="."),
    Row("deep_taylor.bounded", "deep_taylor", "deep_taylor; input layer: bounded rule", MONTAVON,
        head="positive_logit", layers={"kernel": ("ZPlus", {})}, input_rule="Bounded",
        defaults={"low": -1.0, "high": 1.0}, innvestigate="deep_taylor.bounded", listed="."),
    Row("deep_lift", "deep_lift", "(x - r) * multipliers of the Rescale rule, r = 0", SHRIKUMAR, head="one",
        defaults={"baseline": 0.0}, signxai="deep_lift", listed="."),
    Row("lrp", "lrp", "any rule of the table by its class name, rule='Z' unless given", BACH,
        layers={"kernel": ("", {})}, defaults={"rule": "Z"}, signxai="lrp", innvestigate="lrp",
        listed=f". {X_FAMILIES}"),
    Row("occlusion", "occlusion", "f_c(x) - f_c(x with a window set to r), averaged over the windows of a pixel",
        ZEILER, defaults={"window": 8, "stride": 4, "baseline": 0.0}, listed="."),
    Row("random_uniform", "random_uniform", "one U(-1, 1) map per position, the same for all channels; no model",
        "SIGN-XAI 1.1.9.2, wrappers.random_uniform", defaults={"seed": 1}, signxai="random_uniform",
        wrapped="."),
    Row("input", "input", "x", "iNNvestigate 2.1.2, Input", innvestigate="input", listed="."),
    Row("random", "random", "x + N(0, 1)", "iNNvestigate 2.1.2, Random",
        defaults={"samples": 1, "noise_scale": 1.0, "round_noise": True}, innvestigate="random", listed="."),
)  # fmt: skip

# Model suffixes: the bounds of the input, and the convolution that Grad-CAM looks at.
SUFFIXES: dict[str, dict[str, Any]] = {
    "VGG16ILSVRC": {"low": -123.68, "high": 151.061, "target_layer": "block5_conv3"},
    "VGG16MITPL365": {"target_layer": "relu5_3"},
    "MNISTCNN": {"target_layer": "conv2d_1"},
}
SUFFIXED: dict[str, tuple[str, ...]] = {
    "grad_cam": ("VGG16ILSVRC", "VGG16MITPL365", "MNISTCNN"),
    "guided_grad_cam": ("VGG16ILSVRC", "VGG16MITPL365", "MNISTCNN"),
}
# Names that only the published torch port lists: legal, tested, no wrapper of their own.
PORT_NAMES = "lrp_epsilon_0_25 lrp_epsilon_2 lrp_alpha_2_beta_1 " + " ".join(
    f"lrp_alpha_{numbers}_{modified}" for numbers in ("1_beta_0", "2_beta_1") for modified in X_FAMILIES.split()
)


def wrapper_names() -> Iterator[str]:
    """Yield the names of SIGN-XAI's wrapper functions, in the order of the table."""
    for row in BASE_ROWS:
        yield from (_modified(row.template, modified) for modified in row.wrapped.split())
        yield from (f"{row.template}_{suffix}" for suffix in SUFFIXED.get(row.template, ()))
    for prefix in PREFIXES.values():
        suffix = f"_{prefix.suffix}" if prefix.suffix else ""
        yield from (f"{prefix.name}_epsilon_{number}{suffix}" for number in prefix.epsilons.split())
        yield from (f"{prefix.name}_epsilon_{number}_std_x{suffix}" for number in prefix.stdfactors.split())
        yield from (f"{prefix.name}_{rule}{suffix}" for rule in prefix.others.split())


def listed_names() -> Iterator[str]:
    """Yield every listed name once: SIGN-XAI's wrappers, both references' analyzers, the published port's."""
    seen: set[str] = set()
    for name in (*wrapper_names(), *_further_names()):
        if name not in seen:
            seen.add(name)
            yield name


def _further_names() -> Iterator[str]:
    for row in BASE_ROWS:
        yield from (_modified(row.template, modified) for modified in row.listed.split())
    for row in RULE_ROWS:
        yield from (_modified(f"lrp_{row.template}", modified) for modified in row.listed.split())
        yield from (f"lrp.{rule}" for rule in row.dotted.split())
    yield from PORT_NAMES.split()


def _modified(name: str, modified: str) -> str:
    return name if modified == "." else f"{name}_{modified}"
