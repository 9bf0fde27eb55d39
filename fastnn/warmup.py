"""Compiling everything beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import DTypeLike

from ._check import float_dtype
from .functional import permutation, random_bits, softmax
from .layers import Linear
from .lowering import compile_all
from .sequential import Sequential

__all__ = ["warm_up"]


def warm_up(
    dtypes: Iterable[DTypeLike] = ("float32",),
    progress: Callable[[int, int, str], None] | None = None,
    *,
    everything: bool = False,
) -> None:
    """Compile, or load from the cache, what most compiled programs are made of, so that no training waits for it.

    dtypes: float32, float64 or both. everything: also the rarer layers, losses, rules and augmentations, which takes minutes.
    progress: called as progress(done, total, name) before each piece and at the end.
    """
    names = [float_dtype("dtypes", dtype) for dtype in dtypes]
    for size in (1, 2**20):  # in both builds: initial weights and shuffles
        random_bits(size, 0, 0, 0)
    permutation(1, 0, 0, 0)
    for place, dtype in enumerate(names):
        for size in (1, 2**14):  # in both builds: probabilities of what was predicted
            softmax(np.zeros((size, 1), dtype))

        def report(done: int, total: int, name: str, place: int = place) -> None:
            if progress is not None:
                progress(place * total + done, len(names) * total, name)

        compile_all(Sequential(Linear(1, 1), dtype=dtype, seed=0).eval(), report, everything)
