"""Another logger is one YAML: its class gets the hyperparameters, the metrics and the summary."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from convscope.runs.directory import RunDirectory
from convscope.runs.history import History
from convscope.runs.record import read_record
from convscope.training import loggers
from convscope.training.loggers import make_loggers
from convscope.training.request import RunRequest
from convscope.training.train import train

Ask = Callable[..., RunRequest]

PRINTED = """
import json
from pytorch_lightning.loggers import Logger

class PrintedLogger(Logger):
    def __init__(self, path, study):
        self.path, self.study = path, study

    name = version = "printed"

    def write(self, **line):
        with open(self.path, "a") as file:
            print(json.dumps(line), file=file)

    def log_metrics(self, metrics, step=None):
        self.write(step=step, metrics=metrics)

    def log_hyperparams(self, params):
        self.write(study=self.study, params=params)
"""
YAML = """
printed:
  _target_: printed_lines.PrintedLogger
  path: ${run.directory}/lines.jsonl
  study: ${study}
"""


def test_another_logger_is_one_yaml_and_changes_no_name(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "printed_lines.py").write_text(PRINTED)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "mine" / "logger").mkdir(parents=True)
    (tmp_path / "mine" / "logger" / "printed.yaml").write_text(YAML)
    small = ("data=digits", "trainer.max_epochs=2", "trainer.limit_train_batches=12", "study=a")
    ended = command("--config-dir", str(tmp_path / "mine"), "logger=printed", *small)
    assert ended.code == 0, ended.err
    (path,) = Path("outputs/a").iterdir()
    directory = RunDirectory(path)
    record, history = read_record(directory.record), History(directory.history).read()
    params, *logged = map(json.loads, (path / "lines.jsonl").read_text().splitlines())
    assert params["study"] == "a"
    assert (params["params"]["variant"], params["params"]["seed"]) == ("k3-s1-p1", 0)
    *curves, tested, summary = logged
    epochs = [line for line in curves if "val/loss" in line["metrics"]]
    assert [line["step"] for line in epochs] == [row["step"] for row in history] == [12, 24]
    for line, row in zip(epochs, history, strict=True):
        assert line["metrics"].items() <= row.items()
    assert [line["step"] for line in curves if "train/loss" in line["metrics"]] == [10, 12, 22, 24]
    loss, accuracy = (record.metrics[f"test_{name}"] for name in ("loss", "accuracy"))
    assert tested == {"step": 24, "metrics": {"test/loss": loss, "test/accuracy": accuracy}}
    assert summary["step"] is None
    assert summary["metrics"]["summary/macs"] == record.metrics["macs"]
    assert not list(path.glob("events.*"))
    assert "logger" not in record.config
    # The same run whatever logs it: nothing is trained again.
    again = command(*small)
    assert "is already finished" in again.err + again.out


def test_many_loggers_write_beside_each_other(
    ask: Ask, tmp_path: Path, scalars: Callable[[Path], dict[str, list[tuple[int, float]]]]
) -> None:
    request = ask(tmp_path, "logger=many", "trainer.max_epochs=1")
    assert train(request).status == "finished"
    path = request.directory.path
    points = scalars(path)
    with (path / "csv" / "version_0" / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    for tag in ("train/loss", "val/accuracy", "summary/test_accuracy", "test/loss"):
        values = [float(row[tag]) for row in rows if row.get(tag)]
        assert values == pytest.approx([value for _, value in points[tag]], rel=1e-6)
    assert "feature_map/height" in points


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_a_missing_package_is_named_with_what_installs_it(
    name: str, command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Missing:
        def __init__(self, **_: object) -> None:
            raise ModuleNotFoundError(f"Requirement '{name}>=0.12.10' not met. HINT: Try running")

    target = {"wandb": "WandbLogger", "mlflow": "MLFlowLogger"}[name]
    monkeypatch.setattr(f"pytorch_lightning.loggers.{target}", Missing)
    ended = command("data=digits", f"logger={name}")
    assert (ended.code, ended.err.splitlines()[-2:]) == (
        2,
        [
            f"error: logger={name} needs {name}",
            f"install it with: pip install {name}, or put your own module on PYTHONPATH",
        ],
    )


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (
            {"_target_": "no_such_package.Logger"},
            "logger=mine needs no_such_package\ninstall it with: pip install no_such_package,"
            " or put your own module on PYTHONPATH",
        ),
        ({"save_dir": "here"}, "logger.mine must have a _target_, the path of a logger's class"),
        ({"_target_": "builtins.dict"}, "logger.mine must be a logger of Lightning, got dict"),
        (
            {"_target_": "pytorch_lightning.loggers.CSVLogger", "no_such": 1},
            "logger=mine cannot be made: TypeError: CSVLogger.__init__() got an unexpected keyword"
            " argument 'no_such'",
        ),
        (
            {"_target_": "pytorch_lightning.loggers.CSVLogger", "save_dir": "${run.place}"},
            "logger=mine cannot be made: InterpolationKeyError: Interpolation key 'run.place' not"
            " found",
        ),
    ],
)
def test_a_logger_that_cannot_be_made_is_told_in_one_line(
    ask: Ask, tmp_path: Path, node: dict[str, Any], message: str
) -> None:
    request = ask(tmp_path)
    config = replace(request.config, logger={"mine": node})
    request = replace(request, variant=replace(request.variant, config=config))
    with pytest.raises(loggers.UserError) as error:
        make_loggers(request)
    assert str(error.value) == message
    assert not request.directory.path.exists()
