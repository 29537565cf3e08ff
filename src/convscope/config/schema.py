"""What a run is made of: every key with its type, range and meaning; `configs/` has the values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, make_dataclass
from functools import cache
from typing import Annotated, Any, get_type_hints

from convscope.errors import UserError, on_one_line
from convscope.geometry import FACTORS

BEYOND_REASON = 1_000_000_000
"""Of a count that no other bound holds: what is larger is a slip, and overflows somewhere."""
MOST_LAYERS = 1_000
MOST_SEED = 2**32 - 1
DATASETS = ("auto", "mnist", "fashion_mnist", "cifar10", "cifar100", "digits", "image_folder")


@dataclass(frozen=True)
class Range:
    """Bounds of a number, or of each number of a list: `least` and `most` belong to it."""

    least: float | None = None
    most: float | None = None
    above: float | None = None
    below: float | None = None

    def broken_rule(self, value: Any) -> str | None:
        if self.least is not None and value < self.least:
            return f"at least {self.least}"
        if self.most is not None and value > self.most:
            return f"at most {self.most}"
        if self.above is not None and value <= self.above:
            return f"above {self.above}"
        if self.below is not None and value >= self.below:
            return f"below {self.below}"
        return None


@dataclass(frozen=True)
class OneOf:
    choices: tuple[str, ...]

    def broken_rule(self, value: Any) -> str | None:
        return None if value in self.choices else f"one of {', '.join(self.choices)}"


@dataclass(frozen=True)
class Like:
    """Text that a regular expression matches, and the words for it."""

    pattern: str
    words: str

    def broken_rule(self, value: Any) -> str | None:
        return None if re.fullmatch(self.pattern, value) else f"written {self.words}"


@dataclass(frozen=True)
class NumberOf:
    """A number of one of these types; a float is a share, at most 1.

    OmegaConf 2.3 cannot merge a union of numbers into a nested dataclass: such a field is Any.
    """

    types: tuple[type, ...]
    words: str

    def broken_rule(self, value: Any) -> str | None:
        if type(value) not in self.types:
            return self.words
        return self.words if isinstance(value, float) and value > 1 else None


COUNT_OR_SHARE = NumberOf((int, float), "a count (integer) or a share up to 1.0")
COUNT_OR_SWITCH = NumberOf((int, bool), "an integer, true or false")
TIME = Like(r"(?=.*[1-9])\d{1,5}:\d{2}:\d{2}:\d{2}", "DD:HH:MM:SS and above zero")
FOLDER = Like(r"(?=.*\S)[^\x00-\x1f\x7f]+", "as a folder's path")


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
ConvConfig.__module__ = __name__  # Where pickle finds it.


@dataclass
class DataConfig:
    name: Annotated[str, OneOf(DATASETS)]
    """Data set. auto is MNIST where it can be had, else the digits that scikit-learn ships."""
    root: Annotated[str, FOLDER]
    """Folder with the raw files."""
    cache: Annotated[str | None, FOLDER]
    """Folder for decoded images; null keeps them beside the raw files, in `.convscope/`."""
    batch_size: Annotated[int, Range(least=1, most=BEYOND_REASON)]
    """Training images per optimizer step, over all devices."""
    val_fraction: Annotated[float, Range(above=0, below=1)]
    """Share of each class of the training set held back for validation: the same always."""
    image_size: Annotated[int | None, Range(least=1, most=4_096)]
    """Height and width in pixels to which image_folder scales and crops; null keeps equal sizes."""
    flip: bool
    """Mirror half of the training images left to right."""
    shift: Annotated[int, Range(least=0, most=4_096)]
    """Largest shift of a training image in pixels, either way on both axes; 0 is none."""
    cutout: Annotated[int, Range(least=0, most=4_096)]
    """Side in pixels of a square blanked in each training image; 0 is none."""


@dataclass
class ModelConfig:
    channels: Annotated[list[int], Range(least=1, most=10_000)]
    """Output channels, one entry per conv layer."""
    pool_after: Annotated[list[int], Range(least=1)]
    """Conv layers, counted from 1, that a 2x2 max-pool follows (ceil mode: 13 to 7)."""


@dataclass
class OptimConfig:
    lr: Annotated[float, Range(above=0)]
    """Peak learning rate of AdamW."""
    weight_decay: Annotated[float, Range(least=0)]
    """Decoupled weight decay of AdamW."""
    warmup: Annotated[float, Range(above=0, below=1)]
    """Share of all steps over which the one-cycle schedule climbs to lr before it anneals."""


@dataclass
class TrainerConfig:
    """Arguments of `pytorch_lightning.Trainer`, with its meaning; batches are optimizer steps."""

    max_epochs: Annotated[int | None, Range(least=1, most=1_000_000)]
    """Stop after so many epochs; null leaves it to max_steps."""
    max_steps: Annotated[int | None, Range(least=1, most=BEYOND_REASON)]
    """Stop after so many optimizer steps; null is no limit."""
    max_time: Annotated[str | None, TIME]
    """Stop after this wall time, DD:HH:MM:SS; null is no limit."""
    accelerator: Annotated[str, OneOf(("auto", "cpu", "gpu", "cuda", "mps"))]
    """Device kind; auto takes a GPU or MPS where there is one."""
    devices: Annotated[int, Range(least=1, most=1_000)]
    """Number of devices; each takes an equal part of every batch. A sweep's runs take one each."""
    strategy: Annotated[str, OneOf(("auto", "ddp"))]
    """How several devices share a run; auto is ddp, and one device shares with none."""
    precision: Annotated[str, OneOf(("auto", "32-true", "bf16-mixed"))]
    """auto is bf16-mixed where the hardware computes in bfloat16, else 32-true."""
    limit_train_batches: Annotated[Any, COUNT_OR_SHARE, Range(above=0, most=BEYOND_REASON)]
    """Optimizer steps per epoch, as a count (int) or a share (float)."""
    limit_val_batches: Annotated[Any, COUNT_OR_SHARE, Range(above=0, most=BEYOND_REASON)]
    """Validation batches, as a count (int) or a share (float)."""
    limit_test_batches: Annotated[Any, COUNT_OR_SHARE, Range(above=0, most=BEYOND_REASON)]
    """Test batches, as a count (int) or a share (float)."""
    fast_dev_run: Annotated[Any, COUNT_OR_SWITCH, Range(least=0, most=BEYOND_REASON)]
    """Run so many (true: 1) batches of everything, and leave nothing on disk."""
    gradient_clip_val: Annotated[float | None, Range(above=0)]
    """Largest norm of the gradient; null does not clip."""
    deterministic: bool
    """Use deterministic algorithms only (CUDA; the CPU's are)."""
    log_every_n_steps: Annotated[int, Range(least=1, most=BEYOND_REASON)]
    """Optimizer steps between two points of train/loss in TensorBoard."""
    enable_progress_bar: bool
    """Show a progress bar where standard error is a terminal."""


@dataclass
class TrainConfig:
    conv: ConvConfig
    data: DataConfig
    model: ModelConfig
    optim: OptimConfig
    trainer: TrainerConfig
    seed: Annotated[int, Range(least=0, most=MOST_SEED)]
    """Seed of the weights, the order of the batches and their augmentation."""
    study: str
    """Name of the folder below output_dir that holds the runs which belong together."""
    output_dir: Annotated[str, FOLDER]
    """Folder of all studies; what `tensorboard --logdir` is pointed at."""
    repeat: Annotated[int, Range(least=1, most=10_000)]
    """Runs of each variant, with seeds from `seed` on."""
    plan: bool
    """Say what a sweep would do and how long it would take; train and write nothing."""
    fail_fast: bool
    """End a sweep at its first failed run; the same command goes on with it."""
    rerun: bool
    """Move a finished run of the same config aside and train anew."""
    compile: bool
    """Train through `torch.compile`."""
    throughput: Annotated[str, OneOf(("training", "exclusive"))]
    """exclusive measures runs that were trained beside others again after a sweep, each alone."""
    objective: Any
    """What a search looks for, as TensorBoard calls it, or a list of several: a Pareto front."""
    trials: Annotated[int, Range(least=1, most=BEYOND_REASON)]
    """Variants that a search tries in all; those that its study holds already count."""


def check_ranges(config: TrainConfig, typed: Mapping[str, str]) -> None:
    """Hold every value to its range.

    Args:
        typed: values as the user wrote them, by dotted key; a message shows them so.

    Raises:
        UserError: names the dotted key, the rule and the value of the first that breaks it.
    """
    check_fields(config, typed, prefix="")
    trainer = config.trainer
    if trainer.max_epochs is None and trainer.max_steps is None:
        raise UserError(
            "trainer.max_epochs must be a number where trainer.max_steps is null, got null"
        )
    if config.data.batch_size % trainer.devices:
        raise UserError(
            f"data.batch_size must be a multiple of the {trainer.devices} devices,"
            f" got {config.data.batch_size}"
        )
    layers = len(config.model.channels)
    if not layers:
        raise UserError("model.channels must name at least one layer, got []")
    if layers > MOST_LAYERS:
        raise UserError(f"model.channels must name at most {MOST_LAYERS} layers, got {layers}")
    if config.seed + config.repeat - 1 > MOST_SEED:
        raise UserError(
            f"seed must be at most {MOST_SEED - config.repeat + 1} where repeat is {config.repeat},"
            f" got {config.seed}"
        )
    for layer in config.model.pool_after:
        if layer > layers:
            raise UserError(f"model.pool_after must name conv layers 1 to {layers}, got {layer}")
    if config.model.pool_after != sorted(set(config.model.pool_after)):
        raise UserError(
            "model.pool_after must name each layer once and in order,"
            f" got {config.model.pool_after}"
        )


def check_fields(node: Any, typed: Mapping[str, str], prefix: str) -> None:
    hints = _hints(type(node))  # type: ignore[arg-type]
    for entry in fields(node):
        key, value = prefix + entry.name, getattr(node, entry.name)
        if is_dataclass(value):
            check_fields(value, typed, prefix=f"{key}.")
            continue
        rules = getattr(hints[entry.name], "__metadata__", ())
        if rules and isinstance(value, list) and any(type(item) is not int for item in value):
            # OmegaConf takes what lies in a list as it comes.
            raise UserError(f"{key} must be a list of integers, got {typed.get(key, value)}")
        for rule in rules:
            if value is not None or isinstance(rule, NumberOf):
                for item in value if isinstance(value, list) else [value]:
                    _check_value(key, item, rule, typed.get(key, as_typed(item)))


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _check_value(key: str, value: Any, rule: Range | OneOf | Like | NumberOf, typed: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key} must be a finite number, got {typed}")
    broken = rule.broken_rule(value)
    if broken:
        raise UserError(f"{key} must be {broken}, got {typed}")


def dotted(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A config of nested values by dotted keys."""
    flat: dict[str, Any] = {}
    for name, value in node.items():
        if isinstance(value, Mapping):
            flat |= dotted(value, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = value
    return flat


def brief(value: object) -> str:
    """A config's value in a run's name or in a table; [16, 32] as 16-32."""
    return "-".join(map(str, value)) if isinstance(value, list) else str(value)


def as_typed(value: object) -> str:
    """A value as one types it: null, true and false for Python's words, on one line."""
    text = {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
    return on_one_line(text)
