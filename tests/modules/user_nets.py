"""Networks as users write them, sound and broken, for `model=custom`."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Mixed(nn.Module):
    """Concatenations, a depthwise and a dilated convolution, a functional max-pool."""

    def __init__(self, in_channels: int, classes: int, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        self.depthwise = nn.Conv2d(width, width, 3, padding=1, groups=width)
        self.dilated = nn.Conv2d(width, width, 3, padding=2, dilation=2)
        self.point = nn.Conv2d(3 * width, 2 * width, 1)
        self.last = nn.Conv2d(2 * width, 2 * width, 3, stride=2)
        self.head = nn.Linear(2 * width, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.relu(self.norm(self.stem(images)))
        maps = F.max_pool2d(maps, 3, stride=2, padding=1)
        maps = torch.cat([maps, self.depthwise(maps), F.gelu(self.dilated(maps))], dim=1)
        maps = self.last(self.point(maps).relu())
        return self.head(maps.mean((2, 3)))


def mixed(in_channels: int, classes: int) -> nn.Module:
    return Mixed(in_channels, classes)


class Attentive(nn.Module):
    """Squeeze-excitation as users write it, channel shuffle, slices, group norm."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 16, 3, padding="same", padding_mode="reflect")
        self.norm = nn.GroupNorm(4, 16)
        self.excite = nn.Sequential(nn.Linear(16, 4), nn.ReLU(), nn.Linear(4, 16), nn.Sigmoid())
        self.conv2 = nn.Conv2d(16, 16, 4, stride=2, padding=1, groups=2)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, classes))

    def forward(self, images: Tensor) -> Tensor:
        maps = self.norm(self.conv1(images))
        batch, channels, height, width = maps.size()
        maps = maps.view(batch, 2, channels // 2, height, width).transpose(1, 2)
        maps = maps.reshape(batch, channels, height, width)
        scale = self.excite(maps.mean(dim=[2, 3])).view(batch, channels, 1, 1)
        maps = maps * scale.expand_as(maps)
        first, second = maps.chunk(2, dim=1)
        maps = torch.cat([second, first], 1)
        maps = F.pad(maps[:, :, 1:-1, 1:-1], (1, 1, 1, 1)) + maps
        return self.head(F.silu(self.conv2(maps)) + maps[:, :, ::2, ::2])


MEAN = torch.full((1, 1, 1), 0.5)


class Centred(Mixed):
    """Takes a constant of the file from the images."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images - MEAN)


class Lenet(nn.Module):
    """A head that knows the size of its input."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.fc1 = nn.Linear(16 * 5 * 5, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.max_pool2d(F.relu(self.conv1(images)), 2)
        maps = F.max_pool2d(F.relu(self.conv2(maps)), 2)
        return self.fc1(maps.view(-1, 16 * 5 * 5))


class Pooled(nn.Module):
    """A pool that is a module and called twice; its last map is pooled globally."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 6, 3, padding=1)
        self.conv2 = nn.Conv2d(6, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2)
        self.head = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.pool(F.relu(self.conv1(images)))
        maps = self.pool(F.relu(self.conv2(maps)))
        return self.head(maps.mean((-2, -1)))


class Dilated(Pooled):
    """A pool of which there is no average with as many pixels between."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__(in_channels, classes)
        self.pool = nn.MaxPool2d(2, dilation=2)


class Residual(nn.Module):
    """A block whose shortcut is the identity, so that its sizes must stay."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 8, 3, stride=2, padding=1)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.stem(images).relu()
        return self.head((maps + self.block(maps)).mean((-2, -1)))


class Interpolating(nn.Module):
    """Maps that are made larger, and joined with constants of their size."""

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, 8, 3, padding=1)
        self.last = nn.Conv2d(10, 8, 3)
        self.head = nn.Linear(8, classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.interpolate(self.stem(images), scale_factor=0.5)
        batch, _, height, width = maps.shape
        places = torch.zeros(batch, 2, height, width, device=maps.device)
        return self.head(self.last(torch.cat([maps, places], 1)).mean((2, 3)))


class Dropping(Mixed):
    """Draws random numbers in training."""

    def forward(self, images: Tensor) -> Tensor:
        maps = F.dropout(self.norm(self.stem(images)), 0.3, self.training)
        return self.head(maps.repeat(1, 2, 1, 1).mean((2, 3)))


# What cannot be traced or varied


def raises(in_channels: int, classes: int) -> nn.Module:
    raise ValueError("no width\nfor this")


def groups(in_channels: int, classes: int) -> nn.Module:
    return nn.Conv2d(6, 8, 3, groups=3)


def grey_only(in_channels: int, classes: int) -> nn.Module:
    return Mixed(in_channels + 1, classes)


def returns_none(in_channels: int, classes: int) -> None:
    return None


def takes_other_arguments(channels: int, num_classes: int) -> nn.Module:
    return Mixed(channels, num_classes)


def wrong_width(in_channels: int, classes: int) -> nn.Module:
    return Mixed(in_channels, classes + 1)


def without_conv(in_channels: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))


def linear_only(in_channels: int, classes: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(in_channels, classes))


def transposed(in_channels: int, classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, 4, 3),
        nn.ConvTranspose2d(4, 4, 3),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Unflatten(1, (1, 4)),
        nn.Conv1d(1, 2, 3),
        nn.Flatten(),
        nn.Linear(4, classes),
    )


class Deciding(Mixed):
    """Goes another way for dark images."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images if images.mean() > 0 else -images)


class Sharing(Mixed):
    """Uses one convolution twice."""

    def forward(self, images: Tensor) -> Tensor:
        maps = self.last(self.last(self.point(self.stem(images).repeat(1, 3, 1, 1))))
        return self.head(maps.mean((2, 3)))


class Maps(Mixed):
    """Returns maps and no scores."""

    def forward(self, images: Tensor) -> Tensor:
        return self.stem(images)


class Two(Mixed):
    """Returns two outputs."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        scores = super().forward(images)
        return scores, scores


class Standardised(nn.Conv2d):
    """A convolution with a forward pass of its own."""

    def forward(self, images: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean(dim=(1, 2, 3), keepdim=True)
        return F.conv2d(images, weight, self.bias, self.stride, self.padding)


def standardised(in_channels: int, classes: int) -> nn.Module:
    network = Mixed(in_channels, classes)
    network.depthwise = Standardised(8, 8, 3, padding=1)
    return network


def standardised_stem(in_channels: int, classes: int) -> nn.Module:
    network = Mixed(in_channels, classes)
    network.stem = Standardised(in_channels, 8, 3, padding=1)
    return network


not_callable = 3
