"""A trained variant loaded again: the accuracy on record, and errors in the user's words."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms.functional import center_crop, resize

import convscope
from convscope.cli import predict
from convscope.errors import UserError
from convscope.inference import TrainedVariant
from convscope.runs.record import RunRecord, read_record, write_record
from convscope.training.request import RunRequest
from convscope.training.train import train

Ask = Callable[..., RunRequest]


@pytest.fixture(scope="module", params=[("32-true", "false"), ("bf16-mixed", "true")])
def request_run(
    request: pytest.FixtureRequest, ask: Ask, tmp_path_factory: pytest.TempPathFactory
) -> RunRequest:
    """Trained well enough that its classes are close together and not all one."""
    precision, test_flip = request.param
    asked = ask(
        tmp_path_factory.mktemp("outputs"),
        "conv.stride=2",
        "optim.lr=0.05",
        "trainer.limit_train_batches=40",
        "trainer.max_epochs=4",
        f"trainer.precision={precision}",
        f"data.test_flip={test_flip}",
        "study=sizes",
    )
    record = train(asked)
    assert record.status == "finished", record.reason
    return asked


@pytest.fixture(scope="module")
def record(request_run: RunRequest) -> RunRecord:
    return read_record(request_run.directory.record)


@pytest.fixture(scope="module")
def variant(request_run: RunRequest) -> TrainedVariant:
    return convscope.load(request_run.directory.path)


@pytest.fixture(scope="module")
def images(request_run: RunRequest) -> NDArray[np.uint8]:
    """(360, 28, 28, 1): the test images as they are."""
    return request_run.images.test_images


def test_predictions_have_the_accuracy_on_record(
    request_run: RunRequest, record: RunRecord, variant: TrainedVariant, images: NDArray[np.uint8]
) -> None:
    names = [request_run.images.classes[label] for label in request_run.images.test_labels]
    right = sum(p == n for p, n in zip(variant.predict(images), names, strict=True))
    assert np.float32(right) / np.float32(len(names)) == record.metrics["test_accuracy"]
    assert right > len(names) / 2


def test_images_are_normalised_as_they_were_in_training(
    request_run: RunRequest, variant: TrainedVariant, images: NDArray[np.uint8]
) -> None:
    (mean,), (std,) = request_run.images.mean, request_run.images.std
    expected = (images[:5].astype(np.float64) - mean) / std
    made = variant.preprocess(images[:5])
    assert made.shape == (5, 1, 28, 28)
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made.numpy()[:, 0], expected[..., 0], rtol=1e-5, atol=1e-6)


def test_one_image_many_images_arrays_and_tensors(
    variant: TrainedVariant, images: NDArray[np.uint8]
) -> None:
    expected = variant.predict(images[:3])
    assert variant.predict(images[:3, :, :, 0]) == expected
    assert variant.predict(torch.from_numpy(images[:3])) == expected
    assert variant.predict(images[0]) == expected[:1]
    assert variant.predict(images[0, :, :, 0]) == expected[:1]
    assert variant.predict(images[:0]) == []


def test_scores_are_probabilities(variant: TrainedVariant, images: NDArray[np.uint8]) -> None:
    scores = variant.scores(images[:7])
    assert scores.shape == (7, 10)
    assert scores.dtype == torch.float32
    torch.testing.assert_close(scores.sum(dim=1), torch.ones(7))
    assert not scores.requires_grad


@pytest.mark.parametrize(
    ("made", "got"),
    [
        (np.zeros((2, 28, 28, 1), np.float32), "torch.float32 of shape (2, 28, 28, 1)"),
        (np.zeros((2, 28, 28, 3), np.uint8), "torch.uint8 of shape (2, 28, 28, 3)"),
        (np.zeros((2, 27, 28), np.uint8), "torch.uint8 of shape (2, 27, 28)"),
        (np.zeros((28,), np.uint8), "torch.uint8 of shape (28,)"),
        (np.zeros((2, 1, 28, 28), np.uint8), "torch.uint8 of shape (2, 1, 28, 28)"),
    ],
)
def test_other_images_are_refused(
    variant: TrainedVariant, made: NDArray[np.uint8], got: str
) -> None:
    expected = f"images must be uint8 of shape (batch, 28, 28, 1), got {got}"
    with pytest.raises(UserError, match=f"^{re.escape(expected)}$"):
        variant.predict(made)


@pytest.mark.filterwarnings("error")
def test_files_and_pil_images_are_predicted_as_their_pixels_are(
    variant: TrainedVariant, images: NDArray[np.uint8], tmp_path: Path
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(4)]
    for path, pixels in zip(paths, images, strict=False):
        Image.fromarray(pixels[..., 0]).save(path)
    expected = variant.scores(images[:4])
    for given in (paths, list(map(str, paths)), tuple(map(Image.open, paths))):
        assert torch.equal(variant.scores(given), expected)
    classes = variant.predict(images[:4])
    assert variant.predict(paths) == classes
    assert variant.predict(paths[0]) == classes[:1]
    assert variant.predict(Image.open(paths[0])) == classes[:1]
    assert variant.predict([]) == []
    # Grey is what the network reads, whatever the file holds.
    coloured = Image.fromarray(images[0].repeat(3, axis=2)).convert("RGBA")
    assert torch.equal(variant.preprocess(coloured), variant.preprocess(images[0]))
    # Nor does PyTorch warn of an array that is read-only or turned.
    fixed = images[:4].copy()
    fixed.flags.writeable = False
    assert torch.equal(variant.scores(fixed), expected)
    assert torch.equal(variant.scores(fixed[::-1]), expected.flip(0))


@pytest.mark.parametrize("size", [(28, 28), (56, 56), (100, 41), (41, 100), (7, 9)])
def test_images_of_another_size_are_scaled_and_cropped(
    variant: TrainedVariant, tmp_path: Path, size: tuple[int, int]
) -> None:
    """As torchvision does it: the shorter side scaled, the centre cut out."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 1), np.uint8)
    image = Image.fromarray(noise[..., 0])
    image.save(tmp_path / "image.png")
    scaled = center_crop(resize(image, 28, InterpolationMode.BILINEAR), [28, 28])
    expected = variant.preprocess(np.asarray(scaled))
    assert torch.equal(variant.preprocess(image), expected)
    assert torch.equal(variant.preprocess(tmp_path / "image.png"), expected)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (
            None,
            "images must be paths, PIL images or a list of them, or a uint8 array, got NoneType",
        ),
        ([3], "images must be paths, PIL images or a list of them, or a uint8 array, got int"),
        ("none.png", "none.png cannot be read: No such file or directory"),
        (Path("tests"), "tests is not a regular file"),
        (np.zeros((2, 28), object), "images must be uint8 of .*, got object of shape (2, 28)"),
        (Image.new("I;16", (28, 28)), "the image has more than 8 bits per channel"),
    ],
)
def test_what_is_no_image_is_refused_in_one_line(
    variant: TrainedVariant, tmp_path: Path, made: Any, message: str
) -> None:
    with pytest.raises(UserError) as told:
        variant.predict(made)
    assert re.match(re.escape(message).replace(r"\.\*", ".*"), str(told.value))
    assert "\n" not in str(told.value)


def test_a_variant_is_shown_in_one_line(variant: TrainedVariant, record: RunRecord) -> None:
    accuracy = 100 * float(record.metrics["test_accuracy"] or 0)
    assert repr(variant) == (
        f"<TrainedVariant {record.name}: test accuracy {accuracy:.2f} %, input 1x28x28, 10 classes>"
    )


def test_the_command_names_the_class_of_each_image(
    request_run: RunRequest,
    variant: TrainedVariant,
    images: NDArray[np.uint8],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        Image.fromarray(images[number, ..., 0]).save(f"{number}.png")
    run = str(request_run.directory.path)

    def command(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["predict.py", *arguments])
        code = predict.main()
        return code, *capsys.readouterr()

    code, out, err = command(run, "0.png", "1.png")
    shares, labels = variant.scores(images[:2]).max(dim=1)
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines() if ".png" in line] == [
        [f"{number}.png", variant.classes[labels[number]], f"{100 * shares[number]:.2f}", "%"]
        for number in range(2)
    ]
    assert command(run, "0.png", "2.png") == (
        *(2, ""),
        "error: 2.png cannot be read: No such file or directory\n",
    )
    assert command(run)[0] == 2
    assert command("none", "0.png")[2].startswith("error: run must be a run in outputs")
    assert "RUN IMAGE" in command("--help")[1]


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (
            {"dataset": {"classes": ["a", "b"]}},
            "best.ckpt does not fit the network of .*run.json; add",
        ),
        ({"dataset": {"mean": None}}, "not a record of a run"),
        ({"config": {"model": {"channels": [10_000, 8], "pool_after": []}}}, "does not fit"),
        ({"config": {"model": {"channels": [4, 8]}}}, r"does not say .*: KeyError\('pool_after'\)"),
    ],
)
def test_weights_that_do_not_fit_the_record_are_refused(
    record: RunRecord, tmp_path: Path, change: dict[str, Any], kind: str
) -> None:
    assert record.path is not None
    folder = tmp_path / record.name
    shutil.copytree(record.path, folder)
    document = json.loads((folder / "run.json").read_text())
    for group, values in change.items():
        document[group] |= values
    (folder / "run.json").write_text(json.dumps(document))
    with pytest.raises(UserError, match=kind) as told:
        convscope.load(folder)
    assert "\n" not in str(told.value)


def test_a_run_is_found_by_record_folder_study_and_name(
    request_run: RunRequest, record: RunRecord, images: NDArray[np.uint8]
) -> None:
    output_dir = request_run.directory.path.parents[1]
    for run in (record, record.path, f"sizes/{record.name}", record.name):
        assert run is not None
        assert convscope.load(run, output_dir).record == record


def test_a_record_loads_where_it_was_not_read_from_disk(
    request_run: RunRequest, record: RunRecord
) -> None:
    """As `convscope.train` returns it."""
    assert convscope.load(replace(record, path=None)).record == record


def test_a_run_that_did_not_finish_is_refused(record: RunRecord, tmp_path: Path) -> None:
    assert record.path is not None
    folder = tmp_path / record.name
    shutil.copytree(record.path, folder)
    failed = replace(record, status="failed", reason="a reason")
    write_record(folder / "run.json", failed)
    with pytest.raises(UserError, match="is failed: it has no trained network to load"):
        convscope.load(folder)
    write_record(folder / "run.json", replace(record, status="pruned", reason="a reason"))
    with pytest.raises(UserError) as pruned:
        convscope.load(folder)
    assert str(pruned.value) == (
        f"{folder} is pruned: a reason\n{record.command} trains it to its end"
    )
    write_record(folder / "run.json", record)
    (folder / "checkpoints" / "best.ckpt").write_bytes(b"")
    with pytest.raises(UserError, match="cannot read .*best.ckpt: missing or damaged checkpoint"):
        convscope.load(folder)
    (folder / "checkpoints" / "best.ckpt").unlink()
    with pytest.raises(UserError, match="cannot read .*best.ckpt: missing or damaged checkpoint"):
        convscope.load(folder)


def test_a_network_with_blurs(ask: Ask, tmp_path: Path) -> None:
    """A checkpoint does not have their filters."""
    request = ask(tmp_path, "model.pool=blur", "model.downsample=blur", "conv.stride=2")
    record = train(request)
    assert record.status == "finished", record.reason
    scores = convscope.load(request.directory.path).scores(np.zeros((2, 28, 28, 1), np.uint8))
    assert scores.sum(1).tolist() == pytest.approx([1, 1])
