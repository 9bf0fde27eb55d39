"""Streams of random numbers: who draws, at which step, from which seed.

Everything random in fastnn comes from Philox4x32-10 with the counter (position, step, stream), where the stream is a kind of
use and an index, such as the number of a layer. So no draw depends on what was drawn before it, elsewhere.
"""

from __future__ import annotations

import secrets

import numpy as np

from . import functional
from ._check import Array, integer

__all__ = ["AUGMENTATION", "DROPOUT", "GRADCHECK", "INIT", "SHUFFLE", "Stream", "make_seed", "stream_number"]

INIT, SHUFFLE, DROPOUT, GRADCHECK, AUGMENTATION = 1, 2, 3, 4, 5
_INDEX_BITS = 24


def stream_number(kind: int, index: int = 0) -> int:
    """The 32-bit stream of a kind of use (INIT, SHUFFLE, DROPOUT, GRADCHECK, AUGMENTATION) and an index below 2²⁴."""
    return (kind << _INDEX_BITS) | integer("index", index, low=0, high=2**_INDEX_BITS - 1)


def make_seed(seed: int | None) -> int:
    """The seed itself, checked to be in [0, 2⁶⁴), or a random one for None."""
    return secrets.randbits(64) if seed is None else integer("seed", seed, low=0, high=2**64 - 1)


class Stream:
    """The draws of one user: each is a function of seed, kind, index and step alone.

    >>> Stream(0, SHUFFLE, step=1).permutation(5)
    array([4, 1, 2, 3, 0])
    """

    def __init__(self, seed: int, kind: int, index: int = 0, step: int = 0) -> None:
        self.seed = make_seed(seed)
        self.number = stream_number(kind, index)
        self.step = step

    def uniform(self, shape: tuple[int, ...]) -> Array:
        """float64 in [0, 1) with 53 random bits each."""
        size = int(np.prod(shape))
        words = functional.random_bits(2 * size, self.seed, self.step, self.number).astype(np.uint64)
        return (((words[0::2] << np.uint64(21)) ^ (words[1::2] >> np.uint64(11))) * 2.0**-53).reshape(shape)

    def normal(self, shape: tuple[int, ...]) -> Array:
        """Standard normal float64, by Box and Muller (1958)."""
        size = int(np.prod(shape))
        half = (size + 1) // 2
        u = self.uniform((2, half))
        radius, angle = np.sqrt(-2.0 * np.log1p(-u[0])), 2.0 * np.pi * u[1]
        return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:size].reshape(shape)

    def permutation(self, n: int) -> Array:
        """The numbers 0 to n - 1 in random order, int64."""
        return functional.permutation(n, self.seed, self.step, self.number)
