"""What TensorBoard shows of a run besides its curves: geometry, pictures, HPARAMS, the summary."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence

from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from convscope.geometry import FACTORS, NetworkGeometry
from convscope.layer_table import geometry_text
from convscope.metrics import Metric, Network, metrics_of, of_run
from convscope.runs.history import Row
from convscope.training.model import ConvNet
from convscope.training.request import RunRequest
from convscope.training.signals import Interrupted
from convscope.training.tracking.charts import CHARTS
from convscope.training.tracking.events import add_figure, write_text
from convscope.training.tracking.hparams import close_row, open_row
from convscope.training.tracking.pictures import check_shapes, confusion_picture, run_pictures
from convscope.training.tracking.window import window_picture

log = logging.getLogger(__name__)

_FIRST_METRICS = ("test_accuracy", "train_samples_per_sec", "macs", "params", "final_map")
"""The metrics that HPARAMS shows until others are ticked."""

_FOREMOST = ("variant", "kernel_size", "stride", "padding_policy", "seed")
"""Columns of HPARAMS that a study varies in most cases; `variant` says the padding's pixels."""


def describe(writer: SummaryWriter, network: ConvNet, request: RunRequest, image: Tensor) -> None:
    """Write what is known before the first step: the geometry, held against the network.

    Args:
        image: (1, channels, height, width), normalised.
    """
    geometry = request.geometry
    check_shapes(network, geometry, image)
    _write_sizes(writer, geometry)
    writer.add_custom_scalars(CHARTS)
    titles = {f"summary/{metric.name}": metric.hparams for metric in summary()}
    open_row(writer, hyperparameters(request), foremost=_FOREMOST, metrics=titles)
    write_text(writer, "geometry", geometry_text(geometry))
    add_figure(writer, "geometry/window", window_picture(geometry.layers[0]))


def summary() -> list[Metric]:
    """The metrics of `summary/`, in the order of HPARAMS."""
    shown = {metric.name: metric for metric in metrics_of("hparams")}
    return [shown[name] for name in dict.fromkeys((*_FIRST_METRICS, *shown))]


def _write_sizes(writer: SummaryWriter, geometry: NetworkGeometry) -> None:
    """Each size under a tag of its own, and height and width as curves over the layers."""
    axes = ("channels", "height", "width")
    shapes = [geometry.layers[0].in_shape, *(layer.out_shape for layer in geometry.layers)]
    for step, shape in enumerate(shapes):
        for name, size in zip(axes[1:], shape[1:], strict=True):
            writer.add_scalar(f"feature_map/{name}", size, step, new_style=True)
    for layer in geometry.layers:
        for name, size in zip(axes, layer.out_shape, strict=True):
            writer.add_scalar(f"feature_map/{layer.name}/{name}", size, new_style=True)


def summarise(
    request: RunRequest, tested: Mapping[str, Tensor], history: Sequence[Row]
) -> dict[str, float]:
    """Return the record's metrics: those of `convscope.metrics`, and how the last epoch went.

    `val_accuracy_rise` and `val_loss_fall` are what the last epoch gained on the best one before.

    Args:
        tested: what Lightning measured on the test set, by tag.
        history: a row per epoch.
    """
    geometry = request.geometry
    network = Network(geometry.params, geometry.macs, geometry.as_records())
    results = {tag: float(value) for tag, value in tested.items()}
    return of_run(network, results, history) | _last_epoch(history)


def _last_epoch(history: Sequence[Row]) -> dict[str, float]:
    if len(history) < 2:
        return {}
    *accuracies, accuracy = (float(row["val/accuracy"] or 0) for row in history)
    *losses, loss = (float(row["val/loss"] or 0) for row in history)
    return {"val_accuracy_rise": accuracy - max(accuracies), "val_loss_fall": min(losses) - loss}


def write_pictures(
    writer: SummaryWriter,
    step: int,
    network: ConvNet,
    request: RunRequest,
    image: Tensor,
    confusion: Tensor,
) -> None:
    """Write the trained filters, the maps of one test image, the confusion matrix.

    Args:
        image: (1, channels, height, width), normalised.
        confusion: counts (true class, predicted class) of the test images.
    """

    def filters_and_maps() -> None:
        for tag, picture in run_pictures(network, request.geometry, image).items():
            writer.add_image(tag, picture, step)

    def confusion_matrix() -> None:
        figure = confusion_picture(confusion, request.images.classes)
        add_figure(writer, "confusion/test", figure, step)

    _optional("filters/ and feature_maps/", filters_and_maps)
    _optional("confusion/test", confusion_matrix)


def write_summary(
    writer: SummaryWriter,
    step: int,
    metrics: Mapping[str, float],
) -> None:
    """Write `test/` and `summary/`, which complete the run's row in HPARAMS."""

    def scalars() -> None:
        for name in ("loss", "accuracy"):
            writer.add_scalar(f"test/{name}", metrics[f"test_{name}"], step, new_style=True)
        for name in (metric.name for metric in summary()):
            if name in metrics:
                writer.add_scalar(f"summary/{name}", metrics[name], new_style=True)
        close_row(writer, succeeded=True)

    _optional("test/ and summary/", scalars)


def _optional(what: str, write: Callable[[], None]) -> None:
    """Write what TensorBoard shows of a run: where it cannot be, the run has its metrics still."""
    try:
        write()
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 (told, and the run is trained and tested)
        reason = " ".join(str(error).split()) or "no message"
        log.warning("%s missing in TensorBoard: %s: %s", what, type(error).__name__, reason)


def hyperparameters(request: RunRequest) -> dict[str, str | float]:
    """The HPARAMS columns: what tells the runs of a study apart, one type per column."""
    config, geometry = request.config, request.geometry
    first = geometry.convs[0]
    return {
        "dataset": request.images.name,
        "model": "-".join(map(str, config.model.channels)),
        "variant": geometry.variant,
        "padding_policy": geometry.padding_policy,
        **{factor.key: factor.first(getattr(first, factor.key)) for factor in FACTORS},
        "seed": config.seed,
        "batch_size": config.data.batch_size,
        "lr": config.optim.lr,
        "epochs": request.steps.epochs,
    }
