"""Sweeps typed at a prompt, in processes of their own, and what they left."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import convscope

SOURCE = Path(convscope.__file__).parents[1]
SCRIPT = SOURCE.parent / "scripts" / "train.py"
TINY = (
    "data=digits",
    "trainer.accelerator=cpu",
    "model.channels=[4,8]",
    "trainer.max_epochs=30",
    "trainer.limit_train_batches=10",
    "trainer.log_every_n_steps=5",
)
GRID = ("conv.stride=1,2", "seed=0,1")
Type = Callable[..., "Typed"]
SPEED = {"train_samples_per_sec", "step_ms"}


@dataclass
class Typed:
    """A command that runs."""

    process: "subprocess.Popen[str]"
    folder: Path

    def ended(self) -> tuple[int, str, str]:
        """Exit code, and what was printed on both streams."""
        out, err = self.process.communicate(timeout=480)
        return self.process.returncode, out, err

    def wait_for(self, condition: Callable[[], Any], seconds: float = 240) -> Any:
        """What the condition found, once it has found something."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.02)
        return found

    def after_an_epoch(self, *names: str) -> Path:
        """The folder of a run with these words in its name that can resume from an epoch."""

        def found() -> Path | None:
            for history in self.folder.glob("outputs/*/*/history.csv"):
                if all(name in history.parent.name for name in names):
                    with history.open() as file:
                        # A second row: the first epoch's checkpoint is written by then.
                        if len(file.readlines()) > 2:
                            return history.parent
            return None

        return self.wait_for(found)


def records(folder: Path) -> dict[str, dict[str, Any]]:
    """By variant and seed, as `k3-s2-p1-seed0`."""
    found = {}
    for path in folder.glob("outputs/*/*/run.json"):
        record = json.loads(path.read_text())
        found[f"{record['variant']}-seed{record['config']['seed']}"] = record
    return found


def results(found: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """The metrics that are the same wherever a run is trained."""
    return {
        name: {key: value for key, value in record["metrics"].items() if key not in SPEED}
        for name, record in found.items()
    }


def holder(run: Path) -> int:
    """The process that trains a run: the one that has its lock open."""
    if sys.platform != "linux":
        pytest.skip("who holds a file is read from Linux's /proc")
    lock = os.stat(run / ".lock")
    for process in Path("/proc").glob("[0-9]*"):
        for file in process.glob("fd/*"):
            try:
                if os.path.samestat(file.stat(), lock):
                    return int(process.name)
            except OSError:
                continue  # It was closed, or ended, just now.
    raise AssertionError(f"nobody trains {run}")


def pause(run: Path) -> int:
    """The process that trains a run, stopped: the run cannot end before what is done to it next."""
    process = holder(run)
    os.kill(process, signal.SIGSTOP)
    return process


def deaths(err: str) -> list[str]:
    return re.findall(r"^\S+: (.*; tried again, \d of \d)$", err, re.MULTILINE)
