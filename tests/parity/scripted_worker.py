"""A worker program without TensorFlow that plays a script: right logits, made-up maps, and faults by method name.

The environment variable SCRIPT holds JSON: {"logits": npz file of "<dtype>-<hash of the input>" -> logits,
"faults": {method name: what happens}, "log": file that gets a line per request}.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "pillow", "innvestigate", "signxai")
VERSIONS = {"python": "3", "worker": "scripted"} | dict.fromkeys(PACKAGES, "1")

if "--versions" in sys.argv:
    sys.stdout.write(json.dumps(VERSIONS))
    sys.exit(0)

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import numpy as np  # noqa: E402

from parity.hashing import array_sha256  # noqa: E402
from parity.reference.protocol import read_array, write_arrays  # noqa: E402

SCRIPT = json.loads(os.environ["SCRIPT"])


def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def misbehave(how):
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif how == "rubbish":
        sys.stdout.write("Epoch 1/1 [=====>]\n")
        sys.stdout.flush()
    if how in ("rubbish", "hang"):
        time.sleep(600)


def answer(request):
    call = request["call"]
    with Path(SCRIPT["log"]).open("a") as stream:
        stream.write(f"{call['name'] or call['kind']} {request['dtype']}\n")
    how = SCRIPT["faults"].get(call["name"] or call["kind"])
    for index in range(len(request["targets"])):
        misbehave(how)
        common = {"event": "answer", "id": request["id"], "index": index}
        if how == "raise":
            start = os.fstat(2).st_size
            sys.stderr.write("Traceback in the worker\n")
            sys.stderr.flush()
            log = [start, os.fstat(2).st_size]
            say({**common, "error_kind": "method", "error": "ValueError: the reference says no", "log": log})
            continue
        x = read_array(Path(request["inputs"]), index)
        array = 2 * x.astype(request["dtype"])
        if call["kind"] == "logits":
            with np.load(SCRIPT["logits"]) as logits:
                array = logits[f"{request['dtype']}-{array_sha256(x)}"]
        file = Path(request["outputs"]) / f"{request['id']}-{index}.h5"
        write_arrays(file, [array])
        found = {"error_kind": None, "error": None, "file": file.name, "sha256": array_sha256(array)}
        say({**common, **found, "seconds": 0.5, "setup_seconds": 0.25, "peak_rss": 1000, "notes": []})
    say({"event": "done", "id": request["id"]})


misbehave(SCRIPT["faults"].get("start"))
say({"event": "ready", "versions": {**VERSIONS, "threads": "1"}})
for line in sys.stdin:
    answer(json.loads(line))
