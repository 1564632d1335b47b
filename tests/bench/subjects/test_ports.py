"""The comparison of ports: what its page says, and that a port's map is that of the library by itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from bench.subjects import page
from bench.subjects.__main__ import main
from bench.subjects.table import PORTS, REAL, SHIPPED, select_models, select_ports
from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.errors import ParityError
from parity.report.subjects import Cell, Judged
from parity.run.subjects import subject

ROOT = Path(__file__).resolve().parents[3]


def cell(standing: str, float64: float | None = None, float32: float | None = None, **more) -> Cell:
    equal = standing in ("parity", "reference-defect")
    distances = {} if float64 is None else {"float64": float64, "float32": float32}
    facts = {"floor": equal, "layer": "", "cause": "", "message": "", "link": ""} | more
    lanes = dict.fromkeys(distances, equal)
    return Cell(standing, distances, lanes, lanes, **facts)


def test_the_page_says_what_was_found():
    ours = Judged("zennit", {"zennit": "0.5.1"}, {
        ("vgg", "lrp_z"): cell("parity", 2e-16, 3e-7),
        ("vgg", "lrp_flat"): cell("mismatch", 0.25, 0.26, layer="c5", cause="It is the reference's with no bias."),
        ("vgg", "grad_cam"): cell("unsupported"),
        ("vgg", "lrpsign_z"): cell("unsupported"),
    })  # fmt: skip
    theirs = Judged("captum", {"captum": "0.9.0"}, {
        ("vgg", "lrp_z"): cell("error", message="it raised"),
        ("vgg", "grad_cam"): cell("unjudged"),
    })  # fmt: skip
    text = page.text(select_ports(("zennit", "captum")), [ours, theirs])
    assert "| zennit | 2 | 1 | 1 | 1 | 0 | 1 |" in text
    assert "| captum | 1 | 0 | 0 | 0 | 1 | 1 |" in text
    assert "| `lrp_z` | 2.0e-16 / 3.0e-7 | **error** |" in text
    assert "| `lrp_flat` | **0.25** / **0.26** at c5 | - |" in text
    assert "| `grad_cam` | - | unjudged |" in text
    assert "lrpsign_z" not in text  # nobody has it
    assert "- zennit: It is the reference's with no bias. (`lrp_flat` on vgg)" in text
    assert "- captum: it raised (`lrp_z` on vgg)" in text
    assert "**zennit** (zennit 0.5.1)" in text


def test_every_port_says_how_it_is_set_up():
    for port in PORTS:
        assert (ROOT / port.module).is_file()
        assert port.configuration.endswith(".")
    assert len({port.name for port in PORTS}) == len(PORTS)


def test_unknown_names_are_refused():
    with pytest.raises(ParityError, match="there are signxai_torch"):
        select_ports(("nobody",))
    with pytest.raises(ParityError, match="there are vgg_mnist"):
        select_models(("nothing",))
    assert select_models(()) == (list(SHIPPED), list(REAL))
    assert CliRunner().invoke(main, ["--subject", "nobody"]).exit_code == 2


@pytest.mark.reference
def test_a_port_that_cannot_be_had_is_told_and_the_others_are_compared(tmp_path, monkeypatch):
    monkeypatch.setenv("SIGNXAI2_PYTHON", str(tmp_path / "nothing"))
    arguments = ["--subject", "zennit,signxai2", "--model", "dense_mnist", "--method", "lrp_z,w2lrp_z", "--report",
                 str(tmp_path / "report")]  # fmt: skip
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 1
    assert "the subject signxai2 needs an environment of its own: SIGNXAI2_PYTHON" in result.output
    text = (tmp_path / "report" / "subjects.md").read_text(encoding="utf-8")
    assert "| zennit | 2 | 1 | 1 |" in text
    assert "the squared bias counted in the denominators of w squared" in text
    assert (tmp_path / "report" / "zennit" / "shipped" / "parity.html").is_file()


# --- the libraries by themselves, as their own documentation calls them -----------------------------------------------


@pytest.fixture(scope="module")
def case():
    """Return the series network in float64, its input, its class, and the same as a stack of torch's own layers."""
    source = resolve("cnn_timeseries")
    module = source.load("float64")
    x = next(iter(default_inputs(source))).array[None].astype(np.float64)
    stack = nn.Sequential(*[part for name, part in module.named_modules() if name])
    given = module.to_torch(x)
    assert torch.equal(stack(given), module(given))
    return module, x, given, stack, int(module(given).argmax())


def mapped(name: str, case, method: str) -> np.ndarray:
    module, x, _, _, target = case
    return subject(name).attribute(module, x, [target], method, {})


@pytest.mark.parametrize("method", ["lrp_epsilon_0_1", "lrp_flat", "lrp_w_square", "lrp_alpha_2_beta_1"])
def test_zennit_s_numbers_are_those_of_a_script_of_its_own(case, method):
    from zennit.attribution import Gradient
    from zennit.composites import LayerMapComposite, layer_map_base
    from zennit.rules import AlphaBeta, Epsilon, Flat, WSquare
    from zennit.types import Linear

    rule = {
        "lrp_epsilon_0_1": Epsilon(0.1), "lrp_flat": Flat(stabilizer=1e-30), "lrp_w_square": WSquare(stabilizer=1e-30),
        "lrp_alpha_2_beta_1": AlphaBeta(2, 1, stabilizer=1e-30),
    }[method]  # fmt: skip
    module, _, x, stack, target = case
    composite = LayerMapComposite([*layer_map_base(1e-30), (Linear, rule)])
    with Gradient(stack, composite) as attributor:
        _, relevance = attributor(x, lambda output: output * torch.eye(output.shape[1], dtype=x.dtype)[[target]])
    np.testing.assert_allclose(mapped("zennit", case, method), module.to_keras(relevance.detach()), rtol=1e-12)


def test_captum_s_numbers_are_those_of_a_script_of_its_own(case):
    attr = pytest.importorskip("captum.attr")
    from captum.attr._utils.lrp_rules import EpsilonRule

    module, _, x, stack, target = case
    for layer in stack:
        if not isinstance(layer, nn.ReLU):
            layer.rule = EpsilonRule(0.1 if hasattr(layer, "weight") else 1e-30)
    relevance = attr.LRP(stack).attribute(x.clone().requires_grad_(), target)
    np.testing.assert_allclose(
        mapped("captum", case, "lrp_epsilon_0_1"), module.to_keras(relevance.detach()), rtol=1e-12
    )
