"""PyTorch's compiler is not imported to trace a network, and works afterwards."""

import subprocess
import sys

SCRIPT = """
import sys
from convscope.variant import VariantComposer

VariantComposer().compose(["model=resnet18", "data=cifar10"])
assert "torch._dynamo" not in sys.modules, "imported"

import torch
from torch import nn

network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
compiled = torch.compile(network, backend="eager")
images = torch.randn(2, 1, 5, 5)
assert torch.equal(compiled(images), network.forward(images)) or network.training
torch.empty(3, device="meta").normal_()
assert sys.modules["torch._dynamo"].__file__
import torch._refs
found = [one for one in vars(torch._refs).values() if hasattr(one, "__dynamo_disable")]
assert all("_dynamo" in getattr(one, "__dynamo_disable").__code__.co_filename for one in found)
"""


def test_the_compiler_is_not_imported_and_works_afterwards() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
