"""MNIST's and CIFAR's own file formats.

Files are decoded only once their checksum has matched, which vouches for their structure too.
"""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convscope.data.official import OfficialSet
from convscope.data.raw import read_all

Part = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (N, H, W, C) and labels (N,)."""


def read_official(known: OfficialSet, root: Path) -> tuple[Part, Part, tuple[str, ...]]:
    """Train part, test part, class names.

    Raises:
        UserError: A file is missing or damaged.
    """
    contents = read_all(known, root)
    if known.layout == "idx":
        train, test = _idx_part(known, contents[:2]), _idx_part(known, contents[2:])
        return train, test, known.class_names
    *batches, test_batch, meta = map(_unpickle, contents)
    train, test = _pickle_part(known, batches), _pickle_part(known, [test_batch])
    return train, test, tuple(meta[known.names_key])


def _idx_part(known: OfficialSet, contents: Sequence[bytes]) -> Part:
    """IDX: two zero bytes, type, rank, that many big-endian sizes, then bytes in C order."""
    channels, height, width = known.input_shape
    images = np.frombuffer(contents[0], np.uint8, offset=16)
    labels = np.frombuffer(contents[1], np.uint8, offset=8)
    return images.reshape(-1, height, width, channels), labels.astype(np.int64)


def _pickle_part(known: OfficialSet, batches: Sequence[dict[str, Any]]) -> Part:
    """Pickles of ``data``: (n, C * H * W) uint8, planes in turn, and a list of labels."""
    planes = np.concatenate([batch["data"] for batch in batches])
    images = planes.reshape(-1, *known.input_shape).transpose(0, 2, 3, 1)
    labels = np.concatenate([batch[known.label_key] for batch in batches]).astype(np.int64)
    return images, labels


def _unpickle(content: bytes) -> dict[str, Any]:
    loaded: dict[str, Any] = pickle.loads(content, encoding="latin1")  # written by Python 2
    return loaded
