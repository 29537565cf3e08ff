"""What is swept: counted before it is expanded, and in Hydra's order."""

import time

import pytest

from convscope.config.compose import Composer
from convscope.config.expand import jobs_of
from convscope.errors import UserError


def jobs(*typed: str) -> list[list[str]]:
    return jobs_of(typed)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ([], [[]]),
        (["a=1"], [["a=1"]]),
        (["a=1,2", "b=3,4"], [["a=1", "b=3"], ["a=1", "b=4"], ["a=2", "b=3"], ["a=2", "b=4"]]),
        # A preset's values, then what is typed.
        (["a=1,2", "b=1,2", "a=3"], [["b=1", "a=3"], ["b=2", "a=3"]]),
        (["a=1,2", "++a=3,4"], [["++a=3"], ["++a=4"]]),
        (["a=1", "++a=2", "a=3"], [["a=1", "++a=2", "a=3"]]),
        (["a=1", "a=2,3"], [["a=1", "a=2"], ["a=1", "a=3"]]),
        # A dictionary is merged, so that both count.
        (["a=1,2", "a={b: 1}"], [["a=1", "a={b: 1}"], ["a=2", "a={b: 1}"]]),
        (["a=1,2", "~a"], [["a=1", "~a"], ["a=2", "~a"]]),
        (["seed=${conv.stride}", "a=[1,2],x"], [["seed=${conv.stride}", "a=[1,2]"],
                                               ["seed=${conv.stride}", "a=x"]]),
        (["a=range(3,0,-1)"], [["a=3"], ["a=2"], ["a=1"]]),
        (["a=range(0,1,0.5)"], [["a=0.0"], ["a=0.5"]]),
        (["a=range(1,1)", "b=1,2"], []),
    ],
    ids=str,
)  # fmt: skip
def test_jobs(typed: list[str], expected: list[list[str]]) -> None:
    assert jobs(*typed) == expected


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["a=range(0,1000000000000)"], "10,000 combinations, got 1,000,000,000,000$"),
        (["a=range(0,1e300,1e-300)"], "10,000 combinations, got about 10.600$"),
        (["a=shuffle(range(0,10000000000))"], "got 10,000,000,000$"),
        (["a=sort(range(0,1000000000))", "b=1,2"], r"got 2,000,000,000 \(1,000,000,000 x 2\)$"),
        (["a=range(0,inf)"], "^a must be a range of numbers with an end, got range"),
        (["a=range(nan,1)"], "^a must be a range of numbers with an end"),
        (["a=range(1,3,0)"], "^a must be a range of numbers with an end"),
        (["a=interval(0,1)"], "^a must name its values"),
        (["a=1,2,1"], "^a must name each value once, got 1 twice$"),
        (["a={b: 1},{b: 2}", "a=1,2"], "^a must be given several values once, got 2 lists$"),
        (["sweep=grid,grid-seeds"], "^sweep must be one preset, got grid,grid-seeds$"),
    ],
    ids=str,
)
def test_what_cannot_be_swept_is_refused_at_once(typed: list[str], message: str) -> None:
    start = time.process_time()
    with pytest.raises(UserError, match=message):
        jobs(*typed)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "typed",
    [
        ["conv.stride=2", "++conv.stride=3"],
        ["++conv.stride=3", "conv.stride=2", "++conv.stride=1"],
        ["conv={stride: 2}", "conv.stride=3", "conv={padding: 0}"],
        ["seed=${conv.stride}", "conv.stride=4", "conv=k7-s2-p3"],
        ["study='a, b'", "data.root=x\\,y", "model.channels=[4,8]"],
    ],
    ids=str,
)
def test_a_list_without_several_values_means_in_a_sweep_what_it_means_alone(
    typed: list[str],
) -> None:
    composer = Composer()
    (job,) = jobs(*typed)
    (swept, _) = jobs(*typed, "trainer.max_epochs=1,2")
    assert composer.compose(job) == composer.compose(typed)
    assert composer.compose(swept) == composer.compose([*typed, "trainer.max_epochs=1"])
