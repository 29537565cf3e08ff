"""What is known of a data set before it is loaded: enough to check a config against.

Starts without NumPy or torch; an error in a config must not wait for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from convscope.data.official import OFFICIAL
from convscope.errors import UserError

DATASETS = (*OFFICIAL, "digits", "image_folder")
"""Names that can be loaded; ``auto`` becomes one of them in ``resolve_auto``."""

DIGITS_TRAIN_SIZE = 1438


@dataclass(frozen=True)
class Facts:
    """A data set's outline.

    Attributes:
        input_shape: (channels, height, width). Of an ``image_folder`` it is read off the first
            image's header; the loaded images have the last word (a folder that starts with a grey
            image and goes on in colour is loaded in colour).
        classes: How many.
        train_size: Images of the train part, validation included.
        class_sizes: Of these in each class; empty where it takes a file to know.
    """

    name: str
    input_shape: tuple[int, int, int]
    classes: int
    train_size: int
    class_sizes: tuple[int, ...] = ()

    def left_to_train(self, val_fraction: float) -> int:
        """Training images that the validation part leaves: exact where classes' sizes are known."""
        if not self.class_sizes:
            return int(self.train_size * (1 - val_fraction))
        return sum(size - held_back(size, val_fraction) for size in self.class_sizes)


def held_back(class_size: int, val_fraction: float) -> int:
    """Images of a class that go to the validation part."""
    return int(class_size * val_fraction + 0.5)


def dataset_facts(name: str, root: str | Path, image_size: int | None = None) -> Facts:
    """The outline of ``name``, which lies under ``root``, from tables or from file names.

    That of ``auto`` is MNIST's, whose shape the digits share.

    Raises:
        UserError: Unknown name, ``image_size`` where it has no meaning, or a folder without images.
    """
    name = "mnist" if name == "auto" else name
    check_name(name, image_size)
    if name == "digits":
        return Facts(name, (1, 28, 28), 10, DIGITS_TRAIN_SIZE)
    if name in OFFICIAL:
        known = OFFICIAL[name]
        return Facts(name, known.input_shape, known.classes, known.train_size)
    from convscope.data.image_folder import list_images
    from convscope.data.pixels import outline

    listing = list_images(Path(root))
    input_shape = outline(Path(root, listing.train[0].path), image_size)
    return Facts(name, input_shape, len(listing.classes), len(listing.train), listing.class_sizes)


def check_name(name: str, image_size: int | None) -> None:
    """Raise UserError where ``name`` is no data set, or takes no ``data.image_size``."""
    if name not in DATASETS:
        raise UserError(f"data.name must be one of auto, {', '.join(DATASETS)}, got {name}")
    if image_size is not None and name != "image_folder":
        raise UserError(
            f"data.image_size serves image_folder alone, got {image_size} with data.name={name}"
        )
    if image_size is not None and image_size < 1:
        raise UserError(f"data.image_size must be at least 1, got {image_size}")
