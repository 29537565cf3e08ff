"""Downloads from a server that may do anything."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from convscope.data import download
from convscope.data.datasets import Archive
from convscope.data.download import DownloadError, fetch
from convscope.errors import UserError

if TYPE_CHECKING:
    from conftest import Server

CONTENT = bytes(range(256)) * 2000


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def archive(*urls: str) -> Archive:
    return Archive("set/raw/file.gz", md5(CONTENT), urls)


def left(root: Path) -> list[str]:
    """Files below ``root``, less locks."""
    return sorted(
        p.relative_to(root).as_posix()
        for p in root.rglob("*")
        if p.is_file() and p.suffix != ".lock"
    )


def test_whole_file_arrives(server: Server, tmp_path: Path) -> None:
    server.give("/file.gz", CONTENT)
    path = fetch(archive(f"{server.url}/file.gz"), tmp_path)
    assert path == tmp_path / "set/raw/file.gz"
    assert path.read_bytes() == CONTENT
    assert left(tmp_path) == ["set/raw/file.gz"]


def test_mirrors_are_tried_in_order(server: Server, tmp_path: Path) -> None:
    server.give("/b/file.gz", CONTENT[:-1])
    server.give("/c/file.gz", CONTENT)
    urls = [f"{server.url}/{mirror}/file.gz" for mirror in "abcd"]
    fetch(archive(*urls), tmp_path)
    assert server.asked == ["/a/file.gz", "/b/file.gz", "/c/file.gz"]


def test_failure_is_one_line_with_every_reason_and_the_cure(server: Server, tmp_path: Path) -> None:
    server.give("/b", b"other")
    server.cut("/c", CONTENT, 1000)
    with pytest.raises(DownloadError) as error:
        fetch(archive(*(f"{server.url}/{mirror}" for mirror in "abc")), tmp_path)
    assert str(error.value) == (
        f"{tmp_path}/set/raw/file.gz could not be downloaded (HTTP 404 from 127.0.0.1; "
        f"127.0.0.1 sent other bytes: md5 {md5(b'other')}; "
        f"127.0.0.1 closed after 1000 of 512000 bytes); "
        f"fetch {server.url}/a and put it there"
    )
    assert left(tmp_path) == []


def test_no_answer_leaves_nothing_at_all(server: Server, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(DownloadError, match="Connection refused"):
        fetch(archive(f"http://127.0.0.1:{port}/file.gz"), tmp_path / "data")
    with pytest.raises(DownloadError, match="HTTP 404"):
        fetch(archive(f"{server.url}/file.gz"), tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_stall_ends_at_the_deadline(server: Server, tmp_path: Path) -> None:
    server.stall("/file.gz", CONTENT, 1000)
    begin = time.monotonic()
    with pytest.raises(DownloadError, match="127.0.0.1 did not answer in time"):
        fetch(archive(f"{server.url}/file.gz"), tmp_path, deadline=begin + 0.5)
    # Far below the minute for which the server stalls, however busy the machine.
    assert 0.4 < time.monotonic() - begin < 20
    assert left(tmp_path) == []


def test_stall_ends_without_a_deadline_too(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "READ_SECONDS", 0.3)
    server.stall("/a", CONTENT, 1000)
    server.give("/b", CONTENT)
    assert fetch(archive(f"{server.url}/a", f"{server.url}/b"), tmp_path).exists()


@pytest.mark.parametrize("mirrors", [1, 100])
def test_dead_name_server_costs_three_seconds_in_all(
    mirrors: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "CONNECT_SECONDS", 0.3)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(20))
    begin = time.monotonic()
    urls = [f"http://mirror{i}.invalid/file.gz" for i in range(mirrors)]
    with pytest.raises(DownloadError, match="mirror0.invalid did not answer in time"):
        fetch(archive(*urls), tmp_path, deadline=begin + 30)
    # 0.3 s for each would be 30.
    assert time.monotonic() - begin < 15


def test_unknown_host_is_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(DownloadError) as error:
        fetch(archive("https://a.invalid/x", "http://b.invalid/x"), tmp_path)
    assert error.value.reason == "no network"


def test_file_in_place_of_the_folder(server: Server, tmp_path: Path) -> None:
    server.give("/file.gz", CONTENT)
    (tmp_path / "set").write_text("")
    with pytest.raises(DownloadError, match=r"/set(/raw)? cannot be written: "):
        fetch(archive(f"{server.url}/file.gz"), tmp_path)


def test_a_server_that_does_not_end_is_left(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "MAX_BYTES", len(CONTENT) - 1)
    server.give("/file.gz", CONTENT)
    with pytest.raises(DownloadError, match="127.0.0.1 sent more than 511,999 bytes"):
        fetch(archive(f"{server.url}/file.gz"), tmp_path)
    assert left(tmp_path) == []


def test_full_disk(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    server.give("/file.gz", CONTENT)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DownloadError, match="No space left on device"):
        fetch(archive(f"{server.url}/file.gz"), tmp_path)
    assert left(tmp_path) == []


@pytest.mark.parametrize("name", [".file.gz.tmp", ".file.gz.lock"])
def test_no_link_is_written_through(name: str, server: Server, tmp_path: Path) -> None:
    server.give("/file.gz", CONTENT)
    (tmp_path / "set/raw").mkdir(parents=True)
    (tmp_path / "precious").write_text("kept")
    (tmp_path / "set/raw" / name).symlink_to(tmp_path / "precious")
    if name.endswith(".lock"):
        with pytest.raises(UserError, match=r"/.file.gz.lock is not a regular file$"):
            fetch(archive(f"{server.url}/file.gz"), tmp_path)
    else:
        assert fetch(archive(f"{server.url}/file.gz"), tmp_path).read_bytes() == CONTENT
    assert (tmp_path / "precious").read_text() == "kept"


FETCH = """
import sys
from pathlib import Path
from convscope.data.datasets import Archive
from convscope.data.download import fetch
url, md5, root = sys.argv[1:]
fetch(Archive("set/raw/file.gz", md5, (url,)), Path(root))
"""


def test_two_processes_at_once(server: Server, tmp_path: Path) -> None:
    server.slow("/file.gz", CONTENT, seconds=1)
    command = [sys.executable, "-c", FETCH, f"{server.url}/file.gz", md5(CONTENT), str(tmp_path)]
    both = [subprocess.Popen(command) for _ in range(2)]
    assert [process.wait(20) for process in both] == [0, 0]
    assert left(tmp_path) == ["set/raw/file.gz"]
    assert (tmp_path / "set/raw/file.gz").read_bytes() == CONTENT


def test_second_in_line_takes_what_the_first_brought(server: Server, tmp_path: Path) -> None:
    server.stall("/file.gz", CONTENT, 1000)
    target = tmp_path / "set/raw/file.gz"
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT)
    assert fetch(archive(f"{server.url}/file.gz"), tmp_path) == target
