"""Networks with test images, made by hand."""

import torch
from torch import Tensor, nn

from convscope.diagnostics import Subject
from convscope.geometry import NetworkGeometry
from convscope.modules import build_network


def subject_of(
    geometry: NetworkGeometry, count: int = 6, network: nn.Module | None = None, seed: int = 0
) -> Subject:
    """Random images, and random weights unless a network is given."""
    torch.manual_seed(seed)
    if network is None:
        network = build_network(geometry)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                # As after training, in which channels get means and variances of their own.
                nn.init.normal_(module.running_mean, std=0.3)  # type: ignore[arg-type]
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, std=0.3)
    channels = geometry.input_shape[0]
    return Subject(
        network=network.eval(),
        geometry=geometry,
        images=torch.randn(count, *geometry.input_shape),
        labels=torch.randint(geometry.classes, (count,)),
        black=torch.full((channels, 1, 1), -0.5),
    )


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
