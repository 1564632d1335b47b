"""The pages of the method families, from the method table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from docs.extensions import differences
from docs.extensions.formulas import typeset
from docs.extensions.markdown import citation, code, folded, table
from signxai_torch.methods.grammar import Method, listed, number_to_text, parse
from signxai_torch.methods.table import BASE_ROWS, PREFIXES, RULE_ROWS, Row

STARTS = {
    "logit": "the chosen logit",
    "one": "1 at the chosen logit",
    "positive_logit": "the chosen logit, or 0 where it is negative",
    "preactivation": "the chosen logit, before the activation of the last layer if that has one",
}
"""What `Method.head` says, in words."""
MANY = 12
"""From this number on a list of names is folded."""


def families() -> tuple[str, ...]:
    """Return the families in the order of the table, LRP first."""
    return ("lrp", *dict.fromkeys(row.family for row in BASE_ROWS if row.family != "lrp"))


def rows_of(family: str) -> tuple[Row, ...]:
    """Return a family's rows."""
    return tuple(row for row in (*RULE_ROWS, *BASE_ROWS) if row.family == family)


def example_of(row: Row) -> str:
    """Return a method of a row: a listed name without modifiers, or its name with 2 for each number."""
    spelt = re.sub(r"\{\w+\}", "2", row.template)
    plain = (name for name in _names()[row.template] if not (parse(name).modifiers or parse(name).suffix))
    return next(plain, f"lrp_{spelt}" if row in RULE_ROWS else spelt)


def prefixed() -> Mapping[str, str]:
    """Return a method for each LRP prefix, with the same rule above the input layer."""
    return {name: f"{name}_epsilon_0_1" for name in PREFIXES}


def page(family: str, pictures: Mapping[str, str]) -> str:
    """Return a family's page.

    Parameters
    ----------
    family : str
        The family.
    pictures : mapping of str to str
        From the title of a picture to its file, relative to the page.
    """
    parts = [f"(family-{family})=", f"# `{family}`\n"]
    parts += [f"![{title}]({file})\n\n*{title}.*\n" for title, file in pictures.items()]
    if family == "lrp":
        parts += [_prefixes(), "## Rules above the input layer\n"]
    parts += [_row(row, "###" if family == "lrp" else "##") for row in rows_of(family)]
    parts.append(_differences(family))
    return "\n".join(parts)


@cache
def _names() -> Mapping[str, tuple[str, ...]]:
    """Return the listed names of each row, by its template."""
    names: dict[str, list[str]] = {row.template: [] for row in (*RULE_ROWS, *BASE_ROWS)}
    for name in listed():
        names[parse(name).row.template].append(name)
    return {template: tuple(found) for template, found in names.items()}


def _row(row: Row, heading: str) -> str:
    names = _names()[row.template]
    method = parse(example_of(row))
    title = f"lrp_{row.template}" if row in RULE_ROWS else row.template
    facts = [
        ["formula", typeset(row.formula)],
        ["starts from", STARTS[method.head]],
        ["parameters", _parameters(row, method)],
        ["source", citation(row.citation)],
        ["SIGN-XAI 1.1.9.2", f"analyzer `{row.signxai}`" if row.signxai else "has no such analyzer"],
        ["iNNvestigate 2.1.2", f"analyzer `{row.innvestigate}`" if row.innvestigate else "has no such analyzer"],
    ]
    if row.ignore_bias:
        facts.append(["without bias", "`_IB` after the rule leaves the bias out of the denominators"])
    return "\n".join([f"{heading} `{title}`\n", table(["", title], facts), _listed(names)])


def _listed(names: tuple[str, ...]) -> str:
    if not names:
        return "Not among the listed names; the name above is understood.\n"
    if len(names) < MANY:
        return f"Listed names: {code(names)}.\n"
    return folded(f"{len(names)} listed names", code(names))


def _parameters(row: Row, method: Method) -> str:
    parts = [f"`{name}={value!r}`" for name, value in row.defaults.items()]
    parts += [f"`{name}` in the name: `{spelt}` is {value:g}" for name, spelt, value in _in_the_name(row, method)]
    return "; ".join(parts) or "none"


def _in_the_name(row: Row, method: Method) -> Iterator[tuple[str, str, Any]]:
    for name, value in method.parameters.items():
        if f"{{{name}}}" in row.template:
            yield name, number_to_text(value), value


def _prefixes() -> str:
    rows = [
        [f"`{prefix.name}`", f"`{prefix.input_rule}`" if prefix.input_rule else "as above", typeset(prefix.formula),
         citation(prefix.citation)]
        for prefix in PREFIXES.values()
    ]  # fmt: skip
    return "\n".join([
        "A name is a prefix, a rule and its numbers: `lrpsign_epsilon_0_1` has the rule `SIGN` on the input layer and "
        "`Epsilon` with 0.1 on all layers above. The letters: $x$ is what a layer reads, $W$ and $b$ are its weights "
        "and bias, $W^{+}$ and $x^{-}$ positive and negative parts, $R$ the relevance that arrives, $l$ and $h$ the "
        "least and the greatest value of an input. A denominator that is exactly zero is replaced by $10^{-7}$; "
        "nothing else is added to one, unless the formula says so.\n",
        "## Prefixes: the rule of the input layer\n",
        table(["prefix", "rule", "formula", "source"], rows),
    ])  # fmt: skip


def _differences(family: str) -> str:
    entries = differences.of_family(family)
    if not entries:
        return "## Where the references differ\n\nNo difference is known.\n"
    rows = [[f"[`{one.name}`](#{one.name})", one.condition] for one in entries]
    return f"## Where the references differ\n\n{table(['difference', 'where'], rows)}"
