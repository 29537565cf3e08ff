"""The loggers that `logger` chooses, instantiated by Hydra."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pytorch_lightning.loggers import Logger

from convscope.config.errors import first_line
from convscope.errors import UserError
from convscope.training.request import RunRequest


def make_loggers(request: RunRequest) -> list[Logger]:
    """Instantiate a run's loggers; nothing is written yet.

    In their arguments, `${run.directory}`, `${run.name}`, `${run.study}` and `${run.id}` stand for
    the run's folder, its name, its study and its identity; other keys of the config as usual.

    Raises:
        UserError: a package is missing, or a logger refuses its arguments.
    """
    directory = request.directory
    run = {
        "directory": str(directory.path),
        "name": directory.name,
        "study": request.config.study,
        "id": request.id,
    }
    config = OmegaConf.create(asdict(request.config) | {"run": run})
    return [_make(name, node) for name, node in config.logger.items()]


def _make(name: str, node: Any) -> Logger:
    key = f"logger.{name}"
    if not isinstance(node, DictConfig) or "_target_" not in node:
        raise UserError(f"{key} must have a _target_, the path of a logger's class")
    try:
        logger = instantiate(node)
    except (InstantiationException, OmegaConfBaseException) as error:
        raise _explained(name, error) from error
    if not isinstance(logger, Logger):
        raise UserError(f"{key} must be a logger of Lightning, got {type(logger).__name__}")
    return logger


def _explained(name: str, error: BaseException) -> UserError:
    """Return which package is missing, or else the first cause in one line."""
    cause = error
    while cause.__cause__ is not None and not isinstance(cause, ModuleNotFoundError):
        cause = cause.__cause__
    # "No module named 'wandb.sdk'", or Lightning's "Requirement 'wandb>=0.12' not met".
    missing = isinstance(cause, ModuleNotFoundError) and re.search(r"'([\w-]+)", str(cause))
    if missing:
        package = missing[1]
        return UserError(
            f"logger={name} needs {package}\n"
            f"install it with: pip install {package}, or put your own module on PYTHONPATH"
        )
    return UserError(f"logger={name} cannot be made: {type(cause).__name__}: {first_line(cause)}")
