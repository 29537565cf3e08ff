"""A rank's process, `python -m convscope.training.distributed.rank`: does what it is asked for.

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
    Call,
    Ended,
    Failed,
    Logged,
    Message,
    Part,
    Returned,
    Shown,
)


def main() -> None:
    command = Command()
    # Here: they take seconds, in which the command may end, and this process with it.
    from convscope.training.devices import free_memory
    from convscope.training.distributed.part import train_part

    while True:
        # Also when it has trained its part: gloo may abort a rank whose peer is gone.
        asked = command.next_asked()
        try:
            if isinstance(asked, Part):
                command.send(Ended(train_part(asked, command)))
            else:
                command.send(Returned(_call(asked)))
        except UserError as error:
            command.send(Failed(str(error), True, traceback.format_exc()))
        except Exception as error:  # noqa: BLE001 (told to the command, which raises it)
            reason = f"{type(error).__name__}: {error}"
            command.send(Failed(reason, False, traceback.format_exc()))
            # Nobody knows what it has left in memory.
            return
        if isinstance(asked, Part):
            free_memory(asked.hardware)


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

    def log(self, record: logging.LogRecord) -> None:
        """Have the command log it, and wait until it has."""
        self.send(Logged(record))
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


if __name__ == "__main__":
    main()
