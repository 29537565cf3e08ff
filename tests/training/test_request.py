"""A request that travels to another process."""

import dataclasses
import pickle
from pathlib import Path

import pytest

from convscope.errors import UserError
from convscope.training.request import to_remote


def test_a_request_travels_without_its_images(
    ask, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    request = ask(Path("here"), "conv.stride=2", "optim.lr=0.02")
    parcel = pickle.dumps(to_remote(request))
    # Digits take 1797 x 28 x 28 bytes.
    assert len(parcel) < 20_000

    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    received = pickle.loads(parcel).materialize(request.hardware)
    assert received.directory.path == tmp_path / "here" / "default" / request.directory.name
    assert received.config == request.config
    assert (received.id, received.steps) == (request.id, request.steps)
    assert received.geometry == request.geometry
    assert (received.train_indices == request.train_indices).all()
    assert (received.val_indices == request.val_indices).all()
    assert (received.images.train_images == request.images.train_images).all()


def test_another_device_would_be_another_run(ask, tmp_path: Path) -> None:
    request = ask(tmp_path)
    other = dataclasses.replace(request.hardware, accelerator="cuda", device="a GPU")
    with pytest.raises(UserError, match=r"^digits under .*, or the device \(a GPU\), is not here"):
        to_remote(request).materialize(other)
