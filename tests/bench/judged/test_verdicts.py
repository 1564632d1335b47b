"""Tables of verdicts, of results that were made up."""

from __future__ import annotations

from bench.judged import verdicts
from bench.judged.standing import Standing


def results(*rows: tuple[str, str, str, float | None]) -> dict:
    keys = ("method", "dtype", "status", "margin")
    return {
        "models": [{"logits_rel_l2": 1.25e-7, "logits_rel_l2_float64": 3e-16}],
        "results": [
            {
                **dict(zip(keys, row, strict=True)),
                "message": f"{row[0]}: why (at x.py:1)\n\nnot",
                "rel_l2": 0.25,
                "input": "one",
            }
            for row in rows
        ],
    }


def test_a_method_counts_under_the_worst_of_its_cases():
    document = results(
        ("gradient", "float32", "parity", 0.5),
        ("gradient", "float32", "structural", 7.0),
        ("lrp_z", "float32", "parity", 0.25),
        ("lrp_z", "float64", "unsupported", None),
        ("vargrad", "float32", "error", None),
        ("smoothgrad", "float32", "error", None),
    )
    standings = {"tiny": Standing({"Dense": 1}, document=document)}
    table = verdicts.table(standings)
    assert "| tiny | float32 | 1 | 1.2e-07 | 1 | 0 | 0 | 0 | **1** | **2** | 7 (`gradient`) |" in table
    assert "| tiny | float64 | 1 | 3.0e-16 | 0 | 0 | 0 | 1 | 0 | 0 | - |" in table
    faults = verdicts.faults(standings)
    assert "- `tiny`, float32, not equal: `gradient` (relative L2 0.25)" in faults
    assert "- `tiny`, float32, error: `vargrad`, `smoothgrad`: it: why" in faults


def test_one_lane_alone_is_told_if_so_asked():
    document = results(("gradient", "float64", "parity", 0.5))
    lines = verdicts.table({"tiny": Standing({}, document=document)}, ("float64",))
    assert len(lines) == 3
    assert "| tiny | float64 |" in lines[-1]
