"""One image file to pixels, with Pillow."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from convscope.errors import UserError

GREY = "L"
# Pillow answers damaged files with any of these.
_DAMAGE = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


class ColouredImage(Exception):
    """An image that was to be grey is not."""


def outline(path: Path, image_size: int | None) -> tuple[int, int, int]:
    """(channels, height, width) that ``decode`` gives, from the file's header.

    Raises:
        UserError: The file is no image that can be used.
    """
    with _opened(path, read(path)) as image:
        width, height = (image_size, image_size) if image_size else image.size
        return 1 if image.mode == GREY else 3, height, width


def read(path: Path | str) -> bytes:
    """The file's content, or UserError."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def decode(
    path: Path | str, content: bytes, image_size: int | None, channels: int
) -> NDArray[np.uint8]:
    """(height, width, channels) of an image file.

    With ``image_size`` the shorter side is scaled to it (bilinear) and the centre square cut out,
    as torchvision's ``Resize`` and ``CenterCrop`` do.

    Args:
        path: For errors.
        channels: 3 converts whatever it is to RGB; 1 takes grey alone.

    Raises:
        UserError: The content is no image that can be used.
        ColouredImage: ``channels`` is 1 and the image is not grey.
    """
    with _opened(path, content) as image:
        if channels == 1 and image.mode != GREY:
            raise ColouredImage
        image.load()
        wanted = GREY if channels == 1 else "RGB"
        pixels: Image.Image = image if image.mode == wanted else image.convert(wanted)
        if image_size is not None:
            pixels = _centre_square(pixels, image_size)
        array = np.asarray(pixels)
        return array.reshape(*array.shape[:2], channels)


def _centre_square(image: Image.Image, side: int) -> Image.Image:
    width, height = image.size
    if width <= height:
        width, height = side, int(side * height / width)
    else:
        width, height = int(side * width / height), side
    left, top = round((width - side) / 2), round((height - side) / 2)
    scaled = image.resize((width, height), Image.Resampling.BILINEAR)
    return scaled.crop((left, top, left + side, top + side))


@contextmanager
def _opened(path: Path | str, content: bytes) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.mode[0] in "IF":
                raise UserError(
                    f"{path} has more than 8 bits per channel (Pillow mode {image.mode}); "
                    f"convert it to 8 bits"
                )
            yield image
    except _DAMAGE as error:
        raise UserError(f"{path} is not an image that can be read: {error}") from error
