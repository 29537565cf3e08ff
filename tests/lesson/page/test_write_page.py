"""What is written, and what is refused: no browser needed."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from convscope.data.images import Images
from convscope.data.sources import load
from convscope.errors import UserError
from convscope.lesson.page import write_page

from ...convs import parse_conv

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
    monkeypatch.setattr("convscope.lesson.page.trained.load", lambda *_: images)
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
        UserError, match=r"no trained filters \(finished\): checkpoints/best.ckpt is miss"
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
