"""The page with a run: a trained filter on a real test image."""

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import convscope
from convscope.data.images import Images
from convscope.data.sources import load
from convscope.errors import UserError
from convscope.lesson.page import write_page
from convscope.runs.predictions import write_arrays
from convscope.training.request import RunRequest
from convscope.training.train import train

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
    # Black comes in.
    for arrow in ("Shift left", "Shift up", "Shift up"):
        page.button(arrow).click()
    black = -digits.mean[0] / digits.std[0]
    shifted = torch.nn.functional.pad(as_trained(digits, two), (-1, 1, -2, 2), value=black)
    agree(page.first, shifted, weight[1:2], stride=1, padding=1)
    assert page.first.text(".moved-text").startswith("Input shifted 1 left and 2 up: ")
    assert "are at the border." in page.first.text(".moved-text")
    page.button("Reset").click()
    page.page.get_by_label("Numbers").check()
    assert page.first.field("Kernel size").is_enabled()
    assert page.first.output()[0] == [12, 21, 27, 33, 24]


def test_answers_to_a_shifted_image(
    tmp_path: Path, lesson: Open, ask: Callable[..., RunRequest], digits: Images
) -> None:
    request = ask(tmp_path, "conv.stride=2", "trainer.precision=32-true", "optim.lr=0.1")
    record = train(request)
    assert record.status == "finished"
    write_page(tmp_path / "page.html", run=request.directory.path)
    page = lesson(tmp_path / "page.html", width=360)
    two = int(np.flatnonzero(digits.test_labels == 2)[0])
    page.page.get_by_label("Test image: 2").check()
    network = convscope.load(record)

    def answer(image: np.ndarray) -> str:
        probabilities = network.scores(image)[0]
        best = probabilities.sort(descending=True)
        return ", ".join(
            f"{digits.classes[at]} ({100 * float(p):.0f} %)"
            for p, at in zip(best.values[:3], best.indices, strict=False)
            if p >= 0.005 or at == best.indices[0]
        )

    def said() -> str:
        text: str = page.page.locator("#answer-text").inner_text()
        return text.replace("\xa0", " ")

    image = digits.test_images[two]
    still = f"The trained network answers {answer(image)}."
    assert said() == still
    for arrow in ("Shift left", "Shift up", "Shift up"):
        page.button(arrow).click()
    moved = np.zeros_like(image)
    moved[:-2, :-1] = image[2:, 1:]
    assert said() == f"{still} Shifted 1 left and 2 up: {answer(moved)}."
    assert answer(moved) != answer(image)
    for _ in range(2):
        page.button("Shift up").click()
    assert said() == f"{still} Its answers are known for shifts of up to 3 pixels."
    page.page.get_by_label("Numbers").check()
    assert not page.page.locator("#answer-text").is_visible()


def test_no_answers_of_a_run_that_has_not_ended(
    tmp_path: Path, lesson: Open, trained: Make, digits: Images
) -> None:
    write_page(tmp_path / "page.html", run=trained(digits, filters(1, 1, 3)))
    assert not lesson(tmp_path / "page.html").page.locator("#answer-text").is_visible()


def strongest(page: Any) -> list[list[int]]:
    """(row, column) of the pixels whose colour is strong in the effective receptive field."""
    found: list[list[int]] = page.page.evaluate("""() => {
      const canvas = document.querySelector("#effective canvas");
      const [height, width] = page.unshifted().size;
      const cell = canvas.width / width;
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      const saturation = (row, column) => {
        const [y, x] = [row, column].map((pixel) => Math.floor((pixel + 0.5) * cell));
        const at = 4 * (y * canvas.width + x);
        return Math.max(...data.slice(at, at + 3)) - Math.min(...data.slice(at, at + 3));
      };
      return Array.from({ length: height * width }, (_, at) => [Math.floor(at / width), at % width])
        .filter(([row, column]) => saturation(row, column) > 100);
    }""")
    return found


def test_the_effective_receptive_field(
    tmp_path: Path, lesson: Open, trained: Make, digits: Images
) -> None:
    metrics = {"erf_side": 1.0, "erf_share": 1 / 9}
    run = trained(digits, filters(2, 1, 3), metrics=metrics)
    contributions = np.zeros((28, 28), np.float32)
    contributions[13:16, 13:16] = 0.1
    contributions[14, 14] = contributions[13, 15] = 1
    write_arrays(run / "diagnostics.npz", {"erf": contributions})
    write_page(tmp_path / "page.html", run=run)
    page = lesson(tmp_path / "page.html", width=360)
    text = page.page.locator("#effective-text").inner_text().replace("\xa0", " ")
    assert "last map, 28 × 28." in text
    assert "field, 3 × 3. Solid: " in text
    assert "contributions, 1 × 1, which has 11 % of the theoretical field’s pixels." in text
    effective = page.page.evaluate("page.trained.effective")
    assert effective["field"] == [[13, 13], [16, 16]]
    assert effective["square"] == [[14, 14], [15, 15]]
    assert strongest(page) == [[13, 15], [14, 14]]
    assert page.page.evaluate("document.documentElement.scrollWidth") == 360
    page.page.get_by_label("Numbers").check()
    assert not page.page.locator("#effective").is_visible()


def test_the_effective_receptive_field_in_the_middle_of_a_large_image(
    tmp_path: Path, lesson: Open, trained: Make, coloured: tuple[Images, Path]
) -> None:
    images, root = coloured
    metrics = {"erf_side": 3.0, "erf_share": 1.0}
    run = trained(images, filters(2, 3, 3), root=root, metrics=metrics)
    contributions = np.zeros((20, 80), np.float32)
    contributions[9, 41] = 1
    write_arrays(run / "diagnostics.npz", {"erf": contributions})
    write_page(tmp_path / "page.html", run=run)
    page = lesson(tmp_path / "page.html")
    # The page has columns 8 to 71. Unit (10, 40) of 20x80 reads rows 9 to 11, columns 39 to 41.
    assert page.page.evaluate("page.trained.effective.field") == [[9, 31], [12, 34]]
    assert strongest(page) == [[9, 33]]


@pytest.mark.parametrize("content", [b"no archive", None])
def test_damaged_diagnostics_are_refused(
    tmp_path: Path, trained: Make, digits: Images, content: bytes | None
) -> None:
    run = trained(digits, filters(2, 1, 3), metrics={"erf_side": 1.0, "erf_share": 0.1})
    if content is None:
        write_arrays(run / "diagnostics.npz", {"erf": np.ones((3, 3))})
    else:
        (run / "diagnostics.npz").write_bytes(content)
    with pytest.raises(UserError, match=r"diagnostics\.npz is damaged: "):
        write_page(tmp_path / "page.html", run=run)


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


def flat_outputs(images: Images, weight: torch.Tensor) -> list[float]:
    """What one filter makes of an area of one colour: black, white and each of their mixtures."""
    ends = itertools.product((0, 255), repeat=weight.shape[1])
    areas = torch.tensor(list(ends), dtype=torch.float32)
    normalised = (areas - torch.tensor(images.mean)) / torch.tensor(images.std)
    area = normalised[:, :, None, None].expand(-1, -1, *weight.shape[2:])
    outputs: list[float] = torch.nn.functional.conv2d(area, weight).flatten().tolist()
    return outputs


NUMBER = r"(−?\d[\d.]*)"


def test_what_is_said_of_flat_areas_holds_in_each_colour(
    tmp_path: Path, lesson: Open, trained: Make, coloured: tuple[Images, Path]
) -> None:
    images, root = coloured
    weight = filters(4, 3, 3)
    # Filter 1 adds up to 0 over all channels, but in no single one.
    weight[0] -= weight[0].mean()
    # Filter 2 adds up to 0 in each.
    weight[1] -= weight[1].mean(dim=(1, 2), keepdim=True)
    # Filter 3 has no weight, so that every output is 0.
    weight[2] = 0
    write_page(tmp_path / "page.html", run=trained(images, weight, root=root))
    page = lesson(tmp_path / "page.html")
    text = page.page.locator("#source-text")
    # The page begins with the one that is most like an edge, in each channel.
    assert page.page.get_by_label("Filter 2").is_checked()
    added = rf"add up to {NUMBER} for red, {NUMBER} for green and {NUMBER} for blue"
    for number in (1, 4):
        page.page.get_by_label(f"Filter {number}").check()
        said = re.search(
            rf"{added}: a flat area gives {NUMBER} to {NUMBER}, depending on its colour",
            text.inner_text(),
        )
        assert said is not None, text.inner_text()
        one = weight[number - 1 : number]
        outputs = flat_outputs(images, one)
        expected = [*one.sum(dim=(0, 2, 3)).tolist(), min(outputs), max(outputs)]
        shown = [float(number.replace("−", "-")) for number in said.groups()]
        assert shown == pytest.approx(expected, rel=0.05, abs=0.005)
        assert max(map(abs, outputs)) > 1
    page.page.get_by_label("Filter 2").check()
    assert re.search(rf"{added}: flat areas give about 0, edges stand out", text.inner_text())
    assert max(map(abs, flat_outputs(images, weight[1:2]))) < 1e-5
    page.page.get_by_label("Filter 3").check()
    assert "All its weights are 0, so every output is 0." in text.inner_text()
    assert {value for row in page.first.output() for value in row} == {0}


def test_grey_filters_say_what_black_and_white_give(
    tmp_path: Path, lesson: Open, trained: Make, digits: Images
) -> None:
    # A sum of 0.3 among weights of 3.3: white gives 0.9, which is not about 0.
    weight = torch.zeros(1, 1, 3, 3)
    weight[0, 0] = torch.tensor([[-0.5, 0.0, 0.6]]).expand(3, 3)
    write_page(tmp_path / "page.html", run=trained(digits, weight))
    text = lesson(tmp_path / "page.html").page.locator("#source-text").inner_text()
    black, white = flat_outputs(digits, weight)
    assert f"add up to 0.30: a flat area gives −{-black:.2f} to {white:.2f}, dep" in text
    assert white > 0.5


def test_a_page_never_begins_with_a_filter_of_zeros(
    tmp_path: Path, lesson: Open, trained: Make, digits: Images
) -> None:
    weight = torch.zeros(3, 1, 3, 3)
    weight[1] = 0.5  # a blur, which is as unlike an edge as can be
    write_page(tmp_path / "page.html", run=trained(digits, weight))
    assert lesson(tmp_path / "page.html").page.get_by_label("Filter 2").is_checked()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(8, 8), (28, 28), (45, 45), (64, 64), (224, 224), (1, 64)])
def test_thumbnails_of_any_image_and_filter_stay_in_their_frames(
    tmp_path: Path,
    lesson: Open,
    trained: Make,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
    channels: int,
) -> None:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (6, *size, channels), dtype=np.uint8)
    labels = np.arange(6)
    normal = (100.0,) * channels
    images = Images("own", pixels, labels, pixels, labels, tuple("abcdef"), normal, normal, "f00d")
    monkeypatch.setattr("convscope.lesson.page.trained.load_recorded", lambda *_: images)
    kernel = 1 if 1 in size else 41 if channels == 1 else 11
    run = trained(images, filters(8, channels, kernel), padding=kernel // 2)
    write_page(tmp_path / "page.html", run=run)
    page = lesson(tmp_path / "page.html", width=360).page
    frames, canvases = (
        page.locator(selector).evaluate_all(
            "all => all.map(at => at.getBoundingClientRect())"
            ".map(box => [box.x, box.y, box.right, box.bottom])"
        )
        for selector in (".choice:has(canvas)", ".choice canvas")
    )
    assert len(canvases) == 6 + 8
    for (left, top, right, bottom), (x, y, end, foot) in zip(frames, canvases, strict=True):
        assert left < x <= end < right
        assert top < y <= foot < bottom
    # The thumbnail has the image's own pixels.
    shown = page.locator("#inputs canvas").first.evaluate(
        "at => [at.width, at.height, ...at.getContext('2d').getImageData(0, 0, 1, 1).data]"
    )
    rows, columns = (slice((side - min(side, 64)) // 2, None) for side in size)
    first = pixels[0, rows, columns][0, 0].tolist()
    assert shown == [*(min(side, 64) for side in size[::-1]), *(first * 3)[:3], 255]
