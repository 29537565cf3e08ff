"""Decode a single image file to pixels, with Pillow."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from convscope.config.schema import as_typed
from convscope.errors import UserError
from convscope.files import read_regular

MAX_FILE_BYTES = 1 << 30
"""Largest image file, in bytes; Pillow refuses more than 179 million pixels."""
MAX_SCALED_PIXELS = 1 << 25
"""Largest scaled image, in pixels, that is made in full before cropping; of a strip of 1 x 60,000
pixels it would take gigabytes."""


class ColouredImage(Exception):
    """A colour image among images that were expected to be grey."""


class Picture(NamedTuple):
    """A decoded image file.

    Attributes:
        pixels: (height, width, channels).
        turned: Whether the image was rotated or mirrored by its EXIF orientation.
        transparent: Whether a pixel was not opaque; the transparency is dropped.
    """

    pixels: NDArray[np.uint8]
    turned: bool
    transparent: bool


def image_shape(path: Path, image_size: int | None) -> tuple[int, int, int]:
    """Return (channels, height, width) of a decoded image file: 1 channel if it is grey, else 3.

    Args:
        path: The image file.
        image_size: Side in pixels to which it is scaled, or None.

    Raises:
        UserError: The file cannot be used as an image.
    """
    content = read(path)
    with without_warnings(), _user_errors(path, content):
        image, _ = _upright(_opened(path, content))
    width, height = (image_size, image_size) if image_size else image.size
    return 1 if image.mode == "L" else 3, height, width


def read(path: Path | str) -> bytes:
    """Return the content of an image file.

    Raises:
        UserError: The file cannot be read or is too large.
    """
    try:
        return read_regular(path, MAX_FILE_BYTES, follow_links=True)
    except OSError as error:
        raise UserError(f"{as_typed(path)} cannot be read: {error.strerror}") from error


def decode(path: Path | str, content: bytes, image_size: int | None, channels: int) -> Picture:
    """Return the pixels of an image file, its EXIF orientation applied.

    Of several frames the first is used. With `image_size` the shorter side is scaled to it
    (bilinear) and the centre square is cropped, as by torchvision's `Resize` and `CenterCrop`.

    Args:
        path: Path shown in error messages.
        content: The file's bytes.
        image_size: Side of the square in pixels; None keeps the size.
        channels: 3 converts any image to RGB; 1 accepts grey images only.

    Raises:
        UserError: The content cannot be used as an image.
        ColouredImage: `channels` is 1 and the image is not grey.
    """
    with _user_errors(path, content):
        image = _opened(path, content)
        if channels == 1 and image.mode != "L":
            raise ColouredImage
        image, turned = _upright(image)
        transparent = _is_transparent(image)
        image = _converted(image, channels)
        if image_size is not None:
            image = _centre(image, image_size, image_size)
        pixels = np.asarray(image)
    return Picture(pixels.reshape(*pixels.shape[:2], channels), turned, transparent)


def fit_to_input(image: str | Path | Image.Image, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return an image's pixels, (height, width, channels), as input of a network.

    Like `decode`, but scaled to cover height x width, and converted to grey if the input is grey.

    Args:
        image: Path of a file, or an image opened with Pillow.
        shape: The network's input, (channels, height, width).

    Raises:
        UserError: The image cannot be used.
    """
    channels, height, width = shape
    content: bytes | Image.Image
    if isinstance(image, Image.Image):
        path, content = "the image", image
    else:
        path, content = str(image), read(image)
    with without_warnings(), _user_errors(path, content):
        upright, _ = _upright(_opened(path, content))
        pixels = np.asarray(_centre(_converted(upright, channels), width, height))
    return pixels.reshape(height, width, channels)


def _opened(path: Path | str, content: bytes | Image.Image) -> Image.Image:
    image = Image.open(io.BytesIO(content)) if isinstance(content, bytes) else content
    if image.format == "EPS":
        # Pillow would run it with Ghostscript.
        raise UserError(f"{as_typed(path)} is a PostScript program; convert it to an image")
    if image.mode[0] in "IF":
        raise UserError(
            f"{as_typed(path)} has more than 8 bits per channel (Pillow mode {image.mode}); "
            f"convert it to 8 bits"
        )
    return image


def _converted(image: Image.Image, channels: int) -> Image.Image:
    wanted = "L" if channels == 1 else "RGB"
    return image if image.mode == wanted else image.convert(wanted)


def _upright(image: Image.Image) -> tuple[Image.Image, bool]:
    """Return the loaded image with its EXIF orientation applied, and whether that changed it.

    TIFF images count as unchanged, since Pillow applies their orientation when loading.
    """
    image.load()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (damaged EXIF raises anything; viewers ignore it)
        return image, False
    if orientation not in range(2, 9):
        return image, False
    return ImageOps.exif_transpose(image), True


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    lowest, _ = image.convert("RGBA").getchannel("A").getextrema()
    return lowest != 255


def _centre(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return the centre, width x height, of the image scaled to just cover that size."""
    if image.width * height <= image.height * width:
        scaled_width, scaled_height = width, int(width * image.height / image.width)
    else:
        scaled_width, scaled_height = int(height * image.width / image.height), height
    left, top = round((scaled_width - width) / 2), round((scaled_height - height) / 2)
    if scaled_width * scaled_height <= MAX_SCALED_PIXELS:
        scaled = image.resize((scaled_width, scaled_height), Image.Resampling.BILINEAR)
        return scaled.crop((left, top, left + width, top + height))
    # Scale the cropped part only: pixels differ by rounding, one grey level at most.
    across, down = image.width / scaled_width, image.height / scaled_height
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore Pillow's warnings (damaged EXIF and the like) in all threads within this block."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextmanager
def _user_errors(path: Path | str, content: bytes | Image.Image) -> Iterator[None]:
    """Raise Pillow's exceptions as a UserError that names the file."""
    try:
        yield
    except (UserError, ColouredImage):
        raise
    except Exception as error:
        # Pillow's plugins raise nearly any exception for damaged files.
        if content == b"":
            reason = "it is empty"
        elif isinstance(error, UnidentifiedImageError):
            reason = "it has no known image format"
        elif isinstance(error, MemoryError):
            reason = "it takes more memory than there is"
        else:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{as_typed(path)} is not an image that can be read: {reason}") from error
