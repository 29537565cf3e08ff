"""Networks of torchvision and of the user: constructed, traced, and varied.

A varied convolution is made by the network's own constructor, with another kernel size, so that
the author's initialisation applies to it.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import nn

from convscope.errors import UserError, on_one_line
from convscope.geometry import Graph, ImpossibleVariant, NetworkGeometry, Shape, variant_label
from convscope.geometry.graph import Factory, layer_shapes
from convscope.geometry.layers import Conv, Mixing, Pool
from convscope.modules.dynamo import without_dynamo
from convscope.modules.graph_net import BlurredMaxPool2d, Conv2d
from convscope.modules.operations import conv_spec, pool_spec
from convscope.modules.trace import CannotRun, trace
from convscope.text import listed, size

_COLOURS = 3
"""Input channels of torchvision's networks."""
_OTHER_SIDES = (28, 32, 64, 128, 224, 299)
"""Image sizes to try where a network with its own convolutions cannot run on those asked for."""
_POOLS = nn.MaxPool2d, nn.AvgPool2d


def foreign_graph(model: Mapping[str, Any], input_shape: Shape, classes: int) -> Graph:
    """Return the graph of a network that consists of PyTorch modules.

    Args:
        model: values of the `model` config.
        input_shape: (channels, height, width) of the image.
        classes: length of the output.

    Raises:
        ImpossibleVariant: a pool would pad more than half its kernel.
        UserError: the network is not there, cannot be constructed or run, or has no layer that
            `vary`, `drop` or a `pool` key names.
    """
    factory = Factory(
        model["network"],
        _name(model),
        input_shape[0],
        classes,
        tuple(model["drop"]),
        (model["pool_kernel"], model["pool_stride"], model["pool_padding"]),
        model.get("pool", "max"),
        str(Path.cwd()) if model["network"] == "custom" else "",
    )
    with without_dynamo():
        graph = _traced(factory, input_shape).varying(model["vary"])
    assert graph.factory is not None
    for name in graph.varied:
        if name not in graph.factory.convs:
            raise UserError(
                f"model.vary names {name}, which is a copy of another layer: only layers that the"
                " network constructs can be varied"
            )
    return graph


@cache
def traced_anew(graph: Graph, input_shape: Shape) -> Graph:
    """Return a variant's graph, recorded with its own convolutions.

    Layers that mix positions are known only for the sizes that they had: the graph of the network
    as it was tells nothing of those behind a convolution that has changed.

    Args:
        graph: with the variant's convolutions.
        input_shape: (channels, height, width) of the image.

    Raises:
        ImpossibleVariant: the network cannot run.
    """
    assert graph.factory is not None
    label = variant_label(graph.specs, own=graph.own_specs)
    with without_dynamo(), torch.random.fork_rng(devices=[]), torch.device("meta"):
        try:
            found = trace(_variant(graph), input_shape)
        except CannotRun as error:
            raise ImpossibleVariant(
                f"{graph.factory.name} cannot run with {label}: {error}{_line(error.__cause__)}",
                layer=graph.varied[0],
                variant=label,
            ) from error
    return replace(found, varied=graph.varied, own_specs=graph.own_specs, factory=graph.factory)


def foreign_network(geometry: NetworkGeometry) -> nn.Module:
    """Return a variant's network with random weights, on the default device.

    Raises:
        UserError: it cannot be constructed, or does not compute what its geometry says.
    """
    network = _variant(geometry.graph)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        _check(_variant(geometry.graph), geometry)
    return network


def _name(model: Mapping[str, Any]) -> str:
    is_custom = model["network"] == "custom"
    key, example = ("target", "package.module:make_net") if is_custom else ("name", "resnet18")
    name = model[key]
    if not name:
        raise UserError(f"model={model['network']} needs model.{key}, such as {example}")
    return str(name)


@cache
def _traced(factory: Factory, input_shape: Shape) -> Graph:
    """Return the graph of a network with its own convolutions, and how it is constructed."""
    if factory.network == "torchvision" and factory.in_channels != _COLOURS:
        # Which convolutions read the image is known from the network for colour images.
        in_colour = replace(factory, in_channels=_COLOURS)
        graph = _traced(in_colour, (_COLOURS, *input_shape[1:])).varying("stem")
        assert graph.factory is not None
        factory = replace(factory, convs=graph.factory.convs, readers=graph.varied)
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network, made = _constructed(factory, {})
        paths = {module: path for path, module in network.named_modules()}
        factory = replace(
            factory,
            convs=tuple(paths.get(module, "") for module in made),
            source=_source(factory),
        )
        graph = replace(_graph(network, factory, input_shape), factory=factory)
    shapes, _ = layer_shapes(graph, input_shape)
    # Where the network needs a variant to run, its output is not known.
    outputs = shapes.get(graph.nodes[-1].name, (factory.classes,))[0]
    if outputs != factory.classes:
        raise UserError(
            f"{factory.name}{_without(factory)} has {outputs:,} outputs for {factory.classes:,}"
            " classes"
        )
    return graph


def _graph(network: nn.Module, factory: Factory, input_shape: Shape) -> Graph:
    """Return a network's graph, of other images where it needs a variant to run on these.

    Raises:
        UserError: the network cannot run; the message has the reason.
    """
    try:
        return trace(network, input_shape)
    except CannotRun as error:
        for side in _OTHER_SIDES:
            try:
                graph = trace(network, (input_shape[0], side, side))
            except UserError:
                continue
            _, refused = layer_shapes(graph, input_shape)
            if refused is not None and not isinstance(refused.node.layer, Mixing):
                return graph
        raise UserError(
            f"{factory.name}{_without(factory)} cannot run on images of {size(input_shape[1:])}:"
            f" {error}{_line(error.__cause__)}"
        ) from error


def _without(factory: Factory) -> str:
    return f" without {listed(factory.drop)}" if factory.drop else ""


# Construction


def _variant(graph: Graph) -> nn.Module:
    """Return the network with the convolutions of a graph."""
    factory = graph.factory
    assert factory is not None
    kernels = {name: graph.convs[name].conv.kernel_size for name in graph.varied}
    network, _ = _constructed(factory, kernels)
    for name, layer in graph.convs.items():
        module = network.get_submodule(name)
        assert isinstance(module, nn.Conv2d)
        if name in kernels or conv_spec(module) != layer.conv:
            network.set_submodule(name, _with_arguments(module, layer))
    return network


def _with_arguments(module: nn.Conv2d, layer: Conv) -> Conv2d:
    """Return a convolution with a layer's arguments and a module's weights."""
    with torch.device("meta"):
        own = Conv2d(module.in_channels, layer)
    own.weight, own.bias = module.weight, module.bias
    return own.train(module.training)


def _check(network: nn.Module, geometry: NetworkGeometry) -> None:
    """Compare the geometry with a forward pass on the meta device.

    Raises:
        UserError: the pass fails, or has other sizes.
    """
    graph, shape = geometry.graph, geometry.input_shape
    assert graph.factory is not None
    what = f"{graph.factory.name} with {geometry.variant}"
    try:
        real, _ = layer_shapes(trace(network, shape), shape)
    except CannotRun as error:
        raise UserError(f"{what} cannot run: {error}") from error
    expected, _ = layer_shapes(graph, shape)
    for name in expected:
        if real.get(name) != expected[name]:
            found = size(real[name]) if name in real else "nothing"
            raise UserError(
                f"{what} has other sizes than its geometry: {name} gives {found}, not"
                f" {size(expected[name])}; does the network decide by the size of an image?"
            )


def _constructed(
    factory: Factory, kernels: Mapping[str, tuple[int, int]]
) -> tuple[nn.Module, list[nn.Conv2d]]:
    """Return a new network, and all convolutions that its constructor made, in order.

    Args:
        factory: how it is constructed.
        kernels: other kernel sizes of convolutions by path.
    """
    changes: dict[int, dict[str, Any]] = {}
    for number, path in enumerate(factory.convs):
        if path in kernels:
            changes.setdefault(number, {})["kernel_size"] = kernels[path]
        if path in factory.readers:
            changes.setdefault(number, {})["in_channels"] = factory.in_channels
    # Tensors that a module makes when it is imported stay.
    with torch.device("cpu"):
        make = (_torchvision_maker if factory.network == "torchvision" else _custom_maker)(factory)
    try:
        with _changed_convs(changes) as made:
            network = make()
    except UserError:
        raise
    except Exception as error:
        if torch.get_default_device().type != "meta":
            raise _failed(factory, error) from error
        # Some constructors compute with numbers, which the meta device has not.
        with torch.device("cpu"):
            network, made = _constructed(
                replace(factory, drop=(), pool=(None,) * 3, pooling="max"), kernels
            )
        network = network.to("meta")
    if not isinstance(network, nn.Module):
        raise UserError(
            f"model.target={factory.name} must return a torch.nn.Module, got"
            f" {type(network).__name__}"
        )
    _drop(network, factory.drop)
    _set_pools(network, factory)
    _replace_max_pools(network, factory)
    return network, made


@contextmanager
def _changed_convs(changes: Mapping[int, Mapping[str, Any]]) -> Iterator[list[nn.Conv2d]]:
    """Change arguments of the n-th convolutions that are constructed within; yield all of them."""
    constructor, made = nn.Conv2d.__init__, list[nn.Conv2d]()
    signature = inspect.signature(constructor)

    def construct(self: nn.Conv2d, *args: Any, **kwargs: Any) -> None:
        bound = signature.bind(self, *args, **kwargs)
        bound.arguments |= changes.get(len(made), {})
        made.append(self)
        constructor(*bound.args, **bound.kwargs)

    nn.Conv2d.__init__ = construct  # type: ignore[method-assign]
    try:
        yield made
    finally:
        nn.Conv2d.__init__ = constructor  # type: ignore[method-assign]


def _drop(network: nn.Module, paths: Sequence[str]) -> None:
    """Replace modules by the identity."""
    names = [name for name, _ in network.named_modules() if name]
    for path in paths:
        if path not in names:
            raise UserError(f"model.drop names no module: {path}{_near(path, names)}")
        network.set_submodule(path, nn.Identity())


def _set_pools(network: nn.Module, factory: Factory) -> None:
    """Set the arguments of all pools that are modules.

    Raises:
        ImpossibleVariant: a pool would pad more than half its kernel.
    """
    arguments = dict(zip(("kernel_size", "stride", "padding"), factory.pool, strict=True))
    given = {key: value for key, value in arguments.items() if value is not None}
    if not given:
        return
    pools = {path: one for path, one in network.named_modules() if isinstance(one, _POOLS)}
    if not pools:
        raise UserError(
            f"{factory.name} has no MaxPool2d or AvgPool2d that model.pool_kernel, pool_stride and"
            " pool_padding could change"
        )
    for path, pool in pools.items():
        for key, value in given.items():
            setattr(pool, key, value)
        is_left_out = factory.pooling == "none" and isinstance(pool, nn.MaxPool2d)
        if Pool(pool_spec(pool)).pads_too_much and not is_left_out:
            raise ImpossibleVariant(
                f"{path} would pad more than half its kernel: kernel_size {pool.kernel_size},"
                f" padding {pool.padding}",
                layer=path,
            )


def _replace_max_pools(network: nn.Module, factory: Factory) -> None:
    """Replace all max-pools that are modules by what `model.pool` names."""
    kind, name = factory.pooling, factory.name
    if kind == "max":
        return
    modules = network.named_modules(remove_duplicate=False)
    pools = {path: one for path, one in modules if isinstance(one, nn.MaxPool2d)}
    if not pools:
        raise UserError(f"{name} has no MaxPool2d that model.pool={kind} could replace")
    made: dict[nn.Module, nn.Module] = {}
    for path, pool in pools.items():
        if pool.return_indices or (kind == "avg" and pool_spec(pool).dilation != (1, 1)):
            raise UserError(f"model.pool={kind} cannot replace {path} of {name}, which is {pool}")
        if pool not in made:
            made[pool] = _replacement(pool, kind)
        network.set_submodule(path, made[pool])


def _replacement(pool: nn.MaxPool2d, kind: str) -> nn.Module:
    window = pool_spec(pool)
    if kind == "none":
        return nn.Identity()
    if kind == "avg":
        return nn.AvgPool2d(
            window.kernel_size,
            window.stride,
            pool.padding,
            pool.ceil_mode,
            count_include_pad=False,
        )
    return pool if window.stride == (1, 1) else BlurredMaxPool2d(window, pool.ceil_mode)


def _torchvision_maker(factory: Factory) -> Callable[[], nn.Module]:
    # Here: a custom network may not need it.
    import torchvision

    known = torchvision.models.list_models(module=torchvision.models)
    if factory.name not in known:
        raise UserError(
            f"model.name={factory.name} is no classifier of torchvision{_near(factory.name, known)}"
        )
    options: dict[str, Any] = {"weights": None, "num_classes": factory.classes}
    if factory.name in ("googlenet", "inception_v3"):
        # Their second head is for a loss of its own.
        options |= {"aux_logits": False, "init_weights": True}
    return lambda: torchvision.models.get_model(factory.name, **options)


def _custom_maker(factory: Factory) -> Callable[[], Any]:
    make = _target(factory)
    arguments = {"in_channels": factory.in_channels, "classes": factory.classes}
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError as error:
        raise UserError(
            f"model.target={factory.name} is called with in_channels and classes: {error}"
        ) from error
    except ValueError:
        pass  # A callable without a signature.
    return lambda: make(**arguments)


def _target(factory: Factory) -> Callable[..., Any]:
    """Return the callable that a custom network's target names."""
    module_name, colon, name = factory.name.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module_name.split("."), name]):
        raise UserError(f"model.target must be written package.module:make_net, got {factory.name}")
    if factory.folder not in sys.path:
        sys.path.insert(0, factory.folder)
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _failed(factory, error) from error
        raise UserError(
            f"model.target={factory.name}: there is no module {error.name} in {factory.folder}"
        ) from error
    except Exception as error:
        raise _failed(factory, error) from error
    if not hasattr(module, name):
        raise UserError(
            f"model.target={factory.name}: {module_name} has no {name}{_near(name, dir(module))}"
        )
    make: Callable[..., Any] = getattr(module, name)
    if not callable(make):
        raise UserError(
            f"model.target={factory.name} must be a function or a class, got {type(make).__name__}"
        )
    return make


def _failed(factory: Factory, error: Exception) -> UserError:
    """Return an error of the network's own code in one line."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return UserError(
        f"{factory.name} cannot be made: {type(error).__name__}: {on_one_line(text)}{_line(error)}"
    )


def _line(error: BaseException | None) -> str:
    """Return where an error comes from, ` (nets.py, line 12)`; not in PyTorch or ConvScope."""
    if isinstance(error, SyntaxError) and error.filename:
        return f" ({Path(error.filename).name}, line {error.lineno})"
    frames = traceback.extract_tb(error.__traceback__) if error else []
    packages = Path(torch.__file__).parent, Path(__file__).parents[1]
    own = [
        frame
        for frame in frames
        if Path(frame.filename).is_file()
        and not any(Path(frame.filename).is_relative_to(package) for package in packages)
    ]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _source(factory: Factory) -> str:
    """Return a hash of the file that a custom network's target is in; "" for others."""
    if factory.network != "custom":
        return ""
    file = sys.modules[factory.name.partition(":")[0]].__file__
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


def _near(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""
