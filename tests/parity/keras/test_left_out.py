"""Which bare operations are left out, and which only look like them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from parity.keras.calls import Call, Source
from parity.keras.functions.left_out import without_what_changes_nothing
from parity.keras.graph import Graph, Model, Node


def _operation(name: str, function: str, *reads: str, **told: object) -> Node:
    call = Call(tuple(Source(read, 0, 0) for read in reads), told)
    return Node(name, name, "TFOpLambda", {"name": name, "function": function}, reads, call)


def _graph(output: str, *nodes: Node) -> Graph:
    start = Node("x", "x", "InputLayer", {"name": "x"}, ())
    return Graph("m", (start, *nodes), output, (("x", (4,)),), Model("m", "Functional", ()))


MEAN = _operation("mean", "math.reduce_mean", "x", axis=[1])
STOPPED = _operation("stopped", "stop_gradient", "mean")
SQUARES = _operation("squares", "math.squared_difference", "x", "stopped")
VARIANCE = _operation("variance", "math.reduce_mean", "squares", axis=[1])


def _is_left_out(node: Node, graph: Graph) -> bool:
    return without_what_changes_nothing(node, graph).config["function"] == "identity"


def test_the_mean_of_moments_needs_no_stop() -> None:
    assert _is_left_out(STOPPED, _graph("variance", MEAN, STOPPED, SQUARES, VARIANCE))


@pytest.mark.parametrize(
    ("output", "nodes"),
    [
        ("squares", (MEAN, STOPPED, SQUARES)),  # read by nothing but the end
        ("squares", (MEAN, STOPPED, SQUARES, VARIANCE)),
        ("stopped", (MEAN, STOPPED)),
        ("variance", (MEAN, STOPPED, SQUARES, replace(VARIANCE, call=Call(VARIANCE.call.arguments, {"axis": [2]})))),
        ("variance", (MEAN, STOPPED, SQUARES, _operation("variance", "math.reduce_max", "squares", axis=[1]))),
        ("variance", (_operation("mean", "math.reduce_max", "x", axis=[1]), STOPPED, SQUARES, VARIANCE)),
        ("sum", (MEAN, STOPPED, SQUARES, VARIANCE, _operation("sum", "math.add", "variance", "stopped"))),
    ],
)
def test_any_other_stop_stays(output: str, nodes: tuple[Node, ...]) -> None:
    assert not _is_left_out(STOPPED, _graph(output, *nodes))


@pytest.mark.parametrize(
    ("kind", "output", "expected"),
    [("Embedding", "read", True), ("Dense", "read", False), ("Embedding", "cast", False)],
)
def test_tokens_are_whole_already_where_only_tables_read_them(kind: str, output: str, expected: bool) -> None:
    cast = _operation("cast", "cast", "x", dtype="int32")
    reader = Node("read", "read", kind, {"name": "read"}, ("cast",))
    assert _is_left_out(cast, _graph(output, cast, reader)) is expected
