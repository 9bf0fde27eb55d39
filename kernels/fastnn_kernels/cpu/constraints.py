"""What is done to weights after the update: the soft threshold of proximal L1, and a bound on the norms of columns.

    soft threshold:  w = sign(w) · max(|w| - t, 0)                       NaN stays NaN
    max-norm:        w[:, j] *= c / ‖w[:, j]‖  where that norm is above c

The second takes the incoming weights of each unit, a column of (n_in, n_out), and sums its squares in float64, row after row.

Sources: N. Parikh and S. Boyd, "Proximal algorithms", Foundations and Trends in Optimization 1 (2014), 6.5.2; N. Srivastava et
al., "Dropout", JMLR 15 (2014), 5.1.
"""

import math

import numpy as np
from numba import prange

from .._jit import apart, kernel

__all__ = ["limit_column_norms", "soft_threshold"]

_CHUNK = 8192
_STRIP = 64  # columns a task


@apart
def _threshold(w, t):
    zero = w.dtype.type(0.0)
    for i in range(w.size):
        shrunk = abs(w[i]) - t
        w[i] = zero if shrunk <= zero else math.copysign(shrunk, w[i])


@kernel
def soft_threshold(threshold, weights):
    """Move weights towards zero, and those within the threshold onto it. threshold: float. weights: (size,), updated."""
    t = weights.dtype.type(threshold)
    for chunk in prange((weights.size + _CHUNK - 1) // _CHUNK):
        first = np.intp(chunk) * _CHUNK
        _threshold(weights[first : first + _CHUNK], t)


@apart
def _add_squares(row, sums):
    for j in range(row.size):
        sums[j] += np.float64(row[j]) * np.float64(row[j])


@apart
def _factors(sums, largest):
    for j in range(sums.size):
        norm = math.sqrt(sums[j])
        sums[j] = largest / norm if norm > largest else 1.0


@apart
def _scale(row, factors):
    for j in range(row.size):
        row[j] = row.dtype.type(row[j] * factors[j])


@kernel
def limit_column_norms(largest, sums, weights):
    """Scale columns down to a norm of at most `largest`. largest: float. sums: scratch (n,) float64. weights: (m, n), updated."""
    m, n = weights.shape
    for strip in prange((n + _STRIP - 1) // _STRIP):
        j0 = np.intp(strip) * _STRIP
        j1 = min(n, j0 + _STRIP)
        room = sums[j0:j1]
        for j in range(room.size):
            room[j] = 0.0
        for i in range(m):
            _add_squares(weights[i, j0:j1], room)
        _factors(room, largest)
        for i in range(m):
            _scale(weights[i, j0:j1], room)
