"""The chunked Lightning step against a plain PyTorch loop over the same batches."""

import math
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from pytorch_lightning import Trainer
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader

from convscope.config.schema import OptimConfig
from convscope.data.batches import DeviceImages, TrainBatches
from convscope.data.order import BatchOrder
from convscope.modules import build_network
from convscope.training.module import VariantModule
from convscope.training.schedule import StepChunks, StepPlan, one_cycle
from convscope.training.train_step import EagerRunner

from ..convs import parse_conv, stack_geometry

STEPS = 100
OPTIM = OptimConfig(
    "adamw", lr=0.02, momentum=0.0, weight_decay=0.05, warmup=0.3, label_smoothing=0.0
)
Batch = tuple[Tensor, Tensor]
Fit = Callable[..., VariantModule]


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    convs = parse_conv(3, 1, 1, 2)
    made = build_network(stack_geometry((1, 12, 12), convs, [4, 8], [1], 5))
    return made.to(memory_format=torch.channels_last)


@pytest.fixture(scope="module")
def batches() -> TrainBatches:
    """Images that are the brighter the higher their class: 40 batches of 16 an epoch."""
    source = torch.Generator().manual_seed(1)
    labels = torch.randint(5, (640,), generator=source)
    noise = torch.randint(200, (640, 12, 12, 1), generator=source)
    pixels = (noise + 10 * labels[:, None, None, None]).to(torch.uint8)
    images = DeviceImages(pixels.numpy(), labels.numpy(), [120.0], [60.0])
    return TrainBatches(images, BatchOrder(torch.arange(640), 16, seed=3))


@pytest.fixture
def fit(network: nn.Module, batches: TrainBatches, tmp_path: Path) -> Fit:
    """Train a copy of the network in Lightning, in epochs of 40 steps and chunks of 7."""

    def train(
        precision: str = "32-true", clip_norm: float | None = None, steps: int = STEPS
    ) -> VariantModule:
        module = VariantModule(
            deepcopy(network),
            classes=5,
            optim=OPTIM,
            clip_norm=clip_norm,
            make_runner=lambda step: EagerRunner(
                step, batches, learning_rates(steps), lambda: None
            ),
        )
        trainer = Trainer(
            accelerator="cpu",
            precision=precision,  # type: ignore[arg-type]
            max_epochs=math.ceil(steps / 40),
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            default_root_dir=tmp_path,
        )
        chunks = StepChunks(StepPlan(40, steps), 7, lambda: trainer.global_step)
        trainer.fit(module, chunks)
        assert trainer.global_step == steps
        assert trainer.current_epoch == math.ceil(steps / 40)
        return module

    return train


def learning_rates(steps: int) -> Callable[[int], float]:
    return lambda step: one_cycle(step, steps, OPTIM.lr, OPTIM.warmup)


def plain_loop(
    network: nn.Module,
    batches: TrainBatches,
    dtype: torch.dtype = torch.float32,
    clip_norm: float | None = None,
) -> nn.Module:
    network = deepcopy(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=OPTIM.lr, weight_decay=OPTIM.weight_decay, fused=True
    )
    schedule = OneCycleLR(
        optimizer,
        max_lr=OPTIM.lr,
        total_steps=STEPS + 1,
        pct_start=OPTIM.warmup,
        cycle_momentum=False,
    )
    network.train()
    for images, labels in map(batches.batch, range(STEPS)):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = functional.cross_entropy(network(images), labels)
        loss.backward()
        if clip_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
        optimizer.step()
        schedule.step()
    return network


def assert_same_weights(ours: nn.Module, theirs: nn.Module) -> None:
    for (name, mine), other in zip(
        ours.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        assert torch.equal(mine, other), name


def test_a_run_in_single_precision_is_the_plain_loop(
    fit: Fit, network: nn.Module, batches: TrainBatches
) -> None:
    trained = plain_loop(network, batches)
    assert_same_weights(fit().network, trained)
    assert not torch.equal(trained.head.weight, network.head.weight)


def test_a_run_in_bfloat16_is_the_plain_loop_with_autocast_around_each_step(
    fit: Fit, network: nn.Module, batches: TrainBatches
) -> None:
    """Autocast may keep its bfloat16 copies of the weights until its region ends.

    A region around a chunk would then train each step on the weights of the chunk's first.
    Lightning asks for none to be kept.
    """
    trained = plain_loop(network, batches, torch.bfloat16)
    assert_same_weights(fit("bf16-mixed").network, trained)
    single = plain_loop(network, batches)
    assert not torch.equal(trained.head.weight, single.head.weight)


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_training_leaves_autocast_as_it_was(fit: Fit, precision: str) -> None:
    fit(precision, steps=8)
    assert torch.is_autocast_cache_enabled()
    assert not torch.is_autocast_enabled("cpu")


def test_gradients_are_clipped_as_torch_clips_them(
    fit: Fit, network: nn.Module, batches: TrainBatches
) -> None:
    clipped = plain_loop(network, batches, clip_norm=0.05)
    assert_same_weights(fit(clip_norm=0.05).network, clipped)
    assert not torch.equal(clipped.head.weight, plain_loop(network, batches).head.weight)


def test_a_chunk_gives_each_step_its_loss_and_share_of_right_answers(
    fit: Fit, network: nn.Module, batches: TrainBatches, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def keep(module: VariantModule, outputs: dict[str, Tensor], chunk: range, index: int) -> None:
        seen.append((chunk, outputs["losses"].clone(), outputs["accuracies"].clone()))

    monkeypatch.setattr(VariantModule, "on_train_batch_end", keep)
    fit(steps=12)
    assert [chunk for chunk, _, _ in seen] == [range(10), range(10, 12)]
    images, labels = batches.batch(0)
    scores = deepcopy(network).train()(images)
    assert seen[0][1][0] == functional.cross_entropy(scores, labels)
    assert seen[0][2][0] == (scores.argmax(1) == labels).sum() / 16
    assert seen[1][1].shape == seen[1][2].shape == (2,)


@pytest.mark.parametrize("test_flip", [False, True])
@pytest.mark.parametrize("split", ["val", "test"])
def test_loss_and_accuracy_are_those_of_all_images(
    network: nn.Module, tmp_path: Path, split: str, test_flip: bool
) -> None:
    """Batches of 16 and one of 7: a mean over batches would be another number."""
    source = torch.Generator().manual_seed(2)
    images, labels = torch.randn(39, 1, 12, 12, generator=source), torch.arange(39) % 5
    parts = list(zip(images.split(16), labels.split(16), strict=True))
    loader: DataLoader[Batch] = DataLoader(parts, batch_size=None)  # type: ignore[arg-type]
    module = VariantModule(
        deepcopy(network),
        classes=5,
        optim=OPTIM,
        clip_norm=None,
        test_flip=test_flip,
        make_runner=pytest.fail,
    )
    trainer = Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, default_root_dir=tmp_path
    )
    evaluate = trainer.validate if split == "val" else trainer.test
    evaluate(module, loader, verbose=False)
    found = trainer.callback_metrics
    with torch.no_grad():
        scores = deepcopy(network).eval()(images)
        if test_flip:
            scores = (scores + deepcopy(network).eval()(images.flip(3))) / 2
    right = int((scores.argmax(1) == labels).sum())
    assert found[f"{split}/accuracy"] == (torch.tensor(right) / torch.tensor(39)).item()
    expected = functional.cross_entropy(scores, labels).item()
    assert found[f"{split}/loss"] == pytest.approx(expected, rel=1e-6)
    for true in range(5):
        for predicted in range(5):
            count = int(((labels == true) & (scores.argmax(1) == predicted)).sum())
            assert module.confusion[true, predicted] == count
