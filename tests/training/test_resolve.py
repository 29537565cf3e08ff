"""What a command means on this machine: its data, its hardware, its identity and its name."""

import dataclasses
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from PIL import Image

from convscope import variant
from convscope.config.compose import compose_config, config_dir, register_schema
from convscope.data import Facts, sources
from convscope.data.digits import load_digits
from convscope.errors import UserError
from convscope.runs.identity import identity
from convscope.streams import log_to_terminal
from convscope.training import devices, resolve
from convscope.training.record import first_record
from convscope.training.request import RunRequest, fitted, to_remote
from convscope.training.resolve import RunResolver

WITHOUT = "MNIST is not under no-data/ and could not be downloaded (no network)"


class Auto:
    """Stands for the search of MNIST, and counts how often it is searched."""

    def __init__(self, name: str, reason: str | None) -> None:
        self.answer = name, reason
        self.roots: list[str] = []

    def __call__(self, root: str) -> tuple[str, str | None]:
        self.roots.append(root)
        return self.answer


@pytest.fixture
def no_mnist(monkeypatch: pytest.MonkeyPatch) -> Auto:
    auto = Auto("digits", WITHOUT)
    monkeypatch.setattr(sources, "resolve_auto", auto)
    monkeypatch.setenv("CONVSCOPE_DATA", "no-data")
    return auto


@pytest.fixture
def with_mnist(monkeypatch: pytest.MonkeyPatch) -> Auto:
    """Digits in MNIST's place."""
    auto = Auto("mnist", None)
    monkeypatch.setattr(sources, "resolve_auto", auto)
    images = dataclasses.replace(load_digits(), name="mnist", fingerprint="as if")
    monkeypatch.setattr(sources, "load", lambda name, *_: {"mnist": images}[name])
    return auto


def requests(*commands: str) -> tuple[list[RunRequest], list[str]]:
    """The runs that commands ask for when they come as one, and what is told about them."""
    told: list[str] = []
    resolver = RunResolver()
    with log_to_terminal(told.append):
        return [resolver.request(*resolver.prepare([c.split()])) for c in commands], told


def request(command: str) -> RunRequest:
    return requests(command)[0][0]


@pytest.fixture(scope="module")
def ask() -> Callable[[str], RunRequest]:
    """Runs on digits, with the images loaded once."""
    resolver = RunResolver()
    return cache(
        lambda command: resolver.request(*resolver.prepare([["data=digits", *command.split()]]))
    )


@pytest.fixture(scope="module", autouse=True)
def hydra() -> Iterator[None]:
    """One for all: half the time of a config."""
    GlobalHydra.instance().clear()
    register_schema()
    with initialize_config_dir(str(config_dir()), version_base="1.3"):
        yield


def test_auto_without_mnist_is_digits_and_says_so_once(no_mnist: Auto) -> None:
    (first, second), told = requests("conv.stride=2", "conv.stride=1")
    assert told == [f"data=auto takes digits: {WITHOUT}"]
    assert no_mnist.roots == ["no-data"]
    assert first.directory.path.parent == Path("outputs/default")
    assert re.fullmatch(r"digits-k3-s2-p1-seed0-[0-9a-f]{8}", first.directory.name)
    assert re.fullmatch(r"digits-k3-s1-p1-seed0-[0-9a-f]{8}", second.directory.name)
    record = first_record(first)
    assert record.dataset["name"] == record.config["data"]["name"] == "digits"
    assert record.config["data"]["batch_size"] == 32
    assert record.command == "python scripts/train.py conv.stride=2"


def test_auto_with_mnist_is_mnist(with_mnist: Auto) -> None:
    (run,), told = requests("conv.stride=2")
    assert told == []
    assert run.directory.name.startswith("mnist-k3-s2-p1-seed0-")
    assert (run.config.data.name, run.config.data.batch_size) == ("mnist", 256)


def test_a_run_is_composed_checked_and_computed_once(
    with_mnist: Auto, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hydra composes the groups once, for the run and for the defaults that its name omits."""
    calls: Counter[str] = Counter()

    def counted(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def call(*arguments: Any, **options: Any) -> Any:
            calls[name] += 1
            return real(*arguments, **options)

        monkeypatch.setattr(owner, name, call)

    counted(ConfigLoaderImpl, "load_configuration")
    counted(resolve, "check")
    counted(variant, "network_geometry")
    run = request("conv.stride=2")
    assert run.directory.name.startswith("mnist-k3-s2-p1-seed0-")
    assert calls == {"load_configuration": 1, "check": 1, "network_geometry": 1}


def test_auto_has_the_values_of_mnist_but_for_the_name() -> None:
    """So a run of auto that is one of MNIST need not be composed again."""
    auto, mnist = (compose_config([f"data={name}"]) for name in ("auto", "mnist"))
    renamed = dataclasses.replace(auto.data, name="mnist")
    assert dataclasses.replace(auto, data=renamed) == mnist
    assert compose_config([]) == auto


def test_another_choice_of_data_named_auto_has_the_values_of_mnist(with_mnist: Auto) -> None:
    run = request("data=digits data.name=auto")
    assert (run.config.data.name, run.config.data.batch_size) == ("mnist", 256)


@pytest.mark.parametrize(
    "typed", ["", "data=auto", "data=digits data.name=auto", "data={name:auto}"]
)
def test_every_way_to_ask_for_auto(typed: str, no_mnist: Auto) -> None:
    run = request(f"{typed} conv.stride=2")
    assert run.directory.name == request("data=digits conv.stride=2").directory.name


def test_what_was_set_of_auto_stays_set(no_mnist: Auto) -> None:
    for typed in ("data.batch_size=64", "data={batch_size:64}", "data=auto data.batch_size=64"):
        run = request(typed)
        assert run.config.data.batch_size == 64
        assert run.directory.name.startswith("digits-k3-s1-p1-batch_size64-seed0-")


def test_a_data_set_asked_for_by_name_is_not_searched_or_replaced(
    no_mnist: Auto, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="train-images-idx3-ubyte") as refused:
        request(f"data=mnist data.root={tmp_path}")
    assert str(tmp_path) in str(refused.value)
    assert no_mnist.roots == []


@pytest.mark.parametrize(
    "typed",
    [
        "conv.padding=half",
        "conv.padding=same",
        "conv.padding=1x1",
        "conv.padding=[1,half,same]",
        "conv=k3-s1-p1",
        "conv.kernel_size=[3,3,3] conv.stride=1x1",
        "data.root=elsewhere",
        "study=other",
        "output_dir=other",
        "rerun=true",
        "trainer.enable_progress_bar=false",
        "trainer.accelerator=auto trainer.precision=auto",
        "trainer.strategy=ddp",
    ],
)
def test_what_cannot_change_the_result_is_one_run(
    typed: str, ask: Callable[[str], RunRequest]
) -> None:
    plain, other = ask(""), ask(typed)
    assert other.id == plain.id
    assert other.directory.name == plain.directory.name


def test_auto_is_the_same_run_as_the_device_and_precision_that_it_stands_for(
    ask: Callable[[str], RunRequest],
) -> None:
    plain = ask("")
    used = plain.hardware
    named = ask(f"trainer.accelerator={used.accelerator} trainer.precision={used.precision}")
    assert (named.id, named.directory.name) == (plain.id, plain.directory.name)


def test_several_devices_share_a_run_by_ddp_alone(ask: Callable[[str], RunRequest]) -> None:
    two = "trainer.accelerator=cpu trainer.devices=2"
    auto, ddp = ask(two), ask(f"{two} trainer.strategy=ddp")
    assert (auto.id, auto.directory.name) == (ddp.id, ddp.directory.name)
    assert auto.id != ask("trainer.accelerator=cpu").id
    assert "-devices2-seed0-" in auto.directory.name


def test_another_precision_is_another_run(
    ask: Callable[[str], RunRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "_computes_bfloat16", lambda accelerator: True)
    resolver = RunResolver()
    run = resolver.request(*resolver.prepare([["data=digits", "trainer.precision=32-true"]]))
    assert "-precision32-true-seed0-" in run.directory.name
    default = resolver.request(*resolver.prepare([["data=digits"]]))
    assert "precision" not in default.directory.name
    assert run.id != default.id


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("seed=1", "-k3-s1-p1-seed1-"),
        ("conv.stride=2", "-k3-s2-p1-seed0-"),
        ("conv.padding=0", "-k3-s1-p0-seed0-"),
        ("optim.lr=0.01", "-k3-s1-p1-lr0.01-seed0-"),
        ("model=wide", "-k3-s1-p1-channels32-64-128-seed0-"),
        ("model.pool_after=[]", "-k3-s1-p1-pool_after_-seed0-"),
        ("model.pool=none", "-k3-s1-p1-pool_after_-seed0-"),
        ("model.pool=blur", "-k3-s1-p1-pool_blur-seed0-"),
        ("model=airbench model.pool=none", "-k3-s1-p1-airbench-pool_none-seed0-"),
        ("conv.stride=2 model.downsample=blur", "-k3-s2-p1-downsample_blur-seed0-"),
        ("trainer.limit_train_batches=12", "-limit_train_batches12-seed0-"),
        ("trainer.max_epochs=1 optim.lr=0.1", "-lr0.1-max_epochs1-seed0-"),
        ("data.val_fraction=0.2", "-val_fraction0.2-seed0-"),
        ("data.batch_size=64", "-batch_size64-seed0-"),
        ("trainer.deterministic=true", "-deterministic_True-seed0-"),
        ("compile=true", "-compile_True-seed0-"),
    ],
)
def test_what_changes_the_result_is_another_run_and_shows_in_its_name(
    typed: str, shown: str, ask: Callable[[str], RunRequest]
) -> None:
    plain, other = ask(""), ask(typed)
    assert other.id != plain.id
    assert other.directory.name.startswith("digits-")
    assert shown in other.directory.name
    assert other.directory.name.endswith(other.id[:8])


@pytest.mark.parametrize(
    ("typed", "same"),
    [
        ("model.pool=none", "model.pool_after=[]"),
        ("model.pool=avg model.pool_after=[]", "model.pool_after=[]"),
        ("model=resnet20 model.pool=none", "model=resnet20"),
        ("model=resnet20 model.pool=blur", "model=resnet20"),
        ("model.downsample=blur", ""),
        ("conv.stride=1x1 model.downsample=blur", ""),
    ],
)
def test_networks_that_are_equal_are_one_run(
    typed: str, same: str, ask: Callable[[str], RunRequest]
) -> None:
    one, other = ask(typed), ask(same)
    assert one.id == other.id
    assert one.directory == other.directory
    # The identity follows from what the record says.
    assert identity(first_record(one).config) == one.id


@pytest.mark.parametrize(
    ("typed", "other"),
    [
        ("model.pool=avg", ""),
        ("model.pool=blur", "model.pool=avg"),
        ("model.pool=none", ""),
        ("model=airbench model.pool=none", "model=airbench"),
        ("conv.stride=2 model.downsample=blur", "conv.stride=2"),
        ("conv.stride=[1,2,1] model.downsample=blur", "conv.stride=[1,2,1]"),
        (
            "conv.padding=same conv.stride=2 model.downsample=blur",
            "conv.padding=same conv.stride=2",
        ),
    ],
)
def test_networks_that_differ_in_downsampling_are_other_runs(
    typed: str, other: str, ask: Callable[[str], RunRequest]
) -> None:
    assert ask(typed).id != ask(other).id
    assert ask(typed).directory.name != ask(other).directory.name


def test_an_impossible_variant_has_a_name_and_an_identity_of_its_own(
    ask: Callable[[str], RunRequest],
) -> None:
    same = ask("conv.padding=same conv.stride=2")
    assert same.directory.name.startswith("digits-k3-s2-psame-seed0-")
    assert same.id != ask("conv.padding=half conv.stride=2").id
    large = ask("conv.kernel_size=15 conv.padding=0")
    assert large.directory.name.startswith("digits-k15-s1-p0-seed0-")


def test_sides_that_differ_are_pixels_in_the_label_and_same_in_the_folder(
    ask: Callable[[str], RunRequest],
) -> None:
    run = ask("conv.kernel_size=4 conv.padding=same")
    assert first_record(run).variant == "k4-s1-p1+2"
    assert run.directory.name.startswith("digits-k4-s1-psame-seed0-")
    assert ask("conv=k4-s1-p1+2").directory == ask("conv=k4-s1-psame").directory == run.directory


def test_other_images_of_the_same_name_are_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    images = load_digits()
    ids = []
    for fingerprint in ("one", "other"):
        given = dataclasses.replace(images, fingerprint=fingerprint)
        monkeypatch.setattr(sources, "load", lambda *where, given=given: given)
        ids.append(request("data=digits").id)
    assert ids[0] != ids[1]


def test_each_data_set_is_loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []
    load = sources.load

    def counted(name: str, *where: object) -> object:
        loaded.append(name)
        return load(name, *where)  # type: ignore[arg-type]

    monkeypatch.setattr(sources, "load", counted)
    requests("data=digits", "data=digits seed=1", "data=digits conv.stride=2")
    assert loaded == ["digits"]


def test_two_processes_agree_on_an_identity(ask: Callable[[str], RunRequest]) -> None:
    code = (
        "from convscope.training.resolve import RunResolver\n"
        "r = RunResolver()\n"
        "print(r.request(*r.prepare([['data=digits', 'conv.padding=half']])).id)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ask("").id


def own_images(root: Path, per_class: int, side: int = 12) -> str:
    """The command of a first run on `per_class` images of 3 classes, and a third for the test."""
    for part, count in (("train", per_class), ("test", -(-per_class // 3))):
        for label in range(3):
            (root / part / f"{label}").mkdir(parents=True)
            for number in range(count):
                image = Image.new("RGB", (side, side), (80 * label, number, 0))
                image.save(root / part / f"{label}/{number}.png")
    return f"data=image_folder data.root={root}"


def test_a_batch_that_fits_few_images_is_taken_and_said(tmp_path: Path) -> None:
    command = own_images(tmp_path, 72)
    (run,), told = requests(command)
    # 216 images, 7 of each class for validation (7.2 rounded): 195 are left to train.
    assert len(run.train_indices) == 195
    assert run.config.data.batch_size == 16
    assert run.steps.per_epoch == 12
    assert told == [
        "data.batch_size=16 is taken: 256 does not suit the 216 training images of image_folder"
    ]
    # Typed, it is the same run.
    (same,), told = requests(f"{command} data.batch_size=16")
    assert (same.id, same.directory.name) == (run.id, run.directory.name)
    assert told == []
    assert "-batch_size16-" in run.directory.name


@pytest.mark.parametrize(
    ("typed", "name", "earlier"),
    [
        ("data.flip=true data.shift=2", "-flip_True-shift2", ""),
        ("", "", "-flip_False-shift0"),
        ("data.shift=2", "-shift2", "-flip_False"),
    ],
)
def test_a_run_named_by_earlier_defaults_is_found(
    typed: str, name: str, earlier: str, tmp_path: Path
) -> None:
    # Mirroring and shifts were on.
    command = f"{own_images(tmp_path, 5)} data.batch_size=4 output_dir={tmp_path} {typed}"
    run = request(command)
    end = f"-seed0-{run.id[:8]}"
    begin = "image_folder-k3-s1-p1-batch_size4"
    assert run.directory.name == f"{begin}{name}{end}"
    before = run.directory.path.with_name(f"{begin}{earlier}{end}")
    before.mkdir(parents=True)
    assert request(command).directory.path == before
    run.directory.path.mkdir()
    assert request(command).directory.path == run.directory.path


def test_what_was_typed_or_fits_stays(tmp_path: Path) -> None:
    command = own_images(tmp_path, 72)
    with pytest.raises(UserError) as error:
        requests(f"{command} data.batch_size=196")
    assert str(error.value) == ("data.batch_size must be at most the 195 training images, got 196")
    for typed, batch in (("data.batch_size=195", 195), ("data.batch_size=3", 3)):
        (run,), told = requests(f"{command} {typed}")
        assert (run.config.data.batch_size, told) == (batch, [])


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        (
            "data.batch_size=1000",
            "data.batch_size must be at most the 54 training images, got 1000",
        ),
        ("data.shift=12", "data.shift must be at most 11 on images of 12 pixels, got 12"),
        (
            "data.batch_size=54 trainer.limit_train_batches=0.5",
            "trainer.limit_train_batches must leave at least 1 of 1 batches, got 0.5",
        ),
    ],
)
def test_images_that_differ_in_size_are_told_with_what_else_is_wrong(
    typed: str, wrong: str, tmp_path: Path
) -> None:
    command = own_images(tmp_path, 20)
    sizes = (
        f"{tmp_path}/train/1/0.png has 12x15 pixels (height x width), train/0/0.png has 12x12;"
        " data.image_size=12 scales all to one size"
    )
    with pytest.raises(UserError) as error:
        requests(f"{command} {typed}")
    assert str(error.value) == wrong
    Image.new("RGB", (15, 12)).save(tmp_path / "train/1/0.png")
    with pytest.raises(UserError) as error:
        requests(f"{command} {typed}")
    assert str(error.value) == f"{wrong}\n{sizes}"
    with pytest.raises(UserError) as error:
        requests(command)
    assert str(error.value) == sizes
    with pytest.raises(UserError) as error:
        requests(f"{command} {typed} data.image_size=12")
    assert str(error.value) == wrong


@pytest.mark.parametrize(
    ("per_class", "devices", "left", "batch", "share"),
    [
        (94, 1, 255, 16, 0.1),  # 9 of each validate.
        (95, 1, 255, 16, 0.1),  # 10 of each: 9.5, rounded up.
        (96, 1, 258, 256, 0.1),
        (72, 3, 195, 24, 0.1),  # 65 a device: 8 of them in each of 8 steps.
        (5, 1, 12, 2, 0.1),
        (4, 1, 9, 2, 0.125),
        (3, 1, 6, 2, 0.2),
        (2, 1, 3, 2, 0.25),
    ],
)
def test_few_images_are_fitted_exactly(
    per_class: int, devices: int, left: int, batch: int, share: float, tmp_path: Path
) -> None:
    config = compose_config(["data=image_folder", f"data.root={tmp_path}"])
    config.trainer.devices = devices
    facts = Facts("image_folder", (3, 12, 12), 3, 3 * per_class, (per_class,) * 3)
    data = fitted(config, (), facts).data
    assert (data.batch_size, data.val_fraction) == (batch, share)
    assert facts.split_train_size(share) == left


def test_the_smallest_folder_trains_or_says_what_it_lacks(tmp_path: Path) -> None:
    (run,), told = requests(own_images(tmp_path / "two", 2))
    assert (len(run.train_indices), len(run.val_indices)) == (3, 3)
    assert told == [
        "data.batch_size=2 is taken: 256 does not suit the 6 training images of image_folder",
        "data.val_fraction=0.25 is taken: 0.1 does not suit the 6 training images of image_folder",
    ]
    with pytest.raises(UserError) as error:
        requests(own_images(tmp_path / "one", 1))
    assert str(error.value) == (
        "some class must have at least 2 training images: one of them is for validation"
    )


def test_what_of_the_images_is_not_used_is_told_once(tmp_path: Path) -> None:
    command = own_images(tmp_path, 5)
    (tmp_path / "val").mkdir()
    _, told = requests(f"{command} data.batch_size=4", f"{command} data.batch_size=4 seed=1")
    assert told == [
        f"{tmp_path}/val is not used: validation images are taken from train/, a share of"
        " data.val_fraction"
    ]


def test_large_images_are_told_with_the_way_to_scale_them(tmp_path: Path) -> None:
    told: list[str] = []
    command = [*own_images(tmp_path, 5, side=513).split(), "data.batch_size=4"]
    with log_to_terminal(told.append):
        RunResolver().prepare([command, [*command, "seed=1"]])
    assert told == [
        "images of 513x513 pixels (height x width) take much memory and time:"
        " data.image_size=64 would scale them"
    ]
    with log_to_terminal(told.append):
        RunResolver().prepare([[*command, "data.image_size=600"]])
    assert len(told) == 1


def test_a_cache_of_ones_own_is_the_same_run(tmp_path: Path) -> None:
    command = own_images(tmp_path / "shared", 5)
    own = tmp_path / "own"
    (run, same), _ = requests(f"{command} data.cache={own}", command)
    assert (run.id, run.directory) == (same.id, same.directory)
    assert [*own.glob("shared-*/image_folder-*")]
    remote = to_remote(run)
    assert (remote.data_root, remote.data_cache) == (tmp_path / "shared", own)
    assert remote.materialize(run.hardware).id == run.id
    assert not (tmp_path / "shared/.convscope").exists()


def test_a_split_of_its_own_is_another_run(ask: Callable[[str], RunRequest]) -> None:
    usual, other = ask("seed=1"), ask("seed=1 data.split_seed=3")
    assert usual.directory.name.startswith("digits-k3-s1-p1-seed1-")
    assert other.directory.name.startswith("digits-k3-s1-p1-split_seed3-seed1-")
    assert usual.id != other.id
    assert len(usual.val_indices) == len(other.val_indices)
    assert set(usual.val_indices) != set(other.val_indices)


def test_with_vary_split_the_seed_draws_the_split_of_all_variants(
    ask: Callable[[str], RunRequest],
) -> None:
    first, second, wide = (
        ask(f"vary=split {words}") for words in ("seed=1", "seed=2", "seed=1 conv.kernel_size=5")
    )
    assert first.directory.name.startswith("digits-k3-s1-p1-vary_split-seed1-")
    assert (first.config.data.split_seed, second.config.data.split_seed) == (1, 2)
    assert set(first.val_indices) == set(wide.val_indices) != set(second.val_indices)
    assert set(first.val_indices) == set(ask("data.split_seed=1").val_indices)
    # Other images are validated on, and the same tested.
    assert (first.images.test_labels == second.images.test_labels).all()
    remote = to_remote(first).materialize(first.hardware)
    assert (remote.val_indices == first.val_indices).all()
    with pytest.raises(UserError, match="^data.split_seed must be null with vary=split, which "):
        ask("vary=split data.split_seed=1")


def test_a_matched_run_is_named_by_its_channels(ask: Callable[[str], RunRequest]) -> None:
    matched = ask("match=macs conv.kernel_size=5")
    assert matched.directory.name.startswith("digits-k5-s1-p1-channels14-28-57-match_macs-seed0-")
    assert ask("match=macs").id == ask("seed=0").id
    assert to_remote(matched).materialize(matched.hardware).config == matched.config
    record = first_record(matched)
    assert record.config["match"] == "macs"
    assert record.config["model"]["matched_from"] == [16, 32, 64]
