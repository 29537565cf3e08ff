"""A run's row in TensorBoard's HPARAMS tab, written into the run's own directory.

`SummaryWriter.add_hparams` would make a child run for it, and say nothing of one that fails.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

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
from torch.utils.tensorboard import SummaryWriter

Value = str | float


def open_row(
    writer: SummaryWriter,
    values: Mapping[str, Value],
    *,
    foremost: Sequence[str],
    metrics: Mapping[str, str],
) -> None:
    """Begin the run's row: its values; its status is unknown until `close_row`.

    TensorBoard takes the columns of all rows from one run, whichever it finds first: let every run
    give the same ones.

    Args:
        values: one type per column over all runs.
        foremost: the columns to come first. TensorBoard shows the first five and hides the others
            until they are ticked; among these and among the rest it goes by the alphabet.
        metrics: tag to title, the first five of them shown. A row's cell is what its run last
            wrote as a scalar under the tag.
    """
    experiment = Experiment(
        hparam_infos=[
            HParamInfo(name=name, type=_type(value), differs=name in foremost)
            for name, value in values.items()
        ],
        metric_infos=[
            MetricInfo(name=MetricName(tag=tag), display_name=title)
            for tag, title in metrics.items()
        ],
    )
    start = SessionStartInfo(start_time_secs=time.time())
    for name, value in values.items():
        if isinstance(value, str):
            start.hparams[name].string_value = value
        else:
            start.hparams[name].number_value = value
    _write(writer, metadata.EXPERIMENT_TAG, experiment=experiment)
    _write(writer, metadata.SESSION_START_INFO_TAG, session_start_info=start)


def close_row(writer: SummaryWriter, *, succeeded: bool) -> None:
    """End the run's row, once; by its status the tab's user can leave failed runs out."""
    end = SessionEndInfo(
        status=STATUS_SUCCESS if succeeded else STATUS_FAILURE, end_time_secs=time.time()
    )
    _write(writer, metadata.SESSION_END_INFO_TAG, session_end_info=end)


def _type(value: Value) -> int:
    return int(DATA_TYPE_STRING if isinstance(value, str) else DATA_TYPE_FLOAT64)


def _write(writer: SummaryWriter, tag: str, **content: Any) -> None:
    about = metadata.create_summary_metadata(HParamsPluginData(**content))
    value = Summary.Value(tag=tag, metadata=about, tensor=metadata.NULL_TENSOR)
    writer._get_file_writer().add_summary(Summary(value=[value]))  # type: ignore[no-untyped-call]
