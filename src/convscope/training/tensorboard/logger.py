"""A run's event files for TensorBoard, with its row in HPARAMS; cut back on resume."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import rank_zero_experiment
from matplotlib.figure import Figure
from pytorch_lightning.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import (
    DATA_TYPE_FLOAT64,
    DATA_TYPE_STRING,
    STATUS_FAILURE,
    STATUS_SUCCESS,
    Experiment,
    HParamInfo,
    MetricInfo,
    MetricName,
)
from tensorboard.plugins.hparams.plugin_data_pb2 import (
    HParamsPluginData,
    SessionEndInfo,
    SessionStartInfo,
)
from tensorboard.plugins.text.summary_v2 import text_pb
from torch.utils.tensorboard import SummaryWriter
from typing_extensions import override

from convscope.files import open_regular
from convscope.metrics import Metric, metrics_of
from convscope.plain_pictures import plain_text
from convscope.runs.directory import EVENT_FILES

Value = str | float

_FIRST_METRICS = (
    *("test_accuracy", "train_samples_per_sec", "macs", "params", "final_map"),
    *("shift_change", "erf_side"),
)
"""The five metrics that HPARAMS shows until others are ticked, and the next ones."""
_FIRST_COLUMNS = ("variant", "kernel_size", "stride", "padding_policy", "seed")
"""Columns of HPARAMS that a study varies in most cases; `variant` says the padding's pixels."""


class RunTensorBoardLogger(TensorBoardLogger):
    """Lightning's TensorBoard logger, for one run in its own folder.

    Its row in HPARAMS lies in the run's event files: `SummaryWriter.add_hparams` would make a child
    run for it, and say nothing of a run that failed.

    Args:
        save_dir: the run's folder.

    Attributes:
        is_resumed: whether the folder had event files when the logger's own was opened.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="", version="")
        self.is_resumed = False

    @property
    @override
    def log_dir(self) -> str:
        return self.save_dir

    @property
    @rank_zero_experiment
    @override
    def experiment(self) -> SummaryWriter:
        if self._experiment is None:
            self.is_resumed = bool(event_sizes(Path(self.save_dir)))
            self._experiment = SummaryWriter(self.save_dir)
        return self._experiment

    @property
    def is_open(self) -> bool:
        """Whether the logger has an event file of its own."""
        return self._experiment is not None

    @override
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        for tag, value in metrics.items():
            self.experiment.add_scalar(tag, value, step, new_style=True)

    @override
    def log_hyperparams(self, params: Any, *_: Any, **__: Any) -> None:
        """Begin the run's row in HPARAMS; its status is unknown until `end_row`.

        TensorBoard takes the columns of all rows from one run, whichever it finds first: every run
        gives the same ones. Of the columns and of the metrics it shows the first five and hides the
        others until they are ticked; a row's cell is the last scalar under the metric's tag.

        Args:
            params: str or float by column, one type per column over all runs.
        """
        experiment = Experiment(
            hparam_infos=[
                HParamInfo(name=name, type=_type(value), differs=name in _FIRST_COLUMNS)
                for name, value in params.items()
            ],
            metric_infos=[
                MetricInfo(
                    name=MetricName(tag=f"summary/{metric.name}"), display_name=metric.hparams
                )
                for metric in summary()
            ],
        )
        start = SessionStartInfo(start_time_secs=time.time())
        for name, value in params.items():
            if isinstance(value, str):
                start.hparams[name].string_value = value
            else:
                start.hparams[name].number_value = value
        self._write(metadata.EXPERIMENT_TAG, experiment=experiment)
        self._write(metadata.SESSION_START_INFO_TAG, session_start_info=start)

    def end_row(self, *, succeeded: bool) -> None:
        """End the run's row, once; by its status the tab's user can leave failed runs out."""
        status = STATUS_SUCCESS if succeeded else STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        self._write(metadata.SESSION_END_INFO_TAG, session_end_info=end)

    def _write(self, tag: str, **content: Any) -> None:
        about = metadata.create_summary_metadata(HParamsPluginData(**content))
        self._add(
            Summary(value=[Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)])
        )

    def log_markdown(self, tag: str, markdown: str) -> None:
        """Write Markdown; `SummaryWriter.add_text` would append `/text_summary` to the tag."""
        self._add(text_pb(tag, markdown))

    def _add(self, summary: Summary) -> None:
        self.experiment._get_file_writer().add_summary(summary)

    def log_figure(self, tag: str, figure: Figure, step: int | None = None) -> None:
        """Draw a figure of Matplotlib as an image; its text is no markup."""
        with plain_text():
            self.experiment.add_figure(tag, figure, step)

    @override
    def save(self) -> None:
        if self._experiment is not None:
            self._experiment.flush()

    @override
    def finalize(self, status: str) -> None:
        # Lightning calls it after training and again after the test, and then comes the summary.
        self.save()

    def close(self) -> None:
        """Close the event file."""
        if self._experiment is not None:
            self._experiment.close()


def summary() -> list[Metric]:
    """Return the metrics of `summary/`, in the order of HPARAMS."""
    shown = {metric.name: metric for metric in metrics_of("hparams")}
    return [shown[name] for name in dict.fromkeys((*_FIRST_METRICS, *shown))]


def event_sizes(folder: Path) -> dict[str, int]:
    """Return the bytes in each of a run's event files, by name. Flush the writer before."""
    return {path.name: path.lstat().st_size for path in sorted(folder.glob(EVENT_FILES))}


def cut_back(folder: Path, sizes: Mapping[str, int]) -> None:
    """Give the event files the sizes that they once had; those without one are removed.

    `SummaryWriter(purge_step=...)` only asks TensorBoard to hide what comes after the step: whoever
    reads the files themselves would get those points twice.

    Raises:
        UserError: one of them is no regular file.
    """
    for path in folder.glob(EVENT_FILES):
        if path.name in sizes:
            with os.fdopen(open_regular(path, os.O_RDWR), "r+b") as file:
                file.truncate(sizes[path.name])
        elif path.is_symlink() or not path.is_dir():
            path.unlink()


def _type(value: Value) -> int:
    return int(DATA_TYPE_STRING if isinstance(value, str) else DATA_TYPE_FLOAT64)
