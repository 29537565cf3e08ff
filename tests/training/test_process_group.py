"""Collective operations: two processes over gloo, and a single one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import convscope
from convscope.training.process_group import SINGLE_PROCESS, ProcessGroup

SOURCE = Path(convscope.__file__).parents[1]
CPU = torch.device("cpu")
TOGETHER = """
import sys, torch
from convscope.training.process_group import ProcessGroup

rank, folder = int(sys.argv[1]), sys.argv[2]
torch.distributed.init_process_group(
    "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2
)
ranks, cpu = ProcessGroup(rank, 2), torch.device("cpu")
image = torch.arange(24.0).view(1, 2, 3, 4).to(memory_format=torch.channels_last)
tensors = [image * (rank + 1), torch.tensor(float(rank)), torch.full((2,), rank - 1.0)]
ranks.all_reduce_mean(tensors)
counts = torch.tensor([[rank, 7], [2**40, 0]])
ranks.all_reduce_sum(counts)
answers = {
    "all": [ranks.all_true(so, cpu) for so in (True, rank == 0, rank == 1, False)],
    "agree": [ranks.all_equal(value, cpu) for value in (2**56 - 1, rank, -rank, 0)],
}
torch.save((tensors, counts, answers), f"{folder}/{rank}")
# Else the one that is slower to end may find the other gone, and abort.
torch.distributed.barrier()
torch.distributed.destroy_process_group()
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[object, ...]]:
    """What each of two ranks has afterwards."""
    folder = tmp_path_factory.mktemp("ranks")
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    processes = [
        subprocess.Popen([sys.executable, "-c", TOGETHER, str(rank), folder], env=environment)
        for rank in range(2)
    ]
    assert [process.wait(60) for process in processes] == [0, 0]
    return [torch.load(folder / str(rank)) for rank in range(2)]


@pytest.mark.parametrize("rank", [0, 1])
def test_the_mean_of_tensors(found, rank: int) -> None:
    image, scalar, pair = found[rank][0]
    assert torch.equal(image, torch.arange(24.0).view(1, 2, 3, 4) * 1.5)
    assert image.is_contiguous(memory_format=torch.channels_last)
    assert scalar == 0.5
    assert pair.tolist() == [-0.5, -0.5]


@pytest.mark.parametrize("rank", [0, 1])
def test_the_sum_of_a_tensor(found, rank: int) -> None:
    assert found[rank][1].tolist() == [[1, 14], [2**41, 0]]


@pytest.mark.parametrize("rank", [0, 1])
def test_what_all_of_them_have(found, rank: int) -> None:
    assert found[rank][2] == {
        "all": [True, False, False, False],
        "agree": [True, False, False, True],
    }


def test_one_that_is_alone_asks_nobody() -> None:
    values = torch.tensor([1.0, 2.0])
    SINGLE_PROCESS.all_reduce_mean([values])
    SINGLE_PROCESS.all_reduce_sum(values)
    assert values.tolist() == [1, 2]
    assert [SINGLE_PROCESS.all_true(so, CPU) for so in (True, False)] == [True, False]
    assert SINGLE_PROCESS.all_equal(5, CPU)


def test_the_first_is_the_one_that_writes() -> None:
    assert [ProcessGroup(rank, 3).is_first for rank in range(3)] == [True, False, False]
    assert SINGLE_PROCESS.is_first
