"""Regular files are read, within bounds; what is none is refused at once, and never followed."""

import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from convscope.files import FileTooLarge, NotRegularFile, create_file, open_regular, read_regular

OddFile = Any
"""As in conftest.py."""

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="such files are POSIX's")


def test_a_regular_file_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"\r\n\x1a" * 1000)
    assert read_regular(path, 3000) == b"\r\n\x1a" * 1000
    with pytest.raises(FileTooLarge, match=f"^{path} has more than 2,999 bytes$"):
        read_regular(path, 2999)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "none", 1)


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_a_file_without_an_end_is_not_read_on(tmp_path: Path) -> None:
    """Its size is no bound: those below /proc have 0."""
    with pytest.raises(FileTooLarge):
        read_regular("/proc/self/environ", 3)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_APPEND])
def test_what_is_no_regular_file_is_refused_at_once(
    tmp_path: Path, odd_file: OddFile, flags: int
) -> None:
    odd_file.make(tmp_path / "odd")
    descriptors = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for follow in (False, True) if odd_file.kind != "link to itself" else (False,):
        with pytest.raises(NotRegularFile, match=r"odd is not a regular file$"):
            open_regular(tmp_path / "odd", flags, follow_links=follow)
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.timeout(20)
def test_what_becomes_a_pipe_after_the_look_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    found = os.stat(tmp_path / "file")
    monkeypatch.setattr(os, "stat", lambda *_, **__: found)
    with pytest.raises(NotRegularFile):
        open_regular(tmp_path / "pipe")


def test_a_link_is_followed_where_that_is_asked_for_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_regular(tmp_path / "link", 10, follow_links=True) == b"content"
    with pytest.raises(NotRegularFile):
        read_regular(tmp_path / "link", 10)


@pytest.mark.timeout(20)
def test_a_new_file_takes_the_place_of_what_stood_there(tmp_path: Path, odd_file: OddFile) -> None:
    odd_file.make(tmp_path / "new")
    if odd_file.kind == "folder":
        with pytest.raises(IsADirectoryError, match="new is a folder"):
            create_file(tmp_path / "new")
        return
    with create_file(tmp_path / "new") as file:
        file.write(b"content")
    assert not (tmp_path / "new").is_symlink()
    assert (tmp_path / "new").read_bytes() == b"content"
    (tmp_path / "usual").touch()
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "usual").stat().st_mode


def test_what_a_link_points_at_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "new").symlink_to(tmp_path / "mine")
    with create_file(tmp_path / "new") as file:
        file.write(b"other")
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_a_name_with_a_line_break_makes_no_second_line(tmp_path: Path) -> None:
    path = tmp_path / "a\nb\x1b[2J"
    path.mkdir()
    with pytest.raises(NotRegularFile) as error:
        read_regular(path, 10)
    assert str(error.value) == f"{str(path)!r} is not a regular file"


def test_a_small_file_takes_little_memory_whatever_is_allowed(tmp_path: Path) -> None:
    path = tmp_path / "small"
    path.write_bytes(b"content")
    tracemalloc.start()
    try:
        assert read_regular(path, 1 << 30) == b"content"
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_file_that_tells_no_size_is_read_to_its_end_or_refused() -> None:
    path = "/proc/self/status"
    assert os.stat(path).st_size == 0
    assert read_regular(path, 100_000).startswith(b"Name:")
    with pytest.raises(FileTooLarge):
        read_regular(path, 10)
