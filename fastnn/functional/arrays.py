"""Random words, and the rows of a batch."""

from __future__ import annotations

import numpy as np
from numpy.typing import DTypeLike

from fastnn_kernels.cpu import random as kernels
from fastnn_kernels.cpu.gather import gather_rows

from .._check import Array, as_array, float_dtype, integer, number, output, quote
from ._dispatch import run

__all__ = ["gather", "permutation", "random_bits"]

_WORD_NS = 0.31
_GATHER_NS = 0.05
_READABLE = {"b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f4", "f8"}


def random_bits(size: int, seed: int = 0, step: int = 0, stream: int = 0, *, out: Array | None = None) -> Array:
    """`size` random 32-bit words, Philox4x32-10: a function of seed, step, stream and position alone.

    seed: in [0, 2⁶⁴). step, stream: in [0, 2³²). Returns (size,) uint32.

    >>> hex(random_bits(4)[0])
    '0x6627e8d5'
    """
    words = output("out", out, (integer("size", size, low=0),), np.dtype(np.uint32))
    run(
        kernels.random_bits, words.size * _WORD_NS,
        np.uint64(integer("seed", seed, low=0, high=2**64 - 1)), integer("step", step, low=0, high=2**32 - 1),
        integer("stream", stream, low=0, high=2**32 - 1), words,
    )  # fmt: skip
    return words


def gather(source: Array, index: Array, scale: float = 1.0, dtype: DTypeLike = np.float32, *, out: Array | None = None) -> Array:
    """out[i] = source[index[i]] · scale, converted to float32 or float64 on the way.

    source: (rows, n), any real dtype, a memmap too: only the rows asked for are read. index: (m,) integers in [0, rows).
    out: (m, n). A source that is not C-contiguous, or of a dtype that kernels do not read (float16, foreign byte order),
    goes through NumPy.

    >>> gather(np.array([[0], [255]], np.uint8), np.array([1]), scale=1 / 255)
    array([[1.]], dtype=float32)
    """
    source = as_array("source", source)
    if source.ndim != 2 or source.dtype.kind not in "biuf":
        raise ValueError(f"source: expected a 2-D array of real numbers, got {quote(source)}")
    index = as_array("index", index)
    if index.dtype.kind not in "iu":
        raise TypeError(f"index: expected an array of integers, got dtype {index.dtype}")
    index = np.ascontiguousarray(index, dtype=np.int64)
    if index.ndim != 1 or (index.size and (index.min() < 0 or index.max() >= source.shape[0])):
        raise ValueError(f"index: expected row numbers from 0 to {source.shape[0] - 1}, got {quote(index)}")
    result = output("out", out, (index.size, source.shape[1]), float_dtype("dtype", dtype), apart=(source,))
    if not source.flags.c_contiguous or not source.dtype.isnative or source.dtype.str[1:] not in _READABLE:
        source, index = np.ascontiguousarray(source[index], dtype=result.dtype), np.arange(index.size)
    run(gather_rows, result.size * _GATHER_NS, source, index, number("scale", scale), result)
    return result


def permutation(n: int, seed: int, step: int, stream: int) -> Array:
    """The numbers 0 to n - 1 in random order, (n,) int64, a function of its arguments alone.

    >>> permutation(5, 0, 1, 2 << 24)
    array([4, 1, 2, 3, 0])

    Source: R. Durstenfeld, "Algorithm 235: Random permutation", CACM 7 (1964).
    """
    n = integer("n", n, low=0)
    out = np.empty(n, np.int64)
    kernels.permute.serial(random_bits(2 * n, seed, step, stream), out)
    return out
