"""From the prompt back to the prompt: `scripts/train.py` as a process of its own."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass

from convscope.errors import UserError

# What scripts/train.py does, also where ConvScope is installed without its scripts.
_TRAIN = "from convscope.cli.train import train; train()"


@dataclass(frozen=True)
class Prompt:
    """A command and the seconds of wall time that it took."""

    command: str
    seconds: float


def prompt_to_prompt(overrides: Sequence[str], epochs: int) -> Prompt:
    """Time one run, imports, data and results included.

    Raises:
        UserError: the run failed.
    """
    words = [*overrides, f"trainer.max_epochs={epochs}"]
    with tempfile.TemporaryDirectory(prefix="convscope-benchmark-") as folder:
        began = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-c", _TRAIN, *words, f"output_dir={folder}"],
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - began
    command = shlex.join(["python", "scripts/train.py", *words])
    if done.returncode:
        reason = (done.stderr.strip() or "no message").splitlines()[-1]
        raise UserError(f"{command} failed: {reason}")
    return Prompt(command, seconds)
