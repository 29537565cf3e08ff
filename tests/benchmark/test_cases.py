"""Which variants and batch sizes are measured."""

from pathlib import Path

import pytest
from PIL import Image

from convscope.benchmark.cases import cases
from convscope.errors import UserError
from convscope.geometry import ImpossibleVariant
from convscope.training.resolve import RunResolver

DIGITS = ("data=digits", "trainer.accelerator=cpu")


def found(resolver: RunResolver, *words: str, quick: bool = False) -> list[tuple[str, int]]:
    made = cases([*DIGITS, *words], quick, resolver)
    return [(case.variant, case.batch_size) for case in made]


def test_without_words_a_small_grid(resolver: RunResolver) -> None:
    variants = ("k3-s2-p1", "k3-s1-p1", "k5-s2-p2")
    assert found(resolver) == [(variant, size) for variant in variants for size in (256, 64)]
    assert found(resolver, quick=True) == [("k3-s2-p1", 256)]


def test_what_is_given_takes_the_place_of_the_grid(resolver: RunResolver) -> None:
    assert found(resolver, "conv=k7-s1-p3", "data.batch_size=32") == [("k7-s1-p3", 32)]
    assert found(resolver, "conv.stride=2,3", "data.batch_size=8") == [
        ("k3-s2-p1", 8),
        ("k3-s3-p1", 8),
    ]


def test_two_ways_to_type_a_variant_are_measured_once(resolver: RunResolver) -> None:
    assert found(resolver, "conv.padding=1,half,same", quick=True) == [("k3-s1-p1", 256)]


def test_nothing_is_augmented_or_clipped(resolver: RunResolver, tmp_path: Path) -> None:
    """Folders of images are mirrored and shifted by default."""
    for number in range(12):
        folder = tmp_path / ("test" if number > 9 else "train") / f"class{number % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), number).save(folder / f"{number}.png")
    words = ("data=image_folder", f"data.root={tmp_path}", "data.batch_size=2", "conv.stride=2")
    (case,) = cases(words, True, resolver)
    config = case.request.config
    assert (config.data.flip, config.data.shift, config.data.cutout) == (False, 0, 0)
    assert config.trainer.gradient_clip_val is None
    assert sorted(case.overrides) == sorted(words)


@pytest.mark.parametrize(
    "word",
    [
        "data.flip=true",
        "optim=sgd",
        "trainer.max_epochs=2",
        "output_dir=x",
        "+sweep=grid",
        "repeat=3",
    ],
)
def test_what_the_benchmark_sets_cannot_be_given(resolver: RunResolver, word: str) -> None:
    key = word.partition("=")[0].lstrip("+")
    with pytest.raises(UserError, match=f"^{key} cannot be given: the benchmark sets it itself$"):
        found(resolver, word)


def test_an_impossible_variant_is_refused(resolver: RunResolver) -> None:
    with pytest.raises(ImpossibleVariant, match="conv2"):
        found(resolver, "conv.kernel_size=15", "conv.padding=0")
    with pytest.raises(UserError, match="conv.stride"):
        found(resolver, "conv.stride=0")
