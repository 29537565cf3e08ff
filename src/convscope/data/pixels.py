"""One image file to pixels, with Pillow."""

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

MOST_FILE_BYTES = 1 << 30
"""Most bytes of an image file; Pillow refuses more than 179 million pixels."""
MOST_SCALED_PIXELS = 1 << 25
"""Most pixels of an image that is scaled whole before its centre is cut out; a strip of 1 x 60,000
would take gigabytes."""


class ColouredImage(Exception):
    """An image that was to be grey is not."""


class Picture(NamedTuple):
    """An image file's content.

    Attributes:
        pixels: (height, width, channels).
        turned: Whether the EXIF orientation was applied.
        transparent: Whether it had a pixel that is not opaque; the transparency is dropped.
    """

    pixels: NDArray[np.uint8]
    turned: bool
    transparent: bool


def outline(path: Path, image_size: int | None) -> tuple[int, int, int]:
    """Return (channels, height, width) of an image file: 1 channel if it is grey, else 3.

    Raises:
        UserError: The file is no image that can be used.
    """
    content = read(path)
    with without_warnings(), _explained(path, content):
        image, _ = _upright(_opened(path, content))
    width, height = (image_size, image_size) if image_size else image.size
    return 1 if image.mode == "L" else 3, height, width


def read(path: Path | str) -> bytes:
    """Read a file that is to be an image, or raise UserError."""
    try:
        return read_regular(path, MOST_FILE_BYTES, follow_links=True)
    except OSError as error:
        raise UserError(f"{as_typed(path)} cannot be read: {error.strerror}") from error


def decode(path: Path | str, content: bytes, image_size: int | None, channels: int) -> Picture:
    """Decode an image file's pixels, turned as its EXIF orientation says.

    Of several frames the first is taken. With `image_size` the shorter side is scaled to it
    (bilinear) and the centre square cut out, as torchvision's `Resize` and `CenterCrop` do.

    Args:
        path: For errors.
        content: The file's bytes.
        image_size: Side of the square in pixels; None leaves the size.
        channels: 3 converts whatever it is to RGB; 1 takes grey only.

    Raises:
        UserError: The content is no image that can be used.
        ColouredImage: `channels` is 1 and the image is not grey.
    """
    with _explained(path, content):
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


def fitted(image: str | Path | Image.Image, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Return an image's pixels, (height, width, channels), for a network with inputs of one shape.

    As `decode`, but scaled until it covers height x width, and made grey where the inputs are.

    Args:
        image: A file's path, or what Pillow has opened.
        shape: (channels, height, width).

    Raises:
        UserError: It is no image that can be used.
    """
    channels, height, width = shape
    content: bytes | Image.Image
    if isinstance(image, Image.Image):
        path, content = "the image", image
    else:
        path, content = str(image), read(image)
    with without_warnings(), _explained(path, content):
        upright, _ = _upright(_opened(path, content))
        pixels = np.asarray(_centre(_converted(upright, channels), width, height))
    return pixels.reshape(height, width, channels)


def _opened(path: Path | str, content: bytes | Image.Image) -> Image.Image:
    image = Image.open(io.BytesIO(content)) if isinstance(content, bytes) else content
    if image.format == "EPS":
        # To load it, Pillow would have Ghostscript run it.
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
    """The loaded image as viewers show it, and whether that turned it.

    TIFF is an exception: Pillow turns it as it loads.
    """
    image.load()
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 (damaged EXIF raises anything; viewers pass over it)
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
    """The centre, width x height, of an image that is scaled until it just covers that size."""
    if image.width * height <= image.height * width:
        scaled_width, scaled_height = width, int(width * image.height / image.width)
    else:
        scaled_width, scaled_height = int(height * image.width / image.height), height
    left, top = round((scaled_width - width) / 2), round((scaled_height - height) / 2)
    if scaled_width * scaled_height <= MOST_SCALED_PIXELS:
        scaled = image.resize((scaled_width, scaled_height), Image.Resampling.BILINEAR)
        return scaled.crop((left, top, left + width, top + height))
    # Cut out while it is scaled: the same but for rounding, by one grey level at most.
    across, down = image.width / scaled_width, image.height / scaled_height
    box = (left * across, top * down, (left + width) * across, (top + height) * down)
    return image.resize((width, height), Image.Resampling.BILINEAR, box=box)


@contextmanager
def without_warnings() -> Iterator[None]:
    """Silence Pillow's warnings of damaged EXIF and the like, in all threads: not per file."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


@contextmanager
def _explained(path: Path | str, content: bytes | Image.Image) -> Iterator[None]:
    """Whatever Pillow raises, in one line that names the file."""
    try:
        yield
    except (UserError, ColouredImage):
        raise
    except Exception as error:
        # Pillow's plugins answer damaged files with nearly any kind of exception.
        if content == b"":
            reason = "it is empty"
        elif isinstance(error, UnidentifiedImageError):
            reason = "it has no known image format"
        elif isinstance(error, MemoryError):
            reason = "it takes more memory than there is"
        else:
            reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"{as_typed(path)} is not an image that can be read: {reason}") from error
