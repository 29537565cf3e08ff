"""Registry of metrics: name, tag, title, format, direction and source of each, declared once.

Training measures the metrics that are registered here and writes them to run.json and TensorBoard;
tables, plots, Pareto fronts and searches follow this registry. A metric whose values come from the
history, the test or the geometry needs only an entry in `METRICS`. No heavy imports.
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


class Calls(NamedTuple):
    """Forward passes of a trained network, timed one by one, and what is taken of their times.

    Args:
        batch: images per forward pass.
        percentile: of the times; 50 is the median.
    """

    batch: int
    percentile: int


class Network(NamedTuple):
    """Facts of a network that are known before it is built.

    Args:
        params: number of parameters.
        macs: multiply-accumulates per image.
        layers: the layers, as in `NetworkGeometry.as_records` and `RunRecord.geometry`.
    """

    params: int
    macs: int
    layers: Sequence[Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A number that describes a run, and how it is shown.

    Its value comes from exactly one of `of_epochs`, `of_test`, `of_network`, `of_calls` and
    `is_diagnostic`.

    Args:
        name: key in a record's metrics, and column of the table of runs.
        tag: TensorBoard tag: a column of the history, a result of the test, or `summary/<name>`.
        definition: one sentence, for hints and captions.
        title: unambiguous title, for axes.
        head: short column heading.
        hparams: name in TensorBoard's HPARAMS.
        of_epochs: reduces the values of `tag` in the history (one per epoch, at least one).
        of_test: whether the value is the test's result `tag`.
        of_network: computes the value from the network's geometry; equal for all seeds.
        of_calls: forward passes whose time in milliseconds it is. Measured on request, once for all
            seeds of a variant.
        is_diagnostic: whether it is measured on the best checkpoint after the test, or on request.
        better: direction of an improvement; None if there is none.
        number: formats a value without its unit; None (not measured) becomes a dash.
        short: formats a value for a tick or a cell of a picture, with about three digits.
        unit: follows `number`.
        axis_unit: follows the title of an axis or a picture.
        phrase: template for a value in a sentence; `{}` is replaced by `text`.
        tick_format: d3 format of an axis's ticks.
        least, most: smallest and largest possible value.
        log: whether values may span orders of magnitude, so that an axis may be logarithmic.
        images: for a share of images, the column with their number.
        step: distance between possible values; 0 if they are not rounded, or by `images`.
        views: where the metric is shown.
        spare: columns with the largest number are dropped first if a table is too wide; 0 never.
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
    of_calls: Calls | None = None
    is_diagnostic: bool = False
    better: Literal["larger", "smaller"] | None
    number: Callable[[float | None], str] = count
    short: Callable[[float], str] = count
    unit: str = ""
    axis_unit: str = ""
    phrase: str = "{}"
    tick_format: str = ",~f"
    least: float = 0.0
    most: float = math.inf
    log: bool = True
    images: str | None = None
    step: float = 0.0
    views: frozenset[View] = frozenset()
    spare: float = 6

    def text(self, value: float | None) -> str:
        """Return a value with its unit: `98.75 %`, `34,000 samples/s`, `– samples/s`."""
        return f"{self.number(value)} {self.unit}".rstrip()

    def describe(self, value: float | None) -> str:
        """Return a value with its meaning: `validation 97.52 %`, `1.23 ms a step`."""
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
    def per_run(self) -> bool:
        """Whether each run has a value of its own; else all seeds of a variant share one."""
        return self.of_network is None and self.of_calls is None

    @property
    def is_share(self) -> bool:
        """Whether it is a share, shown in per cent; differences are in percentage points."""
        return self.axis_unit == "%"

    @property
    def is_optional(self) -> bool:
        """Whether runs need not have it: views in which no run does leave it out."""
        return self.of_calls is not None or self.is_diagnostic

    @property
    def missing(self) -> str:
        """A sentence for a comparison in which no run has a value."""
        option = "latency" if self.of_calls else "diagnose" if self.is_diagnostic else ""
        hint = f": compare.py --{option} STUDY measures it" if option else ""
        return f"no finished run has {self.title}{hint}"

    @property
    def is_speed(self) -> bool:
        """Whether the value depends on other load of the machine."""
        return self.tag.startswith("throughput/")


def _three_digits(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3g}"


def _milliseconds(value: float | None) -> str:
    if value is None or value < 1:
        return _three_digits(value)
    return f"{value:,.1f}"


def _latency(value: float | None) -> str:
    if value is None or value >= 99.95:
        return count(value)
    # Three digits even where the last is 0, so that a column reads well.
    return f"{value:#.3g}"


def _last_map(network: Network) -> int:
    _, height, width = network.layers[-1]["out_shape"]
    return int(height * width)


def _receptive_field(network: Network) -> int:
    # Branches of different depth may end in the final map.
    return max(int(layer["receptive_field"][0]) for layer in network.layers)


def _share(value: float) -> str:
    return f"{100 * value:.2f}"


def _diagnostic(
    name: str,
    definition: str,
    title: str,
    head: str,
    better: Literal["larger", "smaller"] | None = None,
    *,
    is_share: bool = True,
    unit: str = "",
    least: float = 0.0,
    most: float = math.inf,
    images: str | None = None,
    step: float = 0.0,
    views: Iterable[View] = (),
    spare: float = 6,
) -> Metric:
    """Return a metric that `convscope.diagnostics` measures; a share is shown in per cent.

    It is shown in HPARAMS, the accuracy plot, the heat map and, if a direction is better, Pareto
    fronts, and in `views`.
    """
    everywhere: tuple[View, ...] = ("hparams", "scatter", "heat")
    fronts: tuple[View, ...] = ("pareto",) if better else ()
    number, short = (percent, _share) if is_share else (_three_digits, _three_digits)
    return Metric(
        name=name,
        tag=f"diagnostics/{name}",
        definition=definition,
        title=title,
        head=head,
        hparams=f"{title}, {unit}" if unit else title,
        is_diagnostic=True,
        better=better,
        number=number,
        short=short,
        unit=unit,
        axis_unit="%" if is_share else unit,
        phrase=f"{title} {{}}",
        tick_format=".3~%" if is_share else "~g",
        least=least,
        most=1.0 if is_share else most,
        log=False,
        images=images,
        step=step,
        views=frozenset((*everywhere, *fronts, *views)),
        spare=spare,
    )


LATENCY_BATCHES = (1, 256)
"""Images per forward pass whose latency is measured."""


def latency_name(batch: int, percentile: int) -> str:
    """Return the name of the metric of such calls."""
    return f"latency_b{batch}_p{percentile}_ms"


def _latency_metric(batch: int, percentile: int) -> Metric:
    images = "1 image" if batch == 1 else f"{batch} images"
    middle = "median" if percentile == 50 else f"{percentile}th percentile"
    name = latency_name(batch, percentile)
    views: frozenset[View] = frozenset({"table", "hparams", "pareto", "scatter"})
    if percentile == 50:
        views |= {"heat", "parallel"}
    return Metric(
        name=name,
        tag=f"summary/{name}",
        definition=f"milliseconds of a forward pass of {images}: {middle} of its calls, measured on"
        " request",
        title=f"p{percentile} latency, batch {batch}",
        head=f"b{batch} p{percentile} ms",
        hparams=f"latency b{batch} p{percentile}, ms",
        of_calls=Calls(batch, percentile),
        better="smaller",
        number=_latency,
        short=_three_digits,
        unit="ms",
        axis_unit="ms",
        phrase=f"{{}} for {images} (p{percentile})",
        views=views,
        spare=6 if percentile > 50 else int(batch > 1),
    )


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
        *(
            _latency_metric(batch, percentile)
            for batch in LATENCY_BATCHES
            for percentile in (50, 95)
        ),
        _diagnostic(
            "shift_change",
            "share of test images whose predicted class changes when the image moves by one pixel"
            " and the gap is filled with black, mean of four directions (Azulay and Weiss 2019)",
            "answers changed by a shift of 1 px",
            "1 px changes",
            "smaller",
            images="diagnostic_images",
            views=("table", "parallel"),
            spare=1.5,
        ),
        _diagnostic(
            "shift_similarity",
            "mean cosine similarity of the class scores before and after a shift by one pixel"
            " (Mouton et al. 2020)",
            "similarity after a shift of 1 px",
            "1 px similarity",
            "larger",
            is_share=False,
            least=-1.0,
            most=1.0,
        ),
        _diagnostic(
            "shift_consistency",
            "share of test images with the same predicted class under two random shifts of up to"
            " an eighth of the image's shorter side, with gaps filled with black (Zhang 2019)",
            "shift consistency",
            "consistency",
            "larger",
            images="diagnostic_images",
        ),
        _diagnostic(
            "circular_consistency",
            "share of test images with the same predicted class under two random circular shifts"
            " (Chaman and Dokmanic 2021)",
            "circular shift consistency",
            "circular",
            "larger",
            images="diagnostic_images",
        ),
        _diagnostic(
            "equivariance_error",
            "relative difference between the map of the shifted image and the shifted map of the"
            " image, for a shift by one pixel; of the last conv, pool or blur layer",
            "equivariance error at 1 px",
            "equivariance error",
            "smaller",
            is_share=False,
        ),
        _diagnostic(
            "padding_error",
            "equivariance error for a shift by the total stride, which only the border causes",
            "equivariance error of the border",
            "border error",
            "smaller",
            is_share=False,
        ),
        _diagnostic(
            "aliasing",
            "share of a map's spectral energy before subsampling that lies above the Nyquist"
            " frequency after it; the largest of all layers with a stride, 0 without strides",
            "energy aliased by strides",
            "aliased",
            "smaller",
        ),
        _diagnostic(
            "erf_side",
            "side in pixels of the smallest square that contains half of the image's contributions"
            " to the last map's central unit; its centre is that of the unit's receptive field"
            " (after Luo et al. 2016, Ding et al. 2022)",
            "effective receptive field",
            "ERF",
            is_share=False,
            unit="px",
            step=2.0,
            views=("table", "parallel"),
            spare=2,
        ),
        _diagnostic(
            "erf_share",
            "share of the theoretical receptive field's area, as far as it lies on the image, that"
            " is in that square",
            "effective share of the receptive field",
            "ERF share",
        ),
        _diagnostic(
            "position_bias",
            "standard deviation over positions of the last map for a black image, divided by that"
            " for test images",
            "position bias",
            "position bias",
            "smaller",
            is_share=False,
        ),
        _diagnostic(
            "position_r2",
            "R2 of a ridge regression that predicts row and column of the last map's units from"
            " their channels, on images that it was not fitted to (after Islam et al. 2020)",
            "position that the last map encodes, R2",
            "position R2",
            is_share=False,
            least=-math.inf,
            most=1.0,
        ),
        _diagnostic(
            "filter_asymmetry",
            "|w - flip(w)| / |w| of the weights w, mean over the varied conv layers and both axes"
            " where the kernel size is above 1 (after Alsallakh et al. 2021)",
            "filter asymmetry",
            "asymmetry",
            is_share=False,
            most=2.0,
        ),
        _diagnostic(
            "ece",
            "expected calibration error: mean absolute difference between confidence and accuracy,"
            " over 15 bins of test images by confidence (Guo et al. 2017)",
            "expected calibration error",
            "ECE",
            "smaller",
            views=("table", "parallel"),
            spare=5,
        ),
        _diagnostic(
            "brier",
            "Brier score: mean over the test images of the squared distance between the class"
            " probabilities and the true class as a one-hot vector",
            "Brier score",
            "Brier",
            "smaller",
            is_share=False,
            most=2.0,
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
"""All metrics by name, in the order of tables."""


def metrics_of(view: View) -> list[Metric]:
    """Return the metrics that a view shows, in the registry's order."""
    return [metric for metric in METRICS.values() if view in metric.views]


def per_run() -> list[str]:
    """Return the names of the metrics of which each run has a value of its own."""
    return [metric.name for metric in METRICS.values() if metric.per_run]


def geometric() -> list[str]:
    """Return the names of the metrics that follow from the geometry."""
    return [metric.name for metric in METRICS.values() if metric.of_network is not None]


def latencies() -> list[str]:
    """Return the names of the metrics that are measured on request, once per variant."""
    return [metric.name for metric in METRICS.values() if metric.of_calls is not None]


def diagnostics() -> list[str]:
    """Return the names of the metrics that are measured on the best checkpoint."""
    return [metric.name for metric in METRICS.values() if metric.is_diagnostic]


def speeds() -> list[str]:
    """Return the names of the metrics that depend on other load of the machine."""
    return [metric.name for metric in METRICS.values() if metric.is_speed]


def describe(values: Mapping[str, float | None], *names: str) -> str:
    """Return metrics in a sentence: `test accuracy 97.52 %, 34,000 samples/s`."""
    return ", ".join(METRICS[name].describe(values.get(name)) for name in names)


def of_network(network: Network) -> dict[str, float]:
    """Return the metrics that follow from a network's geometry, by name."""
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
    """Return the metrics of a trained run by name, without those that were never measured.

    Args:
        network: the trained network.
        tested: the test's results by tag.
        history: a row per epoch with values by tag; None for values that were not measured.
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
