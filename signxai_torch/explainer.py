"""One model, explained many times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from signxai_torch.lrp.targets import Target
from signxai_torch.methods.grammar import parse
from signxai_torch.operations.checks import check_batch
from signxai_torch.operations.counting import BUDGET
from signxai_torch.operations.inputs import Several
from signxai_torch.operations.layout import Place, check_place, handed_over
from signxai_torch.operations.model import Output, refuse_inside_of_another, undisturbed
from signxai_torch.operations.prepared import Preparation, PreparedModel
from signxai_torch.stream.files import Files
from signxai_torch.stream.source import Rows, batches
from signxai_torch.stream.writing import Progress, Work, Workers, checked_target, fingerprint, target_of, write
from signxai_torch.sweep.parameters import parameters_of
from signxai_torch.sweep.plan import Plan, Wanted

LARGEST_BATCH = 256
"""Samples of a batch at most, where nobody says; more gain nothing."""


class Explainer:
    """Explains one model many times, and finds out once what is the same every time.

    The maps are those of `explain` and `explain_many`. What is left out is what they do anew at every call: reading
    the methods' names, copying the model's structure, running its Python code and finding the rules of its operations.
    From the second batch of one shape on, the functions that the model was seen to compute are called directly; that
    other inputs give the model's own logits, bit by bit, is tried before. A model whose code may choose by values,
    draws noise, cuts the gradient, changes itself, catches errors or leaves what torch tells of (TorchScript,
    extensions) runs as before, and so do models of several inputs, models under torch's modes such as a default device,
    and those that lead to more objects than can be kept track of.

    Everything may change in between: weights (by any optimizer, and through ``parameter.data``), modules, hooks,
    classes, attributes of objects that a module holds, and variables that functions read. It is noticed, and all is
    found out again. What cannot be noticed is said with `refresh`: changes inside of objects of extension modules, and
    whatever else code may read, such as files, the time and the settings of libraries.

    Threads may share it. Copied or pickled it takes the model along, and finds out anew.

    Parameters
    ----------
    model : torch.nn.Module
        The model, as for `explain`; it is only read.
    methods : str or sequence of str
        One method's name, or several.
    output : callable, optional
        Makes logits of what the model returns, as for `explain`.
    strict : bool
        Refuse what neither reference has a rule for.
    memory_limit : int, optional
        Bytes that may be taken besides the weights, as for `explain_many`.
    to : {"numpy", "torch"}
        Where maps are wanted: as arrays, or as tensors on the device of the input. Files that `write` makes are the
        same either way.
    **params
        Parameters of the method, as for `explain`; of several methods, `seed` alone.

    Raises
    ------
    UnknownMethodError
        If there is no such method; the nearest names are given.
    TypeError, ValueError
        If the model or a parameter is not usable; the message says which and why.

    Examples
    --------
    >>> import torch, signxai_torch
    >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
    >>> explainer = signxai_torch.Explainer(model, "lrp_epsilon_0_1")
    >>> [explainer(torch.full((2, 4), value), target=0).shape for value in (0.5, 1.0, 2.0)]
    [(2, 4), (2, 4), (2, 4)]
    >>> sorted(signxai_torch.Explainer(model, ["lrp_z", "gradient"])(torch.ones(1, 4)))
    ['gradient', 'lrp_z']
    """

    def __init__(
        self,
        model: nn.Module,
        methods: str | Sequence[str],
        *,
        output: Output | None = None,
        strict: bool = False,
        memory_limit: int | None = None,
        to: Place = "numpy",
        **params: Any,
    ) -> None:
        check_place(to)
        self._alone = methods if isinstance(methods, str) else None
        if self._alone is None and params.keys() - {"seed"}:
            raise TypeError(
                f"{', '.join(sorted(params.keys() - {'seed'}))}: of several methods none takes a parameter by itself; "
                "put it into the name (lrp_epsilon_0_5), or make an Explainer of one method"
            )
        parsed = [parse(name) for name in dict.fromkeys([methods] if isinstance(methods, str) else methods)]
        own_parameters = params if self._alone is not None else {}
        self._plan = Plan([Wanted(method, parameters_of(method, own_parameters)) for method in parsed], strict)
        self._plan.seed = params.get("seed")
        self._arguments = {
            "methods": methods,
            "output": output,
            "strict": strict,
            "memory_limit": memory_limit,
            "to": to,
        } | params
        self._described = repr((list(self._plan.methods), sorted(params.items(), key=str), strict))
        self._model, self._output, self._memory_limit, self._to = model, output, memory_limit, to
        self._preparation: Preparation | None = Preparation(model, output)

    def __call__(self, x: Tensor | Several, target: Target = None) -> Any:
        """Explain a batch.

        Parameters
        ----------
        x : torch.Tensor, or tuple, list or dict of str to torch.Tensor
            Inputs in torch layout, batch first, as for `explain`.
        target : None, int, tuple of int, callable or one per sample
            The explained class, as for `explain`.

        Returns
        -------
        numpy.ndarray or torch.Tensor, or dict of str to such
            The map, or one per method name. Maps of several inputs are held as the inputs are.

        Raises
        ------
        UnhookedOperationError, TypeError, ValueError
            As `explain`.
        """
        return self._maps(x, target, self._to)

    def _maps(self, x: Tensor | Several, target: Target, to: Place) -> Any:
        refuse_inside_of_another()
        preparation = self._preparation
        if preparation is None or not preparation.standing.still():
            preparation = self._preparation = Preparation(self._model, self._output)
        batch, inputs = check_batch(x, preparation.takes_tokens)
        with undisturbed(self._model, batch):
            try:
                maps = self._plan.run(PreparedModel(preparation, inputs), batch, target, self._memory_limit)
            except BaseException:
                self.refresh()  # what was being worked with is in an unknown state
                raise
            if self._alone is not None:
                return handed_over([maps[self._alone]], inputs, to)[0]
            return dict(zip(maps, handed_over(maps.values(), inputs, to), strict=True))

    def map(self, inputs: Any, target: Any = None, *, batch_size: int | str = "auto") -> Iterator[Any]:
        """Explain a set of inputs, batch after batch.

        Parameters
        ----------
        inputs : torch.Tensor, numpy.ndarray, dataset or iterable
            (N, ...) in torch layout, which may be mapped from a file; a `torch.utils.data.Dataset`; or an iterable of
            batches, such as a `torch.utils.data.DataLoader`. Of a sample or batch that is a tuple or list the first
            entry counts; what follows are labels.
        target : None, int, callable or one per sample
            As for a call. A list, array or tensor has one per sample of all.
        batch_size : int or "auto"
            Samples of a batch, where `inputs` brings no batches of its own; "auto" takes as many as fit into 128 MB of
            activations, up to 256.

        Yields
        ------
        numpy.ndarray or torch.Tensor, or dict of str to such
            What a call returns for each batch.

        Examples
        --------
        >>> import numpy as np, torch, signxai_torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> explainer = signxai_torch.Explainer(model, "lrp_z")
        >>> [maps.shape for maps in explainer.map(np.ones((5, 4), np.float32), target=0, batch_size=2)]
        [(2, 4), (2, 4), (1, 4)]
        """
        first = 0
        for batch in batches(inputs, self._size(inputs, batch_size)):
            last = first + (len(batch) if isinstance(batch, Tensor) else len(next(iter(batch.values()))))
            yield self(batch, target_of(target, first, last))
            first = last

    def write(
        self,
        inputs: Any,
        path: str | Path,
        target: Any = None,
        *,
        batch_size: int | str = "auto",
        workers: Workers = 0,
        progress: Progress | None = None,
        anew: bool = False,
    ) -> Path:
        """Explain a set of inputs of any size into a file; what is stopped goes on where it was.

        Memory holds a few batches. Until all is done the maps lie in ``NAME-unfinished``, and a journal of the finished
        batches in ``NAME.progress``: the same call goes on there after Ctrl-C, `kill -9` or an error, if model,
        methods, target and inputs are the same (of the inputs three samples are compared).

        Parameters
        ----------
        inputs : torch.Tensor, numpy.ndarray or dataset
            As for `map`, but for iterables: what is explained must be asked for by number.
        path : str or Path
            ``maps.npy`` for one method, ``maps.h5`` with a data set per method (needs h5py), ``maps.zarr`` with an
            array per method (needs zarr), or ``maps``, a folder with an .npy per method.
        target : None, int, callable or one per sample
            As for `map`.
        batch_size : int or "auto"
            As for `map`.
        workers : int or distributed.Client
            Processes that explain side by side, each with its share of torch's threads; 0 is this process. Small models
            gain from one per core. The client of a dask cluster, whose workers see `path` as this process does, for
            more than one machine; the path is a .zarr then. Model, dataset and target are pickled.
        progress : callable, optional
            Is told after each batch how many samples are done, and how many there are.
        anew : bool
            Take nothing over from an earlier run, and replace what is there.

        Returns
        -------
        Path
            The path.

        Raises
        ------
        FileExistsError
            If the path is there already, or was begun with another model, method, target or other inputs.
        ValueError, TypeError, OSError
            If the path has another ending, the inputs are of no use, or it cannot be written.

        Examples
        --------
        >>> import pathlib, tempfile, numpy as np, torch, signxai_torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        >>> explainer = signxai_torch.Explainer(model, "lrp_z")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = explainer.write(np.ones((5, 4), np.float32), pathlib.Path(folder) / "maps.npy", target=0)
        ...     np.load(path).shape
        (5, 4)
        """
        rows, files = Rows(inputs), Files(Path(path), self._plan.methods)
        work = Work(self._by_name, rows, checked_target(target, len(rows)), files)
        identity = {
            "model": fingerprint(self._model),
            "methods": self._described,
            "target": getattr(target, "__qualname__", None) or repr(work.target),
            "inputs": rows.fingerprint(),
        }
        return write(work, self._size(inputs, batch_size), identity, workers, progress, anew)

    def _by_name(self, x: Tensor, target: Any) -> dict[str, Any]:
        maps = self._maps(x, target, "numpy")
        return maps if self._alone is None else {self._alone: maps}

    def _size(self, inputs: Any, batch_size: int | str) -> int:
        """Return how many samples make a batch."""
        if batch_size != "auto":
            if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
                raise ValueError(f"batch_size must be 'auto' or a whole number of at least 1, not {batch_size!r}")
            return batch_size
        if isinstance(inputs, torch.utils.data.DataLoader) or not hasattr(inputs, "__getitem__"):
            return 1  # it has batches of its own
        bytes_of_a_sample = self._plan.memory(self._model, Rows(inputs).batch(0, 1))
        return max(1, min(BUDGET // max(bytes_of_a_sample, 1), LARGEST_BATCH))

    def __reduce__(self) -> tuple[Any, ...]:
        return _from_pickle, (self._model, self._arguments)

    def refresh(self) -> None:
        """Let the next call find out everything about the model anew."""
        self._preparation = None


def _from_pickle(model: nn.Module, arguments: dict[str, Any]) -> Explainer:
    return Explainer(model, **arguments)
