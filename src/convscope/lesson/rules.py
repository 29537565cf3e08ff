"""What stands out in a network's geometry: the rules, each with its threshold and its source."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

from convscope.geometry import LayerGeometry, NetworkGeometry, Pair, pair_token
from convscope.lesson.measures import most_seen, read_pixels, windows_on_input
from convscope.text import counted, listed, share, size

UNREAD_PIXELS = 1
SKIPPED_PIXELS = 1
PADDING_ONLY_OUTPUTS = 1
PADDING_SHARE = 0.5
GROWN_PIXELS = 1
FIELD_SHARE = 1.0
FIELD_EXCESS = 2.0
MACS_SHARE = 0.75
SMALL_MAP_UNITS = 1
EVEN = 2
POINTWISE = 1
PATCH_PIXELS = 2

_AXES = ("row", "column")
_SIDES = ("height", "width")


@dataclass(frozen=True)
class Rule:
    """One thing worth saying of a network.

    Attributes:
        find: the sentence, None where the threshold is not reached. Its docstring says what it
            means and where that comes from.
        title: what it finds, in words.
        threshold: the least (or most) that is worth saying, in words.
    """

    find: Callable[[NetworkGeometry], str | None]
    title: str
    threshold: str

    @property
    def name(self) -> str:
        return self.find.__name__


def unread_border(geometry: NetworkGeometry) -> str | None:
    """Rows and columns at the end of the padded input that no window covers, because the stride
    does not divide what the kernel leaves. The size is rounded down there: torch.nn.Conv2d,
    "Shape"; Dumoulin and Visin (2016), relationship 6. The lopsided padding shows in trained
    feature maps: Alsallakh et al., "Mind the Pad" (ICLR 2021).
    """
    facts = {}
    for layer in _convs(geometry):
        borders = layer.unused_border
        if max(border.image + border.padding for border in borders) < UNREAD_PIXELS:
            continue
        kind = "image" if layer.name == "conv1" else "input"
        padding = _per_axis([border.padding for border in borders], "padding ")
        pixels = _per_axis([border.image for border in borders], f"{kind} ")
        none = "" if pixels else f", no {kind} pixel"
        facts[layer.name] = f"an unused border of {listed(pixels + padding)}{none}"
    if not facts:
        return None
    return (
        f"{per_layer(facts, 'leaves', 'leave')}: the stride does not divide evenly, and PyTorch"
        " rounds the size down, where some visualisers call it invalid."
    )


def skipped_pixels(geometry: NetworkGeometry) -> str | None:
    """Pixels in the gaps between windows, which a stride above the kernel size leaves: no weight
    ever meets them. Strides subsample: Dumoulin and Visin (2016), section 1.1.
    """
    clauses = []
    for layer in _convs(geometry):
        gaps = {
            f"{name}s": f"{axis.gap} of every {axis.stride}"
            for name, axis, skipped in zip(_AXES, layer.conv.axes, layer.skipped, strict=True)
            if skipped >= SKIPPED_PIXELS
        }
        if gaps:
            used = prod(read_pixels(layer, axis) for axis in (0, 1))
            clauses.append(
                f"{layer.name}'s stride {pair_token(layer.conv.stride)} skips {_gaps(gaps)}:"
                f" {used:,} of {prod(layer.in_shape[1:]):,} pixels are used"
            )
    return _sentence(clauses)


def _gaps(gaps: Mapping[str, str]) -> str:
    """`1 of every 3 rows and columns`, `1 of every 3 rows and 3 of every 4 columns`."""
    if len(gaps) == 2 and len(set(gaps.values())) == 1:
        gaps = {"rows and columns": gaps["rows"]}
    return listed([f"{share} {axis}" for axis, share in gaps.items()])


def padding_only_outputs(geometry: NetworkGeometry) -> str | None:
    """Outputs whose window lies wholly on padding, which takes padding of the kernel size or more:
    they are constant. Counted from the windows' positions.
    """
    clauses = []
    for layer in _convs(geometry):
        outputs = prod(layer.out_shape[1:])
        empty = outputs - prod(windows_on_input(layer, axis) for axis in (0, 1))
        if empty >= PADDING_ONLY_OUTPUTS:
            clauses.append(
                f"{empty:,} of {layer.name}'s {outputs:,} outputs read nothing but padding"
            )
    return _sentence(clauses)


def touches_padding(geometry: NetworkGeometry) -> str | None:
    """Outputs whose window has padding in it: they mix the image with padding. Where most do, the
    border effects of Alsallakh et al., "Mind the Pad" (ICLR 2021), reach most of the map.
    """
    layers: dict[str, list[str]] = {}
    for layer in _convs(geometry):
        if layer.padding_share >= PADDING_SHARE:
            layers.setdefault(share(layer.padding_share), []).append(f"{layer.name}'s")
    parts = [f"{part} of {_names(names)}" for part, names in layers.items()]
    return f"{listed(parts)} outputs touch padding." if parts else None


def grown_output(geometry: NetworkGeometry) -> str | None:
    """An output larger than the layer's input: padding above half the kernel, such as `full`.
    Dumoulin and Visin (2016), relationships 4 and 5.
    """
    facts = {}
    for layer in _convs(geometry):
        before, after = layer.in_shape[1:], layer.out_shape[1:]
        grown = [axis for axis in (0, 1) if after[axis] - before[axis] >= GROWN_PIXELS]
        if len(grown) == 1:
            (axis,) = grown
            facts[layer.name] = f"in {_SIDES[axis]} from {before[axis]} to {after[axis]}"
        elif grown:
            facts[layer.name] = f"from {size(before)} to {size(after)}"
    if not facts:
        return None
    return f"{per_layer(facts, 'grows', 'grow')}: padding adds more than the kernel takes."


def field_below_image(geometry: NetworkGeometry) -> str | None:
    """Image pixels per axis in the receptive field of the best-placed unit of the last layer. Only
    global average pooling joins what lies in different ones. Receptive fields: Araujo, Norris and
    Sim (Distill, 2019); the pixels are counted one by one, so those skipped by a stride do not
    count.
    """
    last = geometry.layers[-1].name
    image = geometry.input_shape[1:]
    seen = most_seen(geometry.layers, 0), most_seen(geometry.layers, 1)
    if all(part >= FIELD_SHARE * whole for part, whole in zip(seen, image, strict=True)):
        return None
    if seen[0] == seen[1] and image[0] == image[1]:
        part = f"{seen[0]} of {image[0]} pixels per axis"
    else:
        part = f"{size(seen)} of {size(image)} pixels"
    return f"the receptive field of a {last} unit holds at most {part}."


def field_beyond_image(geometry: NetworkGeometry) -> str | None:
    """A receptive field that spans far more than the image: what it covers beyond the edge is
    padding. Araujo, Norris and Sim (Distill, 2019).
    """
    last, image = geometry.layers[-1], geometry.input_shape[1:]
    field = last.receptive_field
    beyond = [axis for axis in (0, 1) if field[axis] >= FIELD_EXCESS * image[axis]]
    if not beyond:
        return None
    if len(beyond) == 1:
        (axis,) = beyond
        span, whole = f"{field[axis]} pixels in {_SIDES[axis]}", f"{image[axis]}"
    else:
        span, whole = f"{size(field)} pixels", size(image)
    return (
        f"the receptive field of a {last.name} unit spans {span}, the image has {whole}:"
        " beyond its edge there is only padding."
    )


def macs_in_one_layer(geometry: NetworkGeometry) -> str | None:
    """The layer in which most multiply-accumulates are spent, of networks with several conv
    layers: to make the network faster, change that layer.
    """
    convs = _convs(geometry)
    costliest = max(convs, key=lambda layer: layer.macs)
    part = costliest.macs / geometry.macs
    if len(convs) < 2 or part < MACS_SHARE:
        return None
    return f"{share(part)} of the MACs are in {costliest.name}."


def small_final_map(geometry: NetworkGeometry) -> str | None:
    """A last map so small that global average pooling (Lin et al., "Network in Network", 2014)
    has nothing to average.
    """
    if prod(geometry.final_map) > SMALL_MAP_UNITS:
        return None
    return (
        f"{geometry.layers[-1].name}'s map is {size(geometry.final_map)}:"
        " global average pooling has nothing to average."
    )


def even_kernel(geometry: NetworkGeometry) -> str | None:
    """A kernel of even size has no centre pixel: its outputs lie between the pixels of the input,
    and no padding keeps the size on both sides alike. Dumoulin and Visin (2016), relationship 3,
    is for odd kernels.
    """
    layers: dict[Pair, list[str]] = {}
    for layer in _convs(geometry):
        if any(kernel % EVEN == 0 for kernel in layer.conv.kernel_size):
            layers.setdefault(layer.conv.kernel_size, []).append(layer.name)
    clauses = [
        f"the {size(kernel)} kernel of {_names(names)} has no centre {_centre(kernel)}: its outputs"
        f" lie half a pixel off the input's {_centre(kernel)}s"
        for kernel, names in layers.items()
    ]
    return _sentence(clauses)


def pointwise_kernel(geometry: NetworkGeometry) -> str | None:
    """A 1x1 kernel mixes the channels of each pixel: Lin et al., "Network in Network" (2014)."""
    names = [layer.name for layer in _convs(geometry) if max(layer.conv.kernel_size) <= POINTWISE]
    if not names:
        return None
    mix = "is 1x1: it mixes" if len(names) == 1 else "are 1x1: they mix"
    return f"{_names(names)} {mix} the channels of a pixel without its neighbours."


def patches(geometry: NetworkGeometry) -> str | None:
    """A stride equal to the kernel size: windows side by side, each pixel read once, such as the
    patches of Dosovitskiy et al., "An Image is Worth 16x16 Words" (ICLR 2021).
    """
    layers: dict[Pair, list[str]] = {}
    for layer in _convs(geometry):
        if layer.conv.stride == layer.conv.kernel_size and min(layer.conv.stride) >= PATCH_PIXELS:
            layers.setdefault(layer.conv.kernel_size, []).append(layer.name)
    clauses = [
        f"{_names(names)} {'cuts its' if len(names) == 1 else 'cut their'} input into"
        f" {size(kernel)} patches: windows neither overlap nor leave gaps"
        for kernel, names in layers.items()
    ]
    return _sentence(clauses)


RULES = (
    Rule(unread_border, "unused border", f"at least {UNREAD_PIXELS} pixel, input or padding"),
    Rule(skipped_pixels, "skipped pixels", f"at least {SKIPPED_PIXELS} input pixel"),
    Rule(
        padding_only_outputs,
        "outputs of padding only",
        f"at least {PADDING_ONLY_OUTPUTS} output of a layer",
    ),
    Rule(
        touches_padding, "touches padding", f"at least {share(PADDING_SHARE)} of a layer's outputs"
    ),
    Rule(grown_output, "larger output", f"at least {GROWN_PIXELS} pixel in height or width"),
    Rule(even_kernel, "even kernel", f"a height or width that {EVEN} divides"),
    Rule(pointwise_kernel, "1x1 kernel", f"a height and width of at most {POINTWISE} pixel"),
    Rule(patches, "patches", f"a stride of at least {PATCH_PIXELS}, equal to the kernel size"),
    Rule(
        field_below_image,
        "receptive field below the image",
        f"less than {share(FIELD_SHARE)} of the image's height or width",
    ),
    Rule(
        field_beyond_image,
        "receptive field beyond the image",
        f"at least {FIELD_EXCESS:g} times the image's height or width",
    ),
    Rule(macs_in_one_layer, "MACs in one layer", f"at least {share(MACS_SHARE)} of all MACs"),
    Rule(small_final_map, "small final map", f"at most {SMALL_MAP_UNITS} unit"),
)
"""In the order of their sentences: the layers first, then the network."""


def findings(geometry: NetworkGeometry) -> dict[str, str]:
    """Name of each rule that has something to say, with its sentence."""
    said = {rule.name: rule.find(geometry) for rule in RULES}
    return {name: sentence for name, sentence in said.items() if sentence is not None}


def _convs(geometry: NetworkGeometry) -> list[LayerGeometry]:
    return [layer for layer in geometry.layers if layer.kind == "conv"]


def _sentence(clauses: Sequence[str]) -> str | None:
    return f"{'; '.join(clauses)}." if clauses else None


def _per_axis(counts: Sequence[int], kind: str) -> list[str]:
    return [counted(count, kind + axis) for axis, count in zip(_AXES, counts, strict=True) if count]


def _centre(kernel: Pair) -> str:
    height, width = (size % EVEN == 0 for size in kernel)
    return "pixel" if height and width else "row" if height else "column"


def per_layer(facts: Mapping[str, str], one: str, several: str) -> str:
    """One clause per distinct fact: `conv1 and conv3 <several> …; conv2 <one> …`.

    Args:
        facts: layer name to what is said of it, the verb left out.
        one: verb for a single layer.
        several: verb for more of them.
    """
    layers: dict[str, list[str]] = {}
    for name, fact in facts.items():
        layers.setdefault(fact, []).append(name)
    return "; ".join(
        f"{_names(names)} {one if len(names) == 1 else several} {fact}"
        for fact, names in layers.items()
    )


def _names(names: Sequence[str]) -> str:
    return listed(names, most=None)
