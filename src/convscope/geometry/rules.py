"""Rules that find noteworthy facts in a network's geometry, each with a threshold and a source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from convscope.geometry.factors import pair_token
from convscope.geometry.layers import GlobalPool
from convscope.geometry.network import LayerGeometry, NetworkGeometry
from convscope.geometry.read_counts import interior_counts, path_counts
from convscope.geometry.receptive import largest_receptive_field
from convscope.text import counted, either, listed, share, size, times, with_article

PADDING_SHARE = 0.5
MACS_SHARE = 0.75
FIELD_EXCESS = 2
_MOST_NAMES = 3
"""Layers of a long network that a sentence names, and facts of such a network in a sentence."""
_AXES = ("row", "column")
_SIDES = ("height", "width")

Find = Callable[[NetworkGeometry], str | None]


@dataclass(frozen=True)
class Rule:
    """One kind of finding.

    Attributes:
        find: returns the sentence, or None where the threshold is not reached. Its docstring
            explains the finding and names the source.
        title: name of the finding.
        threshold: when the finding is reported.
    """

    find: Find
    title: str
    threshold: str

    @property
    def name(self) -> str:
        """The function's name, by which findings are recorded."""
        return self.find.__name__


RULES: list[Rule] = []
"""All rules, in the order in which they are defined here and reported."""


def findings(geometry: NetworkGeometry) -> dict[str, str]:
    """Return the findings' sentences by the name of their rule."""
    sentences = {rule.name: rule.find(geometry) for rule in RULES}
    return {name: sentence for name, sentence in sentences.items() if sentence is not None}


def _rule(title: str, threshold: str) -> Callable[[Find], Find]:
    def register(find: Find) -> Find:
        RULES.append(Rule(find, title, threshold))
        return find

    return register


@_rule("unused border", "at least 1 pixel, input or padding")
def unused_border(geometry: NetworkGeometry) -> str | None:
    """Find rows and columns at the end of the padded input that no window covers.

    The stride does not divide the padded size minus the kernel size, and the output size is rounded
    down: torch.nn.Conv2d, "Shape"; Dumoulin and Visin (2016), relationship 6. The resulting uneven
    padding shows in trained feature maps: Alsallakh et al., "Mind the Pad" (ICLR 2021).
    """

    def clause(layer: LayerGeometry) -> str | None:
        borders = layer.unused_border
        if max(border.image + border.padding for border in borders) == 0:
            return None
        kind = "image" if geometry.graph.reads_image(layer.name) else "input"
        pixels = _per_axis([border.image for border in borders], f"{kind} ")
        padding = _per_axis([border.padding for border in borders], "padding ")
        none = "" if pixels else f", no {kind} pixel"
        return f"{{layers}} leave{{s}} an unused border of {listed(pixels + padding)}{none}"

    return _sentence(
        _grouped(geometry, clause),
        ": the stride does not divide evenly, and PyTorch rounds the size down, where some"
        " visualisers call it invalid.",
    )


@_rule("skipped pixels", "at least 1 input pixel")
def skipped_pixels(geometry: NetworkGeometry) -> str | None:
    """Find input pixels that no window covers, in gaps left by a large stride or by dilation.

    No weight is ever applied to them. Strides subsample: Dumoulin and Visin (2016), section 1.1.
    """

    def clause(layer: LayerGeometry) -> str | None:
        gaps = {
            f"{name}s": f"{axis.skipped_per_stride} of every {axis.stride}"
            for name, axis, skipped in zip(_AXES, layer.conv.axes, layer.skipped, strict=True)
            if skipped
        }
        if not gaps:
            return None
        if len(gaps) == 2 and len(set(gaps.values())) == 1:
            gaps = {"rows and columns": gaps["rows"]}
        skipped = listed([f"{part} {axes}" for axes, part in gaps.items()])
        stride = f"stride {pair_token(layer.conv.stride)}"
        if geometry.is_long:
            return f"{{layers}} skip{{s}} {skipped} ({stride})"
        used = prod(layer.covered_pixels(axis) for axis in (0, 1))
        return (
            f"{layer.name}'s {stride} skips {skipped}:"
            f" {used:,} of {prod(layer.size):,} pixels are used"
        )

    return _sentence(_grouped(geometry, clause))


@_rule("uneven reads", "interior pixels that are read, but some more often than others")
def uneven_reads(geometry: NetworkGeometry) -> str | None:
    """Find strides that do not divide the kernel size: windows overlap more on some pixels.

    The gradient of the layer's input has a checkerboard pattern for the same reason: Odena,
    Dumoulin and Olah, "Deconvolution and Checkerboard Artifacts" (Distill, 2016); Kinoshita and
    Kiya, "Fixed Smooth Convolutional Layer for Avoiding Checkerboard Artifacts in CNNs" (2020).
    The patterns of several layers multiply: through all layers, pools included, a pixel is read
    along each path to a unit of the final map.
    """

    def clause(layer: LayerGeometry) -> str | None:
        axes = zip(layer.conv.axes, layer.size, layer.out_shape[1:], strict=True)
        counts = [interior_counts(*axis) - {0} for axis in axes]
        uneven = [axis for axis in (0, 1) if len(counts[axis]) > 1]
        if not uneven or not all(counts):
            return None
        together = sorted({rows * columns for rows in counts[0] for columns in counts[1]})
        stride, kernel = layer.conv.stride, layer.conv.kernel_size
        if len(uneven) == 2:
            why = f"stride {pair_token(stride)} does not divide kernel size {pair_token(kernel)}"
        else:
            (axis,) = uneven
            why = (
                f"in {_SIDES[axis]}, stride {stride[axis]} does not divide"
                f" kernel size {kernel[axis]}"
            )
        reads = either([f"{number:,}" for number in together])
        return f"{{layers}} read{{s}} interior pixels {reads} times: {why}"

    clauses = _grouped(geometry, clause)
    return _sentence([*clauses, *_uneven_paths(geometry)] if clauses else [])


def _uneven_paths(geometry: NetworkGeometry) -> list[str]:
    """Return a clause on how often the pixels at the image's centre are read through all layers.

    The number of neighbours that are compared is the largest jump, after which the pattern repeats.
    """
    image = geometry.input_shape[1:]
    block = [max(layer.jump[axis] for layer in geometry.layers) for axis in (0, 1)]
    if len(geometry.layers) == 1 or any(
        not 0 < part < whole for part, whole in zip(block, image, strict=True)
    ):
        return []
    paths = path_counts(geometry)
    if paths is None:
        return []
    rows, columns = (
        slice((whole - part) // 2, (whole + part) // 2)
        for part, whole in zip(block, image, strict=True)
    )
    central = [number for row in paths[rows] for number in row[columns]]
    if min(central) == 0:
        return []
    return [
        f"through all layers, the most read of the {size(block)} pixels at the image's centre is"
        f" read {times(max(central) / min(central))} as often as the least read"
    ]


@_rule("outputs of padding only", "at least 1 output of a layer")
def padding_only_outputs(geometry: NetworkGeometry) -> str | None:
    """Find outputs whose window lies wholly on padding of at least the kernel size.

    They are constant, and are counted from the windows' positions.
    """

    def clause(layer: LayerGeometry) -> str | None:
        outputs = prod(layer.out_shape[1:])
        empty = outputs - prod(layer.windows_on_input(axis) for axis in (0, 1))
        if not empty:
            return None
        if geometry.is_long:
            return "{layers} {have} outputs that read nothing but padding"
        return f"{empty:,} of {layer.name}'s {outputs:,} outputs read nothing but padding"

    return _sentence(_grouped(geometry, clause))


@_rule("touches padding", f"at least {share(PADDING_SHARE)} of a layer's outputs")
def touches_padding(geometry: NetworkGeometry) -> str | None:
    """Find layers where many outputs have padding in their window.

    Where most outputs do, the border effects of Alsallakh et al., "Mind the Pad" (ICLR 2021), reach
    most of the feature map.
    """
    layers = [
        layer
        for layer in geometry.layers
        if layer.kind == "conv" and layer.padding_share >= PADDING_SHARE
    ]
    if not layers:
        return None
    if geometry.is_long and len(layers) > _MOST_NAMES:
        most = max(layers, key=lambda layer: layer.padding_share)
        least = min(layer.padding_share for layer in layers)
        where = f"outputs touch padding in {_listed([layer.name for layer in layers], geometry)}"
        if share(least) == share(most.padding_share):
            return f"{share(least)} of the {where}."
        return (
            f"at least {share(PADDING_SHARE)} of the {where}, most in {most.name}:"
            f" {share(most.padding_share)}."
        )
    shares: dict[str, list[str]] = {}
    for layer in layers:
        shares.setdefault(share(layer.padding_share), []).append(f"{layer.name}'s")
    parts = [f"{part} of {listed(names, most=None)}" for part, names in shares.items()]
    return f"{listed(parts, most=None)} outputs touch padding."


@_rule("larger output", "at least 1 pixel in height or width")
def grown_output(geometry: NetworkGeometry) -> str | None:
    """Find outputs larger than the layer's input: padding above half the kernel, such as `full`.

    Dumoulin and Visin (2016), relationships 4 and 5.
    """

    def clause(layer: LayerGeometry) -> str | None:
        before, after = layer.size, layer.out_shape[1:]
        match [axis for axis in (0, 1) if after[axis] > before[axis]]:
            case []:
                return None
            case [axis]:
                how = f"in {_SIDES[axis]} from {before[axis]} to {after[axis]}"
            case _:
                how = f"from {size(before)} to {size(after)}"
        return f"{{layers}} grow{{s}} {how}"

    return _sentence(_grouped(geometry, clause), ": padding adds more than the kernel takes.")


@_rule("even kernel", "a height or width that 2 divides")
def even_kernel(geometry: NetworkGeometry) -> str | None:
    """Find kernels of even size, which have no centre pixel.

    Their outputs lie between the pixels of the input, and no symmetric padding keeps the size:
    Dumoulin and Visin (2016), relationship 3, is for odd kernels.
    """

    def clause(layer: LayerGeometry) -> str | None:
        kernel = layer.conv.kernel_size
        match [length % 2 == 0 for length in kernel]:
            case [False, False]:
                return None
            case [height, width]:
                centre = "pixel" if height and width else "row" if height else "column"
        return (
            f"the {size(kernel)} kernel of {{layers}} has no centre {centre}: its outputs lie half"
            f" a pixel off the input's {centre}s"
        )

    return _sentence(_grouped(geometry, clause))


@_rule("1x1 kernel", "a height and width of at most 1 pixel")
def pointwise_kernel(geometry: NetworkGeometry) -> str | None:
    """Find 1x1 kernels, which mix the channels of each pixel.

    Source: Lin et al., "Network in Network" (2014).
    """

    def clause(layer: LayerGeometry) -> str | None:
        if max(layer.conv.kernel_size) > 1:
            return None
        return "{layers} {are} 1x1: {they_mix} the channels of a pixel without its neighbours"

    return _sentence(_grouped(geometry, clause))


@_rule("patches", "a stride of at least 2, equal to the kernel size")
def patches(geometry: NetworkGeometry) -> str | None:
    """Find strides equal to the kernel size: windows side by side that cover each pixel once.

    Vision Transformers cut images into patches in this way: Dosovitskiy et al., "An Image is Worth
    16x16 Words" (ICLR 2021).
    """

    def clause(layer: LayerGeometry) -> str | None:
        kernel = layer.conv.kernel_size
        if layer.conv.stride != kernel or min(kernel) < 2:
            return None
        return (
            f"{{layers}} cut{{s}} {{their}} input into {size(kernel)} patches: windows neither"
            " overlap nor leave gaps"
        )

    return _sentence(_grouped(geometry, clause))


@_rule("receptive field below the image", "less than 100 % of the image's height or width")
def field_below_image(geometry: NetworkGeometry) -> str | None:
    """Find networks in which no unit of the final map has the whole image in its receptive field.

    Only global average pooling or a linear layer combines pixels of different receptive fields:
    Araujo, Norris and Sim (Distill, 2019). The pixels are counted one by one, so those skipped by a
    stride do not count.
    """
    image = geometry.input_shape[1:]
    field = tuple(largest_receptive_field(geometry, axis) for axis in (0, 1))
    if all(part >= whole for part, whole in zip(field, image, strict=True)):
        return None
    if field[0] == field[1] and image[0] == image[1]:
        part = f"{field[0]} of {image[0]} pixels per axis"
    else:
        part = f"{size(field)} of {size(image)} pixels"
    return f"the receptive field of {with_article(geometry.last_layer)} unit holds at most {part}."


@_rule("whole image", "a layer that mixes all positions, before the final map")
def whole_image(geometry: NetworkGeometry) -> str | None:
    """Find a layer after which each unit is computed from the whole image.

    Attention does that, and so does squeeze-excitation, which multiplies a map by what it computes
    from the mean of it: Hu, Shen and Sun, "Squeeze-and-Excitation Networks" (2018).
    """
    node = geometry.first_mixing
    if node is None:
        return None
    return (
        f"the receptive field counts as the whole image after {node.name} ({node.layer.kind}),"
        " which mixes all positions."
    )


@_rule(
    "receptive field beyond the image", f"at least {FIELD_EXCESS} times the image's height or width"
)
def field_beyond_image(geometry: NetworkGeometry) -> str | None:
    """Find a receptive field far larger than the image: beyond the edge there is only padding.

    Receptive fields: Araujo, Norris and Sim (Distill, 2019).
    """
    field, image = geometry.receptive_field, geometry.input_shape[1:]
    match [axis for axis in (0, 1) if field[axis] >= FIELD_EXCESS * image[axis]]:
        case []:
            return None
        case [axis]:
            span, whole = f"{field[axis]} pixels in {_SIDES[axis]}", f"{image[axis]}"
        case _:
            span, whole = f"{size(field)} pixels", size(image)
    return (
        f"the receptive field of {with_article(geometry.last_layer)} unit spans {span}, the image"
        f" has {whole}: beyond its edge there is only padding."
    )


@_rule("unproductive layers", "the input's receptive field spans the whole image")
def unproductive_layers(geometry: NetworkGeometry) -> str | None:
    """Find conv layers whose input's units have the whole image in their receptive field already.

    Such layers hardly improve the classification: Richter et al., "Should You Go Deeper?
    Optimizing Convolutional Neural Network Architectures without Training" (2021).
    """
    convs = [layer for layer in geometry.layers if layer.kind == "conv"]
    names = [layer.name for layer in convs if layer.is_unproductive]
    match names:
        case []:
            return None
        case [name]:
            who, whose = f"{name} is", "its input"
        case [first, *_]:
            following = len(convs) - [layer.name for layer in convs].index(first)
            number = _of_all(len(names), following)
            who, whose = f"{number} conv layers from {first} on are", "their input"
    return f"{who} unproductive: the receptive field of {whose} spans the whole image already."


@_rule("MACs in one layer", f"at least {share(MACS_SHARE)} of all MACs")
def macs_in_one_layer(geometry: NetworkGeometry) -> str | None:
    """Find the layer with most of the multiply-accumulates, if there are several conv layers.

    A change of this layer has the largest effect on the network's cost.
    """
    costliest = max(geometry.layers, key=lambda layer: layer.macs)
    part = costliest.macs / geometry.macs
    if sum(layer.kind == "conv" for layer in geometry.layers) < 2 or part < MACS_SHARE:
        return None
    return f"{share(part)} of the MACs are in {costliest.name}."


@_rule("small final map", "at most 1 unit")
def small_final_map(geometry: NetworkGeometry) -> str | None:
    """Find a final map so small that global average pooling has nothing to average.

    Global average pooling: Lin et al., "Network in Network" (2014).
    """
    averages = [node for node in geometry.graph.nodes if isinstance(node.layer, GlobalPool)]
    if prod(geometry.final_map) > 1 or all(node.inputs != (geometry.final,) for node in averages):
        return None
    return (
        f"{geometry.last_layer}'s map is {size(geometry.final_map)}:"
        " global average pooling has nothing to average."
    )


def _grouped(geometry: NetworkGeometry, clause: Callable[[LayerGeometry], str | None]) -> list[str]:
    """Return the clauses about the conv layers, one for all layers that share it.

    Args:
        geometry: the network.
        clause: returns the clause about a layer, or None. It may contain `{layers}` for the
            layers' names, and the keys of `_ONE`, which are replaced by singular or plural forms.
    """
    layers: dict[str, list[str]] = {}
    for layer in geometry.layers:
        if layer.kind == "conv" and (text := clause(layer)) is not None:
            layers.setdefault(text, []).append(layer.name)
    clauses = [
        text.format(layers=_listed(names, geometry), **(_ONE if len(names) == 1 else _SEVERAL))
        for text, names in layers.items()
    ]
    if not geometry.is_long or len(clauses) <= _MOST_NAMES:
        return clauses
    others = sum(map(len, list(layers.values())[_MOST_NAMES:]))
    return [*clauses[:_MOST_NAMES], f"similarly {counted(others, 'other conv layer')}"]


_ONE = {"s": "s", "are": "is", "have": "has", "their": "its", "they_mix": "it mixes"}
_SEVERAL = {"s": "", "are": "are", "have": "have", "their": "their", "they_mix": "they mix"}


def _listed(names: Sequence[str], geometry: NetworkGeometry) -> str:
    """Return the names of conv layers; of a long network's many their number, first and last."""
    if not geometry.is_long or len(names) <= _MOST_NAMES:
        return listed(names, most=None)
    convs = [layer.name for layer in geometry.layers if layer.kind == "conv"]
    if len(names) == len(convs):
        return f"all {len(convs)} conv layers"
    between = convs.index(names[-1]) - convs.index(names[0]) + 1
    return f"{_of_all(len(names), between)} conv layers from {names[0]} to {names[-1]}"


def _of_all(part: int, whole: int) -> str:
    return str(part) if part == whole else f"{part} of the {whole}"


def _sentence(clauses: Sequence[str], end: str = ".") -> str | None:
    return "; ".join(clauses) + end if clauses else None


def _per_axis(counts: Sequence[int], kind: str) -> list[str]:
    return [counted(count, kind + axis) for axis, count in zip(_AXES, counts, strict=True) if count]
