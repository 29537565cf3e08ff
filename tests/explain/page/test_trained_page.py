"""The page with a run: a trained filter on a real test image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from convscope.data.images import Images
from convscope.data.sources import load
from convscope.explain.page import write_page

Open = Callable[..., Any]
Make = Callable[..., Path]


@pytest.fixture(scope="module")
def digits() -> Images:
    return load("digits", "nowhere")


@pytest.fixture
def coloured(tmp_path: Path) -> tuple[Images, Path]:
    root = tmp_path / "images"
    draw = np.random.default_rng(0)
    for part in ("train", "test"):
        for name in ("cats", "dogs <&>"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(2):
                pixels = draw.integers(0, 256, (20, 80, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return load("image_folder", root, progress=False), root


def filters(count: int, channels: int, size: int) -> torch.Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def as_trained(images: Images, index: int) -> torch.Tensor:
    """Test image `index` as a network gets it, (1, channels, height, width)."""
    pixels = torch.from_numpy(images.test_images[index].astype(np.float32))
    normalised = (pixels - torch.tensor(images.mean)) / torch.tensor(images.std)
    return normalised.permute(2, 0, 1)[None]


def test_both_settings_agree_with_torch(
    tmp_path: Path, lesson: Open, trained: Make, digits: Images
) -> None:
    weight = filters(5, 1, 3)
    # Rises from left to right and adds up to 0: the filter that the page begins with.
    weight[3] = torch.tensor([[-1.0, 0, 1]]).expand(3, 3)
    write_page(tmp_path / "page.html", run=trained(digits, weight))
    page = lesson(tmp_path / "page.html")
    zero, two = (int(np.flatnonzero(digits.test_labels == label)[0]) for label in (0, 2))
    assert page.page.get_by_label("Filter 4").is_checked()
    assert page.page.get_by_label("Test image: 0").is_checked()
    assert (
        "flat areas give about 0, edges stand out" in page.page.locator("#source-text").inner_text()
    )
    assert page.first.text(".variant") == "k3-s1-p1"
    assert page.second.text(".variant") == "k3-s3-p1"
    assert page.first.text(".status").startswith("Step 784 of 784")
    assert page.first.field("Kernel size").is_disabled()
    agree(page.first, as_trained(digits, zero), weight[3:4], stride=1, padding=1)
    agree(page.second, as_trained(digits, zero), weight[3:4], stride=3, padding=1)
    page.page.get_by_label("Test image: 2").check()
    page.page.get_by_label("Filter 2").check()
    page.second.type(stride="2x4", padding="full")
    agree(page.first, as_trained(digits, two), weight[1:2], stride=1, padding=1)
    agree(page.second, as_trained(digits, two), weight[1:2], stride=(2, 4), padding=2)
    page.page.get_by_label("Numbers").check()
    assert page.first.field("Kernel size").is_enabled()
    assert page.first.output()[0] == [12, 21, 27, 33, 24]


def agree(setting: Any, image: torch.Tensor, weight: torch.Tensor, **conv: Any) -> None:
    expected = torch.nn.functional.conv2d(image, weight, **conv)[0, 0]
    shown = torch.tensor(setting.output())
    torch.testing.assert_close(shown, expected, rtol=1e-4, atol=1e-4)


def test_colours_add_up_and_large_images_show_their_middle(
    tmp_path: Path, lesson: Open, trained: Make, coloured: tuple[Images, Path]
) -> None:
    images, root = coloured
    weight = filters(2, 3, 2)
    run = trained(images, weight, stride=2, padding=0, root=root)
    write_page(tmp_path / "page.html", run=run)
    page = lesson(tmp_path / "page.html", width=360)
    page.page.get_by_label("Test image: dogs <&>").check()
    page.page.get_by_label("Filter 1").check()
    middle = as_trained(images, 2)[..., 8:72]
    agree(page.first, middle, weight[:1], stride=2)
    assert "the middle of 20 × 80" in page.page.locator("#source-text").inner_text().replace(
        "\xa0", " "
    )
    assert page.first.text(".call").startswith("torch.nn.Conv2d(3, 1, ")
    captions = page.first.root.locator(".tables caption").all_inner_texts()
    assert captions == ["red", "green", "blue"]
    assert page.page.evaluate("document.documentElement.scrollWidth") == 360
