"""Training in a worker process; imports PyTorch and Lightning, which takes seconds."""

from __future__ import annotations

import logging
import os
import socket
from datetime import timedelta
from logging.handlers import QueueHandler
from typing import TYPE_CHECKING

import torch
import torch.distributed
from typing_extensions import override

from convscope.training.distributed.messages import Started, WorkerSpec
from convscope.training.process_group import ProcessGroup

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


def train_worker(spec: WorkerSpec, command: Command) -> dict[str, float]:
    """Train this rank's part of the run and return the summary's metrics."""
    torch.set_num_threads(spec.hardware.threads)
    process_group = ProcessGroup(spec.rank, spec.world_size)
    if process_group.world_size > 1:
        _join(spec)
    # Here: Lightning asks the environment, which is set by now, for its rank.
    from convscope.training.experiment import Experiment
    from convscope.training.log import logged_to
    from convscope.training.loggers import make_loggers
    from convscope.training.signals import Signals

    request = spec.remote.materialize(spec.hardware)
    is_first = process_group.is_first
    with logged_to(_ToCommand(command) if is_first else logging.NullHandler()):
        claim = spec.claim if is_first else None
        loggers = make_loggers(request) if is_first else []
        experiment = Experiment(request, Signals(), claim, loggers, process_group)
        if is_first:
            command.send(Started(experiment.resumed_from_epoch, experiment.headline()))
        return experiment.run()


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
