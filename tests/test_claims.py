"""docs/claims.md is what docs/claims.py makes of its study, and its arithmetic is PyTorch's."""

import importlib.util
import shlex
import subprocess
import sys
from itertools import combinations
from pathlib import Path
from types import ModuleType

import pytest
import torch
from pandas import DataFrame
from scipy import stats
from torch import nn

from convscope.analysis import load

CLONE = Path(__file__).parents[1]
DOCS, TRAIN = CLONE / "docs", CLONE / "scripts" / "train.py"
NO_RUNS = DataFrame()


@pytest.fixture(scope="module")
def claims() -> ModuleType:
    spec = importlib.util.spec_from_file_location("claims", DOCS / "claims.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look up their module.
    sys.modules["claims"] = module
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_script_makes(claims: ModuleType) -> None:
    assert claims.PAGE.read_text("utf-8") == claims.page(load(claims.PACK))


def test_the_packed_study_is_small_and_names_no_folder_of_a_machine(claims: ModuleType) -> None:
    assert claims.PACK.stat().st_size < 3_000_000
    runs = load(claims.PACK)
    for record in runs["record"]:
        assert record.config["output_dir"] == "outputs"
        assert record.config["data"]["root"] == "data"
        assert "/" not in record.command.replace("scripts/train.py", "")


def test_each_claim_has_a_source_a_command_and_a_verdict(claims: ModuleType) -> None:
    page = claims.PAGE.read_text("utf-8")
    sections = page.split("\n## ")[1:]
    assert [section.partition(".")[0] for section in sections] == [str(n) for n in range(1, 16)]
    for section in sections:
        assert "\nWhere: [" in section
        assert "(https://" in section
        assert "\n```sh\npython scripts/" in section
        assert "\nHolds for: " in section


def test_a_stride_does_not_change_the_parameters(claims: ModuleType) -> None:
    weights = {
        sum(p.numel() for p in nn.Conv2d(16, 32, 3, s, bias=False).parameters()) for s in (1, 2)
    }
    answer = claims.stride_and_parameters(NO_RUNS)
    assert weights == {4608}
    assert "4,608 weights at any stride" in answer.text
    assert answer.number == "24,058 parameters at stride 1 and at stride 2"
    assert "125,440 weights here at stride 1 and 2,560 at stride 2" in answer.text


def test_same_at_stride_2(claims: ModuleType) -> None:
    with pytest.raises(ValueError, match="not supported for strided"):
        nn.Conv2d(1, 1, 3, 2, padding="same")
    for kernel, stride, size in ((3, 2, 28), (3, 2, 29), (7, 2, 224), (5, 3, 28), (1, 2, 28)):
        total = max(0, kernel - 1 - (size - 1) % stride)
        before, after = claims.same_tf(kernel, stride, size)
        assert (before + after, after - before) == (total, total % 2)
        padded = nn.functional.pad(torch.zeros(1, 1, size, size), (before, after, before, after))
        (height, _) = nn.Conv2d(1, 1, kernel, stride)(padded).shape[2:]
        assert height == -(-size // stride)
    assert claims.same_at_stride_2(NO_RUNS).number.startswith("0 pixels before and 1 after")


def test_same_and_half_have_other_pixels(claims: ModuleType) -> None:
    image = torch.arange(28.0).expand(1, 1, 28, 28)
    left = torch.zeros(1, 1, 3, 3)
    left[..., 1, 0] = 1
    half = nn.functional.conv2d(image, left, stride=2, padding=1)[0, 0, 1]
    same = nn.functional.conv2d(nn.functional.pad(image, (0, 1, 0, 1)), left, stride=2)[0, 0, 1]
    assert half[:2].tolist() == [0, 1]  # The first is a zero of the padding, at pixel -1.
    assert same[:2].tolist() == [0, 2]
    assert len(half) == len(same) == 14
    assert claims.same_and_half(NO_RUNS).number == (
        "the first window covers pixels 0 to 2 with SAME and −1 to 1 with padding 1"
    )


def test_a_fractional_size_is_rounded_down(claims: ModuleType) -> None:
    ((_, table),) = claims.fractional_sizes(NO_RUNS).tables
    cases = [(224, 7, 2, 3), (224, 11, 4, 0), (224, 11, 4, 2), (227, 11, 4, 0)]
    for row, (size, kernel, stride, padding) in zip(table.rows, cases, strict=True):
        image = torch.zeros(1, 1, size, size)
        outputs = nn.Conv2d(1, 1, kernel, stride, padding)(image).shape[-1]
        formula = (size + 2 * padding - kernel) / stride + 1
        assert row[3:5] == (f"{formula:g}", f"{outputs}")


@pytest.mark.parametrize("padding", [0, 1, 2])
def test_how_often_a_pixel_is_read(claims: ModuleType, padding: int) -> None:
    """The gradient of the sum of a convolution's outputs, with weights of 1, counts the reads."""
    ((_, table),) = claims.equal_use(NO_RUNS).tables
    image = torch.zeros(1, 1, 28, 28, requires_grad=True)
    nn.functional.conv2d(image, torch.ones(1, 1, 3, 3), padding=padding).sum().backward()
    assert image.grad is not None
    counts = image.grad[0, 0]
    expected = [int(counts[place]) for place in ((0, 0), (0, 14), (14, 14))]
    assert [int(cell) for cell in table.rows[padding][2:]] == expected


def test_a_stride_leaves_the_window_as_large_as_it_was(claims: ModuleType) -> None:
    answer = claims.wider_steps(NO_RUNS)
    assert (
        answer.number
        == "3x3 windows cover 9 pixels at any stride, and overlap by 1 pixel at stride 2"
    )
    assert "2 at stride 1, 1 at stride 2, and 0 only at stride 3" in answer.text


def test_a_claim_on_the_digits(claims: ModuleType, tmp_path: Path) -> None:
    """The page's own command, on the digits: trained, compared, and tested as SciPy tests."""
    command = next(
        line for line in claims.PAGE.read_text().splitlines() if "zeros,replicate" in line
    )
    _, _, *words = shlex.split(command.replace("data=mnist", "data=digits"))
    words = [word for word in words if not word.startswith(("repeat=", "trainer."))]
    small = ["repeat=2", "trainer.max_epochs=1", "trainer.limit_train_batches=2", "diagnostics=off"]
    subprocess.run([sys.executable, TRAIN, *words, *small], cwd=tmp_path, check=True)
    runs = load(tmp_path / "outputs" / "claims")
    modes = claims.named(runs.assign(setting=""), lambda run: run["padding_mode"])
    samples = {mode: rows["test_accuracy"] for mode, rows in modes.groupby("padding_mode")}
    assert [len(sample) for sample in samples.values()] == [2, 2, 2, 2]
    answer = claims.zeros_or_repeat(runs)
    ((_, table),) = answer.tables
    assert [row[0] for row in table.rows] == ["`replicate`", "`reflect`", "`circular`"]
    test = stats.tukey_hsd(*samples.values())
    names = list(samples)
    for first, second in combinations(names, 2):
        found = claims.difference(modes, first, second)
        place = names.index(first), names.index(second)
        assert found.value == pytest.approx(test.statistic[place], abs=1e-9)
    assert "digits, channels 16-32-64, 1 epoch of" in answer.scope
