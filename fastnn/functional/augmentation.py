"""Data augmentation of a batch: draws its random numbers and calls one kernel.

`fastnn.augment` has the classes with the settings, which are checked there. Here images are (m, c, h, w) and rows (m, n),
C-contiguous float32 or float64; they are read alone, and a new array is returned. A `Key` is what the draws are a function of.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from fastnn_kernels.cpu.augmentation import affine, blur, colour, draws, erase, mixing, noise, shift

from .._check import Array
from ._dispatch import run
from .arrays import random_bits

__all__ = [
    "Key",
    "affine_images",
    "blur_images",
    "brightness_images",
    "contrast_images",
    "crop_images",
    "cutmix_images",
    "cutout_images",
    "erase_images",
    "flip_images",
    "gaussian_noise",
    "mix_targets",
    "mixup_rows",
    "one_hot",
    "saturation_images",
]

# what a pixel takes on one core, roughly; picks the serial or the parallel build
MOVE_NS, COLOUR_NS, AFFINE_NS, NOISE_NS, MIX_NS = 0.3, 0.3, 3.4, 1.0, 0.15


def blur_ns(radius: int) -> float:
    """Of a blur, likewise."""
    return 1.3 + 0.3 * radius


class Key(NamedTuple):
    """Seed in [0, 2⁶⁴), step and stream in [0, 2³²)."""

    seed: int
    step: int
    stream: int


class Mixing(NamedTuple):
    """Which row each row of a batch is mixed with, and how much of itself it keeps."""

    partners: Array
    shares: Array


def flip_images(x: Array, key: Key, p: float, vertical: bool) -> Array:
    """Flipped with probability p: left and right change, or top and bottom."""
    return _apply(shift.flip_images, MOVE_NS, x, _table(key, len(x), 1), p, vertical)


def crop_images(x: Array, key: Key, padding: int) -> Array:
    """Random crops of the images in a border of zeros."""
    return _apply(shift.crop_images, MOVE_NS, x, _table(key, len(x), 2), padding)


def affine_images(x: Array, key: Key, *settings: float) -> Array:
    """Turned, moved and scaled. settings: angles from and to, greatest shifts right and down, scales from and to."""
    return _apply(affine.affine_images, AFFINE_NS, x, _table(key, len(x), 4), *settings)


def cutout_images(x: Array, key: Key, p: float, height: int, width: int) -> Array:
    """With a rectangle of zeros around a random pixel."""
    return _apply(erase.cutout_images, MOVE_NS, x, _table(key, len(x), 3), p, height, width)


def erase_images(x: Array, key: Key, *settings: float) -> Array:
    """With a rectangle of zeros inside. settings: p, areas from and to, proportions from and to."""
    return _apply(erase.erase_images, MOVE_NS, x, _table(key, len(x), 5), *settings)


def brightness_images(x: Array, key: Key, *settings: float) -> Array:
    """Times a factor. settings: factors from and to, values from and to."""
    return _colour(colour.brightness_images, x, key, settings)


def contrast_images(x: Array, key: Key, *settings: float) -> Array:
    """Mixed with their mean grey. settings: as for brightness."""
    return _colour(colour.contrast_images, x, key, settings)


def saturation_images(x: Array, key: Key, *settings: float) -> Array:
    """Mixed with their grey versions. settings: as for brightness."""
    return _colour(colour.saturation_images, x, key, settings)


def blur_images(x: Array, key: Key, sigma_low: float, sigma_high: float, radius: int) -> Array:
    """Convolved with a Gaussian of so many pixels either way."""
    room = np.empty((len(x), blur.blur_scratch(*x.shape[2:], radius)), x.dtype)
    return _apply(blur.blur_images, blur_ns(radius), x, _table(key, len(x), 1), sigma_low, sigma_high, radius, room)


def gaussian_noise(x: Array, key: Key, std: float) -> Array:
    """x + std · z, for an array of any shape."""
    y = np.empty_like(x)
    words = random_bits(x.size + x.size % 2, *key)
    run(noise.gaussian_noise, x.size * NOISE_NS, x.reshape(-1), words, std, y.reshape(-1))
    return y


def mixup_rows(x: Array, key: Key, alpha: float, by_row: bool) -> tuple[Array, Mixing]:
    """Rows mixed with others, and what `mix_targets` needs to do the same to their targets."""
    mixing = _mixing(_table(key, len(x), 3), alpha, by_row)
    return mix_targets(x, mixing), mixing


def cutmix_images(x: Array, key: Key, alpha: float, by_row: bool) -> tuple[Array, Mixing]:
    """Images with a rectangle of others, and what `mix_targets` needs."""
    table, y = _table(key, len(x), 5), np.empty_like(x)
    partners, shares = _mixing(table, alpha, by_row)
    run(mixing.cutmix_images, x.size * MOVE_NS, x, table, by_row, partners, shares, y)
    return y, Mixing(partners, shares)


def mix_targets(targets: Array, mixed: Mixing) -> Array:
    """λ t + (1 - λ) times the partner's t, row by row. targets: (m, k)."""
    out = np.empty_like(targets)
    run(mixing.mixup_rows, targets.size * MIX_NS, targets, *mixed, out)
    return out


def one_hot(labels: Array, classes: int, dtype: np.dtype[Any]) -> Array:
    """A row of zeros and a one for each label; of zeros alone for a label that is not in [0, classes)."""
    out = np.empty((len(labels), classes), dtype)
    run(mixing.one_hot, out.size * MIX_NS, labels, out)
    return out


def _table(key: Key, rows: int, columns: int) -> Array:
    out = np.empty(rows * columns)
    draws.uniforms.serial(np.uint64(key.seed), key.step, key.stream, out)
    return out.reshape(rows, columns)


def _apply(kernel: Any, element_ns: float, x: Array, *arguments: Any) -> Array:
    y = np.empty_like(x)
    run(kernel, x.size * element_ns, x, *arguments, y)
    return y


def _colour(kernel: Any, x: Array, key: Key, settings: tuple[float, ...]) -> Array:
    planes = x.reshape(*x.shape[:2], -1)
    return _apply(kernel, COLOUR_NS, planes, _table(key, len(x), 1), *settings).reshape(x.shape)


def _mixing(table: Array, alpha: float, by_row: bool) -> Mixing:
    partners, shares = np.empty(len(table), np.int64), np.empty(len(table))
    draws.mixing_draws.serial(table, alpha, by_row, shares, partners)
    return Mixing(partners, shares)
