"""Feature-map sizes from convolution arithmetic."""

from collections.abc import Collection, Sequence

from convscope.geometry.shapes import ConvShape, Pair


def output_size(size: int, kernel: int, stride: int, padding: Pair) -> int:
    """Outputs along one axis: floor((size + before + after - kernel) / stride) + 1, 0 if none fits.

    Dumoulin and Visin (2016), relationship 6, with the two sides of the padding apart.
    """
    room = size + sum(padding) - kernel
    return room // stride + 1 if room >= 0 else 0


def conv_output(size: Pair, conv: ConvShape) -> Pair:
    """Height and width after `conv`, 0 where the output would be empty."""
    height, width = (
        output_size(size[axis], conv.kernel_size[axis], conv.stride[axis], conv.padding[axis])
        for axis in (0, 1)
    )
    return height, width


def pool_output(size: Pair) -> Pair:
    """Height and width after `torch.nn.MaxPool2d(2, ceil_mode=True)`; never empty.

    Its last window may hang over the edge but must start inside the input: ceil(size / 2).
    """
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def first_empty(
    size: Pair, convs: Sequence[ConvShape], pool_after: Collection[int]
) -> tuple[int, Pair] | None:
    """Index (from 0) and input size of the first conv layer whose output is empty; None if none."""
    for index, conv in enumerate(convs):
        out = conv_output(size, conv)
        if 0 in out:
            return index, size
        size = pool_output(out) if index + 1 in pool_after else out
    return None
