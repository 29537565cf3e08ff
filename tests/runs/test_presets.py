"""Choices that are no files: a variant's label, and a run that is to be trained again."""

from pathlib import Path

import pytest
from hypothesis import given, settings

from convscope.config.compose import Composer, compose_config, config_dir
from convscope.errors import UserError
from convscope.geometry import parse_label, variant_label
from convscope.lesson.grid import examine_grid
from convscope.training.record import write_config
from convscope.training.request import RunRequest
from convscope.training.resolve import RunResolver
from convscope.variant import VariantComposer

from ..convs import parse_conv, parse_typed
from ..geometry.typed_convs import Typed, typed_convs


@settings(deadline=None, derandomize=True, max_examples=300)
@given(typed_convs(kernel=12, stride=11, padding=12))
def test_whatever_a_label_says_can_be_typed(typed: Typed) -> None:
    convs = parse_conv(*typed.typed, **typed.others)
    conv = parse_label(variant_label(convs))
    assert conv is not None
    assert parse_typed(conv, len(convs)) == convs


@pytest.mark.parametrize(
    "file", sorted((config_dir() / "conv").glob("k[0-9]*.yaml")), ids=lambda f: f.stem
)
def test_a_label_means_what_the_file_of_that_name_does(file: Path) -> None:
    conv = compose_config([f"conv={file.stem}"]).conv
    assert parse_label(file.stem).items() <= vars(conv).items()
    assert (conv.dilation, conv.padding_mode) == (1, "zeros")


@pytest.mark.parametrize(
    "label",
    [
        "",
        "k3",
        "k4-s1-p1+",
        "k4-s1-p1+2+3",
        "k4-s1-p1+2x1",
        "k4-s1-p01+2",
        "k3-s1",
        "k3-s1-p",
        "k03-s1-p1",
        "k3-s1-p1-",
        "K3-s1-p1",
        "k3-s1-phalf",
        "k-s-p",
    ],
)
def test_what_is_no_label(label: str) -> None:
    assert parse_label(label) is None


def test_labels_are_pairs_of_values_in_a_grid_too() -> None:
    grid = examine_grid(["conv=k7-s2-p3,k3-s1-p1,k3x5-s1-p1x2"])
    labels = [row.variant.label for row in grid.rows]
    assert labels == ["k7-s2-p3", "k3-s1-p1", "k3x5-s1-p1x2"]


def test_a_value_typed_before_or_after_a_label_counts() -> None:
    for words in (["conv=k7-s2-p3", "conv.stride=1"], ["conv.stride=1", "conv=k7-s2-p3"]):
        assert VariantComposer().compose(words).label == "k7-s1-p3"


CHANGED = [
    "data=digits",
    "data.batch_size=64",
    "model.channels=[4,8]",
    "model.pool_after=[]",
    "optim.lr=1e-3",
    "conv.kernel_size=[4,3x5]",
    "conv.padding=[same,half]",
    "trainer.max_epochs=3",
    "trainer.limit_train_batches=0.5",
    "trainer.gradient_clip_val=0.5",
    "seed=7",
    "compile=true",
    "study=first",
    "rerun=true",
    "repeat=1",
]


@pytest.fixture(scope="module")
def resolver() -> RunResolver:
    return RunResolver()


def requested(resolver: RunResolver, *words: str) -> RunRequest:
    return resolver.request(*resolver.prepare([words]))


@pytest.fixture
def run(resolver: RunResolver, tmp_path: Path) -> RunRequest:
    """A run that has left its config.yaml."""
    request = requested(resolver, *CHANGED, f"output_dir={tmp_path}/with a space")
    request.directory.path.mkdir(parents=True)
    write_config(request)
    return request


def test_a_run_is_asked_for_again_by_its_folder(resolver: RunResolver, run: RunRequest) -> None:
    again = requested(resolver, f"experiment='{run.directory.path}'")
    assert (again.id, again.directory) == (run.id, run.directory)
    assert not again.config.rerun
    for folder in (f"{run.directory.path}/", str(run.directory.path / "." / "")):
        assert requested(resolver, f"experiment='{folder}'").id == run.id


@pytest.mark.parametrize("own", ["match=macs", "vary=split"])
def test_a_run_that_was_matched_or_split_by_its_seed_is_asked_for_again(
    own: str, resolver: RunResolver, tmp_path: Path
) -> None:
    words = ["data=digits", "conv.kernel_size=5", "model.channels=[8,16]", own]
    request = requested(resolver, *words, "seed=3", f"output_dir={tmp_path}")
    request.directory.path.mkdir(parents=True)
    write_config(request)
    again = f"experiment='{request.directory.path}'"
    assert requested(resolver, again).id == request.id
    # What is typed beside it counts, and is matched or split anew.
    for change in ("conv.kernel_size=7", "seed=4", "model.channels=[16,16]"):
        typed = requested(resolver, *words, "seed=3", f"output_dir={tmp_path}", change)
        assert requested(resolver, again, change).id == typed.id != request.id


@pytest.mark.parametrize(
    "change",
    [
        ["seed=8"],
        ["conv=k5-s2-p2", "data.batch_size=32"],
        ["model=wide", "conv.kernel_size=3", "conv.padding=1"],
        ["trainer=default", "optim.warmup=0.5"],
    ],
    ids=str,
)
@pytest.mark.parametrize("comes_first", [True, False])
def test_what_is_typed_beside_a_run_counts(
    resolver: RunResolver, run: RunRequest, change: list[str], comes_first: bool
) -> None:
    again = f"experiment='{run.directory.path}'"
    words = [*change, again] if comes_first else [again, *change]
    asked = requested(resolver, *words)
    typed = requested(resolver, *CHANGED, f"output_dir={run.config.output_dir}", *change)
    if "trainer=default" in change or "model=wide" in change:
        # Typed in full, the values would count before the group's choice.
        assert asked.id != run.id
        assert asked.config.trainer.max_epochs == (5 if "trainer=default" in change else 3)
        assert asked.config.model.channels == ([32, 64, 128] if "model=wide" in change else [4, 8])
        return
    if "conv=k5-s2-p2" in change:
        assert asked.variant.label == "k5-s2-p2"
        return
    assert asked.id == typed.id


def test_a_part_of_a_run_is_a_choice_of_its_group(run: RunRequest) -> None:
    config = Composer().compose([f"optim='{run.directory.path}'", f"model='{run.directory.path}'"])
    assert (config.optim.lr, config.model.channels) == (1e-3, [4, 8])
    assert (config.trainer.max_epochs, config.seed) == (5, 0)


@pytest.mark.parametrize(
    "content", ["", "a", "[1]", "{", "conv: 1\n", "\0", "conv: {kernel_size: {}}"]
)
def test_a_damaged_config_is_named(run: RunRequest, content: str) -> None:
    run.directory.config.write_text(content)
    with pytest.raises(UserError, match=r"config\.yaml (is not|cannot be read)"):
        Composer().compose([f"conv='{run.directory.path}'"])
