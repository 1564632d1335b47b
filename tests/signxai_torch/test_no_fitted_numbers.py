"""Attribution code holds no number but those that formulas and cited libraries bring along."""

from __future__ import annotations

import ast
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

import signxai_torch

FOLDER = Path(signxai_torch.__file__).parent
TABLE = "table"
"""The one place where numbers are looked for; its rows are tested against the references."""
PUBLISHED = {"analyzers", "factories", "hooks", "lrp_analyzers"}
"""The published API: its signatures have default values of their own."""
SOURCES = {path.stem: path for path in sorted(FOLDER.rglob("*.py")) if path.stem not in (TABLE, "__init__")}
MODULES = tuple(SOURCES)

# Counts, axes, neutral elements and signs: anywhere, but 2 as a factor or divisor only where it is explained.
ANYWHERE = {0, 1, 2, -1}
# Any other number: where it may stand, how often, and why.
REASONS: dict[tuple[str, float], tuple[int, str]] = {
    ("arithmetic", 1e-7): (1, "keras.backend.epsilon(), which both references put in place of a zero denominator"),
    ("rules", 0.25): (1, "stdfactor unless given: default of SIGN-XAI's StdxEpsilonRule"),
    ("rules", 0.5): (1, "gamma unless given: default of SIGN-XAI's GammaRule"),
    ("arithmetic", 2): (1, "the middle between low and high (SIGN-XAI, calculate_sign_mu)"),
    ("deep_lift", 1e-7): (1, "the paper's limit below which a multiplier is the gradient"),
    ("deep_lift", 0.5): (1, "half of a dtype's digits: how well a map must sum to the change of the logit"),
    ("deep_lift", 0.75): (1, "three quarters of a dtype's digits: how well the logits are known"),
    ("moves", 8): (1, "how often it is tried whether places depend on each other"),
    ("unhooked", 6.0): (1, "the bound of a ReLU6"),
    ("deep_lift", 2): (2, "a batch of inputs and as many baselines"),
    ("linear", 20): (1, "2 ** 20 weights made into a part at once: memory, not arithmetic"),
    ("linear", 2): (1, "output size of a convolution: padding on both sides"),
    ("memory", 27): (1, "2 ** 27 bytes of one batch: memory, not arithmetic"),
    ("memory", 2): (6, "how many tensors are held at once: memory, not arithmetic"),
    ("cam", 4): (1, "axes of a batch of pictures"),
    ("cam", 3): (2, "axes of a batch of series, and the same for Grad-CAM of series"),
    ("cam", 255): (1, "largest value of 8 bits (keras.utils.array_to_img)"),
    ("analyzers", 3): (1, "axes of a batch of series"),
    ("analyzers", 0.1): (1, "standard deviation of the published gaussian baseline"),
    ("layout", 4): (1, "axes of a batch of pictures"),
    ("grammar", 3): (1, "how many nearest names an error tells"),
    ("grammar", 4): (1, "letters of `neg_`"),
    ("grammar", 0.5): (1, "how near a name must be to be told (difflib)"),
    ("hooks", 1e-6): (1, "default of a published parameter that the rule does not have"),
    ("resample", 0.5): (5, "centre of a pixel, and rounding to the nearest"),
    ("resample", -0.5): (2, "Pillow's cubic parameter a, and rounding to the nearest"),
    ("resample", 3): (1, "cubic kernel: (a + 2) x^3 - (a + 3) x^2 + 1"),
    ("resample", 5): (1, "cubic kernel: a x^3 - 5 a x^2 + 8 a x - 4 a"),
    ("resample", 8): (2, "cubic kernel: 8 a x; and the bits of a channel"),
    ("resample", 4): (1, "cubic kernel: 4 a"),
    ("resample", 32): (1, "bits of Pillow's accumulator"),
    ("resample", 255): (1, "largest value of 8 bits"),
}


@dataclass(frozen=True)
class Number:
    """A numeric literal with the sign in front of it; whether it multiplies or divides, or is a parameter's default."""

    line: int
    value: float
    factor: bool
    default: bool


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
        and not (one.default and module in PUBLISHED)
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
    assert unexplained("factories", planted) == []
    assert unexplained("rules", planted) == ["rules.py:1: 20.86"]
