"""Measurement of the networks of finished runs, in the process that the command starts for it."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from convscope.errors import UserError
from convscope.inference import TrainedVariant, load_run
from convscope.latency.turns import ROUNDS, Turn, calls_per_turn, in_turns
from convscope.metrics import LATENCY_BATCHES, METRICS, latencies
from convscope.runs.directory import RunDirectory
from convscope.runs.environment import source_versions
from convscope.runs.lock import RunLocked
from convscope.runs.record import RunRecord, current_record, record_errors, utc_now, with_metrics
from convscope.training.callbacks.throughput import synchronizer
from convscope.training.devices import device_name, device_of
from convscope.training.record import amend_record

Forward = Callable[[Tensor], Tensor]
Runs = list[tuple[RunDirectory, RunRecord]]


@dataclass
class Measured:
    """Outcome of a measurement.

    Attributes:
        records: the records with their latencies, by the run's folder.
        networks: number of networks measured.
        problems: a line for each run or network that could not be measured.
    """

    records: dict[Path, RunRecord] = field(default_factory=dict)
    networks: int = 0
    problems: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Network:
    """A network to measure, with the runs that get its latencies.

    Attributes:
        forward: class scores of images on `device`, in evaluation mode.
        input_shape: (channels, height, width).
        precision: 32-true or bf16-mixed, as in the run's evaluation.
    """

    runs: Runs
    forward: Forward
    input_shape: tuple[int, int, int]
    device: torch.device
    precision: str

    @property
    def environment(self) -> dict[str, Any]:
        """The part of a record's `environment.latency` that is known before the measurement."""
        return {
            "device": device_name(self.device.type),
            "accelerator": self.device.type,
            "precision": self.precision,
            "threads": torch.get_num_threads(),
            "torch": source_versions()["torch"],
        }


def measure(folders: Sequence[Path]) -> Measured:
    """Measure the networks of finished runs in turns, and write the latencies into their records.

    Runs of the same network, such as the seeds of a variant, get the values of one of them: how
    long a forward pass takes does not depend on what the weights are. Nothing is written until all
    are measured.

    Args:
        folders: of runs; runs that are not finished are left out.

    Raises:
        UserError: a record cannot be written.
    """
    result = Measured()
    networks = [
        network
        for runs in _by_network(folders, result).values()
        if (network := _load(runs, result)) is not None
    ]
    turns = {
        (number, batch): turn_of(one.forward, one.device, one.precision, one.input_shape, batch)
        for batch in LATENCY_BATCHES
        for number, one in enumerate(networks)
    }
    calls: dict[tuple[int, int], int] = {}
    for (number, batch), turn in list(turns.items()):
        try:
            calls[number, batch] = calls_per_turn(turn)
        except RuntimeError as error:
            # Too little memory, or an operation that the device lacks.
            del turns[number, batch]
            name = networks[number].runs[0][1].name
            reason = str(error).strip().partition("\n")[0]
            result.problems.append(f"{name}: batch of {batch} not measured: {reason}")
    bar = tqdm(range(ROUNDS), "measuring latency", leave=False, disable=not sys.stderr.isatty())
    seconds = in_turns(turns, calls, bar)
    measured_at = utc_now()
    for number, one in enumerate(networks):
        of_batches = {
            batch: seconds[number, batch] for batch in LATENCY_BATCHES if (number, batch) in turns
        }
        if of_batches:
            result.networks += 1
            _record(one, of_batches, measured_at, result)
    return result


def _by_network(folders: Sequence[Path], result: Measured) -> dict[str, Runs]:
    """Return the finished runs by what their network, device and precision follow from."""
    runs: dict[str, Runs] = {}
    for folder in folders:
        try:
            record = current_record(folder)
            if record.status != "finished":
                continue
            with record_errors(record):
                config, data = record.config, record.dataset
                key = json.dumps(
                    [
                        *(config["conv"], config["model"], data["input_shape"]),
                        *(len(data["classes"]), config["data"].get("test_flip", False)),
                        *(device_of(record).type, record.environment["precision"]),
                    ],
                    sort_keys=True,
                )
        except UserError as error:
            result.problems.append(f"{folder.name} not measured: {error}".replace("\n", "; "))
        else:
            runs.setdefault(key, []).append((RunDirectory(folder), record))
    return runs


def _load(runs: Runs, result: Measured) -> Network | None:
    """Return the network of the first of these runs with a usable checkpoint; None without one."""
    for directory, record in runs:
        try:
            trained: TrainedVariant = load_run(directory.path, directory.path.parent)
        except UserError as error:
            result.problems.append(f"{record.name} not measured: {error}".replace("\n", "; "))
            continue
        device = device_of(record)
        trained.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        precision = record.environment["precision"]
        return Network(runs, trained.class_scores, trained.input_shape, device, precision)
    return None


def turn_of(
    forward: Forward,
    device: torch.device,
    precision: str,
    input_shape: tuple[int, int, int],
    batch: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Turn:
    """Return what makes a network's calls in a turn.

    Args:
        forward: class scores of images, by a network in evaluation mode.
        device: of the calls; it is idle when the clock is read.
        precision: bf16-mixed computes in bfloat16 as Lightning's evaluation does.
        input_shape: (channels, height, width).
        batch: images per call.
        clock: seconds.
    """
    synchronize = synchronizer(device)
    mixed = precision == "bf16-mixed"

    @torch.inference_mode()
    def turn(calls: int) -> list[float]:
        images = _images(input_shape, batch, device)
        seconds = []
        with torch.autocast(device.type, torch.bfloat16, mixed, cache_enabled=False):
            # Other networks have had the caches since this one's last turn.
            forward(images)
            synchronize()
            for _ in range(calls):
                started = clock()
                forward(images)
                synchronize()
                seconds.append(clock() - started)
        return seconds

    return turn


def _images(input_shape: tuple[int, int, int], batch: int, device: torch.device) -> Tensor:
    """Return noise with the mean and deviation of normalised images, in channels_last memory."""
    noise = torch.randn(batch, *input_shape, generator=torch.Generator().manual_seed(0))
    return noise.to(device, memory_format=torch.channels_last)


def _record(
    one: Network, seconds: dict[int, list[float]], measured_at: str, result: Measured
) -> None:
    """Write a network's latencies into the records of its runs."""
    values = {
        metric.name: 1000 * float(np.percentile(seconds[calls.batch], calls.percentile))
        for metric in METRICS.values()
        if (calls := metric.of_calls) is not None and calls.batch in seconds
    }
    latency = one.environment | {
        "calls": {str(batch): len(of_batch) for batch, of_batch in seconds.items()},
        "measured_at": measured_at,
    }

    def change(record: RunRecord) -> RunRecord:
        return with_metrics(record, latencies(), values, {"latency": latency})

    for directory, record in one.runs:
        if not directory.record.exists():
            result.problems.append(f"{directory.path} was deleted or moved meanwhile")
            continue
        try:
            result.records[directory.path] = amend_record(directory, change)
        except RunLocked:
            result.problems.append(f"{record.name}: another process uses it; nothing was recorded")
