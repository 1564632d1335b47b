"""A function as a subject: what it is given, what it may change, and what becomes of what it returns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from parity.run.subjects import FunctionSubject, SubjectAnswer, subject
from parity.run.subjects.returned import for_each_sample
from tests.parity.subject_cases import Modules, ask, load, sample


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    return load(tmp_path_factory.mktemp("model"))


@pytest.fixture
def inputs() -> np.ndarray:
    return sample()


def answer(returned: Any, modules: Modules, inputs: np.ndarray) -> SubjectAnswer:
    """Return the answer of a function that returns something, or what a function of x returns."""
    make = returned if callable(returned) else lambda _: returned
    return ask(FunctionSubject(lambda model, x, method, target, **_: make(x), "f"), modules, inputs)


def raising(what: BaseException):
    def f(model, x, method, target, **parameters):
        raise what

    return FunctionSubject(f, "f")


# --- what a function is given ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_function_gets_what_the_contract_says(dtype: str, modules, inputs) -> None:
    seen: dict[str, Any] = {}

    def f(model, x, method, target, **parameters):
        seen.update(model=model, x=x, method=method, target=target, parameters=parameters)
        return x

    batch = np.concatenate([inputs, 2 * inputs]).astype(dtype)
    given = FunctionSubject(f, "f").attribute(modules[dtype], batch, (np.int64(2), 1), "gradient", {"seed": 3})
    assert given.tobytes() == batch.tobytes()
    assert given.shape == batch.shape
    assert tuple(seen["x"].shape) == (2, 2, 5, 4)
    assert str(seen["x"].dtype) == f"torch.{dtype}"
    assert seen["x"].is_contiguous()
    assert torch.equal(seen["x"], torch.from_numpy(np.moveaxis(batch, -1, 1)))
    assert seen["method"] == "gradient"
    assert seen["parameters"] == {"seed": 3}
    assert [type(index) for index in seen["target"]] == [int, int]
    assert seen["target"] == [2, 1]
    assert seen["model"] is not modules[dtype]
    assert torch.equal(seen["model"](seen["x"]), modules[dtype](seen["x"]))


def test_what_a_function_changes_is_its_own(modules, inputs) -> None:
    seen = []
    module = modules["float64"]
    x = module.to_torch(inputs)
    before, kept = module(x).clone(), inputs.copy()

    def f(model, x, method, target, **parameters):
        seen.append((model.training, len(model._forward_hooks), model(x).detach().clone()))
        given = x.clone()
        model.train()
        model.register_forward_hook(lambda *_: torch.zeros(1, 3))
        next(model.parameters()).data.mul_(2)
        model.description = None
        x.zero_()
        target.clear()
        parameters.clear()
        return given

    one, targets, sets = FunctionSubject(f, "f"), [1], {"gradient": {"seed": 3}, "lrp_z": {}}
    for _ in range(2):
        given = one.attribute_many(module, inputs, targets, sets)
        assert [np.array_equal(answer.array, kept) for answer in given.values()] == [True, True]
    assert (targets, sets) == ([1], {"gradient": {"seed": 3}, "lrp_z": {}})
    assert np.array_equal(inputs, kept)
    assert torch.equal(module(x), before)
    assert module.training == seen[0][0]
    for training, hooks, logits in seen:
        assert (training, hooks) == (seen[0][0], 0)
        assert torch.allclose(logits, before, rtol=1e-12), "the next case must not see what this one left"


def test_a_model_that_is_left_as_it_was_is_the_same_object_next_time(modules, inputs) -> None:
    seen = []
    one = FunctionSubject(lambda model, x, method, target, **_: (seen.append(model), x)[1], "f")
    for dtype in ("float64", "float32", "float64"):
        ask(one, modules, inputs, dtype)
    assert seen[0] is seen[2]
    assert seen[0] is not seen[1]


def test_an_answer_does_not_change_afterwards(modules, inputs) -> None:
    buffer = np.zeros((1, 2, 5, 4))

    def f(model, x, method, target, **parameters):
        buffer[:] += 1
        return buffer

    one = FunctionSubject(f, "f")
    first = ask(one, modules, inputs)
    ask(one, modules, inputs)
    assert first.array.max() == 1


# --- what a function returns -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "form",
    [
        lambda x: x.requires_grad_() * 1,
        lambda x: x.numpy(),
        lambda x: np.asfortranarray(x.numpy()),
        lambda x: torch._neg_view(-x),
        lambda x: Wrapped(x.numpy()),
        lambda x: x.to(memory_format=torch.channels_last),
    ],
)
def test_an_array_of_any_kind_is_taken_as_it_is(form, modules, inputs) -> None:
    given = answer(form, modules, inputs)
    assert given.error is None
    assert np.array_equal(given.array, inputs)
    assert given.array.dtype == np.float64


class Wrapped:
    """An array of another library."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        return self.values


@pytest.mark.parametrize("dtype", ["float32", "float16", "int64"])
def test_a_dtype_is_passed_on_as_it_is(dtype: str, modules, inputs) -> None:
    given = answer(lambda x: x.to(getattr(torch, dtype)), modules, inputs)
    assert given.array.dtype == dtype
    assert np.array_equal(given.array, inputs.astype(dtype))


def test_bfloat16_keeps_its_values(modules, inputs) -> None:
    given = answer(lambda x: x.bfloat16(), modules, inputs)
    assert np.array_equal(given.array, torch.from_numpy(inputs).bfloat16().float().numpy())


X = torch.ones(1, 2, 5, 4, dtype=torch.float64)


@pytest.mark.parametrize(
    ("returned", "samples_part"),
    [
        (X[..., :3], (5, 3, 2)),  # right rank: moved to Keras layout, wrong there too
        (X.movedim(1, -1), (4, 2, 5)),  # Keras layout is not what was asked for
        (X[0], (1, 2, 5, 4)),  # without the batch axis
        (X.expand(3, -1, -1, -1), (3, 5, 4, 2)),  # the first of three maps must not do for one
        (X[:0], (0, 5, 4, 2)),
        (X.sum(), ()),
        (X[None], (1, 2, 5, 4)),
        (X.sum(dim=1), (5, 4)),
        (X.flatten(), (40,)),
        (np.float64(3.0), ()),
    ],
)
def test_a_wrong_shape_stays_wrong(returned: Any, samples_part: tuple[int, ...], modules, inputs) -> None:
    given = answer(returned, modules, inputs)
    assert given.error is None
    assert given.array[0].shape == samples_part
    assert given.array[0].shape != inputs[0].shape


@pytest.mark.parametrize("values", [(), (1,), (3, 1), (1, 1, 1), (2, 1), (0, 1)])
def test_a_wrong_shape_stays_wrong_of_one_feature_too(values: tuple[int, ...]) -> None:
    given = for_each_sample(np.ones(values), np.ones((1, 1)))
    assert given[0].shape != (1,)


@pytest.mark.parametrize(
    ("returned", "text"),
    [
        (None, "returned None instead of an array"),
        ([1.0, [2.0]], "returned a list instead of an array"),
        ((X,), "returned a tuple instead of an array"),
        (3.0, "returned a float instead of an array"),
        (object(), "returned an object instead of an array"),
        (np.array([None, 1], dtype=object), "returned an array of object values instead of an array of real numbers"),
        (X.numpy() > 0, "returned an array of bool values instead of an array of real numbers"),
        (X.numpy() * 1j, "returned an array of complex128 values instead of an array of real numbers"),
        (np.array(["a"]), "returned an array of <U1 values"),
        (np.ma.masked_array(X.numpy(), X.numpy() > 0), "returned a masked array instead of an array"),
        (X > 0, "returned a tensor of bool values instead of an array of real numbers"),
        (X * 1j, "returned a tensor of complex128 values instead"),
        (X.to_sparse(), "returned a tensor without plain values (torch.sparse_coo, float64, on cpu) instead"),
        (X.to("meta"), "returned a tensor without plain values (torch.strided, float64, on meta) instead"),
    ],
)
def test_what_is_no_array_is_an_error_of_the_case(returned: Any, text: str, modules, inputs) -> None:
    given = answer(returned, modules, inputs)
    assert given.array is None
    assert not given.unsupported
    assert given.error.startswith(text)


def test_a_method_that_it_does_not_have_is_unsupported(modules, inputs) -> None:
    given = ask(raising(NotImplementedError("only gradients")), modules, inputs)
    assert given == SubjectAnswer(None, error="only gradients", unsupported=True)
    assert ask(raising(NotImplementedError()), modules, inputs).error == "it has no such method"
    with pytest.raises(NotImplementedError):
        raising(NotImplementedError()).attribute(modules["float64"], inputs, [1], "gradient", {})


def test_what_it_raises_is_an_error_with_its_line(tmp_path: Path, modules, inputs) -> None:
    assert ask(raising(ValueError("no\nway")), modules, inputs) == SubjectAnswer(None, error="ValueError: no\nway")
    (tmp_path / "mine.py").write_text(
        "def f(model, x, method, target, **_):\n    return g()\ndef g():\n    return 1 / 0\n"
    )
    given = ask(subject(f"{tmp_path}/mine.py:f"), modules, inputs)
    assert given.error == "ZeroDivisionError: division by zero\nat line 4, in g"
    (tmp_path / "strict.py").write_text("def f(model, x, method, target): return x\n")
    strict = subject(f"{tmp_path}/strict.py:f")
    given = strict.attribute_many(modules["float64"], inputs, [1], {"smoothgrad": {"seed": 3}})["smoothgrad"]
    assert "unexpected keyword argument 'seed'" in given.error


def test_it_cannot_end_the_run_but_ctrl_c_can(modules, inputs) -> None:
    given = ask(raising(SystemExit(3)), modules, inputs)
    assert given == SubjectAnswer(None, error="SystemExit: 3")
    with pytest.raises(RuntimeError, match="SystemExit: 3"):
        raising(SystemExit(3)).attribute(modules["float64"], inputs, [1], "gradient", {})
    with pytest.raises(KeyboardInterrupt):
        ask(raising(KeyboardInterrupt()), modules, inputs)


def test_a_method_that_fails_costs_no_others_answer(modules, inputs) -> None:
    def f(model, x, method, target, **parameters):
        if method == "lrp_z":
            raise ValueError("no")
        return x

    one = FunctionSubject(f, "f")
    given = one.attribute_many(modules["float64"], inputs, [1], {"gradient": {}, "lrp_z": {}, "lrp_flat": {}})
    assert [name for name, answer in given.items() if answer.error is None] == ["gradient", "lrp_flat"]
    assert [answer.together for answer in given.values()] == [1, 1, 1]
    assert one.together({"gradient": {}, "lrp_z": {}}) == [["gradient"], ["lrp_z"]]
    assert one.rules(modules["float64"], inputs, "lrp_z") == []
