"""parity.json: the schema holds, wrong documents are refused with the place named, nothing is half written."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from parity.judge.limits import NoiseFloor, limits_for
from parity.judge.metrics import compare
from parity.judge.verdict import STATUSES
from parity.reference.rules import ReferenceRules
from parity.report import ReportError, load, validate, write
from parity.run.results import dumps, schema, write_atomically
from parity.run.totals import summarize
from tests.parity.toy_maps import toy_map


def test_the_schema_is_a_schema():
    jsonschema_rs.meta.validate(schema())


def test_the_schema_knows_every_status():
    assert set(schema()["$defs"]["status"]["enum"]) == set(STATUSES)


def test_the_schema_takes_what_metrics_and_limits_write():
    fields = schema()["properties"]["results"]["items"]["properties"]
    assert set(compare(toy_map(), toy_map()).to_json()) <= set(fields)
    assert set(limits_for("float64").to_json()) == set(fields["limits"]["required"])
    jsonschema_rs.validate(fields["noise_floor"], NoiseFloor(1e-6, 1e-7, 1e-6).to_json())


def test_the_schema_takes_the_rules_of_the_reference():
    rules = schema()["properties"]["models"]["items"]["properties"]["reference_rules"]["additionalProperties"]
    jsonschema_rs.validate(rules, ReferenceRules("signxai", (("fc1", "Dense", "ZRule()"),)).to_json())
    jsonschema_rs.validate(rules, ReferenceRules("signxai", problem="no answer").to_json())


def test_what_was_written_can_be_loaded(written, run):
    assert load(written.json)["results"] == json.loads(json.dumps(run[0]["results"]))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda d: d.pop("results"), "top level"),
        (lambda d: d["results"][3].update(status="fine"), "results/3/status"),
        (lambda d: d["results"][0].pop("method"), "results/0"),
        (lambda d: d["results"][0].update(suprise=1), "results/0"),
        (lambda d: d["results"][0].update(dtype="float16"), "results/0/dtype"),
        (lambda d: d["results"][1].update(rel_l2="1e-3"), "results/1/rel_l2"),
        (lambda d: d["results"][1].update(imitation=None), "results/1"),
        (lambda d: d["results"][1].update(held_to=["signxai"]), "results/1/held_to"),
        (lambda d: d["results"][1].update(noise_samples="float32"), "results/1/noise_samples"),
        (lambda d: d["results"][1].update(noise_floor={"rel_l2": 1e-6}), "results/1/noise_floor"),
        (lambda d: d["results"][1].update(reference_stored="last year"), "results/1/reference_stored"),
        (lambda d: d["results"][1].update(reference_notes=None), "results/1/reference_notes"),
        (lambda d: d["summary"].pop("planned"), "summary"),
        (lambda d: d["summary"].update(stopped="no"), "summary/stopped"),
        (lambda d: d["summary"]["reference_answers"].update(computed=-1), "summary/reference_answers/computed"),
        (lambda d: d["summary"].update(surprise=1), "summary"),
        (lambda d: d["summary"]["counts"].update(good=3), "summary/counts"),
        (lambda d: d["inputs"][0].update(range=[1]), "inputs/0/range"),
        (lambda d: d["models"][0]["rules"]["lrp_z"][0].append("more"), "models/0/rules/lrp_z/0"),
        (lambda d: d["models"][0]["reference_rules"]["lrp_z"].pop("problem"), "models/0/reference_rules/lrp_z"),
        (lambda d: d["models"][0]["reference_rules"]["lrp_z"]["layers"][0].pop(), "reference_rules/lrp_z/layers/0"),
    ],
)
def test_a_wrong_document_is_refused_with_its_place(run, change, place):
    document = copy.deepcopy(run[0])
    change(document)
    with pytest.raises(ReportError, match=place):
        validate(document)


def test_another_schema_is_refused(run):
    with pytest.raises(ReportError, match="schema 2"):
        validate({**run[0], "schema": 2})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', "\x00"])
def test_a_file_that_is_no_results_file_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "parity.json"
    path.write_text(text)
    with pytest.raises(ReportError, match=r"parity\.json"):
        load(path)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path):
    with pytest.raises(ReportError, match=r"nowhere\.json"):
        load(tmp_path / "nowhere.json")


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_nan_never_gets_into_the_file(run, tmp_path: Path, number: float):
    document = copy.deepcopy(run[0])
    document["results"][0]["rel_l2"] = number
    with pytest.raises(ReportError, match="null"):
        dumps(document)
    with pytest.raises(ReportError, match="null"):
        write(document, None, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_invalid_document_writes_nothing(run, tmp_path: Path):
    with pytest.raises(ReportError):
        write({**run[0], "results": [{}]}, None, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_failed_write_leaves_the_old_file(tmp_path: Path):
    path = tmp_path / "parity.json"
    write_atomically(path, "old")
    with pytest.raises(TypeError):
        write_atomically(path, None)  # type: ignore[arg-type]
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["parity.json"]


def row(status: str, margin: float | None, divergence: str | None = None) -> dict[str, Any]:
    return {
        "status": status,
        "margin": margin,
        "divergence": divergence,
        "method": "m",
        "model": "v",
        "input": "i",
        "dtype": "float32",
    }


def test_summary_counts_and_finds_the_worst_margin():
    controls = {"mutants": 3, "mutants_killed": 3}
    summary = summarize([row("parity", 0.1), row("parity", 0.7), row("error", None)], controls)
    assert summary["counts"] == {"parity": 2, "error": 1}
    assert summary["worst_margin"]["value"] == 0.7
    assert summary["green"] is False
    assert summary["controls"] == controls


def test_the_worst_margin_is_one_that_was_held_to_its_limit():
    summary = summarize([row("parity", 0.1), row("reference-defect", 2e13, "named"), row("structural", 9.0, "named")])
    assert summary["worst_margin"]["value"] == 0.1
    assert summarize([row("parity", 0.1), row("structural", 9.0)])["worst_margin"]["value"] == 9.0


@pytest.mark.parametrize(
    ("rows", "green"),
    [
        ([], False),
        ([row("parity", 0.1)], True),
        ([row("parity", 0.1), row("unsupported", None)], True),
        ([row("unsupported", None)], False),
        ([row("structural", 3.0)], False),
        ([row("structural", 3.0, "named")], False),
        ([row("reference-defect", 0.1, "named")], True),
        ([row("mismatch", 3.0, "named")], False),
        ([row("parity", 0.1), row("unjudged", None)], True),
        ([row("reference-defect", None, "named"), row("unjudged", None)], True),
        ([row("unjudged", None), row("unsupported", None)], False),
        ([row("reference-defect", None)], False),
    ],
)
def test_summary_is_green_only_if_every_row_is(rows, green):
    assert summarize(rows)["green"] is green


def test_the_four_files_are_written(written):
    for path in (written.json, written.html, written.summary, written.junit):
        assert path.stat().st_size > 100
