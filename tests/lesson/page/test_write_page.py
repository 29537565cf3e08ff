"""What is written, and what is refused: no browser needed."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from convscope.data.images import Images
from convscope.data.sources import load
from convscope.errors import UserError
from convscope.geometry import Graph, ImpossibleVariant, Shape
from convscope.geometry.layers import Conv
from convscope.lesson.page import write_page
from convscope.lesson.page.layer import PageLayer, page_layer
from convscope.networks.stack import chain, stack

from ...convs import parse_conv, resnet20_graph

LIMIT = 300_000
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def digits() -> Images:
    return load("digits", "nowhere")


def test_is_one_small_file_that_names_no_other(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]
    page = (tmp_path / "page.html").read_text("utf-8")
    assert len(page.encode()) <= LIMIT / 3
    assert not re.search(r"https?://|\bsrc=|@import|url\(", page)
    assert "default-src 'none'" in page


def test_holds_what_was_asked_for(tmp_path: Path) -> None:
    first, second = parse_conv(["3x5", 4], ["1x2", 1], ["1x2", "same"], layers=2)
    write_page(tmp_path / "page.html", conv=first, second=second, input_size=(7, 9))
    page = (tmp_path / "page.html").read_text("utf-8")
    assert (
        '"input":[7,9],"panes":[{"kernel_size":"3x5","stride":"1x2","padding":"1x2",'
        '"dilation":"1","padding_mode":"zeros"},{"kernel_size":"4","stride":"1","padding":"same",'
        '"dilation":"1","padding_mode":"zeros"}],"compare":true' in page
    )


def test_the_largest_run_fits(
    tmp_path: Path, trained: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 100, 120, 3), dtype=np.uint8)
    labels = np.arange(30) % 15
    classes = tuple("abcdefghijklmno")
    images = Images(
        "cifar10", pixels, labels, pixels, labels, classes, (1.0, 2.0, 3.0), (1.0, 2.0, 3.0), "f00d"
    )
    monkeypatch.setattr("convscope.lesson.page.trained.load_recorded", lambda *_: images)
    write_page(tmp_path / "page.html", run=trained(images, torch.randn(512, 3, 11, 11)))
    assert LIMIT / 2 < (tmp_path / "page.html").stat().st_size <= LIMIT


def test_a_run_that_cannot_be_shown_is_told_in_one_line(
    tmp_path: Path, trained: Make, digits: Images
) -> None:
    page = tmp_path / "page.html"
    page.write_text("as it was")
    run = trained(digits, torch.ones(2, 1, 3, 3))
    best = run / "checkpoints" / "best.ckpt"
    whole = best.read_bytes()

    (larger,) = parse_conv(5, 1, 0, layers=1)
    with pytest.raises(
        UserError, match=r"conv.kernel_size must be 3, that of the filters of .*, got 5"
    ):
        write_page(page, run=run, conv=larger)
    best.write_bytes(whole[:200])
    with pytest.raises(UserError, match=r"cannot read .*best.ckpt: missing or damaged checkpoint"):
        write_page(page, run=run)
    torch.save(
        {"state_dict": {"network.features.conv1.weight": torch.full((1, 1, 3, 3), torch.nan)}}, best
    )
    with pytest.raises(UserError, match="the training diverged"):
        write_page(page, run=run)
    best.unlink()
    with pytest.raises(
        UserError, match=r"no trained filters \(interrupted\): checkpoints/best.ckpt is miss"
    ):
        write_page(page, run=run)
    with pytest.raises(UserError, match=r"nowhere/run.json cannot be read"):
        write_page(page, run=tmp_path / "nowhere")
    assert page.read_text() == "as it was"


def test_other_data_than_the_runs_is_refused(tmp_path: Path, trained: Make, digits: Images) -> None:
    run = trained(dataclasses.replace(digits, fingerprint="other"), torch.ones(2, 1, 3, 3))
    with pytest.raises(UserError, match="not those that by-hand was trained on"):
        write_page(tmp_path / "page.html", run=run)


def test_values_too_large_for_the_page_are_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    (wide,) = parse_conv("3x65", 1, 0, layers=1)
    (padded,) = parse_conv(3, 1, 65, layers=1)
    with pytest.raises(
        UserError, match="conv.kernel_size must be at most 64 on the page, got 3x65"
    ):
        write_page(page, conv=wide)
    with pytest.raises(UserError, match="conv.padding must be at most 64 on the page, got 65"):
        write_page(page, second=padded)
    with pytest.raises(UserError, match="--input must be at most 64 on the page, got 100"):
        write_page(page, input_size=(100, 100))
    with pytest.raises(UserError, match="could not be written: No such file or directory"):
        write_page(tmp_path / "none" / "page.html")
    assert not page.exists()


RESNET20 = {"network": "resnet20", "channels": [4, 8, 8], "pool_after": [], "vary": "stem"}


def shown(graph: Graph, name: str, shape: Shape = (3, 32, 32)) -> PageLayer:
    return page_layer(graph, shape, name, "a network")


def test_a_layer_of_a_network_with_its_input_and_arguments() -> None:
    layer = shown(resnet20_graph([4, 8, 8]), "layer2.0.conv1")
    assert layer.about == (
        "a network. The input of layer2.0.conv1 is 4x32x32, its output 8x16x16. Each output value"
        " is a sum over the windows in all 4 input channels; of numbers, one channel is shown."
    )
    assert (layer.size, layer.conv.stride, layer.groups) == ((32, 32), (2, 2), 1)


def test_a_pool_whose_size_is_rounded_up_is_padded_on_the_page() -> None:
    (conv,) = parse_conv(3, 1, 1, layers=1)
    layer = shown(stack([4], [1], 10).with_specs([conv]), "pool1", (1, 13, 14))
    # 13 to 7: the last window starts at pixel 12 and reaches 1 pixel beyond the edge.
    assert layer.conv.padding == ((0, 1), (0, 0))
    assert layer.about == (
        "a network. The input of pool1 is 4x13x14, its output 4x7x7. It is a pool: the largest"
        " value of a window is its output, in place of the sum here. Its output size is rounded"
        " up; here, padding after the last pixel does that."
    )


def test_groups_and_a_large_input() -> None:
    (spec,) = parse_conv(3, 1, 1, layers=1)
    nodes = chain([("wide", Conv(8, spec)), ("deep", Conv(16, spec, groups=4))])
    layer = shown(Graph(nodes, varied=()), "deep", (3, 65, 20))
    assert layer.size == (5, 5)
    assert layer.about == (
        "a network. The input of deep is 8x65x20, its output 16x65x20. It has 4 groups: each output"
        " channel is computed from 2 of the 8 input channels. The page shows at most 64 pixels, so"
        " its input is smaller here."
    )


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("layer2.0.conv", "did you mean layer2.0.conv2 or layer2.0.conv1 or "),
        ("bn1", "--layer must name a conv or pool layer, bn1 is a BatchNorm"),
        ("zzz", "they are conv1, layer1.0.conv1, layer1.0.conv2, "),
    ],
)
def test_a_layer_that_cannot_be_shown(name: str, message: str) -> None:
    with pytest.raises(UserError) as refused:
        shown(resnet20_graph([4, 8, 8]), name)
    assert message in str(refused.value)
    assert len(str(refused.value)) < 250


def test_an_impossible_layer_has_a_reason() -> None:
    convs = parse_conv(5, 1, 0, layers=2)
    graph = stack([4, 4], [], 10).with_specs(convs)
    assert shown(graph, "conv1", (1, 8, 8)).size == (8, 8)
    with pytest.raises(ImpossibleVariant, match="conv2 would have an empty output: input 4x4"):
        shown(graph, "conv2", (1, 8, 8))


def content(page: Path) -> Any:
    text = page.read_text("utf-8")
    start = text.index('id="content">') + len('id="content">')
    return json.loads(text[start : text.index("</script>", start)])


@pytest.mark.parametrize("prefix", ["network.features", "network"])
def test_the_first_varied_layer_of_any_network(
    tmp_path: Path, trained: Make, digits: Images, prefix: str
) -> None:
    weight = torch.ones(4, 1, 3, 3)
    run = trained(digits, weight, model=RESNET20, weight=f"{prefix}.conv1.weight")
    page = tmp_path / "page.html"
    assert write_page(page, run=run) is None
    found = content(page)
    assert found["trained"]["shape"] == [4, 1, 3, 3]
    assert found["layer"]["name"] == "conv1"
    assert found["layer"]["about"].startswith("by-hand. The input of conv1 is 1x")


def test_a_layer_that_does_not_read_the_image_has_no_trained_filters(
    tmp_path: Path, trained: Make, digits: Images
) -> None:
    run = trained(digits, torch.ones(4, 1, 3, 3), model=RESNET20)
    page = tmp_path / "page.html"
    assert write_page(page, run=run, name="layer2.0.conv1") == (
        "no trained filters: layer2.0.conv1 does not read the image; the input is numbers"
    )
    found = content(page)
    assert (found["trained"], found["compare"]) == (None, False)
    assert found["panes"][0]["stride"] == "2"
    assert found["input"] == [28, 28]
    with pytest.raises(
        UserError, match="--layer names no conv or pool layer of the network: conv9"
    ):
        write_page(page, run=run, name="conv9")
