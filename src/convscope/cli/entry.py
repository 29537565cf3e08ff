"""Where the commands start: signals are answered before what takes seconds is imported."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C, the end that a system asks for, a closed terminal; Windows has not all of them."""


def train() -> None:
    """`scripts/train.py`, `convscope-train`."""
    _run("convscope.cli.train", "train")


def explain() -> None:
    """`scripts/explain.py`, `convscope-explain`."""
    _run("convscope.cli.explain", "main")


def compare() -> None:
    """`scripts/compare.py`, `convscope-compare`."""
    _run("convscope.cli.compare", "main")


def benchmark() -> None:
    """`scripts/benchmark.py`, `convscope-benchmark`."""
    _run("convscope.cli.benchmark", "main")


def predict() -> None:
    """`scripts/predict.py`, `convscope-predict`."""
    _run("convscope.cli.predict", "main")


def _run(module: str, function: str) -> None:
    """Import a command's function, call it, and exit with the code that it gives."""
    signals = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    # What whoever started the command has it ignore, as nohup does, stays ignored.
    answered = [one for one in signals if signal.getsignal(one) != signal.SIG_IGN]
    for one in answered:
        signal.signal(one, _interrupt)
    from convscope.errors import interrupted_code

    try:
        from importlib import import_module

        from convscope.streams import open_missing

        open_missing()
        code = getattr(import_module(module), function)()
    except KeyboardInterrupt as stop:
        code = interrupted_code(stop)
    finally:
        # All is done and told: what Python still tears down is not worth a traceback.
        for one in answered:
            signal.signal(one, _exit)
    sys.exit(code)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    # Raised in the middle of an import, KeyboardInterrupt comes out of C extensions as another
    # error, or is printed and passed over. Nothing that is being imported has work to undo.
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _exit(signum)
        frame = frame.f_back
    # Also for SIGTERM: by default nothing would be tidied up, a half-written file among it.
    raise KeyboardInterrupt(signum)


def _exit(signum: int, *_: object) -> None:
    os._exit(128 + signum)
