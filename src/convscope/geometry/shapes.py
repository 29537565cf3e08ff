"""The words of geometry: a convolution in pixels, its two errors, and the named paddings."""

from dataclasses import dataclass

from convscope.errors import UserError

Pair = tuple[int, int]
"""(height, width)"""

Sides = tuple[Pair, Pair]
"""((top, bottom), (left, right)), pixels"""

LARGEST = 1_000
"""Largest kernel size, stride or padding accepted, pixels: beyond it lies a typing error."""


class GeometryError(UserError):
    """A conv value that means nothing, in one line: key, rule, value."""


class ImpossibleVariant(GeometryError):
    """A geometry that arithmetic or PyTorch refuses: bad alone, skipped in a sweep.

    Attributes:
        layer: the layer that cannot run, such as `conv3`.
        variant: the variant's label. A refused `same` has no pixels; its label says `psame` there.
        fix: the override that mends it, such as `conv.padding=1`; None if no one key can.
    """

    # Defaults, because an exception is unpickled from its message alone.
    def __init__(
        self, message: str, *, layer: str = "", variant: str = "", fix: str | None = None
    ) -> None:
        super().__init__(message)
        self.layer = layer
        self.variant = variant
        self.fix = fix


@dataclass(frozen=True)
class ConvShape:
    """One conv layer in pixels. The sides of an axis differ only for `same` with an even kernel."""

    kernel_size: Pair
    stride: Pair
    padding: Sides


def symmetric(padding: Pair) -> Sides:
    """The same padding before and after, per axis."""
    height, width = padding
    return (height, height), (width, width)


def _same(kernel: int) -> Pair:
    before = (kernel - 1) // 2
    return before, kernel - 1 - before


def named_padding(name: str, kernel_size: Pair) -> Sides:
    """Pixels of a padding given by name.

    `valid`, `half` and `full` are those of Dumoulin and Visin, "A guide to convolution arithmetic
    for deep learning" (2016), section 2; `same` is `torch.nn.Conv2d(padding="same")`, which puts
    the odd pixel after. The caller sees to it that `same` has stride 1.
    """
    height, width = kernel_size
    if name == "same":
        return _same(height), _same(width)
    per_axis = {
        "valid": (0, 0),
        "half": (height // 2, width // 2),
        "full": (height - 1, width - 1),
    }
    return symmetric(per_axis[name])
