"""What loggers get of a run besides its curves: hyperparameters, geometry, pictures, summary."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from pytorch_lightning.loggers import Logger
from torch import Tensor, nn
from torch.utils.tensorboard import SummaryWriter

from convscope.geometry import FACTORS, NetworkGeometry, conv_text
from convscope.geometry.layers import Pool
from convscope.layer_table import geometry_text
from convscope.metrics import Network, of_run
from convscope.runs.history import Row
from convscope.text import listed
from convscope.training.request import RunRequest
from convscope.training.signals import Interrupted
from convscope.training.tensorboard.charts import CHARTS
from convscope.training.tensorboard.logger import RunTensorBoardLogger, summary
from convscope.training.tensorboard.pictures import (
    check_shapes,
    confusion_picture,
    run_pictures,
)
from convscope.training.tensorboard.window import window_picture

log = logging.getLogger(__name__)


def describe(
    loggers: Sequence[Logger], network: nn.Module, request: RunRequest, image: Tensor
) -> None:
    """Log what is known before the first step: hyperparameters and the geometry, once checked.

    Args:
        loggers: of the run.
        network: as built.
        request: the run.
        image: (1, channels, height, width), normalised.
    """
    geometry = request.geometry
    check_shapes(network, geometry, image)
    for logger in loggers:
        # A resumed run's event files have it from before.
        if isinstance(logger, RunTensorBoardLogger) and logger.is_resumed:
            continue
        logger.log_hyperparams(hyperparameters(request))
        if isinstance(logger, RunTensorBoardLogger):
            _write_sizes(logger.experiment, geometry)
            logger.experiment.add_custom_scalars(CHARTS)
            logger.log_markdown("geometry", geometry_text(geometry))
            logger.log_figure("geometry/window", window_picture(geometry.first_varied))


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
        request: the run.
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


def write_results(
    loggers: Sequence[Logger],
    step: int,
    metrics: Mapping[str, float],
    network: nn.Module,
    request: RunRequest,
    image: Tensor,
    confusion: Tensor,
) -> None:
    """Log `test/` and `summary/`; TensorBoard also shows filters, feature maps and the mistakes.

    Args:
        loggers: of the run.
        step: optimizer steps taken.
        metrics: as `summarise` returns them.
        network: with its best weights.
        request: the run.
        image: a test image, (1, channels, height, width), normalised.
        confusion: counts (true class, predicted class) of the test images.
    """
    tested = {f"test/{name}": metrics[f"test_{name}"] for name in ("loss", "accuracy")}
    final = {f"summary/{one.name}": metrics[one.name] for one in summary() if one.name in metrics}
    for logger in loggers:
        name = type(logger).__name__.removeprefix("Run").removesuffix("Logger")
        if isinstance(logger, RunTensorBoardLogger):
            with _optional(f"filters/ and feature_maps/ missing in {name}"):
                for tag, picture in run_pictures(network, request.geometry, image).items():
                    logger.experiment.add_image(tag, picture, step)
            with _optional(f"confusion/test missing in {name}"):
                figure = confusion_picture(confusion, request.images.classes)
                logger.log_figure("confusion/test", figure, step)
        with _optional(f"test/ and summary/ missing in {name}"):
            logger.log_metrics(tested, step)
            logger.log_metrics(final)
            if isinstance(logger, RunTensorBoardLogger):
                logger.end_row(succeeded=True)
            logger.finalize("success")


@contextmanager
def _optional(failure: str) -> Iterator[None]:
    """Log what a logger could not write as `failure`; the run still has its record."""
    try:
        yield
    except Interrupted:
        raise
    except Exception as error:  # noqa: BLE001 (told, and the run is trained and tested)
        reason = " ".join(str(error).split()) or "no message"
        log.warning("%s: %s: %s", failure, type(error).__name__, reason)


def hyperparameters(request: RunRequest) -> dict[str, str | float]:
    """Return the hyperparameters in which the runs of a study differ, one type per column."""
    config, geometry = request.config, request.geometry
    first = geometry.convs[0]
    return {
        "dataset": request.images.name,
        "model": request.variant.network.removeprefix("channels "),
        "pools": _pools(geometry),
        "variant": geometry.variant,
        "padding_policy": geometry.padding_policy,
        **{factor.key: factor.first(getattr(first, factor.key)) for factor in FACTORS},
        "seed": config.seed,
        "batch_size": config.data.batch_size,
        "lr": config.optim.lr,
        "epochs": request.steps.epochs,
    }


def _pools(geometry: NetworkGeometry) -> str:
    """Return the pools in words, `pool1 max k2 s2 p0`: variants may differ in nothing else."""
    pools = [
        f"{node.name} {'blur' if pool.is_dense else pool.operation} {conv_text(pool.window)}"
        for node in geometry.graph.nodes
        if isinstance(pool := node.layer, Pool)
    ]
    return listed(pools, most=3) if pools else "none"
