"""What the site generates from the code: formulas, method pages, known differences, name tables."""

from __future__ import annotations

import re

import pytest

from docs.extensions import api, commands, differences, families, moving
from docs.extensions.formulas import typeset
from parity.commands.cli import main
from parity.judge.known.table import KNOWN_DIFFERENCES
from signxai_torch.methods.grammar import listed, parse, wrappers
from signxai_torch.methods.table import BASE_ROWS, PREFIXES, RULE_ROWS

FORMULAS = sorted({row.formula for row in (*PREFIXES.values(), *RULE_ROWS, *BASE_ROWS)})


@pytest.mark.parametrize(
    ("formula", "tex"),
    [
        ("x * W^T (R / (W x + b))", r"x \cdot W^{\top} \left(\frac{R}{W x + b}\right)"),
        ("(W^2)^T (R / (W^2 1))", r"\left(W^{2}\right)^{\top} \left(\frac{R}{W^{2} \,\mathbf{1}}\right)"),
        ("sgn(0) = +1", r"\operatorname{sgn}\left(0\right) = +1"),
        ("x+ W+^T", r"x^{+} W^{+\top}"),
        ("e = 1e-7", r"\varepsilon = 1 \cdot 10^{-7}"),
        ("relu(x) / max", r"\frac{\operatorname{relu}\left(x\right)}{\max}"),
    ],
)
def test_a_formula_is_typeset(formula: str, tex: str) -> None:
    assert typeset(formula) == rf"$\displaystyle {tex}$"


def test_words_stay_words() -> None:
    assert typeset("dense: epsilon 0.1; input layer: flat") == "dense: epsilon 0.1; input layer: flat"
    assert typeset("alpha_1_beta_0 without bias") == "`alpha_1_beta_0` without bias"


@pytest.mark.parametrize("formula", FORMULAS)
def test_every_formula_of_the_table_is_read_to_its_end(formula: str) -> None:
    text = typeset(formula)
    assert text.count("$") % 2 == 0
    assert text.count(r"\left") == text.count(r"\right")
    for tex in re.findall(r"\$(.*?)\$", text):
        assert tex.count("{") == tex.count("}")
        assert not re.search(r"(?<![\\{]frac)\s/\s", tex), "a quotient is a fraction"


def test_parentheses_without_a_partner_are_refused() -> None:
    with pytest.raises(ValueError, match="parentheses"):
        typeset("x * (W")


def test_every_listed_method_is_on_the_page_of_its_family() -> None:
    pages = {family: families.page(family, {}) for family in families.families()}
    assert [name for name in listed() if f"`{name}`" not in pages[parse(name).family]] == []


def test_a_row_of_the_table_is_a_section_with_all_it_says() -> None:
    text = families.page("smoothgrad", {"a picture": "picture.png"})
    for part in (
        "![a picture](picture.png)",
        "`samples=50`",
        "https://arxiv.org/abs/1706.03825",
        "analyzer `smoothgrad`",
    ):
        assert part in text


def test_every_method_of_a_picture_is_a_name() -> None:
    rows = [row for family in families.families() for row in families.rows_of(family)]
    assert [parse(families.example_of(row)).row for row in rows] == rows


def test_every_known_difference_has_a_section_that_shows_it() -> None:
    text = differences.page()
    for difference in KNOWN_DIFFERENCES:
        section = text.split(f"({difference.name})=")[1].split("\n(")[0]
        assert difference.cause in section
        assert "```sh" in section, "nothing that can be run shows it"


def test_name_tables_have_all_names() -> None:
    tables = moving.fragments()
    assert f"All {len(wrappers())} of them" in tables["signxai"]
    analyzers = {row.innvestigate for row in BASE_ROWS if row.innvestigate}
    assert [name for name in analyzers if f"| `{name}` |" not in tables["innvestigate"]] == []


def test_every_command_is_on_the_page_of_the_command_line() -> None:
    text = commands.page()
    assert [name for name in main.commands if f"## parity {name}\n" not in text] == []


def test_every_public_module_has_a_title() -> None:
    assert all(api.page(module).startswith(f"# {title}") for module, title in api.MODULES.items())
