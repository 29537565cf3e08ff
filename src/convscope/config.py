"""What a run is made of: every key with its type, range and meaning. The values live in `configs/`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from convscope.errors import UserError

DATASETS = ("auto", "mnist", "fashion_mnist", "cifar10", "cifar100", "digits", "image_folder")
COUNT_OR_SHARE = ((int, float), "a count (integer) or a share up to 1.0")
COUNT_OR_SWITCH = ((int, bool), "an integer, true or false")


def within(
    *,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    one_of: tuple[str, ...] | None = None,
    like: tuple[str, str] | None = None,
    number: tuple[tuple[type, ...], str] | None = None,
) -> Any:
    """A field without a default, and the range that `check_ranges` holds it to.

    Args:
        least, most: inclusive bounds of a number, or of each number of a list.
        above, below: exclusive bounds.
        one_of: the legal strings.
        like: a regular expression and the words that describe it.
        number: the legal types and the words that describe them (OmegaConf 2.3 fails to merge
            a union of numbers into a nested dataclass, so such a field is typed Any).
    """
    rules: dict[str, Any] = {"least": least, "most": most, "above": above, "below": below}
    rules |= {"one_of": one_of, "like": like, "number": number}
    return field(metadata={name: rule for name, rule in rules.items() if rule is not None})


@dataclass
class ConvConfig:
    kernel_size: Any
    """Area that a filter sees, in pixels: an int, height x width as 3x5, or a list, one per layer."""
    stride: Any
    """Step of that window in pixels, written like kernel_size; above 1 it shrinks the output."""
    padding: Any
    """Zeros around the input: pixels, or valid, half, full, same (stride 1 only)."""


@dataclass
class DataConfig:
    name: str = within(one_of=DATASETS)
    """Data set. auto is MNIST where it can be had, else the digits that scikit-learn ships."""
    root: str
    """Folder with the raw files; the decoded cache lies beside them in `.convscope/`."""
    batch_size: int = within(least=1)
    """Training images per optimizer step, over all devices."""
    val_fraction: float = within(above=0, below=1)
    """Share of each class of the training set held back for validation (same split in every run)."""
    image_size: int | None = within(least=1)
    """Height and width in pixels to which image_folder scales and crops; null keeps equal sizes."""
    flip: bool
    """Mirror half of the training images left to right."""
    shift: int = within(least=0)
    """Largest shift of a training image in pixels, either way on both axes; 0 is none."""
    cutout: int = within(least=0)
    """Side in pixels of a square blanked in each training image; 0 is none."""


@dataclass
class ModelConfig:
    channels: list[int] = within(least=1)
    """Output channels, one entry per conv layer."""
    pool_after: list[int] = within(least=1)
    """Conv layers, counted from 1, that a 2x2 max-pool follows."""


@dataclass
class OptimConfig:
    lr: float = within(above=0)
    """Peak learning rate of AdamW."""
    weight_decay: float = within(least=0)
    """Decoupled weight decay of AdamW."""
    warmup: float = within(above=0, below=1)
    """Share of all steps over which the one-cycle schedule climbs to lr before it anneals."""


@dataclass
class TrainerConfig:
    """Arguments of `pytorch_lightning.Trainer`, with its meaning; batches are optimizer steps."""

    max_epochs: int | None = within(least=1)
    """Stop after so many epochs; null leaves it to max_steps."""
    max_steps: int | None = within(least=1)
    """Stop after so many optimizer steps; null is no limit."""
    max_time: str | None = within(like=(r"\d+:\d{2}:\d{2}:\d{2}", "DD:HH:MM:SS"))
    """Stop after this wall time, DD:HH:MM:SS; null is no limit."""
    accelerator: str = within(one_of=("auto", "cpu", "gpu", "cuda", "mps"))
    """Device kind; auto takes a GPU or MPS where there is one."""
    devices: int = within(least=1)
    """Number of devices."""
    strategy: str = within(one_of=("auto", "ddp"))
    """How several devices share a run."""
    precision: str = within(one_of=("auto", "32-true", "bf16-mixed"))
    """auto is bf16-mixed where the hardware computes in bfloat16, else 32-true."""
    limit_train_batches: Any = within(above=0, number=COUNT_OR_SHARE)
    """Optimizer steps per epoch, as a count (int) or a share (float)."""
    limit_val_batches: Any = within(above=0, number=COUNT_OR_SHARE)
    """Validation batches, as a count (int) or a share (float)."""
    limit_test_batches: Any = within(above=0, number=COUNT_OR_SHARE)
    """Test batches, as a count (int) or a share (float)."""
    fast_dev_run: Any = within(least=0, number=COUNT_OR_SWITCH)
    """Run so many (true: 1) batches of everything, and leave nothing on disk."""
    gradient_clip_val: float | None = within(above=0)
    """Largest norm of the gradient; null does not clip."""
    deterministic: bool
    """Use deterministic algorithms only (CUDA; the CPU's are)."""
    log_every_n_steps: int = within(least=1)
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
    seed: int = within(least=0, most=2**32 - 1)
    """Seed of the weights, the order of the batches and their augmentation."""
    study: str
    """Name of the folder below output_dir that holds the runs which belong together."""
    output_dir: str
    """Folder of all studies; what `tensorboard --logdir` is pointed at."""
    rerun: bool
    """Move a finished run of the same config aside and train anew."""
    compile: bool
    """Train through `torch.compile`."""


def check_ranges(config: TrainConfig) -> None:
    """Hold every value to its range.

    Raises:
        UserError: names the dotted key, the rule and the value of the first that breaks it.
    """
    _check_fields(config, prefix="")
    trainer = config.trainer
    if trainer.max_epochs is None and trainer.max_steps is None:
        raise UserError(
            "trainer.max_epochs must be a number where trainer.max_steps is null, got null"
        )
    for layer in config.model.pool_after:
        if layer > len(config.model.channels):
            raise UserError(
                f"model.pool_after must name conv layers 1 to {len(config.model.channels)},"
                f" got {layer}"
            )
    if not config.model.channels:
        raise UserError("model.channels must name at least one layer, got []")


def _check_fields(node: Any, prefix: str) -> None:
    for entry in fields(node):
        key, value = prefix + entry.name, getattr(node, entry.name)
        if is_dataclass(value):
            _check_fields(value, prefix=f"{key}.")
        elif value is not None or "number" in entry.metadata:
            for item in value if isinstance(value, list) else [value]:
                _check_value(key, item, dict(entry.metadata))


def _check_value(key: str, value: Any, rules: dict[str, Any]) -> None:
    if "number" in rules and type(value) not in rules["number"][0]:
        raise UserError(f"{key} must be {rules['number'][1]}, got {as_typed(value)}")
    if "number" in rules and isinstance(value, float) and value > 1:
        raise UserError(f"{key} must be at most 1.0 where it is a share, got {value}")
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{key} must be a finite number, got {value}")
    if "least" in rules and value < rules["least"]:
        raise UserError(f"{key} must be at least {rules['least']}, got {value}")
    if "most" in rules and value > rules["most"]:
        raise UserError(f"{key} must be at most {rules['most']}, got {value}")
    if "above" in rules and value <= rules["above"]:
        raise UserError(f"{key} must be above {rules['above']}, got {value}")
    if "below" in rules and value >= rules["below"]:
        raise UserError(f"{key} must be below {rules['below']}, got {value}")
    if "one_of" in rules and value not in rules["one_of"]:
        raise UserError(f"{key} must be one of {', '.join(rules['one_of'])}, got {value}")
    if "like" in rules and not re.fullmatch(rules["like"][0], value):
        raise UserError(f"{key} must look like {rules['like'][1]}, got {value}")


def as_typed(value: object) -> str:
    """A value as the user typed it in YAML: null, true and false for Python's words."""
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))
