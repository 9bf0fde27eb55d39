"""Normalisation of each row by itself: layer normalisation, and without centering, by the root mean square.

    centered:  μ = mean of x,  σ² = mean of (x - μ)²     (over the n columns of each row)
    else:      μ = 0,          σ² = mean of x²
    both:      y = γ · (x - μ) · ρ + β,   ρ = 1 / √(σ² + ε)

    x̂ = (x - μ) · ρ,   g = γ · dy
    dx = ρ · (g - mean of g - x̂ · mean of g · x̂), the mean of g left out where nothing is centered
    dβ = Σ over rows of dy      dγ = Σ over rows of dy · x̂

Sources: J. L. Ba, J. R. Kiros and G. E. Hinton, "Layer normalization" (2016); B. Zhang and R. Sennrich, "Root mean square layer
normalization", NeurIPS 2019.

A row is read three times while it is in cache: its sum gives a center near the mean; the sums of the differences from it and of
their squares correct that center and give the variance (T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for computing the
sample variance", The American Statistician 37 (1983)). The differences are exact where the mean is large beside the deviation,
so nothing cancels. `stats` (3, m) holds what backward needs: the center, what is still missing to the mean, and ρ.
"""

import math

import numpy as np
from numba import prange

from .._jit import apart, kernel, shared, worker
from ._row_sums import row_moments, row_products, row_sum
from ._rows import tile_rows
from .activations import copy

__all__ = ["layernorm_backward", "layernorm_chunks", "layernorm_forward"]

_STRIP = 512


@shared
def layernorm_chunks(m):
    """Into how many chunks backward's sums over m rows are cut, each with a row of partial sums."""
    return max(1, min(64, m // 16))


@apart
def _normalise(x, gamma, beta, center, scale, shift, y):
    """shift: what is missing to the mean, times scale."""
    for j in range(y.size):
        y[j] = ((x[j] - center) * scale - shift) * gamma[j] + beta[j]


@apart
def _forward_rows(x, gamma, beta, eps, centered, i0, i1, stats, y):
    n = gamma.size
    for i in range(i0, i1):
        row = x[i]
        center = row.dtype.type(np.float64(row_sum(row)) / n if centered else 0.0)
        total, squares = row_moments(row, center)
        rest = np.float64(total) / n if centered else 0.0
        var = np.float64(squares) / n - rest * rest
        rho = 1.0 / math.sqrt((0.0 if var < 0.0 else var) + eps)
        stats[0, i] = center
        stats[1, i] = rest
        stats[2, i] = rho
        _normalise(row, gamma, beta, center, row.dtype.type(rho), row.dtype.type(rest * rho), y[i])


@kernel
def layernorm_forward(x, gamma, beta, eps, centered, stats, y):
    """Normalisation of each row.

    x: (m, n) float. gamma, beta: (n,). eps: float. centered: bool. stats: (3, m), wholly overwritten: center, what is missing to
    the mean, ρ. y: (m, n), wholly overwritten; may be x.
    """
    m, n = x.shape
    rows = tile_rows(n)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _forward_rows(x, gamma, beta, eps, centered, first, min(m, first + rows), stats, y)


@apart
def _add_four(x0, x1, x2, x3, d0, d1, d2, d3, c0, c1, c2, c3, s0, s1, s2, s3, r0, r1, r2, r3, plain, weighted):
    """c: centers; s: ρ; r: what is missing to the mean, times ρ."""
    for j in range(plain.size):
        plain[j] += np.float64((d0[j] + d1[j]) + (d2[j] + d3[j]))
        first = d0[j] * ((x0[j] - c0) * s0 - r0) + d1[j] * ((x1[j] - c1) * s1 - r1)
        second = d2[j] * ((x2[j] - c2) * s2 - r2) + d3[j] * ((x3[j] - c3) * s3 - r3)
        weighted[j] += np.float64(first + second)


@apart
def _add_row(x, d, center, scale, shift, plain, weighted):
    for j in range(plain.size):
        plain[j] += np.float64(d[j])
        weighted[j] += np.float64(d[j] * ((x[j] - center) * scale - shift))


@apart
def _gradient(x, gamma, center, rho, slope, shift, d):
    """In place of dy."""
    for j in range(d.size):
        d[j] = rho * (d[j] * gamma[j] - shift - (x[j] - center) * slope)


@worker  # not apart: dx may be dy
def _gradient_row(dy, x, gamma, centered, center, rest, rho, dx):
    n = gamma.size
    total, product = row_products(dy, gamma, x, center)
    mean = np.float64(total) / n if centered else 0.0
    slope = (np.float64(product) / n - rest * mean) * rho * rho
    if dx.ctypes.data != dy.ctypes.data:
        copy(dy, dx)
    one = x.dtype.type
    _gradient(x, gamma, center, one(rho), one(slope), one(mean - rest * slope), dx)


@worker
def _backward_rows(dy, x, gamma, stats, centered, i0, i1, sums, dx):
    plain, weighted = sums[0], sums[1]
    for j in range(plain.size):
        plain[j] = 0.0
        weighted[j] = 0.0
    center, rest, rho = stats[0], stats[1], stats[2]
    fours = i1 - (i1 - i0) % 4
    for i in range(i0, fours, 4):
        _add_four(
            x[i], x[i + 1], x[i + 2], x[i + 3], dy[i], dy[i + 1], dy[i + 2], dy[i + 3],
            center[i], center[i + 1], center[i + 2], center[i + 3], rho[i], rho[i + 1], rho[i + 2], rho[i + 3],
            rest[i] * rho[i], rest[i + 1] * rho[i + 1], rest[i + 2] * rho[i + 2], rest[i + 3] * rho[i + 3], plain, weighted,
        )  # fmt: skip
        for r in range(i, i + 4):  # while the four are in cache
            _gradient_row(dy[r], x[r], gamma, centered, center[r], np.float64(rest[r]), np.float64(rho[r]), dx[r])
    for i in range(fours, i1):
        _add_row(x[i], dy[i], center[i], rho[i], rest[i] * rho[i], plain, weighted)
        _gradient_row(dy[i], x[i], gamma, centered, center[i], np.float64(rest[i]), np.float64(rho[i]), dx[i])


@apart
def _finish(partials, chunks, side, j0, j1, gradient):
    """The chunks' sums, in order."""
    sums = partials[0, side, j0:j1]
    for c in range(1, chunks):
        more = partials[c, side, j0:j1]
        for j in range(sums.size):
            sums[j] += more[j]
    out = gradient[j0:j1]
    for j in range(sums.size):
        out[j] = sums[j]


@kernel
def layernorm_backward(dy, x, gamma, stats, centered, partials, dgamma, dbeta, dx):
    """The gradients of `layernorm_forward`, from its stats.

    dy, x: (m, n) float. gamma: (n,). stats: (3, m) from forward. centered: as there. partials: scratch
    (layernorm_chunks(m), 2, n) float64. dgamma, dbeta: (n,), wholly overwritten. dx: (m, n), wholly overwritten; may be dy.
    """
    m, n = x.shape
    chunks, strips = layernorm_chunks(m), (n + _STRIP - 1) // _STRIP
    for chunk in prange(chunks):
        c = np.intp(chunk)
        _backward_rows(dy, x, gamma, stats, centered, m * c // chunks, m * (c + 1) // chunks, partials[c], dx)
    for strip in prange(strips):
        j0 = np.intp(strip) * _STRIP
        j1 = min(n, j0 + _STRIP)
        _finish(partials, chunks, 0, j0, j1, dbeta)
        _finish(partials, chunks, 1, j0, j1, dgamma)
