"""The coverage matrix reads prefixes and modifiers off the names and shows what is missing."""

from __future__ import annotations

from parity.report.coverage import Cell, coverage
from parity.report.rows import group
from tests.parity.report.test_rows import case


def cells(results, known):
    return {
        (matrix.title.split(":")[0].split()[0], line, column): cell
        for matrix in coverage(group(results), known)
        for line, row in matrix.rows
        for column, cell in zip(matrix.columns, row, strict=True)
    }


def test_names_find_their_place():
    names = ["lrp_epsilon_0_1", "lrpsign_epsilon_0_25_std_x_mu_0_5", "zblrp_z_VGG16ILSVRC", "w2lrp_z", "gradient"]
    names += [
        "gradient_x_sign_mu_neg_0_5",
        "grad_cam_VGG16ILSVRC",
        "guided_backprop_x_input",
        "lrp.sequential_preset_a",
    ]
    found = cells([case(name) for name in names], None)
    placed = {key: cell.method for key, cell in found.items() if cell.method}
    assert placed == {
        ("LRP", "epsilon_0_1", "lrp"): "lrp_epsilon_0_1",
        ("LRP", "epsilon_0_25_std_x_mu_0_5", "lrpsign"): "lrpsign_epsilon_0_25_std_x_mu_0_5",
        ("LRP", "z", "zblrp"): "zblrp_z_VGG16ILSVRC",
        ("LRP", "z", "w2lrp"): "w2lrp_z",
        ("Gradient-based", "gradient", "plain"): "gradient",
        ("Gradient-based", "gradient", "x_sign_mu_neg_0_5"): "gradient_x_sign_mu_neg_0_5",
        ("Gradient-based", "grad_cam", "plain"): "grad_cam_VGG16ILSVRC",
        ("Gradient-based", "guided_backprop", "x_input"): "guided_backprop_x_input",
        ("Dotted", "sequential_preset_a", "lrp"): "lrp.sequential_preset_a",
    }


def test_empty_cells_say_why():
    found = cells([case("lrp_z"), case("w2lrp_z"), case("lrp_flat")], {"lrp_z", "w2lrp_epsilon_10", "w2lrp_z"})
    assert found["LRP", "epsilon_10", "w2lrp"] == Cell("w2lrp_epsilon_10", "not done")
    assert found["LRP", "flat", "w2lrp"] == Cell(None, "not in the reference")
    assert cells([case("lrp_z"), case("w2lrp_flat")], None)["LRP", "flat", "lrp"].state == "not in this run"


def test_a_cell_shows_the_worst_model():
    found = cells([case("lrp_z", model="a"), case("lrp_z", "mismatch", 9.0, model="b")], None)
    assert found["LRP", "z", "lrp"] == Cell("lrp_z", "mismatch", 2)


def test_lines_are_sorted_as_numbers():
    names = [f"lrp_epsilon_{n}" for n in ("10", "0_5", "0_001", "5", "100")]
    (matrix,) = coverage(group([case(name) for name in names]), None)
    assert [line for line, _ in matrix.rows] == [f"epsilon_{n}" for n in ("0_001", "0_5", "5", "10", "100")]


def test_the_unprefixed_column_stands_first():
    (matrix,) = coverage(group([case("flatlrp_z"), case("lrp_z"), case("w2lrp_z")]), None)
    assert matrix.columns == ("lrp", "flatlrp", "w2lrp")
