"""scikit-learn's digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from convscope.data.sources import load


def test_digits_need_no_root_and_write_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    images = load("digits", tmp_path / "file" / "below")
    assert images.train_images.shape == (1438, 28, 28, 1)
    assert images.test_images.shape == (1797 - 1438, 28, 28, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert images.fingerprint == load("digits", "").fingerprint


def test_a_fifth_of_each_class_is_the_test_set() -> None:
    images = load("digits", "")
    of_each = np.bincount(load_digits().target)
    assert of_each.tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # 0.2 of each, rounded half up.
    expected = [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert np.bincount(images.test_labels).tolist() == expected
    assert np.bincount(images.train_labels).tolist() == (of_each - expected).tolist()


def test_every_digit_is_there_once_scaled() -> None:
    images = load("digits", "")
    raw = load_digits()
    expected = sorted(
        (
            label,
            Image.fromarray((image * 15.9375 + 0.5).astype(np.uint8))
            .resize((28, 28), Image.Resampling.BILINEAR)
            .tobytes(),
        )
        for label, image in zip(raw.target.tolist(), raw.images, strict=True)
    )
    everything = [
        (label, image.tobytes())
        for part, labels in (
            (images.train_images, images.train_labels),
            (images.test_images, images.test_labels),
        )
        for label, image in zip(labels.tolist(), part, strict=True)
    ]
    assert sorted(everything) == expected
    assert max(images.train_images.max(), images.test_images.max()) == 255


def test_normalisation() -> None:
    images = load("digits", "")
    assert images.mean == (float(images.train_images.mean()),)
    assert abs(images.std[0] - float(images.train_images.astype(np.float64).std())) < 1e-9
