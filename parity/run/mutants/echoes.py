"""Subjects that repeat what a reference says where it is known to be wrong: agreeing with it there is no parity."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor, nn

from parity import keras
from parity.judge.known.table import BY_NAME
from parity.reference.client import ReferenceClient
from parity.reference.request import Dtype, ReferenceCall, ReferenceRequest
from parity.run.calls import cam_layer, innvestigate_call, noise_of, signxai_call
from parity.run.cases import DTYPES
from parity.run.mutants.beside import CASES
from parity.run.mutants.material import material
from parity.run.mutants.mutant import Map, Mutant, right
from parity.run.questions import question
from parity.run.subjects import Method, parse

Array = npt.NDArray[Any]
FAR = 1e-3
"""Relative L2 difference from the port's map from which on a reference is taken to be wrong: all that are known to be
are farther off than that."""


NEVER_ASKED = ("innvestigate-recurrence",)
"""Differences in which the reference gives no map, and its process answers nothing right after it was asked."""


class Echo:
    """A subject that returns given maps.

    Parameters
    ----------
    maps : mapping of str to numpy.ndarray
        By dtype, Keras layout without batch axis; another dtype gets the port's map.
    """

    def __init__(self, maps: Mapping[str, Array]) -> None:
        self.maps = dict(maps)

    def __call__(self, model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Map:
        """Return the map."""
        dtype = str(x.dtype).removeprefix("torch.")
        if dtype not in self.maps:
            return right(model, x, method, target, **parameters)
        values = self.maps[dtype][None]
        return np.ascontiguousarray(np.moveaxis(values, -1, 1) if values.ndim > 2 else values)


def echoes(client: ReferenceClient, folder: Path, models: Iterable[str] = ()) -> list[Mutant]:
    """Return a mutant per known difference, reference and method in which the reference gives a map that is wrong.

    Parameters
    ----------
    client : ReferenceClient
        Asks the references.
    folder : Path
        Where small networks are written.
    models : iterable of str
        Only these models; none for all.
    """
    on, made = set(models), []
    for difference, (model, methods) in CASES.items():
        if (on and model not in on) or difference in NEVER_ASKED:
            continue
        source, inputs = material(model, folder, 1)
        modules = {name: source.load(name) for name in DTYPES}
        x = inputs[0].array
        target = int(modules["float64"].logits(x[None]).argmax())
        for name in methods:
            method = parse(name)
            parameters = question(method, modules["float64"].description).parameters
            for backend in BY_NAME[difference].references:
                call = _plain_call(method, modules["float64"].description, parameters, backend)
                if call is None:
                    continue
                maps: dict[str, Array] = {}
                for dtype in DTYPES:
                    request = ReferenceRequest(source, (x,), (target,), call, cast(Dtype, dtype))
                    (answer,) = client.answer(request)
                    if answer.array is None:
                        continue
                    given = modules[dtype].to_torch(x[None].astype(dtype))
                    healthy = modules[dtype].to_keras(right(modules[dtype], given, name, [target], **parameters))[0]
                    if _is_far(answer.array, healthy):
                        maps[dtype] = answer.array
                if maps:
                    made.append(_mutant(difference, backend, model, name, maps))
    return made


def _mutant(difference: str, backend: str, model: str, method: str, maps: Mapping[str, Array]) -> Mutant:
    short = f"{difference.removeprefix(f'{backend}-')}_{method}".replace("-", "_").replace(".", "_")
    return Mutant(
        f"echo_of_{backend}_{short}",
        f"The map is {backend}'s own, which is known to be wrong there.",
        Echo(maps),
        _check(maps),
        (model,),
        (method,),
        "both" if len(maps) == len(DTYPES) else cast(Any, next(iter(maps))),
        beside=difference,
    )


def _check(maps: Mapping[str, Array]) -> str:
    """Return the check that must stop a map of a reference."""
    return "finite" if any(not np.isfinite(values).all() for values in maps.values()) else "any"


def _plain_call(
    method: Method, model: keras.ModelDescription, parameters: dict[str, Any], backend: str
) -> ReferenceCall | None:
    if backend == "signxai":
        return signxai_call(method, parameters, noise_of(method), cam_layer(method, model))
    return innvestigate_call(method, model, parameters, noise_of(method))


def _is_far(reference: Array, healthy: Array) -> bool:
    if reference.shape != healthy.shape or not np.isfinite(reference).all():
        return True
    return not float(np.linalg.norm(reference - healthy)) <= FAR * float(np.linalg.norm(healthy))
