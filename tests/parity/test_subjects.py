"""The door for subjects: what comes in, under which name, and what a stranger's code can and cannot do."""

from __future__ import annotations

import inspect
import os
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from parity.errors import ParityError
from parity.run.subjects import FunctionSubject, SubjectAnswer, subject
from parity.run.subjects.door import BUILT_IN, absolute, names
from parity.run.subjects.guarded import GuardedSubject
from tests.parity import wrong_ports
from tests.parity.subject_cases import GOOD, Modules, ask, load, sample

FILE = Path(wrong_ports.__file__)
WRONG = [
    name for name, f in vars(wrong_ports).items() if inspect.isfunction(f) and f.__module__ == wrong_ports.__name__
]


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Modules:
    return load(tmp_path_factory.mktemp("model"))


@pytest.fixture
def inputs() -> np.ndarray:
    return sample()


# --- names, files, modules -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_port_comes_in_by_its_file(name: str, modules, inputs, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(FILE.parent)
    made = subject(f"{FILE.name}:{name}")
    assert made.name == f"{FILE.name}:{name}"
    assert made.spec == f"{FILE}:{name}"
    given = ask(made, modules, inputs)
    expected = ask(FunctionSubject(getattr(wrong_ports, name), name), modules, inputs)
    assert given.error is None
    assert np.array_equal(given.array, expected.array, equal_nan=True)
    monkeypatch.chdir(tmp_path)
    assert subject(made.spec).name == made.name


def test_the_port_as_a_function_is_the_port(modules, inputs) -> None:
    for spec in ("signxai_torch:explain", f"{FILE}:right"):
        for dtype in modules:
            ours = subject("signxai_torch").attribute(modules[dtype], inputs.astype(dtype), [1], "gradient", {})
            theirs = subject(spec).attribute(modules[dtype], inputs.astype(dtype), [1], "gradient", {})
            assert theirs.shape == inputs.shape
            assert theirs.dtype == dtype
            assert np.allclose(ours, theirs, rtol=0, atol=1e-6)


def test_versions_say_what_was_judged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.py").write_text("import helper_of_mine\n" + GOOD)
    (tmp_path / "helper_of_mine.py").write_text("")
    versions = subject(f"{tmp_path}/mine.py:f").versions()
    assert set(versions) == {"mine.py", "helper_of_mine.py", "torch", "numpy"}
    assert versions["helper_of_mine.py"] == "e3b0c44298fc"  # SHA-256 of nothing
    assert versions["torch"] == metadata.version("torch")
    assert len(versions["mine.py"]) == 12
    assert subject("signxai_torch:explain").versions()["signxai-torch-parity"]
    assert subject("zennit").versions()["zennit"] == metadata.version("zennit")
    (tmp_path / "lonely_module.py").write_text(GOOD)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = subject("lonely_module:f")
    assert (made.name, made.spec) == ("lonely_module:f", "lonely_module:f")
    assert len(made.versions()["lonely_module"]) == 12


def test_a_spec_means_the_same_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("sub/../mine.py:f") == f"{tmp_path}/mine.py:f"
    assert absolute("~/mine.py:f") == f"{Path.home()}/mine.py:f"
    for unchanged in ("zennit", "package.module:f", f"{tmp_path}/mine.py:f", "mine.py"):
        assert absolute(unchanged) == unchanged


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ("nothing.py:f", r"there is no file .*/nothing\.py"),
        ("mine.py:g", r"mine\.py has no 'g'; it has f, far, "),
        ("mine.py:fat", r"has no 'fat'; did you mean far or f\?; it has f, far, "),
        ("mine.py:", r"no function of .*mine\.py is named; write mine\.py:function; it has f, far"),
        ("mine.py", r"names no function\. There are: .*file\.py:function"),
        ("mine.py:number", r"number of .*mine\.py is int, no function; a subject is called as f\(model, x, method"),
        ("mine.py:two", r"two of .* takes \(model, x\), but a subject is called as f\(model, x, method, target"),
        ("mine.py:Plain", r"Plain of .* is a class without the methods of a subject \(versions, attribute,"),
        ("mine.py:Half", r"Half of .* is no subject: it has no versions, no attribute, no together, no rules"),
        ("mine.py:Needy", r"Needy of .* cannot be made without arguments: TypeError: .*'what'"),
        ("raising.py:f", r"raising\.py cannot be loaded: it raised ZeroDivisionError: division by zero \(at line 2\)"),
        ("leaving.py:f", r"leaving\.py cannot be loaded: it raised SystemExit: 3"),
        ("broken.py:f", r"broken\.py cannot be loaded: it raised SyntaxError: .*line 1"),
        (
            "importing.py:f",
            r"importing\.py cannot be loaded: it raised ModuleNotFoundError: No module named 'nowhere_'",
        ),
        ("notes.txt/x:f", r"notes\.txt/x is no Python file; write file\.py:function"),
        ("folder.py:f", r"folder\.py is no Python file"),
        ("nowhere_.module:f", r"the module nowhere_\.module cannot be imported: ModuleNotFoundError: No module named"),
        ("mine:f", r"No module named 'mine'; for the file in this folder write mine\.py:f"),
        ("signxai_torch:explian", r"the module signxai_torch has no 'explian'"),
        ("not a module:f", r"'not a module' is no module; write NAME, module:function or file\.py:function"),
        (
            "zenit",
            r"unknown subject .zenit.; did you mean zennit\?\. There are: signxai_torch, zennit, captum, ",
        ),
        ("", r"unknown subject ''"),
    ],
)
def test_what_cannot_come_in_is_told(spec: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = ("versions", "attribute", "attribute_many", "together", "rules")
    methods = "".join(f"    def {name}(self): ...\n" for name in names)
    Path("mine.py").write_text(
        f"from math import sqrt\n{GOOD}{GOOD.replace('f(', 'far(')}number = 3\ndef two(model, x): ...\n"
        "class Plain: ...\nclass Half:\n    def attribute_many(self): ...\n"
        f"class Needy:\n    def __init__(self, what): ...\n{methods}".replace("def two", "two = lambda model, x: 0 #")
    )
    Path("raising.py").write_text("a = 0\nb = 1 / a\n")
    Path("leaving.py").write_text("import sys\nsys.exit(3)\n")
    Path("broken.py").write_text("def f(:\n")
    Path("importing.py").write_text("import nowhere_\n")
    Path("folder.py").mkdir()
    before = [*sys.path], {name for name in sys.modules if name.startswith("_parity_subject")}
    with pytest.raises(ParityError, match=text):
        subject(spec)
    assert before[0] == sys.path
    if not spec.startswith("mine.py"):
        assert before[1] == {name for name in sys.modules if name.startswith("_parity_subject")}


def test_ctrl_c_while_a_file_is_loaded_is_ctrl_c(tmp_path: Path) -> None:
    (tmp_path / "stopped.py").write_text("raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        subject(f"{tmp_path}/stopped.py:f")


# --- files and what they import --------------------------------------------------------------------------------------

COUNTING = "state = []\ndef f(model, x, method, target, **_):\n    state.append(1)\n    return x * len(state)\ng = f\n"


def test_two_functions_of_a_file_share_its_module(tmp_path: Path, modules, inputs) -> None:
    (tmp_path / "mine.py").write_text(COUNTING)
    first, second = subject(f"{tmp_path}/mine.py:f"), subject(f"{tmp_path}/mine.py:g")
    factors = [ask(one, modules, inputs).array / inputs for one in (first, second, first)]
    assert [factor.mean().round(6) for factor in factors] == [1, 2, 3]


def test_a_changed_file_is_read_again_whatever_the_clock_says(tmp_path: Path, modules, inputs) -> None:
    path = tmp_path / "mine.py"
    helper = tmp_path / "helper.py"
    path.write_text("from helper import factor\ndef f(model, x, method, target, **_):\n    return x * factor\n")

    def factor() -> float:
        for file in (path, helper):
            os.utime(file, (1_000_000_000, 1_000_000_000))
        return round(float((ask(subject(f"{path}:f"), modules, inputs).array / inputs).mean()), 6)

    helper.write_text("factor = 2\n")
    assert factor() == 2
    path.write_text(path.read_text().replace("x * factor", "x + factor").replace("x + factor", "x / factor"))
    assert factor() == 0.5
    helper.write_text("factor = 4\n")
    assert factor() == 0.25


def test_helpers_of_one_name_do_not_meet(tmp_path: Path, modules, inputs) -> None:
    made = []
    for number in (2, 3):
        folder = tmp_path / str(number)
        (folder / "parts").mkdir(parents=True)
        (folder / "mine.py").write_text(
            "import helper\nfrom parts.deep import two\n"
            "def f(model, x, method, target, **_):\n    import late\n    from parts import deep\n"
            "    assert deep.two is two\n    return x * helper.factor * late.factor\n"
        )
        (folder / "helper.py").write_text(f"factor = {number}\n")
        (folder / "late.py").write_text(f"factor = {number}\n")
        (folder / "parts" / "deep.py").write_text("two = object()\n")
        made.append(subject(f"{folder}/mine.py:f"))
    before = [*sys.path], set(sys.modules)
    for one, square in zip(made * 2, (4, 9, 4, 9), strict=True):
        given = ask(one, modules, inputs)
        assert given.error is None
        assert np.allclose(given.array, inputs * square)
    assert before == (sys.path, set(sys.modules))
    assert not {"helper", "late", "parts", "parts.deep"} & set(sys.modules)


def test_a_file_beside_the_harness_does_not_take_the_harness_apart(tmp_path: Path) -> None:
    """The file's folder is the repository's: what lies there and is in use stays in use."""
    before = dict(sys.modules)
    subject(f"{FILE.parents[2] / 'tests' / 'parity' / 'wrong_ports.py'}:right")
    assert all(sys.modules.get(name) is module for name, module in before.items())


def test_a_file_cannot_change_what_torch_does_by_default(tmp_path: Path, modules, inputs) -> None:
    (tmp_path / "mine.py").write_text(
        "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_grad_enabled(False)\n"
        "def f(model, x, method, target, **_):\n    assert torch.is_grad_enabled()\n"
        "    torch.set_grad_enabled(False)\n    torch.set_default_dtype(torch.float64)\n    return x\n"
    )
    assert ask(subject(f"{tmp_path}/mine.py:f"), modules, inputs).error is None
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()


# --- installed packages ----------------------------------------------------------------------------------------------


def install(folder: Path, name: str, entries: dict[str, str], version: str = "1.2") -> None:
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = "\n".join(f"{key} = {value}" for key, value in entries.items())
    (info / "entry_points.txt").write_text(f"[parity.subjects]\n{lines}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_a_package_registers_subjects(site: Path, modules, inputs) -> None:
    (site / "their_port.py").write_text(f"{GOOD}number = 3\n")
    install(site, "their-dist", {"theirs": "their_port:f", "bad": "their_port:number", "gone": "their_port:g"})
    assert names() == (*BUILT_IN, "bad", "gone", "theirs")
    made = subject("theirs")
    assert (made.name, made.spec) == ("theirs", "theirs")
    assert made.versions()["their-dist"] == "1.2"
    assert np.array_equal(ask(made, modules, inputs).array, inputs)
    with pytest.raises(ParityError, match=r"'bad' \(their_port:number of their-dist\) is int, no function"):
        subject("bad")
    with pytest.raises(ParityError, match=r"'gone' \(their_port:g of their-dist\) cannot be loaded: AttributeError"):
        subject("gone")
    with pytest.raises(ParityError, match=r"unknown subject 'their'; did you mean theirs\?"):
        subject("their")


def test_a_name_of_two_packages_is_refused_and_a_built_in_name_stays(site: Path) -> None:
    (site / "their_ports.py").write_text(GOOD + GOOD.replace("f(", "g("))
    install(site, "a-dist", {"same": "their_ports:f", "signxai_torch": "their_ports:f"})
    install(site, "b-dist", {"same": "their_ports:g"})
    with pytest.raises(ParityError, match=r"'same' is registered more than once: their_ports:\w of .-dist, their_"):
        subject("same")
    assert type(subject("signxai_torch")).__name__ == "SignxaiTorch"


# --- classes that follow the protocol --------------------------------------------------------------------------------


class Port:
    """A subject of somebody else."""

    name = "not what counts"
    spec = ""

    def versions(self) -> dict[str, str]:
        return {"theirs": "7"}

    def attribute(self, module, inputs, targets, method, parameters):
        return inputs

    def attribute_many(self, module, inputs, targets, methods):
        if "lrp_flat" in methods:
            raise ValueError("flat")
        module.train()
        inputs *= 2
        targets.clear()
        return {
            "gradient": SubjectAnswer(inputs / 2, 1.5, together=2),
            "lrp_z": SubjectAnswer(None, error="no", unsupported=True),
            "deconvnet": "a map",
            "guided_backprop": SubjectAnswer([1, 2]),
        }

    def together(self, methods):
        return [list(methods)]

    def rules(self, module, inputs, method):
        return [("conv", "Conv2d", "Z")]


def test_a_class_comes_in_and_is_held_to_the_protocol(modules, inputs) -> None:
    made = subject(f"{__file__}:Port")
    assert isinstance(made, GuardedSubject)
    assert (made.name, made.spec) == ("test_subjects.py:Port", f"{__file__}:Port")
    assert made.versions()["theirs"] == "7"
    module, targets, before = modules["float64"], [1], inputs.copy()
    mode = module.training
    asked: dict[str, Any] = {name: {} for name in ("gradient", "lrp_z", "deconvnet", "guided_backprop", "smoothgrad")}
    given = made.attribute_many(module, inputs, targets, asked)
    assert np.array_equal(given["gradient"].array, before)
    assert (given["gradient"].seconds, given["gradient"].together) == (1.5, 2)
    assert given["lrp_z"].unsupported
    assert given["deconvnet"].error == "attribute_many gave str instead of a SubjectAnswer"
    assert given["guided_backprop"].error == "returned a list instead of an array"
    assert given["smoothgrad"].error == "attribute_many gave NoneType instead of a SubjectAnswer"
    assert (module.training, targets) == (mode, [1])
    assert np.array_equal(inputs, before)
    both = made.attribute_many(module, inputs, targets, {"lrp_flat": {}, "gradient": {}})
    assert both["lrp_flat"].error == "ValueError: flat"
    assert np.array_equal(both["gradient"].array, before)
    assert made.together({"gradient": {}, "lrp_z": {}}) == [["gradient", "lrp_z"]]
    assert made.rules(module, inputs, "lrp_z") == [("conv", "Conv2d", "Z")]
    assert np.array_equal(made.attribute(module, inputs, targets, "gradient", {}), before)


def test_a_class_that_loses_methods_is_refused(modules) -> None:
    class Losing(Port):
        def together(self, methods):
            return []

    made = GuardedSubject(Losing(), "x", "x", {})
    with pytest.raises(ParityError, match=r"subject x: together\(\) must return every method"):
        made.together({"gradient": {}})
