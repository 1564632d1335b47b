"""What results look like in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

import parity
import signxai_torch
from parity.testing.cases import Judgement

MAP = np.random.default_rng(0).normal(size=(8, 8, 3))


class Cells(HTMLParser):
    """The text of a page, and whether its tags are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, _attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_comparison_stands_beside_its_limits() -> None:
    texts = Cells(parity.compare(MAP, MAP * (1 + 1e-7))._repr_html_()).texts
    at = texts.index("relative L2 distance")
    assert texts[at + 1 : at + 4] == ["1e-07", "✗ ≤ 1e-10", "✓ ≤ 1e-05"]
    assert "192 values, 8 × 8 × 3" in texts


@pytest.mark.parametrize("other", [MAP[:4], MAP * np.nan, MAP * 0], ids=["shape", "nan", "zero"])
def test_maps_that_cannot_be_compared_say_why(other: np.ndarray) -> None:
    metrics = parity.compare(MAP, other)
    assert metrics.problem in Cells(metrics._repr_html_()).texts


def test_constant_and_flat_maps_have_tables_too() -> None:
    for array in (np.ones((4, 4, 1)), np.arange(5.0)):
        Cells(parity.compare(array, array)._repr_html_())


def test_a_judgement_is_a_table_in_which_names_are_no_markup() -> None:
    row = {
        "method": "lrp_z", "model": "<script>alert(1)</script>", "input": "a & b", "dtype": "float64",
        "status": "mismatch", "message": "<img src=x>\nmore", "rel_l2": 0.5, "limits": {"rel_l2": 1e-10},
    }  # fmt: skip
    page = Judgement((row,))._repr_html_()
    texts = Cells(page).texts
    assert "<script" not in page
    assert "<img" not in page
    assert {"✗", "<script>alert(1)</script>", "a & b", "<img src=x>", "0.5", "1e-10"} <= set(texts)
    assert Cells(Judgement(())._repr_html_()).texts == ["nothing was compared"]


@pytest.mark.parametrize("name", ["gradient", "lrpsign_epsilon_0_25_std_x_mu_0_5", "smoothgrad_x_input", "lrp.z"])
def test_a_method_tells_its_formula_parameters_and_source(name: str) -> None:
    method = signxai_torch.parse(name)
    texts = Cells(method._repr_html_()).texts
    assert {name, method.formula, method.citation} <= set(texts)
    assert all(f"{key} = {value}" in "".join(texts) for key, value in method.parameters.items())


def test_a_plan_is_its_tree() -> None:
    made = signxai_torch.plan(["lrp_z", "gradient", "lrp_epsilon_0_1"])
    assert Cells(made._repr_html_()).texts == [str(made)]
