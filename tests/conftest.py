"""A tiny run on digits, which need no file; what it left for TensorBoard; a browser for pages;
files that are none."""

import logging
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from filelock import ReadWriteLock

from .studies import make_runs, make_study  # noqa: F401 (fixtures of several rooms)

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from xdist.remote import Producer
    from xdist.scheduler import LoadScopeScheduling

    from convscope.training.request import RunRequest

TINY = (
    "data=digits",
    "trainer.accelerator=cpu",
    "model.channels=[4,8]",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=12",
    "trainer.log_every_n_steps=5",
    "optim.lr=0.01",
    # Tests of diagnostics ask for them.
    "diagnostics=off",
)

# For every process that tests start too, before PyTorch is imported: such networks train no sooner
# on two threads, and many times slower where other programs want the cores, since threads of OpenMP
# wait for each other without sleeping. It also makes results the same bits on every machine.
os.environ["OMP_NUM_THREADS"] = "1"
# The few processes that are given two threads all the same let them sleep while they wait.
os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
# Tests start some hundred processes: each would compile ConvScope again, up to half a second.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # In the background of a script Ctrl-C is ignored, and by all processes that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Folders whose tests one worker of `pytest -n` runs one after the other: they start clusters and
# processes for several runs or devices, or have a trained study in common. The longest comes first.
ONE_WORKER = ("executors", "distributed", "tensorboard")
# Files that take half a minute or more, which start next.
LONG = (
    *("test_serial.py", "test_search_command.py", "test_page.py", "test_cli.py"),
    *("test_processes.py", "test_loop.py", "test_report.py", "test_entry.py", "test_packaging.py"),
)


def group_of(test: str) -> str:
    """Return what a test shares a worker with: one of the folders above, or its file."""
    file = test.partition("::")[0]
    return next((folder for folder in ONE_WORKER if folder in file.split("/")), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(
    config: pytest.Config, log: "Producer"
) -> "LoadScopeScheduling | None":
    """Give each worker of `pytest -n` whole groups, so that what tests share is made once."""
    if config.getoption("dist") != "load":
        return None  # Another way to distribute tests was typed.
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    config.option.loadscopereorder = False
    return ByGroup(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        # What starts last is short: no worker waits long for the others at the end. Then come the
        # tests for which others pause, when hardly any are left.
        order = {name: rank for rank, name in enumerate((*ONE_WORKER, *LONG))}

        def rank(item: pytest.Item) -> tuple[bool, int]:
            name = group_of(item.nodeid).rpartition("/")[2]
            return item.get_closest_marker("exclusive") is not None, order.get(name, len(order))

        items.sort(key=rank)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Run an `exclusive` test while no other worker runs any: it measures time."""
    if not hasattr(item.config, "workerinput"):
        return (yield)
    machine = ReadWriteLock(Path(item.config.getoption("basetemp")).with_name("machine.lock"))
    exclusive = item.get_closest_marker("exclusive")
    with machine.write_lock() if exclusive else machine.read_lock():
        return (yield)


BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

Ask = Callable[..., "RunRequest"]
Scalars = dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class OddFile:
    """What is no regular file: to be made at a path."""

    kind: str
    make: Callable[[Path], None]


def _bind_socket(path: Path) -> None:
    # A socket's path has at most 107 bytes: bound in a short folder, then moved.
    with tempfile.TemporaryDirectory(dir="/tmp") as short, socket.socket(socket.AF_UNIX) as one:
        one.bind(f"{short}/s")
        shutil.move(f"{short}/s", path)


ODD_FILES: dict[str, Callable[[Path], None]] = {
    "pipe": lambda path: os.mkfifo(path),
    "socket": _bind_socket,
    "folder": lambda path: path.mkdir(),
    "link to a device": lambda path: path.symlink_to("/dev/zero"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.fixture(params=ODD_FILES)
def odd_file(request: pytest.FixtureRequest) -> OddFile:
    """Each kind of file that is not to be opened, in turn."""
    return OddFile(request.param, ODD_FILES[request.param])


@pytest.fixture(scope="session")
def ask() -> Ask:
    """A request for a tiny run: `ask(output_dir, "conv.stride=2", ...)`."""
    import torch

    from convscope.streams import log_to_terminal
    from convscope.training.resolve import RunResolver

    # A test before may have set it.
    torch.set_num_threads(1)
    resolver = RunResolver()

    def request(output_dir: Path, *overrides: str) -> "RunRequest":
        with log_to_terminal(pytest.fail):
            return resolver.request(
                *resolver.prepare([[*TINY, f"output_dir={output_dir}", *overrides]])
            )

    return request


@pytest.fixture
def on_each_line() -> Iterator[Callable[[Callable[[str], None]], None]]:
    """`on_each_line(act)`: act on each line that a run logs, of a sweep's run too."""
    handlers: list[logging.Handler] = []

    def listen(act: Callable[[str], None]) -> None:
        handler = logging.Handler()
        handler.emit = lambda record: act(record.getMessage())  # type: ignore[method-assign]
        logging.getLogger("convscope").addHandler(handler)
        handlers.append(handler)

    yield listen
    for handler in handlers:
        logging.getLogger("convscope").removeHandler(handler)


@pytest.fixture(scope="session")
def scalars() -> Callable[[Path], Scalars]:
    """Every scalar in a folder's event files: its tag's (step, value) in the order written."""
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
    from tensorboard.util.tensor_util import make_ndarray

    def read(folder: Path) -> Scalars:
        found: Scalars = {}
        # In the order of their making, by time and number: 10 follows 9.
        for path in sorted(
            folder.glob("events.out.tfevents.*"),
            key=lambda file: [int(digits) for digits in re.findall(r"\d+", file.name)],
        ):
            for event in EventFileLoader(str(path)).Load():
                for value in event.summary.value:
                    if value.metadata.plugin_data.plugin_name == "scalars":
                        point = event.step, float(make_ndarray(value.tensor))
                        found.setdefault(value.tag, []).append(point)
        return found

    return read


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """One Chromium for all tests: a process can hold no second Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip(f"no Chromium found: none of {', '.join(BROWSERS)} is on the PATH")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@dataclass(frozen=True)
class Ended:
    code: object
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Command]:
    """`python scripts/train.py ARGUMENTS` in this process, in an empty folder without data."""
    from hydra.core.global_hydra import GlobalHydra

    from convscope.cli import train as cli

    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("CONVSCOPE_DATA", str(tmp_path / "no-data"))
    monkeypatch.setenv("HYDRA_FULL_ERROR", "")

    def enter(*arguments: str) -> Ended:
        GlobalHydra.instance().clear()
        monkeypatch.setattr("sys.argv", ["scripts/train.py", *arguments])
        capfd.readouterr()
        code: object = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code
        return Ended(code, *capfd.readouterr())

    yield enter
    GlobalHydra.instance().clear()
