"""Method names: text to `Method` and back.

A name is ``prefix_rule[_IB][_mu_M][_SUFFIX]`` for LRP or a base name such as ``gradient``, followed by
modifiers (``_x_input``, ``_x_sign``, ``_x_sign_mu_M``) in any order. Numbers are spelled ``100``, ``0_25`` or,
where a sign makes sense, ``neg_0_5``. ``lrp.rule`` is iNNvestigate's spelling of ``lrp_rule``. Every legal name
has exactly one reading and prints back to itself; anything else raises `UnknownMethodError`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from html import escape
from types import MappingProxyType
from typing import Any

from signxai_torch.methods import table as methods
from signxai_torch.methods.table import BASE_ROWS, PREFIXES, RULE_ROWS, SUFFIXED, SUFFIXES, Prefix, Row

NUMBER = r"(?:0|[1-9][0-9]*)(?:_[0-9]*[1-9])?"
SIGNED = rf"(?:neg_(?!0$|0_(?![0-9])){NUMBER}|{NUMBER})"
_MODIFIERS = re.compile(rf"_x_(?:input|sign_mu_(?P<mu>{SIGNED})|sign_mu(?!_(?:neg_)?[0-9])|sign(?!_mu))")
_TRAILING = re.compile(rf"(?:{_MODIFIERS.pattern.replace('(?P<mu>', '(?:')})+\Z")


class UnknownMethodError(ValueError):
    """A name that the method table does not have; the message names the nearest ones.

    Attributes
    ----------
    name : str
        The name.
    nearest : list of str
        Up to three listed names that are spelled alike.
    """

    def __init__(self, name: str, reason: str = "") -> None:
        self.name = name
        self.nearest = difflib.get_close_matches(name, list(listed()), n=3, cutoff=0.5)
        hint = f" Nearest: {', '.join(self.nearest)}." if self.nearest else ""
        why = f": {reason}" if reason else ""
        super().__init__(f"unknown method {name!r}{why}.{hint} signxai_torch.list_methods() lists the names.")


@dataclass(frozen=True)
class Method:
    """One attribution method, fully specified by its name.

    Attributes
    ----------
    name : str
        The name as spelled; ``str(method)``.
    row : Row
        Its row in the method table (formula, citation, head, rules).
    prefix : Prefix or None
        The row of its LRP prefix, which fixes the rule of the input layer.
    parameters : Mapping[str, Any]
        Parameters: the row's defaults, the suffix's, and the numbers in the name.
    modifiers : tuple of (str, float or None)
        What multiplies the map, in order: ("x_input", None), ("x_sign", None), ("x_sign_mu", mu).
    ignore_bias : bool
        The ``_IB`` form of the rule.
    suffix : str or None
        The model suffix such as "VGG16ILSVRC".
    dotted : bool
        iNNvestigate's spelling with a dot.
    """

    name: str
    row: Row
    prefix: Prefix | None
    parameters: Mapping[str, Any]
    modifiers: tuple[tuple[str, float | None], ...]
    ignore_bias: bool = False
    suffix: str | None = None
    dotted: bool = False

    def __str__(self) -> str:
        return self.name

    def __hash__(self) -> int:
        return hash(self.name)

    @property
    def family(self) -> str:
        """The family: "lrp", "gradient", "smoothgrad", ..."""
        return self.row.family

    @property
    def base(self) -> str:
        """The name without its modifiers."""
        return _TRAILING.sub("", self.name) if self.modifiers else self.name

    @property
    def head(self) -> str:
        """Where relevance starts: "logit", "one", "positive_logit", or "preactivation" (where the last rule starts)."""
        # SIGN-XAI's z and epsilon rules start from what the last layer computes before its activation, iNNvestigate's
        # from the model's output (reference-semantics, section 2). Names that are held to iNNvestigate follow it.
        if self.family != "lrp" or (self._innvestigates and self.row.innvestigate and not self.ignore_bias):
            return self.row.head
        return "preactivation"

    @property
    def _innvestigates(self) -> bool:
        """Whether iNNvestigate's definition counts, where it has one: its spelling, and the rule of its own."""
        return self.dotted or self.input_rule == "Bounded"

    @property
    def input_rule(self) -> str | None:
        """The rule of the input layer, None where it is that of the other layers."""
        rule = self.prefix.input_rule if self.prefix and self.prefix.input_rule else self.row.input_rule
        return "SIGNmu" if rule == "SIGN" and "mu" in self.parameters else rule

    @property
    def formula(self) -> str:
        """The formula in words: of the rule, of the input layer's rule, and what multiplies the map."""
        parts = [self.row.formula]
        if self.prefix is not None and self.prefix.input_rule is not None:
            parts.append(f"input layer: {self.prefix.formula}")
        parts += [f"times {what.replace('_', ' ')}{'' if mu is None else f' {mu:g}'}" for what, mu in self.modifiers]
        return "; ".join(parts)

    @property
    def citation(self) -> str:
        """Who published it: the rule, and the input layer's rule."""
        citations = [self.row.citation]
        if self.prefix is not None and self.prefix.citation not in citations:
            citations.append(self.prefix.citation)
        return "; ".join(citations)

    def _repr_html_(self) -> str:
        """Return the method as a table for a notebook."""
        parameters = ", ".join(f"{name} = {value}" for name, value in self.parameters.items())
        facts = {"family": self.family, "formula": self.formula, "parameters": parameters, "source": self.citation}
        rows = "".join(
            f'<tr><th style="text-align:left">{name}</th><td style="text-align:left">{escape(text)}</td></tr>'
            for name, text in facts.items()
            if text
        )
        return f'<table><caption style="text-align:left"><code>{escape(self.name)}</code></caption>{rows}</table>'

    @property
    def synonym_of(self) -> str | None:
        """The underscore spelling of a dotted LRP name."""
        return self.name.replace("lrp.", "lrp_", 1) if self.dotted else None


def number_to_text(value: float) -> str:
    """Spell a number as in names: 0.25 -> "0_25", 100 -> "100", -0.5 -> "neg_0_5"."""
    text = f"{abs(value):.12f}".rstrip("0").rstrip(".").replace(".", "_")
    return f"neg_{text}" if value < 0 else text


def text_to_number(text: str) -> float:
    """Read a number as spelled in names: "0_25" -> 0.25, "neg_0_5" -> -0.5."""
    sign, digits = (-1.0, text[4:]) if text.startswith("neg_") else (1.0, text)
    return sign * float(digits.replace("_", "."))


def _exact(text: str) -> Decimal:
    return Decimal(text.replace("_", "."))


def _template_pattern(row: Row) -> str:
    return re.sub(r"\{(\w+)\}", lambda field: rf"(?P<{field[1]}>{NUMBER})", re.escape(row.template).replace(
        r"\{", "{").replace(r"\}", "}"))  # fmt: skip


@cache
def _readings() -> tuple[tuple[re.Pattern[str], Row, Prefix | None], ...]:
    suffixes = "|".join(SUFFIXES)
    readings: list[tuple[re.Pattern[str], Row, Prefix | None]] = []
    for row in BASE_ROWS:
        suffix = f"(?:_(?P<suffix>{'|'.join(SUFFIXED[row.template])}))?" if row.template in SUFFIXED else ""
        readings.append((re.compile(re.escape(row.template) + suffix), row, None))
    for prefix in PREFIXES.values():
        separator = r"(?P<separator>[._])" if prefix.input_rule is None else "_"
        mu = rf"(?:_mu_(?P<mu>{SIGNED}))?" if prefix.input_rule == "SIGN" else ""
        suffix = f"(?:_(?P<suffix>{suffixes}))?" if prefix.suffix else ""
        for row in RULE_ROWS:
            bias = "(?P<bias>_IB)?" if row.ignore_bias else ""
            pattern = f"{prefix.name}{separator}{_template_pattern(row)}{bias}{mu}{suffix}"
            readings.append((re.compile(pattern), row, prefix))
    return tuple(readings)


def parse(name: str) -> Method:
    """Return the one method that a name spells.

    Parameters
    ----------
    name : str
        A method name, such as ``lrpsign_epsilon_0_25_std_x_mu_0_5``. Case matters.

    Returns
    -------
    Method
        What the name says: the rule, the input layer's rule, the parameters, the modifiers.

    Raises
    ------
    UnknownMethodError
        If the name is not in the language of the table; the message names the nearest listed names.

    Examples
    --------
    >>> from signxai_torch import parse
    >>> method = parse("lrpsign_epsilon_0_25_std_x")
    >>> method.input_rule, method.parameters["stdfactor"]
    ('SIGN', 0.25)
    """
    if not isinstance(name, str):
        raise TypeError(f"a method name is a str, not {type(name).__name__}: {name!r}")
    return _parse(name)


@cache
def _parse(name: str) -> Method:
    trailing = _TRAILING.search(name)
    base, tail = (name[: trailing.start()], trailing.group()) if trailing else (name, "")
    for pattern, row, prefix in _readings():
        match = pattern.fullmatch(base)
        if match:
            return _build(name, row, prefix, match, tail)
    raise UnknownMethodError(name)


def _build(name: str, row: Row, prefix: Prefix | None, match: re.Match[str], tail: str) -> Method:
    found = {key: value for key, value in match.groupdict().items() if value is not None}
    suffix = found.pop("suffix", None)
    dotted = found.pop("separator", "_") == "."
    ignore_bias = found.pop("bias", None) is not None
    numbers = {key: text_to_number(text) for key, text in found.items()}
    if "alpha" in found and (_exact(found["alpha"]) < 1 or _exact(found["alpha"]) - _exact(found["beta"]) != 1):
        raise UnknownMethodError(name, "alpha - beta must be 1 and alpha at least 1")
    if any(numbers.get(key) == 0 for key in ("epsilon", "stdfactor")):
        raise UnknownMethodError(name, "the stabilizer must be greater than 0 (lrp_z has none)")
    bounds = {"low": -1.0, "high": 1.0} if prefix and prefix.input_rule == "Bounded" else {}
    parameters = row.defaults | bounds | _suffix_parameters(suffix, row, prefix) | numbers
    modifiers = tuple(_modifier(part) for part in _MODIFIERS.finditer(tail))
    return Method(name, row, prefix, MappingProxyType(parameters), modifiers, ignore_bias, suffix, dotted)


def _suffix_parameters(suffix: str | None, row: Row, prefix: Prefix | None) -> dict[str, Any]:
    facts = SUFFIXES.get(suffix or "", {})
    wanted = ("low", "high") if prefix else tuple(row.defaults)
    return {key: value for key, value in facts.items() if key in wanted}


def _modifier(part: re.Match[str]) -> tuple[str, float | None]:
    if part["mu"] is not None:
        return "x_sign_mu", text_to_number(part["mu"])
    return part.group()[1:], None


@cache
def listed() -> tuple[str, ...]:
    """Return every listed method name once, in the order of the table."""
    return tuple(methods.listed_names())


@cache
def wrappers() -> frozenset[str]:
    """Return the names that SIGN-XAI has a wrapper function for."""
    return frozenset(methods.wrapper_names())
