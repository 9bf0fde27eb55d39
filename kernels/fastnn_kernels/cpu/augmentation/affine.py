"""Rotation, scaling and translation of images about their centre, in one pass.

A pixel at (r, j) of the result, with a = j - (w - 1)/2 - tx and b = r - (h - 1)/2 - ty, is the input at

    column (w - 1)/2 + (cos φ · a + sin φ · b) / s
    row    (h - 1)/2 + (cos φ · b - sin φ · a) / s

between its four neighbours, of which those outside the image are 0. So φ turns clockwise as an image is shown, s magnifies, and
tx and ty, in pixels, move to the right and down; torchvision's `affine` means the same. Coordinates are float64 for either dtype:
a position at column 200 would otherwise be off by 1e-5 pixels.

Source: the inverse mapping with bilinear interpolation of every textbook, e.g. R. Szeliski, "Computer vision" (2011), 3.6.1.
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, kernel, worker
from .._rows import tile_rows
from .draws import between

__all__ = ["affine_images"]

_TILE = 8  # the work of a pixel here, in elements of plainer kernels


@worker
def _at(x, r, j):
    """A pixel, 0 outside."""
    inside = 0 <= r < x.shape[0] and 0 <= j < x.shape[1]
    return x[r, j] if inside else x.dtype.type(0.0)


@apart
def _row(x, row, row_step, column, column_step, y):
    """A row of the result, which starts at (row, column) of the input and goes on in such steps."""
    h, w = x.shape
    one = y.dtype.type(1.0)
    for j in range(y.size):
        v, u = row + j * row_step, column + j * column_step
        if v > -1.0 and u > -1.0 and v < h and u < w:
            top, left = np.intp(math.floor(v)), np.intp(math.floor(u))
            down, right = y.dtype.type(v - top), y.dtype.type(u - left)
            if top >= 0 and left >= 0 and top + 1 < h and left + 1 < w:
                a, b, c, d = x[top, left], x[top, left + 1], x[top + 1, left], x[top + 1, left + 1]
            else:
                a, b = _at(x, top, left), _at(x, top, left + 1)
                c, d = _at(x, top + 1, left), _at(x, top + 1, left + 1)
            y[j] = (one - down) * ((one - right) * a + right * b) + down * ((one - right) * c + right * d)
        else:
            y[j] = y.dtype.type(0.0)


@worker
def _moved(x, angle, tx, ty, scale, y):
    c, h, w = x.shape
    middle_r, middle_j = 0.5 * (h - 1), 0.5 * (w - 1)
    cosine, sine = math.cos(angle) / scale, math.sin(angle) / scale
    a = -middle_j - tx
    for ch in range(c):
        for r in range(h):
            b = r - middle_r - ty
            row, column = middle_r + cosine * b - sine * a, middle_j + cosine * a + sine * b
            _row(x[ch], row, -sine, column, cosine, y[ch, r])


@kernel
def affine_images(x, draws, angle_low, angle_high, shift_x, shift_y, scale_low, scale_high, y):
    """Images turned by an angle, scaled and moved, each its own way.

    x: (m, c, h, w) float. draws: (m, 4) float64 in [0, 1): for φ, uniform from angle_low to angle_high, in degrees; tx, up to
    shift_x widths either way; ty, up to shift_y heights; s, from scale_low, above 0, to scale_high.
    y: (m, c, h, w), wholly overwritten, apart from x.
    """
    m, c, h, w = x.shape
    rows = max(1, tile_rows(_TILE * c * h * w) // 4)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            _moved(
                x[i], between(angle_low, angle_high, draws[i, 0]) * (math.pi / 180.0),
                between(-shift_x, shift_x, draws[i, 1]) * w, between(-shift_y, shift_y, draws[i, 2]) * h,
                between(scale_low, scale_high, draws[i, 3]), y[i],
            )  # fmt: skip
