"""What a run is computed on, and a GPU's memory after it."""

import os
import weakref
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from convscope.config.compose import compose_config
from convscope.errors import UserError
from convscope.sweep.executors.serial import SerialExecutor
from convscope.training.devices import free_memory, resolve_hardware
from convscope.training.distributed import worker
from convscope.training.distributed.messages import Failed, Finished, Message, WorkerSpec
from convscope.training.hardware import Hardware
from convscope.training.resolve import RunResolver


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx512_f": True, "avx512_bf16": False}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_precision_is_what_the_cpu_computes_in(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], precision: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    config = replace(compose_config([]).trainer, accelerator="cpu")
    assert resolve_hardware(config).precision == precision
    assert resolve_hardware(replace(config, precision="32-true")).precision == "32-true"


@pytest.mark.parametrize(
    ("threads", "devices", "each"), [(8, 1, 8), (8, 2, 4), (8, 3, 2), (1, 2, 1)]
)
def test_devices_share_the_threads(
    monkeypatch: pytest.MonkeyPatch, threads: int, devices: int, each: int
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    monkeypatch.setattr("convscope.training.devices.cores", lambda: 8)
    config = replace(compose_config([]).trainer, accelerator="cpu", devices=devices)
    hardware = resolve_hardware(config)
    assert (hardware.devices, hardware.threads) == (devices, each)
    assert hardware.strategy == ("ddp" if devices > 1 else "auto")


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"accelerator": "gpu"}, "trainer.accelerator=gpu: this machine has none"),
        ({"accelerator": "cuda"}, "trainer.accelerator=cuda: this machine has none"),
        ({"accelerator": "mps"}, "trainer.accelerator=mps: this machine has none"),
        (
            {"accelerator": "cpu", "devices": 5},
            "trainer.devices must be at most 4 on this machine, got 5",
        ),
    ],
)
def test_hardware_that_is_not_there_is_refused(
    monkeypatch: pytest.MonkeyPatch, typed: dict[str, Any], message: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr("convscope.training.devices.cores", lambda: 4)
    with pytest.raises(UserError, match=message):
        resolve_hardware(replace(compose_config([]).trainer, **typed))


def test_cublas_is_told_in_time_that_its_results_must_be_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    properties = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: properties)
    trainer = compose_config([]).trainer
    hardware = resolve_hardware(trainer)
    assert (hardware.accelerator, hardware.memory) == ("cuda", 80 * 2**30)
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    resolve_hardware(replace(trainer, deterministic=True))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_a_process_started_later_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sweep's runs are trained, after a crash, in another process than the one first asked."""
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    found = Hardware("cuda", "a GPU", 1, "bf16-mixed", 1)
    process = SimpleNamespace(call=lambda function, trainer: found)
    monkeypatch.setattr("convscope.sweep.executors.serial.child", lambda: process)
    trainer = compose_config([]).trainer
    resolver = RunResolver(SerialExecutor().hardware)
    for deterministic in (False, True):
        one = replace(trainer, deterministic=deterministic)
        assert resolver._hardware_for(SimpleNamespace(trainer=one)) == found
        assert ("CUBLAS_WORKSPACE_CONFIG" in os.environ) is deterministic


def test_a_gpu_gets_its_memory_back(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Cycle:
        def __init__(self) -> None:
            self.itself = self

    alive = weakref.ref(Cycle())
    seen: list[object] = []

    def empty_cache() -> None:
        seen.append(alive())
        raise RuntimeError("captures_underway.empty() INTERNAL ASSERT FAILED")

    monkeypatch.setattr(torch.cuda, "empty_cache", empty_cache)
    hardware = Hardware("cuda", "a GPU", 1, "bf16-mixed", 1)
    free_memory(replace(hardware, accelerator="cpu"))
    assert seen == []
    free_memory(hardware)
    assert seen == [None]
    assert "memory could not be given back: captures_underway" in caplog.text


def test_a_rank_gives_a_gpu_its_memory_back_after_each_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the process that trained it: the command's own has no part of the GPU."""
    events: list[object] = []
    hardware = Hardware("cuda", "a GPU", 1, "bf16-mixed", 1)
    parts = [WorkerSpec(None, hardware, 0, 1, Path(), None)] * 2  # type: ignore[arg-type]

    class Stopped(Exception):
        pass

    class Command:
        def next_instruction(self) -> WorkerSpec:
            if not parts:
                raise Stopped
            return parts.pop()

        def send(self, message: Message) -> None:
            events.append(message)

    def train_worker(part: WorkerSpec, command: Command) -> Finished:
        if not parts:
            raise UserError("the loss is nan")
        return Finished({})

    monkeypatch.setattr(worker, "Command", Command)
    monkeypatch.setattr("convscope.training.distributed.train_worker.train_worker", train_worker)
    monkeypatch.setattr("convscope.training.distributed.train_worker.free_memory", events.append)
    with pytest.raises(Stopped):
        worker.main()
    ended, freed, failed, freed_again = events
    assert ended == Finished({})
    assert isinstance(failed, Failed)
    assert (freed, freed_again) == (hardware, hardware)
