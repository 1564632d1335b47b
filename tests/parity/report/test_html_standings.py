"""How rows look by how they stand: what fails is red, what is held to something else or unjudged is not."""

from __future__ import annotations

import copy
import html
import re
from pathlib import Path

import numpy as np

from parity.report import render, summarize
from tests.parity.report.synthetic import DEFECT, UNJUDGED, Run, attribution
from tests.parity.report.test_html import row_of, validated


def test_what_is_held_to_something_else_is_not_shown_as_failing(tmp_path: Path):
    run = Run(tmp_path)
    run.add_model("vgg", (8, 8, 1), ["a"])
    exact = attribution(np.random.default_rng(0), (8, 8, 1))
    held = {"divergence": DEFECT, "status": "reference-defect", "held_to": "innvestigate"}
    run.add_case("vgg", "a", "zblrp_z", "float64", exact, exact, **held)
    run.add_case("vgg", "a", "deep_lift", "float64", None, exact, **held, message="Held to its sum.", limits=None)
    run.add_case("vgg", "a", "lrp_flat", "float64", exact, exact)
    page = render(run.close(), run.arrays_path)
    assert "Parity holds" in page
    assert re.findall('<tbody id="row-vgg--([^"]+)"', page) == ["lrp_flat", "zblrp_z", "deep_lift"]
    other, by_property = (row_of(page, "vgg", name) for name in ("zblrp_z", "deep_lift"))
    assert other.count("<td>yes</td></tr>") == 5
    assert '<td class="margin none" data-v="">reference-defect</td>' in by_property
    for body in (other, by_property):
        assert "margin over" not in body
        assert ">NO<" not in body
        assert "broken" not in body
    for body in (other, by_property):
        assert "Held to <strong>innvestigate</strong> instead of the plain reference." in body


def test_what_fails_is_shown_as_failing(page):
    body = row_of(page, "vgg_mnist", "lrp_w_square")
    assert 'class="margin over"' in body
    assert body.count(">NO</td></tr>") == 3


def test_maps_that_only_look_alike_read_as_red(page):
    """At 2e8 times the limit a row is neither amber nor called "structural"."""
    body = row_of(page, "vgg_mnist", "lrp_w_square")
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
    assert text.startswith("not equal only the published floor holds lrp_ w_ square")
    assert 'title="2e8 times the limit">2e8×</span>' in body
    assert "Not equal (only the published floor holds): 2e8 times its limit." in text
    assert ">structural<" not in body
    assert ">structural<" not in page.replace('value="structural"', "")
    colors = dict(re.findall(r"--(structural|mismatch|structural-bg|mismatch-bg): ([^;]+);", page))
    assert colors["structural"] == colors["mismatch"]
    assert colors["structural-bg"] == colors["mismatch-bg"]
    shapes = dict(re.findall(r"\.status\.([a-z-]+) { --shape: ([^}]+) }", page))
    assert "M6 .5 11.7 11.2H.3z" not in shapes["structural"]  # a triangle, as of a warning


def test_what_is_unjudged_has_its_own_look_section_count_and_filter(page):
    body = row_of(page, "vgg_mnist", "vargrad")
    assert '<span class="status unjudged">unjudged</span>' in body
    assert UNJUDGED in html.unescape(body)
    assert '<td class="margin none" data-v="">unjudged</td>' in body
    assert "broken" not in body
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert f"Unjudged Nothing could be compared in 1 case. They are neither green nor red. {UNJUDGED}: vargrad" in text
    assert 'data-filter-status="unjudged"><b>1</b>' in page
    assert '<option value="unjudged">unjudged</option>' in page
    assert 'aria-label="vargrad: unjudged"' in page  # the coverage matrix
    colors = dict(re.findall(r"--(unjudged|parity|mismatch|reference-defect|unsupported): ([^;]+);", page))
    assert len(set(colors.values())) == 5


def test_a_run_that_was_stopped_says_so_on_top(run, tmp_path: Path):
    document = copy.deepcopy(run[0])
    document["summary"] = summarize(document["results"], planned=200)
    page = render(validated(document), run[1])
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "Parity run stopped early Stopped after 43 of 200 cases: 6 of 13 methods at parity" in text
    assert "Parity holds" not in page
    assert 'class="verdict fail"' in page


def test_who_answered_stands_in_the_opened_row_and_on_top(run, page):
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "1 of 41 reference answers are stored ones, the oldest of 2026-11-02." in text
    body = html.unescape(row_of(page, "vgg_mnist", "zblrp_z_VGG16ILSVRC"))
    assert "reference answer: a stored one, computed 2026-11-02T10:20:30+00:00" in body
    assert "how the reference was asked: asked without oneDNN: the worker died of SIGABRT with it" in body
    noisy = html.unescape(row_of(page, "ecg", "lrp_z"))
    assert "noise measured on: float32 against float64" in noisy
    document = copy.deepcopy(run[0])
    fault = "no reference environment: looked for .venv-reference"
    rows = [row | {"reference_stored": "unknown"} for row in document["results"]]
    document |= {"results": rows, "summary": summarize(rows, reference_fault=fault)}
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", render(validated(document)))).split())
    assert "43 of 43 reference answers are stored ones, of unknown age." in text
    assert f"No reference could be asked in this run: {fault}." in text
