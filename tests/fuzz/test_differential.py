"""Random networks, both sides, in float64: what differs is at fault, or named.

25 networks, always the same, unless FUZZ_EXAMPLES asks for more, which are then new ones each time
(`make fuzz N=500`). A failure prints its case; kept under `regressions/`, it is run always.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from parity.reference.client import ReferenceClient
from tests.fuzz.architectures import cases
from tests.fuzz.builder import Case
from tests.fuzz.checking import describe, problems
from tests.reference_client import client_for_small_models

ASKED = os.environ.get("FUZZ_EXAMPLES")
REGRESSIONS = sorted(Path(__file__).with_name("regressions").glob("*.json"))

pytestmark = [pytest.mark.reference, pytest.mark.slow]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReferenceClient]:
    with client_for_small_models(tmp_path_factory.mktemp("store")) as client:
        yield client


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.fixture(scope="module")
def told() -> list[str]:
    return []


def check(case: Case, client: ReferenceClient, folder: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of input rules that no layer uses, as in the references
        findings = problems(case, client, folder)
    if findings:
        raise AssertionError(describe(case, findings))


@settings(
    max_examples=int(ASKED or 25),
    derandomize=ASKED is None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    report_multiple_bugs=False,
)
@given(case=cases())
def test_random_networks(
    client: ReferenceClient, folder: Path, capsys: pytest.CaptureFixture[str], told: list[str], case: Case
) -> None:
    try:
        check(case, client, folder)
    except AssertionError as finding:
        if not told:  # at once: hypothesis goes on for minutes to make the case smaller
            told.append(str(finding))
            with capsys.disabled():
                sys.stdout.write(f"\nfound, and now being made smaller:\n{finding}\n")
                sys.stdout.flush()
        raise


@pytest.mark.parametrize("path", REGRESSIONS, ids=[path.stem for path in REGRESSIONS])
def test_regression(client: ReferenceClient, folder: Path, path: Path) -> None:
    check(json.loads(path.read_text(encoding="utf-8")), client, folder)
