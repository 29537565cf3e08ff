"""TensorBoard itself, started on runs of every fate."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import pytest

from convscope.data.batches import BatchInputs, TrainBatches
from convscope.runs.record import RunRecord, read_record
from convscope.training.request import RunRequest
from convscope.training.train import train

PATIENCE_S = 180


@dataclass(frozen=True)
class Server:
    url: str

    def raw(self, path: str, **query: Any) -> bytes:
        with urlopen(f"{self.url}data/{path}?{urlencode(query)}") as answer:
            return answer.read()

    def get(self, path: str, **query: Any) -> Any:
        return json.loads(self.raw(path, **query))

    def post(self, path: str, body: object) -> Any:
        request = Request(
            f"{self.url}data/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urlopen(request) as answer:
            return json.loads(answer.read())


@dataclass(frozen=True)
class Study:
    server: Server
    finished: dict[str, RunRecord]
    """By the run's name in TensorBoard."""
    failed: str
    interrupted: str

    @property
    def runs(self) -> list[str]:
        return sorted([*self.finished, self.failed, self.interrupted])


@pytest.fixture(scope="session")
def study(
    ask: Callable[..., RunRequest], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Study]:
    """Four finished runs, one of them resumed and one trained anew, a failed one, an interrupted
    one and a skipped one."""
    output_dir = tmp_path_factory.mktemp("outputs")

    def request(*overrides: str) -> RunRequest:
        return ask(output_dir, "study=sizes", *overrides)

    plain = request("conv.stride=2")
    resumed = request("conv.padding=0", "seed=3", "optim.lr=0.02")
    others = [request("conv.stride=2", "seed=1"), request("conv.padding=0", "seed=1")]
    interrupted, failed = request("conv.kernel_size=5"), request("optim.lr=1e30")
    assert outcome(plain) == "finished"
    with pytest.MonkeyPatch.context() as patch:
        make, taken = TrainBatches.make, iter(range(100))

        def stop(self: TrainBatches, inputs: BatchInputs) -> Any:
            # The third step of the second epoch, of 12 each, in the first run and in the next.
            if next(taken) in (14, 29):
                os.kill(os.getpid(), signal.SIGTERM)
            return make(self, inputs)

        patch.setattr(TrainBatches, "make", stop)
        assert outcome(resumed) == outcome(interrupted) == "interrupted"
    finished = {}
    for one in (request("conv.stride=2", "rerun=true"), resumed, *others):
        assert outcome(one) == "finished"
        record = read_record(one.directory.record)
        finished[f"sizes/{record.name}"] = record
    assert outcome(failed) == "failed"
    assert outcome(request("conv.kernel_size=30", "conv.padding=0")) == "skipped"
    with tensorboard(output_dir, *finished) as server:
        yield Study(
            server,
            finished,
            f"sizes/{failed.directory.name}",
            f"sizes/{interrupted.directory.name}",
        )


def outcome(request: RunRequest) -> str:
    return train(request).status


@contextmanager
def tensorboard(folder: Path, *runs: str) -> Iterator[Server]:
    """A TensorBoard process that has loaded these runs of a folder."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(folder)]
    process = subprocess.Popen(
        [*command, "--host", "127.0.0.1", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            address = re.search(r"http://127.0.0.1:\d+/", line)
            if address:
                server = Server(address[0])
                wait_for(server, runs)
                yield server
                return
        raise AssertionError("".join(said))
    finally:
        process.kill()
        process.communicate()


def wait_for(server: Server, runs: tuple[str, ...]) -> None:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        tags = server.get("plugin/scalars/tags")
        # The last that a run writes.
        if all("summary/step_ms" in tags.get(run, ()) for run in runs):
            return
        time.sleep(0.2)
    raise AssertionError(f"TensorBoard shows {list(tags)}")
