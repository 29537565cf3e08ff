"""A grid: split as a sweep, equal variants folded, impossible ones told, drawn as heat maps."""

import io
import re
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from matplotlib.colors import to_rgb
from PIL import Image

from convscope.config.expand import expand
from convscope.errors import UserError
from convscope.lesson.grid import (
    Grid,
    examine_grid,
    grid_table,
    impossible_sentences,
    require_single,
)
from convscope.lesson.heat import COLOURS, INK, grid_html, grid_png, heat_maps

if TYPE_CHECKING:
    from playwright.sync_api import Browser

OVERRIDES = ["conv.kernel_size=1,3,7", "conv.stride=1,2", "conv.padding=0,1,half"]


@pytest.fixture(scope="module")
def grid() -> Grid:
    return examine_grid(OVERRIDES)


@pytest.mark.parametrize(
    "overrides",
    [
        OVERRIDES,
        ["conv.stride=1,2", "data=mnist,cifar10", "seed=3", "conv.stride=3,4"],
        ["conv.kernel_size=3x5,[1,2,3],'7'", "conv.stride=range(1,4)", "study='a b'"],
        ["conv.padding=choice(0,half)", "+conv.stride=1,2"],
    ],
)
def test_values_are_expanded_as_a_sweep_s(overrides: list[str]) -> None:
    """The same jobs; a key's values stand where they were typed last, not first."""
    mine = [sorted(job) for job in product(*(one.overrides for one in expand(overrides)))]
    parsed = OverridesParser.create().parse_overrides(overrides)
    (theirs,) = BasicSweeper.split_arguments(parsed, None)
    assert sorted(mine) == sorted(map(sorted, theirs))


def test_a_glob_stands_for_presets() -> None:
    (conv,) = expand(["conv=glob(k3*)"])
    assert (conv.key, conv.values) == ("conv", ["k3-s1-p0", "k3-s1-p1", "k3-s2-p1"])


def test_equal_variants_are_folded_and_say_how_they_were_typed(grid: Grid) -> None:
    assert grid.summary == "18 combinations make 14 variants, 3 of them impossible"
    folded = {row.variant.label: row.equal for row in grid.rows if len(row.forms) > 1}
    assert folded == {
        "k1-s1-p0": "padding 0 = half",
        "k1-s2-p0": "padding 0 = half",
        "k3-s1-p1": "padding 1 = half",
        "k3-s2-p1": "padding 1 = half",
    }


def test_forms_that_differ_in_several_keys() -> None:
    grid = examine_grid(["conv=k3-s1-p0,k3-s1-p1", "conv.padding=1,half"])
    (row,) = grid.rows
    assert row.equal == (
        "conv k3-s1-p0, padding 1 = conv k3-s1-p0, padding half ="
        " conv k3-s1-p1, padding 1 = conv k3-s1-p1, padding half"
    )


def test_keys_besides_conv_have_a_column_and_fold_where_geometry_is_equal() -> None:
    grid = examine_grid(["data=mnist,fashion_mnist,cifar10", "seed=0,1", "conv.stride=2"])
    table = grid_table(grid)
    assert table.columns[:3] == ("<variant", "<data", "<seed")
    assert [row[:4] for row in table.rows] == [
        ("k3-s2-p1", "mnist = fashion_mnist", "0 = 1", "2x2"),
        ("k3-s2-p1", "cifar10", "0 = 1", "2x2"),
    ]
    assert [row[-1] for row in table.rows] == ["", ""]


def test_ways_to_downsample_fold_only_where_they_are_equal() -> None:
    grid = examine_grid(
        ["data=digits", "conv.stride=1,2", "model.pool=max,none", "model.downsample=conv,blur"]
    )
    assert grid.summary == "8 combinations make 6 variants, none of them impossible"
    assert [row[:4] for row in grid_table(grid).rows] == [
        ("k3-s1-p1", "max", "conv = blur", "14x14"),
        ("k3-s1-p1", "none", "conv = blur", "28x28"),
        ("k3-s2-p1", "max", "conv", "2x2"),
        ("k3-s2-p1", "max", "blur", "2x2"),
        ("k3-s2-p1", "none", "conv", "4x4"),
        ("k3-s2-p1", "none", "blur", "4x4"),
    ]
    no_pools = examine_grid(["data=digits", "model.pool=max,none", "model.pool_after=[1],[]"])
    assert no_pools.summary == "4 combinations make 2 variants, none of them impossible"


def test_impossible_variants_are_told_with_what_revives_them(grid: Grid) -> None:
    assert impossible_sentences(grid) == [
        "k7-s1-p0: conv3 would have an empty output: input 5x5, kernel_size 7, stride 1, padding 0;"
        " conv.padding=1 would make it possible",
        "k7-s2-p0: conv2 would have an empty output: input 6x6, kernel_size 7, stride 2, padding 0;"
        " conv.padding=2 would make it possible",
        "k7-s2-p1: conv3 would have an empty output: input 1x1, kernel_size 7, stride 2, padding 1;"
        " conv.padding=2 would make it possible",
    ]
    refused = examine_grid(["conv.padding=same", "conv.stride=2,'2x2'", "data=mnist,cifar10"])
    assert impossible_sentences(refused) == [
        f"k3-s2-psame, data {data}, stride 2 = '2x2': conv.padding=same needs stride 1, as in"
        " PyTorch, but conv1 has stride 2; use conv.padding=half"
        for data in ("mnist", "cifar10")
    ]


def test_a_row_of_the_table(grid: Grid) -> None:
    table = grid_table(grid)
    assert table.columns == (
        "<variant", "final map", "RF", "MACs", "params", "padding", "<equal",
    )  # fmt: skip
    # 28 -> 28, pooled to 14: see the geometry's own tests
    assert ("k3-s1-p1", "14x14", "12", "4,629,376", "24,058", "27 %", "padding 1 = half") in (
        table.rows
    )


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["conv.stride=0,1"], "^conv.stride must be at least 1, got 0$"),
        (["conv.stride=1,"], "^cannot read the override conv.stride=1,"),
        (
            ["conv.stride=interval(1,2)"],
            "^conv.stride must name its values, as 1,2,3 or range\\(1,4\\) do, got interval",
        ),
        (
            ["conv.kernel_size=range(1,200)", "conv.stride=range(1,200)"],
            r"^there can be at most 10,000 combinations, got 39,601 \(199 x 199\)$",
        ),
        (["conv=k3,k5"], "^conv must be one of"),
    ],
)
def test_bad_input(overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        examine_grid(overrides)


@pytest.mark.parametrize("override", ["conv.stride=1,2", "conv=k3-s1-p1,k5-s2-p0"])
def test_several_values_are_no_single_variant(override: str) -> None:
    require_single(["conv.stride=2", "conv.kernel_size=[1,2,3]", "data=mnist"])
    message = f"^{override} is more than one variant\nwrite explain.py grid {override}, or a list"
    with pytest.raises(UserError, match=message):
        require_single(["data=mnist", override])


def test_heat_maps_have_a_map_per_padding_and_a_cell_per_variant(grid: Grid) -> None:
    maps = heat_maps(grid)
    assert list(maps) == [
        "final map, height x width",
        "MACs per image",
        "receptive field, pixels",
    ]
    padded = maps["final map, height x width"][1]
    assert (padded.facet, padded.row_name, padded.column_name) == (
        "padding 1",
        "kernel size",
        "stride",
    )
    assert [[cell.text for cell in row] for row in padded.cells] == [
        ["19x19", "4x4"],
        ["14x14", "2x2"],
        ["4x4", "–"],
    ]
    assert padded.cells[0][0].level == 1
    assert padded.cells[2][1].level is None
    assert padded.cells[2][1].hint.startswith("k7-s2-p1: conv3 would have an empty output")
    assert [drawn.facet[-4:] for drawn in maps["MACs per image"]] == ["ng 0", "ng 1", "half"]


@pytest.mark.parametrize(
    ("overrides", "axes", "facets"),
    [
        (["conv.stride=1,2"], ("", "stride"), [""]),
        (["conv.kernel_size=1,2"], ("kernel size", ""), [""]),
        (["conv.padding=0,1"], ("", "padding"), [""]),
        (["conv.kernel_size=1,3", "data=mnist,cifar10"], ("kernel size", "data"), [""]),
        (["conv.stride=1,2", "data=mnist,cifar10"], ("data", "stride"), [""]),
        (
            ["conv.stride=1,2", "conv.kernel_size=3,5", "data=mnist,cifar10"],
            ("kernel size", "stride"),
            ["data mnist", "data cifar10"],
        ),
        (["conv.stride=2"], ("", ""), [""]),
    ],
)
def test_axes_of_other_grids(
    overrides: list[str], axes: tuple[str, str], facets: list[str]
) -> None:
    maps = heat_maps(examine_grid(overrides))["MACs per image"]
    assert [drawn.facet for drawn in maps] == facets
    assert {(drawn.row_name, drawn.column_name) for drawn in maps} == {axes}


def test_texts_are_legible_on_every_shade() -> None:
    def luminance(channels: tuple[float, ...]) -> float:
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for step in range(101):
        low, high = sorted((luminance(COLOURS(step / 100)), luminance(to_rgb(INK))))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_the_page_is_self_contained_and_holds_the_maps(grid: Grid) -> None:
    page = grid_html(grid).decode()
    assert page.count("<table class=heat>") == 9
    assert page.count("<td class=none") == 9
    for part in ("19x19", "4.63M", "color-scheme: light dark", "k7-s2-p1"):
        assert part in page
    for part in ("http", "<script", "<link", "url("):
        assert part not in page


def test_the_legend_has_the_smallest_and_the_largest_value_and_the_mark_of_the_impossible(
    grid: Grid,
) -> None:
    page = grid_html(grid).decode()
    legends = re.findall(r'<ul class=legend aria-label="Legend">(.*?)</ul>', page)
    told = [re.sub(r"<[^>]*>", "", legend.replace("</li><li>", "|")) for legend in legends]
    # MACs: kernel 1 at stride 2 without padding, kernel 7 at stride 1 with half padding. Receptive
    # field of kernel 7 at stride 2: 7, pooled 7 + 2, then 9 + 6 * 4 and 33 + 6 * 8.
    assert told == [
        f"{least}  {most}| impossible: PyTorch refuses a layer"
        for least, most in (("1x1", "19x19"), ("20.2k", "25.2M"), ("2", "81"))
    ]
    assert "Darker is larger, on a logarithmic scale." in page
    assert "MACs: multiply-accumulates per image in the conv, blur and linear layers;" in page
    possible = grid_html(examine_grid(["conv.stride=1,2"])).decode()
    assert "impossible: PyTorch" not in possible
    impossible = grid_html(examine_grid(["conv.kernel_size=9,11", "conv.padding=0"])).decode()
    assert "linear-gradient(to right" not in impossible


def test_what_a_user_typed_is_escaped_in_the_page() -> None:
    for kernel in (3, 7):  # possible; impossible
        grid = examine_grid(["study='<b>','<i>'", f"conv.kernel_size={kernel}", "conv.padding=0"])
        page = grid_html(grid).decode()
        assert "<b>" not in page
        assert "&lt;b&gt;" in page


def test_the_picture_is_a_png_and_grows_with_the_grid(grid: Grid) -> None:
    def pixels(png: bytes) -> tuple[int, int]:
        assert png[:8] == b"\x89PNG\r\n\x1a\n"
        return int.from_bytes(png[16:20]), int.from_bytes(png[20:24])

    one, three = pixels(grid_png(examine_grid(["conv.stride=1,2"]))), pixels(grid_png(grid))
    assert three[1] > 2 * one[1]
    with pytest.raises(UserError, match=r"^--png draws at most 40 maps of 30 by 30 variants, got "):
        grid_png(examine_grid(["conv.stride=range(1,32)"]))


def test_the_picture_has_a_bar_from_the_smallest_to_the_largest_colour_below_each_map(
    grid: Grid,
) -> None:
    picture = np.asarray(Image.open(io.BytesIO(grid_png(grid))).convert("RGB")).astype(int)
    bottom = picture[-90:]

    def columns(level: float) -> list[int]:
        near = abs(bottom - 255 * np.array(COLOURS(level)[:3])).sum(axis=2) <= 6
        return np.flatnonzero(near.any(axis=0)).tolist()

    light, dark = columns(0.01), columns(0.99)
    third = picture.shape[1] / 3
    for number in range(3):
        inside = [
            [x for x in found if number * third <= x < (number + 1) * third]
            for found in (light, dark)
        ]
        assert inside[0]
        assert inside[1]
        assert max(inside[0]) < min(inside[1])


def test_the_page_fits_a_phone_and_keeps_its_colours_on_paper(
    grid: Grid, browser: "Browser", tmp_path: Path
) -> None:
    (tmp_path / "grid.html").write_bytes(grid_html(grid))
    page = browser.new_page(viewport={"width": 360, "height": 800})
    page.goto((tmp_path / "grid.html").as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    # Three strides and a column of kernel sizes are seen without scrolling sideways.
    assert page.locator(".maps .wide").evaluate_all("a => a.every(m => m.scrollWidth <= 328)")
    for part in (".bar", ".swatch"):
        box = page.locator(part).first.bounding_box()
        assert box is not None
        assert min(box["width"], box["height"]) > 12
    page.emulate_media(media="print")
    assert page.locator(".heat td, .bar, .swatch").evaluate_all(
        "all => all.every(at => getComputedStyle(at).printColorAdjust === 'exact')"
    )
    page.close()


def test_a_grid_of_a_network_by_name() -> None:
    grid = examine_grid(
        ["model=resnet20", "data=cifar10", "conv.kernel_size=3,5", "conv.stride=1,keep",
         "model.vary=stem,all"],
    )  # fmt: skip
    assert grid.title == "cifar10 3x32x32, resnet20"
    # The stem's own stride is 1; all layers with kernel 5 and padding 1 do not fit their shortcuts.
    assert grid.summary == "8 combinations make 6 variants, 2 of them impossible"
    found = {row[:2]: row[2:4] for row in grid_table(grid).rows}
    # All at stride 1: 3 + 18 * 2 pixels. Stem of 5x5: 30x30, 15x15, 8x8; 5 + 12 + 2 + 20 + 4 + 40.
    assert found == {
        ("k3-s1-p1", "stem"): ("8x8", "81"),
        ("k3-s1-p1", "all"): ("32x32", "39"),
        ("k3-skeep-p1", "all"): ("8x8", "81"),
        ("k5-s1-p1", "stem"): ("8x8", "83"),
    }
    assert impossible_sentences(grid)[0] == (
        "k5-s1-p1, model.vary all: layer1.0.add cannot add 26x26 of layer1.0.conv2 and 30x30 of"
        " layer1.0.shortcut; conv.padding=2 would make it possible"
    )
    maps = heat_maps(grid)["receptive field, pixels"]
    assert [drawn.facet for drawn in maps] == ["model.vary stem", "model.vary all"]
    assert [[cell.text for cell in row] for row in maps[0].cells] == [["81", "81"], ["83", "83"]]
    assert "<p>cifar10 3x32x32, resnet20</p>" in grid_html(grid).decode()
