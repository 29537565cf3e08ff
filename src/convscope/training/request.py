"""What is asked for, known to the last pixel before anything is trained."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.config import TrainConfig, brief, dotted
from convscope.data import Facts, dataset_facts
from convscope.data.facts import held_back
from convscope.errors import UserError
from convscope.geometry import (
    ConvSpec,
    ImpossibleVariant,
    NetworkGeometry,
    conv_config,
    folder_label,
    network_geometry,
    parse_conv,
    require_batch_norm,
    typed_config,
)
from convscope.runs.directory import RunDirectory, check_study_name, run_name
from convscope.runs.identity import EXCLUDED, identity
from convscope.training.steps import StepPlan, limited, plan_steps

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convscope.data.images import Images
    from convscope.training.hardware import Hardware

_STEPS_OF_A_SMALL_EPOCH = 8
"""At least, where a data set has fewer images than a batch would take."""
_SMALL_SHARES = (0.125, 0.2, 0.25)
"""Of validation images: one of 4, of 3 and of 2."""


@dataclass(frozen=True)
class CheckedConfig:
    """A config whose geometry and sizes are known; made without torch and without loading data."""

    config: TrainConfig
    overrides: tuple[str, ...]
    """What the user typed."""
    convs: tuple[ConvSpec, ...] | None
    """None where padding=same meets a stride above 1, which has no pixels."""
    geometry: NetworkGeometry | None
    impossible: ImpossibleVariant | None
    """Why there is no geometry."""

    @property
    def variant(self) -> str:
        if self.impossible is not None:
            return self.impossible.variant
        assert self.geometry is not None
        return self.geometry.variant

    @property
    def command(self) -> str:
        return shlex.join(["python", "scripts/train.py", *self.overrides])


def check(
    config: TrainConfig, overrides: Sequence[str], facts: Facts | None = None
) -> CheckedConfig:
    """Work out a config's geometry and hold it against its data set.

    Args:
        facts: the data set's outline, where it is known better than from its name and place;
            `data.name=auto` is checked as MNIST, whose shape digits share and whose size is larger.

    Raises:
        UserError: a conv value, study name or batch size that no run could have.
    """
    check_study_name(config.study)
    layers = len(config.model.channels)
    facts = facts or dataset_facts(
        outlined(config.data.name), config.data.root, config.data.image_size
    )
    try:
        train_size = facts.left_to_train(config.data.val_fraction)
        plan_steps(config.trainer, train_size, config.data.batch_size)
        _check_augmentation(config, min(facts.input_shape[1:]))
    except UserError as error:
        raise _with_sizes(error, config) from error
    convs, geometry, impossible = None, None, None
    try:
        convs = parse_conv(
            vars(config.conv), layers, facts.input_shape[1:], config.model.pool_after
        )
        geometry = network_geometry(
            facts.input_shape, convs, config.model.channels, config.model.pool_after, facts.classes
        )
        require_batch_norm(geometry, config.data.batch_size, config.trainer.devices)
    except ImpossibleVariant as error:
        geometry, impossible = None, error
    return CheckedConfig(config, tuple(overrides), convs, geometry, impossible)


def _with_sizes(error: UserError, config: TrainConfig) -> UserError:
    """The error, and in a second line that images differ in size: it would be the next one."""
    if config.data.name != "image_folder" or config.data.image_size is not None:
        return error
    from convscope.data.decode import differing_size

    sizes = differing_size(Path(config.data.root))
    return error if sizes is None else UserError(f"{error}\n{sizes}")


def outlined(name: str) -> str:
    """The data set whose outline is that of `name`: `auto` is MNIST, or digits of its shape."""
    return "mnist" if name == "auto" else name


def fitted(config: TrainConfig, typed: Collection[str], facts: Facts) -> TrainConfig:
    """The config with a batch and a validation share that a small data set allows.

    What was typed stays, and so does what is possible: the batch is changed only where it has more
    images than there are to train on, the share only where it is less than an image of any class.

    Args:
        typed: keys that were set on the command line.
    """
    data, devices = config.data, config.trainer.devices
    largest = max(facts.class_sizes, default=0)
    if largest > 1 and "data.val_fraction" not in typed:
        shares = (data.val_fraction, *_SMALL_SHARES)
        data = replace(data, val_fraction=next(one for one in shares if held_back(largest, one)))
    left = facts.left_to_train(data.val_fraction)
    if 2 * devices <= left < data.batch_size and "data.batch_size" not in typed:
        # Batch norm wants 2 images per device.
        each = max(2, left // (_STEPS_OF_A_SMALL_EPOCH * devices))
        data = replace(data, batch_size=devices * 2 ** (each.bit_length() - 1))
    return replace(config, data=data)


def _check_augmentation(config: TrainConfig, side: int) -> None:
    """Raise UserError where a shift or a square leaves nothing of an image, `side` pixels long."""
    for key, pixels, most in (
        ("data.shift", config.data.shift, side - 1),
        ("data.cutout", config.data.cutout, side),
    ):
        if pixels > most:
            raise UserError(
                f"{key} must be at most {most} on images of {side} pixels, got {pixels}"
            )


@dataclass(frozen=True)
class RunRequest:
    """One run, named: the config with its data and hardware as they really are."""

    checked: CheckedConfig
    images: Images
    train_indices: NDArray[np.int64]
    val_indices: NDArray[np.int64]
    hardware: Hardware
    steps: StepPlan
    val_batches: int
    """Of `data.batch_size` images, over all devices, that a validation takes."""
    test_batches: int
    id: str
    directory: RunDirectory

    @property
    def config(self) -> TrainConfig:
        return self.checked.config

    @property
    def geometry(self) -> NetworkGeometry:
        if self.checked.geometry is None:
            raise ValueError(f"{self.checked.variant} is impossible: {self.checked.impossible}")
        return self.checked.geometry


def request_run(
    checked: CheckedConfig, images: Images, hardware: Hardware, defaults: TrainConfig
) -> RunRequest:
    """Settle a run's split, steps, identity and directory.

    Args:
        defaults: the config of the same data set without any override; what differs from it
            besides conv, data and seed goes into the directory's name.

    Raises:
        UserError: the loaded images leave no such run.
    """
    config = checked.config
    loaded = Facts(
        images.name,
        images.input_shape,
        len(images.classes),
        len(images.train_labels),
        images.class_sizes,
    )
    checked = check(config, checked.overrides, loaded)
    key = identity(resolved(checked, images, hardware))
    label = checked.variant if checked.convs is None else folder_label(checked.convs)

    def directory(defaults: TrainConfig) -> RunDirectory:
        differing = differences(config, defaults)
        name = run_name(images.name, label, differing, config.seed, key)
        return RunDirectory(Path(config.output_dir) / config.study / name)

    current = directory(defaults)
    if images.name == "image_folder" and not current.path.exists():
        # The same run under the name that it has where it was trained with 0.1.0's defaults.
        earlier = directory(replace(defaults, data=replace(defaults.data, flip=True, shift=2)))
        current = earlier if earlier.path.exists() else current
    return _settled(checked, images, hardware, key, current)


@dataclass(frozen=True)
class HandedRequest:
    """A request on its way to another process, which has a working directory of its own.

    The images do not travel: the other process loads the same cache, or decodes its own.
    """

    checked: CheckedConfig
    data_root: Path
    data_cache: Path | None
    id: str
    directory: RunDirectory
    steps: StepPlan
    val_batches: int
    test_batches: int

    def receive(self, hardware: Hardware) -> RunRequest:
        """The same run, here.

        Raises:
            UserError: data that cannot be had, or data or hardware that make it another run.
        """
        from convscope.data.sources import load

        data = self.checked.config.data
        images = load(data.name, self.data_root, data.image_size, self.data_cache)
        if identity(resolved(self.checked, images, hardware)) != self.id:
            raise UserError(
                f"{data.name} under {self.data_root}, or the device ({hardware.device}), is not"
                " here what it is where the command was typed"
            )
        settled = _settled(self.checked, images, hardware, self.id, self.directory)
        return replace(
            settled,
            steps=self.steps,
            val_batches=self.val_batches,
            test_batches=self.test_batches,
        )


def hand(request: RunRequest) -> HandedRequest:
    """What another process needs to train this run."""
    cache = request.config.data.cache
    return HandedRequest(
        request.checked,
        Path(request.config.data.root).absolute(),
        None if cache is None else Path(cache).absolute(),
        request.id,
        RunDirectory(request.directory.path.absolute()),
        request.steps,
        request.val_batches,
        request.test_batches,
    )


def _settled(
    checked: CheckedConfig, images: Images, hardware: Hardware, key: str, directory: RunDirectory
) -> RunRequest:
    # Here: help and a mistake in the options need not wait for NumPy.
    from convscope.data.split import stratified_split

    config = checked.config
    train_indices, val_indices = stratified_split(images.train_labels, config.data.val_fraction)
    steps = plan_steps(config.trainer, len(train_indices), config.data.batch_size)
    val_batches, test_batches = (
        limited(-(-count // config.data.batch_size), limit, f"trainer.limit_{part}_batches")
        for part, count, limit in (
            ("val", len(val_indices), config.trainer.limit_val_batches),
            ("test", len(images.test_labels), config.trainer.limit_test_batches),
        )
    )
    return RunRequest(
        checked,
        images,
        train_indices,
        val_indices,
        hardware,
        steps,
        val_batches,
        test_batches,
        key,
        directory,
    )


def resolved(checked: CheckedConfig, images: Images, hardware: Hardware) -> dict[str, Any]:
    """The config as plain values: conv as pixels, data, devices and precision as really used."""
    plain = asdict(checked.config)
    if checked.convs is None:
        plain["conv"] = typed_config(plain["conv"])
    else:
        plain["conv"] = conv_config(checked.convs)
    plain["data"] |= {"name": images.name, "fingerprint": images.fingerprint}
    plain["trainer"] |= {
        "accelerator": hardware.accelerator,
        "devices": hardware.devices,
        "strategy": hardware.strategy,
        "precision": hardware.precision,
    }
    return plain


_NAMED_OTHERWISE = ("conv.", "data.name", "seed", "trainer.strategy", *EXCLUDED)


def differences(config: TrainConfig, defaults: TrainConfig) -> list[str]:
    """`key=value` for each value unlike the default that the run's name does not show otherwise."""
    mine, theirs = dotted(asdict(config)), dotted(asdict(defaults))
    return [
        f"{key}={brief(value)}"
        for key, value in mine.items()
        if value != theirs[key] and not key.startswith(_NAMED_OTHERWISE)
    ]
