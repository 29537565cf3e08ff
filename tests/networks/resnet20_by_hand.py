"""ResNet-20 of He et al. (2016) with shortcuts of option A, in torch.nn only."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

Arguments = tuple[int, int, int]
"""Kernel size, stride and padding of a convolution."""
NAMES = (
    "conv1",
    *(f"layer{stage}.{block}.conv{n}" for stage in (1, 2, 3) for block in range(3) for n in (1, 2)),
)
OWN: tuple[Arguments, ...] = tuple(
    (3, 2 if name in ("layer2.0.conv1", "layer3.0.conv1") else 1, 1) for name in NAMES
)


class CannotAdd(Exception):
    """An addition that PyTorch refuses: the block, and both maps' height and width."""

    def __init__(self, block: str, branch: Tensor, shortcut: Tensor) -> None:
        super().__init__(block)
        self.block = block
        self.sizes = tuple(branch.shape[2:]), tuple(shortcut.shape[2:])


class ResNet20(nn.Module):
    """The network with other arguments of its 19 convolutions, without batch norm and head."""

    def __init__(self, arguments: Sequence[Arguments], channels: Sequence[int] = (16, 32, 64)):
        super().__init__()
        self.arguments = dict(zip(NAMES, arguments, strict=True))
        widths = [channels[int(name[5]) - 1 if name[0] == "l" else 0] for name in NAMES]
        self.convs = nn.ModuleDict(
            {
                name.replace(".", "_"): nn.Conv2d(before, after, *self.arguments[name], bias=False)
                for name, before, after in zip(NAMES, [3, *widths], widths, strict=False)
            }
        )
        self.shapes: dict[str, tuple[int, ...]] = {}

    def conv(self, name: str, maps: Tensor) -> Tensor:
        out: Tensor = self.convs[name.replace(".", "_")](maps)
        self.shapes[name] = tuple(out.shape[1:])
        return out

    def forward(self, images: Tensor) -> Tensor:
        maps = torch.relu(self.conv("conv1", images))
        for block in dict.fromkeys(name.rpartition(".")[0] for name in NAMES[1:]):
            branch = torch.relu(self.conv(f"{block}.conv1", maps))
            branch = self.conv(f"{block}.conv2", branch)
            # Both strides of the branch, so that its pixels lie where the shortcut's do.
            step = self.arguments[f"{block}.conv1"][1] * self.arguments[f"{block}.conv2"][1]
            shortcut = maps[:, :, ::step, ::step]
            added = branch.shape[1] - shortcut.shape[1]
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, added))
            try:
                maps = torch.relu(branch + shortcut)
            except RuntimeError as error:
                raise CannotAdd(block, branch, shortcut) from error
        return maps
