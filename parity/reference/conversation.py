"""One conversation with a worker: a request is put to it, and its answers are taken in and checked."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, get_args

from parity.hashing import array_sha256
from parity.reference.pool import Worker
from parity.reference.process import WorkerError
from parity.reference.protocol import read_array, write_arrays
from parity.reference.request import ErrorKind, ReferenceAnswer, ReferenceRequest


def converse(
    worker: Worker,
    request: ReferenceRequest,
    number: int,
    missing: list[int],
    folder: Path,
    timeout: float,
    took: Callable[[int, ReferenceAnswer], None],
) -> None:
    """Put one request to a worker and take its answers in.

    Parameters
    ----------
    worker
        Who is asked.
    request
        What is asked.
    number
        Tells this conversation's messages and files from all others.
    missing
        The inputs that are asked.
    folder
        For the files that are exchanged.
    timeout
        Seconds the worker may take for one input.
    took
        Called with the index of each input and its answer as soon as it is there.

    Raises
    ------
    WorkerError
        If not every input was answered.
    """
    inputs = folder / f"inputs-{number}.h5"
    try:
        write_arrays(inputs, [request.inputs[index] for index in missing])
    except OSError as error:
        raise WorkerError("environment", str(error)) from error
    source = request.model
    worker.process.send(
        {
            "op": "compute",
            "id": number,
            "model": {
                "path": str(Path(source.path).absolute()),
                "architecture": source.architecture,
                "sha256": source.sha256,
            },
            "dtype": request.dtype,
            "call": request.call.to_json(),
            "targets": [int(request.targets[index]) for index in missing],
            "inputs": str(inputs),
            "outputs": str(folder),
        }
    )
    for position in range(len(missing) + 1):
        message = worker.process.receive(timeout)
        if position == len(missing):
            expected: dict[str, Any] = {"event": "done", "id": number}
        else:
            expected = {"event": "answer", "id": number, "index": position}
        if any(message.get(name) != value for name, value in expected.items()):
            raise WorkerError("protocol", f"the worker sent {str(message)[:200]}, expected {expected}")
        if position < len(missing):
            answer = _read_answer(message, folder, worker)
            # Out of memory, but alive: what it holds is given back by ending it.
            worker.spent |= answer.error_kind == "crash"
            took(missing[position], answer)
    inputs.unlink(missing_ok=True)


def _read_answer(message: dict[str, Any], folder: Path, worker: Worker) -> ReferenceAnswer:
    """Return the answer that a message describes, with its array checked against its hash.

    Raises
    ------
    WorkerError
        If the message or the array is not what it should be.
    """
    try:
        if message["error_kind"] is not None:
            kind, text = message["error_kind"], message["error"]
            if kind not in get_args(ErrorKind) or not isinstance(text, str):
                raise ValueError(f"error {kind!r}: {text!r}")
            start, end = map(int, message["log"])
            return failed(kind, text, worker.process.log_tail(start, end), worker.versions)
        path = folder / Path(message["file"]).name
        array = read_array(path, 0)
        path.unlink()
        if array_sha256(array) != message["sha256"]:
            raise ValueError("the array does not have the hash that was told")
        return ReferenceAnswer(
            array=array,
            seconds=float(message["seconds"]),
            versions=dict(worker.versions),
            setup_seconds=float(message["setup_seconds"]),
            peak_rss=int(message["peak_rss"]),
            notes=tuple(str(note) for note in message["notes"]),
            computed=_now(),
        )
    except (KeyError, TypeError, ValueError, OSError) as error:
        text = f"the worker's answer cannot be read: {type(error).__name__}: {error}"
        raise WorkerError("protocol", text) from error


def failed(kind: ErrorKind, message: str, tail: str = "", versions: dict[str, str] | None = None) -> ReferenceAnswer:
    """Return the answer that says what went wrong."""
    return ReferenceAnswer(
        array=None,
        error=message,
        error_kind=kind,
        stderr_tail=tail,
        versions=dict(versions or {}),
        computed=_now(),
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
