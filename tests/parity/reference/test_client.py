import os
import threading
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest

from parity.claimed import LOCK
from parity.reference import ReferenceRequest


def starts(log: Path) -> list[str]:
    return log.read_text().splitlines() if log.exists() else []


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def test_answers_come_back_in_order_with_all_that_was_measured(client, ask):
    request = ask("double", inputs=3)
    answers = client().answer(request)
    assert [answer.error for answer in answers] == [None] * 3
    for answer, x in zip(answers, request.inputs, strict=True):
        assert np.array_equal(answer.array, 2 * x)
        assert answer.array.dtype == x.dtype
        assert not answer.from_store
        assert (answer.seconds, answer.setup_seconds, answer.peak_rss, answer.notes) == (0.5, 0.25, 1000, ("a note",))
        assert answer.versions["threads"] == "1"


def test_a_second_run_starts_no_worker(client, ask):
    first = client().answer(ask("double", inputs=2))
    again = client()
    second = again.answer(ask("double", inputs=2))
    assert again.workers_started == 0
    assert all(answer.from_store for answer in second)
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.array, other.array)
        assert one.to_json() == other.to_json()


def test_a_scalar_answer_keeps_its_shape(client, ask):
    request = ask("scalar")
    for from_store in (False, True):
        (answer,) = client().answer(request)
        assert answer.error is None, answer.error
        assert answer.array.shape == ()
        assert answer.array == request.inputs[0].sum()
        assert answer.from_store is from_store


@pytest.mark.parametrize("name", ["double", "raise"])
def test_an_answer_says_when_it_was_computed_also_when_it_is_read_later(client, ask, name):
    before = datetime.now(timezone.utc).replace(microsecond=0)
    (answer,) = client().answer(ask(name))
    computed = datetime.fromisoformat(answer.computed)
    assert before <= computed <= datetime.now(timezone.utc)
    (entry,) = client().store.root.rglob("*.npz")
    os.utime(entry, (0, 0))
    assert client().answer(ask(name))[0].computed == answer.computed


def test_only_what_is_missing_is_computed(client, ask):
    client().answer(ask("pid", inputs=1))
    one = client()
    answers = one.answer(ask("pid", inputs=2))
    assert [answer.from_store for answer in answers] == [True, False]


def test_an_error_of_the_reference_is_stored_with_its_traceback(client, ask):
    for again in (False, True):
        one = client()
        (answer,) = one.answer(ask("raise"))
        assert (answer.error_kind, answer.error) == ("method", "ValueError: the reference says no")
        assert "the reference says no" in answer.stderr_tail
        assert answer.from_store is again
        assert one.workers_started == (0 if again else 1)


def test_each_input_has_its_own_traceback_however_late_the_answer_is_read(client, ask):
    # The worker has failed on the second input before the client reads what it said of the first.
    tails = [answer.stderr_tail for answer in client().answer(ask("raise", inputs=3))]
    assert tails == ["ValueError: the reference says no\n"] * 3


def test_one_worker_serves_many_requests(client, ask):
    one = client()
    pids = [one.answer(ask("pid", number=n))[0].array.flat[0] for n in range(3)]
    assert len(set(pids)) == 1
    assert one.workers_started == 1


@pytest.mark.parametrize("keep_both", [False, True])
def test_one_worker_at_a_time_unless_both_are_kept(client, ask, keep_both):
    one = client(keep_both=keep_both)
    first = int(one.answer(ask("pid"))[0].array.flat[0])
    second = int(one.answer(ask("pid", backend="innvestigate"))[0].array.flat[0])
    assert first != second
    assert alive(second)
    assert alive(first) is keep_both
    one.close()
    assert not alive(first)
    assert not alive(second)


def test_refresh_computes_anew_and_replaces(client, ask):
    old = client().answer(ask("pid"))[0]
    new = client(refresh=True).answer(ask("pid"))[0]
    assert not new.from_store
    assert not np.array_equal(old.array, new.array)
    assert np.array_equal(client().answer(ask("pid"))[0].array, new.array)


@pytest.mark.parametrize("variable", ["FAKE_PACKAGES", "FAKE_WORKER_VERSION"])
def test_new_packages_or_a_new_worker_make_stored_answers_old(client, ask, monkeypatch, variable):
    client().answer(ask("double"))
    monkeypatch.setenv(variable, "2")
    assert not client().answer(ask("double"))[0].from_store


def test_environment_is_known_without_a_worker(client, ask):
    one = client()
    assert one.environment()["tensorflow"] == "1"
    assert "threads" not in one.environment()
    one.answer(ask("double"))
    assert one.environment()["threads"] == "1"
    later = client()
    assert later.environment()["threads"] == "1"
    assert later.workers_started == 0


def test_close_ends_the_worker_and_removes_the_exchanged_files(client, ask, tmp_path, monkeypatch):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    with client() as one:
        pid = int(one.answer(ask("pid"))[0].array.flat[0])
        (folder,) = (tmp_path / "tmp").iterdir()
        assert {path.suffix for path in folder.iterdir() if path.name != LOCK} == {".log"}
    assert not alive(pid)
    assert list((tmp_path / "tmp").iterdir()) == []


def test_threads_may_share_a_client(client, ask):
    one = client()
    found: dict[int, object] = {}

    def work(number):
        found[number] = one.answer(ask("pid", number=number))[0]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number].error for number in range(6)] == [None] * 6
    assert one.workers_started == 1


def test_no_inputs_no_worker(client, ask):
    one = client()
    base = ask("double")
    assert one.answer(ReferenceRequest(base.model, (), (), base.call)) == []
    assert one.workers_started == 0
