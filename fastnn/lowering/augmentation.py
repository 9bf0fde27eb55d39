"""How data augmentation is lowered. One of a new type: an instruction, and an entry in _AUGMENTATIONS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from fastnn_kernels.cpu.augmentation.blur import blur_scratch
from fastnn_kernels.cpu.instructions import augmentation as ops

from .. import augment
from .._check import Array
from ..functional.augmentation import AFFINE_NS, COLOUR_NS, MIX_NS, MOVE_NS, NOISE_NS, blur_ns
from ..program import Table
from ..random import AUGMENTATION, stream_number
from .common import ACTIVATION_NS, NotLowered


class _Entry(NamedTuple):
    """How an augmentation is lowered: its instruction, what that takes, and what it reads of the settings."""

    instruction: Any
    element_ns: float
    draws: int  # a row, in scratch
    reals: Callable[[Any], tuple[float, ...]]  # read at each run: settings may change
    operands: Callable[[Any], tuple[int, ...]] = lambda one: ()


_AUGMENTATIONS: dict[type, _Entry] = {
    augment.RandomHorizontalFlip: _Entry(ops.flip, MOVE_NS, 1, lambda one: (one.p,), lambda one: (0,)),
    augment.RandomVerticalFlip: _Entry(ops.flip, MOVE_NS, 1, lambda one: (one.p,), lambda one: (1,)),
    augment.RandomCrop: _Entry(ops.crop, MOVE_NS, 2, lambda one: (), lambda one: (one.padding,)),
    augment.RandomAffine: _Entry(ops.affine, AFFINE_NS, 4, lambda one: (*one.degrees, *one.translate, *one.scale)),
    augment.Cutout: _Entry(ops.cutout, MOVE_NS, 3, lambda one: (one.p,), lambda one: one.size),
    augment.RandomErasing: _Entry(ops.erase, MOVE_NS, 5, lambda one: (one.p, *one.scale, *one.ratio)),
    augment.Brightness: _Entry(ops.brightness, COLOUR_NS, 1, lambda one: one.settings),
    augment.Contrast: _Entry(ops.contrast, COLOUR_NS, 1, lambda one: one.settings),
    augment.Saturation: _Entry(ops.saturation, COLOUR_NS, 1, lambda one: one.settings),
    augment.Mixup: _Entry(ops.mixup, MIX_NS, 5, lambda one: (one.alpha,), lambda one: (one.by_row,)),
    augment.CutMix: _Entry(ops.cutmix, MIX_NS, 7, lambda one: (one.alpha,), lambda one: (one.by_row,)),
}


def lower_augmentation(t: Table, augmenter: Any, n: int, x: int, targets: Array) -> int:
    """The augmentations of rows of n columns at x, and of their targets; returns the place of the augmented rows."""
    size, seed = t.batch * n, int(np.uint64(augmenter.seed).astype(np.int64))
    k = _gather_targets(t, augmenter, targets) if augmenter.compose.mixes else 0
    other, other_targets = t.room(size), t.room(t.batch * k)

    def write(step: int) -> None:
        augmenter.step = step

    for index, one in enumerate(augmenter.compose.augmentations):
        images = augmenter.images if one.needs_images else (1, 1, n)
        counter = t.counter(lambda: augmenter.step, write)
        operands = (*images, x, other, seed, stream_number(AUGMENTATION, index), counter)
        kind = type(one)
        if kind is augment.GaussianNoise:
            t.partials((size + 1) // 2)
            t.add(ops.noise, size * NOISE_NS, *operands, reals=_read(one, lambda one: (one.std,)))
        elif kind is augment.GaussianBlur:
            t.partials(t.batch)
            room = blur_scratch(*images[1:], one.radius)
            reals = _read(one, lambda one: one.sigma)
            t.add(ops.blur, size * blur_ns(one.radius), *operands, one.radius, t.room(t.batch * room), room, reals=reals)
        elif kind in _AUGMENTATIONS:
            entry = _AUGMENTATIONS[kind]
            t.partials(t.batch * entry.draws)
            more = entry.operands(one)
            if one.mixes:
                more = (*more, k, t.mixed_targets, other_targets)
                t.mixed_targets, other_targets = other_targets, t.mixed_targets
            t.add(entry.instruction, size * entry.element_ns, *operands, *more, reals=_read(one, entry.reals))
        else:
            raise NotLowered(f"{one!r} has no instruction")
        x, other = other, x
    return x


def _read(one: Any, reals: Callable[[Any], tuple[float, ...]]) -> Callable[[], tuple[float, ...]]:
    return lambda: reals(one)


def _gather_targets(t: Table, augmenter: Any, targets: Array) -> int:
    """Rows of targets that can be mixed; returns their columns."""
    if augmenter.classes:
        k = int(augmenter.classes)
        t.mixed_targets = t.room(t.batch * k)
        t.add(ops.label_rows, t.batch * k * MIX_NS, k, t.mixed_targets)
        return k
    if targets.ndim != 2:
        raise NotLowered(f"no instruction mixes targets of shape {targets.shape}")
    k = int(targets.shape[1])
    t.mixed_targets = t.room(t.batch * k)
    t.add(ops.target_rows, t.batch * k * ACTIVATION_NS, k, t.mixed_targets)
    return k
