"""What the windows of one layer read and leave out, along one axis.

Positions count from the first padding pixel: window i covers [i*stride, i*stride + kernel), the
input lies at [before, before + size).
"""

from dataclasses import dataclass

from convscope.geometry.shapes import Pair
from convscope.geometry.sizes import output_size


@dataclass(frozen=True)
class Border:
    """Pixels at the end of an axis that no window reaches.

    Attributes:
        image: pixels of the layer's own input.
        padding: padding pixels.
    """

    image: int
    padding: int


def unread_border(size: int, kernel: int, stride: int, padding: Pair) -> Border:
    """The remainder of the division in `output_size`, split into input and padding pixels."""
    before, after = padding
    unread = (before + size + after - kernel) % stride
    image = min(max(unread - after, 0), size)
    return Border(image=image, padding=unread - image)


def skipped_pixels(size: int, kernel: int, stride: int, padding: Pair) -> int:
    """Input pixels in the gaps between windows: all gaps of the axis, padding not counted.

    0 unless stride > kernel. Input pixels read, skipped and unread add up to `size`.
    """
    before, _ = padding
    last = (output_size(size, kernel, stride, padding) - 1) * stride

    def in_gaps(end: int) -> int:
        """Positions below `end` that lie in a gap; none lies beyond the last window."""
        steps, rest = divmod(min(end, last), stride)
        return steps * max(0, stride - kernel) + max(0, rest - kernel)

    return in_gaps(before + size) - in_gaps(before)


def outputs_clear_of_padding(size: int, kernel: int, stride: int, padding: Pair) -> int:
    """Outputs whose window lies wholly on the input."""
    before, _ = padding
    first = -(-before // stride)
    last = (before + size - kernel) // stride
    return max(0, last - first + 1)
