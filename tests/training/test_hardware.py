"""What a run is computed on, and a GPU's memory after it."""

import os
import weakref
from dataclasses import replace
from typing import Any

import pytest
import torch

from convscope.compose import compose_config
from convscope.errors import UserError
from convscope.training.hardware import Hardware, free_memory, resolve_hardware


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
    monkeypatch.setattr("convscope.training.hardware.cores", lambda: 8)
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
    monkeypatch.setattr("convscope.training.hardware.cores", lambda: 4)
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
    trainer = compose_config([]).trainer
    assert resolve_hardware(trainer).accelerator == "cuda"
    assert "CUBLAS_WORKSPACE_CONFIG" not in os.environ
    resolve_hardware(replace(trainer, deterministic=True))
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


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
