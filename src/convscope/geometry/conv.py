"""One convolution in pixels, and which input pixels its windows cover along each axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from convscope.errors import UserError

Pair = tuple[int, int]
"""(height, width)"""

Sides = tuple[Pair, Pair]
"""((top, bottom), (left, right)), pixels"""

PaddingMode = Literal["zeros", "reflect", "replicate", "circular"]

LARGEST = 1_000
"""Largest accepted kernel size, stride or padding, in pixels; a larger one is a typing error."""


class GeometryError(UserError):
    """An invalid conv value; the message is one line with key, rule and value."""


class ImpossibleVariant(GeometryError):
    """A geometry that PyTorch refuses: an error for a single run, a skipped run in a sweep.

    Attributes:
        layer: the layer that cannot run, such as `conv3`.
        variant: the variant's label. A refused `same` has no pixels and is written `psame`.
        fix: the override that makes it possible, such as `conv.padding=1`; None where no change of
            a single key does.
    """

    # The defaults are needed because an exception is unpickled from its message only.
    def __init__(
        self, message: str, *, layer: str = "", variant: str = "", fix: str | None = None
    ) -> None:
        super().__init__(message)
        self.layer = layer
        self.variant = variant
        self.fix = fix


@dataclass(frozen=True)
class Border:
    """Pixels at the end of an axis that no window covers.

    Attributes:
        image: pixels of the layer's input.
        padding: pixels of its padding.
    """

    image: int
    padding: int


@dataclass(frozen=True)
class ConvSpec:
    """The arguments of one `torch.nn.Conv2d` that a variant sets, in pixels; see `FACTORS`."""

    kernel_size: Pair
    stride: Pair
    padding: Sides
    dilation: Pair = (1, 1)
    padding_mode: PaddingMode = "zeros"

    def axis(self, axis: int) -> ConvAxis:
        """Return the convolution along the height (0) or the width (1)."""
        return ConvAxis(
            self.kernel_size[axis],
            self.stride[axis],
            *self.padding[axis],
            self.dilation[axis],
            self.padding_mode,
        )

    @property
    def axes(self) -> tuple[ConvAxis, ConvAxis]:
        """The convolution along the height and along the width."""
        return self.axis(0), self.axis(1)

    def output_size(self, size: Pair) -> Pair:
        """Return height and width of the output for an input of `size`; 0 where it is empty."""
        height, width = self.axes
        return height.outputs(size[0]), width.outputs(size[1])


@dataclass(frozen=True)
class ConvAxis:
    """A convolution along one axis of its input; position 0 is the input's first pixel.

    Attributes:
        kernel: kernel size, in weights.
        stride: pixels from one window to the next.
        before: padding before the first pixel, in pixels.
        after: padding after the last pixel, in pixels.
        dilation: pixels from one weight of a window to the next.
        padding_mode: what the padding is filled with.
    """

    kernel: int
    stride: int
    before: int
    after: int
    dilation: int
    padding_mode: PaddingMode

    @property
    def extent(self) -> int:
        """Pixels from the first to the last pixel of a window, both included."""
        return self.dilation * (self.kernel - 1) + 1

    def outputs(self, size: int) -> int:
        """Return the number of outputs for an input of `size` pixels; 0 where no window fits.

        floor((size + before + after - extent) / stride) + 1: Dumoulin and Visin (2016),
        relationship 15, with a padding whose two sides may differ.
        """
        room = size + self.before + self.after - self.extent
        return room // self.stride + 1 if room >= 0 else 0

    def refusal(self, size: int) -> str | None:
        """Return why PyTorch refuses an input of `size` pixels; None where it accepts it."""
        if not self.outputs(size):
            return "would have an empty output"
        padding = max(self.before, self.after)
        if self.padding_mode == "reflect" and padding >= size:
            return "would reflect more pixels than its input has beside the edge"
        if self.padding_mode == "circular" and padding > size:
            return "would wrap around more than once"
        return None

    def window(self, output: int) -> range:
        """Return the positions that an output is computed from; those off the input are padding."""
        start = output * self.stride - self.before
        return range(start, start + self.extent, self.dilation)

    def reads(self, output: int, size: int) -> list[int]:
        """Return the input pixel of each position of a window; zeros of padding are left out.

        Padding that repeats pixels reads them again: such a pixel is returned twice.
        """
        found = (self.pixel_at(position, size) for position in self.window(output))
        return [pixel for pixel in found if pixel is not None]

    def pixel_at(self, position: int, size: int) -> int | None:
        """Return the input pixel whose value a position has; None where zeros are padded."""
        if 0 <= position < size:
            return position
        match self.padding_mode:
            case "reflect":
                return -position if position < 0 else 2 * (size - 1) - position
            case "replicate":
                return 0 if position < 0 else size - 1
            case "circular":
                return position % size
        return None

    def unused_border(self, size: int) -> Border:
        """Return the pixels after the last window: the remainder of the division in `outputs`."""
        unused = (self.before + size + self.after - self.extent) % self.stride
        image = min(max(unused - self.after, 0), size)
        return Border(image=image, padding=unused - image)

    def skipped(self, size: int) -> int:
        """Return the number of input pixels before the last window's end that no window covers."""
        if self.stride <= self.kernel == self.extent:
            return 0
        first, last = self.window(0), self.window(self.outputs(size) - 1)
        end = min(max(0, last.stop), size)
        # Between these two, the pattern of covered pixels repeats with the stride.
        start = min(max(0, first.stop - 1), end)
        stop = min(max(start, last.start + 1), end)
        repeats, rest = divmod(stop - start, self.stride)

        def is_skipped(pixel: int) -> bool:
            steps = (pixel - position for position in first)
            reach = last.start - first.start
            return not any(step % self.stride == 0 and 0 <= step <= reach for step in steps)

        others = (*range(start), *range(stop - rest, end))
        return repeats * self.skipped_per_stride + sum(map(is_skipped, others))

    @property
    def skipped_per_stride(self) -> int:
        """Positions that no window covers, of every `stride` positions."""
        return self.stride - len({position % self.stride for position in self.window(0)})

    def outputs_without_padding(self, size: int) -> int:
        """Return the number of outputs whose window lies wholly on the input."""
        first = -(-self.before // self.stride)
        last = (self.before + size - self.extent) // self.stride
        return max(0, last - first + 1)
