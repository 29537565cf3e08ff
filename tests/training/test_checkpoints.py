"""Checkpoints are whole or not there; a disk that fills up is named and leaves nothing believed."""

import errno
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from convscope.errors import UserError
from convscope.runs.record import current_record
from convscope.training.checkpoints import WholeCheckpoints, read_checkpoint
from convscope.training.request import RunRequest
from convscope.training.train import train

CONTENT = {"state_dict": {"weight": torch.arange(5.0)}, "epoch": 3}


def test_a_checkpoint_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "checkpoints" / "last.ckpt"
    WholeCheckpoints().save_checkpoint(CONTENT, path)
    for read in (read_checkpoint(path), WholeCheckpoints().load_checkpoint(path)):
        assert read["epoch"] == 3
        assert torch.equal(read["state_dict"]["weight"], torch.arange(5.0))
    assert os.listdir(path.parent) == ["last.ckpt"]


def test_a_write_that_fails_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "last.ckpt"
    WholeCheckpoints().save_checkpoint(CONTENT, path)
    before = path.read_bytes()

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError) as told:
        WholeCheckpoints().save_checkpoint(CONTENT | {"epoch": 4}, path)
    assert path.read_bytes() == before
    assert str(told.value) == f"{path} could not be written: No space left on device"
    assert os.listdir(tmp_path) == ["last.ckpt"]


@pytest.mark.parametrize("damage", ["empty", "truncated", "text", "missing"])
def test_a_damaged_checkpoint_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    WholeCheckpoints().save_checkpoint(CONTENT, path)
    whole = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes({"empty": b"", "truncated": whole[:-100], "text": b"hello"}[damage])
    with pytest.raises(UserError) as error:
        read_checkpoint(path)
    assert str(error.value).startswith(f"cannot read {path}: missing or damaged checkpoint (")
    assert str(error.value).endswith(f"delete the folder {tmp_path / 'run'} or add rerun=true")


def test_a_checkpoint_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run" / "checkpoints" / "best.ckpt"
    path.parent.mkdir(parents=True)
    torch.save({"state_dict": os.system}, path)
    with pytest.raises(UserError, match="UnpicklingError"):
        read_checkpoint(path)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Mount a disk of so many KiB."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("only root on Linux can mount a small disk")
    mounted = []

    def mount(kib: int) -> Path:
        folder = tmp_path / f"disk{kib}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
        done = subprocess.run(command, capture_output=True, check=False, text=True)
        if done.returncode != 0:
            pytest.skip(f"no disk can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("kib", [12, 16, 32, 48, 60, 72])
def test_a_disk_that_fills_up_is_told_in_one_line_that_names_a_file_on_it(
    ask: Callable[..., RunRequest],
    small_disk: Callable[[int], Path],
    capfd: pytest.CaptureFixture[str],
    kib: int,
) -> None:
    """Wherever in the run it fills up; then the run goes on once there is room."""
    disk = small_disk(kib)
    request = ask(disk)
    try:
        record = train(request, lambda line: None)
    except UserError as error:
        reason = str(error)
    else:
        assert record.status == "failed"
        reason = str(record.reason)
    assert str(disk) in reason
    assert "\n" not in reason
    assert "No space left on device" in reason
    printed = capfd.readouterr()
    assert "Traceback" not in printed.out + printed.err
    if request.directory.record.exists():
        assert current_record(request.directory.path).status in ("failed", "interrupted")
    for checkpoint in request.directory.checkpoints.glob("*.ckpt"):
        read_checkpoint(checkpoint)
    subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
    assert train(request, lambda line: None).status == "finished"
