"""Gaussian blur: the convolution with g(k) ~ e^(-k²/2σ²), k from -radius to radius, Σg = 1, along rows and then columns.

Beyond the edges the image is mirrored at its outermost pixels, which are not repeated: torchvision's `gaussian_blur` does so, and
SciPy's `gaussian_filter` with mode="mirror".
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, kernel, shared, worker
from .._rows import tile_rows
from .draws import between

__all__ = ["blur_images", "blur_scratch"]

_TILE = 4  # the work of a pixel here, in elements of plainer kernels


@shared
def blur_scratch(h, w, radius):
    """Elements of scratch for an image: weights, a row with its margins, and a plane with rows above and below."""
    return (radius + 1) + (w + 2 * radius) + (h + 2 * radius) * w


@worker
def _mirrored(k, n):
    """The place within 0 to n - 1 that place k mirrors."""
    if n == 1:
        return 0
    k = abs(k)
    k = k if k < 2 * n - 2 else k % (2 * n - 2)
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
def _add(above, below, weight, y):
    for j in range(y.size):
        y[j] += weight * (above[j] + below[j])


@apart
def _copied(x, y):
    for j in range(y.size):
        y[j] = x[j]


@apart
def _widened(x, radius, line):
    """A row between its mirrored margins."""
    n = x.size
    for j in range(n):
        line[radius + j] = x[j]
    for k in range(1, radius + 1):
        line[radius - k] = x[_mirrored(-k, n)]
        line[radius + n - 1 + k] = x[_mirrored(n - 1 + k, n)]


@apart
def _convolved(x, weights, stride, y):
    """y_e = Σ g(k) x at k strides from e, both ways; x is longer than y by radius strides at either end."""
    radius = weights.size - 1
    middle = radius * stride
    for e in range(y.size):
        y[e] = weights[0] * x[middle + e]
    for k in range(1, radius + 1):
        _add(x[middle - k * stride :], x[middle + k * stride :], weights[k], y)


@worker
def _blurred(x, sigma, radius, room, y):
    c, h, w = x.shape
    weights, rest = room[: radius + 1], room[radius + 1 :]
    line, plane = rest[: w + 2 * radius], rest[w + 2 * radius :]
    _weigh(sigma, weights)
    for ch in range(c):
        for r in range(h):
            _widened(x[ch, r], radius, line)
            _convolved(line, weights, 1, plane[(radius + r) * w : (radius + r + 1) * w])
        for k in range(1, radius + 1):
            above, below = radius + _mirrored(-k, h), radius + _mirrored(h - 1 + k, h)
            _copied(plane[above * w : (above + 1) * w], plane[(radius - k) * w : (radius - k + 1) * w])
            _copied(plane[below * w : (below + 1) * w], plane[(radius + h - 1 + k) * w : (radius + h + k) * w])
        _convolved(plane, weights, w, y[ch].reshape(h * w))


@kernel
def blur_images(x, draws, sigma_low, sigma_high, radius, room, y):
    """Images convolved with a Gaussian.

    x: (m, c, h, w) float. draws: (m, 1) float64 in [0, 1): σ is uniform from sigma_low, above 0, to sigma_high, in pixels.
    radius: integer, at least 0. room: (m, blur_scratch(h, w, radius)), scratch of x's dtype.
    y: (m, c, h, w), wholly overwritten; may be x.
    """
    m, c, h, w = x.shape
    rows = max(1, tile_rows(_TILE * c * h * w) // 4)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            _blurred(x[i], between(sigma_low, sigma_high, draws[i, 0]), radius, room[i], y[i])
