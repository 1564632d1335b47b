"""A Keras model that is not in the repository, through the real command; and breaks of the port that it must name."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from parity.commands.cli import main
from parity.reference.environment import ReferenceEnvironmentError, find_python, worker_environment
from signxai_torch.lrp import targets
from signxai_torch.operations import linear

ROOT = Path(__file__).resolve().parents[2]
MAKE = """
import sys, numpy as np, tensorflow as tf
tf.keras.utils.set_random_seed(5)
L = tf.keras.layers
model = tf.keras.Sequential([
    L.Input((12, 10, 2)), L.Conv2D(4, 3, padding="same", activation="relu"), L.MaxPooling2D(),
    L.Conv2D(6, 3, activation="relu", bias_initializer=tf.keras.initializers.RandomNormal(stddev=0.2)),
    L.Flatten(), L.Dense(8, activation="relu"), L.Dense(3, activation="softmax")])
model.save(sys.argv[1], include_optimizer=False)
"""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with `mine.h5` and two inputs, `x.npy`."""
    try:
        python = find_python()
    except ReferenceEnvironmentError as error:
        pytest.skip(f"no reference environment: {error}")
    folder = tmp_path_factory.mktemp("own")
    command = [str(python), "-c", MAKE, str(folder / "mine.h5")]
    subprocess.run(command, check=True, capture_output=True, env=worker_environment(), timeout=120)
    np.save(folder / "x.npy", np.random.RandomState(3).normal(size=(2, 12, 10, 2)).astype(np.float32))
    return folder


def run(own: Path, out: Path, *methods: str) -> tuple[int, dict, str]:
    wanted = [part for method in methods for part in ("--method", method)]
    arguments = ["run", "--model", str(own / "mine.h5"), "--inputs", str(own / "x.npy"), *wanted,
                 "--report", str(out), "--store", str(own / "store")]  # fmt: skip
    done = CliRunner().invoke(main, arguments)
    assert (out / "parity.json").exists(), done.output
    return done.exit_code, json.loads((out / "parity.json").read_text()), done.output


@pytest.mark.reference
def test_a_model_of_ones_own_is_held_to_parity(own: Path, tmp_path: Path) -> None:
    code, document, output = run(own, tmp_path, "lrp_alpha*", "lrp_flat", "lrp_epsilon_0_1", "gradient")
    assert code == 0, output
    assert {row["status"] for row in document["results"]} == {"parity"}
    assert {row["model"] for row in document["results"]} == {"mine"}
    assert len(document["inputs"]) == 2
    assert (tmp_path / "parity.html").stat().st_size > 0


@pytest.mark.reference
def test_the_printed_command_makes_the_case_again_in_a_shell(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "it's odd"
    odd.mkdir()
    (odd / "my model [1].h5").write_bytes((own / "mine.h5").read_bytes())
    np.save(odd / "x [a].npy", np.load(own / "x.npy")[1])
    arguments = ["run", "--model", "my model [1].h5", "--inputs", "x *.npy", "--method", "lrp_flat", "--target", "1",
                 "--store", str(own / "store"), "--report", str(odd / "first")]  # fmt: skip
    monkeypatch.chdir(odd)
    assert CliRunner().invoke(main, arguments).exit_code == 0
    rows = json.loads((odd / "first" / "parity.json").read_text())["results"]
    again = f"{rows[1]['reproduce']} --report {shlex.quote(str(odd / 'again'))}"
    assert again.startswith(".venv/bin/parity run")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(again, shell=True, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads((odd / "again" / "parity.json").read_text())["results"]
    keys = ("model", "input", "target", "method", "dtype", "status", "rel_l2", "reproduce")
    assert [[row[key] for key in keys] for row in made] == [[row[key] for key in keys] for row in rows]


BREAKS = {
    "the flat rule takes the weights instead of ones": (
        "lrp_flat",
        lambda patch: (
            [patch.setitem(linear.PARTS, "ones", lambda weight, out=None: weight)]
            + [patch.setattr(linear.ConvolutionMap, name, getattr(Whole, name)) for name in ("apply_ones", "transpose")]
        ),
    ),
    "relevance starts from one instead of the logit": (
        "lrp_z",
        lambda patch: patch.setattr(
            "signxai_torch.sweep.walk.start", lambda output, indices, head: targets.start(output, indices, "one")
        ),
    ),
    "negative weights are taken as they are": (
        "lrp_alpha_2_beta_1",
        lambda patch: patch.setitem(linear.PARTS, "negative", lambda weight, out=None: weight),
    ),
    "gradient times input forgets the input": (
        "gradient_x_input",
        lambda patch: patch.setattr("signxai_torch.sweep.plan.modify", lambda result, x, method, parameters: result),
    ),
}


class Whole:
    """A convolution's map without the shortcuts for ones, so that a broken part shows."""

    def apply_ones(self, like: torch.Tensor, part: str) -> torch.Tensor:
        return self.apply(torch.ones_like(like), part)  # type: ignore[attr-defined]

    def transpose(self, relevance: torch.Tensor, part: str, like: torch.Tensor) -> torch.Tensor:
        return self._transpose(relevance, self.parts.get(part, like), like, self.groups)  # type: ignore[attr-defined]


@pytest.mark.reference
@pytest.mark.parametrize("what", BREAKS)
def test_a_break_of_the_port_is_named(what: str, own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    method, plant = BREAKS[what]
    plant(monkeypatch)
    code, document, output = run(own, tmp_path, method, "gradient")
    assert code == 1, output
    failing = {row["method"] for row in document["results"] if row["status"] != "parity"}
    assert failing == {method}
    assert method in output
