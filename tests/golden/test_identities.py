"""The identity and the directory's name of runs that were trained long ago: neither may change."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from convscope.data import sources
from convscope.data.datasets import DATASETS
from convscope.data.images import Images
from convscope.training.hardware import Hardware
from convscope.training.resolve import RunResolver

RUNS = json.loads((Path(__file__).parent / "identities.json").read_text("utf-8"))
"""What was typed, and what commit 05d95fb made of it on a CPU, in float32."""

load = sources.load


def black(name: str, *options: Any) -> Images:
    """An official data set without its files: every image is black. Digits need no file."""
    if name == "digits":
        return load(name, *options)
    known = DATASETS[name]
    channels, height, width = known.input_shape

    def images(count: int) -> Any:
        return np.broadcast_to(np.uint8(0), (count, height, width, channels))

    def labels(count: int) -> Any:
        return np.arange(count) % known.classes

    return Images(
        name=name,
        train_images=images(known.train_size),
        train_labels=labels(known.train_size),
        test_images=images(known.test_size),
        test_labels=labels(known.test_size),
        classes=tuple(map(str, range(known.classes))),
        mean=(0.0,) * channels,
        std=(1.0,) * channels,
        fingerprint=known.fingerprint,
    )


@pytest.mark.parametrize("typed", RUNS)
def test_they_are_what_they_were(
    typed: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sources, "load", black)
    resolver = RunResolver(lambda trainer: Hardware("cpu", "a CPU", trainer.devices, "32-true", 1))
    (checked,) = resolver.prepare([typed.split()])
    request = resolver.request(checked)
    assert caplog.messages == []
    assert {"identity": request.id, "name": request.directory.path.name} == RUNS[typed]
