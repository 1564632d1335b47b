"""The pytest plugin, on test files of its own whose outcomes are made up: nothing heavy runs in them."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

# pytester forgets what is imported within its runs, and torch cannot be imported twice in one process.
import parity.run.session
import parity.testing.report_writer  # noqa: F401
from parity.judge import verdict
from parity.report import load

pytestmark = pytest.mark.slow

pytest_plugins = ("pytester",)

WITHOUT = """
import os
import sys

HARNESS = {"h5py", "click", "rich", "filelock", "jinja2", "jsonschema_rs", "PIL", "platformdirs", "skimage", "scipy"}


class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HARNESS:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Missing())
if hasattr(os, "sched_getaffinity"):
    del os.sched_getaffinity
import pytest

sys.exit(pytest.main(sys.argv[1:]))
"""

# Without the plugins of other packages, which pytest would import anew for every run.
QUICK = ("--strict-markers", "-p", "no:hypothesispytest", "-p", "no:cacheprovider")

TESTS = """
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

CASES = [("toy", "lrp_z", "lrp"), ("toy", "lrp_z_x_input", "lrp"), ("toy", "gradient", "gradient"),
         ("other", "gradient", "gradient"), ("other", "lrp_flat", "lrp")]


def runner(model, method):
    one = SimpleNamespace(name="x", sha256="1" * 64, array=np.ones((2, 2, 1), np.float32), label=None, display=None)
    source = SimpleNamespace(name=model, path=Path(model + ".h5"), sha256="0" * 64, description="made up")
    return SimpleNamespace(
        facts=SimpleNamespace(
            plan=SimpleNamespace(source=source, inputs=[one]),
            description=SimpleNamespace(input_shape=(2, 2, 1), layers=(), parameters=0),
            top1_agreement=1.0, logits_rel_l2={"float32": 1e-7},
            rules={method: [("fc1", "Linear", "a rule")]},
            reference_network="",
            reference_rules={method: {"reference": "signxai", "layers": [], "problem": "made up"}},
        ),
        subject=SimpleNamespace(name="signxai_torch", versions=lambda: {"torch": "2"}),
        client=SimpleNamespace(
            environment=lambda: {"tensorflow": "2"}, store_errors=[OSError("store is full")], fault=None,
            unable="no reference environment",
        ),
    )


def outcome(model, method, family, status="parity"):
    row = {
        "model": model, "input": "x", "target": 1, "method": method, "family": family, "reference": "signxai",
        "dtype": "float64", "status": status, "failed_check": None, "message": "", "margin": 0.5,
        "limits": {"rel_l2": 1e-10, "slope": 1e-10, "max_err": 1e-9, "pearson": 0.95, "ssim": 0.95},
        "divergence": None, "reproduce": "parity run", "reference_stored": "2026-11-02T08:00:00+00:00",
    }
    maps = np.full((2, 2, 1), float(len(method)))
    return SimpleNamespace(row=row, reference=maps, subject=maps + 1)


def case(model, method, family):
    marks = [pytest.mark.parity_model(name=model), pytest.mark.parity_method(name=method),
             pytest.mark.parity_family(name=family)]
    return pytest.param(model, method, family, id=f"{model}-{method}", marks=marks)


@pytest.mark.parametrize(("model", "method", "family"), [case(*one) for one in CASES])
def test_map(model, method, family, parity_record):
    how = os.environ.get("BEHAVE", "")
    if method == "lrp_flat" and how == "raise":
        raise RuntimeError("the runner broke")
    if method == "lrp_flat" and how == "crash":
        os._exit(3)
    if method == "lrp_flat" and how == "interrupt":
        raise KeyboardInterrupt
    status = "unjudged" if how == "unjudged" else "parity"
    parity_record(runner(model, method), [outcome(model, method, family, status)])
    assert method != "lrp_flat" or how != "mismatch"


def test_other():
    pass
"""


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    monkeypatch.setenv("PYTEST_XDIST_AUTO_NUM_WORKERS", "2")
    pytester.makepyfile(test_toy=TESTS)

    def call(*arguments: str, behave: str = "", **options) -> pytest.RunResult:
        monkeypatch.setenv("BEHAVE", behave)
        return pytester.runpytest_inprocess(*QUICK, *arguments, **options)

    return call


def _check_report(directory: Path) -> None:
    document = load(directory / "parity.json")
    assert len(document["results"]) == 5
    assert [model["name"] for model in sorted(document["models"], key=lambda one: one["name"])] == ["other", "toy"]
    for kind in ("rules", "reference_rules"):
        rules = {model["name"]: sorted(model[kind]) for model in document["models"]}
        assert rules == {"toy": ["gradient", "lrp_z", "lrp_z_x_input"], "other": ["gradient", "lrp_flat"]}
    assert document["environment"]["reference"] == {"tensorflow": "2"}
    assert document["summary"]["green"] is True
    assert document["command"].startswith("pytest ")
    with h5py.File(directory / "parity-arrays.h5") as file:
        for index, row in enumerate(document["results"]):
            assert np.all(file[f"results/{index}/reference"][()] == len(row["method"]))
            assert np.all(file[f"results/{index}/subject"][()] == len(row["method"]) + 1)
        assert file["inputs/toy/x"].shape == (2, 2, 1)
    names = {path.name for path in directory.iterdir()}
    assert names == {"parity.json", "parity.html", "summary.md", "junit.xml", "parity-arrays.h5"}


def test_a_test_run_writes_the_report(run, pytester: pytest.Pytester) -> None:
    result = run("--parity-report=out")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["parity: signxai-torch-parity *torch *zennit *threads: *store: *"])
    result.stdout.fnmatch_lines(
        [
            "All 4 methods at parity on other, toy*",
            "5 of 5 cases compared; 0 held to something else; 0 unjudged.",
            "5 of 5 reference answers are stored ones, the oldest of 2026-11-02.",
            "No reference could be asked in this run: no reference environment.",
            "store: store is full",
        ]
    )
    result.stdout.fnmatch_lines(["report: out/parity.html"])
    _check_report(pytester.path / "out")


def test_workers_of_xdist_ship_rows_and_maps(run, pytester: pytest.Pytester) -> None:
    result = run("--parity-report=out", "-n", "2")
    result.assert_outcomes(passed=6)
    _check_report(pytester.path / "out")


def test_a_judge_that_accepts_wrong_maps_fails_the_run(run, pytester: pytest.Pytester, monkeypatch) -> None:
    monkeypatch.setattr(verdict, "CHECKS", ())
    result = run("--parity-report=out")
    result.assert_outcomes(passed=6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["*the judge accepted * maps that are wrong on purpose*"])
    assert load(pytester.path / "out" / "parity.json")["summary"]["green"] is False


def test_nothing_is_written_unless_asked_for(run, pytester: pytest.Pytester) -> None:
    run().assert_outcomes(passed=6)
    assert not list(pytester.path.glob("**/parity.json"))


def test_a_failing_case_is_in_the_report(run, pytester: pytest.Pytester) -> None:
    result = run("--parity-report=out", behave="mismatch")
    result.assert_outcomes(passed=5, failed=1)
    assert len(load(pytester.path / "out" / "parity.json")["results"]) == 5


def test_a_test_that_breaks_before_it_compares_is_an_error_in_the_report(run, pytester: pytest.Pytester) -> None:
    result = run("--parity-report=out", behave="raise")
    result.assert_outcomes(passed=5, failed=1)
    document = load(pytester.path / "out" / "parity.json")
    (row,) = [row for row in document["results"] if row["status"] == "error"]
    assert row["method"] == "lrp_flat"
    assert row["model"] == "other"
    assert "the runner broke" in row["message"]
    assert document["summary"]["green"] is False


def test_a_worker_that_crashes_is_named(run, pytester: pytest.Pytester) -> None:
    result = run("--parity-report=out", "-n", "2", behave="crash")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["failed tests that are no case of the report: *test_map?other-lrp_flat?"])
    document = load(pytester.path / "out" / "parity.json")
    assert len(document["results"]) == 4


def test_ctrl_c_keeps_what_is_done(run, pytester: pytest.Pytester) -> None:
    result = run("--parity-report=out", behave="interrupt", no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    document = load(pytester.path / "out" / "parity.json")
    assert document["interrupted"] is True
    assert document["summary"]["green"] is False
    assert len(document["results"]) == 4
    result.stdout.fnmatch_lines(["Stopped after 4 cases: 3 of 3 methods at parity on other, toy*"])
    assert (pytester.path / "out" / "summary.md").read_text().startswith("## Parity: stopped after 4 cases")


def test_a_run_that_stops_at_its_first_failure_says_so(run, pytester: pytest.Pytester) -> None:
    result = run("--parity-report=out", "-x", behave="raise")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["Stopped after 5 cases: *"])
    assert load(pytester.path / "out" / "parity.json")["summary"]["stopped"] is True


def test_a_run_in_which_nothing_was_compared_fails(run, pytester: pytest.Pytester) -> None:
    result = run("--parity-report=out", behave="unjudged")
    result.assert_outcomes(passed=6)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "0 of 5 cases compared; 0 held to something else; 5 unjudged.",
            "The tests passed, but the report is not green*",
        ]
    )


@pytest.mark.parametrize(
    ("arguments", "passed"),
    [
        (["--parity-method", "lrp_z"], 1),
        (["--parity-method", "lrp_z", "--parity-method", "gradient"], 3),
        (["--parity-method", "gradient", "--parity-model", "other"], 1),
        (["--parity-family", "lrp"], 3),
        (["--parity-method", "lrp_z", "-k", "other"], 0),
        (["-m", "parity_family(name='lrp')"], 3),
        (["-m", "parity_model(name='toy') and not parity_method(name='gradient')"], 2),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_selecting(run, arguments: list[str], passed: int) -> None:
    run(*arguments).assert_outcomes(passed=passed, deselected=6 - passed)


def test_a_wrong_method_names_the_nearest(run) -> None:
    result = run("--parity-method", "lrp_flatt")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--parity-method: unknown method 'lrp_flatt'*Nearest: lrp_flat*"])


def test_a_report_that_cannot_be_written_fails_the_run(run, pytester: pytest.Pytester) -> None:
    result = run("--parity-report=out", "-k", "test_other")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["NO REPORT: no parity case ran"])
    (pytester.path / "file").write_text("")
    result = run("--parity-report=file")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--parity-report: file: *"])


def test_the_markers_are_told(run) -> None:
    run("--markers").stdout.fnmatch_lines(["@pytest.mark.parity_family(name): *"])


@pytest.mark.parametrize(
    "options", [(), ("--parity-report=out",), ("--parity-method=lrp_z",), ("--parity-family=lrp",)]
)
def test_an_environment_with_the_port_alone_runs_its_tests(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    """No package of the harness is there, and the system cannot say which cores there are."""
    program = pytester.makepyfile(without=WITHOUT)
    pytester.makepyfile(test_of_another_project="def test_it(): pass")
    plugins = [
        part for name in ("platformdirs", "hypothesispytest", "benchmark", "xdist") for part in ("-p", f"no:{name}")
    ]
    done = pytester.run(sys.executable, program, *plugins, *options, "test_of_another_project.py")
    if options:
        assert done.ret == pytest.ExitCode.USAGE_ERROR
        done.stderr.fnmatch_lines(["ERROR: the options --parity-* need the harness: pip install * (No module named *)"])
        done.stderr.no_fnmatch_line("*Traceback*")
    else:
        done.assert_outcomes(passed=1)


def test_loading_the_plugin_imports_nothing_heavy(pytester: pytest.Pytester) -> None:
    script = (
        "import sys, pytest; before = set(sys.modules); import parity.testing.plugin; "
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))"
    )
    assert pytester.run(sys.executable, "-c", script).outlines == ["parity"]
