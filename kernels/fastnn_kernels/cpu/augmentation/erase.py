"""Cutout: a rectangle around a random pixel is 0; what would lie outside the image is cut off.

Source: T. DeVries and G. W. Taylor, "Improved regularization of convolutional neural networks with cutout", arXiv:1708.04552.
Random erasing (Z. Zhong et al., "Random erasing data augmentation", AAAI 2020) draws the rectangle's area and proportions too,
and keeps it inside.
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, kernel, worker
from .._rows import tile_rows
from .draws import between

__all__ = ["cutout_images", "erase_images"]


@apart
def _erased(x, top, bottom, left, right, y):
    c, h, w = x.shape
    zero = y.dtype.type(0.0)
    for ch in range(c):
        for r in range(h):
            source, to = x[ch, r], y[ch, r]
            for j in range(w):
                to[j] = source[j]
            if top <= r < bottom:
                for j in range(left, right):
                    to[j] = zero


@kernel
def cutout_images(x, draws, p, height, width, y):
    """Images with a rectangle of zeros around a random pixel; those whose first draw is not below p stay.

    x: (m, c, h, w) float. draws: (m, 3) float64 in [0, 1): whether, and the centre's row and column. p: float in [0, 1].
    height, width: integers, at least 1; the rectangle begins height // 2 above the centre.
    y: (m, c, h, w), wholly overwritten, apart from x.
    """
    m, c, h, w = x.shape
    rows = tile_rows(c * h * w)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            top = np.intp(draws[i, 1] * h) - height // 2
            left = np.intp(draws[i, 2] * w) - width // 2
            bottom = min(h, top + height) if draws[i, 0] < p else 0
            _erased(x[i], max(top, 0), bottom, max(left, 0), min(w, left + width), y[i])


@worker
def _rectangle(draws, i, p, area_low, area_high, ratio_low, ratio_high, h, w):
    """Top, bottom, left and right; nothing where none is drawn, or where it does not fit."""
    area = between(area_low, area_high, draws[i, 1]) * h * w
    ratio = math.exp(between(math.log(ratio_low), math.log(ratio_high), draws[i, 2]))
    height, width = np.intp(np.rint(math.sqrt(area * ratio))), np.intp(np.rint(math.sqrt(area / ratio)))
    if draws[i, 0] >= p or height > h or width > w:
        return 0, 0, 0, 0
    top, left = np.intp(draws[i, 3] * (h - height + 1)), np.intp(draws[i, 4] * (w - width + 1))
    return top, top + height, left, left + width


@kernel
def erase_images(x, draws, p, area_low, area_high, ratio_low, ratio_high, y):
    """Images with a rectangle of zeros inside, of a random share of the area and of random proportions.

    x: (m, c, h, w) float. draws: (m, 5) float64 in [0, 1): whether, the area, the proportions, top and left. p: float in [0, 1].
    The area is uniform in [area_low, area_high], of the image's; height by width is ratio_low to ratio_high, uniform in its
    logarithm. A rectangle that does not fit is left out. y: (m, c, h, w), wholly overwritten, apart from x.
    """
    m, c, h, w = x.shape
    rows = tile_rows(c * h * w)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            top, bottom, left, right = _rectangle(draws, i, p, area_low, area_high, ratio_low, ratio_high, h, w)
            _erased(x[i], top, bottom, left, right, y[i])
