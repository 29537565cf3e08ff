"""The page as its user meets it, in a real browser."""

import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from convscope.errors import UserError
from convscope.geometry import read_counts
from convscope.geometry.layers import Conv
from convscope.lesson.page import write_page
from convscope.lesson.page.layer import page_layer

from ...convs import parse_typed, resnet20_graph

Open = Callable[..., Any]

PROBES = dict(
    re.findall(
        r"^// (\w+)[^\n]*\n(.+?)(?=^// \w+:|\Z)",
        Path(__file__).with_name("probes.js").read_text("utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)
"""JavaScript functions by name, for what only the page itself can tell."""


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "lesson.html"
    write_page(path)
    return path


def by_torch(
    size: tuple[int, int],
    kernel: Any,
    stride: Any,
    padding: Any,
    dilation: Any = 1,
    mode: str = "zeros",
    shift: tuple[int, int] = (0, 0),
) -> list[list[float]]:
    """The all-ones convolution of 0, 1, 2, …, moved down and right, by `torch.nn.Conv2d`."""
    import torch

    image = torch.arange(size[0] * size[1], dtype=torch.float32).reshape(1, 1, *size)
    down, right = shift
    image = torch.nn.functional.pad(image, (right, -right, down, -down))
    if padding != "same":
        (top, bottom), (left, right) = padding
        fill = mode.replace("zeros", "constant")
        image = torch.nn.functional.pad(image, (left, right, top, bottom), fill)
        padding, mode = 0, "zeros"
    layer = torch.nn.Conv2d(
        *(1, 1, kernel, stride, padding, dilation), bias=False, padding_mode=mode
    )
    torch.nn.init.ones_(layer.weight)
    values: list[list[float]] = layer(image)[0, 0].tolist()
    return values


def test_starts_with_the_tutorials_sample(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    first = page.first
    assert first.text(".status") == "Step 1 of 9: output row 1, column 1 is 54."
    assert first.text(".sum") == "0 + 1 + 2 + 5 + 6 + 7 + 10 + 11 + 12 = 54"
    assert first.text(".call") == (
        "torch.nn.Conv2d(1, 1, kernel_size=3, stride=1, padding=0, dilation=1, "
        'padding_mode="zeros", bias=False)'
    )
    assert first.output() == [[54, 63, 72], [99, 108, 117], [144, 153, 162]]
    first.type(stride=2)
    assert first.output() == [[54, 72], [144, 162]]
    first.type(stride=1, padding=1)
    assert first.output()[0] == [12, 21, 27, 33, 24]


@pytest.mark.filterwarnings("ignore:Using padding=.same. with even kernel")
def test_fifty_random_settings_agree_with_torch(plain: Path, lesson: Open) -> None:
    draw = random.Random(3)
    page = lesson(plain)
    page.compare()
    impossible = 0
    for _ in range(25):
        size = draw.randint(1, 12), draw.randint(1, 12)
        page.input_size(f"{size[0]}x{size[1]}")
        for index, setting in enumerate((page.first, page.second)):
            kernel, stride = ((draw.randint(1, 5), draw.randint(1, 5)) for _ in range(2))
            pixels = f"{draw.randint(0, 2)}x{draw.randint(0, 2)}"
            names = ["valid", "half", "full", "same", "same_tf", "1+0x0+2"]
            padding = draw.choice([pixels, pixels, *names])
            if padding == "same" and draw.random() < 0.8:
                stride = (1, 1)
            typed = f"{kernel[0]}x{kernel[1]}", f"{stride[0]}x{stride[1]}", padding
            dilation = draw.choice([(1, 1), (1, 1), (2, 2), (1, 3)])
            mode = draw.choice(["zeros", "zeros", "reflect", "replicate", "circular"])
            keys = dict(zip(("kernel_size", "stride", "padding"), typed, strict=True))
            keys |= {"dilation": f"{dilation[0]}x{dilation[1]}", "padding_mode": mode}
            setting.type(**keys)
            try:
                (conv,) = parse_typed(keys, 1, size)
                sides = "same" if padding == "same" else conv.padding
                expected = by_torch(size, kernel, stride, sides, dilation, mode)
            except (UserError, RuntimeError):
                impossible += 1
                assert setting.text(".impossible").startswith("Impossible."), (size, typed)
                continue
            assert setting.output() == expected, (size, typed)
            rows, columns = read_counts(Conv(1, conv), size, conv.output_size(size))
            assert page.page.evaluate("at => convscope.reads(at)", index) == [
                [row * column for column in columns] for row in rows
            ], (size, keys)
            borders = [
                axis.unused_border(pixels) for axis, pixels in zip(conv.axes, size, strict=True)
            ]
            unused = [border.image for border in borders], [border.padding for border in borders]
            assert setting.legend["Unused border"] == told(*unused), (size, typed)
            assert setting.legend["Skipped"] == told(
                [axis.skipped(pixels) for axis, pixels in zip(conv.axes, size, strict=True)], [0, 0]
            )
    assert 3 <= impossible <= 30


def told(image: list[int], padding: list[int]) -> str:
    parts = []
    for axis, name in enumerate(("row", "column")):
        for count, kind in ((image[axis], ""), (padding[axis], "padding ")):
            if count:
                parts.append(f"{count} {kind}{name}{'s' if count > 1 else ''}")
    return (
        " and ".join([", ".join(parts[:-1]), parts[-1]])
        if len(parts) > 1
        else (parts or ["none"])[0]
    )


def test_which_outputs_move_with_a_shifted_input(plain: Path, lesson: Open) -> None:
    draw = random.Random(5)
    page = lesson(plain)
    arrows = (("Shift up", "Shift down"), ("Shift left", "Shift right"))
    for _ in range(15):
        size = draw.randint(5, 9), draw.randint(5, 9)
        page.input_size(f"{size[0]}x{size[1]}")
        conv = draw.choice([1, 2, 3, 4]), draw.choice([1, 1, 2, 3]), draw.choice([0, 1, 2])
        mode = draw.choice(["zeros", "zeros", "reflect", "circular"])
        keys = dict(zip(("kernel_size", "stride", "padding"), conv, strict=True))
        page.first.type(**keys, padding_mode=mode)
        page.button("Reset").evaluate("button => button.click()")
        shift = draw.randint(-3, 3), draw.randint(-3, 3)
        for pixels, names in zip(shift, arrows, strict=True):
            for _ in range(abs(pixels)):
                page.button(names[pixels > 0]).click()
        kernel, stride, padding = conv
        sides = ((padding, padding), (padding, padding))
        before = by_torch(size, kernel, stride, sides, 1, mode)
        after = by_torch(size, kernel, stride, sides, 1, mode, shift)
        assert page.first.output() == after
        if shift == (0, 0):
            assert page.page.evaluate("convscope.moved(0)") is None
            continue
        down, right = (int(pixels / stride) for pixels in shift)
        moved = [
            [
                0 <= row - down < len(before)
                and 0 <= column - right < len(before[0])
                and value == before[row - down][column - right]
                for column, value in enumerate(values)
            ]
            for row, values in enumerate(after)
        ]
        assert page.page.evaluate("convscope.moved(0)") == moved, (conv, mode, shift)
        hatched = sum(not one for row in moved for one in row)
        assert page.first.legend["Does not move with the input"].startswith(f"{hatched} output")


def test_a_shift_in_sentences(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    page.compare()
    page.input_size("7")
    page.first.type(padding=1)
    page.second.type(padding=1)
    assert page.button("Reset").is_disabled()
    page.button("Shift right").click()
    assert page.first.text(".status").startswith("Step 49 of 49")
    assert page.first.text(".moved-text") == (
        "Input shifted 1 right: 35 of 49 outputs (71 %) move with it, 1 right."
        " The other 14, hatched, are at the border."
    )
    assert page.second.text(".moved-text") == (
        "Input shifted 1 right, 0.5 of the stride: the outputs cannot move with it."
        " All 16, hatched, are new values."
    )
    page.button("Shift right").click()
    assert page.second.text(".moved-text") == (
        "Input shifted 2 right: 8 of 16 outputs (50 %) move with it, 1 right."
        " The other 8, hatched, are at the border."
    )
    page.button("Shift up").click()
    assert page.page.locator("#shift-text").inner_text() == "2 right and 1 up"
    page.button("Reset").click()
    assert not page.first.root.locator(".moved-text").is_visible()
    assert page.second.output() == by_torch((7, 7), 3, 2, ((1, 1), (1, 1)))


def test_read_counts_in_sentences_and_in_the_legend(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    page.input_size("7")
    page.first.type(padding=1)
    assert not page.first.root.locator(".reads-text").is_visible()
    page.page.get_by_label("Count how often each pixel is read").check()
    reads = lambda: page.first.text(".reads-text")  # noqa: E731
    assert reads() == (
        "Pixels are read 4 to 9 times. Away from the border it is 9 times: fewer windows reach"
        " the border."
    )
    assert page.first.legend["Read 9 times"] == "25 pixels"
    page.first.type(stride=2)
    assert reads() == (
        "Pixels are read 1 to 4 times. Away from the border it is 1, 2 or 4 times: stride 2 does"
        " not divide kernel size 3."
    )
    legend = page.first.legend
    counts = [legend[f"Read {times}"] for times in ("once", "2 times", "4 times")]
    assert counts == ["16 pixels", "24 pixels", "9 pixels"]
    page.first.type(kernel_size=1, padding=0)
    assert reads() == (
        "Pixels are read once or never. Away from the border it is once or never: the windows"
        " leave gaps."
    )
    page.first.type(kernel_size=3, stride=1, padding=1, padding_mode="reflect")
    assert reads() == (
        "Pixels are read 4 to 16 times. Away from the border it is 9 times: padding repeats pixels"
        " near the border."
    )
    page.first.type(kernel_size=2, stride=2, padding=0, padding_mode="zeros")
    page.input_size("6")
    assert reads() == "Every pixel is read once."
    page.first.type(kernel_size=3, stride=1, padding="full")
    assert reads() == "Every pixel is read 9 times."
    page.first.type(kernel_size=11)
    assert "Read 121 times" in page.first.legend
    page.first.type(kernel_size=9, padding=0)
    assert page.first.text(".impossible").startswith("Impossible.")
    assert not page.first.root.locator(".reads-text").is_visible()


def test_the_most_read_pixel_has_the_fullest_shade(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    page.input_size("8")
    page.first.type(stride=2)
    page.page.get_by_label("Count how often each pixel is read").check()
    canvas = page.first.root.locator(".input canvas")
    once, twice, four_times = canvas.evaluate(PROBES["shades"], [[1, 1], [1, 2], [2, 2]])
    assert sum(once) > sum(twice) + 30 > sum(four_times) + 60


def test_every_window_shows_its_products_and_their_sum(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    page.first.type(padding=1, stride=2)
    expected = [value for row in by_torch((5, 5), 3, 2, ((1, 1), (1, 1))) for value in row]
    page.button("First step").click()
    for number, value in enumerate(expected, start=1):
        assert page.first.text(".status").startswith(f"Step {number} of 9: ")
        terms, _, total = page.first.text(".sum").partition(" = ")
        assert float(total) == value == sum(map(float, terms.split(" + ")))
        products = page.first.root.locator(".tables td b").all_inner_texts()
        assert [float(product) for product in products] == [float(t) for t in terms.split(" + ")]
        page.button("One step on").click()
    assert page.first.root.locator(".tables td.padding").count() == 5


def test_the_formula_stands_with_its_numbers(plain: Path, lesson: Open) -> None:
    first = lesson(plain).first
    assert first.text(".symbols").replace("\n", "") == "floor((H + Pb + Pa − K) / S) + 1"
    first.type(kernel_size="4x3", padding="same")
    assert first.text(".variant") == "k4x3-s1-p1+2x1+1"
    first.type(kernel_size=4)
    assert first.text(".variant") == "k4-s1-p1+2"
    assert "floor((5 + 1 + 2 − 4) / 1) + 1 = floor(4) + 1 = 5" in flat(first.text(".numbers"))
    assert "Some visualisers call such a size invalid" in first.text(".floor")
    first.type(padding=0, kernel_size="2x3", stride="2x3")
    numbers = flat(first.text(".numbers"))
    assert "height floor((5 + 0 + 0 − 2) / 2) + 1 = floor(1.5) + 1 = 2" in numbers
    assert "width floor((5 + 0 + 0 − 3) / 3) + 1 = floor(0.67) + 1 = 1" in numbers
    assert "PyTorch rounds down, and 1 row and 2 columns at the end stay unused" in first.text(
        ".floor"
    )


def flat(text: str) -> str:
    return " ".join(text.split())


def test_padding_unused_border_and_skipped_pixels_differ_in_shade(
    plain: Path, lesson: Open
) -> None:
    page = lesson(plain)
    page.input_size("6")
    page.first.type(kernel_size=2, stride=3, padding="1x0")
    # Rows: padding, 0 | gap 1 | 2, 3 | gap 4 | 5, padding. Columns: 0, 1 | gap 2 | 3, 4 | unused 5.
    assert page.first.legend == {
        "Window": "2 × 2",
        "Padding": "1 above and below, 0 left and right",
        "Unused border": "1 column",
        "Skipped": "2 rows and 1 column",
    }
    canvas = page.first.root.locator(".input canvas")
    shades = canvas.evaluate(PROBES["shades"], [[1, 0], [0, 0], [2, 0], [1, 5], [0, 5]])
    for one in range(len(shades)):
        for other in range(one):
            far = sum(abs(a - b) for a, b in zip(shades[one], shades[other], strict=True))
            assert far > 20, shades


def test_impossible_settings_say_why_and_offer_a_way_out(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    first = page.first
    first.type(kernel_size="7x5")
    assert "The kernel, 7 × 5, is larger than the padded input, 5 × 5" in first.text(".impossible")
    assert "floor(−2) + 1 = −1, no output" in flat(first.text(".numbers"))
    assert page.button("Play").is_disabled()
    page.button("Use padding 1x0").click()
    assert first.output() == by_torch((5, 5), (7, 5), 1, ((1, 1), (0, 0)))
    first.type(padding=0)
    page.button("Use kernel size 5").click()
    assert first.output() == [[300]]
    first.type(kernel_size=2, padding="same", stride=2)
    assert "PyTorch refuses it with stride 2" in first.text(".impossible")
    assert first.text(".variant") == "k2-s2-psame"
    first.type(stride="1x2")
    assert "PyTorch refuses it with stride 1x2" in first.text(".impossible")
    first.type(stride=2)
    page.button("Use half").click()
    assert first.output() == by_torch((5, 5), 2, 2, ((1, 1), (1, 1)))
    page.first.type(padding="same")
    page.button("Use stride 1").click()
    assert first.output() == by_torch((5, 5), 2, 1, "same")


def test_what_is_no_value_says_the_rule_and_changes_nothing(plain: Path, lesson: Open) -> None:
    first = lesson(plain).first
    for label, typed, rule in (
        (
            "Kernel size",
            "abc",
            "Kernel size must be an integer or height x width such as 3x5, got abc.",
        ),
        ("Stride", "0", "Stride must be at least 1, got 0."),
        ("Padding", "-1", "Padding must be at least 0, got -1."),
        (
            "Padding",
            "sane",
            "Padding must be an integer, height x width such as 1x2, before+after such as 0+1, ",
        ),
        ("Kernel size", "65", "Kernel size must be at most 64 here, got 65."),
    ):
        first.field(label).fill(typed)
        first.field(label).press("Enter")
        error = first.root.get_by_role("alert").filter(visible=True)
        assert rule in error.inner_text()
        assert first.field(label).get_attribute("aria-invalid") == "true"
        first.field(label).fill({"Kernel size": "3", "Stride": "1", "Padding": "0"}[label])
        assert error.count() == 0
    assert first.output()[0] == [54, 63, 72]


def test_two_settings_go_in_step(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    assert not page.second.root.is_visible()
    page.compare()
    assert page.second.text(".variant") == "k3-s2-p0"
    page.button("One step on").click()
    assert page.first.text(".status").endswith("row 1, column 2 is 63.")
    assert page.second.text(".status").endswith("row 1, column 2 is 72.")
    page.button("Last step").click()
    assert page.first.text(".status") == "Step 9 of 9: output row 3, column 3 is 162."
    assert page.second.text(".status") == "Finished. Step 4 of 4: output row 2, column 2 is 162."
    page.second.type(kernel_size=6)
    assert page.first.text(".status").startswith("Step 9 of 9")
    assert page.second.text(".impossible").startswith("Impossible.")


def test_by_mouse_alone(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    first, mouse = page.first, page.page.mouse

    def drag(start: tuple[float, float], end: tuple[float, float]) -> None:
        mouse.move(*start)
        mouse.down()
        mouse.move(*end, steps=3)
        mouse.up()

    box = first.window.bounding_box()
    cell = box["width"] / 5
    at = lambda column, row: (box["x"] + column * cell, box["y"] + row * cell)  # noqa: E731
    drag(at(0.5, 0.5), at(2.6, 1.4))  # held near its corner, it goes as far as the pointer
    assert first.text(".status").endswith("output row 2, column 3 is 117.")
    drag(at(4.5, 4.5), at(9, 9))  # beyond the edge it stays at the last place
    assert first.text(".status").endswith("output row 3, column 3 is 162.")
    out = first.root.locator(".output .grid").bounding_box()
    mouse.click(out["x"] + 1.5 * cell, out["y"] + 0.5 * cell)
    assert first.text(".status").endswith("output row 1, column 2 is 63.")
    first.root.get_by_role("button", name="full").click()
    assert first.text(".output figcaption") == "Output 7 × 7"
    slider = first.root.get_by_role("slider", name="Kernel size, height and width").bounding_box()
    drag(
        (slider["x"] + slider["width"] * 0.2, slider["y"] + slider["height"] / 2),
        (slider["x"] + 2, slider["y"] + slider["height"] / 2),
    )
    assert first.text(".variant") == "k1-s1-p0"
    first.root.get_by_label("Separate height and width").check()
    first.root.get_by_role("slider", name="Stride, width").scroll_into_view_if_needed()
    wide = first.root.get_by_role("slider", name="Stride, width").bounding_box()
    mouse.click(wide["x"] + wide["width"] - 3, wide["y"] + wide["height"] / 2)
    assert first.text(".variant") == "k1-s1x8-p0"
    page.page.get_by_label("Speed").select_option("fast")
    page.button("First step").click()
    page.button("Play").click()
    page.button("Play").wait_for()
    assert first.text(".status").startswith("Step 5 of 5")


def test_by_touch(plain: Path, lesson: Open) -> None:
    page = lesson(plain, width=360, has_touch=True)
    page.first.root.locator(".output .grid").tap(position={"x": 50, "y": 50})
    assert page.first.text(".status").endswith("row 2, column 2 is 108.")


def test_by_keyboard_alone(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    first, keys = page.first, page.page.keyboard
    stops = []
    for _ in range(60):
        keys.press("Tab")
        stop = page.page.evaluate(PROBES["focused"])
        if stop is None:
            break
        stops.append(stop)
    assert all(stop["visible"] for stop in stops), stops
    assert [stop["name"] for stop in stops] == [
        *("Input size", "Input size, height and width"),
        *("Compare with a second setting", "Count how often each pixel is read"),
        "Separate input height and width",
        *("Shift left", "Shift right", "Shift up", "Shift down"),
        "Window on the input, setting",
        *("Kernel size", "Kernel size, height and width", "Stride", "Stride, height and width"),
        *("Padding", "Padding, height and width", "valid", "half", "full", "same", "same_tf"),
        *("Dilation", "Dilation, height and width"),
        *("Padding mode", "zeros", "reflect", "replicate", "circular"),
        *("Separate height and width", "All output values"),
        *("First step", "One step back", "Play", "One step on", "Last step: fill the output"),
        *("Speed", "Step"),
    ]

    def reach(name: str) -> None:
        for _ in range(40):
            focused = page.page.evaluate(PROBES["focused"])
            if focused and focused["name"] == name:
                return
            keys.press("Tab")
        pytest.fail(f"no way to {name}")

    reach("Window on the input, setting")
    for key, place in (
        *(("ArrowRight", "row 1, column 2"), ("ArrowDown", "row 2, column 2")),
        *(("ArrowLeft", "row 2, column 1"), ("ArrowUp", "row 1, column 1")),
        *(("ArrowUp", "row 1, column 1"), ("End", "row 3, column 3"), ("Home", "row 1, column 1")),
    ):
        keys.press(key)
        assert first.window.get_attribute("aria-valuetext") == place
        assert f"output {place} is" in first.text(".status")
    reach("Stride")
    keys.press("ControlOrMeta+a")
    keys.type("2")
    reach("Padding, height and width")
    keys.press("ArrowRight")
    assert first.text(".variant") == "k3-s2-p1"
    keys.press("Tab")
    keys.press("Tab")
    keys.press("Enter")  # half
    assert first.field("Padding").input_value() == "half"
    reach("Speed")
    keys.press("ArrowDown")
    keys.press("Tab")
    keys.press("Space")
    assert page.button("Pause").is_visible()
    page.button("Play").wait_for()
    assert first.text(".status") == "Step 9 of 9: output row 3, column 3 is 84."


def test_is_named_for_a_screen_reader(plain: Path, lesson: Open) -> None:
    page = lesson(plain)
    page.compare()
    nameless = page.page.evaluate(PROBES["nameless"])
    assert nameless == []
    ids = page.page.evaluate("[...document.querySelectorAll('[id]')].map(at => at.id)")
    assert len(ids) == len(set(ids))
    regions = page.page.get_by_role("region").evaluate_all(
        "all => all.map(at => at.ariaLabel ?? document.getElementById("
        "at.getAttribute('aria-labelledby')).innerText)"
    )
    assert [name.replace("\n", " ") for name in regions] == [
        *("Input and kernel", "First setting k3-s1-p0", "Second setting k3-s2-p0"),
        *("Move the window", "Terms"),
    ]
    # The live text keeps quiet while it plays, and speaks when it stops.
    status = page.first.root.locator(".status")
    assert status.get_attribute("aria-live") == "polite"
    page.button("Play").click()
    assert status.get_attribute("aria-live") == "off"
    page.button("Pause").click()
    assert status.get_attribute("aria-live") == "polite"


STATES: dict[str, Callable[[Any], None]] = {
    "start": lambda page: None,
    "compare": lambda page: page.compare(),
    "impossible": lambda page: page.first.type(kernel_size="9x7"),
    "refused": lambda page: (page.compare(), page.second.type(padding="same")),
    "apart": lambda page: (
        page.input_size("9x13"),
        page.first.type(kernel_size="2x3", stride="3x4", padding="1x2"),
        page.first.output(),
    ),
    "counted": lambda page: (
        page.compare(),
        page.input_size("14x9"),
        page.page.get_by_label("Count how often each pixel is read").check(),
    ),
    "shifted": lambda page: (
        page.compare(),
        page.button("Shift right").click(),
        page.button("Shift down").click(),
    ),
    "wrong": lambda page: (page.first.field("Stride").fill("x"), page.first.field("Stride").blur()),
    "large": lambda page: (
        page.input_size("64x40"),
        page.first.type(kernel_size=11, padding="full"),
    ),
}


@pytest.mark.parametrize("width", [360, 1300])
def test_nothing_is_cut_off_or_overlaps(plain: Path, lesson: Open, width: int) -> None:
    page = lesson(plain, width=width, color_scheme="dark" if width == 360 else "light")
    for name, act in STATES.items():
        page.page.reload()
        act(page)
        assert page.page.evaluate(PROBES["misplaced"]) == [], name


EXTREMES = [
    *((size, 3, 1, 1, True) for size in (1, 2, 16, 64)),
    *((9, kernel, 1, "valid", True) for kernel in (1, 2, 5, 9, 11, 64)),
    *((9, 4, stride, "full", compare) for stride in (1, 4, 9, 64) for compare in (False, True)),
    *((5, 11, 12, padding, False) for padding in ("same", "half", "full", 64)),
    *((64, 64, 64, padding, True) for padding in (0, "full")),
    (9, 11, 1, 0, False),
]
"""Input size, kernel size, stride, padding, and whether two settings are shown."""

SOME = [EXTREMES[0], EXTREMES[7], EXTREMES[-2], EXTREMES[-1]]


@pytest.mark.parametrize(
    ("width", "states"),
    [(320, SOME), (360, EXTREMES), (640, SOME), (768, SOME), (1280, EXTREMES), (1920, SOME)],
)
def test_at_every_extreme_nothing_overlaps_and_all_can_be_pressed(
    plain: Path, lesson: Open, width: int, states: list[tuple[Any, ...]]
) -> None:
    page = lesson(plain, width=width, reduced_motion="reduce")
    for state in states:
        page.page.evaluate(PROBES["set"], state)
        assert page.page.evaluate(PROBES["misplaced"]) == [], state
        assert page.page.evaluate(PROBES["unreachable"]) == [], state
    # The last one is impossible: what helps stands above the picture, as wide as the column.
    box = page.first.root.locator(".impossible").bounding_box()
    assert box["width"] > min(width - 60, 400)
    assert box["y"] < page.first.root.locator(".input").bounding_box()["y"]


A4, LETTER = 703, 725
"""Pixels between margins of 12 mm."""


@pytest.mark.parametrize(("width", "states"), [(A4, EXTREMES[::2]), (LETTER, SOME)])
def test_on_paper_nothing_overlaps_and_nothing_is_there_to_press(
    plain: Path, lesson: Open, width: int, states: list[tuple[Any, ...]]
) -> None:
    page = lesson(plain, width=1300, color_scheme="dark")
    for state in states:
        page.page.evaluate(PROBES["set"], state)
        # What Chromium does to print: tell the page, then lay it out as wide as the paper.
        page.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        page.page.emulate_media(media="print", color_scheme="dark")
        page.page.set_viewport_size({"width": width, "height": 1000})
        assert page.page.evaluate(PROBES["misplaced"]) == [], state
        controls = page.page.locator(
            "input[type=range], .transport, .names, [type=checkbox], .shift button"
        )
        assert controls.filter(visible=True).count() == 0
        page.page.emulate_media(media="screen", color_scheme="dark")
        page.page.set_viewport_size({"width": 1300, "height": 800})
        page.page.evaluate("dispatchEvent(new Event('afterprint'))")


def test_a_dark_page_is_printed_light_with_its_shades(plain: Path, lesson: Open) -> None:
    page = lesson(plain, width=360, color_scheme="dark")
    page.compare()
    page.first.type(kernel_size=2, stride=3, padding=1)
    dark = page.page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.page.evaluate(
        """addEventListener("beforeprint", () => {
          const canvas = document.querySelector("#pane1 .input canvas");
          const pen = canvas.getContext("2d", { willReadFrequently: true });
          const at = Math.round(1.15 * canvas.width / 7);
          window.printed = { ground: [...pen.getImageData(at, at, 1, 1).data].slice(0, 3),
            ratio: canvas.width / parseFloat(canvas.style.width), width: canvas.style.width };
        })"""
    )
    paper = page.page.pdf(format="A4")
    assert paper.count(b"/Type /Page\n") == 3
    # The ground of the first pixel within the padding, dots per pixel, and 7 cells of 46 pixels,
    # which half a phone has no room for.
    assert page.page.evaluate("window.printed") == {
        "ground": [255, 255, 255],
        "ratio": 3,
        "width": "322px",
    }
    assert page.page.evaluate("document.documentElement.className") == ""
    assert page.page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
    page.page.emulate_media(media="print", color_scheme="dark")
    assert (
        page.page.evaluate("getComputedStyle(document.body).backgroundColor")
        == "rgb(255, 255, 255)"
    )
    swatch = page.first.root.locator(".swatch.padding")
    adjust, shade = swatch.evaluate(
        "at => { const s = getComputedStyle(at); return [s.printColorAdjust, s.backgroundImage] }"
    )
    assert adjust == "exact"
    assert "rgb(232, 238, 249)" in shade  # the light style's padding


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(plain: Path, lesson: Open, scheme: str) -> None:
    """WCAG 2: a contrast of at least 4.5 for text."""
    page = lesson(plain, color_scheme=scheme)
    page.first.type(kernel_size=9)
    page.first.field("Stride").fill("0")
    page.first.field("Stride").blur()
    page.page.get_by_label("Count how often each pixel is read").check()
    page.button("Shift right").click()
    faint = page.page.evaluate(PROBES["faint"])
    assert faint == []


def test_reduced_motion_is_respected(plain: Path, lesson: Open) -> None:
    moving = "at => getComputedStyle(at).transitionDuration"
    for motion, duration in (("reduce", "0s"), ("no-preference", "0.14s")):
        page = lesson(plain, reduced_motion=motion)
        assert page.first.root.locator(".input .window").evaluate(moving) == duration


@pytest.mark.parametrize("width", [360, 1300])
def test_a_layer_of_a_network_is_named_and_on_its_own_input(
    tmp_path: Path, lesson: Open, width: int
) -> None:
    layer = page_layer(resnet20_graph(), (3, 32, 32), "layer2.0.conv1", "a <b>network</b>")
    write_page(tmp_path / "page.html", conv=layer.conv, layer=layer)
    page = lesson(tmp_path / "page.html", width=width)
    assert page.page.title() == "layer2.0.conv1: kernel size, stride and padding"
    assert page.page.locator("h1").inner_text() == page.page.title()
    about = page.page.locator("#about").inner_text()
    assert about.startswith(
        "a <b>network</b>. The input of layer2.0.conv1 is 16x32x32, its output 32x16x16."
    )
    assert page.first.text(".variant") == "k3-s2-p1"
    assert page.first.output() == by_torch((32, 32), 3, 2, ((1, 1), (1, 1)))
    assert page.page.evaluate("document.documentElement.scrollWidth") == width
