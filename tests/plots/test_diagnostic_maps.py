"""Maps of diagnostics: their numbers and boxes by hand, and what cannot be read."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from numpy.typing import NDArray
from pandas import DataFrame

from convscope.analysis import load
from convscope.errors import UserError
from convscope.plots import diagnostic_maps
from convscope.report.contents import drawings
from convscope.report.png import drawn
from convscope.runs.directory import RunDirectory
from convscope.runs.pack import write_pack
from convscope.runs.predictions import write_arrays

from ..studies import diagnosed, make_record, results, write_run

Arrays = Mapping[str, NDArray[Any]]
Make = Callable[..., DataFrame]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The table of runs of these convs, with `arrays(conv, seed)` on disk."""

    def runs(
        convs: Mapping[tuple[object, object, object], float],
        arrays: Callable[..., Arrays],
        seeds: int = 2,
    ) -> DataFrame:
        study = tmp_path / "study"
        for conv, side in convs.items():
            for seed in range(seeds):
                record = make_record(study, conv, seed, results)
                values = {"erf_side": side + 2 * seed, "erf_share": 0.25, "shift_change": 0.01}
                path = write_run(study, diagnosed(record, values))
                write_arrays(RunDirectory(path).diagnostics, dict(arrays(conv, seed)))
        return load(study)

    return runs


def ramp(conv: tuple[object, object, object], seed: int) -> Arrays:
    return {"erf": np.arange(784.0).reshape(28, 28) * (seed + 1)}


def traces(figure: go.Figure, kind: str) -> list[dict[str, Any]]:
    data = json.loads(figure.to_json())["data"]
    return [one for one in data if one["type"] == kind or one.get("mode") == kind]


def test_a_map_is_the_mean_over_seeds_as_share_of_its_largest(make: Make) -> None:
    runs = make({(3, 1, "half"): 7}, ramp)
    (cells,) = traces(diagnostic_maps(runs), "heatmap")
    expected = np.sqrt(np.arange(784).reshape(28, 28) / 783)
    np.testing.assert_allclose(cells["z"], expected, atol=5e-5)
    group = runs["group"].iloc[0]
    assert cells["customdata"] == [[group] * 28] * 28
    # The image is 1 wide.
    assert (cells["dx"], cells["x0"]) == (pytest.approx(1 / 28), pytest.approx(0.5 / 28))


def test_boxes_are_the_receptive_field_and_the_square_about_its_centre(make: Make) -> None:
    """Kernel 3, padding 1, a pool of 2 after conv1: RF 3, 4, 8, 12; unit 7 of 14x14 reads pixels
    2 * 7 + 0.5 - 5.5 to 2 * 7 + 0.5 + 5.5, that is 9 to 20, whose centre is 15 from the edge."""
    figure = diagnostic_maps(make({(3, 1, "half"): 7}, ramp))
    (cells,) = traces(figure, "heatmap")
    left, top = cells["x0"] - cells["dx"] / 2, cells["y0"] - cells["dy"] / 2
    field, square = traces(figure, "lines")
    for box, first, last, dash in ((field, 9, 21, "dot"), (square, 11, 19, "solid")):
        assert box["line"]["dash"] == dash
        for key, edge in (("x", left), ("y", top)):
            pixels = [28 * (value - edge) for value in box[key]]
            assert (min(pixels), max(pixels)) == pytest.approx((first, last))
    (label,) = traces(figure, "text")
    # Sides of 7 and 9.
    assert label["text"] == ["k3-s1-p1<br>ERF 8, RF 12"]
    assert cells["hovertemplate"] == (
        "k3-s1-p1<br>half within 8 px: 25.00 % of the receptive field<br>receptive field: 12 px"
        "<extra></extra>"
    )


def test_a_box_ends_at_the_image(make: Make) -> None:
    figure = diagnostic_maps(make({(7, 3, 3): 19}, ramp))
    (cells,) = traces(figure, "heatmap")
    # Whose field is larger than the image: the square is about the image's middle.
    xs = np.array([box["x"] for box in traces(figure, "lines")]) - (cells["x0"] - cells["dx"] / 2)
    assert xs[1].min() + xs[1].max() == pytest.approx(1)
    for box in traces(figure, "lines"):
        assert min(box["x"]) >= cells["x0"] - cells["dx"] / 2 - 1e-9
        assert max(box["x"]) <= cells["x0"] - cells["dx"] / 2 + 1 + 1e-9


def test_accuracies_by_shift_share_one_scale_and_say_where(make: Make) -> None:
    def arrays(conv: tuple[object, object, object], seed: int) -> Arrays:
        return {"shift_accuracy": np.array([[0.5, 0.6, 0.7], [0.8, 0.9, 0.8], [0.7, 0.6, 0.5]])}

    figure = diagnostic_maps(make({(3, 1, "half"): 7, (3, 2, "half"): 9}, arrays), "shift_accuracy")
    first, second = traces(figure, "heatmap")
    assert first["z"][1] == [0.8, 0.9, 0.8]
    assert first["coloraxis"] == second["coloraxis"] == "coloraxis"
    assert first["hovertext"] == [
        [
            "k3-s1-p1<br>1 px up, 1 px left<br>50.00 %",
            "k3-s1-p1<br>1 px up<br>60.00 %",
            "k3-s1-p1<br>1 px up, 1 px right<br>70.00 %",
        ],
        [
            "k3-s1-p1<br>1 px left<br>80.00 %",
            "k3-s1-p1<br>not moved<br>90.00 %",
            "k3-s1-p1<br>1 px right<br>80.00 %",
        ],
        [
            "k3-s1-p1<br>1 px down, 1 px left<br>70.00 %",
            "k3-s1-p1<br>1 px down<br>60.00 %",
            "k3-s1-p1<br>1 px down, 1 px right<br>50.00 %",
        ],
    ]
    assert [label["text"] for label in traces(figure, "text")] == [
        ["k3-s1-p1<br>50.0 to 90.0 %"],
        ["k3-s2-p1<br>50.0 to 90.0 %"],
    ]
    assert "edges: by 1 px" in figure.layout.title.text


def test_variants_are_in_order_and_at_most_twelve(make: Make) -> None:
    convs = {(k, s, "half"): 7.0 for s in (3, 1) for k in (11, 9, 7, 5, 3, 1, "3x5")}
    figure = diagnostic_maps(make(convs, ramp, seeds=1))
    shown = [label["text"][0].partition("<br>")[0] for label in traces(figure, "text")]
    assert len(shown) == 12
    assert shown[:3] == ["k1-s1-p0", "k1-s3-p0", "k3-s1-p1"]
    assert "the first 12 of 14 variants" in figure.layout.title.text


def test_a_large_map_is_averaged_over_blocks(make: Make) -> None:
    image = np.arange(70.0 * 40).reshape(70, 40)
    (cells,) = traces(
        diagnostic_maps(make({(3, 1, "half"): 7}, lambda *_: {"erf": image})), "heatmap"
    )
    # Blocks of 3x3; the last has 1 row and 1 column.
    assert (len(cells["z"]), len(cells["z"][0])) == (24, 14)
    share = image / image.max()
    assert cells["z"][0][0] == pytest.approx(np.sqrt(share[:3, :3].mean()), abs=1e-4)
    assert cells["z"][-1][-1] == pytest.approx(1, abs=1e-4)
    assert cells["dy"] * 24 == pytest.approx(1)
    assert cells["dx"] * 14 == pytest.approx(40 / 70)


def test_what_cannot_be_read_is_named(make: Make) -> None:
    runs = make({(3, 1, "half"): 7, (3, 2, "half"): 9}, ramp)
    first, second, third, _ = [RunDirectory(Path(path)).diagnostics for path in runs["path"]]
    first.write_bytes(b"no archive")
    write_arrays(second, {"erf": np.zeros((2, 2, 2))})
    write_arrays(third, {"erf": np.ones((5, 5))})
    figure = diagnostic_maps(runs)
    (cells,) = traces(figure, "heatmap")
    assert len(cells["z"]) == 5
    # Lines are broken anywhere in a path.
    title = figure.layout.title.text.replace("<br>", "")
    assert f"left out: {first} is damaged".replace(" ", "") in title.replace(" ", "")
    assert title.endswith("(and 2 more)")
    for path in runs["path"]:
        RunDirectory(Path(path)).diagnostics.unlink()
    with pytest.raises(UserError, match=r"diagnostics\.npz cannot be read: No such file"):
        diagnostic_maps(runs)


def test_a_picture_shows_the_same(make: Make) -> None:
    figure = diagnostic_maps(make({(3, 1, "half"): 7, (3, 2, "half"): 9}, ramp))
    (axes,) = drawn(figure).axes
    assert [image.get_array().shape for image in axes.images] == [(28, 28, 4)] * 2
    left, right, bottom, top = axes.images[0].get_extent()
    assert (left, right, bottom - top) == (0, pytest.approx(1), pytest.approx(1))
    assert len(axes.lines) >= 4
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert not axes.xaxis.get_visible()
    assert {text.get_text() for text in axes.texts} == {
        "k3-s1-p1\nERF 8, RF 12",
        "k3-s2-p1\nERF 10, RF 29",
    }


def test_a_report_has_them_where_runs_do(make: Make) -> None:
    runs = make({(3, 1, "half"): 7, (3, 2, "half"): 9}, ramp)
    of_answers = {"effective-fields", "shift-accuracy"}
    of_answers |= {f"{key}-shift-change" for key in ("accuracy", "heat", "effects")}
    assert of_answers <= {one.key for one in drawings(runs, "")}
    without = runs.assign(erf_side=np.nan, shift_change=np.nan)
    assert not of_answers & {one.key for one in drawings(without, "")}


def test_a_packed_study_has_its_maps(make: Make, tmp_path: Path) -> None:
    runs = make({(3, 1, "half"): 7, (3, 2, "half"): 9}, ramp)
    archive = tmp_path / "study.zip"
    write_pack(archive, [RunDirectory(Path(path)) for path in runs["path"]])
    packed = load(archive)
    keys = {one.key for one in drawings(packed, "")}
    assert "heat-shift-change" in keys
    assert {"effective-fields", "shift-accuracy"} <= keys
    assert diagnostic_maps(packed) == diagnostic_maps(runs)
