"""train.log: what Lightning, PyTorch and the run itself have to say, out of the terminal's way."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SOURCES = ("convscope", "pytorch_lightning", "lightning_fabric", "lightning", "py.warnings")


@contextmanager
def logged_to(path: Path | None) -> Iterator[None]:
    """Within it, messages and warnings go to this file alone, or nowhere where it is None."""
    handler = logging.NullHandler() if path is None else logging.FileHandler(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    before = {}
    for name in _SOURCES:
        logger = logging.getLogger(name)
        before[logger] = (logger.level, logger.propagate, logger.handlers[:])
        logger.setLevel(logging.INFO)
        logger.propagate = False
        logger.handlers = [handler]
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        logging.captureWarnings(True)
        try:
            yield
        finally:
            logging.captureWarnings(False)
            for logger, (level, propagate, handlers) in before.items():
                logger.setLevel(level)
                logger.propagate = propagate
                logger.handlers = handlers
            handler.close()
