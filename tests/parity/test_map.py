"""Every method on a shipped model, both sides, both lanes: one test per map.

Ids look like `test_map[vgg_mnist-lrp_flat]`, so `pytest -k lrp_flat` runs every method with that in its name and
`pytest --parity-method lrp_flat` that one alone; `-m "parity_family(name='lrp')"` and
`-m "parity_model(name='vgg_mnist')"` select by marker. With `--parity-report=DIR` the cases become the report that
`parity run` writes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parity.assets.inputs import default_inputs
from parity.assets.models import resolve
from parity.judge.verdict import is_ok
from parity.reference.client import ReferenceClient
from parity.reference.environment import ReferenceEnvironmentError, find_python
from parity.run.cases import Plan
from parity.run.outcome import Outcome
from parity.run.reproduce import TESTED, methods_with_a_test
from parity.run.runner import Runner
from parity.run.subjects import list_methods, parse, subject
from tests.parity.test_pinned import PINNED as PINNED_FILE

PINNED = json.loads(PINNED_FILE.read_text(encoding="utf-8"))
CASES = [(model, name) for model in TESTED for name in methods_with_a_test(model)]


def _runner(model: str, client: ReferenceClient, methods: tuple[str, ...]) -> Runner:
    source = resolve(model)
    lanes = frozenset(methods)
    return Runner(
        Plan(source, tuple(default_inputs(source)[:1]), methods, lanes, lanes), client, subject("signxai_torch")
    )


@pytest.fixture(scope="session")
def client() -> Iterator[ReferenceClient]:
    try:
        find_python()
    except ReferenceEnvironmentError as error:
        pytest.skip(f"no reference environment: {error}")
    with ReferenceClient(keep_both=True) as one:
        yield one


@pytest.fixture(scope="session")
def runner(client: ReferenceClient) -> Callable[[str], Runner]:
    made: dict[str, Runner] = {}

    def get(model: str) -> Runner:
        if model not in made:
            made[model] = _runner(model, client, tuple(list_methods()))
        return made[model]

    return get


def _case(model: str, method: str):
    marks = (
        pytest.mark.parity_model(name=model),
        pytest.mark.parity_method(name=method),
        pytest.mark.parity_family(name=parse(method).family),
    )
    return pytest.param(model, method, id=f"{model}-{method}", marks=marks)


@pytest.mark.reference
@pytest.mark.parametrize(("model", "method"), [_case(model, method) for model, method in CASES])
def test_map(
    model: str,
    method: str,
    runner: Callable[[str], Runner],
    parity_record: Callable[[Runner, list[Outcome]], None],
) -> None:
    outcomes = list(runner(model).run_method(method))
    parity_record(runner(model), outcomes)
    rows = [outcome.row for outcome in outcomes]
    assert rows
    if all(row["status"] == "unsupported" for row in rows):
        assert method in PINNED[model]["unsupported"], "what is not judged on a shipped model is pinned"
        pytest.skip(rows[0]["message"])
    for row in rows:
        if is_ok(row["status"], row["divergence"]):
            continue
        pytest.fail(
            f"{row['status']}: {row['method']} on {row['model']}, {row['input']}, {row['dtype']}, held to "
            f"{row['reference']}\n{row['message']}\nlimits: {row['limits']}\nreproduce: {row['reproduce']}",
            pytrace=False,
        )


def test_shipped_weights_are_where_the_models_look() -> None:
    for model in {model for model, _ in CASES}:
        assert Path(resolve(model).path).is_file()
