"""Fetches the official ImageNet weights of VGG16 and VGG19 into Keras' own cache, through keras.applications.

Run it in the TensorFlow environment (`make weights` does):

    .venv-reference/bin/python weights/fetch.py            # both, about 1.1 GB; or name one

Keras checks the published hash. What is there already and has it is not fetched again. Exit code 0 when all
that was asked for is there, 2 with one sentence when it is not.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

# Keras 2.12 downloads to ~/.keras whatever KERAS_HOME says, but with KERAS_HOME set it may not make that
# folder and then turns to /tmp, where nobody looks.
os.environ.pop("KERAS_HOME", None)
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
PATIENCE_SECONDS = 30.0
NAMES = {"vgg16": "VGG16", "vgg19": "VGG19"}


def fetch(name: str) -> str | None:
    """Fetch one network's weights; return None, or a sentence that says why they are not there."""
    from tensorflow import keras

    cache = Path.home() / ".keras" / "models"
    try:
        getattr(keras.applications, NAMES[name])(weights="imagenet")
    except Exception as error:  # Keras raises bare Exception when a download fails
        reason = " ".join(str(error).split()) or type(error).__name__
        return (
            f"the weights of {name} could not be fetched ({reason}); without a network, put the published .h5 "
            f"into {cache} or work with {name}-seeded"
        )
    finally:
        keras.backend.clear_session()
    path = cache / f"{name}_weights_tf_dim_ordering_tf_kernels.h5"
    if not path.is_file():
        return f"Keras fetched the weights of {name}, but not to {path}: is {cache.parent} writable?"
    sys.stdout.write(f"{name}: {path} ({path.stat().st_size:,} bytes, published hash)\n")
    return None


def main() -> int:
    """Read the command line, fetch what it names, and return the exit code."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("names", nargs="*", default=list(NAMES), metavar="NAME", help=", ".join(NAMES))
    names = parser.parse_args().names
    if unknown := [name for name in names if name not in NAMES]:
        parser.error(f"{unknown[0]!r} is neither of {', '.join(NAMES)}")
    socket.setdefaulttimeout(PATIENCE_SECONDS)
    for name in names:
        if problem := fetch(name):
            sys.stderr.write(f"{problem}\n")
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
