import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

import pytest

from convscope.errors import UserError
from convscope.files import create_file, replace_file

Start = Callable[..., "subprocess.Popen[str]"]

OLD = b"old " * 5000
NEW = b"new " * 6000

WRITER = f"""
import sys
from pathlib import Path
from convscope.files import replace_file
path = Path(sys.argv[1])
replace_file(path, {OLD!r})
print("ready", flush=True)
while True:
    replace_file(path, {NEW!r})
    replace_file(path, {OLD!r})
"""

DIES_AT = f"""
import os, signal, sys
from pathlib import Path
from convscope.files import replace_file
step = sys.argv[2]
real = getattr(os, step)
def die(*arguments):
    if sys.argv[3] == "after":
        real(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
print("ready", flush=True)
setattr(os, step, die)
replace_file(Path(sys.argv[1]), {NEW!r})
"""


def test_writes_and_replaces_with_the_usual_rights(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    replace_file(path, OLD)
    replace_file(path, NEW)
    assert path.read_bytes() == NEW
    assert os.listdir(tmp_path) == ["run.json"]
    (tmp_path / "usual").touch()
    assert path.stat().st_mode == (tmp_path / "usual").stat().st_mode


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
def test_killed_at_random_moments_leaves_one_content_whole(tmp_path: Path, start: Start) -> None:
    path = tmp_path / "run.json"
    seen = set()
    for seed in range(12):
        writer = start(WRITER, path)
        time.sleep(random.Random(seed).uniform(0, 0.05))
        writer.kill()
        writer.wait()
        seen.add(path.read_bytes())
        assert len(os.listdir(tmp_path)) <= 2
    assert seen <= {OLD, NEW}
    replace_file(path, NEW)
    assert os.listdir(tmp_path) == ["run.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize(
    ("step", "moment", "content"),
    [
        ("fsync", "before", OLD),
        ("fsync", "after", OLD),
        ("replace", "before", OLD),
        ("replace", "after", NEW),
    ],
)
def test_killed_at_each_step(
    tmp_path: Path, start: Start, step: str, moment: str, content: bytes
) -> None:
    path = tmp_path / "run.json"
    replace_file(path, OLD)
    assert start(DIES_AT, path, step, moment).wait() == -signal.SIGKILL
    assert path.read_bytes() == content
    replace_file(path, NEW)
    assert path.read_bytes() == NEW
    assert os.listdir(tmp_path) == ["run.json"]


def test_content_is_on_the_disk_before_its_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        folder = os.path.isdir(f"/proc/self/fd/{descriptor}")
        steps.append("fsync folder" if folder else "fsync file")
        fsync(descriptor)

    def watched_replace(*paths: Any) -> None:
        steps.append("replace")
        replace(*paths)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "replace", watched_replace)
    replace_file(tmp_path / "run.json", NEW)
    if sys.platform == "linux":
        assert steps == ["fsync file", "replace", "fsync folder"]
    else:
        assert steps[:2] == ["fsync file", "replace"]


class FullFile:
    """A file that takes some bytes and then no more."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file

    def __enter__(self) -> "FullFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, data: bytes) -> int:
        self.file.write(data[:10])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_leaves_the_old_file_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    path = tmp_path / "run.json"
    replace_file(path, OLD)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        if step == "write":
            patch.setattr(
                "convscope.files.create_file",
                lambda path: FullFile(cast(IO[bytes], create_file(path))),
            )
        else:
            patch.setattr(os, step, full)
        with pytest.raises(UserError, match=r"run\.json could not be written: No space left"):
            replace_file(path, NEW)

    assert path.read_bytes() == OLD
    assert os.listdir(tmp_path) == ["run.json"]


def test_an_interrupt_is_passed_on_and_leaves_no_stray_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        replace_file(tmp_path / "run.json", NEW)
    assert os.listdir(tmp_path) == []


@pytest.mark.timeout(20)
@pytest.mark.skipif(sys.platform == "win32", reason="named pipes are POSIX's")
def test_what_stands_at_the_temporary_name_is_neither_followed_nor_waited_for(
    tmp_path: Path,
) -> None:
    path, temporary = tmp_path / "run.json", tmp_path / ".run.json.tmp"
    (tmp_path / "mine").write_bytes(b"mine")
    temporary.symlink_to(tmp_path / "mine")
    replace_file(path, OLD)
    assert (tmp_path / "mine").read_bytes() == b"mine"
    os.mkfifo(temporary)
    replace_file(path, NEW)
    assert path.read_bytes() == NEW
    temporary.mkdir()
    with pytest.raises(UserError, match=r"run\.json could not be written: \.run\.json\.tmp is a f"):
        replace_file(path, OLD)
    assert path.read_bytes() == NEW


def test_a_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"run\.json could not be written: No such file"):
        replace_file(tmp_path / "gone" / "run.json", NEW)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root on Linux")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(disk)]
    mounted = subprocess.run(mount, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        pytest.skip(f"no tmpfs can be mounted here: {mounted.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path) -> None:
    path = small_disk / "run.json"
    replace_file(path, OLD)
    with pytest.raises(UserError, match=r"run\.json could not be written: No space left"):
        replace_file(path, NEW * 3)
    assert path.read_bytes() == OLD
    assert os.listdir(small_disk) == ["run.json"]
    replace_file(path, NEW)
    assert path.read_bytes() == NEW
