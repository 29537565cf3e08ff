"""Networks with random weights and random images, to be measured."""

import torch
from torch import Tensor, nn

from convscope.diagnostics import Subject
from convscope.geometry import NetworkGeometry
from convscope.modules import build_network
from convscope.variant import VariantComposer

from ..convs import parse_conv, stack_geometry


def geometry_of(*overrides: str) -> NetworkGeometry:
    """The geometry of a variant that a user types; of MNIST's images where no data is named."""
    geometry = VariantComposer().compose(["data=mnist", *overrides]).geometry
    assert geometry is not None
    return geometry


def single_conv(weight: Tensor, images: Tensor, stride: object, padding: object = 0) -> Subject:
    """A network of one convolution with this weight; the head has two classes."""
    outputs, _, *kernel = weight.shape
    convs = parse_conv("x".join(map(str, kernel)), stride, padding, 1)
    _, channels, height, width = images.shape
    geometry = stack_geometry((channels, height, width), convs, [outputs], (), 2)
    subject = subject_of(geometry, images)
    with torch.no_grad():
        subject.network.get_parameter("features.conv1.weight").copy_(weight)
    return subject


def subject_of(
    geometry: NetworkGeometry,
    images: Tensor | int = 8,
    *,
    network: nn.Module | None = None,
    test_flip: bool = False,
    is_sampled: bool = False,
) -> Subject:
    """A network with random weights and statistics, whose answers differ from image to image."""
    torch.manual_seed(0)
    network = (network or build_network(geometry)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = 0.3 * torch.randn(module.num_features)
            module.running_var = 0.5 + torch.rand(module.num_features)
    if isinstance(images, int):
        images = torch.randn(images, *geometry.input_shape)
    if isinstance(head := getattr(network, "head", None), nn.Linear):
        with torch.no_grad():
            head.bias -= network(images).mean(0)
    labels = torch.randint(geometry.classes, (len(images),))
    black = torch.linspace(-0.6, -0.4, images.shape[1])[:, None, None]
    return Subject(network, geometry, images, labels, black, test_flip, is_sampled)


def set_weights(network: nn.Module, weight: float | Tensor) -> None:
    """Give all convolutions the same weights, and let batch norm do nothing."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data[:] = weight
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
            module.eps = 0.0


def last_maps(subject: Subject, images: Tensor) -> Tensor:
    """What the modules of a stack make of images, one after the other up to the last map."""
    features = subject.network.features
    assert isinstance(features, nn.Module)
    for name, module in features.named_children():
        images = module(images)
        if name == subject.geometry.final:
            break
    return images
