"""The interactive page: one HTML file that opens from disk, without network or server."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

from convscope.errors import UserError
from convscope.files import replace_file
from convscope.geometry import FACTORS, ConvSpec, Pair, Sides, pair_token
from convscope.geometry.factors import PADDING, Factor, symmetric
from convscope.geometry.label import short_padding
from convscope.lesson.page.layer import LARGEST, SMALL_INPUT, PageLayer

_FIRST = ConvSpec(kernel_size=(3, 3), stride=(1, 1), padding=symmetric((0, 0)))
_SECOND_STRIDE = 2
_SECOND_STRIDE_TRAINED = 3
_SCRIPTS = (
    "arithmetic.js",
    "wording.js",
    "sources.js",
    "drawing.js",
    "field.js",
    "moving.js",
    "pane.js",
    "page.js",
)


def write_page(
    path: Path,
    *,
    conv: ConvSpec | None = None,
    input_size: Pair | None = None,
    second: ConvSpec | None = None,
    run: Path | None = None,
    layer: PageLayer | None = None,
    name: str | None = None,
) -> str | None:
    """Write the page, at most 300 kB, replacing an existing file atomically.

    Args:
        path: file to write.
        conv: the first setting; by default conv1 of `run`, else kernel 3, stride 1, no padding.
        input_size: height and width of the input of numbers 0, 1, 2, …; by default 5x5.
        second: the second setting, shown from the start. By default it is the first one at stride
            2, shown on demand; with `run` at stride 3, shown from the start.
        run: a trained run's folder. The page starts with a test image and one of the filters of
            the run's layer `name`; `conv` and `second`, if given, must have their kernel size. The
            data set is read. A layer that does not read the image is shown without its filters.
        layer: the layer that the page names, by default that of `run`; unless the run's filters
            are shown, its input is the default of `input_size`.
        name: a layer of `run`'s network; by default the first varied one.

    Returns:
        Why `run`'s filters are not shown; None if they are, or without a run.

    Raises:
        UserError: a value is too large for the page, the run has no usable checkpoint or data, or
            `path` cannot be written.
    """
    trained = None
    if run is not None:
        from convscope.lesson.page.trained import read_trained

        trained = read_trained(run, name)
        layer = layer or trained.layer
    content_of_run = trained.content if trained else None
    first = conv or (trained.layer.conv if trained else _FIRST)
    stride = _SECOND_STRIDE_TRAINED if content_of_run else _SECOND_STRIDE
    other = second or replace(first, stride=(stride, stride), padding=_symmetric_padding(first))
    size = input_size or (layer.size if layer and not content_of_run else SMALL_INPUT)
    if max(size) > LARGEST:
        raise _too_large("--input", pair_token(size))
    for setting in (first, other):
        _check_conv(setting)
        if content_of_run and trained and setting.kernel_size != trained.layer.conv.kernel_size:
            kernel = pair_token(trained.layer.conv.kernel_size)
            raise UserError(
                f"conv.kernel_size must be {kernel}, that of the filters of {run}, got"
                f" {pair_token(setting.kernel_size)}"
            )
    content = {
        "largest": LARGEST,
        "factors": [_factor(factor) for factor in FACTORS],
        "input": size,
        "panes": [_setting(first), _setting(other)],
        "compare": second is not None or content_of_run is not None,
        "trained": content_of_run,
        "layer": layer and {"name": layer.name, "about": layer.about},
    }
    replace_file(path, _document(content))
    return trained.reason if trained else None


def _symmetric_padding(conv: ConvSpec) -> Sides:
    """Return the padding with the smaller side on both, because `same` needs stride 1."""
    (top, bottom), (left, right) = conv.padding
    return symmetric((min(top, bottom), min(left, right)))


def _check_conv(conv: ConvSpec) -> None:
    for factor in FACTORS:
        value = getattr(conv, factor.key)
        if _largest(value) > LARGEST:
            raise _too_large(f"conv.{factor.key}", factor.token(value))


def _largest(value: object) -> int:
    if isinstance(value, tuple):
        return max(map(_largest, value))
    return value if isinstance(value, int) else 0


def _too_large(name: str, got: str) -> UserError:
    return UserError(f"{name} must be at most {LARGEST} on the page, got {got}")


def _factor(factor: Factor) -> dict[str, object]:
    keys = ("key", "title", "letter", "hint", "least", "names", "default")
    return {key: getattr(factor, key) for key in keys}


def _setting(conv: ConvSpec) -> dict[str, str]:
    """Return the text that a user would type for each factor."""
    typed = {factor.key: factor.token(getattr(conv, factor.key)) for factor in FACTORS}
    return typed | {PADDING.key: short_padding(conv)}


def _document(content: object) -> bytes:
    """Return the page as UTF-8: `page.html` with style, scripts and `content`, as JSON, inlined."""
    folder = files("convscope.lesson.page")
    scripts = "\n".join(folder.joinpath(name).read_text("utf-8") for name in _SCRIPTS)
    # `<` is escaped, because it could end the script element or start a comment.
    data = json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
    page = folder.joinpath("page.html").read_text("utf-8")
    style = folder.joinpath("page.css").read_text("utf-8")
    for mark, part in (("/*style*/", style), ("/*script*/", scripts), ("/*content*/", data)):
        page = page.replace(mark, part, 1)
    return page.encode()
