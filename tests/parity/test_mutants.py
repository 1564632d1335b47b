"""The table of wrong ports, and the trial in which each must end red. The port answers for the references here."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from parity import keras
from parity.assets.models import shipped_names
from parity.commands.cli import main
from parity.errors import ParityError
from parity.judge import verdict
from parity.judge.checks import CHECKS
from parity.judge.known.promises import PROMISES
from parity.judge.known.table import BY_NAME, KNOWN_DIFFERENCES
from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError, find_python
from parity.run.mutants import networks, whole
from parity.run.mutants.maps import scaled
from parity.run.mutants.material import material
from parity.run.mutants.mutant import Mutant, inside, map_changed, replaced, right
from parity.run.mutants.names import matrix
from parity.run.mutants.report import Whole, counts, markdown
from parity.run.mutants.table import MUTANTS, chosen
from parity.run.mutants.trial import failed_checks, is_another, is_red, try_all
from parity.run.outcome import Outcome
from parity.run.subjects import parse
from signxai_torch.lrp import rule as rule_module
from tests.parity.echo_client import EchoClient

DENSE = "dense_mnist"
PAGE = Path(__file__).resolve().parents[2] / "docs" / "mutants.md"


def mutant(function=None, name: str = "mine", **more) -> Mutant:
    row = {"wrong": "Something.", "stopped_by": "slope", "models": (DENSE,), "methods": ("gradient",)} | more
    return Mutant(name, function=function or scaled(1.01), **row)


# --- the table -------------------------------------------------------------------------------------------------------


def test_there_are_more_than_a_hundred_on_every_kind_of_shipped_model():
    assert len(MUTANTS) == len({row.name for row in MUTANTS})
    assert len(MUTANTS) >= 120
    per_model = Counter(model for row in MUTANTS for model in row.models)
    assert all(per_model[model] >= 50 for model in shipped_names())
    assert set(per_model) == {*shipped_names(), *networks.NAMES}


def test_every_row_says_where_it_is_wrong_and_what_must_stop_it():
    known = {*(check.name for check in CHECKS), *PROMISES, "error"}
    for row in MUTANTS:
        assert row.stopped_by in known, row.name
        assert row.wrong.endswith("."), row.name
        assert row.name == row.name.lower().replace(" ", "_").replace("-", "_")
        assert 1 <= len(row.methods) <= 3, row.name
        assert [parse(method).name for method in row.methods] == list(row.methods)
    lanes = Counter(row.dtypes for row in MUTANTS)
    assert lanes["float32"] >= 20
    assert lanes["float64"] >= 10
    assert {row.stopped_by for row in MUTANTS} == known


def test_every_known_difference_has_mutants_beside_it():
    named = {row.beside for row in MUTANTS} - {None}
    assert named == {difference.name for difference in KNOWN_DIFFERENCES}


def test_a_difference_that_is_named_applies_to_the_case(tmp_path: Path):
    described = {}
    for row in MUTANTS:
        for model in row.models if row.beside else ():
            if model not in described:
                source, _inputs = material(model, tmp_path, 1)
                described[model] = keras.load(source.path).description
            for method in row.methods:
                assert BY_NAME[row.beside].applies(parse(method), described[model]), f"{row.name}, {method}"


def test_mutants_are_chosen_by_name_and_by_model():
    assert chosen() == MUTANTS
    assert [row.name for row in chosen(["nan", "zero"])] == ["nan", "zero"]
    assert all("colour" in row.models for row in chosen(tried_on=["colour"]))
    with pytest.raises(ParityError, match="no mutant 'nonsense'"):
        chosen(["nonsense"])
    with pytest.raises(ParityError, match="no mutant is tried on 'vgg16'"):
        chosen(tried_on=["vgg16"])
    with pytest.raises(ParityError, match="none of these mutants"):
        chosen(["nan"], ["colour"])


def test_a_row_without_a_sentence_is_refused():
    with pytest.raises(ValueError, match="has no wrong"):
        mutant(wrong="")


@pytest.mark.parametrize("name", networks.NAMES)
def test_small_networks_are_what_the_converter_reads(name: str, tmp_path: Path):
    source, inputs = networks.written(name, tmp_path, 2)
    module = keras.load(source.path)
    logits = [module.logits(one.array[None]) for one in inputs]
    assert all(np.isfinite(values).all() for values in logits)
    assert [one.name for one in inputs] == ["x0", "x1"]


def test_what_a_mutant_replaces_is_put_back():
    before = rule_module.divide
    module, x = keras.load(material(DENSE, Path(), 1)[0].path), torch.zeros(1, 1, 28, 28)
    broken = inside(rule_module, "divide", lambda relevance, z, guard: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        broken(module, x, "lrp_z", [0])
    assert rule_module.divide is before


def test_a_mutant_is_right_in_the_other_dtype():
    row = mutant(dtypes="float32")
    for dtype in (torch.float32, torch.float64):
        module = keras.load(material(DENSE, Path(), 1)[0].path, dtype=dtype)
        x = torch.rand(1, 1, 28, 28, dtype=dtype)
        same = np.array_equal(row(module, x, "gradient", [1]), right(module, x, "gradient", [1]))
        assert same is (dtype is torch.float64)


# --- the trial -------------------------------------------------------------------------------------------------------


def test_a_wrong_port_is_killed_by_the_check_it_names():
    results = try_all([mutant(), mutant(map_changed(lambda values: values * np.nan), "no_number", stopped_by="finite")],
                      EchoClient())  # fmt: skip
    assert results.complaints == []
    assert [(trial.killed, trial.red, trial.rows) for trial in results.trials] == [(True, 2, 2)] * 2
    assert results.trials[1].checks == ("finite",)
    assert results.killed == 2


def test_a_mutant_of_one_dtype_is_red_there_alone():
    (trial,) = try_all([mutant(dtypes="float32")], EchoClient()).trials
    assert (trial.red, trial.rows) == (1, 2)


def test_the_right_port_is_no_mutant():
    results = try_all([mutant(right)], EchoClient())
    assert results.complaints == [f"mine on {DENSE}: its maps are those of the healthy port"]


def test_a_mutant_that_lives_is_complained_of(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verdict, "CHECKS", ())
    results = try_all([mutant()], EchoClient())
    assert results.complaints == [f"mine on {DENSE}: it lives: no row of it is red"]
    assert counts(results.trials) == (0, 1)
    assert "**nothing: it lives**" in markdown(Whole(results, None, 1.0))
    assert not Whole(results, None, 1.0).green


def test_a_mutant_that_another_check_stops_is_complained_of():
    results = try_all([mutant(stopped_by="shape")], EchoClient())
    assert results.complaints == [f"mine on {DENSE}: it was stopped by rel_l2, slope, max_err, not by shape"]


def test_where_the_healthy_port_is_red_nothing_is_proved(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient"}))
    results = try_all([mutant()], EchoClient())
    assert len(results.unhealthy) == 2
    assert results.complaints[0].startswith(f"the healthy port: {DENSE}, digit_0, gradient in float64 is mismatch")


def test_where_nothing_is_compared_nothing_is_proved():
    results = try_all([mutant(methods=("occlusion",))], EchoClient())
    assert results.complaints[0].startswith(f"the healthy port: {DENSE}, digit_0, occlusion: nothing is compared")


def test_a_mutant_is_tried_without_memory_of_other_trials():
    (row,) = chosen(["added_up"])
    results = try_all([row, row], EchoClient())
    assert [trial.red for trial in results.trials] == [3, 3]


def test_a_subject_that_repeats_a_wrong_reference_is_killed():
    """The port answers for the references: right everywhere, so there is nothing to repeat but a turned Grad-CAM."""
    results = try_all([], EchoClient(), with_echoes=True, models=["not_square"])
    assert [trial.mutant.name for trial in results.trials] == ["echo_of_signxai_grad_cam_is_transposed_grad_cam"]
    assert results.complaints == []


def test_red_is_a_matter_of_status():
    row = {"status": "parity", "divergence": None, "margin": 0.999}
    assert not is_red(row)
    assert is_red(row | {"status": "structural", "divergence": "some-difference", "margin": 0.1})
    assert not is_red(row | {"status": "unjudged"})
    assert failed_checks({"status": "error"}) == ("error",)
    limits = {"rel_l2": 1.0, "slope": 1.0, "max_err": 1.0}
    numbers = {"status": "structural", "failed_check": "rel_l2", "limits": limits, "rel_l2": 2.0, "slope": 2.5}
    assert failed_checks(numbers | {"max_err": 0.5}) == ("rel_l2", "slope")


def test_rounding_makes_no_other_map():
    values = np.ones((3, 3))
    assert not is_another(values * (1 + 1e-15), values, "float64")
    assert is_another(values * (1 + 1e-12), values, "float64")
    assert is_another(values[:2], values, "float32")
    assert is_another(None, values, "float32")


# --- every method in every other's place -----------------------------------------------------------------------------


def outcome(reference: np.ndarray, subject: np.ndarray | None = None) -> Outcome:
    limits = {"rel_l2": 1e-10, "slope": 1e-10, "max_err": 1e-9}
    return Outcome({"limits": limits}, reference, reference.copy() if subject is None else subject)


def test_only_true_aliases_pass(monkeypatch: pytest.MonkeyPatch):
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(9, 9, 1)), rng.normal(size=(9, 9, 1))
    outcomes = {"a": outcome(one), "also_a": outcome(one.copy()), "b": outcome(other)}
    names = matrix(DENSE, outcomes)
    assert (names.methods, names.pairs) == (3, 6)
    assert set(names.aliases) == {("a", "also_a"), ("also_a", "a")}
    assert names.complaints == []
    # A port whose "a" is "b" is told apart from an alias by the references' own maps.
    confused = matrix(DENSE, outcomes | {"a": outcome(one, other)})
    assert confused.confused == (("a", "b"),)
    assert "the map of a is accepted for b" in confused.complaints[0]


def test_no_methods_prove_nothing():
    assert matrix(DENSE, {}).complaints == [f"{DENSE}: no method has a map on both sides"]


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole, "ReferenceClient", EchoClient)


@pytest.mark.usefixtures("echo")
def test_the_command_tells_of_every_mutant(tmp_path: Path):
    page, results = tmp_path / "mutants.md", tmp_path / "mutants.json"
    arguments = ["--mutant", "scale_1_0014", "--mutant", "raises_in_float64", "--markdown", str(page)]
    done = CliRunner().invoke(main, ["mutants", *arguments, "--json", str(results)])
    assert done.exit_code == 0, done.output
    assert "2 of 2 mutants killed, in 2 trials on 1 models" in done.output
    assert "| scale_1_0014 | All values are 0.14 % too large. |" in page.read_text()
    document = json.loads(results.read_text())
    assert (document["green"], document["mutants"], document["mutants_killed"]) == (True, 2, 2)
    assert document["trials"][1]["stopped_by"] == ["error"]


@pytest.mark.usefixtures("echo")
def test_the_command_ends_red_where_a_mutant_lives(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(verdict, "CHECKS", ())
    done = CliRunner().invoke(main, ["mutants", "--mutant", "scale_1_0014", "--quiet"])
    assert done.exit_code == 1
    assert "it lives" in done.output
    assert "0 of 1 mutants killed" in done.output


@pytest.mark.usefixtures("echo")
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--mutant", "nonsense"], "no mutant 'nonsense'"),
        (["--model", "vgg16"], "no mutant is tried on 'vgg16'"),
        (["--markdown", "nowhere/page.md"], "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_tried_is_refused(arguments: list[str], says: str):
    done = CliRunner().invoke(main, ["mutants", *arguments])
    assert done.exit_code == 2
    assert says in done.output


def test_the_page_is_that_of_the_table():
    """`make mutants` writes it."""
    text = PAGE.read_text(encoding="utf-8")
    assert [row.name for row in MUTANTS if f"| {row.name} |" not in text] == []
    assert "it lives" not in text


# --- with TensorFlow -------------------------------------------------------------------------------------------------


@pytest.mark.reference
@pytest.mark.slow
def test_mutants_beside_known_differences_are_killed_by_the_references(tmp_path: Path):
    try:
        find_python()
    except ReferenceEnvironmentError as error:
        pytest.skip(f"no reference environment: {error}")
    models = ["permuted", "concatenate", "norm_without_offset"]
    with ReferenceClient(store=tmp_path, threads=1, keep_both=True) as client:
        results = try_all(chosen(tried_on=models), client, models, with_echoes=True)
    assert results.complaints == []
    assert {trial.mutant.beside for trial in results.trials} >= {"signxai-permute-of-equal-sizes"}
    assert any(trial.mutant.name.startswith("echo_of_signxai") for trial in results.trials)


def test_what_is_replaced_is_inherited_again_afterwards():
    class Base:
        value = 1

    class Derived(Base):
        pass

    with replaced(Derived, "value", 2)():
        assert Derived.value == 2
    assert "value" not in vars(Derived)
    Base.value = 3
    assert Derived.value == 3
