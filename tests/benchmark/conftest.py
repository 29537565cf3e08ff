"""Cases of tiny runs on digits."""

from collections.abc import Callable

import pytest
import torch

from convscope.benchmark.cases import Case, cases
from convscope.training.resolve import RunResolver

TINY = ("data=digits", "trainer.accelerator=cpu", "model.channels=[4,8]", "data.batch_size=32")
MakeCase = Callable[..., Case]


@pytest.fixture(scope="session")
def resolver() -> RunResolver:
    return RunResolver()


@pytest.fixture
def make_case(resolver: RunResolver) -> MakeCase:
    """The one case of these overrides: `make_case("conv.stride=2")`."""
    torch.set_num_threads(1)

    def make(*overrides: str) -> Case:
        (case,) = cases([*TINY, *overrides], quick=True, resolver=resolver)
        return case

    return make
