"""Clipping by value: x = min(max(x, -bound), bound), element by element; NaN stays NaN.

Source: I. Goodfellow, Y. Bengio and A. Courville, "Deep Learning" (2016), 10.11.1.
"""

import numpy as np
from numba import prange

from .._jit import apart, kernel

__all__ = ["clip_values"]

_CHUNK = 8192


@apart
def _clip(x, bound):
    for i in range(x.size):
        value = bound if x[i] > bound else x[i]
        x[i] = -bound if value < -bound else value


@kernel
def clip_values(bound, x):
    """Cut x to [-bound, bound]. bound: float, at least 0. x: (size,) float, updated."""
    limit = x.dtype.type(bound)
    for chunk in prange((x.size + _CHUNK - 1) // _CHUNK):
        first = np.intp(chunk) * _CHUNK
        _clip(x[first : first + _CHUNK], limit)
