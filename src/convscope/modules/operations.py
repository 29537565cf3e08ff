"""What each function of PyTorch is as a layer of a graph.

An operation takes a tape and a call, records the call on the tape, and returns True. It returns
False where the call is none of the kinds that it knows: then its outputs count as computed from the
whole of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from convscope.errors import UserError
from convscope.geometry import ConvSpec, Pair, Sides
from convscope.geometry.factors import named_padding, symmetric
from convscope.geometry.layers import (
    Activation,
    AdaptivePool,
    BatchNorm,
    Concat,
    Conv,
    Flatten,
    GlobalPool,
    Layer,
    Linear,
    Merge,
    Pad,
    Pointwise,
    Pool,
    Slice,
)
from convscope.modules.graph_net import Conv2d
from convscope.modules.tape import Call, Tape, Value, is_plain_conv, tensors_in

Operation = Callable[[Tape, Call], bool]

# Convolutions and pools


def _conv2d(tape: Tape, call: Call) -> bool:
    tensor, weight, bias = (
        call.argument(index, name) for index, name in enumerate(("input", "weight", "bias"))
    )
    if not tape.is_known(tensor) or tape.is_known(weight) or tensor.ndim != 4:
        return False
    module = tape.modules[-1]
    if is_plain_conv(module):
        spec, node = conv_spec(module), tape.value(tensor).node
        if tape.path in tape.nodes:
            raise UserError(
                f"{tape.path} is used twice in a forward pass: a network whose convolutions share"
                " weights cannot be varied"
            )
    else:
        spec, node = _call_spec(call, weight), tape.maps(tensor).node
    tape.count(call.parameters)
    layer = Conv(
        weight.shape[0],
        spec,
        call.argument(6, "groups", default=1),
        bias is not None,
        is_fixed=not is_plain_conv(module),
    )
    name = tape.path if isinstance(module, nn.Conv2d) else tape.name(call.name)
    return tape.add(layer, (node,), call.output, "NCHW", name)


def _call_spec(call: Call, weight: Tensor) -> ConvSpec:
    stride, padding, dilation = (
        call.argument(index, name, default=default)
        for index, name, default in ((3, "stride", 1), (4, "padding", 0), (5, "dilation", 1))
    )
    return _spec(weight.shape[2:], stride, padding, dilation)


def conv_spec(module: nn.Conv2d) -> ConvSpec:
    """Return the arguments of a convolution."""
    if isinstance(module, Conv2d):
        return module.spec
    spec = _spec(module.kernel_size, module.stride, module.padding, module.dilation)
    return replace(spec, padding_mode=module.padding_mode)


def pool_spec(module: nn.MaxPool2d | nn.AvgPool2d) -> ConvSpec:
    """Return the arguments of a pool."""
    dilation = module.dilation if isinstance(module, nn.MaxPool2d) else 1
    return _spec(module.kernel_size, module.stride, module.padding, dilation)


def _spec(kernel_size: Any, stride: Any, padding: Any, dilation: Any) -> ConvSpec:
    """Return arguments as PyTorch takes them: a number, or one per axis; paddings by name."""
    spec = ConvSpec(_pair(kernel_size), _pair(stride), symmetric((0, 0)), _pair(dilation))
    sides: Sides = (
        named_padding(padding, spec) if isinstance(padding, str) else symmetric(_pair(padding))
    )
    return replace(spec, padding=sides)


def _pair(value: Any) -> Pair:
    if not isinstance(value, Sequence):
        return int(value), int(value)
    return int(value[0]), int(value[-1])


def _pool(tape: Tape, call: Call) -> bool:
    tensor = call.argument(0, "input")
    if tensor.ndim != 4 or not isinstance(call.output, Tensor):
        return False
    is_max = call.name == "max_pool2d"
    kernel_size = call.argument(1, "kernel_size")
    spec = _spec(
        kernel_size,
        call.argument(2, "stride") or kernel_size,
        call.argument(3, "padding", default=0),
        call.argument(4, "dilation", default=1) if is_max else 1,
    )
    ceil_mode = call.argument(5 if is_max else 4, "ceil_mode", default=False)
    layer = Pool(spec, bool(ceil_mode), "max" if is_max else "avg")
    node = tape.maps(tensor).node
    return tape.add(layer, (node,), call.output, "NCHW", tape.name(call.name))


def _adaptive_pool(tape: Tape, call: Call) -> bool:
    tensor, wanted = call.argument(0, "input"), call.argument(1, "output_size")
    height, width = wanted if isinstance(wanted, Sequence) else (wanted, wanted)
    if tensor.ndim != 4 or not isinstance(call.output, Tensor) or None in (height, width):
        return False
    layer: Layer = AdaptivePool((height, width))
    if (height, width) == (1, 1):
        layer = GlobalPool("max" if "max" in call.name else "avg")
    node = tape.maps(tensor).node
    return tape.add(layer, (node,), call.output, "NCHW", tape.name(call.name))


# Layers that compute each pixel from the same pixel


def _linear(tape: Tape, call: Call) -> bool:
    tensor, weight = call.argument(0, "input"), call.argument(1, "weight")
    if not tape.is_known(tensor) or tape.is_known(weight):
        return False
    value = tape.whole(tensor)
    outputs, inputs = weight.shape
    if value.dims == "NC":
        layer: Layer = Linear(outputs, inputs, call.argument(2, "bias") is not None)
        tape.count(call.parameters)
    elif value.dims in ("NHWC", "NPC"):
        layer = Pointwise(outputs, tape.count(call.parameters), inputs * outputs)
    else:
        return False
    return tape.add(layer, (value.node,), call.output, value.dims, tape.name(call.name))


def _batch_norm(tape: Tape, call: Call) -> bool:
    value = tape.whole(call.argument(0, "input"))
    layer = BatchNorm(affine=tape.count(call.parameters) > 0)
    return tape.add(layer, (value.node,), call.output, value.dims, tape.name(call.name))


def _norm(tape: Tape, call: Call) -> bool:
    """Record a normalisation by statistics of channels or of whole maps."""
    value = tape.whole(call.given[0])
    if "?" in value.dims:
        return False
    layer = Pointwise(weights=tape.count(call.parameters))
    return tape.add(layer, (value.node,), call.output, value.dims, tape.name(call.name))


def _layer_norm(tape: Tape, call: Call) -> bool:
    lengths = call.argument(1, "normalized_shape")
    normalised = set(tape.value(call.given[0]).dims[-len(lengths) :])
    return normalised in ({"C"}, set("CHW")) and _norm(tape, call)


def _elementwise(tape: Tape, call: Call) -> bool:
    """Record what computes each number of its output from those at the same position."""
    if not isinstance(call.output, Tensor):
        return False
    if len(call.given) > 1:
        return _merge(tape, call)
    if call.given[0].shape != call.output.shape:
        return False
    value = tape.whole(call.given[0])
    weights = tape.count(call.parameters)
    is_activation = call.name in _ACTIVATIONS and not weights
    layer = Activation(_ACTIVATIONS[call.name]) if is_activation else Pointwise(weights=weights)
    return tape.add(layer, (value.node,), call.output, value.dims, tape.name(call.name))


def _merge(tape: Tape, call: Call) -> bool:
    values = [tape.value(one) for one in call.given]
    dims = values[0].dims
    if any(value.dims != dims for value in values):
        return False
    if "?" in dims and len({one.shape for one in call.given}) > 1:
        return False
    nodes = [value.node for value in values]
    shapes = [tape.shapes[one] for one in nodes]
    pixels = max((shape[1:] for shape in shapes), key=prod)
    layer = Merge(_VERBS.get(call.name, call.name))
    if layer.refusal(shapes, nodes):
        return False
    if layer.out_shape(shapes) != tape.shape_of(call.output, dims, pixels):
        return False
    return tape.add(layer, nodes, call.output, dims, tape.name(call.name))


def _unchanged(tape: Tape, call: Call) -> bool:
    """Record what keeps all numbers, or their order only: dropout, channel shuffle."""
    tensor = call.given[0]
    if not isinstance(call.output, Tensor) or call.output.shape != tensor.shape:
        return False
    return tape.alias(call.output, *tape.value(tensor))


def _along(tape: Tape, call: Call) -> bool:
    """Record what computes with the numbers along one dimension, such as softmax."""
    index, default = (2, 1) if call.name == "normalize" else (1, -1)
    return _in_channels(tape, call, call.argument(index, "dim", default=default))


def _in_channels(tape: Tape, call: Call, dim: Any) -> bool:
    """Record what changes only the channels, if the dimension is one of channels."""
    tensor = call.given[0]
    if not isinstance(dim, int) or tape.value(tensor).dims[dim] != "C":
        return False
    value = tape.whole(tensor)
    for output in tensors_in(call.output):
        dims = value.dims
        if output.ndim < tensor.ndim:
            dims = _without_dim(dims, dim)
        _channels(tape, call, value, output, dims)
    return True


def _channels(tape: Tape, call: Call, value: Value, output: Tensor, dims: str) -> bool:
    """Add a layer that gives each pixel as many channels as an output has."""
    shape = tape.shape_of(output, dims, tape.pixels(value))
    layer = Pointwise(None if shape == tape.shapes[value.node] else shape[0])
    return tape.add(layer, (value.node,), output, dims, tape.name(call.name))


# Several maps of one, one of several


def _reduced(tape: Tape, call: Call) -> bool:
    """Record a mean, a sum or the like over dimensions."""
    chosen = call.argument(1, "dim", "axis")
    if isinstance(chosen, Tensor):
        # The larger of two maps.
        return _elementwise(tape, call)
    tensor = call.given[0]
    if chosen is None or "?" in tape.value(tensor).dims:
        return False
    value = tape.whole(tensor)
    reduced = {dim % tensor.ndim for dim in ([chosen] if isinstance(chosen, int) else chosen)}
    letters, pixels = {value.dims[dim] for dim in reduced}, set(value.dims) & set("HWP")
    for output in tensors_in(call.output):
        dims = value.dims
        if output.ndim < tensor.ndim:
            dims = "".join(one for dim, one in enumerate(dims) if dim not in reduced)
        if letters == {"C"} and pixels:
            _channels(tape, call, value, output, dims)
        elif letters == pixels:
            layer = GlobalPool("max" if "max" in call.name else "avg")
            dims = dims.replace("P", "C")
            tape.add(layer, (value.node,), output, dims, tape.name(call.name))
        else:
            return False
    return True


def _concatenated(tape: Tape, call: Call) -> bool:
    tensors = call.argument(0, "tensors")
    dim = call.argument(1, "dim", "axis", default=0)
    values = [tape.value(one) for one in call.given]
    dims = values[0].dims
    if any(value.dims != dims for value in values) or "?" in dims:
        return False
    if call.name == "stack":
        dims = _with_dim(dims, dim)
    if dims[dim] != "C":
        return False
    nodes = [tape.whole(one).node for one in call.given]
    if len(call.given) < len(tensors):
        # Constants, such as the coordinates of each pixel.
        value = Value(nodes[0], dims)
        return len(nodes) == 1 and _channels(tape, call, value, call.output, dims)
    if len(nodes) == 1:
        return tape.alias(call.output, nodes[0], dims)
    return tape.add(Concat(), nodes, call.output, dims, tape.name(call.name))


def _split(tape: Tape, call: Call) -> bool:
    index = 1 if call.name == "unbind" else 2
    return _in_channels(tape, call, call.argument(index, "dim", default=0))


def _selected(tape: Tape, call: Call) -> bool:
    return _in_channels(tape, call, call.argument(1, "dim"))


def _indexed(tape: Tape, call: Call) -> bool:
    tensor, index = call.args
    value = tape.value(tensor)
    index = list(index) if isinstance(index, tuple) else [index]
    if "?" in value.dims or not all(
        one is None or one is ... or type(one) in (int, slice) for one in index
    ):
        return False
    count = sum(one is not None and one is not ... for one in index)
    at = next((number for number, one in enumerate(index) if one is ...), len(index))
    index[at : at + 1] = [slice(None)] * (tensor.ndim - count)
    value, dim, dims = tape.whole(tensor), 0, ""
    sides: dict[int, Pair] = {}
    strides: dict[int, int] = {}
    for one in index:
        if one is None:
            dims += "C"
            continue
        length = tensor.shape[dim]
        if isinstance(one, int):
            if value.dims[dim] != "C":
                return False
            sides[dim] = (0, 1 - length)
        else:
            start, stop, strides[dim] = one.indices(length)
            sides[dim] = (-start, stop - length)
            dims += value.dims[dim]
        dim += 1
    return _moved(tape, call, value, sides, strides, dims)


def _pad(tape: Tape, call: Call) -> bool:
    tensor, typed = call.argument(0, "input"), call.argument(1, "pad")
    value = tape.whole(tensor)
    # PyTorch begins with the last dimension.
    sides = {tensor.ndim - 1 - i // 2: (typed[i], typed[i + 1]) for i in range(0, len(typed), 2)}
    return _moved(tape, call, value, sides, {}, value.dims)


def _moved(
    tape: Tape,
    call: Call,
    value: Value,
    sides: Mapping[int, Pair],
    strides: Mapping[int, int],
    dims: str,
) -> bool:
    """Record what pads or slices.

    Args:
        tape: to record on.
        call: the call.
        value: its input.
        sides: numbers that are added before and after, or cut off, by dimension.
        strides: those of which only every n-th number is kept, by dimension.
        dims: letters of the output.
    """
    changed = {value.dims[dim] for dim, side in sides.items() if side != (0, 0)}
    changed |= {value.dims[dim] for dim, stride in strides.items() if stride != 1}
    if not changed:
        return tape.alias(call.output, value.node, dims)
    if not changed <= set("CHW"):
        return False
    if not changed & set("HW"):
        return _channels(tape, call, value, call.output, dims)
    axes = [value.dims.index("H"), value.dims.index("W")]
    height, width = (sides.get(axis, (0, 0)) for axis in axes)
    down, right = (strides.get(axis, 1) for axis in axes)
    layer = Pad((height, width))
    if (down, right) != (1, 1):
        layer = Slice((height, width), (down, right))
    if "C" not in changed:
        return tape.add(layer, (value.node,), call.output, dims, tape.name(call.name))
    channels, *_ = tape.shapes[value.node]
    _, *pixels = tape.shape_of(call.output, dims)
    between = torch.empty(tape.batch, channels, *pixels, device="meta")
    tape.add(layer, (value.node,), between, "NCHW", tape.name(call.name))
    return _channels(tape, call, tape.value(between), call.output, dims)


# The same numbers in another arrangement


def _permuted(tape: Tape, call: Call) -> bool:
    """Record another order of the dimensions, found from a tensor of distinct lengths."""
    tensor = call.given[0]
    value = tape.value(tensor)
    probe = torch.empty(*range(2, 2 + tensor.ndim), device="meta")
    args = [probe if one is tensor else one for one in call.args]
    kwargs = {key: probe if one is tensor else one for key, one in call.kwargs.items()}
    order = [length - 2 for length in call.function(*args, **kwargs).shape]
    return tape.alias(call.output, value.node, "".join(value.dims[dim] for dim in order))


def _reshaped(tape: Tape, call: Call) -> bool:
    tensor, output = call.given[0], call.output
    if output.shape == tensor.shape:
        return tape.alias(output, *tape.value(tensor))
    if not tape.value(tensor).dims.startswith("N"):
        return False
    value = tape.whole(tensor)
    dims = _reshaped_dims(tensor.shape, value.dims, output.shape, tape.pixels(value))
    if dims is not None:
        return tape.alias(output, value.node, dims)
    if output.ndim != 2 or len(output) != tape.batch:
        return False
    return tape.add(Flatten(), (value.node,), output, "NC", tape.name(call.name))


def _reshaped_dims(
    before: Sequence[int], dims: str, after: Sequence[int], pixels: Pair
) -> str | None:
    """Return the letters of a reshaped tensor's dimensions; None where pixels do not stay apart.

    A dimension stays where one of the same length has as many numbers per step.

    Args:
        before: lengths of the tensor's dimensions.
        dims: their letters.
        after: lengths of the reshaped tensor's dimensions.
        pixels: height and width of what has both in one dimension.
    """
    if not after or after[0] != before[0]:
        return None
    steps, new_steps = (
        [prod(lengths[dim + 1 :]) for dim in range(len(lengths))] for lengths in (before, after)
    )

    def place(letters: list[str], letter: str, length: int, step: int) -> list[str]:
        """Put a letter at the first free dimension with this length and step; [] without one."""
        for dim in range(1, len(letters)):
            if (after[dim], new_steps[dim], letters[dim]) == (length, step, "C"):
                return [*letters[:dim], letter, *letters[dim + 1 :]]
        return []

    start = ["N", *"C" * (len(after) - 1)]
    kept = {letter: dim for dim, letter in enumerate(dims) if letter in "HWP"}
    letters = start
    for letter, dim in kept.items():
        letters = letters and place(letters, letter, before[dim], steps[dim])
    if not letters and kept.keys() == set("HW") and kept["W"] == kept["H"] + 1:
        height, width = kept["H"], kept["W"]
        letters = place(start, "P", before[height] * before[width], steps[width])
    if not letters and kept.keys() == {"P"}:
        for down, right in pairwise(range(1, len(after))):
            if (after[down], after[right], new_steps[right]) == (*pixels, steps[kept["P"]]):
                letters = [*start[:down], "H", "W", *start[right + 1 :]]
                break
    return "".join(letters) or None


def _expanded(tape: Tape, call: Call) -> bool:
    """Record a map of one pixel that is repeated, as PyTorch's additions would do it too."""
    tensor, output = call.given[0], call.output
    value = tape.value(tensor)
    if "?" in value.dims or output.ndim != tensor.ndim or len(output) != tape.batch:
        return False
    lengths = zip(value.dims, tensor.shape, output.shape, strict=True)
    if any(new != old and (letter not in "HW" or old > 1) for letter, old, new in lengths):
        return False
    return tape.alias(output, *value)


def _repeated(tape: Tape, call: Call) -> bool:
    """Record a repetition over pixels, or over channels."""
    tensor, output = call.given[0], call.output
    value = tape.value(tensor)
    if _expanded(tape, call):
        return True
    if "?" in value.dims or output.ndim != tensor.ndim or len(output) != tape.batch:
        return False
    lengths = zip(value.dims, tensor.shape, output.shape, strict=True)
    if any(new != old and letter != "C" for letter, old, new in lengths):
        return False
    return _channels(tape, call, tape.whole(tensor), output, value.dims)


def _with_dim(dims: str, dim: int) -> str:
    dim %= len(dims) + 1
    return f"{dims[:dim]}C{dims[dim:]}"


def _without_dim(dims: str, dim: int) -> str:
    dim %= len(dims)
    return dims[:dim] + dims[dim + 1 :]


# Names


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


READS_SHAPES = _names(
    "shape size dim ndim dtype device numel nelement element_size stride is_nested is_cuda is_meta"
    " requires_grad is_contiguous is_floating_point is_complex is_sparse is_quantized layout"
    " storage_offset data_ptr get_device is_mkldnn grad_fn grad names is_leaf _version"
    " __len__ __repr__ __format__ __str__ __hash__"
    " new_zeros new_ones new_empty new_full new_tensor zeros_like ones_like empty_like full_like"
    " rand_like randn_like"
)
"""Functions whose result does not depend on the numbers in a tensor."""
READS_VALUES = _names(
    "__bool__ item __int__ __float__ __index__ tolist numpy __array__ nonzero equal is_nonzero"
    " allclose unique masked_select __contains__ bincount"
)
"""Functions by whose result a network decides how it goes on."""
MULTIPLIES = _names(
    "linear matmul mm bmm einsum addmm baddbmm tensordot bilinear conv1d conv2d conv3d"
    " conv_transpose1d conv_transpose2d conv_transpose3d scaled_dot_product_attention"
    " multi_head_attention_forward"
)
"""Functions whose multiply-accumulates PyTorch's counter knows."""
_VERBS = {"sub": "subtract", "mul": "multiply", "div": "divide", "truediv": "divide"}
"""Elementwise functions by what they do with several maps, where the function's name differs."""
_ACTIVATIONS = {
    {"LeakyReLU": "leaky_relu"}.get(name, name.lower()): name
    for name in nn.modules.activation.__all__
    if name not in ("GLU", "MultiheadAttention", "PReLU", "Softmax", "Softmax2d", "Softmin")
}
"""Classes of activations by their function."""
OPERATIONS: dict[str, Operation] = {
    name: operation
    for names, operation in (
        ("conv2d", _conv2d),
        ("max_pool2d avg_pool2d", _pool),
        ("adaptive_avg_pool2d adaptive_max_pool2d", _adaptive_pool),
        ("linear", _linear),
        ("batch_norm", _batch_norm),
        ("layer_norm", _layer_norm),
        ("group_norm instance_norm local_response_norm", _norm),
        (" ".join(_ACTIVATIONS), _elementwise),
        (
            "add sub rsub mul div true_divide floor_divide remainder fmod pow maximum minimum where"
            " lerp addcmul addcdiv masked_fill prelu abs neg clamp clamp_min clamp_max clip exp"
            " expm1 log log1p log2 log10 square sqrt rsqrt reciprocal sin cos tan atan atan2 erf"
            " floor ceil round trunc sign nan_to_num eq ne lt le gt ge isnan logical_not"
            " logical_and logical_or truediv floordiv mod rtruediv rfloordiv rpow and or xor"
            " invert",
            _elementwise,
        ),
        (
            "dropout dropout1d dropout2d alpha_dropout feature_alpha_dropout channel_shuffle"
            " contiguous clone detach requires_grad to float half double bfloat16 type type_as cuda"
            " cpu",
            _unchanged,
        ),
        ("softmax log_softmax softmin glu normalize cumsum", _along),
        ("mean sum amax amin max min prod std var norm logsumexp any all", _reduced),
        ("cat concat concatenate stack", _concatenated),
        ("chunk split tensor_split unbind split_with_sizes", _split),
        ("narrow select index_select", _selected),
        ("getitem", _indexed),
        ("pad", _pad),
        ("permute transpose swapaxes swapdims movedim moveaxis T mT", _permuted),
        ("view reshape flatten unflatten squeeze unsqueeze view_as reshape_as", _reshaped),
        ("expand expand_as broadcast_to", _expanded),
        ("repeat tile", _repeated),
    )
    for name in names.split()
}
"""Operations by function; `pow` is `__pow__` and `pow_` too."""
