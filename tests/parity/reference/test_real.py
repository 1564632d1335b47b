"""The real packages on small random models, held to what TensorFlow's own GradientTape says in float64."""

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from parity.reference import NoiseSpec, ReferenceCall, ReferenceClient, ReferenceRequest, ResultStore
from parity.reference.environment import WORKER, worker_environment
from tests.parity.reference.conftest import source
from tests.parity.reference.test_client import alive
from tests.parity.reference.test_faults import ROOT, wait_until
from tests.parity.small_networks import dense, written

pytestmark = pytest.mark.reference

NETS = ("vgg", "vgg_activation", "sequential", "branches", "series")
FORK_NOISE = NoiseSpec(11, 50, 0.2)
INN_NOISE = NoiseSpec(11, 64, 1.0)


@pytest.fixture(scope="module")
def real(reference_python, tmp_path_factory):
    folder = tmp_path_factory.mktemp("real")
    with ReferenceClient(reference_python, folder / "store", keep_both=True, threads=1, timeout=120) as client:
        yield client


@pytest.fixture(scope="module")
def truths(models):
    return {name: dict(np.load(models / f"truth-{name}.npz")) for name in NETS}


@pytest.fixture
def explain(real, models, truths):
    """`explain("vgg", "wrapper", "gradient")` -> the answer for logit 1 of that net at its one input."""

    def one(net, kind, name="", options=None, modifiers=(), noise=None, dtype="float64", backend=None, target=1):
        backend = backend or ("signxai" if kind == "wrapper" else "innvestigate")
        call = ReferenceCall(backend, kind, name, options or {}, modifiers, noise)
        x = truths[net]["x"].astype(np.float32)
        request = ReferenceRequest(source(models / f"{net}.h5"), (x,), (target,), call, dtype)
        return real.answer(request)[0]

    return one


def distance(found, expected):
    assert found.shape == expected.shape
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("backend", ["signxai", "innvestigate"])
def test_logits_are_those_of_keras_in_both_dtypes(explain, truths, net, backend):
    for dtype, limit in (("float64", 1e-13), ("float32", 1e-5)):
        answer = explain(net, "logits", backend=backend, dtype=dtype)
        assert answer.error is None, answer.error
        assert answer.array.dtype == dtype
        assert distance(answer.array, truths[net]["logits"]) < limit


def fork_expectations(truth):
    x, gradient, path, noisy = truth["x"], truth["gradient"], truth["path"], truth["noisy"]
    return {
        "gradient": (gradient, None),
        "input_t_gradient": (x * gradient, None),
        "gradient_x_input": (x * gradient, None),
        "gradient_x_sign": (np.where(x < 0, -1, 1) * gradient, None),
        "gradient_x_sign_mu_0_5": (np.where(x < 0.5, -1, 1) * gradient, None),
        "integrated_gradients": (x * path.mean(0), None),
        "smoothgrad": (noisy.mean(0), FORK_NOISE),
        "smoothgrad_x_input": (x * noisy.mean(0), FORK_NOISE),
        "vargrad": (noisy.var(0), FORK_NOISE),
    }


@pytest.mark.parametrize("net", ["vgg", "branches", "series"])
def test_the_forks_gradient_family_runs_in_float64_and_is_right(explain, truths, net):
    """Its own float32 constants are in the way there, also in the sums of branching nets."""
    for name, (expected, noise) in fork_expectations(truths[net]).items():
        answer = explain(net, "wrapper", name, noise=noise)
        assert answer.error is None, f"{name}: {answer.error}"
        assert answer.array.dtype == np.float64, name
        assert distance(answer.array, expected) < 1e-12, name
        assert any("float64" in note for note in answer.notes), "that it was widened must be told"


@pytest.mark.parametrize("net", ["vgg", "sequential", "branches", "series"])
def test_innvestigates_gradient_family_is_right_in_float64(explain, truths, net):
    truth = truths[net]
    expected = {
        "gradient": (truth["gradient"], None),
        "gradient.baseline": (truth["gradient"], None),
        "input_t_gradient": (truth["x"] * truth["gradient"], None),
        "integrated_gradients": (truth["x"] * truth["left_path"].mean(0), None),
        "smoothgrad": (truth["noisy_one"].mean(0), INN_NOISE),
        "input": (truth["x"], None),
        "random": (truth["x"] + np.random.RandomState(3).normal(size=truth["x"].shape), NoiseSpec(3, 1, 1.0)),
    }
    for name, (array, noise) in expected.items():
        answer = explain(net, "analyzer", name, noise=noise)
        assert answer.error is None, f"{name}: {answer.error}"
        assert distance(answer.array, array) < 1e-12, name


FAMILIES = [
    ("wrapper", "guided_backprop", {}),
    ("wrapper", "deconvnet_x_sign", {}),
    ("wrapper", "lrp_z", {}),
    ("wrapper", "lrp_epsilon_0_1", {}),
    ("wrapper", "lrpsign_epsilon_0_25_std_x", {}),
    ("wrapper", "lrpsign_epsilon_0_25_std_x_mu_0_5", {}),
    ("wrapper", "w2lrp_epsilon_0_1", {}),
    ("wrapper", "flatlrp_epsilon_0_1", {}),
    ("wrapper", "lrp_alpha_1_beta_0", {}),
    ("wrapper", "lrp_sequential_composite_a", {}),
    ("wrapper", "lrp_sequential_composite_b", {}),
    ("wrapper", "guided_grad_cam_MNISTCNN", {}),
    ("signxai", "lrp.flat", {}),
    ("signxai", "lrp.w_square", {}),
    ("signxai", "lrp.gamma", {"gamma": 0.5}),
    ("signxai", "lrp.z_plus", {}),
    ("signxai", "lrp.alpha_2_beta_1", {}),
    ("signxai", "lrp.alpha_beta", {"alpha": 3, "beta": 2}),
    ("signxai", "lrp.epsilon", {"epsilon": 0.1, "input_layer_rule": "SIGNmu", "mu": 0.3}),
    ("innvestigate", "lrp.z", {"input_layer_rule": [-4, 4]}),
    ("innvestigate", "lrp.epsilon", {"epsilon": 0.1}),
    ("innvestigate", "lrp.flat", {}),
    ("innvestigate", "lrp.alpha_beta", {"alpha": 3, "beta": 2}),
    ("innvestigate", "lrp.z_plus_fast", {}),
    ("innvestigate", "lrp.sequential_preset_b_flat_until_idx", {"until_layer_idx": 2}),
    ("innvestigate", "deconvnet", {}),
    ("innvestigate", "guided_backprop", {}),
    ("innvestigate", "deep_taylor.bounded", {"low": -4, "high": 4}),
    ("innvestigate", "gradient", {"postprocess": "square"}),
]


@pytest.mark.parametrize(("where", "name", "options"), FAMILIES, ids=lambda value: str(value))
def test_each_family_answers_in_both_dtypes_alike(explain, truths, where, name, options):
    target = int(truths["vgg"]["logits"].argmax())  # a positive logit: alpha-beta and deep Taylor need one
    kind = "wrapper" if where == "wrapper" else "analyzer"
    backend = "signxai" if where == "wrapper" else where
    answers = {
        dtype: explain("vgg", kind, name, options, dtype=dtype, backend=backend, target=target)
        for dtype in ("float32", "float64")
    }
    for dtype, answer in answers.items():
        assert answer.error is None, answer.error
        assert answer.array.dtype == dtype
        assert answer.array.shape == (10, 10, 3)
        assert np.isfinite(answer.array).all()
        assert answer.seconds > 0
        assert 100e6 < answer.peak_rss < 4e9
        assert answer.versions["tensorflow"].startswith("2.")
    assert distance(answers["float32"].array, answers["float64"].array) < 1e-3
    assert np.abs(answers["float64"].array).max() > 0


def test_grad_cam_and_its_series_form_run(explain):
    picture = explain("vgg", "wrapper", "grad_cam", {"last_conv_layer_name": "conv2d_1"})
    assert picture.error is None
    assert picture.array.shape == (10, 10, 3)
    series = explain("series", "wrapper", "grad_cam_timeseries", {"last_conv_layer_name": "last_conv"})
    assert series.error is None
    assert series.array.shape == (20, 2)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("base", "modifiers", "same"),
    [
        ("gradient", (("x_input", None),), "gradient_x_input"),
        ("gradient", (("x_sign", None),), "gradient_x_sign"),
        ("gradient", (("x_sign_mu", -0.5),), "gradient_x_sign_mu_neg_0_5"),
        ("guided_backprop", (("x_sign_mu", 0.5),), "guided_backprop_x_sign_mu_0_5"),
        ("deconvnet", (("x_sign", None),), "deconvnet_x_sign"),
    ],
)
def test_modifiers_are_upstreams_own_wrappers_to_the_bit(explain, base, modifiers, same, dtype):
    ours = explain("vgg", "wrapper", base, modifiers=modifiers, dtype=dtype)
    theirs = explain("vgg", "wrapper", same, dtype=dtype)
    assert ours.error is None
    assert np.array_equal(ours.array, theirs.array)


def test_modifiers_around_bases_that_upstream_does_not_have(explain, truths):
    truth = truths["vgg"]
    base = explain("vgg", "wrapper", "lrp_epsilon_0_1").array
    x = truth["x"]
    found = explain("vgg", "wrapper", "lrp_epsilon_0_1", modifiers=(("x_input", None), ("x_sign", None)))
    assert np.array_equal(found.array, base * x * np.where(x < 0, -1, 1))
    base = explain("vgg", "analyzer", "lrp.flat").array
    found = explain("vgg", "analyzer", "lrp.flat", modifiers=(("x_sign_mu", 0.5),))
    assert np.array_equal(found.array, base * np.where(x < 0.5, -1, 1))
    found = explain("vgg", "wrapper", "smoothgrad", modifiers=(("x_sign", None),), noise=FORK_NOISE)
    assert np.array_equal(found.array, explain("vgg", "wrapper", "smoothgrad_x_sign", noise=FORK_NOISE).array)


@pytest.mark.parametrize(
    ("backend", "name", "noise", "words"),
    [
        ("signxai", "smoothgrad", None, "request has no noise"),
        ("signxai", "smoothgrad", NoiseSpec(11, 50, 0.3), "not what seed 11"),
        ("signxai", "smoothgrad", NoiseSpec(11, 49, 0.2), "drew noise 50 times"),
        ("signxai", "gradient", FORK_NOISE, "drew noise 0 times"),
        ("innvestigate", "smoothgrad", None, "request has none"),
        ("innvestigate", "random", None, "request has none"),
        ("innvestigate", "smoothgrad", NoiseSpec(11, 50, 1.0), "takes 64 noisy samples"),
        ("innvestigate", "smoothgrad", NoiseSpec(11, 64, 0.2), "always adds 1"),
        ("innvestigate", "gradient", INN_NOISE, "added none"),
    ],
)
def test_noise_that_is_not_the_agreed_one_is_an_error(explain, backend, name, noise, words):
    kind = "wrapper" if backend == "signxai" else "analyzer"
    answer = explain("vgg", kind, name, noise=noise)
    assert answer.error_kind == "method"
    assert words in answer.error


@pytest.mark.parametrize(
    ("kind", "backend", "name", "options", "words"),
    [
        ("wrapper", "signxai", "lrp_of_tomorrow", {}, "no method 'lrp_of_tomorrow'"),
        ("wrapper", "signxai", "calculate_relevancemap", {}, "no method"),
        ("wrapper", "signxai", "np", {}, "no method"),
        ("analyzer", "signxai", "deep_taylor", {}, "no analyzer"),
        ("analyzer", "innvestigate", "lrp.gamma", {}, "no analyzer"),
        ("analyzer", "innvestigate", "lrp.epsilon", {"epsylon": 1}, "epsylon"),
        ("analyzer", "innvestigate", "deep_taylor.bounded", {}, "low"),
        ("wrapper", "signxai", "grad_cam", {}, "last_conv_layer_name"),
        ("wrapper", "signxai", "grad_cam", {"last_conv_layer_name": "conv9"}, "No such layer: conv9"),
    ],
)
def test_what_the_reference_refuses_is_told_and_does_not_hurt_the_next(
    explain, real, kind, backend, name, options, words
):
    answer = explain("vgg", kind, name, options, backend=backend)
    assert answer.error_kind == "method"
    assert words in answer.error
    assert "Traceback" in answer.stderr_tail
    started = real.workers_started
    # The seed of the dead: an analyzer that raised stays broken, so the next one must be a new one.
    assert explain("vgg", "logits", backend=backend, target=3).error is None
    assert real.workers_started == started


@pytest.mark.parametrize("target", [-1, 5])
@pytest.mark.parametrize("kind", ["wrapper", "analyzer"])
def test_a_target_that_is_none_of_the_models(explain, kind, target):
    answer = explain("vgg", kind, "gradient", target=target)
    assert answer.error_kind == "method"
    assert f"target {target}: the model has the outputs 0 to 4" in answer.error


@pytest.mark.parametrize("backend", ["signxai", "innvestigate"])
def test_several_inputs_at_once_are_each_explained_as_if_alone(real, models, truths, backend, tmp_path, monkeypatch):
    x = truths["vgg"]["x"].astype(np.float32)
    call = ReferenceCall(backend, "analyzer", "lrp.epsilon")
    vgg = source(models / "vgg.h5")
    together = real.answer(ReferenceRequest(vgg, (x, -x, x[:8]), (1, 3, 0), call, "float64"))
    assert "input of shape (8, 10, 3): the model takes (10, 10, 3)" in together[2].error
    monkeypatch.setattr(real, "store", ResultStore(tmp_path))  # an empty one: the question is asked again
    for array, target, answer in zip((x, -x), (1, 3), together, strict=False):
        (alone,) = real.answer(ReferenceRequest(vgg, (array,), (target,), call, "float64"))
        assert not alone.from_store
        assert distance(answer.array, alone.array) < 1e-14


def test_networks_may_be_deeper_than_calls_of_python_are(real, tmp_path):
    """SIGN-XAI calls itself for each layer; 400 in a row are beyond what Python allows without being told."""
    layers = [dense("d0", "x", units=3)] + [dense(f"d{number}", f"d{number - 1}") for number in range(1, 400)]
    network, x = written(tmp_path, [3], *layers)
    request = ReferenceRequest(network, (x.array,), (1,), ReferenceCall("signxai", "wrapper", "gradient"), "float64")
    (answer,) = real.answer(request)
    assert answer.error is None
    point = torch.tensor(x.array[None], dtype=torch.float64, requires_grad=True)
    network.load("float64")(point)[0, 1].backward()
    assert distance(answer.array, point.grad[0].numpy()) < 1e-10


def test_weights_without_configuration(real, models, truths):
    x = truths["vgg"]["x"].astype(np.float32)
    call = ReferenceCall("signxai", "logits")
    beside = real.answer(ReferenceRequest(source(models / "with_json.h5"), (x,), (0,), call, "float64"))[0]
    assert distance(beside.array, truths["vgg"]["logits"]) < 1e-13
    bare = real.answer(ReferenceRequest(source(models / "weights_only.h5"), (x,), (0,), call))[0]
    assert "weights without a configuration" in bare.error
    wrong = real.answer(ReferenceRequest(source(models / "weights_only.h5", "vgg16"), (x,), (0,), call))[0]
    assert "no layer 'predictions'" in wrong.error


def test_a_lambda_layer_is_refused_and_never_run(real, models):
    for backend in ("signxai", "innvestigate"):
        call = ReferenceCall(backend, "logits")
        request = ReferenceRequest(source(models / "lambda.h5"), (np.zeros(4, np.float32),), (0,), call)
        (answer,) = real.answer(request)
        assert answer.error_kind == "method"
        assert "'lambda' is a Lambda: it holds code, which is never run here" in answer.error


def test_a_file_that_is_no_model(real, tmp_path):
    path = tmp_path / "noise.h5"
    path.write_bytes(np.random.RandomState(0).bytes(1000))
    request = ReferenceRequest(source(path), (np.zeros(4, np.float32),), (0,), ReferenceCall("signxai", "logits"))
    assert "no readable HDF5 file" in real.answer(request)[0].error


def test_weights_that_change_during_a_run_are_noticed_and_not_stored(real, models, truths, tmp_path):
    path = tmp_path / "model.h5"
    path.write_bytes((models / "vgg.h5").read_bytes())
    looked_up = source(path)
    path.write_bytes((models / "vgg_activation.h5").read_bytes())
    looked_up = type(looked_up)(**{**vars(looked_up), "sha256": "f" * 64})
    x = truths["vgg"]["x"].astype(np.float32)
    request = ReferenceRequest(looked_up, (x,), (0,), ReferenceCall("signxai", "logits"))
    for _ in range(2):
        (answer,) = real.answer(request)
        assert answer.error_kind == "environment"
        assert "has changed since it was looked up" in answer.error
        assert not answer.from_store


def test_float64_leaves_no_trace_in_float32(real, models, truths, tmp_path, monkeypatch):
    """The same question before and after float64 in one worker gives the same bits."""
    x = truths["branches"]["x"].astype(np.float32)
    net = source(models / "branches.h5")
    call = ReferenceCall("signxai", "wrapper", "gradient")
    found, started = [], real.workers_started
    for step, dtype in enumerate(("float32", "float64", "float32")):
        monkeypatch.setattr(real, "store", ResultStore(tmp_path / str(step)))
        answer = real.answer(ReferenceRequest(net, (x,), (1,), call, dtype))[0]
        assert not answer.from_store
        found.append(answer.array)
    assert real.workers_started - started <= 1
    assert [array.dtype.name for array in found] == ["float32", "float64", "float32"]
    assert np.array_equal(found[0], found[2])


def test_graphs_of_earlier_requests_do_not_slow_later_ones(models, truths, tmp_path, reference_python):
    """In graph mode the session is cleared before each analyzer: the 40th takes as long as the first ones."""
    x = truths["vgg"]["x"].astype(np.float32)
    call = ReferenceCall("innvestigate", "analyzer", "lrp.epsilon")
    request = ReferenceRequest(source(models / "vgg.h5"), (x,), (1,), call)
    with ReferenceClient(reference_python, tmp_path / "store", refresh=True, threads=1, timeout=120) as one:
        answers = [one.answer(request)[0] for _ in range(40)]
    assert all(answer.error is None for answer in answers)
    seconds = [answer.setup_seconds + answer.seconds for answer in answers]
    assert min(seconds[-9:]) < 1.5 * min(seconds[1:10])  # the least of each: other work makes any of them longer
    assert answers[-1].peak_rss < answers[3].peak_rss + (30 << 20)


def test_the_worker_runs_as_a_module_too_and_prints_versions_without_tensorflow(reference_python):
    environment = {**worker_environment(), "PYTHONPATH": str(ROOT)}
    command = [str(reference_python), "-X", "importtime", "-m", "parity.reference.worker.main", "--versions"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0
    assert '"tensorflow": "2.' in done.stdout
    assert "tensorflow" not in done.stderr


def test_a_worker_whose_client_is_gone_ends_even_while_it_is_busy(reference_python, tmp_path):
    """Its stdin stays open here, so that only the watchdog can notice."""
    reader, writer = os.pipe()
    script = (
        "import subprocess, sys; "
        "print(subprocess.Popen(sys.argv[1:], stdin=0, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid); "
        "sys.stdout.flush(); import time; time.sleep(600)"
    )
    command = [sys.executable, "-c", script, str(reference_python), str(WORKER), "--mode", "signxai"]
    with subprocess.Popen(command, stdin=reader, stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        time.sleep(1.0)  # it is importing TensorFlow now
        assert alive(pid)
        parent.kill()
    wait_until(lambda: not Path(f"/proc/{pid}").exists() or not alive(pid), 10)
    os.close(reader)
    os.close(writer)


def test_the_memory_limit_costs_a_request_and_is_told(real, models, truths, tmp_path, reference_python):
    x = truths["vgg"]["x"].astype(np.float32)
    request = ReferenceRequest(source(models / "vgg.h5"), (x,), (1,), ReferenceCall("signxai", "wrapper", "gradient"))
    with ReferenceClient(reference_python, tmp_path / "store", memory_limit=150 << 20) as one:
        (answer,) = one.answer(request)
    assert answer.error_kind == "crash"
    assert "memory limit" in answer.error
    assert "bytes used" in answer.stderr_tail
