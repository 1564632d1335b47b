"""Models of several inputs: the maps of a model that cuts one tensor itself, or that has all inputs but one bound."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import signxai_torch
from signxai_torch import (
    BeyondReferenceWarning,
    UnhookedOperationError,
    UnusedInputRuleWarning,
    explain,
    explain_many,
    list_methods,
    parse,
    plan,
)
from signxai_torch.lrp.passes import rules_of
from signxai_torch.sweep.plan import WAYS
from tests.signxai_torch.nets import cnn, curves, pictures, randomized
from tests.signxai_torch.nets_of_several import (
    Added,
    Bound,
    Cut,
    Early,
    Fused,
    Twins,
    features,
    fused,
    joined,
    siamese,
)

OF_RULES = [name for name in list_methods() if parse(name).family in WAYS and "x_sign_mu" not in name.split("_mu_")[0]]
NETS = {
    "fused": fused,
    "added": lambda: (randomized(Added()), (pictures(), features())),
    "siamese": siamese,
    "early": lambda: (randomized(Early()), (pictures(), pictures(seed=5))),
    "twins": lambda: (randomized(Twins()), (curves(), features())),
}
# Methods whose maps do not depend on how the input is cut; those with a rule of their own for the input layer do.
WHOLE = [
    "gradient", "input_t_gradient", "gradient_x_sign", "integrated_gradients", "innvestigate.integrated_gradients",
    "guided_backprop", "deconvnet", "deep_taylor", "deep_lift", "lrp_z", "lrp.z", "lrp_z_IB", "lrp_epsilon_0_1",
    "lrp_epsilon_0_25_std_x", "lrp_alpha_2_beta_1", "lrp_flat", "lrp_w_square", "lrp_z_plus_fast", "lrp_gamma",
    "lrp_sequential_composite_a", "input",
]  # fmt: skip


def shapes(x: tuple[Tensor, ...]) -> list[tuple[int, ...]]:
    return [tuple(part.shape[1:]) for part in x]


def flat(maps) -> np.ndarray:
    return np.concatenate([one.reshape(len(one), -1) for one in maps], axis=1)


@pytest.mark.parametrize("method", WHOLE)
@pytest.mark.parametrize("net", NETS)
def test_the_map_is_that_of_a_model_that_cuts_one_tensor_itself(net, method):
    model, x = NETS[net]()
    expected = explain(Cut(model, shapes(x)), joined(x), method)
    maps = explain(model, x, method)
    assert isinstance(maps, tuple)
    assert [one.shape for one in maps] == [tuple(part.shape) for part in x]
    assert all(one.any() for one in maps)
    assert flat(maps) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("method", OF_RULES)
@pytest.mark.filterwarnings("error")
def test_each_map_of_rules_is_that_of_its_input_alone(method):
    """The input rule counts in the first layer of every branch."""
    model, x = fused()
    maps = explain(model, x, method, 1)
    for index in range(2):
        others = [None if place == index else part for place, part in enumerate(x)]
        expected = explain(Bound(model, others), x[index], method, 1)
        assert maps[index] == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert maps[index].any()


@pytest.mark.parametrize("method", ["lrpsign_z", "flatlrp_epsilon_0_1", "zblrp_z_VGG16ILSVRC", "w2lrp_alpha_1_beta_0"])
@pytest.mark.parametrize("net", ["added", "siamese", "twins"])
@pytest.mark.filterwarnings("error")
def test_the_input_rule_reaches_every_branch(net, method):
    model, x = NETS[net]()
    maps = explain(model, x, method, 2)
    for index in range(2):
        others = [None if place == index else part for place, part in enumerate(x)]
        expected = explain(Bound(model, others), x[index], method, 2)
        assert maps[index] == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_inputs_that_are_joined_first_hide_themselves():
    model, x = NETS["early"]()
    with pytest.warns(UnusedInputRuleWarning):
        explain(model, x, "lrpsign_z", 2)


@pytest.mark.parametrize("method", ["smoothgrad", "vargrad", "innvestigate.smoothgrad", "random"])
@pytest.mark.parametrize("net", ["fused", "twins", "siamese"])
def test_noise_that_is_given_has_the_form_of_the_inputs(net, method):
    model, x = NETS[net]()
    count = 1 if method == "random" else 4
    noise = tuple(torch.as_tensor(np.random.RandomState(7).normal(0, 0.3, (count, *part.shape[1:]))) for part in x)
    more = {} if method == "random" else {"samples": count}
    expected = explain(Cut(model, shapes(x)), joined(x), method, 1, noise=joined(noise), **more)
    assert flat(explain(model, x, method, 1, noise=noise, **more)) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    for wrong in (noise[:1], joined(noise), (noise[0], noise[0][:, :1])):
        with pytest.raises(ValueError, match="noise"):
            explain(model, x, method, 1, noise=wrong, **more)


@pytest.mark.parametrize("seed", [3, None])
@pytest.mark.usefixtures("numpys_draws")
def test_noise_is_drawn_input_after_input_with_the_channels_last(seed):
    model, x = fused()
    np.random.seed(3)
    found = explain(model, x, "random", seed=seed) if seed else explain(model, x, "random")
    generator = np.random.RandomState(3)
    draws = []
    for _ in range(1 if seed else 3):
        picture = np.moveaxis(generator.normal(0, 1, (8, 6, 2)), -1, 0)
        draws.append((picture, generator.normal(0, 1, 5)))
    for index in range(2):
        assert np.array_equal(found[index] - x[index].numpy(), (x[index].numpy() + np.stack(
            [one[index] for one in draws])) - x[index].numpy())  # fmt: skip


def test_with_a_seed_every_sample_has_the_draws_that_it_has_alone():
    model, x = fused()
    together = explain(model, x, "smoothgrad", 1, seed=4, samples=5)
    for sample in range(3):
        alone = explain(model, tuple(one[sample : sample + 1] for one in x), "smoothgrad", 1, seed=4, samples=5)
        for whole, one in zip(together, alone, strict=True):
            assert one[0] == pytest.approx(whole[sample], rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("method", ["integrated_gradients", "deep_lift", "occlusion"])
def test_a_baseline_has_the_form_of_the_inputs(method):
    model, x = fused()
    by_part = (torch.full((2, 8, 6), 0.3, dtype=torch.float64), np.linspace(-1, 1, 5))
    found = explain(model, x, method, 1, baseline=by_part)
    if method != "occlusion":
        whole = np.concatenate([np.asarray(one).ravel() for one in by_part])
        expected = explain(Cut(model, shapes(x)), joined(x), method, 1, baseline=whole)
        assert flat(found) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    listed = explain(model, list(x), method, 1, baseline=list(by_part))
    named = explain(model, dict(zip(("image", "features"), x, strict=True)), method, 1,
                    baseline=dict(zip(("features", "image"), reversed(by_part), strict=True)))  # fmt: skip
    mixed = explain(model, x, method, 1, baseline=(lambda one: one * 0 + 0.3, by_part[1]))
    for other in (listed, list(named.values()), mixed):
        assert all(np.array_equal(one, expected) for one, expected in zip(other, found, strict=True))
    same = explain(model, x, method, 1, baseline=0.5)
    spelled = explain(model, x, method, 1, baseline=(0.5, torch.full((5,), 0.5)))
    assert all(np.array_equal(one, other) for one, other in zip(same, spelled, strict=True))
    for wrong, words in (
        ((0.0,), "one entry per input"),
        ({"image": 0.0, "features": 0.0}, "one entry per input"),
        (np.zeros((2, 8, 6)), "baseline must be one for all inputs, or a tuple"),
        ((0.0, np.zeros(4)), r"fit the shape of x\[1\], \(3, 5\)"),
        ((0.0, float("nan")), "NaN"),
    ):
        with pytest.raises(ValueError, match=words):
            explain(model, x, method, 1, baseline=wrong)
    with pytest.raises(ValueError, match="a dict with the keys 'image', 'features'"):
        explain(model, dict(zip(("image", "features"), x, strict=True)), method, 1, baseline={"image": 0.0})


def test_occlusion_hides_a_window_of_one_input_at_a_time():
    model, x = fused()
    found = explain(model, x, "occlusion", 1, window=3, stride=2)
    for index in range(2):
        others = [None if place == index else part for place, part in enumerate(x)]
        expected = explain(Bound(model, others), x[index], "occlusion", 1, window=3, stride=2)
        assert found[index] == pytest.approx(expected, rel=1e-12, abs=1e-14)


NAMED = [
    "gradient",
    "lrpsign_z",
    "lrp_epsilon_0_1",
    "guided_backprop",
    "deep_lift",
    "integrated_gradients",
    "occlusion",
]


@pytest.mark.parametrize("method", NAMED)
def test_a_dict_names_the_models_arguments_in_any_order(method):
    model, x = fused()
    expected = explain(model, x, method)
    for keys in (("image", "features"), ("features", "image")):
        held = {key: x[("image", "features").index(key)] for key in keys}
        maps = explain(model, held, method)
        assert type(maps) is dict
        assert list(maps) == list(keys)
        for key, right in zip(("image", "features"), expected, strict=True):
            assert maps[key] == pytest.approx(right, rel=1e-9, abs=1e-12)
    listed = explain(model, list(x), method)
    assert type(listed) is list
    assert all(np.array_equal(one, right) for one, right in zip(listed, expected, strict=True))


@pytest.mark.parametrize("method", [*NAMED, "smoothgrad", "grad_cam", "guided_grad_cam", "random", "input"])
@pytest.mark.usefixtures("numpys_draws")
def test_one_input_in_a_tuple_is_that_input(method):
    x = pictures()
    for held in ((x,), [x], {"input": x}):
        np.random.seed(0)
        expected = explain(cnn(), x, method, 1)
        np.random.seed(0)
        maps = explain(cnn(), held, method, 1)
        (found,) = maps.values() if isinstance(maps, dict) else maps
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)


class Scaled(nn.Module):
    """One number per sample (N,) beside features."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 3)

    def forward(self, features: Tensor, age: Tensor) -> Tensor:
        return self.last(torch.cat([features, age.unsqueeze(1)], 1))


@pytest.mark.parametrize("method", ["gradient", "lrp_z", "smoothgrad", "occlusion", "deep_lift"])
def test_an_input_may_be_one_number_per_sample(method):
    model, x = randomized(Scaled()), (features(), torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    maps = explain(model, x, method, 1)
    assert [one.shape for one in maps] == [(3, 5), (3,)]
    assert maps[1].all()


class Deaf(Fused):
    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        return super().forward(image, torch.zeros_like(features))


@pytest.mark.parametrize("method", [*WHOLE[:-1], "smoothgrad", "vargrad", "occlusion", "lrpsign_z", "grad_cam"])
def test_an_input_that_the_logits_do_not_depend_on_has_zeros(method):
    model, x = randomized(Deaf()), (pictures(), features())
    maps = explain(model, x, method, 1)
    assert maps[0].any()
    assert maps[1].shape == (3, 5)
    assert not maps[1].any()


class Blind(Fused):
    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        return super().forward(image.detach(), features.detach())


@pytest.mark.parametrize("method", ["gradient", "lrp_z", "smoothgrad", "deep_lift"])
def test_a_model_that_depends_on_none_is_refused(method):
    with pytest.raises(UnhookedOperationError, match="output is cut from its input"):
        explain(randomized(Blind()), (pictures(), features()), method, 1)


class Overwriting(Fused):
    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        image += 1
        features.mul_(2)
        return super().forward(image, features)


class Outside(Fused):
    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        return super().forward(image + 1, features * 2)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("method", ["gradient", "lrp_z", "smoothgrad", "deep_lift", "occlusion"])
@pytest.mark.usefixtures("numpys_draws")
def test_a_model_may_work_in_place_on_its_inputs(method, count):
    x = pictures(count), features(count)
    before = [one.clone() for one in x]
    np.random.seed(0)
    maps = explain(randomized(Overwriting()), x, method, 1)
    np.random.seed(0)
    expected = explain(randomized(Outside()), x, method, 1)
    for one, other in zip(maps, expected, strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    assert all(torch.equal(one, other) for one, other in zip(x, before, strict=True))


def test_one_tensor_may_stand_in_two_places():
    model, (x, _) = siamese()
    maps = explain(model, (x, x), "gradient", 1)
    for index in range(2):
        others: list[Tensor | None] = [x, x]
        others[index] = None
        expected = explain(Bound(model, others), x, "gradient", 1)
        assert maps[index] == pytest.approx(expected, rel=1e-9, abs=1e-12)


MANY = ["gradient", "lrp_z", "lrpsign_z", "flatlrp_epsilon_1", "smoothgrad_x_input", "vargrad", "deep_lift",
        "input", "guided_backprop_x_sign", "integrated_gradients", "lrp_epsilon_0_25_std_x", "grad_cam",
        "occlusion"]  # fmt: skip


@pytest.mark.parametrize("limited", [False, True])
@pytest.mark.usefixtures("numpys_draws")
def test_many_methods_give_what_each_gives_alone(limited):
    model, x = fused()
    np.random.seed(0)
    limit = plan(MANY).memory(model, tuple(one[:2] for one in x)) if limited else None
    found = explain_many(model, x, MANY, None, limit)
    assert list(found) == MANY
    np.random.seed(0)
    explain(model, x, "smoothgrad")
    for name in MANY:
        if name in ("smoothgrad_x_input", "vargrad"):
            continue  # they share their noise there
        for one, other in zip(found[name], explain(model, x, name), strict=True):
            assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
    everything = [one for maps in found.values() for one in maps]
    for one, other in itertools.combinations(everything, 2):
        assert not np.shares_memory(one, other)
    assert all(one.base is None or one.base.nbytes == one.nbytes for one in everything)


def test_a_limit_that_is_too_small_tells_all_shapes():
    model, x = fused()
    with pytest.raises(ValueError, match=r"one sample of the shapes x\[0\] \(2, 8, 6\), x\[1\] \(5,\) needs"):
        explain_many(model, x, ["lrp_z"], memory_limit=100)


def test_memory_counts_all_inputs():
    model, x = fused()
    image = plan(["lrp_z"]).memory(Bound(model, [None, x[1]]), x[0])
    cut = plan(["lrp_z"]).memory(Cut(model, shapes(x)), joined(x))  # which counts what it cuts itself
    assert image < plan(["lrp_z"]).memory(model, x) <= cut
    assert plan(["smoothgrad"]).memory(model, dict(zip(("image", "features"), x, strict=True))) > 0


def test_rules_are_told_of_every_branch():
    model, x = fused()
    method = parse("lrpsign_epsilon_0_1")
    told = {module: rule for module, _, rule in rules_of(model, x, method, method.parameters)}
    assert told["eye.0"] == told["table.0"]
    assert "SIGN" in told["eye.0"]
    assert "SIGN" not in told["head.0"]


def test_outputs_and_strictness_are_as_with_one_input():
    class Told(Fused):
        def forward(self, image: Tensor, features: Tensor):
            made = super().forward(image, features)
            return made[:, :2], {"logits": made}

    x = pictures(), features()
    plain, told = randomized(Fused()), randomized(Told())
    for method in ("lrp_z", "gradient", "grad_cam"):
        maps = explain(told, x, method, 3, output=lambda made: made[1]["logits"])
        for one, other in zip(maps, explain(plain, x, method, 3), strict=True):
            assert np.array_equal(one, other)

    class Gated(Fused):
        def forward(self, image: Tensor, features: Tensor) -> Tensor:
            return super().forward(image * features[:, :2].sigmoid()[..., None, None], features)

    with pytest.warns(BeyondReferenceWarning, match="Gate .* for mul in the model"):
        explain(randomized(Gated()), x, "lrp_z")
    with pytest.raises(UnhookedOperationError, match="strict"):
        explain(randomized(Gated()), x, "lrp_z", strict=True)


class Places(nn.Module):
    """(N, 4, 3) from a sequence (N, 4, 6) and features (N, 5)."""

    def __init__(self) -> None:
        super().__init__()
        self.step, self.table, self.last = nn.Linear(6, 7), nn.Linear(5, 7), nn.Linear(7, 3)

    def forward(self, steps: Tensor, features: Tensor) -> Tensor:
        return self.last((self.step(steps) + self.table(features).unsqueeze(1)).relu())


@pytest.mark.parametrize("method", WHOLE)
def test_a_target_may_be_a_place(method):
    model = randomized(Places())
    x = torch.as_tensor(np.random.RandomState(3).normal(0, 1, (3, 4, 6))), features()
    maps = explain(model, x, method, (2, 1))
    expected = explain(Cut(model, shapes(x)), joined(x), method, (2, 1))
    assert flat(maps) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    if method != "input":
        assert maps[0][:, 2].any()
        assert not maps[0][:, [0, 1, 3]].any()


@pytest.mark.parametrize("method", ["gradient", "lrpsign_epsilon_0_1", "integrated_gradients", "deep_lift"])
def test_every_sample_is_explained_as_if_alone(method):
    model, x = fused()
    together = explain(model, x, method, [0, 3, 1])
    for sample, target in enumerate([0, 3, 1]):
        alone = explain(model, tuple(one[sample : sample + 1] for one in x), method, target)
        for one, whole in zip(alone, together, strict=True):
            assert one[0] == pytest.approx(whole[sample], rel=1e-9, abs=1e-12)


class Viewing(Fused):
    """Reads its image as it lies in memory."""

    def __init__(self, how) -> None:
        super().__init__()
        self.how, self.seen = how, []

    def forward(self, image: Tensor, features: Tensor) -> Tensor:
        self.seen.append(image.is_contiguous())
        return super().forward(self.how(image), features)


HOW = {
    "as it is": lambda x: x,
    "view": lambda x: x.view(-1).view(x.shape),
    "as_strided": lambda x: torch.as_strided(x, x.shape, (96, 48, 6, 1)),
}


@pytest.mark.parametrize("method", ["gradient", "lrp_epsilon_0_1", "integrated_gradients"])
@pytest.mark.parametrize("how", HOW)
def test_in_float32_pictures_lie_with_the_channels_last_where_the_model_can_take_it(how, method):
    model = randomized(Viewing(HOW[how])).float()
    x = pictures().float(), features().float()
    model.seen = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BeyondReferenceWarning)
        maps = explain(model, x, method, 1)
    assert model.seen[0] is False
    assert model.seen[-1] is (how != "as it is")
    for one, other in zip(maps, explain(randomized(Fused()), (pictures(), features()), method, 1), strict=True):
        assert one.dtype == np.float32
        assert one.flags.c_contiguous
        assert one == pytest.approx(other, rel=1e-3, abs=1e-4 * np.abs(other).max())


@pytest.mark.parametrize("method", ["gradient", "lrp_epsilon_0_1"])
def test_strides_that_a_model_reads_are_not_lost_in_silence(method):
    model = randomized(Viewing(HOW["as_strided"]))
    with pytest.raises(RuntimeError, match=r"in which it lies in memory.*x\.contiguous\(\)"):
        explain(model, (pictures().contiguous(memory_format=torch.channels_last), features()), method, 1)


@pytest.mark.usefixtures("numpys_draws")
def test_the_published_callers_take_several_inputs():
    model, x = fused()
    for made, method in (
        (signxai_torch.calculate_relevancemap(model, x, "lrpsign_z", 1), "lrpsign_z"),
        (signxai_torch.GradientAnalyzer(model).analyze(x, 1), "gradient"),
        (signxai_torch.DeepLiftAnalyzer(model, baseline_type="white").analyze(x, 1), None),
        (signxai_torch.LRPSequential(model).analyze(x, 1), None),
    ):
        assert isinstance(made, tuple)
        assert [one.shape for one in made] == [(3, 2, 8, 6), (3, 5)]
        expected = explain(model, x, method, 1) if method else made
        assert all(np.array_equal(one, other) for one, other in zip(made, expected, strict=True))
    np.random.seed(0)
    noisy = signxai_torch.IntegratedGradientsAnalyzer(model, baseline_type="gaussian").analyze(x, 1)
    np.random.seed(0)
    draws = [np.moveaxis(np.random.normal(0, 0.1, (3, 8, 6, 2)), -1, 1), np.random.normal(0, 0.1, (3, 5))]
    analyzer = signxai_torch.IntegratedGradientsAnalyzer(model)
    for one, other in zip(noisy, analyzer.analyze(x, 1, baseline=tuple(draws)), strict=True):
        assert one == pytest.approx(other, rel=1e-9, abs=1e-12)
