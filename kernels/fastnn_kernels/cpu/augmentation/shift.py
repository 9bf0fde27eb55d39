"""Moving an image's pixels by whole ones: flips, and crops of the image with a border around it.

    flip        y[r, j] = x[r, w - 1 - j] or x[h - 1 - r, j], with probability p
    crop        y[r, j] = x[r + a, j + b], 0 outside; a and b uniform in {-padding, ..., padding}

A crop of the padded image at its old size is a shift: the border need not be made. Source: K. He et al., "Deep residual learning
for image recognition", CVPR 2016, 4.2, after C.-Y. Lee et al., "Deeply-supervised nets", AISTATS 2015.
"""

import numpy as np
from numba import prange

from ..._jit import apart, kernel, worker
from .._rows import tile_rows

__all__ = ["crop_images", "flip_images"]


@apart
def _reversed_row(x, y):
    for j in range(y.size):
        y[j] = x[y.size - 1 - j]


@apart
def _copied_row(x, y):
    for j in range(y.size):
        y[j] = x[j]


@worker
def _flipped(x, across, over, y):
    c, h, _ = x.shape
    for ch in range(c):
        for r in range(h):
            row = x[ch, h - 1 - r if over else r]
            if across:
                _reversed_row(row, y[ch, r])
            else:
                _copied_row(row, y[ch, r])


@kernel
def flip_images(x, draws, p, vertical, y):
    """Images with left and right changed, or top and bottom if vertical; those whose draw is not below p stay.

    x: (m, c, h, w) float. draws: (m, 1) float64 in [0, 1). p: float in [0, 1]. vertical: boolean.
    y: (m, c, h, w), wholly overwritten, apart from x.
    """
    m = x.shape[0]
    rows = tile_rows(x.shape[1] * x.shape[2] * x.shape[3])
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            flipped = draws[i, 0] < p
            _flipped(x[i], flipped and not vertical, flipped and vertical, y[i])


@apart
def _shifted_row(x, shift, y):
    """y[j] = x[j + shift], 0 outside."""
    zero = y.dtype.type(0.0)
    begin, end = min(max(0, -shift), y.size), max(0, min(y.size, y.size - shift))
    for j in range(begin):
        y[j] = zero
    for j in range(begin, end):
        y[j] = x[j + shift]
    for j in range(max(begin, end), y.size):
        y[j] = zero


@apart
def _cleared(y, begin, end):
    zero = y.dtype.type(0.0)
    for r in range(begin, end):
        for j in range(y.shape[1]):
            y[r, j] = zero


@worker
def _shifted(x, down, right, y):
    c, h, _ = x.shape
    begin, end = min(max(0, -down), h), max(0, min(h, h - down))
    for ch in range(c):
        _cleared(y[ch], 0, begin)
        for r in range(begin, end):
            _shifted_row(x[ch, r + down], right, y[ch, r])
        _cleared(y[ch], max(begin, end), h)


@kernel
def crop_images(x, draws, padding, y):
    """Random crops, of the images' own size, of the images in a border of `padding` zeros.

    x: (m, c, h, w) float. draws: (m, 2) float64 in [0, 1): for top and left. padding: integer, at least 0.
    y: (m, c, h, w), wholly overwritten, apart from x.
    """
    m = x.shape[0]
    rows = tile_rows(x.shape[1] * x.shape[2] * x.shape[3])
    places = 2 * padding + 1
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            _shifted(x[i], np.intp(draws[i, 0] * places) - padding, np.intp(draws[i, 1] * places) - padding, y[i])
