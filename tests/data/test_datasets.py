"""The tables against torchvision's own."""

from pkgutil import resolve_name

from convscope.config.compose import config_dir
from convscope.data.datasets import DATASETS, dataset_facts

MNIST, FASHION_MNIST = DATASETS["mnist"], DATASETS["fashion_mnist"]
KMNIST = DATASETS["kmnist"]
CIFAR10, CIFAR100 = DATASETS["cifar10"], DATASETS["cifar100"]


def test_idx_sets_are_torchvisions() -> None:
    from torchvision import datasets

    for known, theirs in (
        (MNIST, datasets.MNIST),
        (FASHION_MNIST, datasets.FashionMNIST),
        (KMNIST, datasets.KMNIST),
    ):
        assert [(a.path.rsplit("/")[-1], a.md5) for a in known.archives] == theirs.resources
        for archive in known.archives:
            name = archive.path.rsplit("/")[-1]
            assert archive.urls == tuple(mirror + name for mirror in theirs.mirrors)
            assert archive.path == f"{theirs.__name__}/raw/{name}"
        assert [f"{file.path}.gz" for file in known.files] == [a.path for a in known.archives]
    assert list(FASHION_MNIST.class_names) == datasets.FashionMNIST.classes
    assert list(KMNIST.class_names) == datasets.KMNIST.classes


def test_pickled_sets_are_torchvisions() -> None:
    from torchvision import datasets

    for known, theirs in ((CIFAR10, datasets.CIFAR10), (CIFAR100, datasets.CIFAR100)):
        meta = theirs.meta
        expected = [*theirs.train_list, *theirs.test_list, [meta["filename"], meta["md5"]]]
        assert [file.path for file in known.files] == [
            f"{theirs.base_folder}/{name}" for name, _ in expected
        ]
        assert [file.md5 for file in known.files] == [md5 for _, md5 in expected]
        (archive,) = known.archives
        assert (archive.path, archive.md5, archive.urls) == (
            theirs.filename,
            theirs.tgz_md5,
            (theirs.url,),
        )
        assert known.names_key == meta["key"]


def test_facts_need_no_files() -> None:
    def outline(name: str) -> tuple[object, ...]:
        facts = dataset_facts(name, "/nowhere")
        return facts.input_shape, facts.classes, facts.train_size

    assert (
        outline("mnist")
        == outline("fashion_mnist")
        == outline("kmnist")
        == ((1, 28, 28), 10, 60_000)
    )
    assert outline("cifar10") == ((3, 32, 32), 10, 50_000)
    assert outline("cifar100") == ((3, 32, 32), 100, 50_000)
    assert outline("digits") == ((1, 28, 28), 10, 1438)


def test_fingerprints_differ() -> None:
    known = [MNIST, FASHION_MNIST, KMNIST, CIFAR10, CIFAR100]
    assert len({entry.fingerprint for entry in known}) == 5


def test_each_has_a_preset_and_is_known_to_torchvision_or_has_a_loader() -> None:
    from torchvision import datasets

    presets = {path.stem for path in (config_dir() / "data").glob("*.yaml")}
    assert presets == {"auto", *DATASETS, "image_folder"}
    for known in DATASETS.values():
        assert callable(
            resolve_name(known.loader) if known.loader else getattr(datasets, known.torchvision)
        )
