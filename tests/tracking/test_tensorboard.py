"""TensorBoard itself, started on runs of every fate and asked over HTTP what it shows."""

import io
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
from urllib.parse import parse_qsl, urlencode
from urllib.request import Request, urlopen

import numpy as np
import pytest
from PIL import Image

from convscope.data.batches import BatchInputs, TrainBatches
from convscope.runs.record import RunRecord, read_record
from convscope.training.request import RunRequest
from convscope.training.train import train

PATIENCE_S = 60


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


@pytest.fixture(scope="module")
def study(
    ask: Callable[..., RunRequest], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Study]:
    output_dir = tmp_path_factory.mktemp("outputs")
    plain = ask(output_dir, "study=sizes", "conv.stride=2")
    resumed = ask(output_dir, "study=sizes", "conv.padding=0", "seed=3", "optim.lr=0.02")
    failed = ask(output_dir, "study=sizes", "optim.lr=1e30")
    with pytest.MonkeyPatch.context() as patch:
        make, taken = TrainBatches.make, iter(range(100))

        def stop(self: TrainBatches, inputs: BatchInputs) -> Any:
            if next(taken) == 14:  # The third of the second epoch, of 12 batches each.
                os.kill(os.getpid(), signal.SIGTERM)
            return make(self, inputs)

        patch.setattr(TrainBatches, "make", stop)
        assert train(resumed, lambda line: None).status == "interrupted"
    finished = {}
    for request in (plain, resumed):
        record = train(request, lambda line: None)
        assert record.status == "finished", record.reason
        finished[f"sizes/{record.name}"] = read_record(request.directory.record)
    assert train(failed, lambda line: None).status == "failed"
    with tensorboard(output_dir, *finished) as server:
        yield Study(server, finished, f"sizes/{failed.directory.name}")


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


def sessions(study: Study) -> list[dict[str, Any]]:
    answer = study.server.post(
        "plugin/hparams/session_groups",
        {
            "experimentName": "",
            "allowedStatuses": [
                "STATUS_UNKNOWN",
                "STATUS_SUCCESS",
                "STATUS_FAILURE",
                "STATUS_RUNNING",
            ],
            "colParams": [],
            "startIndex": 0,
            "sliceSize": 100,
        },
    )
    return list(answer["sessionGroups"])


def test_each_run_is_listed_once(study: Study) -> None:
    assert sorted(study.server.get("runs")) == sorted([*study.finished, study.failed])


def test_each_finished_run_is_one_row_of_hparams(study: Study) -> None:
    rows = sessions(study)
    assert sorted(row["name"] for row in rows) == sorted(study.finished)
    assert all(len(row["sessions"]) == 1 for row in rows)


def test_a_row_has_every_metric_with_its_value(study: Study) -> None:
    for row in sessions(study):
        shown = {value["name"]["tag"]: value["value"] for value in row["metricValues"]}
        metrics = study.finished[row["name"]].metrics
        assert shown == {
            f"summary/{name}": float(np.float32(metrics[name]))  # type: ignore[arg-type]
            for name in (
                "test_accuracy",
                "best_val_accuracy",
                "train_samples_per_sec",
                "step_ms",
                "params",
                "macs",
                "final_map",
            )
        }


def test_a_row_has_every_column(study: Study) -> None:
    shown = {study.finished[row["name"]].variant: row["hparams"] for row in sessions(study)}
    common = {"dataset": "digits", "model": "4-8", "batch_size": 32, "kernel_size": 3, "epochs": 2}
    assert shown["k3-s2-p1"] == common | {
        "variant": "k3-s2-p1",
        "padding_policy": "half",
        "stride": 2,
        "padding": 1,
        "seed": 0,
        "lr": 0.01,
    }
    assert shown["k3-s1-p0"] == common | {
        "variant": "k3-s1-p0",
        "padding_policy": "valid",
        "stride": 1,
        "padding": 0,
        "seed": 3,
        "lr": 0.02,
    }


def test_columns_of_numbers_are_numbers(study: Study) -> None:
    experiment = study.server.post("plugin/hparams/experiment", {"experimentName": ""})
    types = {info["name"]: info["type"] for info in experiment["hparamInfos"]}
    text = {"dataset", "model", "variant", "padding_policy"}
    numbers = {"kernel_size", "stride", "padding", "seed", "batch_size", "lr", "epochs"}
    assert types == dict.fromkeys(text, "DATA_TYPE_STRING") | dict.fromkeys(
        numbers, "DATA_TYPE_FLOAT64"
    )


def test_scalars_of_a_run_that_was_resumed_are_shown_once(study: Study) -> None:
    tags = study.server.get("plugin/scalars/tags")
    for run, record in study.finished.items():
        assert "hp_metric" not in tags[run]
        for tag in ("val/loss", "val/accuracy", "throughput/eval_samples_per_sec"):
            points = study.server.get("plugin/scalars/scalars", run=run, tag=tag)
            assert [step for _, step, _ in points] == [12, 24]
        points = study.server.get("plugin/scalars/scalars", run=run, tag="test/accuracy")
        assert [(step, value) for _, step, value in points] == [
            (24, record.metrics["test_accuracy"])
        ]
    assert "summary/test_accuracy" not in tags[study.failed]


def test_geometry_is_a_table(study: Study) -> None:
    tags = study.server.get("plugin/text/tags")
    for run in study.finished:
        assert tags[run] == ["geometry"]
    run = next(run for run, record in study.finished.items() if record.variant == "k3-s2-p1")
    (event,) = study.server.get("plugin/text/text", run=run, tag="geometry")
    rows = re.findall(r"<tr>(.*?)</tr>", event["text"], re.DOTALL)
    cells = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]
    # By hand: 196 outputs of 4 filters of 9 weights; of 14 x 14 windows, 27 touch the padding.
    assert [row[0] for row in cells] == ["layer", "conv1", "pool1", "conv2"] * 2
    assert cells[0][1:6] == ["window", "in", "out", "sees", "jump"]
    assert cells[1][1:6] == ["k3 s2 p1", "1x28x28", "4x14x14", "3", "2"]
    assert cells[4][1:3] == ["params", "MACs"]
    assert cells[5][1:3] == ["36", "7,056"]
    assert cells[5][-1] == "14%"
    assert "<li>one conv2 unit sees 13 of 28 pixels per axis.</li>" in event["text"]


def test_pictures_are_images(study: Study) -> None:
    tags = study.server.get("plugin/images/tags")
    for run in study.finished:
        assert set(tags[run]) == {
            "filters/conv1",
            "feature_maps/conv1",
            "feature_maps/conv2",
            "confusion/test",
            "geometry/window",
        }
        for tag in tags[run]:
            (event,) = study.server.get("plugin/images/images", run=run, tag=tag)
            assert event["step"] == (0 if tag == "geometry/window" else 24)
            query = dict(parse_qsl(event["query"]))
            content = study.server.raw("plugin/images/individualImage", **query)
            picture = Image.open(io.BytesIO(content))
            assert min(picture.size) >= 60
            assert picture.getextrema() != ((255, 255),) * 3
    assert set(tags[study.failed]) == {"geometry/window"}
