"""Attribution code holds no number but those that formulas and cited libraries bring along."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import signxai_torch

FOLDER = Path(signxai_torch.__file__).parent
MODULES = (
    "rules", "layers", "relevance", "gradients", "cam", "deep_lift", "modifiers", "linear", "resample", "composites",
    "hook", "baselines", "targets", "walk", "plan", "memory", "layout", "output", "unhooked",
)  # fmt: skip

# Small whole numbers are axes, counts, neutral elements and signs: anywhere.
ANYWHERE = {0, 1, 2, -1}
# Any other number: where it may stand, and why.
REASONS: dict[tuple[str, float], str] = {
    ("rules", 1e-7): "keras.backend.epsilon(), which both references put in place of a zero denominator",
    ("deep_lift", 1e-7): "the paper's limit below which a multiplier is the gradient",
    ("deep_lift", 0.5): "half of a dtype's digits: how well a map must sum to the change of the logit, not its values",
    ("rules", 0.25): "stdfactor unless given: default of SIGN-XAI's StdxEpsilonRule",
    ("rules", 0.5): "gamma unless given: default of SIGN-XAI's GammaRule",
    ("linear", 20): "2 ** 20 weights made into a part at once: memory, not arithmetic",
    ("memory", 27): "2 ** 27 bytes of one batch: memory, not arithmetic",
    ("cam", 4): "axes of a batch of pictures",
    ("cam", 3): "axes of a batch of series",
    ("cam", 255): "largest value of 8 bits (keras.utils.array_to_img)",
    ("resample", 0.5): "centre of a pixel, and rounding to the nearest",
    ("resample", -0.5): "Pillow's cubic parameter a, and rounding to the nearest",
    ("resample", 3): "cubic kernel: (a + 2) x^3 - (a + 3) x^2 + 1",
    ("resample", 5): "cubic kernel: a x^3 - 5 a x^2 + 8 a x - 4 a",
    ("resample", 8): "cubic kernel: 8 a x; and the bits of a channel",
    ("resample", 4): "cubic kernel: 4 a",
    ("resample", 32): "bits of Pillow's accumulator",
    ("resample", 255): "largest value of 8 bits",
}


def numbers(source: str) -> list[tuple[int, float]]:
    """Return (line, value) of every numeric literal, with the sign in front of it."""
    tree = ast.parse(source)
    negated = {
        id(node.operand): node
        for node in ast.walk(tree)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
    }
    found = []
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, (int, float, complex))
            and not isinstance(node.value, bool)
        ):
            found.append((node.lineno, -node.value if id(node) in negated else node.value))
    return found


def unexplained(module: str, source: str) -> list[str]:
    """Return the numeric literals of a module that nothing explains, with their lines."""
    return [
        f"{module}.py:{line}: {value}"
        for line, value in numbers(source)
        if value not in ANYWHERE and (module, value) not in REASONS
    ]


@pytest.mark.parametrize("module", MODULES)
def test_no_number_is_unexplained(module):
    assert unexplained(module, (FOLDER / f"{module}.py").read_text()) == []


def test_every_reason_is_needed():
    """A reason without its number would let the number come back unseen."""
    for module, value in REASONS:
        values = [number for _, number in numbers((FOLDER / f"{module}.py").read_text())]
        assert value in values, f"{module}: {value}"


@pytest.mark.parametrize(
    "planted",
    ["scale = 20.86", "result = result * 20.86", "x = -20.86", "factor = 1e-6", "LIMITS = {'a': [0.3]}",
     "def f(x=31): pass", "f(scale=1.0001)", "x = 3 + 4j", "x = 0x1F"],
)  # fmt: skip
@pytest.mark.parametrize("module", MODULES)
def test_a_planted_number_is_caught(module, planted):
    source = (FOLDER / f"{module}.py").read_text()
    (line,) = {text.split(": ")[0] for text in unexplained(module, f"{source}\n{planted}\n")}
    assert line == f"{module}.py:{len(source.splitlines()) + 2}"


# Names and the numbers in names, the table's own defaults, the front door.
NOT_ARITHMETIC = {"__init__", "explain", "grammar", "methods", "state"}
# The published API's default values; it computes nothing itself.
PUBLISHED = {"analyzer", "analyzers", "lrp_analyzers", "hooks", "factories", "compat", "options"}


def test_every_module_is_looked_at_or_computes_nothing():
    assert {path.stem for path in FOLDER.glob("*.py")} - NOT_ARITHMETIC - PUBLISHED == set(MODULES)
