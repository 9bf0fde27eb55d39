"""The digits in the package, the loader of Fashion-MNIST's files, and the split."""

import os
from pathlib import Path

import numpy as np
import pytest

import fastnn as fnn
from fastnn import datasets

FILES = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
]
VARIABLE = "FASTNN_FASHION_MNIST"

# digits


def test_digits_are_1797_images_of_64_pixels_from_0_to_16():
    images, labels = datasets.load_digits()
    assert (images.shape, images.dtype) == ((1797, 64), np.uint8)
    assert (labels.shape, labels.dtype) == ((1797,), np.int64)
    assert (images.min(), images.max()) == (0, 16)
    counts = np.bincount(labels)
    assert len(counts) == 10
    assert counts.sum() == 1797
    assert counts.min() >= 170


def test_digits_come_in_the_same_order_each_time_as_arrays_of_ones_own():
    (images, labels), (again, labels_again) = datasets.load_digits(), datasets.load_digits()
    assert np.array_equal(images, again)
    assert np.array_equal(labels, labels_again)
    assert labels[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    images[...] = 0
    assert again.any()


def test_digits_of_a_class_resemble_one_another():
    images, labels = datasets.load_digits()
    means = np.array([images[labels == k].mean(axis=0) for k in range(10)])
    nearest = ((images[:, None, :] - means) ** 2).sum(axis=-1).argmin(axis=1)
    assert (nearest == labels).mean() > 0.85


# split


def rows(n=31):
    return np.arange(n)[:, None] * np.array([1, 100]), np.arange(n)


@pytest.mark.parametrize(("fraction", "held"), [(0.2, 6), (0.5, 16), (0.1, 3), (0.97, 30)])
def test_a_split_is_disjoint_and_complete(fraction, held):
    (x, y), (x_held, y_held) = datasets.split(*rows(), fraction=fraction)
    assert len(y_held) == len(x_held) == held
    assert sorted([*y, *y_held]) == list(range(31))
    for inputs, labels in ((x, y), (x_held, y_held)):
        assert np.array_equal(inputs[:, 0], labels), "rows stay with their labels"
        assert np.array_equal(inputs[:, 1], 100 * labels)


def test_a_split_is_seeded_and_shuffles():
    first, same, other = (datasets.split(*rows(), seed=seed) for seed in (1, 1, 2))
    for i in range(2):
        for j in range(2):
            assert np.array_equal(first[i][j], same[i][j])
    assert not np.array_equal(first[0][1], other[0][1])
    assert not np.array_equal(first[0][1], np.sort(first[0][1]))


def test_a_split_takes_lists_and_keeps_dtypes():
    (x, y), (x_held, y_held) = datasets.split([[1.0], [2.0], [3.0]], ["a", "b", "c"], fraction=0.4)
    assert sorted([*y, *y_held]) == ["a", "b", "c"]
    assert x.dtype == x_held.dtype == np.float64


@pytest.mark.parametrize(
    ("x", "y", "kwargs", "error", "argument"),
    [
        (np.ones((4, 2)), np.ones(5), {}, ValueError, "y"),
        (np.ones((4, 2)), 3, {}, ValueError, "y"),
        (np.ones((4, 2)), np.ones(4), {"fraction": 0.0}, ValueError, "fraction"),
        (np.ones((4, 2)), np.ones(4), {"fraction": 1.0}, ValueError, "fraction"),
        (np.ones((4, 2)), np.ones(4), {"fraction": np.nan}, ValueError, "fraction"),
        (np.ones((4, 2)), np.ones(4), {"fraction": "half"}, TypeError, "fraction"),
        (np.ones((4, 2)), np.ones(4), {"fraction": 0.01}, ValueError, "fraction"),
        (np.ones((1, 2)), np.ones(1), {}, ValueError, "fraction"),
        (np.ones((4, 2)), np.ones(4), {"seed": -1}, ValueError, "seed"),
        (np.ones((4, 2)), np.ones(4), {"seed": 0.5}, TypeError, "seed"),
    ],
)
def test_bad_arguments_of_split_are_refused_by_name(x, y, kwargs, error, argument):
    with pytest.raises(error, match=rf"^{argument}: expected"):
        datasets.split(x, y, **kwargs)


# Fashion-MNIST


def test_missing_files_are_an_error_with_the_ways_to_get_them(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        datasets.load_fashion_mnist(tmp_path / "nowhere")
    message = str(caught.value)
    for part in (
        *FILES,
        VARIABLE,
        "apt install dataset-fashion-mnist",
        "https://github.com/zalandoresearch/fashion-mnist",
        "nowhere",
    ):
        assert part in message


def test_the_environment_variable_names_the_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "from the variable"))
    with pytest.raises(FileNotFoundError, match="from the variable"):
        datasets.load_fashion_mnist()
    with pytest.raises(FileNotFoundError, match="from the argument"):
        datasets.load_fashion_mnist(str(tmp_path / "from the argument"))


@pytest.mark.parametrize("content", [b"", b"not the file", b"\x1f\x8b\x08\x00truncated"], ids=["empty", "other", "gzip"])
def test_a_corrupted_file_is_refused_by_its_digest(tmp_path, content):
    for name in FILES:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz: expected the original file with SHA-256 [0-9a-f]{64}"):
        datasets.load_fashion_mnist(tmp_path)


@pytest.fixture(scope="module")
def fashion():
    folder = Path(os.environ.get(VARIABLE) or "/usr/share/datasets/fashion-mnist")
    if not all((folder / name).is_file() for name in FILES):
        pytest.skip(f"Fashion-MNIST's files are not here: set {VARIABLE} or install Debian's dataset-fashion-mnist")
    return datasets.load_fashion_mnist()


@pytest.mark.parametrize(("part", "size"), [(0, 60_000), (1, 10_000)])
def test_fashion_mnist_has_balanced_classes_of_784_pixels(fashion, part, size):
    images, labels = fashion[part]
    assert (images.shape, images.dtype) == ((size, 784), np.uint8)
    assert (labels.shape, labels.dtype) == ((size,), np.int64)
    assert (images.min(), images.max()) == (0, 255)
    assert np.bincount(labels).tolist() == [size // 10] * 10


def test_the_classes_of_fashion_mnist_have_their_names(fashion):
    images, labels = fashion[0]
    ink = [images[labels == k].mean() for k in range(10)]
    names = datasets.FASHION_MNIST_CLASSES
    assert len(names) == 10
    assert (names[0], names[9]) == ("T-shirt/top", "Ankle boot")
    assert {names[i] for i in np.argsort(ink)[:2]} == {"Sandal", "Sneaker"}, "the least ink"
    assert {names[i] for i in np.argsort(ink)[-2:]} == {"Pullover", "Coat"}, "the most"


def test_fashion_mnist_is_learned_from_its_bytes(fashion):
    (x, y), (x_test, y_test) = fashion
    model = fnn.Sequential(fnn.Linear(784, 32), fnn.ReLU(), fnn.Linear(32, 10), seed=0, input_scale=1 / 255)
    trainer = fnn.Trainer(model, fnn.CrossEntropyLoss(), fnn.Adam(lr=3e-3))
    trainer.fit(x[:4000], y[:4000], epochs=3, batch_size=64)
    assert trainer.evaluate(x_test[:1000], y_test[:1000])["accuracy"] > 0.75
