"""best.ckpt and last.ckpt: when they are written, and that they are whole."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import ModelCheckpoint
from typing_extensions import override

from convscope.checkpoint import RUN_KEY, read_best, read_last
from convscope.errors import UserError
from convscope.files import replace_file
from convscope.runs.directory import RunDirectory


class WholeCheckpoints(TorchCheckpointIO):
    """Replaces a checkpoint as a whole, and says in it whose it is.

    Lightning's own writes through a temporary file in the system's folder, which is copied, and so
    can be left half, where that lies on another disk.

    Args:
        run: the run's identity.
    """

    def __init__(self, directory: RunDirectory, run: str) -> None:
        super().__init__()
        self._directory = directory
        self._run = run

    @override
    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        # Through memory: PyTorch's own writer does not say that a disk is full.
        content = io.BytesIO()
        torch.save(checkpoint | {RUN_KEY: self._run}, content)
        target = Path(path)
        try:
            target.parent.mkdir(exist_ok=True)
        except OSError as error:
            raise UserError(f"{target.parent} cannot be made: {error.strerror or error}") from error
        replace_file(target, content.getvalue())

    @override
    def load_checkpoint(self, path: str | Path, *_: Any, **__: Any) -> dict[str, Any]:
        read = read_best if Path(path) == self._directory.best else read_last
        return read(self._directory, self._run)


class MovableCheckpoint(ModelCheckpoint):
    """Knows what was best so far also where the run's folder was moved since it was interrupted.

    Lightning's own forgets it with the path, and takes the next epoch for the best.
    """

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        def here(path: str) -> str:
            return os.path.join(self.dirpath or "", os.path.basename(path)) if path else path

        moved = {
            "dirpath": self.dirpath,
            "best_model_path": here(state_dict["best_model_path"]),
            "kth_best_model_path": here(state_dict["kth_best_model_path"]),
            "best_k_models": {here(p): score for p, score in state_dict["best_k_models"].items()},
        }
        super().load_state_dict(state_dict | moved)


def checkpoint_callbacks(directory: RunDirectory) -> list[ModelCheckpoint]:
    """Save the best weights by validation accuracy, and each epoch all that a resumed run needs."""
    best = MovableCheckpoint(
        directory.checkpoints,
        filename="best",
        monitor="val/accuracy",
        mode="max",
        save_weights_only=True,
        enable_version_counter=False,
    )
    last = MovableCheckpoint(
        directory.checkpoints,
        filename="last",
        save_on_train_epoch_end=True,
        enable_version_counter=False,
    )
    return [best, last]
