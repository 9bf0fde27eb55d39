"""Whether an array holds NaN or infinity: those are the floats whose exponent has all bits set."""

import numpy as np
from numba import prange

from .._jit import apart, kernel, shared

__all__ = ["finite_chunks", "find_not_finite"]

_CHUNK = 16384


@shared
def finite_chunks(size):
    """How many answers `find_not_finite` gives for an array of this size."""
    return max(1, (size + _CHUNK - 1) // _CHUNK)


@apart
def _largest_exponent(bits, mask):
    """In integers, whose maximum LLVM may take in any order, as vectors."""
    largest = mask & ~mask
    for i in range(bits.size):
        exponent = bits[i] & mask
        largest = exponent if exponent > largest else largest
    return largest


@kernel
def find_not_finite(x, found):
    """found[c] = 1 where chunk c of x holds NaN or infinity, else 0.

    x: (size,) float. found: (finite_chunks(size),) float64, wholly overwritten.
    """
    for chunk in prange(found.size):
        first = np.intp(chunk) * _CHUNK
        piece = x[first : first + _CHUNK]
        if x.itemsize == 4:
            mask = np.int32(0x7F800000)
            hit = _largest_exponent(piece.view(np.int32), mask) == mask
        else:
            mask_64 = np.int64(0x7FF0000000000000)
            hit = _largest_exponent(piece.view(np.int64), mask_64) == mask_64
        found[chunk] = 1.0 if hit else 0.0
