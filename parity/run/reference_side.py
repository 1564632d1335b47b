"""What the references say of one model: of itself, of equivalent networks, and put together from several answers."""

from __future__ import annotations

import itertools
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from parity.assets.source import ModelSource
from parity.claimed import ClaimedFolder, temporary
from parity.hashing import file_sha256
from parity.judge.known.rewrite import Rewrite
from parity.judge.known.rewrites import of_size, without_offsets
from parity.judge.known.splice import NoCutError, above, below, readout
from parity.keras import ModelDescription
from parity.keras.network import Network, NetworkLayer, read_network, write_network
from parity.reference.client import ReferenceClient
from parity.reference.conversation import failed
from parity.reference.environment import ReferenceEnvironmentError
from parity.reference.protocol import ROOM
from parity.reference.request import (
    Dtype,
    NoiseSpec,
    ReferenceAnswer,
    ReferenceCall,
    ReferenceRequest,
    noise_array,
    trace_call,
)
from parity.run.questions import Candidate
from parity.run.subjects import Method

Array = npt.NDArray[Any]
SAME_LOGITS = 1e-12
"""Largest distance of an equivalent network's logit from the model's, over the largest logit, in float64."""
LOGITS = ReferenceCall("signxai", "logits")
FILE_LOGITS = ReferenceCall("signxai", "file-logits")


class ReferenceSide:
    """Asks the references about one model; a context is not needed, the written networks go with the object.

    What the references cannot read, or explain, in the form of the file (models inside of models, a layer that is
    called twice, bare operations, a file of Keras 3, one output of several) they are given in a form that they can: the
    same layers and weights, written from the converter's description. `file_logits` holds that to the file itself.

    Parameters
    ----------
    client
        The reference processes and their store.
    source
        The model's file.
    description
        What it holds.
    """

    def __init__(self, client: ReferenceClient, source: ModelSource, description: ModelDescription) -> None:
        self._client, self._file, self._description = client, source, description
        self._folder: ClaimedFolder | None = None
        self._lock, self._numbers = threading.Lock(), itertools.count()
        self._network: Network | None = None
        self._written: dict[tuple[Any, ...], ModelSource] = {}
        self._same: dict[tuple[str, bytes, int], str | None] = {}

    @property
    def _source(self) -> ModelSource:
        """What the references are asked about."""
        if not self._description.spelled:
            return self._file
        return self._written_once(("as the references read it",), self._read)

    def file_logits(self, inputs: Sequence[Array], dtype: str, onednn: bool = True) -> list[ReferenceAnswer]:
        """Return the logits that Keras itself computes from the user's file, where it can read that."""
        return self._ask(self._file, FILE_LOGITS, inputs, [0] * len(inputs), dtype, onednn)

    def logits(self, inputs: Sequence[Array], dtype: str) -> list[ReferenceAnswer]:
        """Return the model's logits for each input."""
        return self._ask(self._source, LOGITS, inputs, [0] * len(inputs), dtype)

    def is_stored(self, candidate: Candidate, inputs: Sequence[Array], targets: Sequence[int], dtype: str) -> bool:
        """Say whether the store has the reference's answer about the model itself for every input."""
        if candidate.rewrites or candidate.recipe != "plain":
            return False
        return self._client.is_stored(self.request(self._source, candidate.call, inputs, targets, dtype))

    def maps(
        self,
        candidate: Candidate,
        method: Method,
        inputs: Sequence[Array],
        targets: Sequence[int],
        dtype: str,
        onednn: bool = True,
    ) -> list[ReferenceAnswer]:
        """Return the map that the subject is held to, for each input; what failed is told in the answer.

        Parameters
        ----------
        candidate
            How the maps come about.
        method
            The method, for what is put together from several answers.
        inputs, targets
            Keras layout without batch axis, and the explained class of each.
        dtype
            "float32" or "float64".
        onednn
            Whether TensorFlow may use oneDNN.
        """
        match candidate.recipe:
            case "spliced":
                answer: Callable[[Array, int], ReferenceAnswer] = lambda x, t: self._spliced(  # noqa: E731
                    candidate, x, t, dtype, onednn
                )
            case "averaged":
                answer = lambda x, t: self._averaged(candidate, method, x, t, dtype, onednn)  # noqa: E731
            case "promised":
                twin = self.without_offsets(candidate.rewrites)
                return self._ask(twin, candidate.call, inputs, targets, dtype, onednn)
            case _:
                return self._on_equivalents(candidate, method, inputs, targets, dtype, onednn)
        return [answer(x, target) for x, target in zip(inputs, targets, strict=True)]

    def trace(self, candidate: Candidate, x: Array, target: int, dtype: str) -> ReferenceAnswer:
        """Return what the layers made and handed on in a candidate's call, see `parity.reference.trace`.

        Where a run lives on stored answers alone, one that is not there is no fault of the environment.
        """
        source, placed, there = self._placed(candidate.rewrites, [x], [target])
        request = self.request(source, trace_call(candidate.call), placed, there, dtype)
        if self._client.unable is not None and not self._client.is_stored(request):
            return failed("environment", "it is not stored, and there is no reference to ask")
        (answer,) = self._client.answer(request)
        return answer

    def stand_ins(self, candidate: Candidate, target: int) -> dict[str, str] | None:
        """Return which layers of the network that the reference is asked about are none of the model's.

        Each is a linear activation, and stands for the layer behind which it was put. None where the network is not the
        model layer by layer, up to those.
        """
        if not candidate.rewrites:
            return {}
        own = {layer.name: layer for layer in self._read()}
        found: dict[str, str] = {}
        other = self._rewritten(candidate.rewrites, target)
        for layer in other:
            inbound = tuple(found.get(name, name) for name in layer.inbound)
            if layer.name in own:
                if not _same_layer(own[layer.name], layer) or inbound != own[layer.name].inbound:
                    return None
            elif layer.class_name == "Activation" and layer.config.get("activation") == "linear":
                (found[layer.name],) = inbound
            else:
                return None
        return found if own.keys() <= {layer.name for layer in other} else None

    def without_offsets(self, rewrites: Sequence[Rewrite] = ()) -> ModelSource:
        """Return the model, or an equivalent network of all its classes, with all offsets at zero, as a file."""
        key = ("without offsets", *(rewrite.says for rewrite in rewrites))
        return self._written_once(key, lambda: without_offsets(self._rewritten(rewrites, 0)))

    def request(
        self,
        source: ModelSource,
        call: ReferenceCall,
        inputs: Sequence[Array],
        targets: Sequence[int],
        dtype: str,
        onednn: bool = True,
    ) -> ReferenceRequest:
        """Return what is put to the client."""
        return ReferenceRequest(source, tuple(inputs), tuple(targets), call, cast(Dtype, dtype), onednn)

    def plain_request(
        self, candidate: Candidate, inputs: Sequence[Array], targets: Sequence[int], dtype: str
    ) -> ReferenceRequest:
        """Return the request for a candidate's call on the network that it is put about, for questions about rules."""
        source, inputs, targets = self._placed(candidate.rewrites, inputs, targets)
        return self.request(source, candidate.call, inputs, targets, dtype)

    def _ask(
        self,
        source: ModelSource,
        call: ReferenceCall,
        inputs: Sequence[Array],
        targets: Sequence[int],
        dtype: str,
        onednn: bool = True,
    ) -> list[ReferenceAnswer]:
        return self._client.answer(self.request(source, call, inputs, targets, dtype, onednn))

    def _on_equivalents(
        self,
        candidate: Candidate,
        method: Method,
        inputs: Sequence[Array],
        targets: Sequence[int],
        dtype: str,
        onednn: bool,
    ) -> list[ReferenceAnswer]:
        if not candidate.rewrites:
            return self._ask(self._source, candidate.call, inputs, targets, dtype, onednn)
        answers = []
        for x, target in zip(inputs, targets, strict=True):
            source, placed, there = self._placed(candidate.rewrites, [x], [target])
            wrong = self._tells_apart(source, x, placed[0], target, there[0])
            if wrong is not None:
                answers.append(failed("protocol", wrong))
                continue
            (answer,) = self._ask(source, candidate.call, placed, there, dtype, onednn)
            # A map of another shape is left as it is: that it cannot be compared is told where it is judged.
            if candidate.recipe == "multiplied" and answer.array is not None and answer.array.shape == x.shape:
                answer = replace(answer, array=modified(answer.array, x, method, dtype))
            answers.append(answer)
        return answers

    def _placed(
        self, rewrites: Sequence[Rewrite], inputs: Sequence[Array], targets: Sequence[int]
    ) -> tuple[ModelSource, list[Array], list[int]]:
        """Return the equivalent network of the first target, with inputs and targets as it takes them."""
        if not rewrites:
            return self._source, list(inputs), list(targets)
        alone = any(rewrite.one_class for rewrite in rewrites)
        shape = inputs[0].shape if any(rewrite.sized for rewrite in rewrites) else None
        key = (*(rewrite.says for rewrite in rewrites), targets[0] if alone else None, shape)
        source = self._written_once(key, lambda: self._sized(self._rewritten(rewrites, targets[0]), shape))
        placed = list(inputs)
        for rewrite in rewrites:
            placed = [np.ascontiguousarray(rewrite.inputs(x)) for x in placed]
        return source, placed, [0] * len(targets) if alone else list(targets)

    def _rewritten(self, rewrites: Sequence[Rewrite], target: int) -> Network:
        network = self._read()
        for rewrite in rewrites:
            network = rewrite.network(network, target)
        return network

    def _sized(self, network: Network, shape: tuple[int, ...] | None) -> Network:
        """Return a network for inputs of a shape, if there is one; several inputs never leave a size open."""
        return network if shape is None else of_size(network, shape)

    def _read(self) -> Network:
        if self._network is None:
            file = self._file
            self._network = read_network(file.path, file.architecture, self._description, file.config)
        return self._network

    def _written_once(self, key: tuple[Any, ...], make: Callable[[], Network]) -> ModelSource:
        with self._lock:
            if key not in self._written:
                self._written[key] = self._write(make())
            return self._written[key]

    def _write(self, network: Network) -> ModelSource:
        try:
            if self._folder is None:
                self._folder = temporary("parity-networks-")
                weakref.finalize(self, self._folder.remove)
            path = self._folder.path / f"{next(self._numbers)}.h5"
            write_network(network, path)
        except (OSError, RuntimeError) as error:  # HDF5 reports a full disk as either, at length
            reason = "no space left" if "No space left" in str(error) else " ".join(str(error).split())
            place = "a temporary folder" if self._folder is None else self._folder.path
            raise ReferenceEnvironmentError(f"cannot write a network to {place}: {reason}; {ROOM}") from error
        return ModelSource(self._file.name, path, None, file_sha256(path), "none", "", "an equivalent network")

    def _tells_apart(self, source: ModelSource, x: Array, placed: Array, target: int, there: int) -> str | None:
        """Say why a rewritten network is no equivalent, by the reference's own logits in float64, or None."""
        key = source.sha256, x.tobytes(), target
        if key not in self._same:
            (right,) = self.logits([x], "float64")
            (other,) = self._ask(source, LOGITS, [placed], [0], "float64")
            for answer in (right, other):
                if answer.array is None:
                    self._same[key] = f"the logits of an equivalent network could not be compared: {answer.error}"
                    return self._same[key]
            values, others = np.asarray(right.array).reshape(-1), np.asarray(other.array).reshape(-1)
            distance, size = abs(float(values[target] - others[there])), float(np.abs(values).max())
            same = distance <= SAME_LOGITS * size
            self._same[key] = None if same else (
                f"the equivalent network is none: its logit of class {target} is {float(others[there])!r}, the model's "
                f"{float(values[target])!r}"
            )  # fmt: skip
        return self._same[key]

    def _spliced(self, candidate: Candidate, x: Array, target: int, dtype: str, onednn: bool) -> ReferenceAnswer:
        assert candidate.above is not None
        alone = any(rewrite.one_class for rewrite in candidate.rewrites)
        key = (*(rewrite.says for rewrite in candidate.rewrites), target if alone else None)
        network = self._rewritten(candidate.rewrites, target)
        lower = below(network, x.shape)
        lower_source = self._written_once(("below", *key, x.shape), lambda: lower)
        (value,) = self._ask(lower_source, LOGITS, [x], [0], dtype, onednn)
        if value.array is None:
            return value
        shape = above(network).layers[0].shape
        assert shape is not None
        hidden = value.array.reshape([-1 if size is None else size for size in shape])
        there = hidden.shape if any(rewrite.sized for rewrite in candidate.rewrites) else None
        upper_source = self._written_once(("above", *key, there), lambda: self._sized(above(network), there))
        (over,) = self._ask(upper_source, candidate.above, [hidden], [0 if alone else target], dtype, onednn)
        if over.array is None:
            return over
        try:
            relevance = over.array.astype(value.array.dtype).reshape(-1)
            with self._lock:
                unit = self._write(readout(lower, value.array.reshape(-1), relevance))
        except NoCutError as error:
            return failed("protocol", str(error))
        (answer,) = self._ask(unit, candidate.call, [x], [0], dtype, onednn)
        unit.path.unlink(missing_ok=True)
        return answer if answer.array is None else together(answer.array, [value, over, answer])

    def _averaged(
        self, candidate: Candidate, method: Method, x: Array, target: int, dtype: str, onednn: bool
    ) -> ReferenceAnswer:
        points, weight = points_of(method, x.astype(dtype))
        source, placed, there = self._placed(candidate.rewrites, points, [target] * len(points))
        answers = self._ask(source, candidate.call, placed, there, dtype, onednn)
        wrong = next((answer for answer in answers if answer.array is None), None)
        if wrong is not None:
            return wrong
        mean = np.mean([np.asarray(answer.array) for answer in answers], axis=0, dtype=np.float64).astype(dtype)
        return together(modified(mean * weight, x, method, dtype), answers)


def _same_layer(one: NetworkLayer, other: NetworkLayer) -> bool:
    """Return whether two layers compute the same, whatever they read."""
    alike = (one.class_name, dict(one.config), one.weights.keys()) == (
        other.class_name, dict(other.config), other.weights.keys(),
    )  # fmt: skip
    return alike and all(np.array_equal(one.weights[name], other.weights[name]) for name in one.weights)


def points_of(method: Method, x: Array) -> tuple[list[Array], Array]:
    """Return the points whose gradients a method averages, and what their mean is multiplied by.

    Sources: innvestigate 2.1.2, analyzer/gradient_based.py (a left Riemann sum from the baseline; noise of its dtype);
    signxai 1.1.9.2, methods/innvestigate/analyzer/wrapper.py, `PathIntegrator._augment` (from the baseline to the
    input, both included) and `GaussianSmoother._augment` (noise that is added in float64).
    """
    if method.family == "integrated_gradients":
        steps, baseline = int(method.parameters["steps"]), x.dtype.type(method.parameters["baseline"])
        if method.row.signxai:
            step = (x - baseline) / x.dtype.type(steps - 1)
            return [baseline + step * x.dtype.type(i) for i in range(steps)], x - baseline
        return [baseline + (x - baseline) * x.dtype.type(i / steps) for i in range(steps)], x - baseline
    if method.family == "smoothgrad":
        # The seed is that of the question; see `parity.run.calls`.
        from parity.run.calls import SEED

        spec = NoiseSpec(SEED, int(method.parameters["samples"]), float(method.parameters["noise_scale"]))
        drawn = noise_array(spec, x.shape)
        added = x + drawn if method.row.signxai else x + drawn.astype(x.dtype)
        return list(added.astype(x.dtype)), np.ones_like(x)
    return [x], np.ones_like(x)


def modified(array: Array, x: Array, method: Method, dtype: str) -> Array:
    """Return a map times what the modifiers of a method's name stand for.

    Source: signxai 1.1.9.2, methods/wrappers.py, `gradient_x_input`, `gradient_x_sign`, `gradient_x_sign_mu`.
    """
    from parity.run.calls import MU

    for what, value in method.modifiers:
        mu = 0.0 if what == "x_sign" else MU if value is None else float(value)
        factor = x if what == "x_input" else np.where((x >= mu) | (mu <= -1.0), 1.0, -1.0)
        array = array * factor.astype(dtype)
    return array


def together(array: Array, parts: Sequence[ReferenceAnswer]) -> ReferenceAnswer:
    """Return the answer that several were put together to; it is as old as the oldest of them."""
    stored = [part for part in parts if part.from_store]
    return replace(
        parts[-1],
        array=array,
        seconds=sum(part.seconds for part in parts),
        from_store=len(stored) == len(parts),
        computed=min(part.computed for part in (stored or parts)),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )
