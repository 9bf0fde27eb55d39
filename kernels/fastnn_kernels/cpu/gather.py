"""Gathering the rows of a batch, with conversion to the network's dtype and scaling on the way.

    out[i, :] = source[index[i], :] · scale

The source stays as it is, e.g. uint8 images or a float64 table, and is converted a batch at a time: a quarter of the memory,
and a quarter of the bytes to read.
"""

import numpy as np
from numba import prange

from .._jit import apart, kernel
from ._rows import tile_rows

__all__ = ["gather_rows"]


@apart
def _gather_tile(source, index, scale, i0, i1, out):
    for i in range(i0, i1):
        row, target = source[index[i]], out[i]
        for j in range(target.size):
            target[j] = target.dtype.type(row[j]) * scale


@kernel
def gather_rows(source, index, scale, out):
    """out[i, :] = source[index[i], :] · scale, computed in out's dtype.

    source: (rows, n), any real dtype. index: (m,) integers in [0, rows). scale: float. out: (m, n) float, wholly overwritten.
    """
    m, n = out.shape
    rows = tile_rows(n)
    factor = out.dtype.type(scale)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _gather_tile(source, index, factor, first, min(m, first + rows), out)
