"""Many methods at once give the maps of one at a time, and what they have in common is computed once."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
import torch
from torch import nn
from zennit.layer import Sum

from signxai_torch import UnhookedOperationError, explain, explain_many, list_methods, parse, plan
from signxai_torch.lrp.rule import LinearRule
from tests.signxai_torch.nets import Shared, TorchvisionLike, cnn, curves, mlp, pictures, randomized, series

pytestmark = pytest.mark.slow

NEEDS_OTHERS = ("grad_cam", "guided_grad_cam", "x_sign_mu")
RANDOM = ("smoothgrad", "vargrad", "random")


def listed(*without: str) -> list[str]:
    """The listed names that need no parameter and no named layer."""
    return [
        name
        for name in list_methods()
        if not name.endswith(NEEDS_OTHERS) and parse(name).family not in (*without, "grad_cam", "guided_grad_cam",
                                                                          "grad_cam_timeseries", "occlusion")
    ]  # fmt: skip


class Branches(nn.Module):
    """For inputs (N, 2, 8, 6): two layers see the input, a third path takes it straight to the sum."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1)
        self.relu, self.sum, self.pool, self.last = nn.ReLU(), Sum(), nn.MaxPool2d(2), nn.Linear(24, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.sum(torch.stack([self.relu(self.left(x)), self.right(x), x], dim=-1))
        return self.last(self.pool(y).flatten(1))


NETS = {
    "cnn": (cnn, pictures),
    "series": (series, curves),
    "mlp": (mlp, pictures),
    "torchvision_like": (lambda: randomized(TorchvisionLike()), pictures),
    "shared": (lambda: randomized(Shared()), lambda: curves()[:, 0, :6]),
    "branches": (lambda: randomized(Branches()), pictures),
    "pooling_first": (
        lambda: randomized(nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(6, 4))),
        pictures,
    ),
}


@pytest.mark.filterwarnings("ignore::signxai_torch.UnusedInputRuleWarning")
@pytest.mark.parametrize("net", NETS)
def test_the_maps_are_those_of_single_calls(net):
    make, inputs = NETS[net]
    model, x = make(), inputs()
    names = listed(*RANDOM)
    many = explain_many(model, x, names)
    assert list(many) == names
    for name in names:
        np.testing.assert_allclose(many[name], explain(model, x, name), rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.parametrize("names", [["smoothgrad"], ["vargrad"], ["smoothgrad_x_input", "vargrad", "smoothgrad"]])
@pytest.mark.usefixtures("numpys_draws")
def test_one_set_of_noise_serves_all(names):
    model, x = cnn(), pictures()
    np.random.seed(5)
    many = explain_many(model, x, names)
    for name in names:
        np.random.seed(5)
        np.testing.assert_allclose(many[name], explain(model, x, name), rtol=1e-12, err_msg=name)


def test_a_seed_is_that_of_every_method_that_draws():
    model, x = cnn(), pictures()
    names = ["smoothgrad", "vargrad_x_input", "random", "innvestigate.smoothgrad", "random_uniform", "gradient"]
    seeded = explain_many(model, x, names, seed=7)
    for name in names:
        more = {"seed": 7} if name not in ("random_uniform", "gradient") else {}
        np.testing.assert_allclose(seeded[name], explain(model, x, name, **more), rtol=1e-12, err_msg=name)
    one, other = (explain_many(model, x, ["random"])["random"] for _ in range(2))
    assert not np.array_equal(one, other)


def counted(model: nn.Module, monkeypatch: pytest.MonkeyPatch) -> tuple[Counter[str], Counter[str]]:
    """Forward calls of the model, and calls of rules per layer."""
    forwards, rules = Counter(), Counter()
    model.register_forward_hook(lambda *_: forwards.update(["model"]))
    own = LinearRule.relevance

    def relevance(self, operation, arriving):
        rules[operation.module] += 1
        return own(self, operation, arriving)

    monkeypatch.setattr(LinearRule, "relevance", relevance)
    return forwards, rules


def test_one_forward_pass_serves_all_rules(monkeypatch):
    model, x = cnn(), pictures()
    forwards, _ = counted(model, monkeypatch)
    rules = ["guided_backprop", "deconvnet_x_sign", "lrp_z", "lrp_flat", "lrp_sequential_composite_b",
             "w2lrp_epsilon_10", "lrp_z_IB", "deep_taylor"]  # fmt: skip
    explain_many(model, x, rules)
    assert forwards["model"] == 1
    forwards.clear()
    explain_many(model, x, [*rules, "gradient", "input_t_gradient"])
    assert forwards["model"] == 2, "autograd takes the gradient, also of what rules cannot follow"


def test_methods_that_differ_in_the_input_layer_share_the_pass_above_it(monkeypatch):
    model, x = cnn(), pictures()
    _, rules = counted(model, monkeypatch)
    names = ["lrp_z", "lrpsign_z", "w2lrp_z", "flatlrp_z", "lrp_z_x_input", "lrp.z"]
    explain_many(model, x, names)
    assert rules["2"] == rules["6"] == rules["8"] == 1
    assert rules["0"] == 4
    assert plan(names).passes == 1


def places(array: np.ndarray) -> tuple[int, int]:
    byte_bounds = getattr(np.lib, "array_utils", np).byte_bounds  # before NumPy 2 it was numpy's own
    return byte_bounds(array)


@pytest.mark.filterwarnings("ignore::signxai_torch.UnusedInputRuleWarning")
@pytest.mark.parametrize("net", NETS)
def test_every_map_owns_its_memory(net):
    make, inputs = NETS[net]
    model, x = make(), inputs()
    many = explain_many(model, x, [*listed(), "integrated_gradients"])
    bounds = sorted(places(one) for one in many.values())
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(bounds))
    given = x.numpy()
    for name, one in many.items():
        assert one.flags.writeable, name
        assert 0 not in one.strides, name
        assert places(one)[1] - places(one)[0] == one.nbytes, name
        assert not np.shares_memory(one, given), name


@pytest.mark.parametrize(
    "method", ["lrp_flat", "flatlrp_z", "lrp_z", "grad_cam", "random_uniform", "input", "gradient"]
)
def test_a_single_map_owns_its_memory(method):
    model = randomized(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(96, 4)))
    found = explain(model, torch.rand(2, 3, 8, 6, dtype=torch.float64), method, 0)
    assert 0 not in found.strides
    assert places(found)[1] - places(found)[0] == found.nbytes
    found[0, 0] += 1
    assert not np.array_equal(found[0, 0], found[0, 1])


def test_equal_maps_are_arrays_of_their_own():
    many = explain_many(cnn(), pictures(), ["lrp_z", "lrp.z", "lrp_sequential_preset_a", "lrp_sequential_composite_a"])
    many["lrp_z"][:] = 0
    assert many["lrp.z"].any()


def test_the_plan_is_a_tree_of_all_names():
    names = listed()
    together = plan(names)

    def leaves(node):
        return [*node.methods, *(name for child in node.children for name in leaves(child))]

    assert sorted(leaves(together.tree)) == sorted(names)
    assert together.passes < len([name for name in names if parse(name).row.layers]) / 3


def test_the_plan_can_be_read():
    text = str(plan(["lrp_epsilon_0_1", "lrpsign_epsilon_0_1", "lrpsign_epsilon_0_1_x_input", "vargrad", "smoothgrad"]))
    assert text.splitlines() == [
        "5 methods, 2 jobs, 1 backward passes of rules",
        "├── one forward pass",
        "│   └── kernel: Epsilon(epsilon=0.1, bias=True), from the logit",
        "│       ├── input layer: as the others: lrp_epsilon_0_1",
        "│       └── input layer: SIGN(bias=True): lrpsign_epsilon_0_1, lrpsign_epsilon_0_1_x_input",
        "└── gradients at noisy inputs (noise_scale=0.2, samples=50)",
        "    ├── variance of the gradients: vargrad",
        "    └── mean of the gradients: smoothgrad",
    ]


def test_a_name_given_twice_is_one():
    assert list(explain_many(cnn(), pictures(), ["lrp_z", "gradient", "lrp_z"])) == ["lrp_z", "gradient"]


def test_a_memory_limit_splits_the_batch(monkeypatch):
    model, x = cnn(), pictures(5)
    names = [*listed(*RANDOM), "integrated_gradients"]
    whole = explain_many(model, x, names, [3, 2, 1, 0, 0])
    need = plan(names).memory(model, x[:1])
    forwards, _ = counted(model, monkeypatch)
    parts = explain_many(model, x, names, [3, 2, 1, 0, 0], memory_limit=2 * need)
    assert forwards["model"] > 3
    for name in names:
        np.testing.assert_allclose(parts[name], whole[name], rtol=1e-12, atol=1e-14, err_msg=name)


@pytest.mark.usefixtures("numpys_draws")
def test_a_memory_limit_leaves_the_draws_as_they_are():
    """Jobs run one after another over all parts: numpy's generator is drawn in the order of the whole batch."""
    model, x = cnn(), pictures(5)
    names = ["smoothgrad", "random", "vargrad_x_input", "random_x_sign", "lrp_z"]
    found = []
    for step in (None, 1, 2, 5):
        limit = None if step is None else step * plan(names).memory(model, x[:1])
        np.random.seed(4)
        found.append(explain_many(model, x, names, memory_limit=limit) | {"next": np.random.normal(size=3)})
    for other in found[1:]:
        for name, expected in found[0].items():
            np.testing.assert_allclose(other[name], expected, rtol=1e-11, atol=1e-14, err_msg=name)


def test_no_names_give_no_maps():
    assert explain_many(cnn(), pictures(), []) == explain_many(cnn(), pictures(), [], memory_limit=1) == {}
    assert plan([]).memory(cnn(), pictures()) == 0


@pytest.mark.parametrize("names", [None, 3])
def test_names_must_be_several(names):
    with pytest.raises(TypeError, match="methods must be several names, such as"):
        explain_many(cnn(), pictures(), names)


def test_the_memory_is_counted_without_touching_the_model():
    model = randomized(TorchvisionLike()).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    plan(["lrp_z"]).memory(model, pictures())
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_targets_that_do_not_fit_the_batch_are_refused_in_parts_too():
    with pytest.raises(ValueError, match="one int per sample"):
        explain_many(cnn(), pictures(4), ["lrp_z"], [0, 1], memory_limit=2 * plan(["lrp_z"]).memory(cnn(), pictures(1)))


def test_a_memory_limit_that_is_too_small_is_named():
    need = plan(["lrp_z"]).memory(cnn(), pictures(1))
    with pytest.raises(ValueError, match=f"memory_limit {need - 1} is too small: one sample .* needs {need} bytes"):
        explain_many(cnn(), pictures(), ["lrp_z"], memory_limit=need - 1)


def test_more_methods_and_samples_need_more_memory():
    model = cnn()
    needs = [
        plan(names).memory(model, pictures(count))
        for names, count in ((["lrp_z"], 1), (["lrp_z"], 2), (["lrp_z", "lrp_flat", "gradient"], 2), (["vargrad"], 2))
    ]
    assert needs == sorted(needs)
    assert needs[0] < needs[1] < needs[2]


PEAK = """
import ctypes, gc, pathlib, sys, torch
from torch import nn
from signxai_torch import explain_many, plan
model = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
                      nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 64 * 64, 4)).eval()
names, x = sys.argv[1].split(), torch.rand(8, 3, 128, 128)
explain_many(model, x[:1, :, :128], names)  # code and buffers that stay
limit = plan(names).memory(model, x[:2])
def status(key):
    text = pathlib.Path("/proc/self/status").read_text()
    return 1024 * int(next(line for line in text.splitlines() if line.startswith(key)).split()[1])
gc.collect()
ctypes.CDLL(None).malloc_trim(0)
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = status("VmRSS")
maps = explain_many(model, x, names, memory_limit=limit)
print(limit, status("VmHWM") - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak of resident memory is read from /proc")
@pytest.mark.parametrize(
    "names", ["lrp_z lrpsign_z lrp_alpha_2_beta_1 gradient", "smoothgrad vargrad", "integrated_gradients"]
)
def test_the_stated_memory_is_enough(names):
    # Freed tensors go back to the system at once, so that the peak is what is held and not what malloc keeps.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", PEAK, names], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    limit, peak = (int(value) for value in done.stdout.split())
    maps = 8 * 3 * 128 * 128 * 4 * len(names.split())  # the limit's share is that of two samples
    assert peak <= limit + 2 * maps + 2**23, (limit, peak)  # 8 MB for what Python and oneDNN keep


class Sums(nn.Module):
    def forward(self, x):
        return x.cumsum(1)


def test_a_layer_without_a_rule_is_named_for_all_methods_at_once():
    model = nn.Sequential(nn.Flatten(), nn.Linear(96, 8), nn.PReLU(), Sums(), nn.Linear(8, 4)).double()
    with pytest.raises(UnhookedOperationError, match="cumsum in 3"):
        explain_many(model, pictures(), ["gradient", "lrp_z", "lrp_flat"])
