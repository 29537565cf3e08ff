"""train.log: what Lightning, PyTorch and the run itself have to say, out of the terminal's way."""

from __future__ import annotations

import logging
import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from typing_extensions import override

from convscope.errors import UserError
from convscope.files import open_regular

_OTHERS = ("pytorch_lightning", "lightning_fabric", "lightning", "py.warnings")


class LogFile(logging.Handler):
    """Appends to a file that is open for no longer than a message.

    `logging.FileHandler` answers a full disk with a traceback on stderr.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))

    @override
    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._append(f"{self.format(record)}\n")
        except UserError:
            # An error that is logged here is told by the run's record too.
            if record.exc_info is None:
                raise

    def _append(self, text: str) -> None:
        try:
            descriptor = open_regular(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            with os.fdopen(descriptor, "a", encoding="utf-8") as file:
                file.write(text)
        except FileNotFoundError:
            # The run's folder was deleted or moved: who checks the claim says so. Raised here, it
            # would hide a signal that is being logged.
            return
        except OSError as error:
            raise UserError(
                f"{self.path} could not be written: {error.strerror or error}"
            ) from error


def _log_thread_error(error: threading.ExceptHookArgs) -> None:
    """TensorBoard's writer tells the main thread of its end too."""
    trace = error.exc_value and (error.exc_type, error.exc_value, error.exc_traceback)
    logging.getLogger("convscope").error("a thread ended", exc_info=trace)


@contextmanager
def logged_to(handler: logging.Handler) -> Iterator[None]:
    """Within it, messages, warnings and the ends of threads go to this handler.

    Those of ConvScope reach the terminal too, where `log_to_terminal` shows them; others do not.

    Raises:
        UserError: from the call that logs, when the disk is full or not writable.
    """
    before = {}
    for name in ("convscope", *_OTHERS):
        logger = logging.getLogger(name)
        before[logger] = (logger.level, logger.propagate, logger.handlers[:])
        logger.setLevel(logging.DEBUG if name == "convscope" else logging.INFO)
        logger.propagate = False
        logger.handlers = [*logger.handlers * (name == "convscope"), handler]
    excepthook, threading.excepthook = threading.excepthook, _log_thread_error
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            threading.excepthook = excepthook
            for logger, (level, propagate, handlers) in before.items():
                logger.setLevel(level)
                logger.propagate = propagate
                logger.handlers = handlers
            handler.close()
