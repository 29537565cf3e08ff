"""A whole record, and Python code in a process of its own, to be killed."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import convscope
from convscope.runs.record import RunRecord

SOURCE = Path(convscope.__file__).parents[1]


@pytest.fixture
def record() -> RunRecord:
    return RunRecord(
        id="0123456789abcdef" * 4,
        study="strides",
        name="digits-k3-s2-p1-seed0-01234567",
        status="finished",
        variant="k3-s2-p1",
        command="python scripts/train.py conv.stride=2",
        config={"seed": 0, "optim": {"lr": 0.01}, "model": {"channels": [16, 32, 64]}},
        dataset={
            "name": "digits",
            "train": 1257,
            "val": 180,
            "test": 360,
            "input_shape": [1, 28, 28],
            "fingerprint": "f00d",
        },
        geometry=[
            {
                "name": "conv1",
                "in_shape": [1, 28, 28],
                "out_shape": [16, 14, 14],
                "kernel_size": [3, 3],
                "stride": [2, 2],
                "padding": [[1, 1], [1, 1]],
                "receptive_field": [3, 3],
                "macs": 28_224,
                "params": 144,
                "unread_border": [{"image": 1, "padding": 0}, {"image": 1, "padding": 0}],
                "padding_share": 0.13775510204081631,
            }
        ],
        params=24_000,
        macs=1_000_000,
        metrics={"test_accuracy": 0.1 + 0.2, "step_ms": 3.5, "params": 24_000},
        environment={
            "git": None,
            "versions": {"torch": "2.14.1"},
            "device": "cpu",
            "threads": 2,
            "precision": "bf16-mixed",
        },
        started_at="2026-01-31T12:00:00.250Z",
        ended_at="2026-01-31T12:00:30Z",
        duration_s=29.75,
    )


@pytest.fixture
def running(record: RunRecord) -> RunRecord:
    return dataclasses.replace(record, status="running", ended_at=None, duration_s=None)


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[str]"]]:
    """Start code and wait for it to print `ready`; what still runs at the end is killed."""
    processes: list[subprocess.Popen[str]] = []

    def run(code: str, *arguments: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"PYTHONPATH": f"{SOURCE}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"},
        )
        processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield run
    for process in processes:
        process.kill()
        process.communicate()
