"""Runs on two devices: each is a process for each, 6 s of imports, so tests share what they can."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from convscope.cores import cores
from convscope.streams import log_to_terminal
from convscope.training.request import RunRequest
from convscope.training.train import train

TWO = (
    "trainer.devices=2",
    "trainer.precision=32-true",
    "trainer.max_epochs=4",
    "data.batch_size=30",
    "data.shift=2",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if cores() < 2:
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.skip(reason="needs two cores"))


@pytest.fixture(scope="session")
def two() -> tuple[str, ...]:
    """What is asked for, with `trainer.strategy=ddp` or without, to get the run `trained`."""
    return TWO


@pytest.fixture(scope="session")
def told() -> list[str]:
    """What `trained` told the person at the terminal."""
    return []


@pytest.fixture(scope="session")
def trained(
    ask: Callable[..., RunRequest],
    two: tuple[str, ...],
    told: list[str],
    tmp_path_factory: pytest.TempPathFactory,
) -> RunRequest:
    """A run on two devices that nothing disturbed."""
    request = ask(tmp_path_factory.mktemp("outputs"), *two, "trainer.strategy=ddp")
    with log_to_terminal(told.append):
        assert train(request).status == "finished"
    return request


@pytest.fixture
def ranks(monkeypatch: pytest.MonkeyPatch) -> "list[subprocess.Popen[bytes]]":
    """The processes that are started for ranks."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def start(arguments, **options):  # type: ignore[no-untyped-def]
        process = popen(arguments, **options)
        if "convscope.training.distributed.worker" in arguments:
            started.append(process)
        return process

    monkeypatch.setattr(subprocess, "Popen", start)
    return started
