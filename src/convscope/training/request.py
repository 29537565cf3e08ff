"""Requests for runs: config, geometry, split, steps, identity and directory, before training."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convscope.config.schema import TrainConfig, dotted, format_value
from convscope.data import Facts, dataset_facts
from convscope.data.datasets import validation_size
from convscope.errors import UserError
from convscope.geometry import NetworkGeometry, convs_to_config, folder_label, without_defaults
from convscope.runs.directory import RunDirectory, check_study_name, run_name
from convscope.runs.identity import EXCLUDED, identity, one_spelling, without_seed
from convscope.training.schedule import StepPlan, limited, plan_steps
from convscope.variant import Variant, variant_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from convscope.data.images import Images
    from convscope.training.hardware import Hardware

_STEPS_OF_A_SMALL_EPOCH = 8
"""At least, where a data set has fewer images than a batch would take."""
_SMALL_SHARES = (0.125, 0.2, 0.25)
"""Of validation images: one of 4, of 3 and of 2."""


def check(config: TrainConfig, overrides: Sequence[str], facts: Facts | None = None) -> Variant:
    """Work out a config's geometry, and check the config against its data set.

    Args:
        config: of one run.
        overrides: as typed.
        facts: the data set's outline, where it is known better than from its name and folder;
            `data.name=auto` has that of MNIST, whose shape digits share and whose size is larger.

    Raises:
        UserError: a conv value, study name or batch size that no run could have.
    """
    check_study_name(config.study)
    data = config.data
    facts = facts or dataset_facts(data.name, data.root, data.image_size)
    _check_sizes(config, facts)
    return variant_of(config, overrides, facts)


def _on_images(variant: Variant, facts: Facts) -> Variant:
    """Return the variant on the loaded images, whose outline may be another than was expected.

    Raises:
        UserError: the images leave no such run.
    """
    _check_sizes(variant.config, facts)
    expected = variant.facts
    if (expected.input_shape, expected.classes) == (facts.input_shape, facts.classes):
        return replace(variant, facts=facts)
    return variant_of(variant.config, variant.overrides, facts)


def _check_sizes(config: TrainConfig, facts: Facts) -> None:
    """Raise UserError where a data set has too few images, or too small ones, for the config."""
    try:
        train_size = facts.split_train_size(config.data.val_fraction)
        plan_steps(config.trainer, train_size, config.data.batch_size)
        _check_augmentation(config, min(facts.input_shape[1:]))
    except UserError as error:
        raise _with_sizes(error, config) from error


def _with_sizes(error: UserError, config: TrainConfig) -> UserError:
    """Add in a second line that images differ in size, which would be the next error."""
    if config.data.name != "image_folder" or config.data.image_size is not None:
        return error
    from convscope.data.image_folder import differing_size

    sizes = differing_size(Path(config.data.root))
    return error if sizes is None else UserError(f"{error}\n{sizes}")


def fitted(config: TrainConfig, typed: Collection[str], facts: Facts) -> TrainConfig:
    """Return the config with a batch and a validation share that a small data set allows.

    What was typed stays, and so does what is possible: the batch is changed only where it has more
    images than there are to train on, the share only where it is less than an image of any class.

    Args:
        config: of one run.
        typed: keys that were set on the command line.
        facts: the data set's outline.
    """
    data, devices = config.data, config.trainer.devices
    largest = max(facts.class_sizes, default=0)
    if largest > 1 and "data.val_fraction" not in typed:
        shares = (data.val_fraction, *_SMALL_SHARES)
        data = replace(
            data, val_fraction=next(one for one in shares if validation_size(largest, one))
        )
    left = facts.split_train_size(data.val_fraction)
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
    """One run: its config with the data, hardware and steps as used, its identity and directory."""

    variant: Variant
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
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What its record has as `environment` besides the machine: what the run is for."""

    @property
    def config(self) -> TrainConfig:
        """The config, with device and precision as used."""
        return self.variant.config

    @property
    def geometry(self) -> NetworkGeometry:
        """The geometry of a variant that is possible."""
        if self.variant.geometry is None:
            raise ValueError(f"{self.variant.label} is impossible: {self.variant.impossible}")
        return self.variant.geometry


def request_run(
    variant: Variant, images: Images, hardware: Hardware, defaults: TrainConfig
) -> RunRequest:
    """Work out a run's split, steps, identity and directory.

    Args:
        variant: what is trained, device and precision resolved.
        images: the data set.
        hardware: what it is trained on.
        defaults: the config of the same data set without any override; what differs from it
            besides conv, data and seed goes into the directory's name.

    Raises:
        UserError: the loaded images leave no such run.
    """
    config = variant.config
    loaded = Facts(
        images.name,
        images.input_shape,
        len(images.classes),
        len(images.train_labels),
        images.class_sizes,
    )
    variant = _on_images(variant, loaded)
    plain = resolved(variant, images, hardware)
    key = identity(plain)
    model = {name: one_spelling(plain)["model"][name] for name in _SPELLED_IN_ONE_WAY}
    named = replace(config, model=replace(config.model, **model))
    own = variant.graph.own_specs
    label = variant.label if variant.convs is None else folder_label(variant.convs, own)

    def directory(defaults: TrainConfig) -> RunDirectory:
        differing = differences(named, defaults)
        name = run_name(images.name, label, differing, config.seed, key)
        return RunDirectory(Path(config.output_dir) / config.study / name)

    current = directory(defaults)
    if images.name == "image_folder" and not current.path.exists():
        # The same run under the name that it has where it was trained with 0.1.0's defaults.
        earlier = directory(replace(defaults, data=replace(defaults.data, flip=True, shift=2)))
        current = earlier if earlier.path.exists() else current
    return _planned(variant, images, hardware, key, current)


@dataclass(frozen=True)
class RemoteRequest:
    """A request on its way to another process, which has a working directory of its own.

    The images do not travel: the other process loads the same cache, or decodes its own.
    """

    variant: Variant
    data_root: Path
    data_cache: Path | None
    id: str
    directory: RunDirectory
    steps: StepPlan
    val_batches: int
    test_batches: int
    notes: Mapping[str, Any]

    def materialize(self, hardware: Hardware) -> RunRequest:
        """Return the same run in this process.

        Raises:
            UserError: data that are not available, or data or hardware that make it another run.
        """
        from convscope.data.sources import load

        data = self.variant.config.data
        images = load(data.name, self.data_root, data.image_size, self.data_cache)
        if identity(resolved(self.variant, images, hardware)) != self.id:
            raise UserError(
                f"{data.name} under {self.data_root}, or the device ({hardware.device}), is not"
                " here what it is where the command was typed"
            )
        request = _planned(self.variant, images, hardware, self.id, self.directory)
        return replace(
            request,
            steps=self.steps,
            val_batches=self.val_batches,
            test_batches=self.test_batches,
            notes=self.notes,
        )


def to_remote(request: RunRequest) -> RemoteRequest:
    """Return what another process needs to train this run."""
    cache = request.config.data.cache
    return RemoteRequest(
        request.variant,
        Path(request.config.data.root).absolute(),
        None if cache is None else Path(cache).absolute(),
        request.id,
        RunDirectory(request.directory.path.absolute()),
        request.steps,
        request.val_batches,
        request.test_batches,
        request.notes,
    )


def _planned(
    variant: Variant, images: Images, hardware: Hardware, key: str, directory: RunDirectory
) -> RunRequest:
    # Here: help and a mistake in the options need not wait for NumPy.
    from convscope.data.split import stratified_split

    config = variant.config
    train_indices, val_indices = stratified_split(
        images.train_labels, config.data.val_fraction, seed=config.data.split_seed
    )
    steps = plan_steps(config.trainer, len(train_indices), config.data.batch_size)
    val_batches, test_batches = (
        limited(-(-count // config.data.batch_size), limit, f"trainer.limit_{part}_batches")
        for part, count, limit in (
            ("val", len(val_indices), config.trainer.limit_val_batches),
            ("test", len(images.test_labels), config.trainer.limit_test_batches),
        )
    )
    return RunRequest(
        variant,
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


def resolved(variant: Variant, images: Images, hardware: Hardware) -> dict[str, Any]:
    """Return the config as plain values: conv in pixels, data, devices and precision as used.

    Varied layers are named in one way; a network that was traced has a fingerprint. Without the
    loggers: a record names no classes to be called.
    """
    plain = asdict(variant.config)
    del plain["logger"]
    if variant.convs is None:
        plain["conv"] = without_defaults(plain["conv"])
    else:
        plain["conv"] = convs_to_config(variant.convs)
    if variant.graph.own_specs is not None:
        plain["model"]["vary"] = variant.graph.vary
    if variant.graph.factory is not None:
        plain["model"]["fingerprint"] = variant.graph.fingerprint
    plain["data"] |= {"name": images.name, "fingerprint": images.fingerprint}
    plain["trainer"] |= {
        "accelerator": hardware.accelerator,
        "devices": hardware.devices,
        "strategy": hardware.strategy,
        "precision": hardware.precision,
    }
    return plain


_SPELLED_IN_ONE_WAY = ("pool_after", "pool", "downsample")
"""Keys of a model whose values may differ though the network is the same."""
_NAMED_OTHERWISE = (
    *("conv.", "data.name", "seed", "trainer.strategy", *EXCLUDED),
    *("model.network", "model.name", "model.target", "model.matched_from"),
)


def differences(config: TrainConfig, defaults: TrainConfig) -> list[str]:
    """Return what the run's name shows besides data, variant and seed.

    `=network` where it is no stack, then `key=value` for each value unlike the default.
    """
    mine, theirs = dotted(without_seed(asdict(config))), dotted(asdict(defaults))
    model = config.model
    network = (
        [] if model.network == "stack" else [f"={model.name or model.target or model.network}"]
    )
    return network + [
        # Existing runs with an empty list have no value in their name.
        f"{key}={'' if value == [] else format_value(value)}"
        for key, value in mine.items()
        if not key.startswith(_NAMED_OTHERWISE) and value != theirs[key]
    ]
