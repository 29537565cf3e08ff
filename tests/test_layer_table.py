"""The tables of the lesson, and the text that TensorBoard shows."""

from convscope.geometry import NetworkGeometry
from convscope.layer_table import COSTS, SIZES, geometry_text, layer_table

from .convs import parse_conv, stack_geometry


def network(kernel_size: object, stride: object, padding: object) -> NetworkGeometry:
    convs = parse_conv(kernel_size, stride, padding, 2)
    return stack_geometry((1, 28, 28), convs, (4, 8), (1,), classes=10)


def test_sizes() -> None:
    # conv1: height (28 + 2 - 3) // 2 + 1, width 28 + 2 - 4 + 1
    rows = layer_table(network("3x4", "2x1", 1).as_records(), SIZES).rows
    assert rows == (
        ("conv1", "k3x4 s2x1 p1", "1x28x28", "4x14x27", "3x4", "2x1", "0x0.5"),
        ("pool1", "k2 s2 p0", "4x14x27", "4x7x14", "5", "4x2", "1"),
        ("conv2", "k3x4 s2x1 p1", "4x7x14", "8x4x13", "13x11", "8x2", "1x2"),
    )


def test_costs() -> None:
    # conv1: 4 filters of 12 weights at 14 x 27 places; 13 of 14 rows and 25 of 27 columns
    # are clear of padding
    rows = layer_table(network("3x4", "2x1", 1).as_records(), COSTS).rows
    assert rows[0] == ("conv1", "48", "18,144", "5.9 KiB", "0+1x0", "0", "14 %")
    assert rows[1] == ("pool1", "0", "0", "1.5 KiB", "0", "0", "0 %")


def test_unused_and_skipped_pixels() -> None:
    # (28 - 2) % 3 = 2 at the end, 8 gaps of 1; conv2: (5 - 2) % 3 = 0, 1 gap
    rows = layer_table(network(2, 3, 0).as_records(), COSTS).rows
    assert [row[4:6] for row in rows] == [("2+0", "8"), ("0", "0"), ("0", "1")]


def test_the_text_for_tensorboard_holds_tables_and_findings() -> None:
    # parameters: 36 + 288 in the layers, 24 of batch norm, 90 in the head
    text = geometry_text(network(3, 1, 1))
    heads = "| layer | kernel-stride-padding | in | out | RF | jump | first centre |"
    assert text.startswith(f"{heads}\n| :-- | :-- |")
    assert "\n| conv2 | k3 s1 p1 | 4x14x14 | 8x14x14 | 8 | 2 | 0.5 |\n\nRF: receptive " in text
    assert "\n\n438 parameters, 84,752 MACs and 21.4 KiB of activations per image" in text
    assert (
        "\n\n- the receptive field of a conv2 unit holds at most 8 of 28 pixels per axis." in text
    )
