"""Several workers at once: each request has one to itself, and none outlives the client."""

import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from parity.reference.process import WorkerError
from tests.parity.reference.test_client import alive
from tests.parity.reference.test_faults import wait_until


def pids(one, requests):
    with ThreadPoolExecutor(len(requests)) as threads:
        answers = [some[0] for some in threads.map(one.answer, requests)]
    assert [one.error for one in answers if one.error] == []
    return [int(one.array.flat[0]) for one in answers]


def test_requests_are_worked_on_at_once_by_as_many_workers_as_allowed(client, ask):
    one = client(jobs=2)
    begun = time.perf_counter()
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(one.answer, [ask("slow", inputs=3, number=n) for n in range(4)]))
    assert all(answer.error is None for some in answers for answer in some)
    assert one.workers_started == 2
    assert time.perf_counter() - begun < 4 * 3 * 0.4, "as slow as one after another"


def test_never_more_processes_than_jobs_unless_both_are_kept(client, ask):
    one = client(jobs=2)
    first = pids(one, [ask("slow", number=1), ask("slow", number=2), ask("pid", number=3)])
    del first
    mixed = [ask("pid", number=n, backend=backend) for n in range(4, 8) for backend in ("signxai", "innvestigate")]
    found = pids(one, mixed)
    assert sum(alive(pid) for pid in set(found)) <= 2
    both = client(jobs=1, keep_both=True, refresh=True)
    found = [pids(both, [request])[0] for request in mixed]
    assert len(set(found)) == 2
    assert all(map(alive, set(found)))


def test_a_fault_of_one_worker_leaves_the_other_alone(client, ask):
    one = client(jobs=2)
    with ThreadPoolExecutor(2) as threads:
        bad, good = threads.map(one.answer, [ask("kill"), ask("slow", inputs=2)])
    assert bad[0].error_kind == "crash"
    assert [answer.error for answer in good] == [None, None]


@pytest.mark.parametrize("grace", [0.0, 2.0])
def test_closing_ends_workers_at_work_and_the_requests_that_wait(client, ask, tmp_path, monkeypatch, grace):
    log = tmp_path / "starts"
    monkeypatch.setenv("FAKE_LOG", str(log))
    one = client(jobs=1)
    found: list = []
    threads = [threading.Thread(target=lambda n=n: found.extend(one.answer(ask("hang", number=n)))) for n in range(2)]
    for thread in threads:
        thread.start()
    wait_until(log.exists)
    time.sleep(0.3)
    one.close(grace)
    for thread in threads:
        thread.join(5)
        assert not thread.is_alive()
    assert {answer.error_kind for answer in found} <= {"crash", "environment"}
    assert len(found) == 2
    assert one.workers_started == 1
    assert not any(alive(int(line.split()[0])) for line in log.read_text().splitlines())


def test_a_closed_client_makes_no_folder(client, ask, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one = client()
    one.answer(ask("pid"))
    assert list(tmp_path.glob("parity-reference-*"))
    one.close()
    with pytest.raises(WorkerError, match="closed"):
        one._pool.exchange()
    assert one.answer(ask("pid", number=2))[0].error_kind == "environment"
    assert one.fault is None
    assert not list(tmp_path.glob("parity-reference-*"))


def test_what_is_stored_is_known_without_reading_it(client, ask, monkeypatch):
    one = client()
    request = ask("double", inputs=2)
    assert not one.is_stored(request)
    one.answer(request)
    later = client()
    monkeypatch.setattr(later.store, "get", lambda key: pytest.fail("an entry was read"))
    assert later.is_stored(request)
    assert not later.is_stored(ask("double", inputs=3))
    assert not client(refresh=True).is_stored(request)
    assert later.workers_started == 0
