"""Two variants side by side."""

import pytest

from convscope.errors import UserError
from convscope.lesson.diff import data_warning, legend, rows, sentences, split, table
from convscope.variant import Variant, VariantComposer


def composed(overrides: list[str]) -> Variant:
    return VariantComposer().compose(overrides)


def test_split_at_vs() -> None:
    assert split(["conv.stride=1", "vs", "conv.stride=2", "data=mnist"]) == (
        ["conv.stride=1"],
        ["conv.stride=2", "data=mnist"],
    )
    assert split(["vs"]) == ([], [])


@pytest.mark.parametrize("words", [[], ["conv.stride=1", "conv.stride=2"], ["vs", "a=1", "vs"]])
def test_one_vs_is_needed(words: list[str]) -> None:
    with pytest.raises(UserError, match=r"^diff takes two variants with one vs between them"):
        split(words)


def test_differences_are_marked_counts_with_their_factor() -> None:
    drawn = table(composed([]), composed(["conv.stride=2"]))
    assert drawn.columns == ("<", "<", "k3-s1-p1", "k3-s2-p1", "<")
    layers, named = {}, ""
    for layer, quantity, *rest in drawn.rows:
        named = layer or named
        layers[named, quantity] = tuple(rest)
    assert layers["", "data"] == ("mnist 1x28x28", "mnist 1x28x28", "")
    assert layers["", "final map"] == ("14x14", "2x2", "*")
    assert layers["conv1", "kernel-stride-padding"] == ("k3 s1 p1", "k3 s2 p1", "*")
    assert layers["conv1", "out"] == ("16x28x28", "16x14x14", "*")
    assert layers["conv1", "receptive field"] == ("3", "3", "")
    assert layers["conv1", "params"] == ("144", "144", "")
    assert layers["conv1", "MACs"] == ("112,896", "28,224", "* x0.25")
    assert layers["conv1", "unused border"] == ("0", "0+1", "*")
    assert ("conv1", "skipped") not in layers
    assert ("pool1", "MACs") not in layers


def test_layers_that_one_side_lacks() -> None:
    found = {(row.layer, row.quantity): row for row in rows(composed([]), composed(["model=deep"]))}
    assert found["pool1", "out"].texts == ("16x14x14", "–")
    assert found["conv6", "out"].texts == ("–", "256x7x7")
    assert found["conv6", "params"].factor is None
    order = list(dict.fromkeys(layer for layer, _ in found))
    assert order == [
        "", "conv1", "pool1", "conv2", "pool2", "conv3", "conv4", "pool4", "conv5", "conv6",
    ]  # fmt: skip


def test_an_impossible_side_shows_the_layers_that_it_has() -> None:
    found = {
        (row.layer, row.quantity): row.texts
        for row in rows(composed(["conv.kernel_size=7", "conv.padding=0"]), composed([]))
    }
    assert found["", "params"] == ("–", "24,058")
    assert found["conv2", "out"] == ("32x5x5", "32x14x14")
    assert found["conv3", "out"] == ("–", "64x14x14")


def test_sentences_of_one_and_of_both() -> None:
    said = sentences(composed([]), composed(["conv.kernel_size=5", "conv.padding=half"]))
    assert said == {
        "Only the first, k3-s1-p1:": [
            "the receptive field of a conv3 unit holds at most 12 of 28 pixels per axis."
        ],
        "Only the second, k5-s1-p2:": [
            "the receptive field of a conv3 unit holds at most 22 of 28 pixels per axis."
        ],
        "Both:": ["78 % of the MACs are in conv3."],
    }


@pytest.mark.parametrize(
    ("first", "second", "warning"),
    [
        (["conv.stride=1"], ["conv.stride=2"], None),
        (["data=cifar10"], ["conv.stride=2", "data=cifar10"], None),
        (["data=mnist"], ["data=cifar10"], None),
        ([], ["data=digits", "data.batch_size=1"], "the second has data=digits data.batch_size=1"),
        (["conv.stride=1"], ["data=cifar10"], "(mnist and cifar10)"),
        (["++data.name=cifar10"], [], "only the first has ++data.name=cifar10"),
    ],
    ids=str,
)
def test_two_that_differ_in_data_unasked_are_told(
    first: list[str], second: list[str], warning: str | None
) -> None:
    told = data_warning((first, second), (composed(first), composed(second)))
    assert (told is None) == (warning is None)
    assert told is None or (warning or "") in told


def test_long_networks_are_compared_by_stage_and_only_where_they_differ() -> None:
    first = composed(["model=resnet20", "data=cifar10"])
    second = composed(["model=resnet20", "data=cifar10", "conv.kernel_size=7"])
    found = {(row.layer, row.quantity): row.texts for row in rows(first, second, every=False)}
    assert list(dict.fromkeys(layer for layer, _ in found)) == [
        "", "conv1", "layer1 (6 layers)", "layer2.0.conv1", "layer2 (3 layers)", "layer2.2.conv1",
        "layer2.2.conv2", "layer3.0.conv1", "layer3 (5 layers)",
    ]  # fmt: skip
    # 32 + 2 - 7 + 1 = 28; six layers of 9 * 16 * 16 weights on 32 * 32 and on 28 * 28 pixels.
    assert found["conv1", "out"] == ("16x32x32", "16x28x28")
    assert found["layer1 (6 layers)", "MACs"] == ("14,155,776", "10,838,016")
    assert ("layer1 (6 layers)", "params") not in found
    # Its input's receptive field: 3 + 12 + 2 + 12 = 29, with the larger stem 33 of 32 pixels.
    assert found["layer2.2.conv1", "unproductive"] == ("no", "yes")
    assert "what does not differ is left out: --all shows it" in legend(first, second, every=False)
    assert "left out" not in legend(first, second, every=True)
    whole = rows(first, second)
    assert len({row.layer for row in whole}) == 20
    assert any(not row.differs and row.layer == "layer1.0.conv1" for row in whole)


def test_a_small_difference_is_not_shown_as_none() -> None:
    first = composed(["model=resnet20", "data=mnist"])
    drawn = table(first, composed(["model=resnet20", "data=mnist", "conv.kernel_size=7"]))
    # 269,434 and 40 weights more in each of 16 filters
    (params,) = [row for row in drawn.rows if row[1:3] == ("params", "269,434")]
    assert params[3:] == ("270,074", "* x1.002")
