"""Runs under the interpreter that has signxai2: a question a line on stdin, an answer a line on stdout.

Question: `{"model": FILE, "x": FILE, "map": FILE, "method", "target", "parameters"}`; the model is a module that the
harness has pickled in a folder of its own. Answer: `{}` when the map lies in its file, `{"missing": true}` where
signxai2 has no wrapper of the name, or `{"error"}`. First of all comes `{"ready": true}`.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any


def main() -> None:
    """Answer until stdin ends."""
    # The folder of this file has modules called `zennit` and `captum`.
    sys.path[:] = [place for place in sys.path if place != str(Path(__file__).resolve().parent)]
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # signxai2 prints
    import numpy as np
    import torch
    from signxai.torch_signxai.methods import wrappers

    models: dict[str, Any] = {}
    answers.write('{"ready": true}\n')
    for line in sys.stdin:
        question = json.loads(line)
        function = getattr(wrappers, question["method"], None)
        if function is None:
            answers.write('{"missing": true}\n')
            continue
        try:
            path = question["model"]
            if path not in models:
                models[path] = torch.load(path, weights_only=False)
            x = torch.from_numpy(np.load(question["x"]))
            made = function(models[path], x, target_class=question["target"], **question["parameters"])
            array = made.detach().cpu().numpy() if isinstance(made, torch.Tensor) else np.asarray(made)
            np.save(question["map"], array)
            answers.write("{}\n")
        except Exception as error:
            traceback.print_exc()
            answers.write(json.dumps({"error": f"{type(error).__name__}: {error}"}) + "\n")


if __name__ == "__main__":
    main()
