"""A rank's part in a run, trained: what brings PyTorch and Lightning, seconds of imports."""

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

from convscope.training.distributed.messages import Begun, Part
from convscope.training.process_group import Ranks

if TYPE_CHECKING:
    from convscope.training.distributed.rank import Command

_MEETING = timedelta(minutes=30)
"""That the ranks wait for each other: the command ends them long before, where one has died."""
_LOOPBACK = ("lo", "lo0")


class _ToCommand(QueueHandler):
    """Hands on what is logged; `QueueHandler.prepare` makes of it what can be pickled."""

    def __init__(self, command: Command) -> None:
        super().__init__(command)  # type: ignore[arg-type]
        self._command = command

    @override
    def enqueue(self, record: logging.LogRecord) -> None:
        self._command.log(record)


def train_part(part: Part, command: Command) -> dict[str, float]:
    """Train it, and give the summary's metrics."""
    torch.set_num_threads(part.hardware.threads)
    ranks = Ranks(part.rank, part.size)
    if ranks.size > 1:
        _meet(part)
    # Here: Lightning asks the environment, which is set by now, for its rank.
    from convscope.training.experiment import Experiment
    from convscope.training.log import logged_to
    from convscope.training.signals import Signals

    request = part.remote.materialize(part.hardware)
    with logged_to(_ToCommand(command) if ranks.is_first else logging.NullHandler()):
        claim = part.claim if ranks.is_first else None
        experiment = Experiment(request, Signals(), claim, ranks)
        if ranks.is_first:
            command.send(Begun(experiment.resumed_from_epoch, experiment.headline()))
        return experiment.run()


def _meet(part: Part) -> None:
    """Take this rank's device and its place among the ranks."""
    rank = str(part.rank)
    os.environ |= {"RANK": rank, "LOCAL_RANK": rank, "NODE_RANK": "0"}
    device = None
    if part.hardware.accelerator == "cuda":
        device = torch.device("cuda", part.rank)
        torch.cuda.set_device(device)
    for _, name in socket.if_nameindex():
        if name in _LOOPBACK:
            # All are on this machine: gloo would look up the machine's name, and listen outside.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    torch.distributed.init_process_group(
        "nccl" if device is not None and torch.distributed.is_nccl_available() else "gloo",
        init_method=f"file://{part.meeting.as_posix()}",
        rank=part.rank,
        world_size=part.size,
        timeout=_MEETING,
        device_id=device,
    )
