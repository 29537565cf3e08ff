"""Where the commands start: Ctrl-C is answered before what takes seconds is imported."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 128 + signal.SIGINT
"""Exit code."""


def train() -> None:
    """`scripts/train.py`, `convscope-train`."""
    _run("convscope.cli", "train")


def explain() -> None:
    """`scripts/explain.py`, `convscope-explain`."""
    _run("convscope.explain.command", "main")


def compare() -> None:
    """`scripts/compare.py`, `convscope-compare`."""
    _run("convscope.compare.command", "main")


def benchmark() -> None:
    """`scripts/benchmark.py`, `convscope-benchmark`."""
    _run("convscope.benchmark.command", "main")


def predict() -> None:
    """`scripts/predict.py`, `convscope-predict`."""
    _run("convscope.predict", "main")


def _run(module: str, function: str) -> None:
    """Import a command's function, call it, and exit with the code that it gives."""
    signal.signal(signal.SIGINT, _interrupt)
    try:
        from importlib import import_module

        from convscope.streams import open_missing

        open_missing()
        code = getattr(import_module(module), function)()
    except KeyboardInterrupt:
        code = INTERRUPTED
    finally:
        # All is done and told: what Python still tears down is not worth a traceback.
        signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
    sys.exit(code)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    # Raised in the middle of an import, KeyboardInterrupt comes out of C extensions as another
    # error, or is printed and passed over. Nothing that is being imported has work to undo.
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt
