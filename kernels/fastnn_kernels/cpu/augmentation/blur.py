"""Gaussian blur: the convolution with g(k) ~ e^(-k²/2σ²), k from -radius to radius, Σg = 1, along rows and then columns.

Beyond the edges the image is mirrored at its outermost pixels, which are not repeated: torchvision's `gaussian_blur` does so, and
SciPy's `gaussian_filter` with mode="mirror".
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, kernel, worker
from .._rows import tile_rows
from .draws import between

__all__ = ["blur_images"]

_TILE = 4  # the work of a pixel here, in elements of plainer kernels


@worker
def _mirrored(k, n):
    """The place within 0 to n - 1 that place k mirrors."""
    if n == 1:
        return 0
    k = abs(k) % (2 * n - 2)
    return k if k < n else 2 * n - 2 - k


@worker
def _weigh(sigma, weights):
    """g(0), g(1), ... and the rest, once, of their sum."""
    total = 0.0
    for k in range(weights.size):
        weight = math.exp(-0.5 * (k / sigma) * (k / sigma))
        total += weight if k == 0 else 2.0 * weight
    for k in range(weights.size):
        weights[k] = math.exp(-0.5 * (k / sigma) * (k / sigma)) / total


@apart
def _along(x, weights, y):
    """A row's convolution."""
    n, radius = x.size, weights.size - 1
    begin, end = min(radius, n), max(n - radius, min(radius, n))
    for j in range(n):
        y[j] = weights[0] * x[j]
    for k in range(1, radius + 1):
        weight = weights[k]
        for j in range(begin):
            y[j] += weight * (x[_mirrored(j - k, n)] + x[_mirrored(j + k, n)])
        for j in range(begin, end):
            y[j] += weight * (x[j - k] + x[j + k])
        for j in range(end, n):
            y[j] += weight * (x[_mirrored(j - k, n)] + x[_mirrored(j + k, n)])


@apart
def _start(x, weight, y):
    for j in range(y.size):
        y[j] = weight * x[j]


@apart
def _add(above, below, weight, y):
    for j in range(y.size):
        y[j] += weight * (above[j] + below[j])


@worker
def _blurred(x, weights, room, y):
    c, h, _ = x.shape
    for ch in range(c):
        for r in range(h):
            _along(x[ch, r], weights, room[ch, r])
        for r in range(h):
            _start(room[ch, r], weights[0], y[ch, r])
            for k in range(1, weights.size):
                _add(room[ch, _mirrored(r - k, h)], room[ch, _mirrored(r + k, h)], weights[k], y[ch, r])


@kernel
def blur_images(x, draws, sigma_low, sigma_high, weights, room, y):
    """Images convolved with a Gaussian.

    x: (m, c, h, w) float. draws: (m, 1) float64 in [0, 1): σ is uniform from sigma_low, above 0, to sigma_high, in pixels.
    weights: (m, radius + 1), room: (m, c, h, w), scratch of x's dtype. y: (m, c, h, w), wholly overwritten; may be x.
    """
    m, c, h, w = x.shape
    rows = max(1, tile_rows(_TILE * c * h * w) // 4)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            _weigh(between(sigma_low, sigma_high, draws[i, 0]), weights[i])
            _blurred(x[i], weights[i], room[i], y[i])
