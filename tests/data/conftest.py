"""Small data sets in the official formats, and a server that behaves as told."""

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convscope.data.datasets import DATASETS, Archive, Dataset, RawFile

MNIST, CIFAR10 = DATASETS["mnist"], DATASETS["cifar10"]


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def idx(array: np.ndarray) -> bytes:
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


@dataclass
class Tiny:
    """A small data set: its table entry, what it holds, its files and archives by path."""

    known: Dataset
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    files: dict[str, bytes]
    archives: dict[str, bytes]

    def write(self, root: Path, what: dict[str, bytes] | None = None) -> None:
        for path, content in (self.files if what is None else what).items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)

    def serve_from(self, url: str) -> None:
        """Let its archives come from a server, and from nowhere else."""
        files = tuple(
            replace(f, archive=replace(f.archive, urls=(f"{url}/{f.archive.path}",)))
            for f in self.known.files
        )
        self.known = replace(self.known, files=files)
        DATASETS[self.known.name] = self.known


@pytest.fixture
def tiny_mnist(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """20 and 10 images in place of MNIST, whose servers are out of reach."""
    return _tiny_idx(MNIST, monkeypatch)


@pytest.fixture
def tiny_kmnist(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """As `tiny_mnist`, of KMNIST, of whose files only the archives' checksums are known."""
    return _tiny_idx(DATASETS["kmnist"], monkeypatch)


def _tiny_idx(whole: Dataset, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    random = np.random.RandomState(0)
    arrays = [
        random.randint(0, 256, (20, 28, 28)),
        np.arange(20) % 10,
        random.randint(0, 256, (10, 28, 28)),
        np.arange(10)[::-1],
    ]
    files, archives, table = {}, {}, []
    for file, array in zip(whole.files, arrays, strict=True):
        content = idx(array)
        packed = gzip.compress(content)
        files[file.path], archives[file.archive.path] = content, packed
        archive = Archive(file.archive.path, md5(packed), ("http://127.0.0.1:9/nothing",))
        table.append(RawFile(file.path, file.md5 and md5(content), archive))
    known = replace(whole, train_size=20, test_size=10, files=tuple(table))
    monkeypatch.setitem(DATASETS, known.name, known)
    return Tiny(known, *arrays, files, archives)


@pytest.fixture
def tiny_cifar10(monkeypatch: pytest.MonkeyPatch) -> Tiny:
    """Five batches of 4 images and a test batch of 10 in place of CIFAR-10."""
    random = np.random.RandomState(1)
    train = random.randint(0, 256, (20, 3, 32, 32)).astype(np.uint8)
    test = random.randint(0, 256, (10, 3, 32, 32)).astype(np.uint8)
    labels, test_labels = np.arange(20) % 10, np.arange(10)
    parts = [(train[i : i + 4], labels[i : i + 4]) for i in range(0, 20, 4)] + [(test, test_labels)]
    contents = [
        pickle.dumps({"data": data.reshape(-1, 3072), "labels": some.tolist()}, protocol=2)
        for data, some in parts
    ]
    contents.append(pickle.dumps({"label_names": [f"kind {i}" for i in range(10)]}, protocol=2))
    files = {file.path: content for file, content in zip(CIFAR10.files, contents, strict=True)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    archive = Archive(
        CIFAR10.files[0].archive.path,
        md5(packed.getvalue()),
        ("http://127.0.0.1:9/nothing",),
    )
    known = replace(
        CIFAR10,
        train_size=20,
        test_size=10,
        files=tuple(RawFile(path, md5(content), archive) for path, content in files.items()),
    )
    monkeypatch.setitem(DATASETS, "cifar10", known)
    as_pixels = [part.transpose(0, 2, 3, 1) for part in (train, test)]
    archives = {archive.path: packed.getvalue()}
    return Tiny(known, as_pixels[0], labels, as_pixels[1], test_labels, files, archives)


@dataclass
class Server:
    """Answers each path as told, and counts how often it was asked."""

    url: str
    answers: dict[str, Callable[[BaseHTTPRequestHandler], None]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def give(self, path: str, content: bytes) -> None:
        """Answer ``path`` with ``content``."""
        self.answers[path] = lambda request: _send(request, len(content), content)

    def stall(self, path: str, content: bytes, after: int) -> None:
        """Send the first bytes, then nothing until the test is over."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            _send(request, len(content), content[:after])
            self.stop.wait(60)

        self.answers[path] = answer

    def slow(self, path: str, content: bytes, seconds: float) -> None:
        """Send half, wait, send the other half."""

        def answer(request: BaseHTTPRequestHandler) -> None:
            half = len(content) // 2
            _send(request, len(content), content[:half])
            time.sleep(seconds)
            request.wfile.write(content[half:])

        self.answers[path] = answer

    def cut(self, path: str, content: bytes, after: int) -> None:
        """Promise all, send the first bytes, close."""
        self.answers[path] = lambda request: _send(request, len(content), content[:after])


def _send(request: BaseHTTPRequestHandler, length: int, content: bytes) -> None:
    request.send_response(200)
    request.send_header("Content-Length", str(length))
    request.end_headers()
    request.wfile.write(content)
    request.wfile.flush()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server on this machine; unknown paths are 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.asked.append(self.path)
            answer = told.answers.get(self.path)
            if answer is None:
                self.send_error(404)
            else:
                answer(self)

        def log_message(self, format: str, *args: object) -> None:
            """Silent: what it was asked is counted."""

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """A client that hangs up is part of the tests."""

    http = Quiet(("127.0.0.1", 0), Handler)
    told = Server(f"http://127.0.0.1:{http.server_address[1]}")
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield told
    told.stop.set()
    http.shutdown()
    http.server_close()
    thread.join()


class Folder:
    """A folder of small images, no two alike."""

    def __init__(self, root: Path, mode: str) -> None:
        self.root = root
        self.mode = mode
        self.random = np.random.RandomState(2)
        for part in ("train", "test"):
            for name in "abc":
                self.add(f"{part}/{name}/0.png")
                self.add(f"{part}/{name}/1.png")

    def add(self, path: str, mode: str = "", size: tuple[int, int] = (12, 10)) -> None:
        """Write a random image of ``size`` (width, height)."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        pixels = self.random.randint(0, 256, (size[1], size[0], 3)).astype(np.uint8)
        Image.fromarray(pixels).convert(mode or self.mode).save(target)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, "RGB")


@pytest.fixture
def grey_folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path, "L")
