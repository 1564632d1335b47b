"""How a trace is shown: a line per layer, a curve of the error by depth, the maps where both sides part."""

from __future__ import annotations

import h5py
import numpy as np

from parity.report.html import render
from parity.report.plots import BOX, curve
from parity.run.results import validate
from tests.parity.report.synthetic import small_run


def numbers(rel_l2, slope=1.0):
    return {"rel_l2": rel_l2, "slope": slope, "reference_sum": 1.0, "subject_sum": 1.0, "problem": ""}


def trace(layer="conv"):
    def line(name, kind, wrong, arrived):
        return {
            "name": name, "class_name": kind, "reference_rule": "ZRule(bias=True)", "subject_rule": "Z(bias=True)",
            "made": numbers(1e-16), "arrived": arrived and numbers(arrived),
            "handed": [{"to": "below", "asked": "lrp_z"} | numbers(wrong, 1.03 if wrong > 1e-6 else 1.0)],
        }  # fmt: skip

    return {
        "kind": "relevance", "layer": layer, "limit": 1e-10, "cause": "The cause & its proof.", "maps": ["below"],
        "says": "The relevance parts at conv (Conv2D): <here>.",
        "layers": [line("dense", "Dense", 1e-16, None), line(layer, "Conv2D", 3e-2, 1e-16)],
    }  # fmt: skip


def page_with(tmp_path, told):
    document, arrays = small_run(tmp_path)
    row = next(row for row in document["results"] if row["method"] == "lrp_w_square")
    row["trace"], row["first_diverging_layer"] = told, told.get("layer")
    index = document["results"].index(row)
    validate(document)
    with h5py.File(arrays, "r+") as file:
        rng = np.random.default_rng(0)
        for side in ("reference", "subject"):
            file[f"results/{index}/trace/0/{side}"] = rng.normal(size=(6, 6, 3))
    return render(document, arrays)


def test_the_layer_the_cause_and_the_maps_are_shown(tmp_path):
    page = page_with(tmp_path, trace())
    assert "The relevance parts at conv (Conv2D): &lt;here&gt;." in page
    assert "The cause &amp; its proof." in page
    assert "what conv hands to below" in page
    assert "Error by depth" in page
    assert "<td>starts here</td>" in page
    assert page.count('<tr class="broken"><td>conv</td>') == 1


def test_why_there_is_no_trace_is_shown(tmp_path):
    assert "it averages over many inputs" in page_with(tmp_path, {"problem": "it averages over many inputs"})


def test_a_page_without_traces_has_none(tmp_path):
    document, arrays = small_run(tmp_path)
    assert "Layer by layer" not in render(document, arrays)


def test_the_curve_climbs_with_the_error_and_leaves_out_what_is_not_known():
    drawn = curve([1e-16, None, 1e-2], [0.0, 1e-16, 1e-16], 1e-10)
    assert drawn.relevance.count("L") == 1
    heights = [float(point.split(" ")[1]) for point in drawn.relevance.replace("M", "").split("L")]
    assert BOX > heights[0] > drawn.limit_y > heights[1] > 0
    assert drawn.activations.startswith(f"M0.0 {float(BOX)}")
    assert curve([], [], 1.0).relevance == ""
