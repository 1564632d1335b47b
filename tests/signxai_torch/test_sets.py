"""Sets of inputs: explained batch after batch, into files that a crash leaves in order."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from signxai_torch import Explainer, explain, explain_many
from signxai_torch.stream.files import Files
from signxai_torch.stream.source import Rows

METHODS = ["gradient", "lrp_z"]


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(40, 3))


def inputs(count: int = 23) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((count, 2, 10)).astype(np.float32)


def expected(method: str, x: np.ndarray, target=None) -> np.ndarray:
    return explain(model(), torch.from_numpy(x), method, target)


@pytest.mark.parametrize(
    "form",
    [lambda x: x, torch.from_numpy, lambda x: TensorDataset(torch.from_numpy(x), torch.arange(len(x))),
     lambda x: [torch.from_numpy(row) for row in x]],
    ids=["array", "tensor", "dataset", "list"],
)  # fmt: skip
def test_batches_of_all_forms(form) -> None:
    x = inputs()
    found = list(Explainer(model(), "lrp_z").map(form(x), batch_size=5))
    assert [len(one) for one in found] == [5, 5, 5, 5, 3]
    assert np.allclose(np.concatenate(found), expected("lrp_z", x), rtol=1e-4, atol=1e-6)


def test_batches_of_a_loader_are_its_own() -> None:
    x = inputs()
    loader = DataLoader(TensorDataset(torch.from_numpy(x), torch.zeros(len(x))), batch_size=9)
    found = list(Explainer(model(), METHODS).map(loader, target=[1] * len(x)))
    assert [len(one["lrp_z"]) for one in found] == [9, 9, 5]
    assert np.allclose(np.concatenate([one["gradient"] for one in found]), expected("gradient", x, 1), atol=1e-6)


def read(path: Path, method: str) -> np.ndarray:
    if path.suffix == ".h5":
        h5py = pytest.importorskip("h5py")
        with h5py.File(path) as file:
            return file[method][:]
    if path.suffix == ".zarr":
        return pytest.importorskip("zarr").open_group(path, mode="r")[method][:]
    return np.load(path if path.suffix else path / f"{method}.npy")


STORE = pytest.param("maps.zarr", marks=pytest.mark.skipif(find_spec("zarr") is None, reason="needs zarr"))


@pytest.mark.parametrize("name", ["maps.npy", "maps.h5", "maps", STORE])
def test_maps_are_written_with_a_target_per_row(name: str, tmp_path: Path) -> None:
    x = inputs()
    methods = METHODS[1:] if name.endswith(".npy") else METHODS
    target = [number % 3 for number in range(len(x))]
    told: list[tuple[int, int]] = []
    path = Explainer(model(), methods).write(
        x, tmp_path / name, target, batch_size=6, progress=lambda done, of: told.append((done, of))
    )
    assert path == tmp_path / name
    assert sorted(one.name for one in tmp_path.iterdir()) == [name]
    assert told == [(6, 23), (12, 23), (18, 23), (23, 23)]
    for method in methods:
        assert np.allclose(read(path, method), expected(method, x, target), rtol=1e-4, atol=1e-6)


class Stopping:
    """A data set that fails at a row, as often as it is told to."""

    def __init__(self, x: np.ndarray, row: int) -> None:
        self.x, self.row, self.asked = x, row, []

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, number: int) -> np.ndarray:
        self.asked.append(number)
        if number == self.row:
            raise KeyboardInterrupt
        return self.x[number]


class Losing(Stopping):
    """A data set whose process is killed where it is first asked for a row, if it is a worker's."""

    def __init__(self, x: np.ndarray, row: int, lost: Path) -> None:
        super().__init__(x, row)
        self.lost, self.process = lost, os.getpid()

    def __getitem__(self, number: int) -> np.ndarray:
        if number == self.row and os.getpid() != self.process and not self.lost.exists():
            self.lost.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.x[number]


class Deadly(Losing):
    """A data set whose process is killed wherever it is asked for a row, if it is a worker's."""

    def __getitem__(self, number: int) -> np.ndarray:
        self.lost.unlink(missing_ok=True)
        return super().__getitem__(number)


@pytest.mark.parametrize("name", ["maps.h5", "maps", STORE])
def test_what_was_stopped_goes_on(name: str, tmp_path: Path) -> None:
    x = inputs()
    rows, explainer = Stopping(x, 13), Explainer(model(), METHODS)
    with pytest.raises(KeyboardInterrupt):
        explainer.write(rows, tmp_path / name, target=1, batch_size=4)
    assert not (tmp_path / name).exists()
    rows.row, rows.asked = -1, []
    Explainer(model(), METHODS).write(rows, tmp_path / name, target=1, batch_size=7)
    assert sorted(set(rows.asked) - {0, 11, 22}) == list(range(12, 22))  # three are read to see that they are the same
    for method in METHODS:
        assert np.allclose(read(tmp_path / name, method), expected(method, x, 1), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("what", ["model", "methods", "target", "inputs"])
def test_nothing_goes_on_with_what_was_begun_otherwise(what: str, tmp_path: Path) -> None:
    x = inputs()
    with pytest.raises(KeyboardInterrupt):
        Explainer(model(), METHODS).write(Stopping(x, 13), tmp_path / "maps", target=1, batch_size=4)
    network = model()
    if what == "model":
        nn.init.zeros_(network[0].bias)
    methods = ["gradient", "lrp_flat"] if what == "methods" else METHODS
    rows = 2 * x if what == "inputs" else x
    arguments = (rows, tmp_path / "maps", 2 if what == "target" else 1)
    with pytest.raises(FileExistsError, match=what):
        Explainer(network, methods).write(*arguments)
    assert Explainer(network, methods).write(*arguments, anew=True).exists()


def test_what_is_there_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    explainer = Explainer(model(), METHODS)
    path = explainer.write(inputs(), tmp_path / "maps")
    with pytest.raises(FileExistsError, match="anew"):
        explainer.write(inputs(), path)
    assert explainer.write(inputs(), path, anew=True) == path


def test_worker_processes_write_the_same(tmp_path: Path) -> None:
    x = inputs(40)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    path = Explainer(model(), METHODS).write(mapped, tmp_path / "maps", batch_size=5, workers=2)
    maps = explain_many(model(), torch.from_numpy(x), METHODS)
    for method in METHODS:
        assert np.allclose(read(path, method), maps[method], rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])  # the loss of the only one is the loss of what all of them were handed
@pytest.mark.parametrize("name", [STORE])
def test_workers_of_a_cluster_write_the_same_and_take_over_from_one_that_is_lost(
    name: str, workers: int, tmp_path: Path
) -> None:
    distributed = pytest.importorskip("distributed")
    x, lost = inputs(40), tmp_path / "lost"
    with (
        distributed.LocalCluster(workers, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        path = Explainer(model(), METHODS).write(
            Losing(x, 23, lost), tmp_path / name, target=1, batch_size=5, workers=client
        )
    assert lost.exists()
    for method in METHODS:
        assert np.allclose(read(path, method), expected(method, x, 1), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", [STORE])
def test_a_cluster_whose_workers_are_lost_again_and_again_is_given_up(name: str, tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    rows = Deadly(inputs(40), 23, tmp_path / "lost")
    with (
        distributed.LocalCluster(1, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
        pytest.raises((RuntimeError, distributed.scheduler.KilledWorker), match=r"lost|died"),
    ):
        Explainer(model(), METHODS).write(rows, tmp_path / name, batch_size=5, workers=client)


@pytest.mark.parametrize("workers", [-1, True, "2", 1.5, None])
def test_workers_are_a_number_or_a_cluster(workers: object, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="workers must be"):
        Explainer(model(), METHODS).write(inputs(), tmp_path / "maps", workers=workers)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_a_cluster_writes_chunks(tmp_path: Path) -> None:
    client = SimpleNamespace(scatter=None, submit=None)
    with pytest.raises(ValueError, match="zarr"):
        Explainer(model(), METHODS).write(inputs(), tmp_path / "maps.h5", workers=client)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["maps.npy", "maps.h5", STORE])
def test_a_run_that_was_given_up_writes_no_rows_into_another(name: str, tmp_path: Path) -> None:
    first, second = (Files(tmp_path / name, ["lrp_z"]) for _ in range(2))
    for files in (first, second):
        files.make({"batch_size": 2}, {"lrp_z": (4, 3)}, "<f4")
    second.put(0, {"lrp_z": np.ones((2, 3), np.float32)})
    with pytest.raises(FileExistsError, match="begun anew"):
        first.put(0, {"lrp_z": np.zeros((2, 3), np.float32)})
    assert read(second.finish(), "lrp_z")[:2].min() == 1


def test_an_explainer_and_its_inputs_go_to_another_process() -> None:
    x = inputs()
    explainer, rows = pickle.loads(pickle.dumps((Explainer(model(), METHODS), Rows(x))))
    assert np.array_equal(rows.batch(3, 5).numpy(), x[3:5])
    assert np.array_equal(explainer(rows.batch(0, 23))["lrp_z"], expected("lrp_z", x))


KILLED = """
import sys, numpy as np, torch
from tests.signxai_torch.test_sets import METHODS, inputs, model
from signxai_torch import Explainer

def told(done, of):
    print(done, flush=True)

Explainer(model(), METHODS).write(inputs(3000), sys.argv[1], target=1, batch_size=3, progress=told)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_killed_at_any_moment_no_row_is_lost(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    path = tmp_path / "maps.h5"
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}
    done = 0
    for least in (90, 300, 600):
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, env=environment, cwd=root
        ) as process:
            for line in process.stdout:
                assert int(line) > done
                done = int(line)
                if done >= least:
                    process.send_signal(signal.SIGKILL)
                    break
    assert not path.exists()
    x = inputs(3000)
    Explainer(model(), METHODS).write(x, path, target=1)
    for method in METHODS:
        assert np.allclose(read(path, method), expected(method, x, 1), rtol=1e-3, atol=1e-5)


def test_what_cannot_be_is_refused_in_a_sentence(tmp_path: Path) -> None:
    explainer = Explainer(model(), METHODS)
    with pytest.raises(ValueError, match="folder"):
        explainer.write(inputs(), tmp_path / "maps.npy")
    with pytest.raises(ValueError, match=r"\.npy, \.h5"):
        explainer.write(inputs(), tmp_path / "maps.csv")
    with pytest.raises(ValueError, match="2 entries for 23 inputs"):
        explainer.write(inputs(), tmp_path / "maps", target=[1, 2])
    with pytest.raises(ValueError, match="batch_size"):
        explainer.write(inputs(), tmp_path / "maps", batch_size=0)
    with pytest.raises(ValueError, match="empty"):
        explainer.write(inputs(0), tmp_path / "maps")
    with pytest.raises(TypeError, match=r"loader\.dataset"):
        explainer.write(iter(inputs()), tmp_path / "maps")
    assert not list(tmp_path.iterdir())
