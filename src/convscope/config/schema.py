"""Every key of the config, with its type, range and meaning; `configs/` has the values."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import Annotated, Any, NamedTuple, cast, get_args, get_origin, get_type_hints

from msgspec import Meta

from convscope.errors import UserError, on_one_line
from convscope.geometry import FACTORS

MAX_COUNT = 1_000_000_000
"""Largest count without a bound of its own: a larger one is a typing error and may overflow."""
MAX_LAYERS = 1_000
MAX_SEED = 2**32 - 1
MAX_REPEAT = 10_000
AUTO = "auto"
"""Value of `repeat` that adds seeds until a comparison is settled."""
OF_AUTO = ("max_repeat", "settle", "margin", "budget")
"""Keys that only `repeat=auto` uses."""
FOREIGN = ("torchvision", "custom")
"""Values of `model.network` for networks that consist of PyTorch modules, and are traced."""
NETWORKS = ("stack", "resnet20", "airbench", *FOREIGN)


@dataclass(frozen=True)
class NumberOf:
    """Rule for a number of one of these types; a float is a share, at most 1.

    OmegaConf 2.3 cannot merge a union of numbers into a nested dataclass: such a field is Any.
    """

    types: tuple[type, ...]
    description: str


@dataclass(frozen=True)
class CountOr:
    """Rule for a count from 1 to `most`, or one word."""

    word: str
    most: int

    @property
    def description(self) -> str:
        """The rule, as in `must be …`."""
        return f"an integer from 1 to {self.most:,}, or {self.word}"


@dataclass(frozen=True)
class AddedLater:
    """Marks a key that older runs lack: a value equal to `default` is left out of the identity.

    So a new key does not change the identity and the name of existing runs.
    """

    default: Any


def one_of(*choices: str) -> Meta:
    """Return the rule for a value that is one of `choices`."""
    return Meta(pattern=rf"\A({'|'.join(choices)})\Z", description=f"one of {', '.join(choices)}")


COUNT_OR_SHARE = NumberOf((int, float), "a count (integer) or a share up to 1.0")
COUNT_OR_SWITCH = NumberOf((int, bool), "an integer, true or false")
TIME = Meta(
    pattern=r"\A(?=.*[1-9])\d{1,5}:\d{2}:\d{2}:\d{2}\Z",
    description="written DD:HH:MM:SS and above zero",
)
BUDGET = Meta(
    pattern=r"\A(?=.*[1-9])(\d{1,5}:)?\d{2}:\d{2}:\d{2}\Z",
    description="written HH:MM:SS or DD:HH:MM:SS and above zero",
)
FOLDER = Meta(pattern=r"\A(?=.*\S)[^\x00-\x1f\x7f]+\Z", description="written as a folder's path")


ConvConfig: Any = make_dataclass(
    "ConvConfig",
    [
        (factor.key, Any)
        if factor.default is None
        else (factor.key, Any, field(default=factor.default))
        for factor in FACTORS
    ],
)
"""A value for each factor, as typed: one for all layers, or a list with one per layer."""
ConvConfig.__module__ = __name__  # Pickle looks it up there.


@dataclass
class DataConfig:
    """Data set, batches, validation split and augmentation."""

    name: str
    """Data set. auto is MNIST if it is there or can be downloaded, else scikit-learn's digits."""
    root: Annotated[str, FOLDER]
    """Folder with the raw files."""
    cache: Annotated[str | None, FOLDER]
    """Folder for decoded images; null keeps them beside the raw files, in `.convscope/`."""
    batch_size: Annotated[int, Meta(ge=1, le=MAX_COUNT)]
    """Training images per optimizer step, over all devices."""
    val_fraction: Annotated[float, Meta(gt=0, lt=1)]
    """Share of each class's training images used for validation, the same ones in every run."""
    image_size: Annotated[int | None, Meta(ge=1, le=4_096)]
    """Side in pixels to which image_folder scales and crops; null requires images of one size."""
    flip: bool
    """Mirror half of the training images left to right."""
    alternate_flip: Annotated[bool, AddedLater(False)]
    """With flip: mirror each image in every other epoch, a random half first, not at random."""
    test_flip: Annotated[bool, AddedLater(False)]
    """Average the class scores of an image and its mirror image in validation, test, prediction."""
    shift: Annotated[int, Meta(ge=0, le=4_096)]
    """Largest shift of a training image in pixels, either way on both axes; 0 is none."""
    cutout: Annotated[int, Meta(ge=0, le=4_096)]
    """Side in pixels of a square blanked in each training image; 0 is none."""
    split_seed: Annotated[int | None, Meta(ge=0, le=MAX_SEED), AddedLater(None)]
    """Seed of another split into training and validation images than that of every run, null."""


@dataclass
class ModelConfig:
    """The network, apart from the arguments of its varied convolutions."""

    channels: Annotated[list[int], Meta(ge=1, le=10_000)]
    """Output channels, one entry per conv layer; per stage of resnet20, per block of airbench."""
    pool_after: Annotated[list[int], Meta(ge=1)]
    """Conv layers of a stack, counted from 1, that a max-pool follows (ceil mode: 13 to 7)."""
    network: Annotated[str, one_of(*NETWORKS), AddedLater("stack")] = "stack"
    """stack of conv blocks, resnet20, airbench, a classifier of torchvision, or one of your own."""
    name: Annotated[str | None, AddedLater(None)] = None
    """Of a torchvision network, as in torchvision.models: resnet18."""
    target: Annotated[str | None, AddedLater(None)] = None
    """Of a custom network: package.module:function, called with in_channels and classes."""
    vary: Annotated[Any, AddedLater("all")] = "all"
    """Conv layers that conv.* applies to: stem, all (that are not 1x1), or a list of names, where *
    stands for any text: [layer2.*.conv1]."""
    drop: Annotated[list[str], AddedLater([])] = field(default_factory=list)
    """Layers that are left out, by name: [maxpool]."""
    pool_kernel: Annotated[int | None, Meta(ge=1, le=1_000), AddedLater(2)] = 2
    """Kernel size of the pools; null keeps a network's own."""
    pool_stride: Annotated[int | None, Meta(ge=1, le=1_000), AddedLater(2)] = 2
    """Stride of the pools; null keeps a network's own."""
    pool_padding: Annotated[int | None, Meta(ge=0, le=1_000), AddedLater(0)] = 0
    """Padding of the pools, at most half their kernel; null keeps a network's own."""
    pool: Annotated[str, one_of("max", "avg", "blur", "none"), AddedLater("max")] = "max"
    """What max-pools compute: max; avg; blur, the maximum at stride 1, then blurred and subsampled;
    none leaves them out."""
    downsample: Annotated[str, one_of("conv", "blur"), AddedLater("conv")] = "conv"
    """What subsamples at the stride of a varied conv layer: conv, the layer; blur, a blur after the
    layer at stride 1, its batch norm and activation."""
    matched_from: Annotated[list[int], AddedLater([])] = field(default_factory=list)
    """Channels before match=macs scaled them; recorded by it, not to be typed."""


@dataclass
class OptimConfig:
    """Optimizer and learning-rate schedule."""

    name: Annotated[str, one_of("adamw", "sgd", "muon"), AddedLater("adamw")]
    """Optimizer: adamw, sgd, or muon for conv weights with adamw for the other parameters. Choose
    it by optim=NAME, which also sets the values below."""
    lr: Annotated[float, Meta(gt=0)]
    """Peak learning rate."""
    momentum: Annotated[float, Meta(ge=0, lt=1), AddedLater(0.0)]
    """Nesterov momentum of sgd and muon; 0 is none."""
    weight_decay: Annotated[float, Meta(ge=0)]
    """Weight decay of all parameters: L2 regularisation in sgd, decoupled in the others."""
    warmup: Annotated[float, Meta(gt=0, lt=1)]
    """Share of all steps over which the one-cycle schedule climbs to lr before it anneals."""
    label_smoothing: Annotated[float, Meta(ge=0, lt=1), AddedLater(0.0)]
    """Share of the training target that is spread evenly over all classes; 0 is none."""


@dataclass
class TrainerConfig:
    """Arguments of `pytorch_lightning.Trainer`, as defined there; batches are optimizer steps."""

    max_epochs: Annotated[int | None, Meta(ge=1, le=1_000_000)]
    """Stop after this many epochs; null leaves max_steps as the only limit."""
    max_steps: Annotated[int | None, Meta(ge=1, le=MAX_COUNT)]
    """Stop after this many optimizer steps; null is no limit."""
    max_time: Annotated[str | None, TIME]
    """Stop after this wall time, DD:HH:MM:SS; null is no limit."""
    accelerator: Annotated[str, one_of("auto", "cpu", "gpu", "cuda", "mps")]
    """Device kind; auto takes a GPU or MPS where there is one."""
    devices: Annotated[int, Meta(ge=1, le=1_000)]
    """Number of devices; each takes an equal part of every batch. A sweep's runs take one each."""
    strategy: Annotated[str, one_of("auto", "ddp")]
    """How several devices share a run; auto is ddp. A single device has no use for it."""
    precision: Annotated[str, one_of("auto", "32-true", "bf16-mixed")]
    """auto is bf16-mixed where the hardware computes in bfloat16, else 32-true."""
    limit_train_batches: Annotated[Any, COUNT_OR_SHARE, Meta(gt=0, le=MAX_COUNT)]
    """Optimizer steps per epoch, as a count (int) or a share (float)."""
    limit_val_batches: Annotated[Any, COUNT_OR_SHARE, Meta(gt=0, le=MAX_COUNT)]
    """Validation batches, as a count (int) or a share (float)."""
    limit_test_batches: Annotated[Any, COUNT_OR_SHARE, Meta(gt=0, le=MAX_COUNT)]
    """Test batches, as a count (int) or a share (float)."""
    fast_dev_run: Annotated[Any, COUNT_OR_SWITCH, Meta(ge=0, le=MAX_COUNT)]
    """Run only this many (true: 1) batches of each part, and write nothing to disk."""
    gradient_clip_val: Annotated[float | None, Meta(gt=0)]
    """Largest norm of the gradient; null does not clip."""
    deterministic: bool
    """Use deterministic algorithms only (CUDA; the CPU's are)."""
    log_every_n_steps: Annotated[int, Meta(ge=1, le=MAX_COUNT)]
    """Optimizer steps between two points of train/loss in TensorBoard."""
    enable_progress_bar: bool
    """Show a progress bar where standard error is a terminal."""


@dataclass
class TrainConfig:
    """The whole config of a command."""

    conv: ConvConfig
    data: DataConfig
    model: ModelConfig
    optim: OptimConfig
    trainer: TrainerConfig
    logger: dict[str, Any]
    """Lightning loggers that get a run's metrics too: a class and its arguments by name."""
    seed: Annotated[int, Meta(ge=0, le=MAX_SEED)]
    """Seed of the weights, the order of the batches and their augmentation."""
    study: str
    """Folder in output_dir for runs that belong together."""
    output_dir: Annotated[str, FOLDER]
    """Folder of all studies; pass it to `tensorboard --logdir`."""
    repeat: Annotated[Any, CountOr(AUTO, MAX_REPEAT)]
    """Runs of each variant, with seeds from `seed` on; auto adds seeds until it is settled which
    variants are the best, and stops those that are significantly worse than another one."""
    max_repeat: Annotated[int, Meta(ge=2, le=MAX_REPEAT)]
    """With repeat=auto: largest number of runs of each variant."""
    settle: Annotated[str, one_of("best", "ranking")]
    """With repeat=auto: best settles which variants may be the best, ranking each pair of them."""
    margin: Annotated[float, Meta(gt=0, le=100)]
    """With repeat=auto: percentage points; two variants shown to be closer are equivalent."""
    budget: Annotated[str | None, BUDGET]
    """With repeat=auto: start no run after this wall time of the command, HH:MM:SS; null is no
    limit."""
    tune: str | None
    """Key to tune per variant, such as optim.lr: train each value of tune_values with one seed,
    choose by validation accuracy, compare at the chosen values on other seeds. null tunes none."""
    tune_values: Any
    """List of values that tune tries; null takes 1/4, 1/2, 1, 2 and 4 times the config's own."""
    plan: bool
    """Print what a sweep would do and how long it would take; train and write nothing."""
    fail_fast: bool
    """End a sweep at its first failed run; the same command continues it."""
    prune: bool
    """In a sweep, end a run after half of its epochs, or a quarter of 8 or more, if its validation
    accuracy is in the lower half of its study's; it has no result, and prune=false continues it."""
    rerun: bool
    """Move a finished run of the same config to the folder `replaced` and train again."""
    compile: bool
    """Train through `torch.compile`."""
    throughput: Annotated[str, one_of("training", "exclusive")]
    """exclusive measures runs that shared a machine again after a sweep, one at a time."""
    diagnostics: Annotated[str, one_of("standard", "full", "off")]
    """Measures of the best checkpoint, such as answers that a shift of one pixel changes: on part
    of the test images, on all, or none."""
    latency: bool
    """Measure the time of a forward pass once all runs are finished, in turns over the variants."""
    objective: Any
    """TensorBoard tag of the metric that a search optimises, or a list of tags: a Pareto front."""
    trials: Annotated[int, Meta(ge=1, le=MAX_COUNT)]
    """Number of variants that a search tries, including those already in its study."""
    match: Annotated[str | None, one_of("macs"), AddedLater(None)]
    """macs scales model.channels so that a variant has the MACs of the reference, the network with
    no key of conv set, within 5 %; a sweep then trains every variant at equal channels and at equal
    MACs. null scales nothing."""
    vary: Annotated[str | None, one_of("split"), AddedLater(None)]
    """split draws the validation images of each run by its seed, the same for all variants of that
    seed; null validates all runs on the same images."""


def most_seeds(config: TrainConfig) -> int:
    """Return the largest number of runs of each variant."""
    return config.max_repeat if config.repeat == AUTO else int(config.repeat)


def budget_seconds(config: TrainConfig) -> float:
    """Return the largest wall time of a sweep, in seconds; infinite without `budget`."""
    if config.budget is None:
        return math.inf
    *days, hours, minutes, seconds = map(int, config.budget.split(":"))
    return 60 * (60 * (24 * sum(days) + hours) + minutes) + seconds


def check_ranges(config: TrainConfig, typed: Mapping[str, str]) -> None:
    """Check that every value is within its range.

    Args:
        config: The composed config.
        typed: Values as typed by the user, by dotted key, for messages.

    Raises:
        UserError: A value is invalid; the message has its dotted key, the rule and the value.
    """
    check_fields(config, typed)
    trainer, model = config.trainer, config.model
    layers, pools = len(model.channels), model.pool_after
    is_foreign = model.network in FOREIGN
    last_seed = MAX_SEED - most_seeds(config) + 1
    unused = next((key for key in OF_AUTO if key in typed and config.repeat != AUTO), None)
    for is_broken, message in (
        (
            trainer.max_epochs is None and trainer.max_steps is None,
            "trainer.max_epochs must be a number where trainer.max_steps is null, got null",
        ),
        (
            config.data.batch_size % trainer.devices,
            f"data.batch_size must be a multiple of the {trainer.devices} devices,"
            f" got {config.data.batch_size}",
        ),
        (
            config.optim.name == "adamw" and config.optim.momentum,
            "optim.momentum must be 0 with optim.name=adamw, which has none, got"
            f" {config.optim.momentum}",
        ),
        (
            config.data.alternate_flip and not config.data.flip,
            "data.alternate_flip must be false with data.flip=false, got true",
        ),
        (
            not layers and not is_foreign,
            "model.channels must name at least one layer, got []",
        ),
        (
            is_foreign and (layers or pools),
            f"model.channels and model.pool_after must be [] with model.network={model.network},"
            " which has its own widths and pools",
        ),
        (
            layers > MAX_LAYERS,
            f"model.channels must name at most {MAX_LAYERS} layers, got {layers}",
        ),
        (
            config.tune is None and config.tune_values is not None,
            f"tune_values must be null where tune is null, got {as_typed(config.tune_values)}\n"
            "name the key to tune, such as tune=optim.lr",
        ),
        (
            config.seed > last_seed,
            f"seed must be at most {last_seed} where repeat is {config.repeat}, got {config.seed}",
        ),
        (unused, f"{unused} is for repeat=auto, got repeat={config.repeat}"),
        (
            max(pools, default=0) > layers,
            f"model.pool_after must name conv layers 1 to {layers}, got {max(pools, default=0)}",
        ),
        (
            pools != sorted(set(pools)),
            f"model.pool_after must name each layer once and in order, got {pools}",
        ),
        (
            is_foreign and model.downsample != "conv",
            f"model.downsample must be conv with model.network={model.network}, in which no blur"
            f" can be placed, got {model.downsample}",
        ),
        (
            config.match is not None and is_foreign,
            f"match must be null with model.network={model.network}, which has its own widths, got"
            f" {config.match}",
        ),
        (
            model.matched_from,
            f"model.matched_from is set by match=macs, and cannot be typed: got"
            f" {typed.get('model.matched_from', model.matched_from)}",
        ),
        (
            config.vary == "split" and config.data.split_seed is not None,
            "data.split_seed must be null with vary=split, which takes each run's seed, got"
            f" {config.data.split_seed}",
        ),
        (
            model.network == "stack" and model.vary != "all",
            "model.vary must be all in a stack, whose conv layers have no arguments of their own,"
            f" got {typed.get('model.vary', model.vary)}",
        ),
    ):
        if is_broken:
            raise UserError(message)


def check_fields(node: Any, typed: Mapping[str, str], prefix: str = "") -> None:
    """Check each field by its rules; see `check_ranges`."""
    types = field_types(type(node))  # type: ignore[arg-type]
    for entry in fields(node):
        key, value = prefix + entry.name, getattr(node, entry.name)
        if is_dataclass(value):
            check_fields(value, typed, prefix=f"{key}.")
            continue
        rules = [rule for rule in types[entry.name].rules if not isinstance(rule, AddedLater)]
        if rules and isinstance(value, list) and any(type(item) is not int for item in value):
            # OmegaConf does not check the types of list items.
            raise UserError(f"{key} must be a list of integers, got {typed.get(key, value)}")
        for item in value if isinstance(value, list) else [value]:
            broken = next(filter(None, (_broken(rule, item) for rule in rules)), None)
            if broken:
                raise UserError(f"{key} must be {broken}, got {typed.get(key, as_typed(item))}")


class FieldType(NamedTuple):
    """A field's type, and its rules: `Meta`, `NumberOf`, `CountOr`, `AddedLater`."""

    hint: Any
    rules: tuple[Any, ...]


@cache
def field_types(kind: type) -> dict[str, FieldType]:
    """Return the type of each field of a config's dataclass, by name."""
    return {
        name: FieldType(get_args(hint)[0], get_args(hint)[1:])
        if get_origin(hint) is Annotated
        else FieldType(hint, ())
        for name, hint in get_type_hints(kind, include_extras=True).items()
    }


def dotted_types(kind: type, prefix: str = "") -> Iterator[tuple[str, FieldType]]:
    """Yield each dotted key of a config's dataclass, groups included, with its type."""
    for name, of in field_types(kind).items():
        yield f"{prefix}{name}", of
        if is_dataclass(of.hint):
            yield from dotted_types(cast(type, of.hint), f"{prefix}{name}.")


def _broken(rule: Meta | NumberOf | CountOr, value: Any) -> str | None:
    """Return the rule's description if a value breaks it; None if not, or if the value is null."""
    if isinstance(rule, CountOr):
        is_count = type(value) is int and 1 <= value <= rule.most
        return None if is_count or value == rule.word else rule.description
    if isinstance(rule, NumberOf):
        is_good = type(value) in rule.types and not (isinstance(value, float) and value > 1)
        return None if is_good else rule.description
    if value is None:
        return None
    if rule.pattern is not None:
        return None if re.search(rule.pattern, value) else rule.description
    if isinstance(value, float) and not math.isfinite(value):
        return "a finite number"
    for is_within, bound, relation in (
        (operator.ge, rule.ge, "at least"),
        (operator.le, rule.le, "at most"),
        (operator.gt, rule.gt, "above"),
        (operator.lt, rule.lt, "below"),
    ):
        if bound is not None and not is_within(value, bound):
            return f"{relation} {bound}"
    return None


def dotted(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the values of a nested config by dotted key."""
    flat: dict[str, Any] = {}
    for name, value in node.items():
        if isinstance(value, Mapping):
            flat |= dotted(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def format_value(value: object) -> str:
    """Return a config's value as in a run's name or a table; [16, 32] as 16-32, [] as none."""
    return "-".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def as_typed(value: object) -> str:
    """Return a value as typed in an override, on one line: null, true, false."""
    text = {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
    return on_one_line(text)
