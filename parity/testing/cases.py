"""Parity cases in a project of one's own: a function is held to the TensorFlow originals, in a line or in a decorator.

Nothing heavy is imported here: pytest loads the package in every project of the environment.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from parity.run.outcome import Outcome
    from parity.run.runner import Runner

Function = Callable[..., Any]
"""``f(model, x, method, target, **parameters)`` returns a map in the shape of `x`, see `judge`."""
Lane = Literal["both", "float32", "float64"]


@dataclass(frozen=True)
class Judgement:
    """What came of a function's maps.

    Attributes
    ----------
    rows : tuple of mapping
        One per method, input and dtype, as in `parity.json`.
    """

    rows: tuple[Mapping[str, Any], ...]

    @property
    def ok(self) -> bool:
        """Whether at least one map was compared, and all that were are equal to the reference's."""
        from parity.judge.verdict import run_is_green

        return run_is_green(self.rows)

    def text(self) -> str:
        """Return a line per map: its verdict, and why."""
        lines = []
        for row in self.rows:
            where = f"{row['method']} on {row['model']}, input {row['input']}, {row['dtype']}"
            lines.append(f"{row['status']}: {where}" + (f": {row['message']}" if row["message"] else ""))
        return "\n".join(lines) or "nothing was compared"

    def _repr_html_(self) -> str:
        """Return a table for a notebook."""
        from parity.judge.notebook import rows_html

        return rows_html(self.rows)


def judge(
    function: Function,
    *,
    model: str = "vgg_mnist",
    method: str | Sequence[str] = "lrp_z",
    inputs: Sequence[str | Path] = (),
    samples: int = 1,
    target: int | None = None,
    dtype: Lane = "both",
    store: str | Path | None = None,
    offline: bool | None = None,
    packs: Sequence[str | Path] = (),
    record: Callable[[Runner, list[Outcome]], None] = lambda _runner, _outcomes: None,
) -> Judgement:
    """Hold a function to the TensorFlow reference of a method.

    Parameters
    ----------
    function : callable
        Called as ``function(model, x, method, target, **parameters)``: `model` is the converted ``torch.nn.Module``,
        which returns logits; `x` a tensor in torch layout, batch first, float32 or float64; `method` the name;
        `target` one class per sample; `parameters` what the case sets, such as a seed. It returns an array or a tensor
        in the shape of `x`. ``NotImplementedError`` says that there is no such method.
    model : str
        A shipped model (`parity models`), or the path of a Keras file.
    method : str or sequence of str
        Names or globs of methods (`parity methods`); "core" is one per rule.
    inputs : sequence of path
        Arrays or images; the shipped ones of the model if none is given.
    samples : int
        How many inputs.
    target : int, optional
        The class that is explained; by default the likeliest of each input.
    dtype : {"both", "float32", "float64"}
        The lanes.
    store : path, optional
        Where answers of the reference are kept; see `parity run --store`.
    offline : bool, optional
        Start no TensorFlow: packed and stored references alone. By default so where there is no reference environment.
    packs : sequence of path
        Files of `parity reference pack` besides the shipped one.
    record : callable
        Takes what was run and what came of it; the plugin's fixture `parity_record` puts it into the report.

    Returns
    -------
    Judgement
        What came of each method, input and dtype.

    Raises
    ------
    parity.errors.ParityError
        If there is no such model, method or input.

    Examples
    --------
    >>> def mine(model, x, method, target, **parameters):
    ...     return signxai_torch.explain(model, x, method, target=target)
    >>> judge(mine, model="dense_mnist", method="lrp_z", offline=True).ok  # doctest: +SKIP
    True
    """
    from parity.run.cases import select_methods
    from parity.run.subjects import FunctionSubject

    files = tuple(str(path) for path in inputs)
    alone = _no_environment() if offline is None else offline
    client = (None if store is None else str(store), alone, tuple(str(path) for path in packs))
    runner = _runner(model, files, samples, target, client)
    methods = select_methods([method] if isinstance(method, str) else list(method))
    subject = FunctionSubject(function, getattr(function, "__name__", "the function"))
    of_function = runner.next(_plan(runner, methods, dtype), subject)
    outcomes = list(of_function.run())
    record(of_function, outcomes)
    return Judgement(tuple(outcome.row for outcome in outcomes))


def parity_case(*, model: str = "vgg_mnist", method: str | Sequence[str] = "lrp_z", **options: Any) -> Any:
    """Make a pytest test of a function: it passes if its maps are the reference's.

    Parameters
    ----------
    model : str
        A shipped model, or the path of a Keras file, as in `judge`.
    method : str or sequence of str
        As in `judge`; several methods, or a glob, make a test each.
    **options
        Further arguments of `judge`.

    Returns
    -------
    callable
        A decorator that makes pytest tests of a function.

    Examples
    --------
    >>> @parity_case(model="dense_mnist", method=["lrp_z", "lrp_epsilon_0_1"])
    ... def test_my_lrp(model, x, method, target, **parameters):
    ...     return my_library.attribute(model, x, target, rule=method)  # doctest: +SKIP
    """

    def decorate(function: Function) -> Any:
        import pytest

        from parity.run.cases import select_methods
        from parity.run.subjects import parse

        names = select_methods([method] if isinstance(method, str) else list(method))
        cases = [
            pytest.param(
                name, id=name,
                marks=[pytest.mark.parity_method(name=name), pytest.mark.parity_family(name=parse(name).family)],
            )
            for name in names
        ]  # fmt: skip

        def test(parity_method: str, parity_record: Callable[[Runner, list[Outcome]], None]) -> None:
            judgement = judge(function, model=model, method=parity_method, record=parity_record, **options)
            if not judgement.ok:
                pytest.fail(judgement.text(), pytrace=False)

        functools.update_wrapper(test, function)
        del test.__wrapped__  # type: ignore[attr-defined]  # pytest would take its arguments for fixtures
        marked = pytest.mark.parametrize("parity_method", cases)(test)
        return pytest.mark.parity_model(name=model)(marked)

    return decorate


def _no_environment() -> bool:
    from parity.reference.environment import ReferenceEnvironmentError, find_python

    try:
        find_python()
    except ReferenceEnvironmentError:
        return True
    return False


Options = tuple[str | None, bool, tuple[str, ...]]


@functools.lru_cache(maxsize=4)
def _runner(model: str, files: tuple[str, ...], samples: int, target: int | None, options: Options) -> Runner:
    """Return what has loaded a model and asked for its logits; kept, so that further tests do not load it again."""
    from parity.assets.inputs import default_inputs, stream_inputs
    from parity.assets.models import resolve
    from parity.errors import ParityError
    from parity.run.cases import Plan
    from parity.run.runner import Runner
    from parity.run.subjects import subject

    source = resolve(model)
    if files:
        description = source.load().description
        read = stream_inputs(list(files), description.input_shape, source.preprocessing, description.inputs)
    else:
        read = iter(default_inputs(source))
    chosen = tuple(one for _, one in zip(range(samples), read, strict=False))
    if not chosen:
        raise ParityError(f"no inputs go with {model}: name arrays or images with inputs=")
    plan = Plan(source, chosen, (), frozenset(), frozenset())
    return Runner(plan, _client(options), subject("signxai_torch"), target=target)


@functools.lru_cache(maxsize=4)
def _client(options: Options) -> Any:
    from parity.reference.client import ReferenceClient

    store, offline, packs = options
    client = ReferenceClient(store=store, offline=offline, packs=[Path(path) for path in packs])
    atexit.register(client.close, grace=0.0)
    return client


def _plan(runner: Runner, methods: tuple[str, ...], dtype: Lane) -> Any:
    from dataclasses import replace

    lanes = {lane: frozenset(methods) if dtype in ("both", lane) else frozenset() for lane in ("float64", "float32")}
    return replace(runner.plan, methods=methods, float64=lanes["float64"], float32=lanes["float32"])
