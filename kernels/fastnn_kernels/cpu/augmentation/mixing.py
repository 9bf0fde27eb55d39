"""Mixing each row of a batch with another one, and their targets alike.

    mixup       y_i = λ_i x_i + (1 - λ_i) x_p(i)
    cutmix      y_i = x_i, with a rectangle of x_p(i) in it, and λ_i the share of x_i's pixels that stays

p is a permutation (see `draws`). The rectangle's sides are √(1 - λ) of the image's, its centre is any pixel, and what would lie
outside is cut off, after which λ is counted anew.

Sources: H. Zhang et al., "mixup: beyond empirical risk minimization", ICLR 2018; S. Yun et al., "CutMix: regularization strategy
to train strong classifiers with localizable features", ICCV 2019, and their code, of which the rounding is.
"""

import math

import numpy as np
from numba import prange

from ..._jit import apart, kernel, worker
from .._rows import tile_rows

__all__ = ["cutmix_images", "mixup_rows", "one_hot"]


@apart
def _mixed(a, b, share, rest, out):
    for j in range(out.size):
        out[j] = share * a[j] + rest * b[j]


@kernel
def mixup_rows(x, partners, shares, y):
    """y_i = λ_i x_i + (1 - λ_i) x_p(i): inputs, or targets.

    x: (m, n) float. partners: (m,) integers in [0, m). shares: (m,) float64, λ. y: (m, n), wholly overwritten, apart from x.
    """
    m, n = x.shape
    rows = tile_rows(n)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            share = shares[i]
            _mixed(x[i], x[partners[i]], x.dtype.type(share), x.dtype.type(1.0 - share), y[i])


@worker
def _cut(share, size, u):
    """Begin and end, along one side, of a cut of so much of it around a random pixel."""
    half = np.intp(size * math.sqrt(1.0 - share)) // 2
    centre = np.intp(u * size)
    return max(centre - half, 0), min(centre + half, size)


@apart
def _copied(x, y):
    for j in range(y.size):
        y[j] = x[j]


@apart
def _patched(x, top, bottom, left, right, y):
    for r in range(top, bottom):
        for j in range(left, right):
            y[r, j] = x[r, j]


@worker
def _cutmix(x, draws, by_row, partners, shares, i, y):
    c, h, w = x.shape[1:]
    source = i if by_row else 0
    top, bottom = _cut(shares[i], h, draws[source, 3])
    left, right = _cut(shares[i], w, draws[source, 4])
    for ch in range(c):
        _copied(x[i, ch].reshape(h * w), y[i, ch].reshape(h * w))
        _patched(x[partners[i], ch], top, bottom, left, right, y[i, ch])
    shares[i] = 1.0 - (bottom - top) * (right - left) / (h * w)


@kernel
def cutmix_images(x, draws, by_row, partners, shares, y):
    """y_i = x_i with a rectangle of x_p(i).

    x: (m, c, h, w) float. draws: (m, 5) float64 in [0, 1), of which the last two say where the rectangle is: those of row 0
    unless by_row. partners: (m,) integers in [0, m). shares: (m,) float64, λ, updated: to the share of x_i's pixels in y_i.
    y: (m, c, h, w), wholly overwritten, apart from x.
    """
    m = x.shape[0]
    rows = tile_rows(x.shape[1] * x.shape[2] * x.shape[3])
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            _cutmix(x, draws, by_row, partners, shares, i, y)


@worker
def _hot(label, out):
    for j in range(out.size):
        out[j] = 1.0 if j == label else 0.0


@kernel
def one_hot(labels, out):
    """out_ij = 1 where j is the label of row i, else 0; a label outside [0, k) makes a row of zeros.

    labels: (m,) integers. out: (m, k) float, wholly overwritten.
    """
    m, k = out.shape
    rows = tile_rows(k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        for i in range(first, min(m, first + rows)):
            _hot(labels[i], out[i])
