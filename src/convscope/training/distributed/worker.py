"""A rank's process, `python -m convscope.training.distributed.worker`: does what it is told.

It claims nothing and writes no record: that is the command's, which hears the signals and ends it.
What else a run leaves on disk the first rank writes.
"""

from __future__ import annotations

import logging
import os
import pickle
import pkgutil
import queue
import threading
import traceback
from contextlib import suppress
from typing import Any

from convscope.errors import UserError
from convscope.training.distributed.messages import (
    Acknowledged,
    Call,
    Failed,
    Finished,
    LogRecord,
    Message,
    Returned,
    WorkerSpec,
)


def main() -> None:
    """Do what the command asks for, one thing after the other, until it ends."""
    command = Command()
    # Here: they take seconds, in which the command may end, and this process with it.
    from convscope.training.devices import free_memory
    from convscope.training.distributed.train_worker import train_worker

    while True:
        # Also when it has trained its part: gloo may abort a rank whose peer is gone.
        instruction = command.next_instruction()
        try:
            if isinstance(instruction, WorkerSpec):
                command.send(Finished(train_worker(instruction, command)))
            else:
                command.send(Returned(_call(instruction)))
        except UserError as error:
            command.send(Failed(str(error), True, traceback.format_exc()))
        except Exception as error:  # noqa: BLE001 (told to the command, which raises it)
            reason = f"{type(error).__name__}: {error}"
            command.send(Failed(reason, False, traceback.format_exc()))
            # Nobody knows what it has left in memory.
            return
        if isinstance(instruction, WorkerSpec):
            free_memory(instruction.hardware)


class Command:
    """The other end of this process's stdin and stdout; ends this process when it is gone."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "wb")
        # What else is printed must not get among the messages.
        os.dup2(2, 1)
        self._instructions: queue.SimpleQueue[WorkerSpec | Call] = queue.SimpleQueue()
        self._acknowledgements: queue.SimpleQueue[Acknowledged] = queue.SimpleQueue()
        threading.Thread(target=self._listen, daemon=True).start()

    def send(self, message: Message) -> None:
        """Send the command a message."""
        pickle.dump(message, self._out)
        self._out.flush()

    def log(self, record: logging.LogRecord) -> None:
        """Have the command log it, and wait until it has."""
        self.send(LogRecord(record))
        self._acknowledgements.get()

    def next_instruction(self) -> WorkerSpec | Call:
        """Wait for the next instruction."""
        return self._instructions.get()

    def _listen(self) -> None:
        with open(0, "rb", closefd=False) as stdin, suppress(EOFError, pickle.UnpicklingError):
            while True:
                message = pickle.load(stdin)
                if isinstance(message, Acknowledged):
                    self._acknowledgements.put(message)
                else:
                    self._instructions.put(message)
        # The command is gone, and with it the claim on the run.
        os._exit(1)


def _call(call: Call) -> Any:
    return pkgutil.resolve_name(call.function)(*call.arguments)


if __name__ == "__main__":
    main()
