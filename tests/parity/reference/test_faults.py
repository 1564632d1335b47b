"""Everything that can go wrong between client, worker and store, done on purpose."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from parity.errors import ParityError
from parity.reference import ReferenceClient, ReferenceEnvironmentError, ResultStore, StoreError
from parity.reference.environment import find_python
from tests.parity.reference.conftest import FAKE
from tests.parity.reference.test_client import alive

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("kill", "crash", "SIGKILL.*out of memory"),
        ("segfault", "crash", "SIGSEGV"),
        ("exit", "crash", "exit code 5"),
        ("close", "crash", "closed its channel"),
        ("hang", "timeout", "no answer for 0.5 s"),
        ("rubbish", "protocol", "no message.*Epoch 1/1"),
        ("list", "protocol", "no message"),
        ("wrongid", "protocol", "expected"),
        ("wronghash", "protocol", "hash"),
        ("nofile", "protocol", "cannot be read"),
        ("nokey", "protocol", "KeyError: 'seconds'"),
        ("memory", "crash", "MemoryError"),
    ],
)
def test_a_fault_costs_its_own_request_only(client, ask, tmp_path, name, kind, words):

    one = client(timeout=0.5 if name == "hang" else 20.0)
    before = one.answer(ask("pid"))[0]
    (answer,) = one.answer(ask(name))
    assert answer.error_kind == kind
    assert re.search(words, answer.error, re.DOTALL), answer.error
    assert answer.array is None
    assert not alive(int(before.array.flat[0])), "the worker that failed is still there"
    after = one.answer(ask("pid", number=2))[0]
    assert after.error is None
    # A worker that died of itself was asked once more without oneDNN, and died again.
    assert one.workers_started == (3 if name in ("segfault", "exit") else 2)
    # What was not the reference's own doing is not stored, so the next run tries again.
    assert len(list((tmp_path / "store").rglob("*.npz"))) == 2


def test_the_tail_of_stderr_is_shown_and_only_that_of_this_request(client, ask):
    one = client()
    one.answer(ask("raise"))
    (answer,) = one.answer(ask("kill"))
    assert answer.stderr_tail.strip() == "last words"


@pytest.mark.parametrize("name", ["kill_second", "hang_second", "rubbish_second"])
def test_inputs_answered_before_a_fault_are_kept_and_the_run_resumes_after_them(client, ask, name):
    request = ask(name, inputs=3)
    answers = client(timeout=1.0).answer(request)
    assert answers[0].error is None
    assert np.array_equal(answers[0].array, 2 * request.inputs[0])
    assert {answer.error_kind for answer in answers[1:]} <= {"crash", "timeout", "protocol"}
    assert client(timeout=1.0).answer(request)[0].from_store


def test_a_slow_worker_that_keeps_answering_is_no_hang(client, ask):
    answers = client(timeout=1.0).answer(ask("slow", inputs=4))
    assert [answer.error for answer in answers] == [None] * 4


@pytest.mark.parametrize("start", ["kill", "exit", "rubbish"])
def test_a_worker_that_never_comes_up_is_tried_thrice_and_then_no_more(client, ask, monkeypatch, start):
    monkeypatch.setenv("FAKE_START", start)
    one = client(start_timeout=0.5)
    kinds = [one.answer(ask("double"))[0].error_kind for _ in range(5)]
    assert kinds[2:] == ["environment"] * 3
    assert "environment" not in kinds[:2]
    assert one.workers_started == 3
    assert "make setup" in one.answer(ask("double"))[0].error


def test_a_worker_that_hangs_at_its_start_is_the_environments_fault_at_once(client, ask, monkeypatch):
    monkeypatch.setenv("FAKE_START", "hang")
    one = client(start_timeout=0.5)
    (answer,) = one.answer(ask("double"))
    assert answer.error_kind == "environment"
    assert "hangs: no answer for 0.5 s; it wrote: nothing" in answer.error
    assert "make setup" in answer.error
    one.answer(ask("double"))
    assert one.workers_started == 1


def test_tensorflow_that_cannot_be_imported_is_the_environments_fault(client, ask, monkeypatch):
    monkeypatch.setenv("FAKE_START", "failed")
    one = client()
    (answer,) = one.answer(ask("double"))
    assert answer.error_kind == "environment"
    assert "libtensorflow.so is broken" in answer.error
    assert "make setup" in answer.error
    assert "Traceback" in answer.stderr_tail
    one.answer(ask("double"))
    assert one.workers_started == 1, "a broken environment is not tried again"


def test_a_missing_interpreter_names_the_mending_command(client, ask, tmp_path):
    one = client(python=tmp_path / "no" / "python")
    (answer,) = one.answer(ask("double"))
    assert answer.error_kind == "environment"
    assert str(tmp_path / "no" / "python") in answer.error
    assert "make setup" in answer.error
    with pytest.raises(ReferenceEnvironmentError, match="make setup"):
        one.environment()


def test_an_interpreter_that_cannot_say_its_versions(client, ask, monkeypatch):
    monkeypatch.setenv("FAKE_START", "no versions")
    (answer,) = client().answer(ask("double"))
    assert answer.error_kind == "environment"
    assert "no module named numpy" in answer.error


def test_an_interpreter_without_tensorflow_starts_no_worker(ask, tmp_path):
    """The torch environment itself, asked with the real worker program."""
    with ReferenceClient(python=sys.executable, store=tmp_path / "store") as one:
        (answer,) = one.answer(ask("double"))
        assert answer.error_kind == "environment"
        assert "lacks tensorflow" in answer.error
        assert "make setup" in answer.error
        assert one.workers_started == 0


def test_stored_answers_do_not_need_the_environment(client, ask, tmp_path):
    able = client()
    able.answer(ask("double"))
    assert able.unable is None
    one = client(python=tmp_path / "no-python")
    assert one.answer(ask("double"))[0].from_store
    assert one.environment()["tensorflow"] == "1"
    assert str(tmp_path / "no-python") in one.unable
    assert "make setup" in one.unable
    assert one.fault is None, "nothing has failed of it yet"
    (missing,) = one.answer(ask("double", number=2))
    assert missing.error_kind == "environment"
    assert one.fault is not None


def test_where_the_interpreter_is_looked_for(monkeypatch, tmp_path):
    monkeypatch.setenv("REFERENCE_PYTHON", sys.executable)
    assert find_python() == Path(sys.executable)
    assert find_python("/bin/sh") == Path("/bin/sh")
    assert find_python("sh").name == "sh"
    monkeypatch.setenv("REFERENCE_PYTHON", str(tmp_path / "python"))
    with pytest.raises(ReferenceEnvironmentError, match=r"REFERENCE_PYTHON: .*make setup"):
        find_python()
    monkeypatch.delenv("REFERENCE_PYTHON")
    monkeypatch.setattr("parity.reference.program.CHECKOUT", tmp_path)
    monkeypatch.setattr("parity.reference.installed.data_folder", lambda: tmp_path / "data")
    with pytest.raises(ReferenceEnvironmentError, match=r"there is no .*\.venv-reference.*make setup"):
        find_python()
    beside = tmp_path / ".venv-reference" / "bin" / "python"
    beside.parent.mkdir(parents=True)
    beside.symlink_to(sys.executable)
    assert find_python() == beside, "the link, not what it leads to: that is another Python"


def test_a_full_disk_costs_the_storing_and_not_the_answer(client, ask, monkeypatch):
    one = client()
    one.answer(ask("pid"))
    write = Path.write_bytes

    def full(self, data):
        if self.suffix == ".tmp":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    answers = one.answer(ask("double", inputs=2))
    assert [answer.error for answer in answers] == [None] * 2
    assert all(answer.array is not None for answer in answers)
    assert all("No space left on device" in answer.store_error for answer in answers)
    assert all(isinstance(error, StoreError) and isinstance(error, ParityError) for error in one.store_errors)
    assert len(one.store_errors) == 2
    monkeypatch.undo()
    assert not client().answer(ask("double"))[0].from_store


def test_no_room_for_the_exchange_is_an_error_of_the_environment(client, ask, monkeypatch, tmp_path):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "absent"))
    (answer,) = client().answer(ask("double"))
    assert answer.error_kind == "environment"
    assert "temporary folder" in answer.error


def test_a_full_temporary_folder_is_the_environments_fault_on_either_side(client, ask, monkeypatch):
    one = client()
    assert one.answer(ask("full"))[0].error_kind == "environment"
    assert one.fault == "OSError: cannot write 1-0.h5"
    write = Path.write_bytes

    def full(self, data):
        if self.name.startswith("inputs-"):
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    two = client()
    (answer,) = two.answer(ask("double"))
    assert answer.error_kind == "environment"
    assert re.fullmatch(r"cannot write .*/inputs-1\.h5: No space left on device; make room there, .*", two.fault)


def test_a_flipped_byte_in_the_store_is_noticed_and_computed_again(client, ask, tmp_path):
    good = client().answer(ask("double"))[0]
    (entry,) = (tmp_path / "store").rglob("*.npz")
    data = bytearray(entry.read_bytes())
    position = bytes(data).find(good.array.tobytes())
    assert position > 0
    data[position] ^= 1
    entry.write_bytes(bytes(data))
    one = client()
    again = one.answer(ask("double"))[0]
    assert not again.from_store
    assert np.array_equal(again.array, good.array)
    assert one.store.damaged == [entry]
    assert client().answer(ask("double"))[0].from_store


START = """
    import sys, time
    from pathlib import Path
    import numpy as np
    from parity.assets.source import ModelSource
    from parity.reference import *

    place, fake, number = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    model = ModelSource("m", place / "model.h5", None, "0" * 64, "none", "", "")

    def ask(scale, inputs=2):
        x = np.full((2, 3, 1), float(scale), np.float32)
        call = ReferenceCall("signxai", "analyzer", "double")
        return ReferenceRequest(model, tuple(x + n for n in range(inputs)), (0,) * inputs, call)

    def client():
        return ReferenceClient(python=sys.executable, store=place / "store", worker=fake, timeout=60.0)
"""
AT_ONCE = (
    START
    + """
    (place / f"ready-{number}").touch()
    while len(list(place.glob("ready-*"))) < 2:
        time.sleep(0.01)
    with client() as one:
        for scale in range(12):
            for n, answer in enumerate(one.answer(ask(scale))):
                assert answer.error is None, answer.error
                assert np.array_equal(answer.array, np.full((2, 3, 1), 2.0 * (scale + n)))
        assert one.store_errors == [] and one.store.damaged == []
"""
)
FULL = (
    START
    + """
    with client() as one:
        answers = [answer for scale in range(0, 80, 2) for answer in one.answer(ask(scale))]
        assert [answer.error for answer in answers] == [None] * 80
        assert all(answer.array is not None for answer in answers)
        kept = sum(answer.store_error is None for answer in answers)
        assert 0 < kept < 80, kept
        text = str(one.store_errors[0])
        assert "No space left on device; free some space" in text, text
    store = place / "store"
    assert list(store.rglob("*.tmp")) == []
    assert len(list(store.rglob("*.npz"))) == kept
    with client() as one:
        again = [answer for scale in range(0, 80, 2) for answer in one.answer(ask(scale))]
        assert sum(answer.from_store for answer in again) == kept and one.store.damaged == []
"""
)
LIMITED = """
    import resource, sys
    import numpy as np
    from parity.reference import ReferenceAnswer, ResultStore, StoreError

    store = ResultStore(sys.argv[1])
    store.put("a" * 64, ReferenceAnswer(np.ones(10)))
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
    try:
        store.put("b" * 64, ReferenceAnswer(np.ones(100_000)))
    except StoreError as error:
        assert "free some space" in str(error), error
    else:
        raise AssertionError("nothing was raised")
    assert list(store.root.rglob("*.tmp")) == []
    assert store.get("b" * 64) is None and store.get("a" * 64) is not None and store.damaged == []
"""


def in_a_process(script: str, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*prefix, sys.executable, "-c", textwrap.dedent(script), *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)


def test_two_runs_at_once_on_one_store(tmp_path):
    runs = [in_a_process(AT_ONCE, tmp_path, FAKE, number) for number in (1, 2)]
    errors = [run.communicate(timeout=120)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], errors
    store = ResultStore(tmp_path / "store")
    assert list(store.root.rglob("*.tmp")) == []
    assert len(list(store.root.rglob("*.npz"))) == 13, "inputs 0 to 12, each once"


def test_a_disk_that_is_really_full_costs_the_storing_and_not_the_answer(tmp_path):
    (tmp_path / "store").mkdir()
    mount = f"mount -t tmpfs -o size=64k none '{tmp_path / 'store'}'"
    for prefix in (("unshare", "-m"), ("unshare", "-rm")):  # as root, or in a user's own namespace
        if (
            shutil.which("unshare")
            and subprocess.run([*prefix, "sh", "-c", mount], capture_output=True).returncode == 0
        ):
            break
    else:
        pytest.skip("no small file system can be mounted here")
    run = in_a_process(FULL, tmp_path, FAKE, 1, prefix=(*prefix, "sh", "-c", f'{mount} && exec "$@"', "sh"))
    errors = run.communicate(timeout=120)[1]
    assert run.returncode == 0, errors


def test_a_file_that_may_not_grow_leaves_the_store_whole(tmp_path):
    run = in_a_process(LIMITED, tmp_path / "store")
    errors = run.communicate(timeout=60)[1]
    assert run.returncode == 0, errors


def test_a_client_goes_on_after_ctrl_c_with_a_new_worker(client, ask):
    """As in a notebook: the interrupted request must leave no worker that answers it later."""
    one = client()
    pid = int(one.answer(ask("pid"))[0].array.flat[0])
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            one.answer(ask("hang"))
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert not alive(pid)
    assert one.answer(ask("pid", number=2))[0].error is None
    assert one.workers_started == 2


CLIENT = """
    import signal, sys
    from pathlib import Path
    import numpy as np
    from parity.assets.source import ModelSource
    from parity.reference import *

    signal.signal(signal.SIGINT, signal.default_int_handler)
    path = Path(sys.argv[1])
    model = ModelSource("m", path, None, "0" * 64, "none", "", "")
    with ReferenceClient(python=sys.executable, store=path.parent / "store", worker=Path(sys.argv[2])) as client:
        call = ReferenceCall("signxai", "analyzer", sys.argv[3])
        x = np.ones((2, 3, 1), np.float32)
        client.answer(ReferenceRequest(model, (x, 2 * x), (0, 0), call))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_client_that_is_stopped_leaves_no_worker_and_keeps_what_is_finished(model, tmp_path, number, ask, client):
    log = tmp_path / "starts"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "FAKE_LOG": str(log), "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), str(model.path), str(FAKE), "slow_second"]
    if number == signal.SIGINT:
        command[-1] = "hang_second"
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        store = tmp_path / "store"
        wait_until(lambda: any(store.rglob("*.npz")))
        process.send_signal(number)
        _, errors = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode != 0
    if number == signal.SIGINT:
        assert "KeyboardInterrupt" in errors
        assert list(tmp_path.glob("parity-reference-*")) == []
    pid = int(log.read_text().split()[0])
    wait_until(lambda: not alive(pid))
    assert len(list(store.rglob("*.npz"))) >= 1


def wait_until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
