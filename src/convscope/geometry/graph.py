"""A network as a directed graph of layers.

Plain values, without torch. A stack of conv blocks is the simplest graph; additions and
concatenations join the branches of others.
"""

from __future__ import annotations

import fnmatch
import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from itertools import permutations
from typing import Any, Literal

from convscope.geometry.conv import ConvSpec, GeometryError, Pair
from convscope.geometry.layers import (
    IMAGE,
    Activation,
    BatchNorm,
    Blur,
    Concat,
    Conv,
    Layer,
    Merge,
    Pointwise,
    Shape,
    Shortcut,
    Slice,
    WholeImage,
    Window,
)
from convscope.text import near_or_all


@dataclass(frozen=True)
class Node:
    """A layer in its place.

    Attributes:
        name: path of its module, such as `layer2.0.conv1`; unique in the graph.
        layer: what it computes.
        inputs: names of the nodes that it takes, or `IMAGE`.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]


@dataclass(frozen=True)
class Factory:
    """How a network that consists of PyTorch modules is constructed.

    Attributes:
        network: `torchvision` or `custom`.
        name: of torchvision's network, or the target of a custom one, `package.module:make_net`.
        in_channels: channels of the image.
        classes: length of the output.
        drop: paths of modules that the identity replaces.
        pool: kernel size, stride and padding of its pools; None keeps their own.
        pooling: what replaces its max-pools: avg, blur or none; max keeps them.
        folder: on Python's path when a custom one is imported.
        convs: paths of its convolutions in order of construction; "" for one that is not in the
            network.
        readers: paths of those whose input channels follow the image's.
        source: hash of the file that a custom one is defined in.
    """

    network: str
    name: str
    in_channels: int
    classes: int
    drop: tuple[str, ...] = ()
    pool: tuple[int | None, ...] = (None, None, None)
    pooling: str = "max"
    folder: str = ""
    convs: tuple[str, ...] = ()
    readers: tuple[str, ...] = ()
    source: str = ""


@dataclass(frozen=True)
class Graph:
    """A network.

    Attributes:
        nodes: in an order of computation; the last one gives the class scores.
        varied: names of the conv layers whose arguments a variant sets, in order of computation.
        other_params: trainable parameters that belong to no node.
        own_specs: arguments that the varied layers had before a variant set them; None in a
            network that leaves them to the variant.
        factory: of a network that consists of PyTorch modules.
        downsample: what subsamples where a varied layer has a stride: the layer or a blur after it.
    """

    nodes: tuple[Node, ...]
    varied: tuple[str, ...]
    other_params: int = 0
    own_specs: tuple[ConvSpec, ...] | None = None
    factory: Factory | None = None
    downsample: Literal["conv", "blur"] = "conv"

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the layers, and of the file that a custom network is defined in.

        16 digits of the layers, then those of the file: an edited file is another network, though
        its layers may be the same.
        """
        nodes = [(node.name, _plain(node.layer), node.inputs) for node in self.nodes]
        layers = hashlib.sha256(repr(nodes).encode()).hexdigest()[:16]
        source = self.factory.source[:16] if self.factory else ""
        return f"{layers}-{source}" if source else layers

    @cached_property
    def by_name(self) -> Mapping[str, Node]:
        """Each node by its name."""
        return {node.name: node for node in self.nodes}

    @cached_property
    def convs(self) -> Mapping[str, Conv]:
        """All conv layers that can be varied, by name, in order of computation."""
        return {
            node.name: node.layer
            for node in self.nodes
            if isinstance(node.layer, Conv) and not node.layer.is_fixed
        }

    @property
    def specs(self) -> tuple[ConvSpec, ...]:
        """The arguments of the varied conv layers."""
        return tuple(self.convs[name].arguments for name in self.varied)

    def varying(self, vary: str | Sequence[str]) -> Graph:
        """Return the network with other varied layers, whose present arguments become `own_specs`.

        Args:
            vary: `stem`, the conv layers that read the image; `all` that are not 1x1; or names,
                where `*` stands for any text.

        Raises:
            GeometryError: the network has no conv layer, or a name matches none.
        """
        if not self.convs:
            raise GeometryError("the network has no torch.nn.Conv2d to vary")
        match vary:
            case "stem":
                names = self._stem
                for node in self.nodes:
                    if isinstance(node.layer, Conv) and self.reads_image(node.name):
                        self._matching([node.name])
            case "all":
                names = self._larger_than_1x1
            case _:
                names = self._matching([vary] if isinstance(vary, str) else vary)
        if not names:
            raise GeometryError(f"model.vary={vary} names no conv layer: all of them are 1x1")
        chosen = replace(self, varied=names)
        return replace(chosen, own_specs=chosen.specs)

    @property
    def vary(self) -> str | list[str]:
        """What `varying` takes for the varied layers; the same however they were named."""
        for word, names in (("stem", self._stem), ("all", self._larger_than_1x1)):
            if self.varied == names:
                return word
        return list(self.varied)

    @property
    def _stem(self) -> tuple[str, ...]:
        readers = tuple(name for name in self.convs if self.reads_image(name))
        return readers or tuple(self.convs)[:1]

    @property
    def _larger_than_1x1(self) -> tuple[str, ...]:
        own = dict(zip(self.varied, self.own_specs or (), strict=False))
        return tuple(
            name
            for name, conv in self.convs.items()
            if own.get(name, conv.conv).kernel_size != (1, 1)
        )

    def reads_image(self, name: str) -> bool:
        """Return whether a layer's input is the image, or pointwise layers of it."""
        return self.source(self.by_name[name].inputs[0]) == IMAGE

    def _matching(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Return the conv layers that a pattern matches, in order of computation."""
        matching: set[str] = set()
        for pattern in patterns:
            found = fnmatch.filter(self.convs, pattern)
            if not found:
                raise GeometryError(self._unmatched(pattern))
            matching.update(found)
        return tuple(name for name in self.convs if name in matching)

    def _unmatched(self, pattern: str) -> str:
        others = fnmatch.filter(self.by_name, pattern)
        if others:
            what = self.by_name[others[0]].layer.kind
            return f"model.vary must name 2-d convolutions, {others[0]} is {what}"
        hint = near_or_all(pattern, list(self.convs))
        return f"model.vary names no conv layer: {pattern}; {hint}"

    def with_specs(self, specs: Sequence[ConvSpec]) -> Graph:
        """Return the network with other arguments of the varied conv layers.

        The stride of a residual block's 1x1 or weightless shortcut follows the other branch. With
        `downsample="blur"`, a layer with a stride has a blur after it, `conv1.blur`.
        """
        if len(specs) != len(self.varied):
            raise ValueError(f"{len(specs)} convolutions for {len(self.varied)} varied layers")
        chosen = dict(zip(self.varied, specs, strict=True))
        nodes = [
            replace(node, layer=replace(self.convs[node.name], spec=chosen[node.name]))
            if node.name in chosen
            else node
            for node in self.nodes
        ]
        graph = replace(self, nodes=tuple(nodes))
        if self.downsample == "blur":
            graph = graph._with_blurs()
        if any(isinstance(node.layer, Merge) for node in nodes):
            graph = graph._with_shortcuts()
        return graph

    def _with_blurs(self) -> Graph:
        """Return the network with the strides of its varied layers in blurs after them.

        A blur comes after the batch norm and the activation that directly follow the layer, as in
        Zhang, "Making Convolutional Networks Shift-Invariant Again" (2019), section 3.2. Blurs of
        an earlier variant are left out.
        """
        takers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for source in node.inputs:
                takers.setdefault(source, []).append(node)

        def last_of_block(name: str) -> str:
            while len(takers.get(name, ())) == 1:
                (after,) = takers[name]
                if not isinstance(after.layer, BatchNorm | Activation):
                    break
                name = after.name
                if isinstance(after.layer, Activation):
                    break
            return name

        strides = dict(zip(self.varied, (spec.stride for spec in self.specs), strict=True))
        blurred = {last_of_block(name): name for name in self.varied if strides[name] != (1, 1)}
        earlier = {f"{name}.blur": name for name in self.varied}
        nodes: list[Node] = []
        renamed: dict[str, str] = {}
        for node in self.nodes:
            inputs = tuple(renamed.get(name, name) for name in node.inputs)
            if node.name in earlier:
                if strides[earlier[node.name]] == (1, 1):
                    (renamed[node.name],) = inputs
                continue
            layer = node.layer
            if isinstance(layer, Conv) and node.name in strides:
                layer = replace(layer, is_dense=strides[node.name] != (1, 1))
            nodes.append(Node(node.name, layer, inputs))
            if (name := blurred.get(node.name)) is not None:
                nodes.append(Node(f"{name}.blur", Blur(strides[name]), (node.name,)))
                renamed[node.name] = f"{name}.blur"
        return replace(self, nodes=tuple(nodes))

    def _with_shortcuts(self) -> Graph:
        """Return the network with strides of shortcuts such that both branches have one jump."""
        nodes = list(self.nodes)
        index = {node.name: number for number, node in enumerate(nodes)}
        jumps: dict[str, Pair | None] = {IMAGE: (1, 1)}

        def ancestors(name: str) -> set[str]:
            """Return a node and all those that its output is computed from."""
            found: set[str] = set()
            waiting = [name]
            while waiting:
                name = waiting.pop()
                if name not in found:
                    found.add(name)
                    waiting += nodes[index[name]].inputs if name != IMAGE else ()
            return found

        def shortcut(name: str, other: str) -> int | None:
            """Return the index of the shortcut from a layer of the other branch to this node."""
            name = self.source(name)
            if name == IMAGE or name in self.varied:
                return None
            node = nodes[index[name]]
            can_follow = isinstance(node.layer, Shortcut) or (
                isinstance(node.layer, Conv) and node.layer.is_pointwise and not node.layer.is_fixed
            )
            return index[name] if can_follow and node.inputs[0] in ancestors(other) else None

        for number, node in enumerate(nodes):
            if isinstance(node.layer, Merge):
                for name, other in permutations(node.inputs, 2):
                    jump, wanted = jumps[name], jumps[other]
                    if jump is None or wanted is None or jump == wanted:
                        continue
                    if (found := shortcut(name, other)) is not None:
                        nodes[found] = _at_jump(nodes[found], jump, wanted)
                        for one in nodes[found:number]:
                            jumps[one.name] = _jump_after(one.layer, [jumps[i] for i in one.inputs])
            jumps[node.name] = _jump_after(node.layer, [jumps[name] for name in node.inputs])
        return replace(self, nodes=tuple(nodes))

    def without(self, paths: Collection[str]) -> Graph:
        """Return the network without the layers at these paths, or below them.

        Raises:
            GeometryError: a path names no layer, what gives several outputs or takes several, or
                what makes another number of channels, or a vector.
        """
        graph = self
        for path in paths:
            graph = graph._without(path)
        return graph

    def _without(self, path: str) -> Graph:
        inside = {one.name for one in self.nodes if f"{one.name}.".startswith(f"{path}.")}
        if not inside:
            raise GeometryError(f"model.drop names no layer: {path}")
        outside = [node for node in self.nodes if node.name not in inside]
        taken = {name for one in inside for name in self.by_name[one].inputs} - inside
        given = {name for node in outside for name in node.inputs} & inside
        if len(taken) != 1 or len(given) != 1:
            raise GeometryError(
                f"model.drop must name what has one input and one output, got {path}"
            )
        (source,), (replaced,) = taken, given
        if any(isinstance(self.by_name[name].layer, WholeImage) for name in inside):
            raise GeometryError(f"model.drop must not name what makes a vector of maps, got {path}")
        before, after = self._channels(source), self._channels(replaced)
        if before != after:
            raise GeometryError(
                f"model.drop must name what keeps the number of channels, {path} makes {after} of"
                f" {before or 'the image'}"
            )
        nodes = tuple(
            replace(
                node, inputs=tuple(source if name == replaced else name for name in node.inputs)
            )
            for node in outside
        )
        varied = tuple(name for name in self.varied if name not in inside)
        return replace(self, nodes=nodes, varied=varied)

    def _channels(self, name: str) -> int | None:
        """Return the channels of a layer's output; None for those of the image."""
        if name == IMAGE:
            return None
        node = self.by_name[name]
        if isinstance(node.layer, Concat):
            return sum(self._channels(source) or 0 for source in node.inputs)
        return getattr(node.layer, "channels", None) or self._channels(node.inputs[0])

    def without_pointwise(self) -> Graph:
        """Return the network without layers that keep every shape: all sizes stay the same."""
        kept = {node.name for node in self.nodes if not _keeps_shape(node.layer)}

        def source(name: str) -> str:
            while name != IMAGE and name not in kept:
                name = self.by_name[name].inputs[0]
            return name

        nodes = tuple(
            replace(node, inputs=tuple(map(source, node.inputs)))
            for node in self.nodes
            if node.name in kept
        )
        return replace(self, nodes=nodes)

    def activation_after(self, name: str) -> str:
        """Return the activation that follows a layer, with pointwise layers between; or itself."""
        taking = {source: node for node in self.nodes for source in node.inputs}
        following = taking.get(name)
        while following is not None and isinstance(following.layer, _KEEP_PIXELS):
            if isinstance(following.layer, Activation):
                return following.name
            following = taking.get(following.name)
        return name

    def source(self, name: str) -> str:
        """Return the last layer at or before a node that is more than pointwise; or `IMAGE`."""
        while name != IMAGE and isinstance(self.by_name[name].layer, _KEEP_PIXELS):
            name = self.by_name[name].inputs[0]
        return name


_KEEP_PIXELS = BatchNorm, Activation, Pointwise


@dataclass(frozen=True)
class Refused:
    """The first layer that PyTorch refuses, with the shapes of its inputs and the reason."""

    node: Node
    shapes: tuple[Shape, ...]
    reason: str


def layer_shapes(graph: Graph, input_shape: Shape) -> tuple[dict[str, Shape], Refused | None]:
    """Return the shape of the image and of each node's output, by name and in order.

    Where PyTorch refuses a layer, the shapes end before it and the refusal is the second value.
    """
    shapes = {IMAGE: input_shape}
    for node in graph.nodes:
        inputs = tuple(shapes[name] for name in node.inputs)
        sources = [graph.source(name) for name in node.inputs] if len(inputs) > 1 else ()
        reason = node.layer.refusal(inputs, sources)
        if reason is not None:
            return shapes, Refused(node, inputs, reason)
        shapes[node.name] = node.layer.out_shape(inputs)
    return shapes, None


def _plain(value: Any) -> Any:
    """Return a layer as plain values, without its defaults: arguments may be added to a class."""
    if is_dataclass(value):
        given = {one.name: getattr(value, one.name) for one in fields(value)}
        own = {one.name: given[one.name] for one in fields(value) if given[one.name] != one.default}
        return type(value).__name__, {key: _plain(own[key]) for key in sorted(own)}
    return tuple(map(_plain, value)) if isinstance(value, tuple) else value


def _keeps_shape(layer: Layer) -> bool:
    return isinstance(layer, _KEEP_PIXELS) and getattr(layer, "channels", None) is None


def _jump_after(layer: Layer, inputs: Sequence[Pair | None]) -> Pair | None:
    """Return the image pixels from one unit of a layer's output to the next.

    None for a vector. A map that is multiplied by one keeps its own, though each of its units is
    computed from the whole image then.
    """
    known = next((jump for jump in inputs if jump is not None), None)
    match layer:
        case WholeImage():
            return None
        case Window(conv=ConvSpec(stride=stride)) | Shortcut(stride=stride) | Slice(stride=stride):
            return known and (known[0] * stride[0], known[1] * stride[1])
    return known


def _at_jump(node: Node, jump: Pair, wanted: Pair) -> Node:
    """Return a shortcut with another stride; unchanged where no whole stride gives that jump."""
    layer = node.layer
    assert isinstance(layer, Conv | Shortcut)
    strides = layer.conv.stride if isinstance(layer, Conv) else layer.stride
    scaled = [s * new / old for s, new, old in zip(strides, wanted, jump, strict=True)]
    if not all(stride.is_integer() for stride in scaled):
        return node
    stride = int(scaled[0]), int(scaled[1])
    if isinstance(layer, Conv):
        return replace(node, layer=replace(layer, spec=replace(layer.conv, stride=stride)))
    return replace(node, layer=replace(layer, stride=stride))
