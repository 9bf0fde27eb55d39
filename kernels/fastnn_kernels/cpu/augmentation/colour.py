"""Brightness, contrast and saturation: each draws a factor f for an image and mixes it with something plainer.

    brightness      y = f x                                  with black
    contrast        y = f x + (1 - f) · mean of grey          with its mean grey
    saturation      y = f x + (1 - f) · grey                  with its grey version

grey = 0.2989 R + 0.587 G + 0.114 B of three channels, or the one that there is; y is cut to [low, high]. Source: torchvision's
`adjust_brightness`, `adjust_contrast` and `adjust_saturation`; the weights are those of ITU-R BT.601.
"""

import numpy as np
from numba import prange

from ..._jit import apart, kernel, worker
from .._rows import tile_rows
from .draws import between

__all__ = ["brightness_images", "contrast_images", "saturation_images"]

_RED, _GREEN, _BLUE = 0.2989, 0.587, 0.114


@apart
def _blended(x, factor, added, low, high, y):
    for j in range(y.size):
        value = factor * x[j] + added
        value = low if value < low else value  # NaN stays
        y[j] = high if value > high else value


@apart
def _sum(x):
    """In float64, as four sums side by side."""
    s0 = s1 = s2 = s3 = 0.0
    fours = x.size // 4
    for quad in range(fours):
        s0 += x[4 * quad]
        s1 += x[4 * quad + 1]
        s2 += x[4 * quad + 2]
        s3 += x[4 * quad + 3]
    for j in range(4 * fours, x.size):
        s0 += x[j]
    return (s0 + s1) + (s2 + s3)


@worker
def _mean_grey(x):
    """Of one image (channels, pixels)."""
    if x.shape[0] == 3:
        return (_RED * _sum(x[0]) + _GREEN * _sum(x[1]) + _BLUE * _sum(x[2])) / x.shape[1]
    return _sum(x[0]) / x.shape[1]


@apart
def _less_colour(red, green, blue, factor, rest, low, high, y0, y1, y2):
    wr, wg, wb = red.dtype.type(_RED), red.dtype.type(_GREEN), red.dtype.type(_BLUE)
    for j in range(red.size):
        added = rest * (wr * red[j] + wg * green[j] + wb * blue[j])
        r, g, b = factor * red[j] + added, factor * green[j] + added, factor * blue[j] + added
        r, g, b = low if r < low else r, low if g < low else g, low if b < low else b
        y0[j] = high if r > high else r
        y1[j] = high if g > high else g
        y2[j] = high if b > high else b


@kernel
def brightness_images(x, draws, factor_low, factor_high, low, high, y):
    """y = f x, cut to [low, high].

    x: (m, c, pixels) float. draws: (m, 1) float64 in [0, 1): f is uniform from factor_low to factor_high. low, high: floats, -inf
    and inf for no cut. y: (m, c, pixels), wholly overwritten; may be x.
    """
    m, c, size = x.shape
    kind = x.dtype.type
    rows = tile_rows(c * size)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            factor = between(factor_low, factor_high, draws[i, 0])
            for ch in range(c):
                _blended(x[i, ch], kind(factor), kind(0.0), kind(low), kind(high), y[i, ch])


@kernel
def contrast_images(x, draws, factor_low, factor_high, low, high, y):
    """y = f x + (1 - f) · mean grey of the image, cut to [low, high].

    x: (m, c, pixels) float, c 1 or 3. draws, factors, low, high: as for brightness. y: (m, c, pixels), wholly overwritten; may
    be x.
    """
    m, c, size = x.shape
    kind = x.dtype.type
    rows = tile_rows(c * size)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            factor = between(factor_low, factor_high, draws[i, 0])
            added = (1.0 - factor) * _mean_grey(x[i])
            for ch in range(c):
                _blended(x[i, ch], kind(factor), kind(added), kind(low), kind(high), y[i, ch])


@kernel
def saturation_images(x, draws, factor_low, factor_high, low, high, y):
    """y = f x + (1 - f) · grey, cut to [low, high].

    x: (m, 3, pixels) float. draws, factors, low, high: as for brightness. y: (m, 3, pixels), wholly overwritten; may be x.
    """
    m, c, size = x.shape
    kind = x.dtype.type
    rows = tile_rows(c * size)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            factor = between(factor_low, factor_high, draws[i, 0])
            _less_colour(
                x[i, 0], x[i, 1], x[i, 2], kind(factor), kind(1.0 - factor), kind(low), kind(high), y[i, 0], y[i, 1], y[i, 2]
            )
