r"""The formulas of the method table, typeset: ``x * W^T (R / (W x + b))`` becomes TeX.

The table writes formulas as one types them. They are read here as what they are, a small language of symbols, numbers,
sums, products and quotients with words between, so that no second spelling in TeX has to be kept in step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

SYMBOLS = {
    "*": r"\cdot",
    "..": r"\dots",
    ">": ">",
    "=": "=",
    "+": "+",
    "-": "-",
    "1^T": r"\mathbf{1}^{\top}",
    "e": r"\varepsilon",
    "factor": r"\mathrm{factor}",
    "sgn": r"\operatorname{sgn}",
    "std": r"\operatorname{std}",
    "relu": r"\operatorname{relu}",
    "max": r"\max",
    "mean": r"\operatorname{mean}",
    "df_c/dx": r"\frac{\partial f_c}{\partial x}",
    "df/dA_c": r"\frac{\partial f}{\partial A_c}",
    "N": r"\mathcal{N}",
    "U": r"\mathcal{U}",
}
"""What is not written as it is typed."""
_FUNCTIONS = tuple(SYMBOLS[name] for name in ("sgn", "std", "relu", "N", "U"))

_TOKEN = re.compile(
    r"""
    (?P<symbol>df_c/dx|df/dA_c|1\^T|\.\.|[*>=/](?!\w*_)|(?<!\w)[+-](?!\w)|(?<=[(=])-(?=\d)|\b(?:factor|sgn|std|relu|max)\b)
  | (?P<power>\^[T2](?!\w))
  | (?P<index>\b(?:mean|sum)_[a-z]+)
  | (?P<number>(?:(?<==\ )[+-])?\d+(?:\.\d+)?(?:e-?\d+)?(?![\w^]))
  | (?P<letter>(?:\d|\b[A-Za-z])(?:_[a-z]+)?[+-]?(?:\^[T2])*(?!\w|'))
  | (?P<open>[(\[]) | (?P<close>[)\]]) | (?P<stop>[,;:](?=\s|$))
  | (?P<word>[^\s()\[\],;:]+(?:[:,](?=\S)[^\s()\[\],;:]*)*)
  | (?P<space>\s+)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """One piece of a formula: its kind, its text, and whether it belongs to mathematics."""

    kind: str
    text: str

    @property
    def is_math(self) -> bool:
        """Whether it is neither a word nor a stop."""
        return self.kind not in ("word", "stop")


def typeset(formula: str) -> str:
    r"""Return a formula of the table as Markdown, with what is mathematics in it as TeX between dollars.

    Parameters
    ----------
    formula : str
        As `signxai_torch.methods.table` writes it.

    Returns
    -------
    str
        Markdown; words stay words, and names of methods and parameters are set as code.

    Raises
    ------
    ValueError
        If parentheses do not match.

    Examples
    --------
    >>> typeset("x * W^T (R / (W x + b)), no bias")
    '$\\displaystyle x \\cdot W^{\\top} \\left(\\frac{R}{W x + b}\\right)$, no bias'
    """
    parts: list[str] = []
    for run, is_math in _runs(list(_tokens(formula))):
        parts += [f"$\\displaystyle {_tex(run)}$"] if is_math else map(_prose, run)
    return re.sub(r" ([,;:)])|([(]) ", r"\1\2", " ".join(parts))


def _tokens(formula: str) -> Iterator[Token]:
    place = 0
    while place < len(formula):
        match = _TOKEN.match(formula, place)
        if match is None or match.lastgroup is None:
            raise ValueError(f"cannot read {formula[place:]!r} in the formula {formula!r}")
        if match.lastgroup != "space":
            yield Token(match.lastgroup, match.group())
        place = match.end()


def _runs(tokens: list[Token]) -> Iterator[tuple[list[Token], bool]]:
    """Yield stretches of mathematics, parentheses held together, and the words between them."""
    stretch: list[Token] = []
    place = 0
    while place < len(tokens):
        end = _end(tokens, place)
        piece = tokens[place:end]
        aside = len(piece) > 1 and not _formula(stretch) and any(token.kind == "word" for token in piece)
        article = piece[0].text == "a" and not (end < len(tokens) and tokens[end].is_math)
        if piece[0].is_math and not aside and not article:
            stretch += piece
        else:
            if stretch:
                yield stretch, _formula(stretch)
            stretch = []
            yield piece, False
        place = end
    if stretch:
        yield stretch, _formula(stretch)


def _formula(stretch: list[Token]) -> bool:
    """Return whether a stretch is to be typeset; a number alone reads as well among the words."""
    return [token.kind for token in stretch] not in ([], ["number"])


def _end(tokens: list[Token], place: int) -> int:
    """Return where the piece that begins at a place ends: a token, or all that its parentheses hold.

    Raises
    ------
    ValueError
        If a parenthesis has no partner.
    """
    depth = 0
    for end in range(place, len(tokens)):
        depth += {"open": 1, "close": -1}.get(tokens[end].kind, 0)
        if depth == 0:
            return end + 1
        if depth < 0:
            break
    raise ValueError("the parentheses of the formula do not match")


def _prose(token: Token) -> str:
    named = "_" in token.text or "=" in token.text
    return f"`{token.text}`" if named else token.text


def _tex(tokens: list[Token]) -> str:
    """Return TeX of a stretch: what stands on both sides of a ``/`` becomes a fraction."""
    factors: list[str] = []
    place = 0
    while place < len(tokens):
        token, end = tokens[place], _end(tokens, place)
        if token.text == "/" and factors:
            place, end = end, _end(tokens, end)
            factors.append(rf"\frac{{{_bare(factors.pop())}}}{{{_bare(_factor(tokens[place:end]))}}}")
        elif token.kind == "power" or (token.kind == "open" and factors and factors[-1] in _FUNCTIONS):
            factors.append(factors.pop() + _factor(tokens[place:end]))
        elif token.kind == "word":
            while end < len(tokens) and tokens[end].kind == "word":
                end += 1
            words = " ".join(word.text for word in tokens[place:end])
            factors.append(rf"\text{{ {words} }}".replace("_", r"\_"))
        elif token.text == "1" and _multiplied(tokens, place):
            factors.append(r"\,\mathbf{1}")  # an array of ones, as in W^2 1
        else:
            factors.append(_factor(tokens[place:end]))
        place = end
    return re.sub(r" ([,;:])", r"\1", " ".join(factors))


def _multiplied(tokens: list[Token], place: int) -> bool:
    """Return whether a number stands beside what it is multiplied with."""
    return any(
        0 <= beside < len(tokens) and tokens[beside].kind in ("letter", "number") for beside in (place - 1, place + 1)
    )


def _factor(piece: list[Token]) -> str:
    """Return TeX of one token, or of a parenthesis."""
    if len(piece) == 1:
        return _symbol(piece[0])
    return rf"\left{piece[0].text}{_tex(piece[1:-1])}\right{piece[-1].text}"


def _bare(factor: str) -> str:
    """Return a numerator without the parentheses that the bar of the fraction replaces."""
    return factor.removeprefix(r"\left(").removesuffix(r"\right)") if factor.startswith(r"\left(") else factor


def _symbol(token: Token) -> str:
    if token.kind == "index":
        name, index = token.text.split("_", 1)
        return rf"\{'sum' if name == 'sum' else 'operatorname{mean}'}_{{{index}}}"
    if token.text in SYMBOLS:
        return SYMBOLS[token.text]
    if token.kind == "number":
        mantissa, _, exponent = token.text.partition("e")
        return rf"{mantissa} \cdot 10^{{{exponent}}}" if exponent else mantissa
    if token.kind == "letter":
        return _letter(token.text)
    if token.kind == "power":
        return {"^T": r"^{\top}", "^2": "^{2}"}[token.text]
    return token.text


def _letter(text: str) -> str:
    """Return TeX of a letter with its index, part and power: ``W+^T``, ``A_c``, ``W^2``."""
    match = re.fullmatch(r"(\w)(?:_(\w+))?([+-]?)((?:\^[T2])*)", text)
    if match is None:
        raise ValueError(f"cannot read {text!r}")
    letter, index, part, power = match.groups()
    letter = SYMBOLS.get(letter, r"\mathbf{1}" if letter == "1" else letter)
    upper = part + power.replace("^T", r"\top").replace("^2", "2")
    tex = letter + (f"_{{{index}}}" if index else "")
    return tex + (f"^{{{upper}}}" if upper else "")
