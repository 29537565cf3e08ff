"""Whole records to vary."""

import dataclasses

from convscope.runs.record import RunRecord

RECORD = RunRecord(
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
    geometry=[{"name": "conv1", "in_shape": [1, 28, 28], "out_shape": [16, 14, 14]}],
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
RUNNING = dataclasses.replace(RECORD, status="running", ended_at=None, duration_s=None)
