"""What is finished survives: signals, kills, full disks, exceptions; the next run goes on there, each case once."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from parity.assets.models import WEIGHTS
from parity.claimed import ClaimedFolder
from parity.reference.environment import ReferenceEnvironmentError
from parity.reference.request import ReferenceAnswer
from parity.report import load
from parity.run import sameness
from parity.run.document import Document
from parity.run.journal import LINES, MAPS, PREFIX, Journal, Reader
from parity.run.subjects import SignxaiTorch, SubjectAnswer, loading
from parity.run.trace.table import Trace
from parity.run.trace.tracing import NoTraceError
from parity.run.unfinished import finished_cases
from tests.parity.echo_client import EchoClient
from tests.parity.test_cli import DRIVER, ROOT

pytestmark = pytest.mark.slow

pytest_plugins = ("tests.parity.command_line",)
DENSE = ["run", "--model", "dense_mnist", "--samples", "1"]
TWO = [*DENSE, "--method", "gradient,lrp_z"]
TAKEN = re.compile(r"taken over from an earlier run that did not end: (\d+) of \d+ cases")
REPORTS = Path("reports")


class Listening(EchoClient):
    """Notes of which methods maps are asked."""

    asked: list[str]

    def answer(self, request):
        if not request.call.asks_for_logits:
            type(self).asked.append(request.call.name)
        return super().answer(request)


@pytest.fixture
def asked(parity, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(Listening, "asked", [], raising=False)
    monkeypatch.setattr("parity.run.session.ReferenceClient", Listening)
    return Listening.asked


def interrupted(parity, monkeypatch: pytest.MonkeyPatch, *arguments: str, after: int = 4) -> None:
    """Run with a Ctrl-C after so many requests: two are the logits, two each method."""
    monkeypatch.setattr(EchoClient, "interrupt_after", after)
    result = parity(*arguments)
    assert result.exit_code == 130, result.output
    monkeypatch.setattr(EchoClient, "interrupt_after", None)


def interrupted_after(rows: int, parity, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run with a Ctrl-C after so many new rows."""
    real, left = Document.add, iter(range(rows))

    def add(self, outcome, order=None):
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(self, outcome, order)

    with monkeypatch.context() as patch:
        patch.setattr(Document, "add", add)
        result = parity(*arguments)
    assert result.exit_code == 130, result.output


def taken(result: Any) -> int:
    found = TAKEN.search(result.stderr)
    return int(found[1]) if found else 0


def cases(path: Path = REPORTS) -> Counter[tuple[str, ...]]:
    rows = load(path / "parity.json")["results"]
    return Counter((row["model"], row["input"], row["method"], row["dtype"]) for row in rows)


def names(folder: Path = REPORTS) -> set[str]:
    return {path.name for path in folder.iterdir()}


WHOLE = {"parity.json", "parity.html", "parity-arrays.h5", "summary.md", "junit.xml"}


def require_pair(folder: Path = REPORTS) -> None:
    """JSON and arrays are of one run, and every row that was compared has both maps."""
    document = load(folder / "parity.json")
    with h5py.File(folder / "parity-arrays.h5") as file:
        assert file.attrs["created"] == document["created"]
        for index, row in enumerate(document["results"]):
            if row["status"] == "parity":
                assert {"reference", "subject"} <= set(file[f"results/{index}"])
        for entry in document["inputs"]:
            assert file[f"inputs/{entry['model']}/{entry['name']}"].shape == tuple(entry["shape"])


# --- a process that ends ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "times", "code"),
    [
        (signal.SIGKILL, 1, -signal.SIGKILL),
        (signal.SIGSEGV, 1, -signal.SIGSEGV),
        (signal.SIGTERM, 1, 143),
        (signal.SIGHUP, 2, 129),
        (signal.SIGINT, 10, 130),
    ],
)
def test_a_run_that_is_ended_is_reported_and_gone_on_with(
    number: int, times: int, code: int, parity, asked: list[str], tmp_path: Path
) -> None:
    command = [sys.executable, "-c", DRIVER, *DENSE, "--method", "core", "--report", str(tmp_path / "reports")]
    if number == signal.SIGHUP and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
        pytest.skip("these tests run under nohup, and so does the run: it ignores the signal")
    environment = {**os.environ, "ECHO_SECONDS": "0.3", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = ""
            while not re.match(r"\[[1-9]\d*/\d+ cases", said):
                said = process.stderr.readline()
                assert said, "the run ended too early"
            for _ in range(times):
                process.send_signal(number)
                time.sleep(0.05)
            rest = process.stderr.read()
            assert process.wait(60) == code, rest
        finally:
            process.kill()
    by_a_signal_it_heeds = code > 0
    assert ("the finished cases are in the report" in rest) is by_a_signal_it_heeds
    assert (REPORTS / "parity.json").exists() is by_a_signal_it_heeds
    finished = finished_cases(REPORTS)
    assert 2 <= len(finished) < 46
    assert "Stopped after" in parity("report", "reports").stdout
    assert set(cases()) == set(finished)
    require_pair()
    result = parity(*DENSE, "--method", "core")
    assert result.exit_code == 0, result.output
    assert taken(result) == len(finished)
    assert len(cases()) == cases().total() == 48
    done = {method for _, _, method, _ in finished if method in ("gradient", "smoothgrad")}
    assert not done & set(asked), "a finished method was asked for again"
    require_pair()
    assert names() == WHOLE


def test_the_rows_are_those_of_a_run_that_nobody_disturbed(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = np.random.default_rng(3).normal(size=(20, 28, 28, 1)).astype(np.float32)
    np.save("x.npy", inputs)
    command = ["run", "--model", "dense_mnist", "--inputs", "x.npy", "--method", "gradient,lrp_z,lrp_flat"]
    for rows in (40, 50, 13, 9):  # in the first 16 inputs, within methods and lanes, then in the others
        interrupted_after(rows, parity, monkeypatch, *command)
    assert len(finished_cases(REPORTS)) == 40 + 50 + 13 + 9
    result = parity(*command)
    assert result.exit_code == 0
    assert taken(result) == 40 + 50 + 13 + 9
    assert parity(*command, "--report", "whole").exit_code == 0
    pieces, whole = load(REPORTS / "parity.json"), load(Path("whole/parity.json"))
    for document in (pieces, whole):
        for row in document["results"]:
            for name in [key for key in row if key.startswith("seconds")]:
                del row[name]
        for name in ("created", "begun", "seconds", "command"):
            del document[name]
    assert pieces == whole
    with h5py.File("reports/parity-arrays.h5") as one, h5py.File("whole/parity-arrays.h5") as other:
        for index in range(len(whole["results"])):
            for side in ("reference", "subject"):
                assert np.array_equal(one[f"results/{index}/{side}"], other[f"results/{index}/{side}"])


class Refusing:
    """A subject that has no `gradient`."""

    name, spec = "refusing", "refusing"

    def __init__(self) -> None:
        self._inner = SignxaiTorch()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def attribute_many(self, module, inputs, targets, methods):
        answers = self._inner.attribute_many(module, inputs, targets, methods)
        none = SubjectAnswer(None, error="it has none", unsupported=True)
        return {name: none if name == "gradient" else answer for name, answer in answers.items()}


def killed_after(rows: int, parity, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    """Run until so many new rows are there, and leave what a killed process leaves: the journal alone."""
    before = {name: (REPORTS / name).read_bytes() for name in WHOLE if (REPORTS / name).exists()}
    interrupted_after(rows, parity, monkeypatch, *arguments)
    for name in WHOLE:
        (REPORTS / name).unlink()
        if name in before:
            (REPORTS / name).write_bytes(before[name])


def test_the_report_of_a_killed_run_with_unsupported_cases_is_not_green(
    parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parity.run.session.subject", lambda _spec: Refusing())
    killed_after(3, parity, monkeypatch, *TWO)
    result = parity("report", "reports")
    assert result.exit_code == 1, result.output
    summary = load(REPORTS / "parity.json")["summary"]
    assert (summary["unsupported"], summary["planned"], summary["stopped"], summary["green"]) == (2, 4, True, False)
    assert parity(*TWO).exit_code == 0


def test_rows_of_inputs_that_are_no_longer_asked_for_do_not_stand_for_those_that_are(
    parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "ab":
        np.save(f"{name}.npy", np.full((28, 28, 1), 0.5 if name == "a" else 0.6, np.float32))
    command = ["run", "--model", "dense_mnist", "--method", "gradient", "--inputs"]
    killed_after(2, parity, monkeypatch, *command, "?.npy")
    killed_after(0, parity, monkeypatch, *command, "b.npy")
    assert parity("report", "reports").exit_code == 1
    assert load(REPORTS / "parity.json")["summary"]["stopped"] is True


def test_an_edited_input_is_not_reported_with_its_old_rows(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(3).normal(size=(20, 28, 28, 1)).astype(np.float32)
    for number in range(20):
        np.save(f"x_{number:02}.npy", x[number])
    command = ["run", "--model", "dense_mnist", "--inputs", "x_*.npy", "--method", "gradient"]
    killed_after(36, parity, monkeypatch, *command)
    np.save("x_17.npy", x[17] + 1)
    np.save("x_01.npy", x[1] + 1)
    interrupted_after(1, parity, monkeypatch, *command)
    assert len(cases()) == 36 - 2 - 1 + 1
    assert not [case for case in cases() if case[1] == "x_17"]
    require_pair()
    assert "Stopped after 34 of 40" in parity("report", "reports").stdout, "the same from the journal"
    result = parity(*command)
    assert (result.exit_code, taken(result)) == (0, 34)


def test_traces_are_taken_over_and_made_where_they_are_missing(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    followed = []

    def trace(_runner, method, dtype, _index, _limit):
        followed.append(method)
        raise NoTraceError("nobody knows")

    monkeypatch.setattr("parity.run.trace.failing.trace", trace)
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient"}))
    interrupted(parity, monkeypatch, *TWO)
    assert not followed, "they come after the last method"
    assert parity(*TWO).exit_code == 1
    assert followed == ["gradient"]
    rows = {row["dtype"]: row for row in load(REPORTS / "parity.json")["results"] if row["method"] == "gradient"}
    assert rows["float64"]["trace"] == {"problem": "nobody knows"}


# --- what may be taken over ---------------------------------------------------------------------------------------


def changed_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sameness, "_code", lambda: "another")


def changed_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoClient, "environment", lambda _self: {"echo": "2"})


def changed_subject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parity.run.subjects.signxai_torch.SignxaiTorch.versions", lambda _self: {"torch": "0"})


def unknown_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    def environment(_self):
        raise ReferenceEnvironmentError("there is none")

    calls = iter([environment, EchoClient.environment, EchoClient.environment, EchoClient.environment])
    monkeypatch.setattr(EchoClient, "environment", lambda self: next(calls)(self))


@pytest.mark.parametrize("change", [changed_code, changed_reference, changed_subject, unknown_reference])
def test_what_changes_a_case_has_it_computed_again(change: Any, parity, asked, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(parity, monkeypatch, *TWO)
    change(monkeypatch)
    asked.clear()
    result = parity(*TWO)
    assert result.exit_code == 0, result.output
    assert taken(result) == 0
    assert "gradient" in asked
    assert names() == WHOLE, "what was superseded is gone"


@pytest.mark.parametrize("more", [["--anew"], ["--target", "3"], ["--refresh"], ["--reference", "signxai"]])
def test_other_options_have_it_computed_again(more: list[str], parity, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(parity, monkeypatch, *TWO)
    assert taken(parity(*TWO, *more)) == 0
    assert len(cases()) == cases().total() == 4


def test_options_that_decide_nothing_do_not_count(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(parity, monkeypatch, *TWO)
    assert taken(parity(*TWO, "--timeout", "7", "--quiet", "--traces", "0")) == 2


def test_a_subject_s_file_and_what_it_imports_late_are_looked_at(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("mine.py").write_text(
        "import torch\n\ndef f(model, x, method, target, **parameters):\n    import helper\n\n"
        "    x = x.requires_grad_()\n    return helper.times(torch.autograd.grad(model(x)[0, target[0]], x)[0])\n"
    )
    Path("helper.py").write_text("def times(x):\n    return x\n")
    command = [*DENSE, "--method", "gradient,gradient_x_input", "--subject", "mine.py:f", "--traces", "0"]
    monkeypatch.setattr(loading, "_loaded", {})  # as another process has it
    interrupted(parity, monkeypatch, *command)
    monkeypatch.setattr(loading, "_loaded", {})
    assert taken(parity(*command)) == 2
    interrupted(parity, monkeypatch, *command)
    monkeypatch.setattr(loading, "_loaded", {})
    Path("helper.py").write_text("def times(x):\n    return 2 * x\n")
    assert taken(parity(*command)) == 0
    assert {row["status"] for row in load(REPORTS / "parity.json")["results"]} == {"mismatch"}


def test_a_package_that_a_subject_imports_is_looked_at(parity, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    site = tmp_path / "site"
    about = site / "their_package-1.dist-info"
    about.mkdir(parents=True)
    metadata = "Metadata-Version: 2.1\nName: their-package\nVersion: {}\n"
    (about / "METADATA").write_text(metadata.format(1))
    (about / "top_level.txt").write_text("their_module\n")
    (site / "their_module.py").write_text("FACTOR = 1\n")
    Path("mine.py").write_text(
        "import torch\nimport their_module\n\ndef f(model, x, method, target, **parameters):\n"
        "    x = x.requires_grad_()\n"
        "    return their_module.FACTOR * torch.autograd.grad(model(x)[0, target[0]], x)[0]\n"
    )
    monkeypatch.syspath_prepend(str(site))
    sameness._distributions.cache_clear()
    try:
        command = [*DENSE, "--method", "gradient,gradient_x_input", "--subject", "mine.py:f", "--traces", "0"]
        interrupted(parity, monkeypatch, *command)
        assert taken(parity(*command)) == 2
        interrupted(parity, monkeypatch, *command)
        (about / "METADATA").write_text(metadata.format(2))
        assert taken(parity(*command)) == 0
    finally:
        sameness._distributions.cache_clear()
        sys.modules.pop("their_module", None)


@pytest.mark.parametrize(("name", "value"), [("MKL_CBWR", "AVX2"), ("PARITY_STORE", "another")])
def test_variables_of_the_environment_that_decide_a_case_are_looked_at(
    name: str, value: str, parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(parity, monkeypatch, *TWO)
    with monkeypatch.context() as patch:
        patch.setenv(name, value)
        assert taken(parity(*TWO)) == 0


def test_an_input_and_a_model_that_changed_are_computed_again(parity, asked, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("a", 0.1), ("b", 0.2)):
        np.save(f"{name}.npy", np.full((28, 28, 1), value, np.float32))
    command = ["run", "--model", "m.h5", "--inputs", "?.npy", "--method", "gradient,lrp_z"]
    Path("m.h5").write_bytes((WEIGHTS / "dense_mnist.h5").read_bytes())
    interrupted(parity, monkeypatch, *command)
    np.save("b.npy", np.full((28, 28, 1), 0.3, np.float32))
    np.save("c.npy", np.full((28, 28, 1), 0.4, np.float32))
    result = parity(*command)
    assert result.exit_code == 0
    assert taken(result) == 2
    assert len(cases()) == cases().total() == 3 * 4
    require_pair()
    interrupted(parity, monkeypatch, *command)
    with h5py.File("m.h5", "r+") as file:
        file.attrs["note"] = "another file"
    result = parity(*command)
    assert taken(result) == 0
    assert len(cases()) == cases().total() == 3 * 4


def test_error_rows_are_tried_again(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    class Crashing(EchoClient):
        def answer(self, request):
            if request.call.name == "gradient":
                return [ReferenceAnswer(None, error="it crashed", error_kind="crash") for _ in request.inputs]
            return super().answer(request)

    monkeypatch.setattr("parity.run.session.ReferenceClient", Crashing)
    interrupted(parity, monkeypatch, *TWO, after=2)
    assert Counter(row["status"] for row in load(REPORTS / "parity.json")["results"]) == {"error": 2}
    assert finished_cases(REPORTS) == []
    monkeypatch.setattr("parity.run.session.ReferenceClient", EchoClient)
    result = parity(*TWO)
    assert (result.exit_code, taken(result)) == (0, 0)
    assert set(cases().values()) == {1}


def test_a_run_of_other_cases_leaves_an_unfinished_one_alone(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(parity, monkeypatch, *TWO)
    assert parity(*DENSE, "--method", "lrp_flat").exit_code == 0
    assert finished_cases(REPORTS) == list(cases()), "the report is the newer one"
    (left,) = (path for path in REPORTS.iterdir() if path.name.startswith(PREFIX))
    assert parity("report", str(left), "--out", "rescued").exit_code == 1
    assert {method for _, _, method, _ in cases(Path("rescued"))} == {"gradient"}
    assert taken(parity(*TWO)) == 2
    assert names() == WHOLE


@pytest.mark.parametrize("more", [["--subject", "zennit"], ["--target", "3"], ["--reference", "innvestigate"]])
def test_a_whole_report_of_something_else_leaves_unfinished_cases_alone(
    more: list[str], parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(parity, monkeypatch, *TWO, *more)
    parity(*TWO)
    assert taken(parity(*TWO, *more)) == 2


def test_an_older_journal_does_not_take_the_place_of_a_run_that_went_on(
    parity, monkeypatch: pytest.MonkeyPatch
) -> None:
    interrupted(parity, monkeypatch, *TWO)
    interrupted(parity, monkeypatch, *DENSE, "--method", "lrp_flat,lrp_w_square")
    assert taken(parity(*TWO)) == 2
    assert parity("report", "reports").exit_code == 0
    assert {method for _, _, method, _ in cases()} == {"gradient", "lrp_z"}


# --- disks --------------------------------------------------------------------------------------------------------


@contextmanager
def no_file_over(size: int) -> Iterator[None]:
    """No file of this process grows over so many bytes; what HDF5 does on a full disk is the same."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("what", ["maps", "arrays", "page"])
def test_a_folder_that_is_full_is_a_sentence_and_the_old_report_stays(what: str, parity) -> None:
    command = [*DENSE, "--method", "core"]
    assert parity(*command).exit_code == 0
    before = {name: (REPORTS / name).read_bytes() for name in WHOLE}
    limit = 100_000 if what == "maps" else 700_000
    if what == "page":  # of few methods it is larger than their maps
        command, limit = [*DENSE, "--method", "gradient"], 60_000
    with no_file_over(limit):
        result = parity(*command)
    assert result.exit_code == 2
    assert "error: cannot write to the report's folder" in result.stderr
    assert "File too large" in result.stderr
    assert {name: (REPORTS / name).read_bytes() for name in WHOLE} == before
    (left,) = names() - WHOLE
    assert left.startswith(PREFIX)
    assert len(finished_cases(REPORTS)) > 0
    result = parity(*command)
    assert result.exit_code == 0, result.output
    assert taken(result) > 0
    assert names() == WHOLE
    require_pair()


def test_a_journal_whose_end_is_torn_and_whose_maps_are_damaged(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [*DENSE, "--method", "gradient,lrp_z,lrp_flat"]
    interrupted_after(4, parity, monkeypatch, *command)
    (folder,) = REPORTS.glob(f"{PREFIX}*")
    lines, maps = folder / LINES, folder / MAPS
    assert len(finished_cases(REPORTS)) == 4
    lines.write_bytes(lines.read_bytes()[:-40])  # the last row, or what came after it
    content = bytearray(maps.read_bytes())
    position = content.find(b"\0" * 64, 28 * 28 * 8) + 28 * 28 * 8  # of some map
    content[position] ^= 1
    maps.write_bytes(content)
    result = parity(*command)
    assert result.exit_code == 0, result.output
    assert 0 < taken(result) < 4
    assert set(cases().values()) == {1}
    require_pair()


def damage(kind: str) -> int:
    """Damage the arrays of every record of a kind, and return how many there are."""
    (folder,) = REPORTS.glob(f"{PREFIX}*")
    with Reader(folder) as journal:
        records = [record for _, record in journal.records() if record["kind"] == kind and "maps" in record]
    with (folder / MAPS).open("r+b") as file:
        for record in records:
            for position, *_ in record["maps"].values():
                file.seek(position)
                file.write(b"\x7f\x7f\x7f\x7f")
    return len(records)


def test_a_damaged_input_is_written_again(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [*DENSE, "--method", "gradient,lrp_z,lrp_flat"]
    killed_after(4, parity, monkeypatch, *command)
    assert damage("input") == 1
    assert parity("report", "reports").exit_code == 2, "no row without its input"
    interrupted_after(0, parity, monkeypatch, *command)
    assert len(cases()) == 4
    require_pair()
    result = parity(*command)
    assert (result.exit_code, taken(result)) == (0, 4)
    require_pair()


def test_a_damaged_trace_is_made_again(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save("x.npy", np.random.default_rng(3).normal(size=(17, 28, 28, 1)).astype(np.float32))
    command = ["run", "--model", "dense_mnist", "--inputs", "x.npy", "--method", "gradient", "--traces", "1"]
    followed = []

    def trace(_runner, method, dtype, _index, _limit):
        followed.append(method)
        case = {"model": "dense_mnist", "input": "x[0]", "method": method, "dtype": dtype, "target": 0}
        names = {"subject": "signxai_torch", "reference": "signxai"}
        return Trace(
            case | names, (), 1e-6, "relevance", "dense", "They part.", maps={"dense": (np.ones(4), np.ones(4))}
        )

    monkeypatch.setattr("parity.run.trace.failing.trace", trace)
    monkeypatch.setattr(EchoClient, "wrong", frozenset({"gradient"}))
    killed_after(32, parity, monkeypatch, *command)
    assert len(followed) == damage("trace") == 1
    parity(*command)
    assert len(followed) == 2
    require_pair()


def test_a_report_of_which_half_took_its_place_is_made_again(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    assert parity(*TWO).exit_code == 0
    arrays = (REPORTS / "parity-arrays.h5").read_bytes()
    document = json.loads((REPORTS / "parity.json").read_text())
    (REPORTS / "parity.json").write_text(json.dumps(document | {"created": "2020-01-01T00:00:00+00:00"}))
    result = parity("report", "reports/parity.json")
    assert result.exit_code == 2
    assert "parity report FOLDER" in result.stderr
    interrupted(parity, monkeypatch, *TWO)
    (REPORTS / "parity-arrays.h5").write_bytes(arrays)
    assert parity("report", "reports").exit_code == 1
    require_pair()


# --- exceptions ---------------------------------------------------------------------------------------------------


def test_names_that_are_no_text_cost_nothing(parity) -> None:
    for number in range(18):
        np.save(f"{number:02}.npy", np.full((28, 28, 1), number / 20, np.float32))
    for name in (b"caf\xe9.npy", b"..npy"):
        with open(name, "wb") as stream:  # noqa: PTH123
            np.save(stream, np.full((28, 28, 1), 0.5, np.float32))
    patterns = [part for pattern in ("??.npy", "..npy", "caf*.npy") for part in ("--inputs", pattern)]
    result = parity("run", "--model", "dense_mnist", *patterns, "--method", "gradient")
    assert result.exit_code == 0, result.output
    assert len(cases()) == 40
    with h5py.File(REPORTS / "parity-arrays.h5") as file:
        assert len(file["inputs/dense_mnist"]) == 20
    assert parity("report", "reports/parity.json").exit_code == 0


def test_what_breaks_the_harness_on_one_input_costs_that_input(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    from parity.run import runner

    real = runner.judged

    def judged(case, *arguments):
        if case.input.name == "x[3]":
            raise RuntimeError("no such luck")
        return real(case, *arguments)

    monkeypatch.setattr(runner, "judged", judged)
    np.save("x.npy", np.random.default_rng(3).normal(size=(6, 28, 28, 1)).astype(np.float32))
    result = parity("run", "--model", "dense_mnist", "--inputs", "x.npy", "--method", "gradient,lrp_z")
    assert result.exit_code == 2
    assert "dense_mnist, x[3]: unexpected error: RuntimeError: no such luck" in result.stderr
    rows = load(REPORTS / "parity.json")["results"]
    assert len(rows) == len(cases()) == 24
    assert {row["input"] for row in rows if row["status"] != "parity"} == {"x[3]"}
    assert all("no such luck" in row["message"] for row in rows if row["status"] == "error")


def test_what_breaks_one_model_costs_that_model(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    from parity.run.cases import Series

    real = Series.plans

    def plans(self, *arguments):
        if self.outline.source.name == "dense_mnist":
            raise OSError("the disk went away")
        yield from real(self, *arguments)

    monkeypatch.setattr(Series, "plans", plans)
    models = ["--model", "cnn_timeseries", "--model", "dense_mnist", "--model", "resnet_mnist"]
    result = parity("run", *models, "--samples", "1", "--method", "gradient")
    assert result.exit_code == 2
    assert "dense_mnist: unexpected error: OSError: the disk went away" in result.stderr
    document = load(REPORTS / "parity.json")
    assert {row["model"] for row in document["results"]} == {"cnn_timeseries", "resnet_mnist"}
    assert document["summary"]["stopped"] is True
    monkeypatch.setattr(Series, "plans", real)
    result = parity("run", *models, "--samples", "1", "--method", "gradient")
    assert (result.exit_code, taken(result)) == (0, 4)


def test_an_input_that_goes_away_costs_its_own_cases(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    class Deleting(EchoClient):
        def answer(self, request):
            Path("in18.npy").unlink(missing_ok=True)
            return super().answer(request)

    monkeypatch.setattr("parity.run.session.ReferenceClient", Deleting)
    for number in range(22):
        np.save(f"in{number:02}.npy", np.full((28, 28, 1), number / 22, np.float32))
    command = ["run", "--model", "dense_mnist", "--inputs", "in*.npy", "--method", "gradient"]
    result = parity(*command)
    assert result.exit_code == 2
    assert "in18.npy: there is no such file" in result.stderr
    assert {f"in{number:02}" for number in range(22)} - {case[1] for case in cases()} == {"in18"}
    assert load(REPORTS / "parity.json")["summary"]["stopped"] is True
    np.save("in18.npy", np.full((28, 28, 1), 18 / 22, np.float32))
    monkeypatch.setattr("parity.run.session.ReferenceClient", EchoClient)
    result = parity(*command)
    assert (result.exit_code, taken(result)) == (0, 42)


# --- two runs at once ---------------------------------------------------------------------------------------------


def test_a_run_under_way_keeps_its_journal(parity, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(parity, monkeypatch, *TWO)
    (folder,) = REPORTS.glob(f"{PREFIX}*")
    held = ClaimedFolder.claim(folder)
    assert held is not None
    journal = Journal(held)
    assert ClaimedFolder.claim(folder) is None
    result = parity(*TWO)
    assert (result.exit_code, taken(result)) == (0, 0)
    assert folder.exists()
    journal.append({"kind": "note"})
    journal.keep()
    assert taken(parity(*TWO)) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_that_comes_while_the_process_shuts_down_changes_nothing(number: int) -> None:
    program = (
        f"import atexit, os; atexit.register(lambda: os.kill(os.getpid(), {int(number)}))\n"
        "from parity.commands.cli import main; main(['methods', 'lrp_z'])"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_ctrl_c_while_the_harness_is_loaded_ends_it_without_a_traceback() -> None:
    program = (
        "import os, signal, sys\n"
        "class Loading:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'parity.commands.cli': os.kill(os.getpid(), signal.SIGINT)\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "sys.meta_path.insert(0, Loading())\n"
        "from parity.__main__ import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (-signal.SIGINT, "")
