"""Processes of this machine as submitit's cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import submitit

from convscope.config.errors import LAUNCHER
from convscope.config.schema import TrainerConfig
from convscope.cores import cores
from convscope.errors import UserError
from convscope.sweep.executors.options import LocalOptions
from convscope.sweep.executors.submitit import Job
from convscope.training.devices import resolve_hardware
from convscope.training.hardware import Hardware
from convscope.training.request import HandedRequest

_YEAR_MIN = 365 * 24 * 60
"""submitit wants to know after how many minutes a process is to be killed."""


class LocalCluster:
    """As many processes side by side as the machine has cores for.

    Raises:
        UserError: more cores per run than there are.
    """

    def __init__(self, options: LocalOptions) -> None:
        self.options = options
        self._cores = cores()
        if options.cpus_per_task > self._cores:
            raise UserError(
                f"{LAUNCHER}cpus_per_task must be at most the {self._cores} cores of this machine,"
                f" got {options.cpus_per_task}"
            )
        self._executor = submitit.LocalExecutor(folder=options.folder)
        self._executor.update_parameters(timeout_min=_YEAR_MIN)

    def at_once(self, alone: bool) -> int:
        return 1 if alone else self._cores // self.options.cpus_per_task

    def hardware(self, trainer: TrainerConfig) -> Hardware:
        hardware = resolve_hardware(trainer)
        if hardware.accelerator != "cpu":
            raise UserError(
                "hydra/launcher=submitit_local trains on the CPU: add trainer.accelerator=cpu\n"
                "hydra/launcher=ray shares GPUs out"
            )
        return hardware

    def submit(self, alone: bool, function: Callable[..., Any], *arguments: Any) -> Job:
        return self._executor.submit(function, *arguments)

    def work(self, handed: HandedRequest, alone: bool) -> tuple[Any, ...]:
        threads = self._cores if alone else self.options.cpus_per_task
        return handed, threads, not alone and self.at_once(alone) > 1, alone

    def end_of(self, job: Job) -> str | None:
        return "its process died" if job.done() else None
