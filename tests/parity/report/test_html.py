"""The page: complete without JavaScript, offline, escaped, small."""

from __future__ import annotations

import copy
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from parity.report import ReportError, render, summarize, validate, write
from parity.report.junit import junit_parts
from parity.report.summary import summary_markdown
from parity.run.results import schema
from tests.parity.report.synthetic import DEFECT, Run, attribution, big_run, green_run

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "br", "wbr", "input", "img", "hr"}


class Outline(HTMLParser):
    """Collects tags and text, and checks that they nest."""

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if not self.stack or self.stack[-1] not in ("style", "script"):
            self.text.append(data)


def outline(page: str) -> Outline:
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.stack == []
    return parser


def row_of(page: str, model: str, method: str) -> str:
    body = page[page.index(f'<tbody id="row-{model}--{method}"') :]
    return body[: body.index("<tbody id=", 1)] if "<tbody id=" in body[1:] else body


@pytest.fixture(scope="module")
def parsed(page: str) -> Outline:
    return outline(page)


def test_the_page_has_everything_at_the_top(page, parsed):
    text = " ".join("".join(parsed.text).split())
    assert "Parity fails 6 of 13 methods at parity" in text
    assert "39 of 42 cases compared; 1 held to something else; 1 unjudged; 1 error; 1 unsupported, not counted." in text
    for expected in (
        "23 of 23 mutants killed",
        "4 March 2025, 10:20 UTC, 3 min 35 s",
        "4f0c2d9a7b3e",
        "python -m parity run --model vgg_mnist --report reports",
        "tensorflow 2.12.1",
        "zennit 0.5.1",
    ):
        assert expected in text, expected


def test_the_counts_on_top_add_up(page, run, tmp_path: Path):
    counted = [int(count) for count in re.findall(r"<b>(\d+)</b> <span class=\"status", page)]
    assert sum(counted) == len({(row["method"], row["model"]) for row in run[0]["results"]}) == 19
    assert "19 rows, one per method and model:" in page
    alone = render(*green_run(tmp_path))
    assert re.findall(r"<b>(\d+)</b> <span class=\"status", alone) == ["3"]
    assert "one per method and model:" not in alone


def test_hashes_of_weights_and_inputs_are_there(page, run):
    for entry in run[0]["models"] + run[0]["inputs"]:
        assert entry["sha256"] in page


def test_every_method_and_model_has_a_row_without_a_script(run, parsed):
    rows = {attrs["id"] for tag, attrs in parsed.tags if tag == "tbody" and "entry" in (attrs.get("class") or "")}
    assert rows == {f"row-{r['model']}--{r['method']}" for r in run[0]["results"]}


def test_ids_are_unique(parsed):
    ids = [attrs["id"] for _, attrs in parsed.tags if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_links_into_the_page_lead_somewhere(parsed):
    ids = {attrs["id"] for _, attrs in parsed.tags if "id" in attrs}
    for tag, attrs in parsed.tags:
        target = attrs.get("href") or ""
        if tag in ("a", "use") and "=" not in target:
            assert target.removeprefix("#") in ids, target


def test_nothing_comes_from_the_network(page, parsed):
    for tag, attrs in parsed.tags:
        for name in ("src", "href", "action", "srcset", "data"):
            value = attrs.get(name)
            assert not value or value.startswith(("#", "data:")), (tag, name, value)
    assert not re.search(r"url\((?!\"data:image/|%23)", page)
    assert "@import" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "default-src 'none'" in page


def test_an_opened_row_has_all_its_parts(page):
    body = row_of(page, "vgg_mnist", "lrp_alpha_1_beta_0")
    text = html.unescape(re.sub(r"<[^>]+>", " ", body))
    for expected in (
        "TensorFlow (signxai)",
        "torch (signxai_torch)",
        "Difference",
        "both maps",
        "Swipe",
        "y = x",
        "Errors / max|R|",
        "relative L2",
        "First diverging layer",
        "block2_conv1",
        "python -m parity run --model vgg_mnist --method lrp_alpha_1_beta_0 --dtype float64",
        "tests/parity/test_maps.py::test_map[vgg_mnist-lrp_alpha_1_beta_0]",
        "Bach et al. 2015",
    ):
        assert expected in text, expected
    assert body.count('role="img"') >= 6


def test_pictures_have_numbers_in_their_text(parsed):
    pictures = [a for _, a in parsed.tags if "picture" in (a.get("class") or "").split() and a.get("role")]
    assert len(pictures) > 50
    for attrs in pictures:
        assert re.search(r"\d", attrs["aria-label"] or ""), attrs


def rules_of(run: tuple[dict[str, Any], Path], method: str, **changes: Any) -> str:
    """Return the text of a row on vgg_mnist whose rules are told by `changes`: rules, reference_rules."""
    document = copy.deepcopy(run[0])
    for kind, told in changes.items():
        document["models"][0][kind][method] = told
    body = row_of(render(validated(document), run[1]), "vgg_mnist", method)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def validated(document: dict[str, Any]) -> dict[str, Any]:
    validate(document)
    return document


def test_the_rules_of_both_sides_stand_in_one_table(run):
    text = rules_of(run, "lrp_epsilon_0_1")
    assert "The same rule on all 11 layers, on both sides." in text
    assert "Layers Module Rule in torch Rule in TensorFlow (signxai) Same rule?" in text
    assert "block1_conv1 Conv2d Flat() FlatRule() same" in text
    assert "block1_conv2, block2_conv1, block2_conv2, block3_conv1, block3_conv2 Conv2d" in text
    assert "DIFFERS" not in text


@pytest.mark.parametrize("status", ["structural", "mismatch"])
def test_a_failing_row_with_the_same_rules_says_that_the_arithmetic_is_wrong(run, status):
    document = copy.deepcopy(run[0])
    for row in document["results"]:
        if row["method"].startswith(("lrp_epsilon", "flatlrp_epsilon")) and row["model"] == "vgg_mnist":
            row |= {"status": status, "failed_check": "rel_l2"}
    for model in document["models"]:  # the rule is at parity with another epsilon
        for kind in ("rules", "reference_rules"):
            told = model[kind].get("lrp_z", [])
            for entry in told["layers"] if isinstance(told, dict) else told:
                entry[2] = entry[2].replace("epsilon=0.1", "epsilon=0.5")
        for kept in ("lrp_flat", "gradient", "gradient_x_sign"):
            model["rules"].pop(kept, None)
    document["results"] = [row for row in document["results"] if row["model"] == "vgg_mnist"]
    body = row_of(render(validated(document)), "vgg_mnist", "lrp_epsilon_0_1")
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())
    assert (
        "The rules are the same on all 11 layers, on both sides, and the maps are not: the choice of rules is not at "
        "fault ; no row at parity has rule Epsilon(epsilon=0.1, bias=True)"
    ) in text
    assert "The same rule on all" not in text


def test_a_subject_that_reports_another_rule_is_marked_in_words_and_first(run):
    mutant = [["block1_conv1", "Conv2d", "WSquare()"], *run[0]["models"][0]["rules"]["lrp_z"][1:]]
    text = rules_of(run, "lrp_z", rules=mutant)
    told = "On block1_conv1 torch uses WSquare() , TensorFlow (signxai) FlatRule()"
    assert f"The two sides do not use the same rule. {told}" in text
    assert text.index("do not use the same rule") < text.index("Checks")
    assert "The rules differ on 1 of 11 layers" in text
    assert "Same rule? block1_conv1 Conv2d WSquare() FlatRule() ≠ DIFFERS" in text


def test_rows_with_other_rules_are_named_on_top(run):
    document = copy.deepcopy(run[0])
    document["models"][0]["rules"]["lrp_z"][0][2] = "WSquare()"
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", render(validated(document)))).split())
    assert "The two sides do not use the same rule in 1 row , for example on block1_conv1 : torch WSquare()" in text


def test_a_map_that_the_shared_scale_swallows_is_said_to_be_faint(tmp_path: Path):
    run = Run(tmp_path)
    run.add_model("vgg", (8, 8, 1), ["a"])
    exact = attribution(np.random.default_rng(0), (8, 8, 1))
    run.add_case("vgg", "a", "lrp_z", "float64", exact, exact * 1e6)
    run.add_case("vgg", "a", "lrp_flat", "float64", exact, exact * 1.5)
    page = render(run.close(), run.arrays_path)
    assert row_of(page, "vgg", "lrp_z").count("too faint for the shared scale") == 1
    assert "too faint" not in row_of(page, "vgg", "lrp_flat")


def test_a_rule_that_no_table_knows_is_shown_as_it_is_and_not_called_the_same(run):
    told = copy.deepcopy(run[0]["models"][0]["reference_rules"]["lrp_z"])
    told["layers"][0][2] = "BrandNewRule(kappa=3.0)"
    text = rules_of(run, "lrp_z", reference_rules=told)
    assert "Flat() BrandNewRule(kappa=3.0) not compared" in text
    assert "No difference on the 10 layers that could be compared; 1 not compared." in text


def test_a_failing_run_names_the_rule_that_only_failing_rows_have(run):
    document = copy.deepcopy(run[0])
    kept = ("lrp_z", "lrp_flat", "gradient")
    document["results"] = [
        row | ({"status": "mismatch", "failed_check": "rel_l2"} if row["method"] == "lrp_flat" else {})
        for row in document["results"]
        if row["method"] in kept
    ]
    for model in document["models"]:
        model["rules"]["gradient"] = []
        model["rules"]["lrp_flat"] = [["fc1", "Linear", "Flat()"]]
        model["rules"]["lrp_z"] = [["fc1", "Linear", "Z(bias=True)"]]
    document["summary"] = summarize(document["results"])
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", render(validated(document)))).split())
    assert "Where to look first" in text
    assert "rule Flat: in 2 of 2 rows that fail, in none of the 4 at parity" in text
    assert "Only rows that fail have rule Flat (here on fc1)" in text
    assert text.count("the choice of rules is not at fault") == 0  # the reference's rules are others here
    assert text.index("Where to look first") < text.index("One row per method and model")


def test_a_green_run_accuses_nothing(tmp_path: Path):
    assert "Where to look first" not in render(*green_run(tmp_path))


def test_rules_that_are_not_known_say_why(run):
    problem = {"reference": "signxai", "layers": [], "problem": "the worker died"}
    text = rules_of(run, "lrp_z", reference_rules=problem)
    assert "The rules of TensorFlow (signxai) are not known: the worker died." in text
    assert "Flat() not known not compared" in text
    assert "DIFFERS" not in text


def test_rules_and_evidence_are_shown(page):
    assert "block1_conv2, block2_conv1" in page
    defect = row_of(page, "vgg_mnist", "zblrp_z_VGG16ILSVRC")
    assert f"Known difference: {DEFECT}" in defect
    assert "Held to <strong>innvestigate</strong> instead of the plain reference." in defect
    assert "TensorFlow (innvestigate)" in defect


def test_seconds_that_are_a_share_say_so(page):
    shared = "seconds: reference 0.42, subject 0.011 (share of 60 methods computed together)"
    assert shared in row_of(page, "vgg_mnist", "lrp_w_square")
    alone = row_of(page, "vgg_mnist", "gradient")
    assert "subject 0.011" in alone
    assert "computed together" not in alone


def test_markup_in_names_and_messages_is_shown_as_text(tmp_path: Path):
    evil = "</style><script>alert('x')</script>\"><img src=x onerror=alert(1)>"
    rng = np.random.default_rng(0)
    run = Run(tmp_path)
    run.add_model("vgg", (8, 8, 1), ["a"])
    exact = attribution(rng, (8, 8, 1))
    run.add_case("vgg", "a", evil, "float64", exact, -exact, message=evil, reproduce=evil, reference=evil)
    run.add_case("vgg", "a", "lrp_z", "float64", None, None, message=f"{evil}\n>\n<", divergence=evil)
    run.document["command"] = evil
    run.document["environment"]["platform"] = evil
    run.document["methods"][evil] |= {"formula": evil, "citation": evil, "reference": {evil: evil}}
    run.document["models"][0]["rules"] = {evil: [[evil, evil, evil]], "lrp_z": [[evil, evil, evil]]}
    run.document["models"][0]["reference_rules"] = {
        evil: {"reference": evil, "layers": [[evil, evil, evil]], "problem": None},
        "lrp_z": {"reference": evil, "layers": [], "problem": evil},
    }
    run.document["divergences"] = {evil: dict.fromkeys(("condition", "cause", "evidence"), evil)}
    page = render(run.close(), run.arrays_path)
    tags = [tag for tag, _ in outline(page).tags]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert page.count(html.escape("alert('x')", quote=True).replace("&#x27;", "&#39;")) > 8
    assert "&gt;\n&gt;\n&lt;" in page


def test_rendering_is_a_pure_function(run, page, written):
    assert render(written.document, run[1]) == page


def test_a_one_sided_or_differently_shaped_map_is_shown_without_a_difference(tmp_path: Path):
    run = Run(tmp_path)
    run.add_model("vgg", (8, 8, 1), ["a"])
    exact = attribution(np.random.default_rng(0), (8, 8, 1))
    run.add_case("vgg", "a", "lrp_z", "float64", exact, exact[:-1])
    page = render(run.close(), run.arrays_path)
    assert "The shapes differ: reference (8, 8, 1), subject (7, 8, 1)." in page
    assert "<b>Difference</b>" not in page


def test_a_document_of_required_fields_alone_is_a_page(run):
    def required(value: Any, schema: dict[str, Any]) -> Any:
        if isinstance(value, dict) and "properties" in schema:
            return {k: required(value[k], schema["properties"].get(k, {})) for k in schema.get("required", ())}
        if isinstance(value, list):
            return [required(item, schema.get("items", {})) for item in value]
        return value

    bare = required(run[0], schema())
    validate(bare)
    assert "reproduce" in bare["results"][0]
    assert "rel_l2" not in bare["results"][0]
    outline(render(bare, run[1]))
    summary_markdown(bare)
    "".join(junit_parts(bare))


def test_a_run_of_nothing_is_a_page(tmp_path: Path):
    run = Run(tmp_path)
    assert "Nothing was compared." in render(run.close(), run.arrays_path)


def test_a_missing_or_damaged_arrays_file_is_an_error_that_names_it(run, tmp_path: Path):
    bad = tmp_path / "arrays.h5"
    for content in (None, b"no hdf5"):
        if content:
            bad.write_bytes(content)
        with pytest.raises(ReportError, match=r"arrays\.h5"):
            write(run[0], bad, tmp_path / "out")


def test_arrays_of_another_run_are_refused(run, tmp_path: Path):
    arrays = tmp_path / "parity-arrays.h5"
    arrays.write_bytes(run[1].read_bytes())
    for created, fits in ((run[0]["created"], True), ("2020-01-01T00:00:00+00:00", False)):
        with h5py.File(arrays, "a") as file:
            file.attrs["created"] = created
        if fits:
            render(run[0], arrays)
        else:
            with pytest.raises(ReportError, match="of the run of 2020-01-01"):
                render(run[0], arrays)


def test_names_that_only_differ_in_odd_characters_have_their_own_rows(tmp_path: Path):
    run = Run(tmp_path)
    run.add_model("vgg", (8, 8, 1), ["a"])
    for name in ("a b", "a/b", "a-b"):
        run.add_case("vgg", "a", name, "float64", None, None)
    ids = re.findall(r'<tbody id="([^"]+)"', render(run.close(), run.arrays_path))
    assert len(set(ids)) == 3


def test_stored_pictures_come_before_raw_inputs(run, tmp_path: Path):
    document, arrays = copy.deepcopy(run[0]), tmp_path / "parity-arrays.h5"
    arrays.write_bytes(run[1].read_bytes())
    before = render(document, arrays)
    with h5py.File(arrays, "a") as file:
        file["display/vgg_mnist/digit-0"] = np.zeros((32, 32, 3), np.uint8)
    assert render(document, arrays) != before


@pytest.mark.slow
def test_152_methods_4_models_3_inputs_stay_under_15_mb(tmp_path: Path):
    document, arrays = big_run(tmp_path)
    written = write(document, arrays, tmp_path / "report")
    assert len({(r["method"], r["model"]) for r in document["results"]}) == 608
    assert written.html.stat().st_size < 15e6
