"""Recording a forward pass: each operation that depends on the input, with what its rule needs.

Every function that a model calls arrives at `Recorder.__torch_function__`. One that reads nothing that depends on the
input is left alone; this is how a weight becomes the *effective* weight, whatever the model makes it from. Any other
runs on detached tensors and is noted as an `Operation`. Tensors carry a mark of ours, so that one which depends on the
input but was made out of sight (by TorchScript, an `autograd.Function`, an extension in C++) is noticed: it needs a
gradient, but has no mark.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from signxai_torch.operations.declared import declared_function
from signxai_torch.operations.in_place import asked_in_place, out_of_place, works_in_place
from signxai_torch.operations.inputs import Inputs
from signxai_torch.operations.kind import BY_NAME, FUNCTIONS, PARTS, ROWS, UNKNOWN, Function, Kind
from signxai_torch.operations.kind_here import kind_of
from signxai_torch.operations.opened import OPENED, opened
from signxai_torch.operations.operation import Memory, Operation, Place, Value, filled, memory_format, tensors_of
from signxai_torch.operations.passive import COMPARISONS, CUTS, LEAVES_TORCH, PASSIVE, READS_VALUES
from signxai_torch.operations.refusal import Obstacle, users_line
from signxai_torch.operations.watch import _DROPOUTS, _LOOKED_AT, IN_ORDER, READS_MEMORY, Watch, autocast_is_on

Keep = Callable[[Operation], tuple[bool, bool]]
"""Says of an operation whether rules need its inputs, and its result."""
_TOLD_WHERE = (Kind.PRODUCT, Kind.QUOTIENT, Kind.NORMALIZE, Kind.SOFTMAX, Kind.ATTENTION, Kind.UNKNOWN,
               Kind.PRODUCT_OF_MATRICES)  # fmt: skip
_JOINS = ("cat", "concat", "concatenate", "stack", "hstack", "vstack", "where")
_DROPPED = BY_NAME["dropout"]
_number = itertools.count()


@dataclass
class _Call:
    """A module whose forward is running."""

    path: str
    type_name: str
    unit: int | None  # None: it has children, whose operations count for themselves


class Recorder(Watch):
    """Records what a forward pass computes.

    Parameters
    ----------
    x : torch.Tensor
        The input.
    keep : callable
        Says what rules need of each operation.
    modules : collection of str
        Paths of modules whose results are wanted.
    opened : collection of Kind
        Modules that declare themselves to be of these kinds are looked into all the same.
    inputs : Inputs, optional
        What the input is made of, if the model takes several.

    Attributes
    ----------
    input : Value
        The input.
    parts : tuple of Value
        The model's inputs: the input itself, or what it is cut into.
    operations : list of Operation
        In the order in which they ran.
    obstacles : list of Obstacle
        What keeps every rule from following the model.
    cuts : list of str
        Where the model cuts the gradient.
    results : dict of str to list of Value
        What the wanted modules returned, call by call.
    fixed : str
        What ties the recording to this input: on another one the model may compute something else. Empty if nothing
        in sight does.
    weights : list of torch.Tensor
        The parameters that something was computed of which does not depend on the input.
    derived : dict
        What others have made of the recording and want to find again.
    """

    def __init__(
        self,
        x: Tensor,
        keep: Keep,
        modules: Collection[str] = (),
        opened: Collection[Kind] = (),
        inputs: Inputs | None = None,
    ) -> None:
        inputs = inputs or Inputs()
        self.input = Value(None, sees_input=True)
        self.input.keep(x.detach())
        self._tokens = not x.is_floating_point()
        number = next(_number)  # marks of other recordings mean nothing here
        self._mark, self._mask = f"_signxai_value_{number}", f"_signxai_mask_{number}"
        super().__init__([x.detach()] if inputs.alone else inputs.points(x.detach()), inputs)
        self._units = itertools.count()
        self.operations: list[Operation] = []
        self.parts = (self.input,) if inputs.alone else self._cut_into_parts(x.shape)
        for point, value in zip(self.points, self.parts, strict=True):
            setattr(point.requires_grad_(not self._tokens), self._mark, value)
        self.obstacles: list[Obstacle] = []
        self.cuts: list[str] = []
        self.results: dict[str, list[Value | None]] = {path: [] for path in modules}
        self.fixed = "" if inputs.alone and not self._tokens else "several inputs, or tokens"
        self.weights: list[Tensor] = []
        self.derived: dict[Any, Any] = {}
        self._keep, self._opened = keep, opened
        self._calls: list[_Call] = []
        self._active = False

    def _cut_into_parts(self, shape: torch.Size) -> tuple[Value, ...]:
        """Note the cut of the input into the model's inputs, behind which an operation still sees the input."""
        cut = Operation(
            PARTS, PARTS.kind, self.inputs.points, (None,), {}, (0,), (self.input,), (shape,),
            shape=self.points[0].shape, unit=next(self._units),
        )  # fmt: skip
        cut.results = tuple(Value(cut, index, sees_input=True) for index in range(len(self.points)))
        self.operations.append(cut)
        return cut.results

    def rows(self, logits: Tensor) -> Tensor:
        """See `Watch.rows`."""
        self.paused = True
        try:
            live = self._live((logits,), {})
            if not live or live[0].value.cut:
                return super().rows(logits)
            made: Tensor = self._operate(ROWS, torch.flatten, (logits, 1), {}, live, None)
            return made
        finally:
            self.paused = False

    def run(self, model: Callable[..., Tensor]) -> Tensor:
        """Run a stand-in for a model that `wrap` has wrapped, on its inputs; return its logits."""
        self._active = True
        try:
            with self, torch.enable_grad():
                return model(*self.points)
        finally:
            self.over = True
            self._active = False
            self._calls.clear()

    def forget(self) -> None:
        """Let go of all tensors, now and not when Python next looks for circles."""
        for operation in self.operations:
            for result in operation.results:
                result.kept = None
            operation.sources = operation.results = ()
        self.operations.clear()

    def value_of(self, tensor: Any) -> Value | None:
        """Return what is known of a tensor; None if it does not depend on the input."""
        if not isinstance(tensor, Tensor):
            return None
        value: Value | None = getattr(tensor, self._mark, None)
        if (value is None or value.cut) and tensor.requires_grad and tensor.grad_fn is not None:
            # An autograd.Function computes without gradients, and gives its result one afterwards.
            return self._adopted(tensor) or value
        return value

    def wrap(self, module: nn.Module, path: str, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Return a forward that tells whose operations run; see `signxai_torch.operations.replica.replicate`."""
        declared, leaf, type_name = declared_function(module), not module._modules, type(module).__name__
        if declared is not None and declared.kind in self._opened and not declared.of_each_value:
            declared = None
        identity = isinstance(module, nn.Identity)
        wanted = self.results.get(path)

        def run(*args: Any, **keywords: Any) -> Any:
            if not self._active:
                return forward(*args, **keywords)
            self._calls.append(_Call(path, type_name, next(self._units) if leaf or declared is not None else None))
            try:
                if declared is None:
                    made = forward(*args, **keywords)
                    if identity and len(args) == 1 and made is args[0]:
                        made = self._passed_on(made)
                else:
                    made = self._declared(declared, module, forward, args, keywords)
            finally:
                self._calls.pop()
            if wanted is not None:
                wanted.append(self.value_of(made))
            return made

        return run

    def _declared(
        self, row: Function, module: nn.Module, forward: Callable[..., Any], args: Any, keywords: dict[str, Any]
    ) -> Any:
        self._active, self.paused = False, True
        try:
            live = self._live(args, keywords)
            if not live:
                self.weights += module.parameters()
                return forward(*args, **keywords)
            return self._operate(row, forward, args, keywords, live, module)
        finally:
            self._active, self.paused = True, False

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """See `torch.overrides.TorchFunctionMode`."""
        keywords = kwargs or {}
        if self.over or self.paused:
            return function(*args, **keywords)
        if function in PASSIVE:
            made = function(*args, **keywords)
            if function in READS_VALUES:
                self.fixed = f"{function.__name__}()"
            if function in COMPARISONS and self._live(args, keywords):
                setattr(made, self._mask, True)
            return made
        if function in _LOOKED_AT:
            if function in _DROPOUTS:
                return self._dropped(args[0] if args else keywords["input"])
            if function in READS_MEMORY:
                self.fixed = f"{function.__name__}()"
            args, keywords = self.settled(function, args, keywords)
        if function in OPENED:
            with self:
                return opened(function)(*args, **keywords)
        live = self._live(args, keywords)
        if autocast_is_on(self.device):
            with torch.autocast(self.device, enabled=False):
                return self._answer(function, args, keywords, live)
        return self._answer(function, args, keywords, live)

    def _passed_on(self, x: Tensor) -> Tensor:
        """Return what an identity makes, which hides the input as a dropout does."""
        self.paused = True
        try:
            return self._dropped(x)
        finally:
            self.paused = False

    def _dropped(self, x: Tensor) -> Tensor:
        """Return what a dropout makes: the same; but in both references one in front of a model hides its input."""
        value = self.value_of(x)
        if value is None or not value.sees_input:
            return x
        made: Tensor = self._operate(_DROPPED, torch.ops.aten.alias, (x,), {}, [_Live(0, x, value)], None)
        return made

    def _answer(
        self, function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any], live: list[_Live]
    ) -> Any:
        if not live:
            with torch.no_grad():
                made = function(*args, **keywords)
            self.weights += _parameters_in((*args, *keywords.values()))
            if self._masks(args, keywords) and isinstance(made, Tensor):
                setattr(made, self._mask, True)  # a mask as numbers is a mask
            return made
        if function in LEAVES_TORCH:
            self.obstacles.append(
                Obstacle(
                    f"values that depend on the input leave torch through {function.__name__}() at {users_line()}",
                    "what NumPy makes of them cannot be followed; compute it with torch",
                )
            )
            return function(args[0].detach(), *args[1:], **keywords)
        if function in CUTS or not torch.is_grad_enabled() or all(one.value.cut for one in live):
            return self._cut(function, args, keywords, live)
        row = FUNCTIONS.get(function, UNKNOWN)
        cut = next((one.value.cut for one in live if one.value.cut), "")
        if cut:
            for one in live:
                if one.value.cut:  # a constant, as far as a gradient goes
                    args, keywords = _with(args, keywords, one.place, one.tensor.detach())
            live = [one for one in live if not one.value.cut]
        return self._operate(row, IN_ORDER.get(function, function), args, keywords, live, None, cut)

    def _masks(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> bool:
        """Return whether an argument, or an index, is a mask made by comparing what depends on the input."""
        return any(getattr(one, self._mask, False) for one in (*args, *keywords.values()))

    def _live(self, args: tuple[Any, ...], keywords: dict[str, Any]) -> list[_Live]:
        """Return the arguments that depend on the input."""
        found: list[_Live] = []
        standing: list[tuple[int | str, Any]] = [*enumerate(args), *keywords.items()]
        for place, one in standing:
            if isinstance(one, Tensor):
                self._look_at(place, one, found)
            elif isinstance(one, (list, tuple)):
                for index, inner in enumerate(one):
                    if isinstance(inner, Tensor):
                        self._look_at((place, index), inner, found)
        return found

    def _look_at(self, place: Place, tensor: Tensor, found: list[_Live]) -> None:
        value = self.value_of(tensor)
        if value is None:
            return
        if value.memory.overwritten:
            self.obstacles.append(
                Obstacle(
                    f"a tensor is read at {users_line()} that was changed in place through another view of it at "
                    f"{value.memory.overwritten}",
                    "make a new tensor instead (`h = h + 1` for `h += 1`, torch.cat for an assignment to a part)",
                )
            )
        found.append(_Live(place, tensor, value))

    def _cut(
        self, function: Callable[..., Any], args: tuple[Any, ...], keywords: dict[str, Any], live: list[_Live]
    ) -> Any:
        """Run what no gradient goes through; what it makes is a constant, but one that depends on the input."""
        self.fixed = "a cut"
        why = next((one.value.cut for one in live if one.value.cut), "")
        if not why:
            how = f"{getattr(function, '__name__', '')}()" if function in CUTS else "torch.no_grad()"
            why = f"{'.data' if how == '__get__()' else how} at {users_line()}"
            self.cuts.append(why)
        places = [one.place for one in live]
        by_place, by_name = filled(args, keywords, places, [one.tensor.detach() for one in live])
        with torch.no_grad():
            made = function(*by_place, **by_name)
        for tensor in tensors_of(made):
            setattr(tensor, self._mark, Value(None, cut=why))
        return made

    def _operate(
        self,
        row: Function,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        keywords: dict[str, Any],
        live: list[_Live],
        module: nn.Module | None,
        cut: str = "",
    ) -> Any:
        call, arguments, keywords, target = function, args, keywords, None
        if module is None and (works_in_place(function) or asked_in_place(function, args, keywords)):
            target = args[0] if args else keywords["input"]
            call, arguments, keywords = out_of_place(function, args, keywords)
        if row.kind is Kind.PRODUCT and len(live) == 2 and live[0].value is live[1].value:
            row, call, arguments, keywords, live = BY_NAME["square"], torch.square, (None,), {}, [live[0].at(0)]
        places = tuple(one.place for one in live)
        tensors = tuple(one.tensor.detach() for one in live)
        by_place, by_name = filled(arguments, keywords, places, tensors)
        with torch.no_grad():
            extra, made = run_with_extra(row, call, by_place, by_name)
        results = list(tensors_of(made))
        whole = not results
        if not _only_floating(made):
            self.fixed = f"what {getattr(function, '__name__', 'a function')}() tells besides floating point numbers"
        elif row is UNKNOWN:  # it may choose by values, or raise an error
            self.fixed = f"{getattr(function, '__name__', 'a function')}(), of which nothing is known"
        elif keywords.get("out") is not None:
            self.fixed = "out="
        if whole:
            if isinstance(made, Tensor) and made.is_complex():
                self._note_complex(function)
            if not any(_is_token(one) for one in live):
                return made
            results = list(whole_numbers_of(made))
            if row.kind is not Kind.MOVE or (len(live) > 1 and row.name not in _JOINS) or not results:
                why = f"{getattr(function, '__name__', '')}() at {users_line()}, which computes with tokens"
                for tensor in results:
                    setattr(tensor, self._mark, Value(None, cut=why))
                self.cuts += [why] * bool(results)
                return made
        blanked = filled(arguments, keywords, places, [None] * len(places))  # type: ignore[list-item]
        caller = self._calls[-1] if self._calls else _Call("", "", None)
        operation = Operation(
            row, Kind.UNKNOWN, call, tuple(blanked[0]), blanked[1], places, tuple(one.value for one in live),
            tuple(tensor.shape for tensor in tensors), shape=results[0].shape, module=caller.path,
            module_type=caller.type_name, declared=module,
            unit=next(self._units) if caller.unit is None else caller.unit, extra=extra,
            memory_format=memory_format(tensors[0]),
        )  # fmt: skip
        operation.kind = kind_of(operation)
        if operation.kind in _TOLD_WHERE:
            operation.where = users_line()
        operation.cut = cut
        # A mask that a declared layer is handed is its own business.
        operation.masked = module is None and self._masks(args, keywords)
        if operation.masked and not operation.where:
            operation.where = users_line()
        transparent = len(live) == 1 and row.transparent and live[0].value.sees_input and _keeps_all(operation)
        shared = (
            live[0].value.memory
            if (row.kind is Kind.MOVE or row is _DROPPED) and _shares(results[0], tensors[0])
            else None
        )
        if shared is not None:
            shared.shared = True
        operation.results = tuple(
            Value(operation, index, shared or Memory(), transparent) for index in range(len(results))
        )
        self.operations.append(operation)
        needs_inputs, needs_output = self._keep(operation)
        if needs_inputs:
            for one, tensor in zip(live, tensors, strict=True):
                one.value.keep(tensor)
        if needs_output:
            operation.results[0].keep(results[0].detach())
        if target is not None:
            return self._written(target, results[0], operation.results[0])
        for tensor, value in zip(results, operation.results, strict=True):
            setattr(tensor if whole else tensor.requires_grad_(), self._mark, value)
        return made

    def _note_complex(self, function: Callable[..., Any]) -> None:
        self.obstacles.append(
            Obstacle(
                f"the model computes {function.__name__} in complex numbers at {users_line()}, which have no rules",
                "compute it with real numbers, or use a gradient method",
            )
        )

    def _written(self, target: Tensor, made: Tensor, value: Value) -> Tensor:
        """Let the tensor that an in-place function was called on be what the function has made."""
        before = getattr(target, self._mark, None)
        where = users_line() or "a module that works in place"
        if before is None:
            self.fixed = "an assignment to a part of a constant"
        reshaped = before is not None and before.memory is value.memory  # `transpose_` and the like change no value
        if before is not None and not reshaped:
            before.memory.overwritten = where if before.memory.shared else ""
        base = target._base
        if base is not None and not reshaped:
            setattr(base, self._mark, Value(None, memory=Memory(overwritten=where)))
        target.data = made
        setattr(target.requires_grad_(), self._mark, value)
        return target

    def _adopted(self, tensor: Tensor) -> Value | None:
        """Return what is known of a tensor that no operation in sight has made, None if it depends on no input."""
        leaves, waiting, met = [], [tensor.grad_fn], set()
        while waiting:
            node = waiting.pop()
            if node is None or node in met:
                continue
            met.add(node)
            leaf = getattr(node, "variable", None)
            if leaf is not None and getattr(leaf, self._mark, None) is not None:
                leaves.append(leaf)
            waiting += [before for before, _ in node.next_functions]
        if not leaves:
            return None
        self.fixed = "an operation out of sight"
        name = tensor.grad_fn.name() if tensor.grad_fn is not None else ""
        sources = tuple(getattr(leaf, self._mark) for leaf in leaves)
        output = tensor

        def hidden(*_: Tensor) -> Tensor:
            raise RuntimeError(f"{name} cannot be run again")

        operation = Operation(
            Function(name, Kind.UNKNOWN), Kind.UNKNOWN, hidden, (), {}, (), sources,
            tuple(leaf.shape for leaf in leaves), shape=tensor.shape,
            module=self._calls[-1].path if self._calls else "",
            unit=next(self._units), where=users_line(), graph=(output, tuple(leaves)),
        )  # fmt: skip
        value = Value(operation)
        operation.results = (value,)
        self.operations.append(operation)
        setattr(tensor, self._mark, value)
        return value


@dataclass(slots=True)
class _Live:
    """An argument that depends on the input."""

    place: Place
    tensor: Tensor
    value: Value

    def at(self, place: Place) -> _Live:
        """Return the same in another place."""
        return _Live(place, self.tensor, self.value)


def _with(
    args: tuple[Any, ...], keywords: dict[str, Any], place: Place, tensor: Tensor
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    by_place, by_name = filled(args, keywords, [place], [tensor])
    return tuple(by_place), by_name


def _is_token(live: _Live) -> bool:
    """Return whether an argument is the model's input, or whole numbers that are a part of it."""
    return live.value.sees_input or not live.tensor.is_floating_point()


def whole_numbers_of(made: Any) -> Iterator[Tensor]:
    """Yield the tensors of whole numbers of what a function returned, in order."""
    if isinstance(made, Tensor):
        if not made.is_floating_point() and not made.is_complex() and made.dtype is not torch.bool:
            yield made
    elif isinstance(made, (tuple, list)):
        for one in made:
            yield from whole_numbers_of(one)


def _parameters_in(arguments: Iterable[Any]) -> Iterator[Tensor]:
    for one in arguments:
        if isinstance(one, nn.Parameter):
            yield one
        elif isinstance(one, (list, tuple)):
            yield from _parameters_in(one)


def _only_floating(made: Any) -> bool:
    """Return whether a function told nothing but floating point numbers: a place of a maximum is read by nobody."""
    if isinstance(made, (tuple, list)):
        return all(map(_only_floating, made))
    return made is None or (isinstance(made, Tensor) and made.is_floating_point())


def _keeps_all(operation: Operation) -> bool:
    """Return whether padding is with zeros; all else that is transparent loses nothing."""
    if operation.function.name != "pad":
        return True
    return operation.argument("mode", "constant") == "constant" and not operation.argument("value", 0)


def _shares(made: Tensor, source: Tensor) -> bool:
    return made.untyped_storage().data_ptr() == source.untyped_storage().data_ptr()


def _pooled(axes: int) -> Callable[[list[Any], dict[str, Any]], tuple[Any, Any]]:
    pool = (F.max_pool1d_with_indices, F.max_pool2d_with_indices)[axes - 1]

    def pooled(by_place: list[Any], by_name: dict[str, Any]) -> tuple[Any, Any]:
        """Run max-pooling with the places of its maxima, which its gradient needs; None where it cannot be."""
        if by_name.get("return_indices"):
            return None, None
        given = {key: value for key, value in by_name.items() if key != "return_indices"}
        if not by_place or by_place[0].dim() != axes + len("NC") or len(by_place) > 6:
            return None, None
        made, places = pool(*by_place, **given)
        return places, made

    return pooled


_EXTRA: dict[str, Callable[[list[Any], dict[str, Any]], tuple[Any, Any]]] = {
    f"max_pool{axes}d": _pooled(axes) for axes in (1, 2)
}


def run_with_extra(
    row: Function, call: Callable[..., Any], by_place: list[Any], by_name: dict[str, Any]
) -> tuple[Any, Any]:
    """Run a function; return what its gradient needs besides (None for most), and what it made."""
    if row.name in _EXTRA:
        extra, made = _EXTRA[row.name](by_place, by_name)
        if made is not None:
            return extra, made
    return None, call(*by_place, **by_name)
