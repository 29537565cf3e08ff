"""The tables of the lesson, and the text that TensorBoard shows."""

from convscope import geometry
from convscope.geometry import NetworkGeometry
from convscope.layer_table import (
    COSTS,
    RUN_EXPLAINED,
    SIZES,
    geometry_text,
    layer_table,
    legend,
    merged,
)

from .convs import parse_conv, resnet20_graph, stack_geometry


def network(kernel_size: object, stride: object, padding: object) -> NetworkGeometry:
    convs = parse_conv(kernel_size, stride, padding, 2)
    return stack_geometry((1, 28, 28), convs, (4, 8), (1,), classes=10)


def test_sizes() -> None:
    # conv1: height (28 + 2 - 3) // 2 + 1, width 28 + 2 - 4 + 1
    rows = layer_table(network("3x4", "2x1", 1).as_records(), SIZES).rows
    assert rows == (
        ("conv1", "k3x4 s2x1 p1", "1x28x28", "4x14x27", "3x4", "2x1", "0x0.5", "2–8"),
        ("pool1", "k2 s2 p0", "4x14x27", "4x7x14", "5", "4x2", "1", "1"),
        ("conv2", "k3x4 s2x1 p1", "4x7x14", "8x4x13", "13x11", "8x2", "1x2", "2–8"),
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
    heads = "| layer | kernel-stride-padding | in | out | RF | jump | first centre | reads |"
    assert text.startswith(f"{heads}\n| :-- | :-- |")
    assert (
        "\n| conv2 | k3 s1 p1 | 4x14x14 | 8x14x14 | 8 | 2 | 0.5 | 4–9 |\n\nRF: receptive " in text
    )
    assert "\n\n438 parameters, 84,752 MACs and 21.4 KiB of activations per image" in text
    assert (
        "\n\n- the receptive field of a conv2 unit holds at most 8 of 28 pixels per axis." in text
    )


def resnet20_geometry(vary: str | list[str], **typed: object) -> NetworkGeometry:
    """ResNet-20 on CIFAR-10's images."""
    graph = resnet20_graph(vary=vary)
    keep = dict.fromkeys(("kernel_size", "stride", "padding"), "keep")
    convs = geometry.parse_conv(keep | typed, graph, (3, 32, 32))
    return geometry.network_geometry(graph.with_specs(convs), (3, 32, 32))


# By hand. Receptive fields: 3 + 6 * 2 = 15, then jump 2 after 17, 17 + 4 * 4 = 33 >= 32 for the
# input of layer2.2.conv2. Parameters: 9 * 16 * 16 = 2,304 and 9 * 32 * 32 = 9,216 a layer.
GROUPED = (
    ("conv1 *", "k3 s1 p1", "16x32x32", "3", "442,368", "432", "0", "12 %"),
    ("layer1 (6 layers)", "k3 s1 p1", "16x32x32", "15", "14,155,776", "13,824", "0", "12 %"),
    ("layer2.0.conv1", "k3 s2 p1", "32x16x16", "17", "1,179,648", "4,608", "1", "12 %"),
    ("layer2 (4 layers)", "k3 s1 p1", "32x16x16", "33", "9,437,184", "36,864", "0", "23 %"),
    ("layer2.2.conv2 °", "k3 s1 p1", "32x16x16", "37", "2,359,296", "9,216", "0", "23 %"),
    ("layer3.0.conv1 °", "k3 s2 p1", "64x8x8", "41", "1,179,648", "18,432", "1", "23 %"),
    ("layer3 (5 layers) °", "k3 s1 p1", "64x8x8", "81", "11,796,480", "184,320", "0", "44 %"),
)


def test_a_long_network_is_grouped_by_stage() -> None:
    layers = resnet20_geometry("stem").as_records()
    table = layer_table(layers)
    assert table.columns[1] == "<k-s-p"
    assert table.rows == GROUPED
    sizes = layer_table(layers, SIZES).rows
    assert sizes[3][2:4] == ("32x16x16", "32x16x16")
    assert sizes[-1][2:] == ("64x8x8", "64x8x8", "81", "4", "0", "4–9")
    # 6 maps of 16 x 32 x 32 numbers of 4 bytes.
    assert layer_table(layers, COSTS).rows[1][3] == "384.0 KiB"


def test_every_layer_on_request() -> None:
    layers = resnet20_geometry("stem").as_records()
    rows = layer_table(layers, every=True).rows
    assert len(rows) == 19
    assert rows[0][0] == "conv1 *"
    assert rows[12][0] == "layer2.2.conv2 °"


def test_varied_layers_have_a_row_and_a_mark() -> None:
    layers = resnet20_geometry(["layer2.*.conv1"], kernel_size=5, padding=2).as_records()
    names = [row[0] for row in layer_table(layers).rows]
    # 15 + 4, + 4, + 8, + 4 = 35 >= 32 for the input of layer2.2.conv1.
    assert names == [
        "conv1", "layer1 (6 layers)", "layer2.0.conv1 *", "layer2.0.conv2", "layer2.1.conv1 *",
        "layer2.1.conv2", "layer2.2.conv1 * °", "layer2.2.conv2 °", "layer3.0.conv1 °",
        "layer3 (5 layers) °",
    ]  # fmt: skip


def test_many_varied_layers_are_grouped_by_their_arguments() -> None:
    layers = resnet20_geometry("all").as_records()
    rows = layer_table(layers).rows
    # All are varied, so that no mark is needed.
    assert [row[0] for row in rows] == ["conv1", *(row[0] for row in GROUPED[1:])]
    kernels = [3] * 19
    kernels[3] = 5
    padding = [1] * 19
    padding[3] = 2
    one = resnet20_geometry("all", kernel_size=kernels, padding=padding).as_records()
    assert [row[:2] for row in layer_table(one).rows[1:4]] == [
        ("layer1 (2 layers)", "k3 s1 p1"),
        ("layer1.1.conv1", "k5 s1 p2"),
        ("layer1 (3 layers)", "k3 s1 p1"),
    ]


def test_the_legend_explains_marks_and_grouped_rows_that_there_are() -> None:
    layers = resnet20_geometry("stem").as_records()
    text = legend(SIZES, layers)
    assert text.startswith("k-s-p: kernel size, stride, padding; RF: receptive field")
    assert "; several layers in a row: in of the first, out of the last, sums," in text
    assert "; *: varied, conv.* applies to it; °: unproductive, the receptive field of" in text
    assert "several layers" not in legend(SIZES, layers, every=True)
    short = legend(SIZES, network(3, 1, 1).as_records())
    assert short == legend(SIZES)
    assert "several" not in short
    assert "°" not in short


def test_groups_of_a_convolution_are_shown() -> None:
    (row,) = network(3, 1, 1).as_records()[:1]
    assert layer_table([{**row, "groups": 64}]).rows[0][1] == "k3 s1 p1 g64"
    several = [{**row, "groups": 32}, {**row, "groups": 96}, {**row, "kernel_size": [1, 1]}]
    assert layer_table([merged(several)]).rows[0][1] == "k3 s1 p1 g32 to 96, k1 s1 p1"


def test_the_text_for_tensorboard_groups_first_and_is_complete() -> None:
    grouped, every = geometry_text(resnet20_geometry("stem")).split("\n\nAll 19 layers:\n\n")
    assert (
        "\n| layer1 (6 layers) | k3 s1 p1 | 16x32x32 | 16x32x32 | 15 | 1 | 0 | 4–9 |\n" in grouped
    )
    assert "\n- 7 conv layers from layer2.2.conv2 on are unproductive" in grouped
    assert every.count("\n| layer1.2.conv2 | ") == 2
    assert "\n| conv1 \\* | k3 s1 p1 |" in every
    assert "\n| layer3.2.conv2 ° | k3 s1 p1 | 64x8x8 | 64x8x8 | 81 | 4 | 0 | 4–9 |\n" in every


def test_rows_of_older_records() -> None:
    later = ("kind", "jump", "start", "activation_bytes", "skipped")
    layers = network(3, 1, 1).as_records()
    older = [{key: row[key] for key in row if key not in later} for row in layers]
    assert layer_table(older) == layer_table(layers)
    assert legend(RUN_EXPLAINED, older) == legend(RUN_EXPLAINED, layers)


def test_a_long_stack_has_a_row_per_layer() -> None:
    convs = parse_conv(3, 1, 1, 14)
    layers = stack_geometry((1, 28, 28), convs, [4] * 14, (), classes=10).as_records()
    # 3 + 12 * 2 = 27 pixels after conv13, 29 of 28 after conv14.
    assert [row[0] for row in layer_table(layers).rows] == [f"conv{n}" for n in range(1, 15)]
    assert "several layers" not in legend(SIZES, layers)
