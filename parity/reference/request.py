"""What is asked of the reference process and what comes back: plain data, needing NumPy alone.

Both sides read this file: the harness (which has torch) and the worker (which has TensorFlow).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

import numpy as np
import numpy.typing as npt

from parity.errors import ParityError

if TYPE_CHECKING:
    from parity.assets.source import ModelSource

Backend = Literal["signxai", "innvestigate"]
Kind = Literal[
    "wrapper", "analyzer", "logits", "file-logits", "wrapper-rules", "analyzer-rules", "wrapper-trace", "analyzer-trace"
]
Dtype = Literal["float32", "float64"]
ErrorKind = Literal["method", "crash", "timeout", "protocol", "environment"]
JSON = Any
"""None, bool, int, float, str, a list of these or a dict of these with string keys."""

MODIFIERS = ("x_input", "x_sign", "x_sign_mu")


class ReferenceRequestError(ParityError):
    """A request that cannot be put to any reference: the message names the field and the values it takes."""


@dataclass(frozen=True)
class NoiseSpec:
    """The noise of a random method, so that both sides add the same numbers.

    Parameters
    ----------
    seed
        Seed of `numpy.random.RandomState`, 0 to 2**32 - 1.
    samples
        How many noisy copies of the input are explained, at least 1.
    scale
        Standard deviation in units of the input, not negative. The innvestigate backend always uses 1
        (it ignores its own `noise_scale`), so there it must be 1.
    """

    seed: int
    samples: int
    scale: float

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ReferenceRequestError(f"noise seed {self.seed}: expected 0 <= seed < 2**32")
        if self.samples < 1:
            raise ReferenceRequestError(f"noise samples {self.samples}: expected at least 1")
        if not (np.isfinite(self.scale) and self.scale >= 0):
            raise ReferenceRequestError(f"noise scale {self.scale}: expected a finite number, not negative")

    def to_json(self) -> dict[str, JSON]:
        """Return the spec as a JSON object."""
        return {"seed": int(self.seed), "samples": int(self.samples), "scale": float(self.scale)}

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> NoiseSpec:
        """Return the spec that `to_json` described."""
        return cls(seed=int(value["seed"]), samples=int(value["samples"]), scale=float(value["scale"]))


def noise_array(
    spec: NoiseSpec, shape: tuple[int, ...], generator: np.random.RandomState | None = None
) -> npt.NDArray[np.float64]:
    """Return the noise that the reference adds to one input, in the order in which it draws it.

    Parameters
    ----------
    spec
        Seed, number of samples, standard deviation.
    shape
        Shape of one input in Keras layout, without the batch axis.
    generator
        What draws it, where another input had its noise before; None begins at the seed.

    Returns
    -------
    noise
        float64, shape `(samples, *shape)`. The signxai backend adds it to the input in float64 and the
        model rounds the sum to its dtype; the innvestigate backend rounds the noise to the model's dtype
        first and adds then.
    """
    generator = np.random.RandomState(spec.seed) if generator is None else generator
    return generator.normal(0, spec.scale, (spec.samples, *shape))


@dataclass(frozen=True)
class ReferenceCall:
    """One method of one reference package, with everything that is passed to it.

    Parameters
    ----------
    backend
        `"signxai"` (1.1.9.2, eager) or `"innvestigate"` (2.1.2, graph mode).
    kind
        `"wrapper"`: a function of `signxai.methods.wrappers` (signxai backend only);
        `"analyzer"`: a name for the backend's `create_analyzer`;
        `"logits"`: the output of the model without its softmax;
        `"file-logits"`: the same of a file whose bare operations (`x + y`, `tf.nn.relu(x)`) TensorFlow looks up by
        their names, which no reference explains;
        `"wrapper-rules"`, `"analyzer-rules"`: which rule each layer gets in such a call, see `rules_call`;
        `"wrapper-trace"`, `"analyzer-trace"`: what each layer made, and handed on, in such a call, see `trace_call`.
        They are questions of their own, so what is stored of the others stays valid.
    name
        Name of the wrapper or analyzer, `""` for both kinds of logits.
    options
        Keyword arguments as JSON; a list stands for a tuple or an array where the reference takes one.
    modifiers
        Upstream's own arithmetic around this base, applied from left to right: `("x_input", None)`,
        `("x_sign", None)`, `("x_sign_mu", mu)`.
    noise
        What a random method adds to its input; required there, refused elsewhere.

    Raises
    ------
    ReferenceRequestError
        If a field has a value that no reference takes.
    """

    backend: Backend
    kind: Kind
    name: str = ""
    options: Mapping[str, JSON] = field(default_factory=dict)
    modifiers: tuple[tuple[str, JSON], ...] = ()
    noise: NoiseSpec | None = None

    def __post_init__(self) -> None:
        if self.backend not in get_args(Backend):
            raise ReferenceRequestError(f"reference backend {self.backend!r}: expected {get_args(Backend)}")
        if self.kind not in get_args(Kind):
            raise ReferenceRequestError(f"kind of call {self.kind!r}: expected one of {get_args(Kind)}")
        if self.kind.startswith("wrapper") and self.backend != "signxai":
            raise ReferenceRequestError(f"wrapper {self.name!r}: only the signxai backend has wrappers")
        if self.asks_for_logits != (self.name == ""):
            raise ReferenceRequestError(f"{self.kind} call named {self.name!r}: logits alone have no name")
        for name, value in self.modifiers:
            if name not in MODIFIERS:
                raise ReferenceRequestError(f"modifier {name!r}: expected one of {MODIFIERS}")
            if (name == "x_sign_mu") != (value is not None):
                raise ReferenceRequestError(f"modifier {name!r} with value {value!r}: x_sign_mu alone has one")
        if self.asks_for_logits and (self.modifiers or self.options or self.noise):
            raise ReferenceRequestError("a logits call takes no options, modifiers or noise")
        try:
            # One canonical form, so that a tuple and a list, or two orders of keys, are one request.
            plain = json.loads(json.dumps(dict(self.options), allow_nan=False))
        except (TypeError, ValueError) as error:
            raise ReferenceRequestError(f"options of {self.name!r} are not JSON: {error}") from error
        object.__setattr__(self, "options", plain)

    @property
    def asks_for_logits(self) -> bool:
        """Whether the answer is the model's output, whatever the target is."""
        return self.kind in ("logits", "file-logits")

    @property
    def asked_for_rules(self) -> ReferenceCall | None:
        """The call whose rules this one asks for, or None if it asks for something else."""
        return self._without("-rules")

    @property
    def asked_for_trace(self) -> ReferenceCall | None:
        """The call that this one asks to be traced, or None if it asks for something else."""
        return self._without("-trace")

    def _without(self, ending: str) -> ReferenceCall | None:
        kind = self.kind.removesuffix(ending)
        return None if kind == self.kind else replace(self, kind=cast(Kind, kind))

    def to_json(self) -> dict[str, JSON]:
        """Return the call as a JSON object."""
        return {
            "backend": self.backend,
            "kind": self.kind,
            "name": self.name,
            "options": dict(self.options),
            "modifiers": [[name, value] for name, value in self.modifiers],
            "noise": self.noise.to_json() if self.noise else None,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, JSON]) -> ReferenceCall:
        """Return the call that `to_json` described.

        Raises
        ------
        ReferenceRequestError
            If a field has a value that no reference takes.
        """
        return cls(
            backend=value["backend"],
            kind=value["kind"],
            name=value["name"],
            options=value["options"],
            modifiers=tuple((name, argument) for name, argument in value["modifiers"]),
            noise=NoiseSpec.from_json(value["noise"]) if value["noise"] else None,
        )


def rules_call(call: ReferenceCall) -> ReferenceCall:
    """Return the call that asks which rule each layer gets in `call`.

    Its answer's array has one line per layer, input to output: name, Keras class, rule; UTF-8 bytes, shape (n, 3).
    What is done around the base map and to its input changes no rule, so it is left out.
    """
    return replace(call, kind=cast(Kind, f"{call.kind}-rules"), modifiers=(), noise=None)


def trace_call(call: ReferenceCall) -> ReferenceCall:
    """Return the call that asks what each layer made, and what relevance it handed on, in `call`.

    Its answer's array is read by `parity.reference.trace.unpacked`. What is done around the base map passes no layer,
    so it is left out.
    """
    return replace(call, kind=cast(Kind, f"{call.kind}-trace"), modifiers=(), noise=None)


@dataclass(frozen=True)
class ReferenceRequest:
    """One call for one model and several inputs.

    Parameters
    ----------
    model
        Where the weights lie and what they hash to.
    inputs
        One array per sample, Keras layout, no batch axis.
    targets
        Index of the explained output, one per input.
    call
        The method.
    dtype
        `"float32"` or `"float64"`: weights, inputs and the reference's own arithmetic.
    onednn
        Whether TensorFlow may use oneDNN, as it does by default. Without it the same sums are taken in another order.

    Raises
    ------
    ReferenceRequestError
        If there are not as many targets as inputs, or the dtype is unknown.
    """

    model: ModelSource
    inputs: tuple[npt.NDArray[Any], ...]
    targets: tuple[int, ...]
    call: ReferenceCall
    dtype: Dtype = "float32"
    onednn: bool = True

    def __post_init__(self) -> None:
        if len(self.inputs) != len(self.targets):
            raise ReferenceRequestError(f"{len(self.inputs)} inputs but {len(self.targets)} targets")
        if self.dtype not in get_args(Dtype):
            raise ReferenceRequestError(f"dtype {self.dtype!r}: expected one of {get_args(Dtype)}")


@dataclass
class ReferenceAnswer:
    """What the reference said about one input.

    Attributes
    ----------
    array
        The map in Keras layout, or the logits; no batch axis, in the dtype the reference returned.
        None if it failed.
    seconds
        Time of the analysis of this input. In graph mode without the making of the analyzer.
    error
        None, or one sentence that says what failed.
    error_kind
        None; `"method"`: the reference itself raised; `"crash"`: the worker died or ran out of memory;
        `"timeout"`; `"protocol"`: the worker said something that is no answer;
        `"environment"`: the reference cannot run here.
    stderr_tail
        The end of what the worker wrote to stderr during the request, if it failed.
    from_store
        True if no TensorFlow ran for this answer.
    versions
        Python, packages, and how TensorFlow was set up when the answer was computed.
    setup_seconds
        Graph mode: time to rebuild the model and make the analyzer, shared by the inputs of a request.
    peak_rss
        Largest resident memory of the worker during the call, in bytes; 0 if unknown.
    notes
        What was done so that the reference could run, for example a constant widened to float64, or that it was
        asked without oneDNN because the worker died with it.
    store_error
        Why the answer could not be kept in the store, or None.
    computed
        When the answer was computed, in UTC to the second as ISO 8601 writes it; `""` if nobody said so.
    """

    array: npt.NDArray[Any] | None
    seconds: float = 0.0
    error: str | None = None
    error_kind: ErrorKind | None = None
    stderr_tail: str = ""
    from_store: bool = False
    versions: dict[str, str] = field(default_factory=dict)
    setup_seconds: float = 0.0
    peak_rss: int = 0
    notes: tuple[str, ...] = ()
    store_error: str | None = None
    computed: str = ""

    def to_json(self) -> dict[str, JSON]:
        """Return everything but the array as a JSON object; `from_store`, `store_error` are not kept."""
        return {
            "seconds": self.seconds,
            "error": self.error,
            "error_kind": self.error_kind,
            "stderr_tail": self.stderr_tail,
            "versions": dict(self.versions),
            "setup_seconds": self.setup_seconds,
            "peak_rss": self.peak_rss,
            "notes": list(self.notes),
            "computed": self.computed,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, JSON], array: npt.NDArray[Any] | None) -> ReferenceAnswer:
        """Return the answer that `to_json` described, with its array."""
        return cls(
            array=array,
            seconds=float(value["seconds"]),
            error=value["error"],
            error_kind=value["error_kind"],
            stderr_tail=value["stderr_tail"],
            versions=dict(value["versions"]),
            setup_seconds=float(value["setup_seconds"]),
            peak_rss=int(value["peak_rss"]),
            notes=tuple(value["notes"]),
            computed=str(value.get("computed", "")),
        )
