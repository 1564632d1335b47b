"""The name tables of the pages for people who come from another package, from the table and the published forms."""

from __future__ import annotations

from docs.extensions.markdown import code, table
from signxai_torch.methods.grammar import listed, parse, wrappers
from signxai_torch.methods.table import BASE_ROWS, PREFIXES, RULE_ROWS
from signxai_torch.published.options import SPELLINGS
from signxai_torch.published.signxai2 import METHOD_PRESETS, SYNONYMS


def fragments() -> dict[str, str]:
    """Return each table's Markdown by the name of its file."""
    return {"signxai": _signxai(), "signxai2": _signxai2(), "innvestigate": _innvestigate(), "options": _options()}


def _signxai() -> str:
    """Return how many wrappers each family and prefix of SIGN-XAI has: their names are ours."""
    rows = []
    for prefix in PREFIXES:
        names = [name for name in listed() if name in wrappers() and name.startswith(f"{prefix}_")]
        rows.append([f"`{prefix}_*`", str(len(names)), code(names[:3]) + ", ..."])
    others = [name for name in listed() if name in wrappers() and parse(name).prefix is None]
    rows.append(["all others", str(len(others)), code(others[:3]) + ", ..."])
    head = ["wrapper functions of SIGN-XAI", "how many", "such as"]
    return f"All {len(wrappers())} of them have the same name here.\n\n{table(head, rows)}"


def _signxai2() -> str:
    rows = [[f"`{theirs}`", f"`{ours}`"] for theirs, ours in sorted(SYNONYMS.items())]
    presets = [[f"`{name}`", code(f"{key}={value}" for key, value in asked.items()) or "none"]
               for name, asked in METHOD_PRESETS.items()]  # fmt: skip
    return (
        table(["signxai2", "here (the form `signxai_torch.signxai2` takes both)"], rows)
        + "\nSettings of `explain_with_preset`:\n\n"
        + table(["method", "signxai2's default preset"], presets)
    )


def _innvestigate() -> str:
    """Return our name of each analyzer of iNNvestigate, with its defaults."""
    names: dict[str, str] = {}
    for row in BASE_ROWS:
        if row.innvestigate:
            names[row.innvestigate] = row.template
    for row in (row for row in RULE_ROWS if row.innvestigate):
        for dotted in (f"lrp.{rule}" for rule in row.dotted.split()):
            analyzer = row.innvestigate if "sequential" in row.template else dotted
            names[analyzer] = dotted if dotted == analyzer else names.get(analyzer, dotted)
    rows = [
        [
            f"`{analyzer}`",
            f"`{name}`",
            code(f"{key}={value}" for key, value in parse(name).parameters.items()) or "none",
        ]
        for analyzer, name in sorted(names.items())
    ]
    return table(["`create_analyzer(...)`", "here", "parameters and defaults"], rows)


def _options() -> str:
    rows = [[f"`{theirs}`", f"`{ours}`"] for theirs, ours in SPELLINGS.items()]
    return table(["their name", "the table's name"], rows)
