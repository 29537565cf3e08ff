"""What a worker process is asked for; imports PyTorch and Lightning, which takes seconds."""

from __future__ import annotations

import logging
import os
import pkgutil
import socket
import traceback
from datetime import timedelta
from logging.handlers import QueueHandler
from typing import TYPE_CHECKING

import torch
import torch.distributed
from typing_extensions import override

from convscope.errors import UserError
from convscope.training.devices import free_memory
from convscope.training.distributed.messages import Failed, Finished, Returned, Started, WorkerSpec
from convscope.training.log import logged_to
from convscope.training.process_group import ProcessGroup
from convscope.training.signals import Signals

if TYPE_CHECKING:
    from convscope.training.distributed.worker import Command

_RENDEZVOUS_TIMEOUT = timedelta(minutes=30)
"""How long ranks wait for each other; where one has died, the command ends them long before."""
_LOOPBACK = ("lo", "lo0")


class _ToCommand(QueueHandler):
    """Hands on what is logged; `QueueHandler.prepare` makes of it what can be pickled."""

    def __init__(self, command: Command) -> None:
        super().__init__(command)  # type: ignore[arg-type]
        self._command = command

    @override
    def enqueue(self, record: logging.LogRecord) -> None:
        self._command.log(record)


def follow(command: Command) -> None:
    """Follow the command's instructions until it ends, or until one of them fails."""
    while True:
        # Also when it has trained its part: gloo may abort a rank whose peer is gone.
        instruction = command.next_instruction()
        try:
            if isinstance(instruction, WorkerSpec):
                command.send(train_worker(instruction, command))
            else:
                function = pkgutil.resolve_name(instruction.function)
                command.send(Returned(function(*instruction.arguments)))
        except UserError as error:
            command.send(Failed(str(error), True, traceback.format_exc()))
        except Exception as error:  # noqa: BLE001 (told to the command, which raises it)
            reason = f"{type(error).__name__}: {error}"
            command.send(Failed(reason, False, traceback.format_exc()))
            # Nobody knows what it has left in memory.
            return
        if isinstance(instruction, WorkerSpec):
            free_memory(instruction.hardware)


def train_worker(spec: WorkerSpec, command: Command) -> Finished:
    """Train this rank's part of the run and return what came of it."""
    torch.set_num_threads(spec.hardware.threads)
    process_group = ProcessGroup(spec.rank, spec.world_size)
    if process_group.world_size > 1:
        _join(spec)
    # Here: Lightning asks the environment, which is set by now, for its rank.
    from convscope.training.experiment import Experiment
    from convscope.training.loggers import make_loggers

    request = spec.remote.materialize(spec.hardware)
    is_first = process_group.is_first
    with logged_to(_ToCommand(command) if is_first else logging.NullHandler()):
        claim = spec.claim if is_first else None
        loggers = make_loggers(request) if is_first else []
        experiment = Experiment(request, Signals(), claim, loggers, process_group)
        if is_first:
            command.send(Started(experiment.resumed_from_epoch, experiment.headline()))
        return Finished(experiment.run(), experiment.pruned)


def _join(spec: WorkerSpec) -> None:
    """Choose this rank's device and join the process group."""
    rank = str(spec.rank)
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "NODE_RANK": "0"}
    device = None
    if spec.hardware.accelerator == "cuda":
        device = torch.device("cuda", spec.rank)
        torch.cuda.set_device(device)
    for _, name in socket.if_nameindex():
        if name in _LOOPBACK:
            # All are on this machine: gloo would look up the machine's name, and listen outside.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    torch.distributed.init_process_group(
        "nccl" if device is not None and torch.distributed.is_nccl_available() else "gloo",
        init_method=f"file://{spec.rendezvous_file.as_posix()}",
        rank=spec.rank,
        world_size=spec.world_size,
        timeout=_RENDEZVOUS_TIMEOUT,
        device_id=device,
    )
