"""A rank's process, `python -m convscope.training.distributed.worker`: does what it is told.

It claims nothing and writes no record: that is the command's, which hears the signals and ends it.
What else a run leaves on disk the first rank writes.
"""

from __future__ import annotations

import logging
import os
import pickle
import queue
import threading
from contextlib import suppress

from convscope.training.distributed.messages import (
    Acknowledged,
    Call,
    LogRecord,
    Message,
    WorkerSpec,
)


def main() -> None:
    """Do what the command asks for, one thing after the other, until it ends."""
    command = Command()
    # Imported here: it takes seconds, in which the command may end, and this process with it.
    from convscope.training.distributed.train_worker import follow

    follow(command)


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


if __name__ == "__main__":
    main()
