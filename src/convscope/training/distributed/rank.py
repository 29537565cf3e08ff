"""A rank's process, `python -m convscope.training.distributed.rank`: does what it is asked for.

It claims nothing and writes no record: that is the command's, which hears the signals and ends it.
What else a run leaves on disk the first rank writes.
"""

from __future__ import annotations

import os
import pickle
import pkgutil
import queue
import socket
import threading
import traceback
from contextlib import suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed

from convscope.errors import UserError
from convscope.training.distributed.messages import (
    Begun,
    Call,
    Ended,
    Failed,
    Line,
    Message,
    Part,
    Returned,
    Shown,
)

_MEETING = timedelta(minutes=30)
"""That the ranks wait for each other: the command ends them long before, where one has died."""
_LOOPBACK = ("lo", "lo0")


def main() -> None:
    command = Command()
    while True:
        # Also when it has trained its part: gloo may abort a rank whose peer is gone.
        asked = command.next_asked()
        try:
            if isinstance(asked, Part):
                command.send(Ended(_train(asked, command)))
            else:
                command.send(Returned(_call(asked)))
        except UserError as error:
            command.send(Failed(str(error), True, traceback.format_exc()))
        except Exception as error:  # noqa: BLE001 (told to the command, which raises it)
            reason = f"{type(error).__name__}: {error}"
            command.send(Failed(reason, False, traceback.format_exc()))
            # Nobody knows what it has left in memory.
            return


class Command:
    """The other end of this process's stdin and stdout; ends this process when it is gone."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb")
        # What else is printed must not get among the messages.
        os.dup2(2, 1)
        self._asked: queue.SimpleQueue[Part | Call] = queue.SimpleQueue()
        self._shown: queue.SimpleQueue[Shown] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, message: Message) -> None:
        pickle.dump(message, self._out)
        self._out.flush()

    def show(self, line: str) -> None:
        self.send(Line(line))
        self._shown.get()

    def next_asked(self) -> Part | Call:
        """Wait for what is asked for next."""
        return self._asked.get()

    def _listen(self) -> None:
        with open(0, "rb", closefd=False) as stdin, suppress(EOFError, pickle.UnpicklingError):
            while True:
                said = pickle.load(stdin)
                (self._shown if isinstance(said, Shown) else self._asked).put(said)
        # Nobody holds the claim on the run any more.
        os._exit(1)


def _call(call: Call) -> Any:
    return pkgutil.resolve_name(call.function)(*call.arguments)


def _train(part: Part, command: Command) -> dict[str, float]:
    torch.set_num_threads(part.hardware.threads)
    if part.ranks.size > 1:
        _meet(part)
    # Here: Lightning asks the environment, which is set by now, for its rank.
    from convscope.training.experiment import Experiment
    from convscope.training.log import logged_to
    from convscope.training.signals import Signals

    request, ranks = part.handed.receive(part.hardware), part.ranks
    writes = ranks.is_first and not request.config.trainer.fast_dev_run
    with logged_to(request.directory.train_log if writes else None):
        show = command.show if ranks.is_first else _keep_quiet
        claim = part.claim if ranks.is_first else None
        experiment = Experiment(request, Signals(), show, claim, ranks)
        if ranks.is_first:
            command.send(Begun(experiment.resumed_from_epoch, experiment.headline()))
        return experiment.run()


def _meet(part: Part) -> None:
    """Take this rank's device and its place among the ranks."""
    ranks = part.ranks
    os.environ |= {"RANK": str(ranks.rank), "LOCAL_RANK": str(ranks.rank), "NODE_RANK": "0"}
    device = None
    if part.hardware.accelerator == "cuda":
        device = torch.device("cuda", ranks.rank)
        torch.cuda.set_device(device)
    for _, name in socket.if_nameindex():
        if name in _LOOPBACK:
            # All are on this machine: gloo would look up the machine's name, and listen outside.
            os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
    torch.distributed.init_process_group(
        "nccl" if device is not None and torch.distributed.is_nccl_available() else "gloo",
        init_method=f"file://{part.meeting.as_posix()}",
        rank=ranks.rank,
        world_size=ranks.size,
        timeout=_MEETING,
        device_id=device,
    )


def _keep_quiet(line: str) -> None:
    """The first rank says it."""


if __name__ == "__main__":
    main()
