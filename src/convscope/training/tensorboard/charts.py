"""The Custom Scalars tab: what is read together, in one chart for all runs.

Every run writes the same layout, whatever its layers: TensorBoard joins those of all the runs that
it finds, and shows each chart once.
"""

from convscope.metrics import METRICS

_ACCURACIES = (METRICS["best_val_accuracy"].tag, METRICS["test_accuracy"].tag)


def _lines(*tags: str) -> list[object]:
    # TensorBoard takes a tag for a regular expression that the beginning of a tag must match.
    return ["Multiline", [f"^{tag}$" for tag in tags]]


def _unsmoothed(tag: str) -> list[object]:
    # A chart of lines is smoothed unless its user says otherwise; one of margins never is.
    return ["Margin", [tag, tag, tag]]


CHARTS = {
    "accuracy": {
        "train, val and test": _lines("train/accuracy", *_ACCURACIES),
        "val and test": _lines(*_ACCURACIES),
    },
    "throughput": {
        "train, samples/s": _lines(METRICS["train_samples_per_sec"].tag),
        "eval, samples/s": _lines("throughput/eval_samples_per_sec"),
        "step, ms": _lines(METRICS["step_ms"].tag),
    },
    "feature-map size (step: layer, 0 is the image)": {
        "height": _unsmoothed("feature_map/height"),
        "width": _unsmoothed("feature_map/width"),
    },
}
"""For `SummaryWriter.add_custom_scalars`: category to chart to kind and tags."""
