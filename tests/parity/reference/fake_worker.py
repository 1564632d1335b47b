"""A worker program without TensorFlow that can misbehave; the name of the call says how.

`double` answers 2 * x, the other names break at the first input, those that end in `_second` at the second;
`abort` breaks with oneDNN only. The environment variable FAKE_START breaks the start, FAKE_LOG names a file that gets
a line per start.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

VERSIONS = {"python": "3", "worker": os.environ.get("FAKE_WORKER_VERSION", "fake")}
VERSIONS |= dict.fromkeys(
    ("tensorflow", "keras", "numpy", "scipy", "pillow", "innvestigate", "signxai"), os.environ.get("FAKE_PACKAGES", "1")
)

ONEDNN = os.environ.get("TF_ENABLE_ONEDNN_OPTS", "")

if "--versions" in sys.argv:  # asked before every run: without the imports below it takes no time
    if os.environ.get("FAKE_START") == "no versions":
        sys.exit("no module named numpy")
    sys.stdout.write(json.dumps(VERSIONS))
    sys.exit(0)

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

import numpy as np  # noqa: E402

from parity.hashing import array_sha256  # noqa: E402
from parity.reference.protocol import read_array, write_arrays  # noqa: E402


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def misbehave(how):
    if how == "kill":
        sys.stderr.write("last words\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "exit":
        sys.exit(5)
    elif how == "limit":
        sys.exit(137)
    elif how == "terminate":
        os.kill(os.getpid(), signal.SIGTERM)
    elif how == "abort" and ONEDNN != "0":
        os.abort()
    elif how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif how == "hang":
        time.sleep(600)
    elif how == "rubbish":
        sys.stdout.write("Epoch 1/1 [=====>]\n")
        sys.stdout.flush()
        time.sleep(600)
    elif how == "list":
        say([1, 2])
    elif how == "close":
        os.close(1)
        time.sleep(600)


def main():
    if log := os.environ.get("FAKE_LOG"):
        with Path(log).open("a") as stream:
            stream.write(f"{os.getpid()} {' '.join(sys.argv[1:])} onednn={ONEDNN}\n")
    start = os.environ.get("FAKE_START", "")
    if start == "failed":
        sys.stderr.write("Traceback: libtensorflow.so is broken\n")
        say({"event": "failed", "error": "ImportError: libtensorflow.so is broken"})
        return
    misbehave(start)
    say({"event": "ready", "versions": {**VERSIONS, "threads": "1", "onednn": ONEDNN}})
    for line in sys.stdin:
        answer(json.loads(line))


def answer(request):
    name = request["call"]["name"]
    how, _, second = name.partition("_")
    for index in range(len(request["targets"])):
        common = {"event": "answer", "id": request["id"], "index": index}
        if (second == "second") == (index == 1):
            misbehave(how)
        if how == "raise":
            start = os.fstat(2).st_size
            sys.stderr.write("ValueError: the reference says no\n")
            sys.stderr.flush()
            log = [start, os.fstat(2).st_size]
            say({**common, "error_kind": "method", "error": "ValueError: the reference says no", "log": log})
            continue
        if how == "full":
            say({**common, "error_kind": "environment", "error": "OSError: cannot write 1-0.h5", "log": [0, 0]})
            continue
        if how == "memory":
            say({**common, "error_kind": "crash", "error": "MemoryError: too large", "log": [0, 0]})
            continue
        x = read_array(Path(request["inputs"]), index)
        array = np.full_like(x, os.getpid()) if how == "pid" else 2 * x
        if how == "scalar":
            array = np.asarray(x.sum())
        file = Path(request["outputs"]) / f"{request['id']}-{index}.h5"
        write_arrays(file, [array])
        message = {**common, "error_kind": None, "error": None, "file": file.name, "sha256": array_sha256(array)}
        message |= {"seconds": 0.5, "setup_seconds": 0.25, "peak_rss": 1000, "notes": ["a note"]}
        if how == "wrongid":
            message["id"] += 1
        elif how == "wronghash":
            message["sha256"] = "0" * 64
        elif how == "nofile":
            file.unlink()
        elif how == "nokey":
            del message["seconds"]
        elif how == "slow":
            time.sleep(0.4)
        say(message)
    say({"event": "done", "id": request["id"]})


main()
