"""What TensorBoard shows of runs of every fate, asked over HTTP."""

import io
import re
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from PIL import Image

Study = Any


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
    """Not the one that was moved aside for a rerun, nor the one that was never trained."""
    assert sorted(study.server.get("runs")) == study.runs


def test_each_run_is_one_row_of_hparams(study: Study) -> None:
    rows = sessions(study)
    assert sorted(row["name"] for row in rows) == study.runs
    assert all(len(row["sessions"]) == 1 for row in rows)


def test_a_row_says_how_its_run_ended(study: Study) -> None:
    shown = {row["name"]: row["sessions"][0].get("status") for row in sessions(study)}
    assert shown == dict.fromkeys(study.finished, "STATUS_SUCCESS") | {
        study.failed: "STATUS_FAILURE",
        study.interrupted: "STATUS_UNKNOWN",
    }


def test_a_row_has_every_metric_with_its_value(study: Study) -> None:
    for row in sessions(study):
        shown = {value["name"]["tag"]: value["value"] for value in row["metricValues"]}
        if row["name"] not in study.finished:
            assert shown == {}
            continue
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
    rows = [row for row in sessions(study) if row["name"] in study.finished]
    shown = {(row["hparams"]["variant"], row["hparams"]["seed"]): row["hparams"] for row in rows}
    common = {"dataset": "digits", "model": "4-8", "batch_size": 32, "kernel_size": 3, "epochs": 2}
    common |= {"dilation": 1, "padding_mode": "zeros", "pools": "pool1 max k2 s2 p0"}
    assert shown["k3-s2-p1", 0] == common | {
        "variant": "k3-s2-p1",
        "padding_policy": "half",
        "stride": 2,
        "padding": 1,
        "seed": 0,
        "lr": 0.01,
    }
    assert shown["k3-s1-p0", 3] == common | {
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
    text = {"dataset", "model", "variant", "padding_policy", "padding_mode", "pools"}
    numbers = {"kernel_size", "stride", "padding", "dilation", "seed", "batch_size", "lr", "epochs"}
    assert types == dict.fromkeys(text, "DATA_TYPE_STRING") | dict.fromkeys(
        numbers, "DATA_TYPE_FLOAT64"
    )


def test_what_a_study_varies_comes_first_and_the_rest_by_name(study: Study) -> None:
    """TensorBoard shows the first five keys and the first five metrics."""
    experiment = study.server.post("plugin/hparams/experiment", {"experimentName": ""})
    assert [info["name"] for info in experiment["hparamInfos"]] == [
        *("kernel_size", "padding_policy", "seed", "stride", "variant"),
        *("batch_size", "dataset", "dilation", "epochs", "lr", "model", "padding", "padding_mode"),
        "pools",
    ]
    titles = {info["name"]["tag"]: info["displayName"] for info in experiment["metricInfos"]}
    assert list(titles.items())[:5] == [
        ("summary/test_accuracy", "test accuracy"),
        ("summary/train_samples_per_sec", "train samples/s"),
        ("summary/macs", "MACs"),
        ("summary/params", "parameters"),
        ("summary/final_map", "final map"),
    ]


def test_runs_of_every_depth_share_one_layout_of_charts(study: Study) -> None:
    layout = study.server.get("plugin/custom_scalars/layout")
    charts = {
        category["title"]: [chart["title"] for chart in category["chart"]]
        for category in layout["category"]
    }
    assert charts == {
        "accuracy": ["train, val and test", "val and test"],
        "throughput": ["train, samples/s", "eval, samples/s", "step, ms"],
        "feature-map size (step: layer, 0 is the image)": ["height", "width"],
    }


def test_charts_hold_the_scalars_that_they_name(study: Study) -> None:
    (accuracy, _), throughput, _ = (
        category["chart"]
        for category in study.server.get("plugin/custom_scalars/layout")["category"]
    )

    def drawn(chart: Any) -> set[str]:
        return {
            tag
            for pattern in chart["multiline"]["tag"]
            for tag in study.server.get(
                "plugin/custom_scalars/scalars", run=next(iter(study.finished)), tag=pattern
            )["tag_to_events"]
        }

    assert drawn(accuracy) == {"train/accuracy", "val/accuracy", "test/accuracy"}
    assert [drawn(chart) for chart in throughput] == [
        {"throughput/train_samples_per_sec"},
        {"throughput/eval_samples_per_sec"},
        {"throughput/step_ms"},
    ]


def test_a_map_s_height_is_a_curve_over_the_layers(study: Study) -> None:
    """28 pixels; stride 2, a pool and stride 2 again: 14, 7 and 4."""
    run = next(run for run, record in study.finished.items() if record.variant == "k3-s2-p1")
    for tag in ("feature_map/height", "feature_map/width"):
        points = study.server.get("plugin/scalars/scalars", run=run, tag=tag)
        assert [(step, size) for _, step, size in points] == [(0, 28), (1, 14), (2, 7), (3, 4)]


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
    assert cells[0][1:6] == ["kernel-stride-padding", "in", "out", "RF", "jump"]
    assert cells[1][1:6] == ["k3 s2 p1", "1x28x28", "4x14x14", "3", "2"]
    assert cells[4][1:3] == ["params", "MACs"]
    assert cells[5][1:3] == ["36", "7,056"]
    assert cells[5][-1] == "14 %"
    sentence = "the receptive field of a conv2 unit holds at most 13 of 28 pixels per axis."
    assert f"<li>{sentence}</li>" in event["text"]


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
