"""`--cluster`: a local dask cluster of two processes, one of them killed in the middle. The reference is scripted."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import parity.run.cluster
import parity.run.cluster_access
from parity import keras
from parity.commands.cli import main
from parity.errors import ParityError
from parity.hashing import array_sha256
from parity.run.cases import Series
from parity.run.cluster import Cluster, Task
from parity.run.document import Document
from parity.run.outcome import failed_cases
from parity.run.session import Session
from parity.run.subjects import subject
from tests.parity.keras.keras_files import tiny

pytestmark = pytest.mark.slow

distributed = pytest.importorskip("distributed")

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("scripted_worker.py")
METHODS = ("gradient", "gradient_x_input", "gradient_x_sign", "guided_backprop", "lrp_z", "lrp_epsilon_0_1", "lrp_flat",
           "lrp_alpha_1_beta_0")  # fmt: skip
OPTIONS = {"python": sys.executable, "worker": WORKER}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model, inputs, and the script of the reference."""
    folder = tmp_path_factory.mktemp("cluster")
    model = tiny().write(folder / "mine.h5")
    inputs = np.random.default_rng(1).normal(size=(5, 5, 4, 2)).astype(np.float32)
    np.save(folder / "x.npy", inputs)
    logits = {}
    for dtype in ("float32", "float64"):
        module = keras.load(model, dtype=getattr(torch, dtype))
        for x in inputs:
            with torch.no_grad():
                logits[f"{dtype}-{array_sha256(x)}"] = module(module.to_torch(x[None])).numpy()[0]
    np.savez(folder / "logits.npz", **logits)
    return folder


@pytest.fixture(scope="module")
def script(place: Path) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        faults = {"lrp_epsilon_0_1": "raise"}
        script = {"logits": str(place / "logits.npz"), "faults": faults, "log": str(place / "requests")}
        patch.setenv("SCRIPT", json.dumps(script))
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.setenv("OMP_NUM_THREADS", "1")
        yield


@pytest.fixture(scope="module")
def scheduler(script: None) -> Iterator[Any]:
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
    ) as cluster:
        yield cluster


def session(place: Path, name: str, **options: Any) -> Session:
    fixed = {
        "models": [str(place / "mine.h5")],
        "methods": METHODS,
        "files": [str(place / "x.npy")],
        "directory": place / name,
        "store": place / f"store-{name}",
        "client_options": OPTIONS,
        "traces_of_failing": 0,  # a cluster follows no row layer by layer
    }
    return Session(**(fixed | options))


def without_times(document: Any) -> list[dict[str, Any]]:
    rows = [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in document["results"]]
    return [row | {"reproduce": re.sub("store-[a-z]+", "store", row["reproduce"])} for row in rows]


def pids(scheduler: Any) -> list[int]:
    with distributed.Client(scheduler, set_as_default=False) as client:
        return list(client.run(os.getpid).values())


def children(pid: int) -> list[int]:
    return [int(one) for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()]


def test_a_run_with_a_worker_killed_in_the_middle_has_the_rows_of_a_local_run(
    place: Path, scheduler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Series.plans, "__defaults__", (2,))
    here = session(place, "here", reference="signxai").run()
    before = pids(scheduler)
    killed_at: list[int] = []

    def kill(_method: str, done: int) -> None:
        if done and not killed_at:
            os.kill(before[0], signal.SIGKILL)
            killed_at.append(done)

    one = session(place, "there", cluster=scheduler.scheduler_address, reference="signxai")
    there = one.run(kill)
    assert one.failure is None
    assert one.total == len(there["results"]) == 2 * 5 * len(METHODS)
    assert 0 < killed_at[0] < one.total
    # The killed worker may have stored an answer before it died, which is then not asked for again.
    rows = [[row | {"reference_stored": None} for row in without_times(document)] for document in (there, here)]
    assert rows[0] == rows[1]
    assert {row["status"] for row in there["results"]} > {"error"}, "the script has a method that fails"
    assert there["inputs"] == here["inputs"]
    assert there["models"] == here["models"]
    assert before[0] not in pids(scheduler)
    deadline = time.monotonic() + 10
    while any(children(pid) for pid in pids(scheduler)):
        assert time.monotonic() < deadline, "a reference process was left on a worker"
        time.sleep(0.1)


class Bench:
    """Takes the place of what a worker keeps for a run."""

    def __init__(self, _task: object = None) -> None:
        self.lock, self.users, self.timer, self.closed = threading.Lock(), 0, None, False

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def benches(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    monkeypatch.setattr(parity.run.cluster, "_benches", kept)
    monkeypatch.setattr(parity.run.cluster, "_Bench", Bench)
    return kept


def test_a_new_run_ends_what_dead_clients_left_and_nothing_that_is_at_work(benches: dict[str, Any]) -> None:
    at_bench: Any = parity.run.cluster._at_bench
    with at_bench("dead", None) as dead:
        pass
    with at_bench("busy", None) as busy:
        assert dead.closed
        with at_bench("new", None) as new:
            assert not busy.closed
    assert set(benches) == {"busy", "new"}
    with at_bench("busy", None) as again:
        assert again is busy
    assert not new.closed, "only a run that begins ends others"
    for one in benches.values():
        one.timer.cancel()


def test_a_run_that_gives_a_worker_nothing_to_do_is_ended(benches, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity.run.cluster, "IDLE_SECONDS", 0.2)
    with parity.run.cluster._at_bench("run", None) as bench:  # type: ignore[arg-type]
        time.sleep(0.4)
        assert not bench.closed, "it is at work"
    deadline = time.monotonic() + 5
    while not bench.closed:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not benches


def test_tasks_speak_of_the_largest_model(place: Path) -> None:
    class Asked(Exception):
        pass

    class Listening:
        def replies(self, tasks: Any) -> Iterator[Any]:
            raise Asked([task.parameters for task in tasks])
            yield

    one = session(place, "sizes", models=["dense_mnist"], files=[], samples=1, methods=["gradient"])
    one.plans += session(place, "sizes", methods=["gradient"]).plans
    nothing = Document(place / "sizes", "parity run", subject("signxai_torch"))
    with pytest.raises(Asked) as asked:
        one._collect_from(Listening(), nothing, lambda *_: None)  # type: ignore[arg-type]
    assert len(set(asked.value.args[0])) == 1
    assert asked.value.args[0][0] == one.plans[0].description.parameters > one.plans[1].description.parameters


def test_a_run_on_a_cluster_goes_on_where_one_was_stopped(place: Path, scheduler: Any) -> None:
    def stop(_method: str, done: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    stopped, again, whole = (session(place, "on", cluster=scheduler.scheduler_address) for _ in range(3))
    first = stopped.run(stop)
    assert stopped.interrupted
    rows = without_times(again.run())
    errors = sum(row["status"] == "error" for row in first["results"])
    assert again.taken_over >= len(first["results"]) - errors > 0
    expected = without_times(whole.run())
    assert whole.taken_over == 0, "the journal of a whole run is gone"
    assert [row | {"reference_stored": None} for row in rows] == [row | {"reference_stored": None} for row in expected]


def test_fail_fast_stops_a_cluster_too(place: Path, scheduler: Any) -> None:
    one = session(place, "fast", cluster=scheduler.scheduler_address, fail_fast=True)
    document = one.run()
    assert one.stopped
    assert len(document["results"]) < one.total


def test_the_environment_of_the_workers_is_told(place: Path, scheduler: Any, tmp_path: Path) -> None:
    options = {"python": tmp_path / "no" / "python"}
    one = session(place, "broken", cluster=scheduler.scheduler_address, client_options=options)
    with pytest.raises(ParityError, match=r"worker tcp://.*no/python is no program.*make setup"):
        one.run()


def invoke(place: Path, *arguments: str) -> Any:
    fixed = ["run", "--model", str(place / "mine.h5"), "--inputs", str(place / "x.npy"), "--method", "gradient"]
    return CliRunner().invoke(main, [*fixed, "--report", str(place / "cli"), *arguments])


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("tcp://127.0.0.1:9", "no dask scheduler answers at tcp://127.0.0.1:9"),
        ("nonsense://127.0.0.1:1", "no dask scheduler answers at nonsense://127.0.0.1:1"),
        ("nowhere", "--cluster nowhere: no address of a dask scheduler"),
        ("127.0.0.1", "--cluster 127.0.0.1: no address"),
        ("tcp://", "--cluster tcp://: no address"),
        ("http://host/x:1", "--cluster http://host/x:1: no address"),
    ],
)
def test_an_address_where_nobody_answers(place: Path, monkeypatch: pytest.MonkeyPatch, address, words) -> None:
    monkeypatch.setattr(parity.run.cluster, "CONNECT_SECONDS", 3.0)
    result = invoke(place, "--cluster", address)
    assert result.exit_code == 2
    assert words in result.output
    assert "dask worker ADDRESS" in result.output
    assert "Traceback" not in result.output


def test_addresses() -> None:
    for good in ("tcp://10.0.0.1:8786", "host:1", "tls://some.host-1:80", "[::1]:8786", "tcp://[fe80::1%eth0]:1"):
        assert parity.run.cluster_access.ADDRESS.fullmatch(good), good
    for bad in ("", ":1", "host", "host:", "host:x", "tcp://host", "[::1]", "::1:8786", "a b:1", "tcp://u@host:1"):
        assert not parity.run.cluster_access.ADDRESS.fullmatch(bad), bad


def test_a_server_that_is_no_scheduler_is_given_up_soon_and_quietly(place: Path) -> None:
    """In a process of its own, because what dask leaves undone it says when the process ends."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        command = [sys.executable, "-m", "parity", "run", "--model", place / "mine.h5", "--inputs", place / "x.npy",
                   "--method", "gradient", "--report", place / "silent", "--cluster", address]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"error: no dask scheduler answers at {address} (no answer for 8 s)")
    assert done.stderr.count("\n") == 1, done.stderr


def test_a_cluster_without_workers(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity.run.cluster, "CONNECT_SECONDS", 3.0)
    with distributed.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as cluster:
        result = invoke(place, "--cluster", cluster.scheduler_address)
    assert result.exit_code == 2
    assert "has no workers; start some with `dask worker" in result.output


def test_jobs_are_for_this_machine(place: Path) -> None:
    result = invoke(place, "--cluster", "tcp://127.0.0.1:9", "--jobs", "2")
    assert result.exit_code == 2
    assert "--jobs and --memory-limit are for this machine" in result.output


def test_a_scheduler_that_goes_away_keeps_the_finished_cases(place: Path, script: None) -> None:
    cluster = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None)
    closed: list[int] = []

    def close(_method: str, done: int) -> None:
        if done and not closed:
            closed.append(done)
            cluster.close(timeout=5)

    one = session(place, "gone", cluster=cluster.scheduler_address)
    try:
        document = one.run(close)
    finally:
        cluster.close(timeout=5)
    assert one.failure is not None
    assert re.match(r"the dask scheduler at tcp://.* is gone", str(one.failure))
    assert closed[0] <= len(document["results"]) < one.total


def test_a_task_that_dask_gives_up_costs_its_own_cases(place: Path) -> None:
    (series,) = session(place, "given-up", methods=["gradient"]).plans
    (plan,) = series.plans()
    task = Task(plan, 100, "signxai_torch", "auto", None, {})
    rows = [outcome.row for outcome in failed_cases(task.plan, task.target, "KilledWorker: dead")]
    assert [(row["status"], row["message"]) for row in rows] == [("error", "KilledWorker: dead")] * 10
    assert {row["dtype"] for row in rows} == {"float32", "float64"}


def test_dask_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ParityError, match=r"--cluster needs dask\.distributed: pip install"):
        Cluster("tcp://127.0.0.1:9")
