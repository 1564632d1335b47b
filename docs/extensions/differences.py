"""The page of known differences, from the objects of `parity.judge.known`, and where each of them shows."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from docs.extensions.markdown import code, table
from parity import keras
from parity.assets.models import resolve, shipped_names
from parity.judge.known.difference import KnownDifference
from parity.judge.known.table import KNOWN_DIFFERENCES, differences_of
from parity.keras import ModelDescription
from parity.run.mutants import networks
from parity.run.mutants.table import MUTANTS
from signxai_torch.methods.grammar import listed, parse

REFERENCES = {"signxai": "SIGN-XAI 1.1.9.2", "innvestigate": "iNNvestigate 2.1.2"}
"""What the references are called in full."""

_RECIPES = {
    "spliced": "maps put together from both references: the input layer's part from one, what is above from the other",
    "averaged": "the mean of the reference's own gradients at the points that the method names",
    "multiplied": "the reference's map without the modifier, times what the modifier stands for",
    "promised": "what the method promises by its definition",
}
_BY_VALUES = {
    "undefined": "the reference is asked all the same; where its map is NaN everywhere the subject's must be zero",
    "kink": "the reference is asked all the same; only points at which its gradient jumps are left out",
}
_REGRESSION = re.compile(r"tests/fuzz/regressions/(\w+)\.json")


def page() -> str:
    """Return the page's Markdown."""
    return "\n".join([
        "# Known differences\n",
        "The references are wrong in places, differ from each other, or stop with an error. Each such place is one "
        "object in `parity/judge/known/`: when it applies, why, how anybody can see it, and what the implementation "
        "under test is held to instead. Nothing is excused by it. This page is made from those objects. Models that it "
        "names beside the shipped ones, such as `leaky`, are small networks made for the [mutants](../mutants.md).\n",
        "Every entry ends with commands that show it. They need the reference environment (`parity setup`, or `make "
        "setup` in a clone); `parity run` "
        "writes into its report what each row was held to, `parity mutants` puts wrong ports on trial beside the "
        "difference, which must be caught all the same, and the tests of `tests/fuzz` ask both references about a "
        "stored network.\n",
        table(
            ["difference", "of", "where"],
            [[f"[`{one.name}`](#{one.name})", _references(one), one.condition] for one in KNOWN_DIFFERENCES],
        ),
        *(_section(one) for one in KNOWN_DIFFERENCES),
    ])  # fmt: skip


@cache
def seen() -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Return where each difference applies, as pairs of model and method, on the networks of this repository."""
    places: dict[str, list[tuple[str, str]]] = {one.name: [] for one in KNOWN_DIFFERENCES}
    for model, description in _descriptions().items():
        for method in map(parse, listed()):
            for backend in ("signxai", "innvestigate"):
                for difference in differences_of(method, description, backend):  # type: ignore[arg-type]
                    if (model, method.name) not in places[difference.name]:
                        places[difference.name].append((model, method.name))
    return {name: tuple(found) for name, found in places.items()}


def of_family(family: str) -> list[KnownDifference]:
    """Return the differences that show with a family's methods on one of those networks."""
    return [one for one in KNOWN_DIFFERENCES if any(parse(method).family == family for _, method in seen()[one.name])]


@cache
def _descriptions() -> Mapping[str, ModelDescription]:
    shipped = {name: keras.load(resolve(name).path).description for name in shipped_names()}
    with tempfile.TemporaryDirectory() as folder:
        for name in networks.NAMES:
            source, _ = networks.written(name, Path(folder))
            shipped[name] = keras.load(source.path).description
    return shipped


def _section(difference: KnownDifference) -> str:
    return "\n".join([
        f"({difference.name})=",
        f"## {difference.name}\n",
        f"**Where.** {difference.condition}\n",
        f"**Why.** {difference.cause}\n",
        f"**Evidence.** {difference.evidence}\n",
        f"**Held to.** {_held_to(difference)}\n",
        *_shown_by(difference),
    ])  # fmt: skip


def _references(difference: KnownDifference) -> str:
    return " and ".join(REFERENCES[name] for name in difference.references)


def _held_to(difference: KnownDifference) -> str:
    ways = []
    if difference.rewrites:
        ways.append(
            "the same reference on an equivalent network: " + "; ".join(one.says for one in difference.rewrites)
        )
    if difference.recipe != "plain":
        ways.append(_RECIPES[difference.recipe])
    if difference.by_values:
        ways.append(_BY_VALUES[difference.by_values])
    ways = ways or ["the other reference where it is sound, else nothing is judged and the run says so"]
    text = "; ".join(ways)
    return f"{text[0].upper()}{text[1:]}."


def _shown_by(difference: KnownDifference) -> list[str]:
    places = seen()[difference.name]
    own = [(model, method) for model, method in places if model in shipped_names()]
    mutants = [mutant.name for mutant in MUTANTS if mutant.beside == difference.name]
    regressions = _REGRESSION.findall(difference.evidence)
    lines = []
    if own:
        model, method = own[0]
        lines.append(f"parity run --model {model} --method '{method}' --samples 1")
    if mutants:
        lines.append(f"parity mutants --mutant {mutants[0]}")
    lines += [f"pytest tests/fuzz/test_differential.py -k {name}" for name in regressions]
    families = sorted({parse(method).family for _, method in places})
    models = sorted({model for model, _ in places})
    text = []
    if places:
        text.append(f"It shows with methods of {code(families)} on {code(models)}.\n")
    if lines:
        text.append("```sh\n" + "\n".join(lines) + "\n```\n")
    return text
