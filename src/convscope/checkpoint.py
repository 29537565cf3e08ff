"""Read a run's checkpoints and verify their checksums.

PyTorch writes a checksum for every part of a checkpoint but does not verify it on reading: a
flipped bit on the disk would silently change a weight.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from convscope.errors import UserError
from convscope.files import NotRegularFile, open_regular
from convscope.runs.directory import RunDirectory

RUN_KEY = "convscope_run"
"""Key of the run's identity in a checkpoint; checkpoints of old versions lack it."""
_WEIGHTS = ("state_dict",)
_ALL = (*_WEIGHTS, "optimizer_states", "callbacks", "loops", "epoch", "global_step")


def read_best(directory: RunDirectory, run: str) -> dict[str, Any]:
    """Return the content of best.ckpt, with its weights on the CPU.

    Args:
        directory: The run's directory.
        run: The run's identity.

    Raises:
        UserError: The file is missing or damaged, or belongs to another run.
    """
    way_out = f"delete the folder {directory.path} or add rerun=true"
    return _read(directory.best, run, _WEIGHTS, way_out)


def read_last(directory: RunDirectory, run: str) -> dict[str, Any]:
    """Return the content of last.ckpt, from which a run resumes, with its tensors on the CPU.

    Args:
        directory: The run's directory.
        run: The run's identity.

    Raises:
        UserError: The file is missing or damaged, or belongs to another run.
    """
    way_out = "delete this file, and the run starts again, or add rerun=true"
    return _read(directory.last, run, _ALL, way_out)


def _read(path: Path, run: str, needed: Sequence[str], way_out: str) -> dict[str, Any]:
    content, problem = _load(path)
    if problem is None:
        problem = next((f"it lacks {key}" for key in needed if key not in content), None)
    if problem is not None:
        raise UserError(f"cannot read {path}: missing or damaged checkpoint ({problem}); {way_out}")
    if content.get(RUN_KEY, run) != run:
        raise UserError(f"{path} belongs to another run; {way_out}")
    return content


def _load(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return a checkpoint's content and None, or {} and why it cannot be used."""
    # Imported here: the lesson's page imports this module and starts without PyTorch.
    import torch

    try:
        with os.fdopen(open_regular(path), "rb") as file:
            problem = _damage(file)
            if problem is not None:
                return {}, problem
            file.seek(0)
            # `weights_only`: no code in the pickle is executed.
            content = torch.load(file, map_location="cpu", weights_only=True)
    except NotRegularFile:
        return {}, "it is not a regular file"
    except OSError as error:
        return {}, error.strerror or str(error)
    except zipfile.BadZipFile:
        return {}, "it is not a complete archive"
    except RuntimeError as error:
        # PyTorch names the missing part.
        return {}, str(error).partition("\n")[0]
    except Exception as error:  # noqa: BLE001 (the readers of damaged files raise anything)
        return {}, type(error).__name__
    return (content, None) if isinstance(content, dict) else ({}, "it is not a dictionary")


def _damage(file: BinaryIO) -> str | None:
    """Return what is wrong with a checkpoint's archive; None if it is undamaged."""
    with zipfile.ZipFile(file) as archive:
        # PyTorch does not compress; a compressed archive could expand to fill the memory.
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            return "it is compressed"
        broken = archive.testzip()
    return broken and f"{broken} does not have its checksum"
