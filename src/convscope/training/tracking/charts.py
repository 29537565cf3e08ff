"""The Custom Scalars tab: what is read together, in one chart for all runs.

Every run writes the same layout, whatever its layers: TensorBoard joins those of all the runs that
it finds, and shows each chart once.
"""


def _lines(*tags: str) -> list[object]:
    # TensorBoard takes a tag for a regular expression that the beginning of a tag must match.
    return ["Multiline", [f"^{tag}$" for tag in tags]]


def _unsmoothed(tag: str) -> list[object]:
    # A chart of lines is smoothed unless its user says otherwise; one of margins never is.
    return ["Margin", [tag, tag, tag]]


CHARTS = {
    "accuracy": {
        "train, val and test": _lines("train/accuracy", "val/accuracy", "test/accuracy"),
        "val and test": _lines("val/accuracy", "test/accuracy"),
    },
    "throughput": {
        "train, samples/s": _lines("throughput/train_samples_per_sec"),
        "eval, samples/s": _lines("throughput/eval_samples_per_sec"),
        "step, ms": _lines("throughput/step_ms"),
    },
    "feature-map size (step: layer, 0 is the image)": {
        "height": _unsmoothed("feature_map/height"),
        "width": _unsmoothed("feature_map/width"),
    },
}
"""For `SummaryWriter.add_custom_scalars`: category to chart to kind and tags."""
