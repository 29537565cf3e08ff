"""The Lightning pipeline trains, its window is exact, and its workers end with it."""

import multiprocessing
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import Dataset

from convscope.benchmark.cases import Case
from convscope.benchmark.lightning_baseline import (
    rates_by_workers,
    samples_per_second,
    torchvision_images,
    worker_counts,
)

MakeCase = Callable[..., Case]


def as_data_set(case: Case) -> Dataset[Any]:
    images = case.request.images
    pixels = torch.from_numpy(images.train_images / 255).float().permute(0, 3, 1, 2)
    return list(zip(pixels, images.train_labels.tolist(), strict=True))  # type: ignore[return-value]


def test_steps_after_the_first_ten_are_timed_over_the_edge_of_an_epoch(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    case = make_case("conv.stride=2")
    clock = iter([100.0, 104.0])
    monkeypatch.setattr(
        "convscope.benchmark.lightning_baseline.time",
        SimpleNamespace(perf_counter=lambda: next(clock)),
    )
    # An epoch has 40 steps.
    assert samples_per_second(case, as_data_set(case), 35, workers=0) == 35 * 32 / 4
    assert capfd.readouterr() == ("", "")


def test_its_workers_end_with_it(make_case: MakeCase) -> None:
    """None may be at work while another is measured; Lightning sees to it."""
    case = make_case("conv.stride=2")
    assert samples_per_second(case, as_data_set(case), 10, workers=1) > 0
    assert multiprocessing.active_children() == []


def test_the_best_number_of_workers_is_looked_for_up_to_the_cores(
    make_case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = make_case()
    monkeypatch.setattr("convscope.benchmark.lightning_baseline.cores", lambda: 4)
    monkeypatch.setattr(
        "convscope.benchmark.lightning_baseline.samples_per_second",
        lambda case, images, steps, n: 100.0 * steps + n,
    )
    assert rates_by_workers(case, as_data_set(case), 7) == {0: 700.0, 1: 701.0, 2: 702.0, 4: 704.0}
    assert [list(worker_counts(cores)) for cores in (1, 2, 6)] == [
        [0, 1],
        [0, 1, 2],
        [0, 1, 2, 4, 6],
    ]


def test_torchvision_reads_the_same_images_with_the_same_normalisation(
    make_case: MakeCase, tmp_path: Path
) -> None:
    pixels = np.arange(3 * 28 * 28).reshape(3, 28, 28) % 251
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    for name, array in (
        ("train-images-idx3-ubyte", pixels),
        ("train-labels-idx1-ubyte", np.array([3, 1, 4])),
        ("t10k-images-idx3-ubyte", pixels),
        ("t10k-labels-idx1-ubyte", np.array([3, 1, 4])),
    ):
        header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
        (folder / name).write_bytes(header + array.astype(np.uint8).tobytes())
    case = as_mnist(make_case(), tmp_path)
    images = torchvision_images(case)
    assert images is not None
    image, label = images[1]
    assert label == 1
    (mean,), (std,) = case.request.images.mean, case.request.images.std
    assert image.shape == (1, 28, 28)
    assert float(image[0, 2, 5]) == pytest.approx((float(pixels[1, 2, 5]) - mean) / std, rel=1e-5)


def as_mnist(case: Case, root: Path) -> Case:
    request = case.request
    config = replace(request.config, data=replace(request.config.data, root=str(root)))
    variant = replace(request.variant, config=config)
    images = replace(request.images, name="mnist")
    return replace(case, request=replace(request, variant=variant, images=images))


def test_without_a_data_set_of_torchvision_it_is_not_measured(
    make_case: MakeCase, tmp_path: Path
) -> None:
    assert torchvision_images(make_case()) is None
    assert torchvision_images(as_mnist(make_case(), tmp_path)) is None
