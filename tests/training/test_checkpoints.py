"""Checkpoints are whole or not there; a disk that fills up is named and leaves nothing believed."""

import errno
import io
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytorch_lightning import Trainer

from convscope.checkpoint import read_best, read_last
from convscope.errors import UserError
from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.runs.record import current_record
from convscope.training.callbacks.checkpoints import WholeCheckpoints
from convscope.training.module import VariantModule
from convscope.training.request import RunRequest
from convscope.training.train import train

RUN = "0" * 64
WEIGHTS = {"state_dict": {"weight": torch.arange(5.0)}, "epoch": 3}
CONTENT = WEIGHTS | {"optimizer_states": [], "callbacks": {}, "loops": {}, "global_step": 36}


@pytest.fixture
def directory(tmp_path: Path) -> RunDirectory:
    directory = RunDirectory(tmp_path / "run")
    directory.path.mkdir()
    return directory


def save(path: Path, content: dict[str, Any] = CONTENT) -> bytes:
    WholeCheckpoints(RunDirectory(path.parent.parent), RUN).save_checkpoint(content, path)
    return path.read_bytes()


def test_a_checkpoint_is_read_as_it_was_written(directory: RunDirectory) -> None:
    save(directory.last)
    save(directory.best, WEIGHTS)
    plugin = WholeCheckpoints(directory, RUN)
    for read in (
        read_last(directory, RUN),
        plugin.load_checkpoint(directory.last),
        read_best(directory, RUN),
        plugin.load_checkpoint(directory.best),
    ):
        assert read["epoch"] == 3
        assert torch.equal(read["state_dict"]["weight"], torch.arange(5.0))
    assert sorted(os.listdir(directory.checkpoints)) == ["best.ckpt", "last.ckpt"]


def test_a_write_that_fails_leaves_the_checkpoint_before(
    directory: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = directory.last
    before = save(path)

    def fail(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(UserError) as told:
        save(path, CONTENT | {"epoch": 4})
    assert path.read_bytes() == before
    assert str(told.value) == f"{path} could not be written: No space left on device"
    assert os.listdir(directory.checkpoints) == ["last.ckpt"]


def test_a_folder_that_is_gone_is_not_made_again(directory: RunDirectory) -> None:
    directory.path.rmdir()
    with pytest.raises(UserError, match="checkpoints cannot be made: No such file or directory"):
        save(directory.last)
    assert not directory.path.exists()


def rezipped(whole: bytes, without: str = "", compress: bool = False) -> bytes:
    """The same archive with checksums that are right, less one part or compressed."""
    made = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(made, "w", kind) as new:
        for part in old.infolist():
            if not without or not part.filename.endswith(without):
                new.writestr(part.filename, old.read(part))
    return made.getvalue()


DAMAGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "empty": (lambda whole: b"", "it is not a complete archive"),
    "truncated": (lambda whole: whole[:-100], "it is not a complete archive"),
    "first half": (lambda whole: whole[: len(whole) // 2], "it is not a complete archive"),
    "text": (lambda whole: b"hello", "it is not a complete archive"),
    "a pickle": (lambda whole: pickle.dumps(WEIGHTS), "it is not a complete archive"),
    "without its weights": (lambda whole: rezipped(whole, without="data/0"), ".* data/0.*"),
    "without its index": (lambda whole: rezipped(whole, without="data.pkl"), ".* data.pkl.*"),
    "compressed": (lambda whole: rezipped(whole, compress=True), "it is compressed"),
    "one weight": (
        lambda whole: whole.replace(np.float32(3).tobytes(), np.float32(9).tobytes()),
        "[a-z]+/data/0 does not have its checksum",
    ),
}


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
@pytest.mark.parametrize("damage", [*DAMAGE, "missing"])
def test_a_damaged_checkpoint_is_refused_with_the_way_out(
    directory: RunDirectory, damage: str, name: str
) -> None:
    path = directory.checkpoints / name
    whole = save(path)
    if damage == "missing":
        path.unlink()
        reason = "No such file or directory"
    else:
        make, reason = DAMAGE[damage]
        assert make(whole) != whole
        path.write_bytes(make(whole))
    read, way_out = {
        "last.ckpt": (read_last, "delete this file, and the run starts again, or add rerun=true"),
        "best.ckpt": (read_best, f"delete the folder {directory.path} or add rerun=true"),
    }[name]
    told = f"cannot read {re.escape(str(path))}: missing or damaged checkpoint \\({reason}\\)"
    with pytest.raises(UserError, match=f"^{told}; {re.escape(way_out)}$"):
        read(directory, RUN)


def test_what_it_lacks_is_named(directory: RunDirectory) -> None:
    save(directory.last, WEIGHTS)
    with pytest.raises(UserError, match=r"damaged checkpoint \(it lacks optimizer_states\); "):
        read_last(directory, RUN)
    torch.save([1, 2], directory.best)
    with pytest.raises(UserError, match=r"damaged checkpoint \(it is not a dictionary\); "):
        read_best(directory, RUN)


def test_a_checkpoint_of_another_run_is_refused(directory: RunDirectory) -> None:
    save(directory.best)
    with pytest.raises(UserError, match=r"best\.ckpt belongs to another run; delete the folder "):
        read_best(directory, "1" * 64)
    # As they were before they said whose they are.
    torch.save(WEIGHTS, directory.best)
    assert read_best(directory, RUN)["epoch"] == 3


def test_no_byte_can_change_a_weight(directory: RunDirectory) -> None:
    """Each of 200 random bytes, headers and padding among them: refused, or read to the bit."""
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 8, 3), torch.nn.Linear(8, 10))
    weights = network.state_dict()
    whole = save(directory.best, {"state_dict": weights, "epoch": 3})
    random = np.random.default_rng(0)
    refused = 0
    for place in random.integers(len(whole), size=200):
        flipped = bytearray(whole)
        flipped[place] ^= int(random.integers(1, 256))
        directory.best.write_bytes(flipped)
        try:
            read = read_best(directory, RUN)
        except UserError:
            refused += 1
        else:
            assert read["epoch"] == 3
            assert read["state_dict"].keys() == weights.keys()
            for key, value in weights.items():
                assert torch.equal(read["state_dict"][key], value)
    assert refused > 50


def test_a_checkpoint_that_would_run_code_is_refused(directory: RunDirectory) -> None:
    directory.checkpoints.mkdir()
    torch.save({"state_dict": os.system}, directory.best)
    with pytest.raises(UserError, match="UnpicklingError"):
        read_best(directory, RUN)


def flip_a_weight(path: Path) -> None:
    """Change one bit in the largest part of a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        part = max(archive.infolist(), key=lambda part: part.file_size)
        content = archive.read(part)
    whole = path.read_bytes()
    start = whole.index(content) + len(content) // 2
    path.write_bytes(whole[:start] + bytes([whole[start] ^ 1]) + whole[start + 1 :])


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_run_does_not_resume_from_a_flipped_bit(
    ask: Callable[..., RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    request = ask(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(VariantModule, "test_step", lambda *_: os.kill(os.getpid(), signal.SIGTERM))
        assert train(request).status == "interrupted"
    damaged = request.directory.checkpoints / name
    flip_a_weight(damaged)
    record = train(request)
    assert record.status == "failed"
    assert str(record.reason).startswith(f"cannot read {damaged}: missing or damaged checkpoint (")
    assert "does not have its checksum" in str(record.reason)
    # What the message says helps.
    if name == "last.ckpt":
        damaged.unlink()
    else:
        shutil.rmtree(request.directory.path)
    record = train(request)
    assert (record.status, record.resumed_from_epoch) == ("finished", 0)
    assert [row["epoch"] for row in History(request.directory.history).read()] == [1, 2]


def test_weights_that_are_damaged_before_the_test_are_not_tested(
    ask: Callable[..., RunRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = ask(tmp_path)
    test = Trainer.test

    def damage_then_test(*arguments: Any, **options: Any) -> Any:
        flip_a_weight(request.directory.best)
        return test(*arguments, **options)

    monkeypatch.setattr(Trainer, "test", damage_then_test)
    record = train(request)
    assert (record.status, record.metrics) == ("failed", {})
    assert str(record.reason).startswith(f"cannot read {request.directory.best}: ")


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
        record = train(request)
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
        read = read_best if checkpoint == request.directory.best else read_last
        read(request.directory, request.id)
    subprocess.run(["mount", "-o", "remount,size=10m", str(disk)], check=True)
    assert train(request).status == "finished"
