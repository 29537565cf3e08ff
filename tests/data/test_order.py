"""Order of the training batches."""

import pytest
import torch

from convscope.data.order import BatchOrder, permutation
from convscope.errors import UserError


def test_permutation_is_a_function_of_seed_and_epoch() -> None:
    orders = {(s, e): permutation(1000, s, e) for s in (0, 1) for e in (0, 1)}
    for order in orders.values():
        assert order.sort().values.tolist() == list(range(1000))
    torch.manual_seed(7)
    torch.rand(3)
    assert torch.equal(orders[0, 1], permutation(1000, 0, 1))
    assert len({tuple(order.tolist()) for order in orders.values()}) == 4


def test_drawing_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    permutation(10, 0, 0)
    assert torch.equal(before, torch.random.get_rng_state())


def test_epoch_is_full_batches_of_distinct_images_drawn_from_the_indices() -> None:
    indices = torch.arange(100, 203)
    order = BatchOrder(indices, batch_size=10, seed=3)
    assert order.steps_per_epoch == 10
    epochs = [[order.batch_indices(e * 10 + i) for i in range(10)] for e in range(2)]
    for batches in epochs:
        assert [len(batch) for batch in batches] == [10] * 10
        seen = torch.cat(batches)
        assert len(seen.unique()) == 100
        assert set(seen.tolist()) <= set(indices.tolist())
    expected = indices[permutation(103, 3, 1)][:100]
    assert torch.equal(torch.cat(epochs[1]), expected)


def test_batches_do_not_depend_on_the_order_they_are_asked_in() -> None:
    steps = [7, 0, 25, 24, 8]
    forward = BatchOrder(torch.arange(50), 4, seed=1)
    in_order = {step: forward.batch_indices(step).clone() for step in sorted(steps)}
    jumping = BatchOrder(torch.arange(50), 4, seed=1)
    for step in steps:
        assert torch.equal(jumping.batch_indices(step), in_order[step])


@pytest.mark.parametrize("world_size", [1, 2, 4])
def test_ranks_cut_the_same_global_batch(world_size: int) -> None:
    whole = BatchOrder(torch.arange(30), 8, seed=5)
    ranks = [BatchOrder(torch.arange(30), 8, 5, rank, world_size) for rank in range(world_size)]
    for step in range(7):
        parts = [rank.batch_indices(step) for rank in ranks]
        assert {len(part) for part in parts} == {8 // world_size}
        assert torch.equal(torch.cat(parts), whole.batch_indices(step))


@pytest.mark.parametrize(
    ("batch_size", "world_size", "message"),
    [
        (0, 1, "data.batch_size must be between 1 and the 30 training images, got 0"),
        (31, 1, "data.batch_size must be between 1 and the 30 training images, got 31"),
        (9, 2, "data.batch_size must be a multiple of the 2 devices, got 9"),
    ],
)
def test_impossible_batch_sizes(batch_size: int, world_size: int, message: str) -> None:
    with pytest.raises(UserError, match=f"^{message}$"):
        BatchOrder(torch.arange(30), batch_size, 0, 0, world_size)
