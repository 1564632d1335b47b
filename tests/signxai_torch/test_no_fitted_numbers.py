"""Attribution code holds no number but those that formulas and cited libraries bring along."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import signxai_torch

FOLDER = Path(signxai_torch.__file__).parent
TABLE = "methods/table"
"""The one place where numbers are looked for; its rows are tested against the references."""
PUBLISHED = "published/"
"""The published API: its signatures have default values of their own."""
FILES = {path.relative_to(FOLDER).with_suffix("").as_posix(): path for path in sorted(FOLDER.rglob("*.py"))}
DRAWING = "pictures/"
"""Sizes and colours of figures, which no map passes through on its way to the caller."""
SOURCES = {
    name: path
    for name, path in FILES.items()
    if name != TABLE and not name.startswith(DRAWING) and path.stem != "__init__"
}
MODULES = tuple(SOURCES)

# Counts, axes, neutral elements and signs: anywhere, but 2 as a factor or divisor only where it is explained.
ANYWHERE = {0, 1, 2, -1}
# Any other number: where it may stand, how often, and why.
REASONS: dict[tuple[str, float], tuple[int, str]] = {
    ("lrp/arithmetic", 1e-7): (1, "keras.backend.epsilon(), which both references put in place of a zero denominator"),
    ("lrp/arithmetic", 2): (
        2,
        "the middle between low and high (SIGN-XAI, calculate_sign_mu), and the distance from -epsilon to epsilon",
    ),
    ("lrp/arithmetic", 0.5): (1, "the middle between 0 and 1: makes a sign of a comparison"),
    ("lrp/rules", 0.25): (1, "stdfactor unless given: default of SIGN-XAI's StdxEpsilonRule"),
    ("lrp/rules", 0.5): (1, "gamma unless given: default of SIGN-XAI's GammaRule"),
    ("lrp/assignment", 1e-5): (1, "torch's own default of batch_norm's eps"),
    ("lrp/composites", 6.0): (1, "the bound of a ReLU6"),
    ("lrp/passes", 3): (1, "how many operations of a kind a warning names"),
    ("lrp/multipliers", 1e-7): (1, "the paper's limit below which a multiplier is the gradient"),
    ("lrp/multipliers", 1e-5): (1, "torch's own default of the eps of normalisations"),
    ("lrp/multipliers", 1e-12): (1, "torch's own default of normalize's eps"),
    ("lrp/multipliers", 2): (
        6,
        "a batch of inputs and as many baselines, a middle, and derivatives of squares and roots",
    ),
    ("lrp/multipliers", -2): (4, "the last axis but one of queries, keys and values"),
    ("lrp/multipliers", -0.5): (1, "attention's scale, the root of the size of a query"),
    ("lrp/multipliers", 3): (2, "derivative of x^(-1/2), and query, key and value"),
    ("families/deep_lift", 0.5): (1, "half of a dtype's digits: how well a map must sum to the change of the logit"),
    ("families/deep_lift", 0.75): (1, "three quarters of a dtype's digits: how well the logits are known"),
    ("families/gradients", 2): (1, "points of a single sample that are taken together at first"),
    ("families/cam_maps", 4): (1, "axes of a batch of pictures"),
    ("families/cam_maps", 3): (1, "axes of a batch of series"),
    ("families/cam", 255): (1, "largest value of 8 bits (keras.utils.array_to_img)"),
    ("families/resample", 0.5): (5, "centre of a pixel, and rounding to the nearest"),
    ("families/resample", -0.5): (2, "Pillow's cubic parameter a, and rounding to the nearest"),
    ("families/resample", 3): (1, "cubic kernel: (a + 2) x^3 - (a + 3) x^2 + 1"),
    ("families/resample", 5): (1, "cubic kernel: a x^3 - 5 a x^2 + 8 a x - 4 a"),
    ("families/resample", 8): (2, "cubic kernel: 8 a x; and the bits of a channel"),
    ("families/resample", 4): (1, "cubic kernel: 4 a"),
    ("families/resample", 32): (1, "bits of Pillow's accumulator"),
    ("families/resample", 255): (1, "largest value of 8 bits"),
    ("families/resample", 64): (1, "pairs of sizes whose weights are kept: memory, not arithmetic"),
    ("families/resample", -2): (5, "the axis of the height"),
    ("operations/counting", 27): (1, "2 ** 27 bytes of one batch: memory, not arithmetic"),
    ("operations/counting", 2): (6, "how many tensors are held at once: memory, not arithmetic"),
    ("operations/kind", 3): (5, "axes of space that torch's functions are made for"),
    ("operations/layout", 4): (1, "axes of a batch of pictures"),
    ("operations/linear", 20): (1, "2 ** 20 weights made into a part at once: memory, not arithmetic"),
    ("operations/linear", 2): (1, "output size of a convolution: padding on both sides"),
    ("operations/operation", 4): (1, "place of max_pool2d's dilation among its arguments"),
    ("operations/operation", 5): (1, "place of max_pool2d's ceil_mode among its arguments"),
    ("operations/operation", 1e-5): (1, "torch's own default of batch_norm's eps"),
    ("operations/operation", 3): (2, "axes of space that torch's convolutions and pools are made for"),
    ("operations/in_place", 3): (1, "letters of `__i`"),
    ("operations/operation", -2): (4, "the axis of height that a sequence is given for pooling"),
    ("operations/proof", 2): (1, "half of an input: another input that a tape is tried on"),
    ("operations/prepared", 32): (1, "times that a shape waits for its next tape: time, not arithmetic"),
    ("operations/reach", 20_000): (1, "objects that are kept track of at most: time, not arithmetic"),
    ("operations/reach", 4096): (1, "functions whose names are remembered: memory, not arithmetic"),
    ("operations/standing", 22): (1, "2 ** 22 values compared at every call at most: time, not arithmetic"),
    ("operations/standing", 12): (1, "2 ** 12 values from which NumPy compares faster: time, not arithmetic"),
    ("operations/prepared", 8): (1, "shapes of inputs that are remembered: memory, not arithmetic"),
    ("operations/prepared", 10): (1, "shapes that were met, for each that is remembered: memory, not arithmetic"),
    ("operations/recorder", 6): (1, "arguments of max_pool2d that its other form takes by place"),
    ("operations/watch", -2): (1, "the digit in the name of a convolution"),
    ("operations/watch", 5): (1, "place of batch_norm's training among its arguments"),
    ("explainer", 256): (1, "samples of a batch at most, where nobody says: memory, not arithmetic"),
    ("stream/formats", 3): (1, "the version of Zarr's own format"),
    ("stream/source", 2): (1, "the sample in the middle, of three that tell inputs apart"),
    ("stream/writing", 2): (1, "batches given out for each process: memory, not arithmetic"),
    ("stream/writing", 3): (1, "losses of a cluster's workers in a row after which a run is given up, as in dask"),
    ("sweep/walk", 0.5): (1, "half of a dtype's digits: how faint relevance may get before it is lost"),
    ("methods/grammar", 3): (1, "how many nearest names an error tells"),
    ("methods/grammar", 4): (1, "letters of `neg_`"),
    ("methods/grammar", 0.5): (1, "how near a name must be to be told (difflib)"),
    ("published/signxai", 103.939): (1, "ImageNet's mean of blue (keras.applications, mode caffe)"),
    ("published/signxai", 116.779): (1, "ImageNet's mean of green"),
    ("published/signxai", 123.68): (1, "ImageNet's mean of red"),
    ("published/signxai", 16): (2, "samples and steps: defaults of SIGN-XAI's analyzers"),
    ("published/signxai", 224): (2, "sides of a picture for VGG16 (SIGN-XAI, load_image)"),
    ("published/signxai2", 25): (2, "samples: a setting of signxai2"),
    ("published/signxai2", 0.1): (2, "noise and epsilon: settings of signxai2"),
    ("published/signxai2", 50): (2, "steps and samples: settings of signxai2"),
    ("published/signxai2", 0.2): (1, "noise: a setting of signxai2"),
    ("published/signxai2", 10): (1, "samples: a setting of signxai2"),
    ("published/signxai2", 0.15): (1, "noise: a setting of signxai2"),
    ("published/signxai2", 20): (1, "steps: a setting of signxai2"),
    ("published/signxai2", 0.05): (1, "noise: a setting of signxai2"),
    ("published/signxai2", 100): (1, "steps: a setting of signxai2"),
    ("published/analyzers", 3): (1, "axes of a batch of series"),
    ("published/analyzers", 0.1): (1, "standard deviation of the published gaussian baseline"),
    ("published/options", 1e-6): (1, "default of a published parameter that the rule does not have"),
}


@dataclass(frozen=True)
class Number:
    """A numeric literal with the sign in front of it; whether it multiplies or divides, or is a parameter's default."""

    line: int
    value: float
    factor: bool
    default: bool


def test_no_map_passes_through_drawing_code() -> None:
    """Numbers of figures are not looked for, so nothing that makes a map may take anything from there."""
    takes = {
        name
        for name, path in FILES.items()
        if not name.startswith(DRAWING)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("signxai_torch.pictures")
    }
    assert takes == {"__init__"}  # which hands `show` to the user


def numbers(source: str) -> list[Number]:
    """Return every numeric literal of a module, in order."""
    tree = ast.parse(source)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Constant) or type(node.value) not in (int, float, complex):
            continue
        value, outer = node.value, node
        if isinstance(parents[outer], ast.UnaryOp):
            outer = parents[outer]
            value = -value if isinstance(outer.op, ast.USub) else value
        parent = parents[outer]
        operation = parent.op if isinstance(parent, (ast.BinOp, ast.AugAssign)) else None
        factor = isinstance(operation, (ast.Mult, ast.Div, ast.FloorDiv))
        found.append(Number(node.lineno, value, factor, isinstance(parent, ast.arguments)))
    return sorted(found, key=lambda one: one.line)


def in_need(module: str, source: str) -> list[Number]:
    """Return the numbers that a reason must be given for."""
    return [
        one
        for one in numbers(source)
        if not (one.value in ANYWHERE and (one.value != 2 or not one.factor))
        and not (one.default and module.startswith(PUBLISHED))
    ]


def unexplained(module: str, source: str) -> list[str]:
    """Return the numbers of a module that nothing explains, or that stand more often than explained, with lines."""
    seen: Counter[float] = Counter()
    found = []
    for one in in_need(module, source):
        seen[one.value] += 1
        if seen[one.value] > REASONS.get((module, one.value), (0, ""))[0]:
            found.append(f"{module}.py:{one.line}: {one.value}")
    return found


@pytest.mark.parametrize("module", MODULES)
def test_no_number_is_unexplained(module):
    assert unexplained(module, SOURCES[module].read_text()) == []


def test_every_reason_is_needed_as_often_as_it_says():
    """A reason without its number would let the number come back unseen."""
    for (module, value), (count, _) in REASONS.items():
        values = [one.value for one in in_need(module, SOURCES[module].read_text())]
        assert values.count(value) == count, f"{module}: {value}"


@pytest.mark.parametrize(
    "planted",
    ["scale = 20.86", "result = result * 20.86", "x = -20.86", "factor = 1e-6", "LIMITS = {'a': [0.3]}",
     "def f(): return 31", "f(scale=1.0001)", "x = 3 + 4j", "x = 0x1F", "result = result * 0.5", "heat *= 255",
     "result = 2 * result", "result /= 2.0"],
)  # fmt: skip
@pytest.mark.parametrize("module", MODULES)
def test_a_planted_number_is_caught(module, planted):
    source = SOURCES[module].read_text()
    (line,) = {text.split(": ")[0] for text in unexplained(module, f"{source}\n{planted}\n")}
    assert line == f"{module}.py:{len(source.splitlines()) + 2}"


def test_a_default_value_is_free_in_the_published_signatures_alone():
    planted = "def f(scale=20.86): pass\n"
    assert unexplained("published/factories", planted) == []
    assert unexplained("lrp/rules", planted) == ["lrp/rules.py:1: 20.86"]
