"""Data to try things on: a small set inside the package, and a loader for Fashion-MNIST's files."""

from __future__ import annotations

import gzip
import hashlib
import os
from importlib import resources
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from ._check import Array, number
from .random import SHUFFLE, Stream

__all__ = ["FASHION_MNIST_CLASSES", "load_digits", "load_fashion_mnist", "split"]

FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

_VARIABLE = "FASTNN_FASHION_MNIST"
_DEBIAN_FOLDER = "/usr/share/datasets/fashion-mnist"
_FILES = {
    "train-images-idx3-ubyte.gz": "b0564c3eedabfbf835052cff8503ea422014ce006caf5b757f851416ee8300c7",
    "train-labels-idx1-ubyte.gz": "0ae29f65d86684f32d1b9c85147786c547b9c6aebcaf235f0400a0cce308b056",
    "t10k-images-idx3-ubyte.gz": "cc1d090a38ace84dfa1aa66e3ada7c336ef481a96936906477e6dd344da56eaa",
    "t10k-labels-idx1-ubyte.gz": "8d3605d196f4be44669e46906da9733c8131fef761fdbfec72c424d5222f1a05",
}


def load_digits() -> tuple[Array, Array]:
    """1797 handwritten digits: images (1797, 64) uint8 from 0 to 16, 8×8 pixels each, and labels (1797,) int64 from 0 to 9.

    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998), CC BY 4.0.

    >>> images, labels = load_digits()
    >>> images.shape, labels[:5]
    ((1797, 64), array([0, 1, 2, 3, 4]))
    """
    with resources.files(__package__).joinpath("data/digits.npz").open("rb") as file, np.load(file) as arrays:
        return arrays["images"], arrays["labels"].astype(np.int64)


def load_fashion_mnist(
    folder: str | PathLike[str] | None = None,
) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Fashion-MNIST: (training images, labels), (test images, labels); 60,000 and 10,000 rows.

    Images are (rows, 784) uint8 from 0 to 255, 28×28 pixels each; labels (rows,) int64 from 0 to 9, named by
    FASHION_MNIST_CLASSES. The four gzipped IDX files are looked for in `folder`, or else in the folder that the environment
    variable FASTNN_FASHION_MNIST names, or else where Debian's package puts them; their SHA-256 is checked. Raises
    FileNotFoundError, with ways to get them, where they are missing, and ValueError where a file is not the original.

    Source: H. Xiao, K. Rasul and R. Vollgraf, arXiv:1708.07747; Zalando SE, MIT licence.
    """
    if folder is None:
        folder = os.environ.get(_VARIABLE) or _DEBIAN_FOLDER
    arrays = [_read_idx(Path(folder), name, digest) for name, digest in _FILES.items()]
    x, y, x_test, y_test = arrays
    return (_flat(x), y.astype(np.int64)), (_flat(x_test), y_test.astype(np.int64))


def split(x: ArrayLike, y: ArrayLike, fraction: float = 0.2, seed: int = 0) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
    """Shuffle the rows and set a fraction of them aside: ((x, y) to train on, (x, y) held out).

    >>> (x, y), (x_test, y_test) = split(*load_digits(), fraction=0.25)
    >>> len(x), len(x_test)
    (1348, 449)
    """
    x, y = np.asarray(x), np.asarray(y)
    fraction = number("fraction", fraction, low=0.0, high=1.0, open_low=True, open_high=True)
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f"y: expected as many rows as x, {x.shape}, got {y.shape}")
    order = Stream(seed, SHUFFLE).permutation(len(x))
    held = round(len(x) * fraction)
    if not 0 < held < len(x):
        raise ValueError(f"fraction: expected at least one row on both sides of the split of {len(x)}, got {fraction}")
    return (x[order[held:]], y[order[held:]]), (x[order[:held]], y[order[:held]])


def _flat(images: Array) -> Array:
    return images.reshape(len(images), -1).copy()  # writeable, unlike the file's bytes


def _read_idx(folder: Path, name: str, digest: str) -> Array:
    """One IDX file: a magic number that ends in the number of dimensions, the sizes, and bytes."""
    path = folder / name
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise FileNotFoundError(
            f"{path} cannot be read ({error.strerror}). Fashion-MNIST's four files ({', '.join(_FILES)}) come with Debian's "
            "package dataset-fashion-mnist (apt install dataset-fashion-mnist) or from "
            "https://github.com/zalandoresearch/fashion-mnist; give their folder as load_fashion_mnist(folder) or in "
            f"the environment variable {_VARIABLE}"
        ) from error
    if hashlib.sha256(raw).hexdigest() != digest:
        raise ValueError(f"{path}: expected the original file with SHA-256 {digest}, got another")
    data = gzip.decompress(raw)
    dimensions = data[3]
    shape = np.frombuffer(data, ">u4", dimensions, offset=4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(tuple(int(n) for n in shape))
