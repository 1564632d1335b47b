"""What a user of the command line sees when something is wrong: one clear sentence, an exit code, no traceback.

The converter's, the inputs' and the client's own tests hold many more cases (`keras/test_refusals.py`,
`keras/test_damage.py`, `test_inputs.py`, `test_models.py`, `reference/test_faults.py`); here they are met through
`parity run` and `parity convert`. The reference is played by `scripted_worker.py`.
"""

from __future__ import annotations

import functools
import json
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

import parity.reference
import parity.run.session
from parity import keras
from parity.commands.cli import main
from parity.hashing import array_sha256
from parity.reference.client import ReferenceClient
from tests.parity.keras.keras_files import KerasModel, functional, input_layer, layer, sequential, tiny

pytestmark = pytest.mark.slow

WORKER = Path(__file__).with_name("scripted_worker.py")
SECONDS = 10.0
SHAPE = (5, 4, 2)


def invoke(*arguments: object) -> Result:
    """Run the command line; every case must end within 10 s."""
    begun = time.perf_counter()
    result = CliRunner().invoke(main, [str(one) for one in arguments])
    assert time.perf_counter() - begun < SECONDS, "too slow"
    return result


def assert_clear(result: Result, words: str, code: int = 2) -> None:
    """Check for one sentence that matches `words`, the exit code, and that nothing internal is shown."""
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    assert "unexpected error" not in result.output
    assert re.search(words, result.output, re.DOTALL), result.output


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARITY_STORE", str(tmp_path / "store"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return tiny().write(tmp_path / "mine.h5")


@pytest.fixture
def inputs(tmp_path: Path) -> Path:
    path = tmp_path / "x.npy"
    np.save(path, np.random.default_rng(1).normal(size=(2, *SHAPE)).astype(np.float32))
    return path


# Models that are none, or not one that can be explained


def spoilt(change: Callable[[KerasModel], None]) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        one = tiny()
        change(one)
        return one.write(path)

    return write


def raw(content: bytes) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        path.write_bytes(content)
        return path

    return write


def truncated(path: Path) -> Path:
    tiny().write(path)
    path.write_bytes(path.read_bytes()[:3000])
    return path


def other_hdf5(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        file["numbers"] = np.arange(3)
    return path


class Bomb:
    """Leaves a folder where it is unpickled."""

    def __reduce__(self) -> tuple:
        return os.mkdir, ("out",)


def torch_file(path: Path) -> Path:
    torch.save({"state_dict": {"w": torch.ones(2)}, "more": Bomb()}, path)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def value(name: str, number: float) -> Callable[[KerasModel], None]:
    def change(one: KerasModel) -> None:
        one.weights[name]["bias"][0] = number

    return change


def wrong_shape(one: KerasModel) -> None:
    one.weights["dense"]["kernel"] = one.weights["dense"]["kernel"][:-1]


def replaced(**entry: object) -> Callable[[KerasModel], None]:
    def change(one: KerasModel) -> None:
        one.layers[2] |= entry

    return change


def several(start: tuple[str, ...], end: tuple[str, ...]) -> Callable[[Path], Path]:
    def write(path: Path) -> Path:
        first = [input_layer(6, name=name, inbound=[]) for name in start]
        joined = [layer("Add", "join", list(start))] if len(start) > 1 else []
        before = "join" if joined else start[0]
        dense = [layer("Dense", name, before, units=3) for name in end]
        weights = {name: {"kernel": np.ones((6, 3)), "bias": np.ones(3)} for name in end}
        return KerasModel(functional(*first, *joined, *dense, start=start, end=end), weights).write(path)

    return write


def weights_alone(path: Path) -> Path:
    return tiny().write_weights(path)


BAD_MODELS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated": (truncated, "bad.h5"),
    "random bytes": (raw(np.random.default_rng(2).bytes(4000)), "bad.h5.*HDF5"),
    "empty": (raw(b""), "bad.h5"),
    "not from Keras": (other_hdf5, "bad.h5.*Keras"),
    "a folder": (folder, "bad.h5"),
    "missing": (lambda path: path, "bad.h5"),
    "a torch file": (torch_file, r"bad\.h5 is a file of torch\.save.*Give the Keras file"),
    "a Lambda layer": (spoilt(replaced(class_name="Lambda")), "layer 'flatten'.*never run"),
    "a layer of one's own": (spoilt(replaced(class_name="MyAttention")), "layer 'flatten'.*MyAttention"),
    "weights of the wrong shape": (spoilt(wrong_shape), "dense.*35"),
    "NaN weights": (spoilt(value("conv", np.nan)), "conv.*(NaN|finite)"),
    "infinite weights": (spoilt(value("dense", np.inf)), "dense.*(inf|finite)"),
    "two outputs": (several(("x",), ("one", "two")), "output"),
    "weights alone": (weights_alone, "architecture"),
}


@pytest.mark.parametrize("command", ["run", "convert"])
@pytest.mark.parametrize("case", BAD_MODELS)
def test_model(case: str, command: str, tmp_path: Path, inputs: Path) -> None:
    write, words = BAD_MODELS[case]
    path = write(tmp_path / "bad.h5")
    out = tmp_path / "out"
    arguments = ["run", "--model", path, "--inputs", inputs, "--report", out] if command == "run" else [
        "convert", path, out]  # fmt: skip
    assert_clear(invoke(*arguments), words)
    assert not out.exists(), "something was written for a model that is refused"


def test_unknown_model_names_the_nearest() -> None:
    assert_clear(invoke("run", "--model", "vgg_mnits"), "vgg_mnist")


# Inputs


def array(values: np.ndarray, name: str = "x.npy") -> Callable[[Path], Path]:
    def write(base: Path) -> Path:
        np.save(base / name, values, allow_pickle=True)
        return base / name

    return write


def text(name: str, content: str = "not what the name says") -> Callable[[Path], Path]:
    def write(base: Path) -> Path:
        (base / name).write_text(content)
        return base / name

    return write


GOOD = np.ones(SHAPE, np.float32)
BAD_INPUTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "wrong rank": (array(np.ones((4, 2), np.float32)), r"x.npy.*\(4, 2\)"),
    "channels first": (array(np.ones((2, 5, 4), np.float32)), r"x.npy.*\(2, 5, 4\)"),
    "NaN": (array(np.where(np.arange(40).reshape(SHAPE) == 7, np.nan, GOOD)), "x.npy.*NaN"),
    "infinite": (array(GOOD * np.inf), "x.npy.*infinite"),
    "empty batch": (array(np.ones((0, *SHAPE), np.float32)), "x.npy"),
    "complex numbers": (array(GOOD * 1j), "x.npy.*complex"),
    "texts": (array(np.full(SHAPE, "a")), "x.npy"),
    "pickled objects": (array(np.full(SHAPE, {}, object)), "x.npy"),
    "an image that is none": (text("x.png"), "x.png"),
    "an .npy that is none": (text("x.npy"), "x.npy"),
    "an .npz that is none": (text("x.npz"), "x.npz"),
    "another kind of file": (text("x.csv", "1,2"), "x.csv"),
    "missing": (lambda base: base / "nowhere.npy", "nowhere.npy.*no such file"),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_input(case: str, tmp_path: Path, model: Path) -> None:
    write, words = BAD_INPUTS[case]
    assert_clear(invoke("run", "--model", model, "--inputs", write(tmp_path), "--method", "gradient"), words)


def test_no_inputs_for_a_model_of_ones_own(model: Path) -> None:
    assert_clear(invoke("run", "--model", model), "--inputs")


# Options


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "lrp_flta"], "lrp_flat"),
        (["--method", "nothing_*"], "no method matches"),
        (["--subject", "captums"], "unknown subject"),
        (["--input", "nobody"], "no input 'nobody'.*x"),
        (["--samples", "0"], "samples"),
        (["--dtype", "float16"], "float16"),
        (["--reference", "captum"], "captum"),
        (["--memory-limit", "0.5"], r"--memory-limit 0\.5 is too small.*at least --memory-limit 2\.1"),
        (["--memory-limit", "1.3"], "--memory-limit 1.3 is too small"),
    ],
)
def test_option(arguments: list[str], words: str, model: Path, inputs: Path) -> None:
    assert_clear(invoke("run", "--model", model, "--inputs", inputs, *arguments), words)


def test_report_directory_that_is_a_file(model: Path, inputs: Path, tmp_path: Path, scripted: Script) -> None:
    (tmp_path / "taken").write_text("")
    scripted(model, inputs)
    result = invoke("run", "--model", model, "--inputs", inputs, "--method", "gradient", "--report", tmp_path / "taken")
    assert_clear(result, "taken")


def test_output_folder_of_convert_that_is_missing(model: Path, tmp_path: Path) -> None:
    assert_clear(invoke("convert", model, tmp_path / "no" / "where.pt"), "no folder")


# Outputs that are inputs


@pytest.mark.parametrize("option", ["--json", "--save-arrays"])
@pytest.mark.parametrize("victim", ["mine.h5", "x.npy", "old.json"])
def test_an_output_of_run_that_is_read_is_refused(option: str, victim: str, model, inputs, tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("{}")
    (tmp_path / "other-name").symlink_to(tmp_path / victim)
    before = (tmp_path / victim).read_bytes()
    fixed = ["run", "--model", model, "--inputs", inputs, "--previous", old, "--method", "gradient", "--report", "r"]
    for out in (victim, "other-name"):
        assert_clear(invoke(*fixed, option, out), f"{out} would overwrite .*{victim}")
    assert (tmp_path / victim).read_bytes() == before
    assert not (tmp_path / "r").exists(), "something was done before the refusal"


def test_a_report_over_its_own_inputs_is_refused(model, inputs, tmp_path: Path) -> None:
    model.rename(tmp_path / "parity-arrays.h5")
    result = invoke("run", "--model", "parity-arrays.h5", "--inputs", inputs, "--method", "gradient", "--report", ".")
    assert_clear(result, "parity-arrays.h5 would overwrite")
    keras.load(tmp_path / "parity-arrays.h5")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--json", "same", "--save-arrays", "same"), "same and same are one file"),
        (("--json", "same", "--save-arrays", "./x/../same"), "are one file"),
        (("--save-arrays", "reports/parity.json"), "reports/parity.json and reports/parity.json are one file"),
        (("--json", "reports/parity.html"), "are one file"),
        (("--json", "reports/parity-arrays.h5", "--save-arrays", "reports/parity-arrays.h5"), "are one file"),
    ],
)
def test_two_outputs_that_are_one_file_are_refused(options, words, model, inputs, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "reports").mkdir()
    result = invoke("run", "--model", model, "--inputs", inputs, *options)
    assert_clear(result, words)
    assert not any((tmp_path / "reports").iterdir())


def test_an_output_may_be_the_reports_own(run, model, inputs, scripted, tmp_path: Path) -> None:
    scripted(model, inputs)
    report = tmp_path / "report"
    report.mkdir()
    (tmp_path / "linked").symlink_to(report)
    other = report / ".." / "report" / "parity.json"
    result, document = run("--json", other, "--save-arrays", tmp_path / "linked" / "parity-arrays.h5")
    assert_clear(result, "", code=1)
    assert document["results"]


@pytest.mark.parametrize("out", ["mine.h5", "linked"])
def test_convert_over_its_own_model_is_refused(out: str, model: Path, tmp_path: Path) -> None:
    (tmp_path / "linked").hardlink_to(model)
    before = model.read_bytes()
    assert_clear(invoke("convert", model, out, "--no-check"), f"{out} would overwrite .*mine.h5")
    assert model.read_bytes() == before


# The reference, played by a script


Script = Callable[..., Path]


@pytest.fixture
def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """`scripted(model, inputs, method="kill")`: the next runs meet these faults; returns the log of requests."""
    log = tmp_path / "requests"
    client = functools.partial(ReferenceClient, python=sys.executable, worker=WORKER, start_timeout=5.0)
    monkeypatch.setattr(parity.run.session, "ReferenceClient", client)
    monkeypatch.setattr(parity.reference, "ReferenceClient", client)

    def play(model: Path, inputs: Path, **faults: str) -> Path:
        logits = {}
        for dtype in ("float32", "float64"):
            module = keras.load(model, dtype=getattr(torch, dtype))
            for x in np.load(inputs):
                with torch.no_grad():
                    logits[f"{dtype}-{array_sha256(x)}"] = module(module.to_torch(x[None])).numpy()[0]
        np.savez(tmp_path / "logits.npz", **logits)
        script = {"logits": str(tmp_path / "logits.npz"), "faults": faults, "log": str(log)}
        monkeypatch.setenv("SCRIPT", json.dumps(script))
        log.unlink(missing_ok=True)
        return log

    return play


METHODS = ("gradient", "lrp_epsilon_0_1", "lrp_z")


@pytest.fixture
def run(model: Path, inputs: Path, tmp_path: Path) -> Callable[..., tuple[Result, dict]]:
    """Run three methods in float64, without traces of what fails; return the result and `parity.json`."""

    def go(*more: object) -> tuple[Result, dict]:
        methods = [part for name in METHODS for part in ("--method", name)]
        fixed = ["--model", model, "--inputs", inputs, "--dtype", "float64", "--report", tmp_path / "report"]
        result = invoke("run", *fixed, *methods, "--traces", "0", *more)
        path = tmp_path / "report" / "parity.json"
        return result, json.loads(path.read_text()) if path.is_file() else {}

    return go


def statuses(document: dict) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in document["results"]:
        found.setdefault(row["method"], set()).add(row["status"])
    return found


@pytest.mark.parametrize("target", ["4", "-1"])
def test_target_out_of_range(target: str, run, model, inputs, scripted) -> None:
    scripted(model, inputs)
    result, _ = run("--target", target)
    assert_clear(result, f"target {target}.*4 classes")


def test_grad_cam_on_a_model_without_convolution(tmp_path: Path, scripted) -> None:
    architecture = sequential(input_layer(6), layer("Dense", "dense", units=3))
    weights = {"dense": {"kernel": np.ones((6, 3)), "bias": np.arange(3.0)}}
    path = KerasModel(architecture, weights).write(tmp_path / "dense.h5")
    np.save(tmp_path / "x.npy", np.ones((1, 6), np.float32))
    scripted(path, tmp_path / "x.npy")
    result = invoke("run", "--model", path, "--inputs", tmp_path / "x.npy", "--method", "grad_cam", "--report", "out")
    assert_clear(result, "unsupported", code=1)
    for row in json.loads(Path("out/parity.json").read_text())["results"]:
        assert row["status"] == "unsupported"
        assert "no convolution" in row["message"]


@pytest.mark.parametrize(
    ("fault", "words"), [("kill", "SIGKILL"), ("rubbish", "no message"), ("hang", "no answer"), ("raise", "says no")]
)
def test_a_fault_costs_its_method_and_the_next_run_asks_for_it_alone(fault, words, run, model, inputs, scripted):
    scripted(model, inputs, lrp_epsilon_0_1=fault)
    result, document = run("--timeout", "1", "--reference", "signxai")
    assert_clear(result, "Not green", code=1)
    rows = [row for row in document["results"] if row["method"] == "lrp_epsilon_0_1"]
    assert all(words in row["message"] for row in rows)
    assert statuses(document)["gradient"] == statuses(document)["lrp_z"] == {"mismatch"}, "the others have numbers"
    log = scripted(model, inputs)
    run("--reference", "signxai")
    asked = {line.split()[0] for line in log.read_text().splitlines()} if log.exists() else set()
    assert asked == (set() if fault == "raise" else {"lrp_epsilon_0_1"})


def test_ctrl_c_keeps_what_is_finished_and_the_next_run_goes_on(run, model, inputs, scripted):
    log = scripted(model, inputs, lrp_epsilon_0_1="hang")

    def interrupt() -> None:
        while not (log.exists() and "lrp_epsilon_0_1" in log.read_text()):
            time.sleep(0.02)
        time.sleep(0.5)  # the reference is asked ahead: the case before is finished a moment later
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt, daemon=True)
    try:
        thread.start()
        result, document = run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert_clear(result, "interrupted", code=130)
    done = set(statuses(document))
    assert done
    assert "lrp_epsilon_0_1" not in done
    log = scripted(model, inputs)
    result, document = run()
    assert result.exit_code == 1
    assert set(statuses(document)) == set(METHODS)
    assert not {line.split()[0] for line in log.read_text().splitlines()} & {*done, "logits"}


def test_an_entry_with_a_flipped_byte_is_computed_again(run, model, inputs, scripted, tmp_path):
    log = scripted(model, inputs)
    _, before = run()
    for entry in (tmp_path / "store").rglob("*.npz"):
        data = bytearray(entry.read_bytes())
        data[len(data) // 2] ^= 0xFF
        entry.write_bytes(data)
    log.unlink()
    result, after = run()
    assert_clear(result, "", code=1)
    assert log.read_text().count("gradient") == 1
    assert statuses(after) == statuses(before)


def test_two_runs_at_once_on_one_store_and_one_report(run, model, inputs, scripted, tmp_path):
    scripted(model, inputs)
    codes: list[object] = []

    def other() -> None:
        fixed = ["run", "--model", model, "--inputs", inputs, "--dtype", "float64", "--report", tmp_path / "other"]
        try:
            main.main([str(one) for one in fixed] + ["--method", "gradient", "--quiet"], standalone_mode=False)
        except SystemExit as error:
            codes.append(error.code)

    thread = threading.Thread(target=other)
    thread.start()
    result, document = run()
    thread.join(SECONDS)
    assert (result.exit_code, codes) == (1, [1])
    assert set(statuses(document)) == set(METHODS)
    assert json.loads((tmp_path / "other" / "parity.json").read_text())["results"]


def test_a_store_that_cannot_be_written_costs_no_answer(run, model, inputs, scripted, tmp_path):
    scripted(model, inputs)
    (tmp_path / "store").write_text("a file where the store should be")
    result, document = run()
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert set(statuses(document)) == set(METHODS)


@pytest.mark.parametrize("fault", ["kill", "rubbish"])
def test_a_reference_that_does_not_start(fault, run, model, inputs, scripted):
    scripted(model, inputs, start=fault)
    result, document = run("--timeout", "1")
    assert_clear(result, "errors?", code=1)  # twice for the logits; the third time would be the environment's fault
    assert set.union(*statuses(document).values()) == {"error"}
    assert all(re.search("SIGKILL|no message", row["message"]) for row in document["results"])


def test_a_reference_environment_that_is_missing(run, monkeypatch, tmp_path):
    monkeypatch.setenv("REFERENCE_PYTHON", str(tmp_path / "no" / "python"))
    result, _ = run()
    assert_clear(result, "REFERENCE_PYTHON.*make setup")


def test_a_reference_that_is_none_where_some_answers_are_stored(run, model, inputs, scripted, monkeypatch, tmp_path):
    """The rows that are stored stand; those that are not are no failure of the subject's."""
    scripted(model, inputs, lrp_z="kill")
    _, before = run()
    monkeypatch.setattr(parity.run.session, "ReferenceClient", ReferenceClient)
    monkeypatch.setenv("REFERENCE_PYTHON", "/bin/ls")
    result, after = run()
    assert_clear(result, r"error: /bin/ls cannot say what it has.*make setup", code=2)
    assert statuses(after)["gradient"] == statuses(before)["gradient"] == {"mismatch"}
    assert statuses(after)["lrp_z"] == {"error"}
    assert not after["interrupted"]


def test_a_missing_reference_is_no_fault_where_every_answer_is_stored(run, model, inputs, scripted, monkeypatch):
    scripted(model, inputs)
    _, before = run()
    monkeypatch.setattr(parity.run.session, "ReferenceClient", ReferenceClient)
    monkeypatch.setenv("REFERENCE_PYTHON", "/bin/ls")
    result, after = run()
    assert result.exit_code == 1
    assert statuses(after) == statuses(before)


def test_convert_without_a_reference_says_that_it_did_not_check(model, monkeypatch, tmp_path):
    monkeypatch.setenv("REFERENCE_PYTHON", str(tmp_path / "no" / "python"))
    result = invoke("convert", model, tmp_path / "mine.pt")
    assert_clear(result, "not checked.*REFERENCE_PYTHON", code=0)
    assert torch.load(tmp_path / "mine.pt", weights_only=True)


def test_convert_without_logits_says_why_in_a_line_and_debug_shows_the_worker(model, inputs, scripted, tmp_path):
    scripted(model, inputs, logits="raise")
    result = invoke("convert", model, tmp_path / "mine.pt")
    assert_clear(result, "cannot compute the logits.*says no\n--no-check converts without")
    assert "in the worker" not in result.output
    assert not (tmp_path / "mine.pt").exists()
    result = invoke("--debug", "convert", model, tmp_path / "mine.pt")
    assert "Traceback in the worker" in result.output


def test_an_architecture_for_a_file_that_holds_its_own_is_refused(model, inputs, tmp_path) -> None:
    words = "mine.h5:vgg16: the file holds its own layers.*give .*mine.h5$"
    assert_clear(invoke("convert", f"{model}:vgg16", tmp_path / "mine.pt"), words)
    assert_clear(invoke("run", "--model", f"{model}:vgg16", "--inputs", inputs), words)


def test_a_traceback_with_debug_only(tmp_path: Path) -> None:
    path = tmp_path / "bad.h5"
    path.write_bytes(b"no")
    assert "Traceback" in invoke("--debug", "convert", path, tmp_path / "out.pt").output
