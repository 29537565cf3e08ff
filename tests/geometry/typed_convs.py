"""Generated `conv` values as a user types them, beside torch's own layers for them."""

from dataclasses import dataclass

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from torch import nn

from convscope.geometry import ImpossibleVariant, NetworkGeometry

from ..convs import parse_conv, stack_geometry

Pair = tuple[int, int]
repeatable = settings(
    deadline=None, derandomize=True, suppress_health_check=[HealthCheck.filter_too_much]
)


@dataclass(frozen=True)
class Typed:
    """A network's geometry as typed, and what the text means to torch, layer by layer."""

    input_size: Pair
    kernel_size: object
    stride: object
    padding: object
    kernels: list[Pair]
    strides: list[Pair]
    paddings: list[Pair | str]
    pool_after: list[int]
    dilation: object
    dilations: list[Pair]
    padding_mode: object
    padding_modes: list[str]

    @property
    def others(self) -> dict[str, object]:
        return {"dilation": self.dilation, "padding_mode": self.padding_mode}

    @property
    def typed(self) -> tuple[object, object, object, int]:
        return self.kernel_size, self.stride, self.padding, len(self.kernels)

    def conv2d(self, index: int, in_channels: int = 1, out_channels: int = 1) -> nn.Conv2d:
        """Torch's layer. `half` and `full`, which torch has not, by Dumoulin and Visin."""
        kernel, padding, dilation = (
            of[index] for of in (self.kernels, self.paddings, self.dilations)
        )
        height, width = (d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
        if padding == "half":
            padding = (height // 2, width // 2)
        if padding == "full":
            padding = (height - 1, width - 1)
        return nn.Conv2d(
            in_channels,
            out_channels,
            kernel,
            self.strides[index],
            padding,
            dilation,
            bias=False,
            padding_mode=self.padding_modes[index],
        )


def _text(draw: st.DrawFn, entry: Pair | str) -> object:
    if isinstance(entry, str):
        return entry
    height, width = entry
    if height != width:
        return f"{height}x{width}"
    return draw(st.sampled_from([height, str(height)]))


@st.composite
def _entries(
    draw: st.DrawFn, layers: int, entry: st.SearchStrategy[Pair | str]
) -> tuple[object, list[Pair | str]]:
    """(as typed, meaning per layer): one entry for all layers, or a list."""
    if draw(st.booleans()):
        shared = draw(entry)
        return _text(draw, shared), [shared] * layers
    entries = [draw(entry) for _ in range(layers)]
    return [_text(draw, each) for each in entries], entries


def _pairs(least: int, most: int) -> st.SearchStrategy[Pair]:
    number = st.integers(least, most)
    return st.one_of(number.map(lambda n: (n, n)), st.tuples(number, number))


@st.composite
def typed_convs(
    draw: st.DrawFn,
    *,
    kernel: int = 7,
    stride: int = 5,
    padding: int = 4,
    layers: int = 4,
    least_layers: int = 1,
    image: Pair = (1, 48),
) -> Typed:
    """Pairs, lists, names, even kernels, strides above the kernel, odd inputs, pools anywhere."""
    count = draw(st.integers(least_layers, layers))
    size = st.integers(*image)
    kernel_size, kernels = draw(_entries(count, _pairs(1, kernel)))
    strides_typed, strides = draw(_entries(count, st.one_of(st.just((1, 1)), _pairs(1, stride))))
    names = ["valid", "half", "full"]
    if all(pair == (1, 1) for pair in strides):
        names.append("same")
    paddings_typed, paddings = draw(
        _entries(count, st.one_of(st.sampled_from(names), _pairs(0, padding)))
    )
    dilation, dilations = draw(_entries(count, st.one_of(st.just((1, 1)), _pairs(1, 3))))
    modes = st.sampled_from(["zeros", "zeros", "reflect", "replicate", "circular"])
    padding_mode, padding_modes = draw(_entries(count, modes))
    return Typed(
        input_size=(draw(size), draw(size)),
        kernel_size=kernel_size,
        stride=strides_typed,
        padding=paddings_typed,
        kernels=kernels,
        strides=strides,
        paddings=paddings,
        pool_after=draw(st.lists(st.integers(1, count), unique=True)),
        dilation=dilation,
        dilations=dilations,
        padding_mode=padding_mode,
        padding_modes=padding_modes,
    )


def geometry(typed: Typed) -> NetworkGeometry:
    convs = parse_conv(*typed.typed, **typed.others)
    return stack_geometry((1, *typed.input_size), convs, [1] * len(convs), typed.pool_after, 10)


def possible(typed: Typed) -> bool:
    try:
        geometry(typed)
    except ImpossibleVariant:
        return False
    return True
