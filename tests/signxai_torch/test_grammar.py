"""The language of method names: total, unambiguous, and the same when printed back."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from signxai_torch import Method, UnknownMethodError, list_methods, parse
from signxai_torch.methods.grammar import _TRAILING, _readings, number_to_text, text_to_number, wrappers
from signxai_torch.methods.table import BASE_ROWS, PREFIXES, RULE_ROWS, SUFFIXED

pytestmark = pytest.mark.slow

NAMES_IN_USE = [
    line
    for line in (Path(__file__).parent / "names_in_use.txt").read_text().splitlines()
    if line and not line.startswith("#")
]

numbers = st.one_of(
    st.integers(1, 10_000).map(float), st.decimals("0.000001", "9999", places=6).map(float), st.just(0.25)
)
signed = st.one_of(numbers, numbers.map(lambda value: -value), st.just(0.0))


@st.composite
def _modifiers(draw) -> str:
    parts = draw(st.lists(st.sampled_from(["x_input", "x_sign", "x_sign_mu", "x_sign_mu_M"]), max_size=3))
    return "".join(f"_{part.replace('M', number_to_text(draw(signed)))}" for part in parts)


@st.composite
def _rule(draw, row) -> str:
    numbers_of = dict.fromkeys(re.findall(r"\{(\w+)\}", row.template))
    for key in numbers_of:
        numbers_of[key] = draw(numbers)
    if "alpha" in numbers_of:
        numbers_of["beta"] = float(draw(st.integers(0, 64))) / 4
        numbers_of["alpha"] = numbers_of["beta"] + 1
    return row.template.format(**{key: number_to_text(value) for key, value in numbers_of.items()})


@st.composite
def legal_names(draw) -> str:
    if draw(st.booleans()):
        row = draw(st.sampled_from(BASE_ROWS))
        suffix = draw(st.sampled_from(("", *SUFFIXED.get(row.template, ()))))
        return row.template + (f"_{suffix}" if suffix else "") + draw(_modifiers())
    prefix, row = (
        draw(st.sampled_from(sorted(PREFIXES.values(), key=lambda one: one.name))),
        draw(st.sampled_from(RULE_ROWS)),
    )
    separator = draw(st.sampled_from("._")) if prefix.input_rule is None else "_"
    bias = draw(st.sampled_from(("", "_IB"))) if row.ignore_bias else ""
    mu = f"_mu_{number_to_text(draw(signed))}" if prefix.input_rule == "SIGN" and draw(st.booleans()) else ""
    suffix = "_VGG16ILSVRC" if prefix.suffix and draw(st.booleans()) else ""
    return f"{prefix.name}{separator}{draw(_rule(row))}{bias}{mu}{suffix}{draw(_modifiers())}"


@given(legal_names())
@settings(max_examples=250, deadline=None)
def test_a_name_built_from_the_table_parses_and_prints_back(name):
    method = parse(name)
    assert str(method) == method.name == name
    assert parse(str(method)) is method


@given(legal_names())
@settings(max_examples=200, deadline=None)
def test_a_name_has_one_reading(name):
    trailing = _TRAILING.search(name)
    base = name[: trailing.start()] if trailing else name
    assert len([row.template for pattern, row, _ in _readings() if pattern.fullmatch(base)]) == 1


@given(legal_names(), st.data())
@settings(max_examples=120, deadline=None)
def test_a_slip_of_the_pen_never_gives_another_spelling_of_the_same(name, data):
    """A changed name is either another legal name, which prints back to itself, or an error."""
    at = data.draw(st.integers(0, len(name) - 1))
    kind = data.draw(st.sampled_from(["drop", "double", "swap", "upper"]))
    changed = {
        "drop": name[:at] + name[at + 1 :],
        "double": name[:at] + name[at] + name[at:],
        "swap": name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
        "upper": name[:at] + name[at].swapcase() + name[at + 1 :],
    }[kind]
    assume(changed != name)
    with contextlib.suppress(UnknownMethodError):
        method, original = parse(changed), parse(name)
        assert method.name == changed
        assert _facts(method) != _facts(original) or method.dotted != original.dotted


def _facts(method: Method):
    return (
        method.row.template,
        method.prefix,
        dict(method.parameters),
        method.modifiers,
        method.ignore_bias,
        method.suffix,
    )


def test_a_thousand_names_that_are_none():
    random = np.random.RandomState(0)
    alphabet = np.array(list("abcdefghijklmnopqrstuvwxyz_._0123456789ABXIé -"))
    words = ["lrp", "lrpsign", "z", "epsilon", "0_1", "std", "x", "input", "sign", "mu", "neg", "gradient", "flat"]
    words += ["alpha", "1", "beta", "0", "grad", "cam", "IB"]
    names = {"".join(random.choice(alphabet, random.randint(0, 30))) for _ in range(500)}
    names |= {
        "_".join(random.choice(words, random.randint(1, 6))) + "_" + str(random.choice(list("qjw!")))
        for _ in range(700)
    }
    names = sorted(names)[:1000]
    assert len(names) == 1000
    for name in names:
        with pytest.raises(UnknownMethodError) as caught:
            parse(name)
        assert repr(name) in str(caught.value)
        assert "list_methods()" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("gradiant", "gradient"),
        ("gradient_x_sgn", "gradient_x_sign"),
        ("lrp_epsilon_O_1", "lrp_epsilon_0_1"),
        ("lrp-z", "lrp_z"),
        ("smoothgrads", "smoothgrad"),
        ("LRP_Z", None),
    ],
)
def test_an_unknown_name_is_told_its_neighbours(name, meant):
    with pytest.raises(UnknownMethodError, match=re.escape(repr(name))) as caught:
        parse(name)
    if meant:
        assert meant in caught.value.nearest
        assert meant in str(caught.value)


@pytest.mark.parametrize("name", NAMES_IN_USE)
def test_every_name_in_use_parses(name):
    assert str(parse(name)) == name


def test_there_are_229_names_in_use():
    assert len(NAMES_IN_USE) == len(set(NAMES_IN_USE)) == 229


def test_every_name_in_use_is_listed():
    assert set(NAMES_IN_USE) - set(list_methods()) == set()


def test_every_listed_name_parses_and_none_is_listed_twice():
    names = list_methods()
    assert len(names) == len(set(names))
    for name in names:
        assert str(parse(name)) == name


def test_sign_xai_has_152_wrappers():
    assert len(wrappers()) == 152
    assert wrappers() <= set(list_methods())


def test_names_that_read_alike_are_no_synonyms_but_dotted_ones():
    readings: dict[object, list[str]] = {}
    for name in list_methods():
        method = parse(name)
        readings.setdefault(repr(_facts(method)), []).append(name)
    for names in readings.values():
        assert len(names) == len({name.replace("lrp.", "lrp_", 1) for name in names}) or len(names) == 2
        assert len({name.replace("lrp.", "lrp_", 1) for name in names}) == 1, names


@pytest.mark.parametrize("name", [name for name in list_methods() if name.startswith("lrp.")])
def test_a_dotted_name_is_its_underscore_spelling(name):
    dotted, plain = parse(name), parse(name.replace("lrp.", "lrp_", 1))
    assert dotted.synonym_of == plain.name
    assert _facts(dotted) == _facts(plain)
    assert plain.synonym_of is None


@pytest.mark.parametrize(
    ("value", "text"), [(0.25, "0_25"), (100.0, "100"), (-0.5, "neg_0_5"), (0.001, "0_001"), (0.0, "0"), (1.5, "1_5")]
)
def test_how_numbers_are_spelled(value, text):
    assert number_to_text(value) == text
    assert text_to_number(text) == value


@given(signed)
def test_numbers_round_trip(value):
    assert text_to_number(number_to_text(value)) == value


@pytest.mark.parametrize(
    "number",
    ["1_0", "01", "00", "0_10", "0_", "_1", "1__5", "1_0_0", "1.5", "1e3", "+1", "neg_1", "neg_0", "-1", "", "x", "٣"],
)
def test_illegal_numbers(number):
    for name in (f"lrp_epsilon_{number}", f"lrp_epsilon_{number}_std_x", f"lrp_gamma_{number}"):
        with pytest.raises(UnknownMethodError):
            parse(name)


@pytest.mark.parametrize("number", ["1_0", "01", "neg_0", "neg_01", "neg_", "neg_0_0", "neg_neg_1", "0_50", "", "-1"])
def test_illegal_thresholds(number):
    for name in (f"gradient_x_sign_mu_{number}", f"lrpsign_epsilon_100_mu_{number}"):
        with pytest.raises(UnknownMethodError):
            parse(name)


@pytest.mark.parametrize(
    "numbers", ["1_beta_1", "2_beta_0", "0_5_beta_neg_0_5", "0_beta_1", "1_5_beta_0_6", "0_beta_neg_1"]
)
def test_alpha_minus_beta_is_one(numbers):
    with pytest.raises(UnknownMethodError):
        parse(f"lrp_alpha_{numbers}")


@pytest.mark.parametrize(
    "numbers",
    [
        "1_1_beta_0_1",
        "2_4_beta_1_4",
        "4_1_beta_3_1",
    ],
)
def test_alpha_minus_beta_is_one_in_decimals(numbers):
    assert parse(f"lrp_alpha_{numbers}").family == "lrp"


def test_alpha_beta_says_why():
    with pytest.raises(UnknownMethodError, match="alpha - beta must be 1 and alpha at least 1"):
        parse("lrp_alpha_2_beta_0")


@pytest.mark.parametrize("name", ["lrp_epsilon_0", "lrp_epsilon_0_std_x", "lrpsign_epsilon_0_mu_0"])
def test_an_epsilon_of_zero_is_refused(name):
    with pytest.raises(UnknownMethodError, match="must be greater than 0"):
        parse(name)


@pytest.mark.parametrize("name", [None, 1, b"gradient", ["gradient"], ("gradient",)])
def test_a_name_is_text(name):
    with pytest.raises(TypeError, match="a method name is a str"):
        parse(name)


# What parsers of these names got wrong before: lost numbers, lost order, typos taken for something else.


def test_advertised_names_parse_or_are_refused():
    assert parse("zblrp_epsilon_5_VGG16ILSVRC").parameters == {"epsilon": 5.0, "low": -123.68, "high": 151.061}
    with pytest.raises(UnknownMethodError):
        parse("lrpsign_epsilon_100_improved")


def test_no_number_is_lost():
    assert parse("lrp_alpha_1_5_beta_0_5").parameters == {"alpha": 1.5, "beta": 0.5}
    assert parse("lrpsign_epsilon_0_1_mu_0_5").parameters == {"epsilon": 0.1, "mu": 0.5}
    assert parse("lrpsign_epsilon_0_1_mu_neg_0_3").parameters["mu"] == -0.3
    assert parse("lrp_epsilon_0_25_std_x").parameters == {"stdfactor": 0.25}
    assert parse("lrp_epsilon_0_25_std_x").row.layers == {"kernel": ("StdxEpsilon", {})}


@pytest.mark.parametrize("name", ["lrp_epsilon_1_0_0", "lrp_epsilon_0_1_mu_0_5", "lrpz_epsilon_0_1_mu_0_5"])
def test_what_cannot_be_read_in_full_is_refused(name):
    with pytest.raises(UnknownMethodError):
        parse(name)


def test_the_order_of_modifiers_and_their_numbers_stay():
    assert parse("gradient_x_sign_mu_0_5_x_input").modifiers == (("x_sign_mu", 0.5), ("x_input", None))
    assert parse("gradient_x_input_x_sign").modifiers == (("x_input", None), ("x_sign", None))
    assert parse("gradient_x_sign_x_input").modifiers == (("x_sign", None), ("x_input", None))
    assert parse("gradient_x_sign_mu").modifiers == (("x_sign_mu", None),)
    assert parse("gradient_x_sign_mu_neg_0_2").modifiers == (("x_sign_mu", -0.2),)
    assert parse("lrp_z_x_input_x_sign").base == "lrp_z"


@pytest.mark.parametrize(
    "name",
    [
        "gradient_x_sgn",
        "gradient_x",
        "gradient_",
        "gradient_x_input_",
        "attribution_ibex",
        "lrp_z_ib",
        "gradient_IB",
        "zblrp_epsilon_5_VGG106ILSVRC",
        "zblrp_z_VGG206",
        "lrp_z_VGG16ILSVRC",
        "gradient_VGG16ILSVRC",
        "gradient\n",
        " gradient",
        "gradient_x_sign ",
        "gradient_x_sign\n",
        "lrp_epsilon_1٣",
    ],
)
def test_a_typo_is_no_method(name):
    with pytest.raises(UnknownMethodError):
        parse(name)


def test_a_mu_at_the_input_turns_sign_into_sign_mu():
    assert parse("lrpsign_epsilon_100").input_rule == "SIGN"
    assert parse("lrpsign_epsilon_100_mu_0").input_rule == "SIGNmu"
    assert parse("lrp_epsilon_100").input_rule is None


@pytest.mark.parametrize(
    ("name", "head"),
    [("gradient", "one"), ("guided_backprop", "logit"), ("deconvnet", "logit"), ("lrp_z", "preactivation"),
     ("lrp.z", "logit"), ("lrp.z_IB", "preactivation"), ("lrp_epsilon_0_1_IB", "preactivation"),
     ("lrp.stdxepsilon", "preactivation"), ("zblrp_z", "logit"), ("flatlrp_z", "preactivation"),
     ("deep_taylor", "positive_logit"), ("vargrad", "one")],
)  # fmt: skip
def test_where_relevance_starts_is_a_fact_of_the_method(name, head):
    assert parse(name).head == head
