"""The registry of metrics: each figure of a run, declared once.

Training measures what is registered here and writes it to run.json and TensorBoard; tables, plots,
Pareto fronts and the search read names, titles, formats and directions from here. Another metric is
another entry of `METRICS`, and nothing else where its values come from the history, the test or the
geometry. Nothing heavy is imported.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from convscope.text import MISSING, abbreviated, count, percent

View = Literal["table", "hparams", "search", "pareto", "scatter", "heat", "parallel"]
"""Where a metric is shown: the comparison's tables; HPARAMS (and so `summary/` in TensorBoard, and
run.json); `objective=` of a search; the costs of `analysis.pareto`; the horizontal axis of the
accuracy plot; the heat map; parallel coordinates."""


class Network(NamedTuple):
    """What is known of a network before it is built.

    Args:
        layers: its layers, as `NetworkGeometry.as_records` and `RunRecord.geometry` have them.
    """

    params: int
    macs: int
    layers: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A figure of a run, and how people read it.

    Exactly one of `of_epochs`, `of_test` and `of_network` says where its value comes from.

    Args:
        name: key in the record's metrics, and column of the runs' table.
        tag: TensorBoard's: of the history's column, of the test's result, or of the summary.
        definition: what it is, as a hint or a caption.
        title: of an axis; nothing else is needed to know what it is.
        head: of a column, short.
        hparams: what TensorBoard's HPARAMS calls it.
        of_epochs: its value from those of `tag` in the history, one per epoch, at least one.
        of_test: it is the test's result `tag`.
        of_network: its value from the network's geometry: the same for every seed.
        better: which direction is an improvement; None where neither is.
        number: a value with its digits, without the unit; None, what was not measured, as a dash.
        short: a value in a cell of a picture or at a tick, three digits or so.
        unit: behind `number`.
        axis_unit: behind the title of an axis or a picture, where the title does not name it.
        phrase: a value in a sentence, `{}` being `text`.
        tick_format: of an axis, in d3's language.
        most: the greatest possible value; the least is 0.
        log: whether values may span orders of magnitude, so that an axis may be logarithmic.
        images: the column that says of how many images it is a share.
        views: where it is shown.
        spare: 0 for a column that a table always has; of the others, the largest is left out first
            where a table is too wide.
    """

    name: str
    tag: str
    definition: str
    title: str
    head: str
    hparams: str = ""
    of_epochs: Callable[[Sequence[float]], float] | None = None
    of_test: bool = False
    of_network: Callable[[Network], float] | None = None
    better: Literal["larger", "smaller"] | None
    number: Callable[[float | None], str] = count
    short: Callable[[float], str] = count
    unit: str = ""
    axis_unit: str = ""
    phrase: str = "{}"
    tick_format: str = ",~f"
    most: float = math.inf
    log: bool = True
    images: str | None = None
    views: frozenset[View] = frozenset()
    spare: int = 6

    def text(self, value: float | None) -> str:
        """A value with its unit: `98.75 %`, `34,000 samples/s`, `– samples/s`."""
        return f"{self.number(value)} {self.unit}".rstrip()

    def describe(self, value: float | None) -> str:
        """A value that says what it is: `validation 97.52 %`, `1.23 ms a step`."""
        return self.phrase.format(self.text(value))

    @property
    def heading(self) -> str:
        """The title with the axis's unit: `test accuracy, %`."""
        return f"{self.title}, {self.axis_unit}" if self.axis_unit else self.title

    @property
    def sign(self) -> int:
        """1 where larger is better, else -1."""
        return 1 if self.better == "larger" else -1

    @property
    def is_measured(self) -> bool:
        """Whether it varies from seed to seed."""
        return self.of_network is None

    @property
    def is_speed(self) -> bool:
        """Whether it depends on what else the machine does."""
        return self.tag.startswith("throughput/")


def _three_digits(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3g}"


def _milliseconds(value: float | None) -> str:
    if value is None or value < 1:
        return _three_digits(value)
    return f"{value:,.1f}"


def _last_map(network: Network) -> int:
    _, height, width = network.layers[-1]["out_shape"]
    return int(height * width)


def _receptive_field(network: Network) -> int:
    return int(network.layers[-1]["receptive_field"][0])


def _share(value: float) -> str:
    return f"{100 * value:.2f}"


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric(
            name="test_accuracy",
            tag="test/accuracy",
            definition="share of test images classified correctly, by the epoch with the best"
            " validation accuracy",
            title="test accuracy",
            head="test accuracy",
            hparams="test accuracy",
            of_test=True,
            better="larger",
            number=percent,
            short=_share,
            axis_unit="%",
            phrase="test accuracy {}",
            tick_format=".3~%",
            most=1.0,
            log=False,
            images="test_images",
            views=frozenset({"table", "hparams", "heat", "parallel"}),
            spare=0,
        ),
        Metric(
            name="best_val_accuracy",
            tag="val/accuracy",
            definition="highest validation accuracy of all epochs; variants are chosen by it",
            title="validation accuracy",
            head="val accuracy",
            hparams="best val accuracy",
            of_epochs=max,
            better="larger",
            number=percent,
            short=_share,
            axis_unit="%",
            phrase="validation {}",
            tick_format=".3~%",
            most=1.0,
            log=False,
            images="val_images",
            views=frozenset({"table", "hparams", "search"}),
            spare=0,
        ),
        Metric(
            name="test_loss",
            tag="test/loss",
            definition="mean cross-entropy over the test images",
            title="test loss",
            head="test loss",
            of_test=True,
            better="smaller",
            number=_three_digits,
            short=_three_digits,
            phrase="test loss {}",
            tick_format="~g",
        ),
        Metric(
            name="train_samples_per_sec",
            tag="throughput/train_samples_per_sec",
            definition="training samples over the wall time of the training steps: median of the"
            " epochs",
            title="training samples/s",
            head="samples/s",
            hparams="train samples/s",
            of_epochs=statistics.median,
            better="larger",
            unit="samples/s",
            views=frozenset(
                {"table", "hparams", "search", "pareto", "scatter", "heat", "parallel"}
            ),
            spare=0,
        ),
        Metric(
            name="step_ms",
            tag="throughput/step_ms",
            definition="milliseconds per training step: median of the epochs",
            title="training step",
            head="step ms",
            hparams="step, ms",
            of_epochs=statistics.median,
            better="smaller",
            number=_milliseconds,
            short=_milliseconds,
            unit="ms",
            axis_unit="ms",
            phrase="{} a step",
            views=frozenset({"table", "hparams", "search", "pareto"}),
            spare=5,
        ),
        Metric(
            name="peak_mb",
            tag="memory/peak_mb",
            definition="most memory that PyTorch had allocated on the CUDA device, MiB: median of"
            " the epochs",
            title="peak memory",
            head="peak MiB",
            hparams="peak memory, MiB",
            of_epochs=statistics.median,
            better="smaller",
            unit="MiB",
            axis_unit="MiB",
            phrase="{} at its peak",
            views=frozenset({"hparams", "search"}),
        ),
        Metric(
            name="final_map",
            tag="summary/final_map",
            definition="units of the last feature map, height times width",
            title="last feature map",
            head="map",
            hparams="final map",
            of_network=_last_map,
            better=None,
            unit="units",
            axis_unit="height x width",
            views=frozenset({"table", "hparams", "heat", "parallel"}),
            spare=1,
        ),
        Metric(
            name="receptive_field",
            tag="summary/receptive_field",
            definition="receptive field of a unit of the last feature map, height, pixels",
            title="receptive field",
            head="RF",
            of_network=_receptive_field,
            better=None,
            unit="px",
            log=False,
            views=frozenset({"table", "parallel"}),
            spare=2,
        ),
        Metric(
            name="macs",
            tag="summary/macs",
            definition="multiply-accumulates per image",
            title="MACs per image",
            head="MACs",
            hparams="MACs",
            of_network=lambda network: network.macs,
            better="smaller",
            short=abbreviated,
            unit="MACs",
            tick_format="~s",
            views=frozenset(
                {"table", "hparams", "search", "pareto", "scatter", "heat", "parallel"}
            ),
            spare=0,
        ),
        Metric(
            name="params",
            tag="summary/params",
            definition="parameters of the network",
            title="parameters",
            head="params",
            hparams="parameters",
            of_network=lambda network: network.params,
            better="smaller",
            short=abbreviated,
            unit="parameters",
            tick_format="~s",
            views=frozenset({"table", "hparams", "search", "pareto", "scatter", "parallel"}),
            spare=2,
        ),
    )
}
"""Every metric by its name, in the order of tables."""


def metrics_of(view: View) -> list[Metric]:
    """The metrics that a view shows, in the registry's order."""
    return [metric for metric in METRICS.values() if view in metric.views]


def measured() -> list[str]:
    """The names of the metrics that vary from seed to seed."""
    return [metric.name for metric in METRICS.values() if metric.is_measured]


def geometric() -> list[str]:
    """The names of the metrics that follow from the geometry."""
    return [metric.name for metric in METRICS.values() if not metric.is_measured]


def speeds() -> list[str]:
    """The names of the metrics that depend on what else the machine does."""
    return [metric.name for metric in METRICS.values() if metric.is_speed]


def describe(values: Mapping[str, float | None], *names: str) -> str:
    """Return metrics in a sentence: `test accuracy 97.52 %, 34,000 samples/s`."""
    return ", ".join(METRICS[name].describe(values.get(name)) for name in names)


def of_network(network: Network) -> dict[str, float]:
    """What follows from a network's geometry, by name."""
    return {
        metric.name: metric.of_network(network)
        for metric in METRICS.values()
        if metric.of_network is not None
    }


def of_run(
    network: Network,
    tested: Mapping[str, float],
    history: Iterable[Mapping[str, float | int | None]],
) -> dict[str, float]:
    """The metrics of a trained run by name; what was never measured is missing.

    Args:
        tested: the test's results by tag.
        history: a row per epoch, values by tag, None for what was not measured.
    """
    rows = list(history)
    found: dict[str, float] = {}
    for metric in METRICS.values():
        epochs = [value for row in rows if (value := row.get(metric.tag)) is not None]
        if metric.of_test:
            found[metric.name] = float(tested[metric.tag])
        elif metric.of_epochs is not None and epochs:
            found[metric.name] = metric.of_epochs(epochs)
        elif metric.of_network is not None and "hparams" in metric.views:
            found[metric.name] = metric.of_network(network)
    return found
