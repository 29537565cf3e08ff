"""A tiny run on digits, which need no file, and what it left for TensorBoard."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from convscope.training.request import RunRequest

TINY = (
    "data=digits",
    "model.channels=[4,8]",
    "trainer.max_epochs=2",
    "trainer.limit_train_batches=12",
    "trainer.log_every_n_steps=5",
)

Ask = Callable[..., "RunRequest"]
Scalars = dict[str, list[tuple[int, float]]]


@pytest.fixture(scope="session")
def ask() -> Ask:
    """A request for a tiny run: `ask(output_dir, "conv.stride=2", ...)`."""
    import torch

    from convscope.jobs import Resolver, prepare

    # Quicker than two for such a network, and the same bits on every machine that runs the tests.
    torch.set_num_threads(1)
    resolver = Resolver(pytest.fail)

    def request(output_dir: Path, *overrides: str) -> "RunRequest":
        return resolver.request(prepare([*TINY, f"output_dir={output_dir}", *overrides]))

    return request


@pytest.fixture(scope="session")
def scalars() -> Callable[[Path], Scalars]:
    """TensorBoard's own reading of a folder: each tag's (step, value) in the order written."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(folder: Path) -> Scalars:
        events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "scalars": 0})
        events.Reload()
        found: Scalars = {}
        for tag in events.Tags()["tensors"]:
            content = events.Tensors(tag)
            if content[0].tensor_proto.dtype == 1:
                found[tag] = [(e.step, e.tensor_proto.float_val[0]) for e in content]
        return found

    return read
