"""Read a run's checkpoints; what was damaged since it was written is refused.

PyTorch writes a checksum of every part of a checkpoint and reads none: a bit that flipped on the
disk would be one more weight.
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

RUN = "convscope_run"
"""Key of the identity of the run that wrote a checkpoint; checkpoints of old versions lack it."""
_WEIGHTS = ("state_dict",)
_ALL = (*_WEIGHTS, "optimizer_states", "callbacks", "loops", "epoch", "global_step")


def read_best(directory: RunDirectory, run: str) -> dict[str, Any]:
    """Read the weights of best.ckpt, on the CPU.

    Args:
        run: the run's identity.

    Raises:
        UserError: it is missing, damaged, or another run's.
    """
    way_out = f"delete the folder {directory.path} or add rerun=true"
    return _read(directory.best, run, _WEIGHTS, way_out)


def read_last(directory: RunDirectory, run: str) -> dict[str, Any]:
    """Read last.ckpt, all that a run needs to go on, with its tensors on the CPU.

    Args:
        run: the run's identity.

    Raises:
        UserError: it is missing, damaged, or another run's.
    """
    way_out = "delete this file, and the run starts anew, or add rerun=true"
    return _read(directory.last, run, _ALL, way_out)


def _read(path: Path, run: str, needed: Sequence[str], way_out: str) -> dict[str, Any]:
    content, problem = _content(path)
    if problem is None:
        problem = next((f"it lacks {key}" for key in needed if key not in content), None)
    if problem is not None:
        raise UserError(f"cannot read {path}: missing or damaged checkpoint ({problem}); {way_out}")
    if content.get(RUN, run) != run:
        raise UserError(f"{path} belongs to another run; {way_out}")
    return content


def _content(path: Path) -> tuple[dict[str, Any], str | None]:
    """Return a checkpoint's content and None, or {} and what is wrong with it."""
    # Here: the lesson's page imports this module, and starts without PyTorch.
    import torch

    try:
        with os.fdopen(open_regular(path), "rb") as file:
            problem = _damage(file)
            if problem is not None:
                return {}, problem
            file.seek(0)
            # Nothing but data is unpickled.
            content = torch.load(file, map_location="cpu", weights_only=True)
    except NotRegularFile:
        return {}, "it is not a regular file"
    except OSError as error:
        return {}, error.strerror or str(error)
    except zipfile.BadZipFile:
        return {}, "it is no whole archive"
    except RuntimeError as error:
        # PyTorch names the part that it misses.
        return {}, str(error).partition("\n")[0]
    except Exception as error:  # noqa: BLE001 (damage makes the readers raise anything)
        return {}, type(error).__name__
    return (content, None) if isinstance(content, dict) else ({}, "it is no dictionary")


def _damage(file: BinaryIO) -> str | None:
    """Check the archive that a checkpoint is; None where it is whole."""
    with zipfile.ZipFile(file) as archive:
        # PyTorch compresses nothing: what is small on the disk stays so in memory.
        if any(part.compress_type != zipfile.ZIP_STORED for part in archive.infolist()):
            return "it is compressed"
        broken = archive.testzip()
    return broken and f"{broken} does not have its checksum"
