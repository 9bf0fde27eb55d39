"""Sums of arrays, element by element."""

import numpy as np
from numba import prange

from .._jit import apart, kernel

__all__ = ["add_arrays"]

_CHUNK = 8192


@apart
def _add(a, b, out):
    for i in range(out.size):
        out[i] = a[i] + b[i]


@kernel
def add_arrays(a, b, out):
    """out = a + b. All (size,) float; out wholly overwritten; may be either input."""
    for chunk in prange((out.size + _CHUNK - 1) // _CHUNK):
        i0 = np.intp(chunk) * _CHUNK
        i1 = i0 + _CHUNK
        _add(a[i0:i1], b[i0:i1], out[i0:i1])
