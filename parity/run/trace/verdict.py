"""What a trace says: the first layer at which both sides part, and what parts there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from parity.run.trace.table import Distance, Kind, Line

AGREES = "Every layer makes and hands on what it does in the reference."


def parting(
    lines: Sequence[Line], inbound: Mapping[str, Sequence[str]], limit: float, around: Distance | None, whole: str
) -> tuple[Kind | None, str | None, str]:
    """Return what parts, at which layer, and a text that says so.

    Parameters
    ----------
    lines
        Output to input.
    inbound
        What each layer reads.
    limit
        The relative L2 distance within which two sides agree.
    around
        The distance of the maps themselves; None where they were not compared.
    whole
        What is done around the layers in this method, such as "x_sign"; empty if nothing is.
    """
    network = _networks_part(lines, inbound, limit)
    relevance = _relevance_parts(lines, limit)
    texts = [text for text in (network and network[1], relevance and relevance[1]) if text]
    if network is not None:
        return "network", network[0], " ".join(texts)
    if relevance is not None:
        return "relevance", relevance[0], relevance[1]
    unknown = [line.name for line in lines if any(one.numbers.unknown for one in line.handed)]
    left_out = f" Not compared: what {_listed(unknown)} hand{'s' if len(unknown) == 1 else ''} on." if unknown else ""
    if around is not None and around.beyond(limit):
        what = f"what is done around the layers ({whole}) is not the same" if whole else (
            "the subject explains the whole model otherwise than the parts of it"
        )  # fmt: skip
        if not unknown or whole:
            return "around", None, f"{AGREES} The maps differ by {_told(around)}: {what}.{left_out}"
    return None, None, (AGREES if not unknown else f"No layer was found at which both sides part.{left_out}")


def _networks_part(lines: Sequence[Line], inbound: Mapping[str, Sequence[str]], limit: float) -> tuple[str, str] | None:
    """Return the first layer that makes something else of what it reads alike, input to output."""
    made = {line.name: line.made for line in lines}
    for line in reversed(lines):
        if line.made.beyond(limit) and not any(made[name].beyond(limit) for name in inbound[line.name] if name in made):
            reads = max((made[name].rel_l2 or 0.0 for name in inbound[line.name] if name in made), default=0.0)
            return line.name, (
                f"The networks part at {line.name} ({line.class_name}): what it reads agrees to {reads:.1e}, what it "
                f"makes differs by {_told(line.made)}. That is no rule's fault: the two models are not the same there."
            )
    return None


def _relevance_parts(lines: Sequence[Line], limit: float) -> tuple[str, str] | None:
    """Return the first layer that hands on something else of what arrives alike, output to input."""
    for line in lines:
        wrong = [one for one in line.handed if one.numbers.beyond(limit)]
        if not wrong or (line.arrived is not None and not line.arrived.within(limit)):
            continue
        if line.arrived is None:
            arrives = "relevance starts there"
        else:
            arrives = f"what arrives agrees to {line.arrived.rel_l2 or 0.0:.1e}"
        hands = ", ".join(f"{_told(one.numbers)} to {one.to}" for one in wrong)
        rules = f" Rule of the reference: {line.reference_rule}." if line.reference_rule else ""
        rules += f" Of the subject: {line.subject_rule}." if line.subject_rule else ""
        return line.name, (
            f"The relevance parts at {line.name} ({line.class_name}): {arrives}, what it hands on differs by "
            f"{hands}.{rules}"
        )
    return None


def _told(numbers: Distance) -> str:
    if numbers.rel_l2 is None:
        return f"no number ({numbers.problem})"
    slope = "" if numbers.slope is None or abs(numbers.slope - 1) < 1e-9 else f", slope {numbers.slope:.6g}"
    return f"{numbers.rel_l2:.1e} (relative L2{slope})"


def _listed(names: Sequence[str], most: int = 4) -> str:
    told = ", ".join(names[:most])
    return told if len(names) <= most else f"{told} and {len(names) - most} more"
