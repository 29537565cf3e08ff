"""Where the commands start: signals are answered before what takes seconds is imported."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""Ctrl-C, the end that a system asks for, a closed terminal; Windows has not all of them."""


_COMMANDS = {
    "train": "train one variant, or sweep a grid with -m",
    "explain": "what kernel size, stride and padding do, without training",
    "compare": "which variants are better, by how much, and at what cost",
    "predict": "which class a trained run takes images for",
    "benchmark": "how fast training is",
}
_USAGE = (
    "convscope COMMAND ...\n\n"
    + "".join(f"  {name:<10} {what}\n" for name, what in _COMMANDS.items())
    + "\nconvscope COMMAND --help says more."
)


def main() -> None:
    """`convscope COMMAND ...`: what `python scripts/COMMAND.py ...` does."""
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
    """`convscope-train`."""
    run("train")


def explain() -> None:
    """`convscope-explain`."""
    run("explain")


def compare() -> None:
    """`convscope-compare`."""
    run("compare")


def benchmark() -> None:
    """`convscope-benchmark`."""
    run("benchmark")


def predict() -> None:
    """`convscope-predict`."""
    run("predict")


def run(command: str) -> NoReturn:
    """Import a command's module, call its `main`, and exit with the code that this returns."""
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
        code = import_module(f"convscope.cli.{command}").main()
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
