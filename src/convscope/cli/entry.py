"""Entry points of the commands: signal handlers are installed before slow imports begin."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from types import FrameType
from typing import NoReturn

from convscope.errors import interrupted_code

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C, termination, a closed terminal; Windows lacks some of them."""

_COMMANDS = {
    "train": "train one variant, or sweep a grid with -m",
    "explain": "what kernel size, stride and padding do, without training",
    "compare": "which variants are better, by how much, and at what cost",
    "predict": "the class that a trained run predicts for each image",
    "benchmark": "how fast training is",
}
_USAGE = (
    "convscope COMMAND ...\n\n"
    + "".join(f"  {name:<10} {what}\n" for name, what in _COMMANDS.items())
    + "\nconvscope COMMAND --help explains a command."
)


def main() -> None:
    """Run `convscope COMMAND ...`, which does the same as `python scripts/COMMAND.py ...`."""
    command = sys.argv[1] if len(sys.argv) > 1 else "nothing"
    if command in _COMMANDS:
        del sys.argv[1]
        run(command)
    if command in ("-h", "--help"):
        print(_USAGE)
        sys.exit(0)
    names = ", ".join(_COMMANDS)
    print(f"error: name one of {names}, got {command}: see --help", file=sys.stderr)
    sys.exit(2)


def train() -> None:
    """Run `convscope-train`."""
    run("train")


def explain() -> None:
    """Run `convscope-explain`."""
    run("explain")


def compare() -> None:
    """Run `convscope-compare`."""
    run("compare")


def benchmark() -> None:
    """Run `convscope-benchmark`."""
    run("benchmark")


def predict() -> None:
    """Run `convscope-predict`."""
    run("predict")


def run(command: str) -> NoReturn:
    """Import a command's module, call its `main`, and exit with the code that it returns."""
    signals = [getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)]
    # A signal that was ignored when the command started, as by nohup, stays ignored.
    handled = [signum for signum in signals if signal.getsignal(signum) != signal.SIG_IGN]
    for signum in handled:
        signal.signal(signum, _interrupt)
    try:
        from convscope.streams import open_missing

        open_missing()
        code = import_module(f"convscope.cli.{command}").main()
    except KeyboardInterrupt as stop:
        code = interrupted_code(stop)
    finally:
        # The command is done: a signal during Python's shutdown must not print a traceback.
        for signum in handled:
            signal.signal(signum, _exit)
    sys.exit(code)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    # During an import, C extensions turn KeyboardInterrupt into another error, or print and ignore
    # it. Modules that are being imported have nothing to clean up, so exit at once.
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            _exit(signum)
        frame = frame.f_back
    # Also for SIGTERM, whose default would skip all cleanup and leave half-written files.
    raise KeyboardInterrupt(signum)


def _exit(signum: int, *_: object) -> None:
    os._exit(128 + signum)
