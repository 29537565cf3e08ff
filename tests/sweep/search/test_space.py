"""The values that are typed, and the variants that they make."""

from pathlib import Path

import pytest

from convscope.errors import UserError
from convscope.sweep.search.space import candidates_of, space_of
from convscope.training.resolve import RunResolver

from .planted import FIXED, IMPOSSIBLE, KEYS


def test_numbers_rise_and_others_stay_as_typed() -> None:
    kernel, padding = space_of(
        {"conv.kernel_size": ("11", "3", "5"), "conv.padding": ("half", "0", "1")}
    ).axes
    assert (kernel.values, kernel.is_ordered) == (("3", "5", "11"), True)
    assert (padding.values, padding.is_ordered) == (("half", "0", "1"), False)


def test_every_combination_has_its_overrides() -> None:
    space = space_of({"conv.kernel_size": ("3x5", "3"), "conv.stride": ("2", "1")})
    assert space.size == 4
    assert [space.overrides(point) for point in space.points()] == [
        ["conv.kernel_size=3x5", "conv.stride=1"],
        ["conv.kernel_size=3x5", "conv.stride=2"],
        ["conv.kernel_size=3", "conv.stride=1"],
        ["conv.kernel_size=3", "conv.stride=2"],
    ]


@pytest.mark.parametrize(
    ("swept", "message"),
    [
        ({}, "a search needs values to choose from, such as conv.kernel_size=1,3,5,7"),
        (
            {"conv.stride": ["1", "2"], "seed": ["0", "1"]},
            "a search chooses among values of conv.kernel_size, conv.stride, conv.padding,"
            " conv.dilation, conv.padding_mode only,"
            " got seed=0,1\nsearch with one seed, then sweep the best variants with -m seed=0,1",
        ),
        (
            {"objective": ["val/accuracy", "summary/macs"]},
            "objective must be a list where there are several:"
            " 'objective=[val/accuracy,summary/macs]'",
        ),
        ({"conv.stride": []}, "conv.stride must name its values, but nothing matches its glob"),
        (
            {
                "conv.kernel_size": list(map(str, range(1, 102))),
                "conv.padding": list(map(str, range(100))),
            },
            "a search takes at most 10,000 combinations, got 10,100\nname fewer values",
        ),
    ],
)
def test_what_is_no_space_is_answered_in_one_line(swept, message: str) -> None:
    with pytest.raises(UserError) as refused:
        space_of(swept)
    assert str(refused.value) == message


def test_what_is_one_variant_is_one_candidate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    space = space_of(KEYS)
    candidates = candidates_of(space, FIXED, RunResolver())
    by_variant = {one.run.request.variant.label: one for one in candidates}
    assert len(by_variant) == len(candidates) == 21
    assert sorted(point for one in candidates for point in one.points) == sorted(space.points())
    # Kernel 1 without padding, which is half of it: at each stride.
    assert by_variant["k1-s2-p0"].points == ((0, 1, 0), (0, 1, 1))
    impossible = {name for name, one in by_variant.items() if one.run.state == "impossible"}
    assert impossible == IMPOSSIBLE
    assert list(tmp_path.iterdir()) == []
