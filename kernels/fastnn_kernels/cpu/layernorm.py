"""Normalisation of each row: layer normalisation, and by the root mean square alone.

    centered:   μ = mean of a row, σ² = mean of (x - μ)²,  ρ = 1/√(σ² + ε),  y = γ (x - μ) ρ + β
    else:       ρ = 1/√(mean of x² + ε),                                     y = γ x ρ + β

    backward, with x̂ = (x - μ) ρ and d = γ dy:  dx = ρ (d - mean of d - x̂ · mean of (d x̂)), without the second term unless
    centered;  dγ = Σ dy x̂ and dβ = Σ dy over the rows

μ is kept as the row's first element and the distance from it, so that rows of mean 1e4 and deviation 1 keep their digits. A row's
sums run in 32 lanes, which are added in halves; sums over rows in float64, chunk by chunk.

Sources: J. Ba et al., "Layer normalization", arXiv:1607.06450; B. Zhang and R. Sennrich, "Root mean square layer normalization",
NeurIPS 2019.
"""

import math

import numpy as np
from numba import prange

from .._jit import apart, kernel
from ._rows import row_chunks, tile_rows
from ._views import on_stack, view_at

__all__ = ["layernorm_backward", "layernorm_forward"]

_LANES, _HALVES = 32, (16, 8, 4, 2, 1)
_lanes = on_stack(_LANES)


@apart
def _add(piece, lanes):
    for lane in range(piece.size):
        lanes[lane] += piece[lane]


@apart
def _add_distances(piece, center, lanes):
    for lane in range(piece.size):
        lanes[lane] += piece[lane] - center


@apart
def _add_squares(piece, center, rest, lanes):
    for lane in range(piece.size):
        d = (piece[lane] - center) - rest
        lanes[lane] += d * d


@apart
def _clear(lanes):
    for lane in range(_LANES):
        lanes[lane] = lanes.dtype.type(0.0)


@apart
def _total(lanes):
    for width in _HALVES:
        _add(view_at(lanes, width, (width,)), lanes)
    return lanes[0]


@apart
def _distance(row, center, lanes):
    """The mean of row - center."""
    _clear(lanes)
    for j in range(0, row.size, _LANES):
        _add_distances(view_at(row, j, (min(_LANES, row.size - j),)), center, lanes)
    return _total(lanes) / row.dtype.type(row.size)


@apart
def _spread(row, center, rest, lanes):
    """The mean of (row - center - rest)²."""
    _clear(lanes)
    for j in range(0, row.size, _LANES):
        _add_squares(view_at(row, j, (min(_LANES, row.size - j),)), center, rest, lanes)
    return _total(lanes) / row.dtype.type(row.size)


@apart
def _normalise(x, gamma, beta, center, rest, rho, y):
    for j in range(gamma.size):
        y[j] = (((x[j] - center) - rest) * rho) * gamma[j] + beta[j]


@apart
def _forward_rows(x, gamma, beta, eps, centered, i0, i1, stats, y):
    lanes, n, zero, m = _lanes(x), gamma.size, x.dtype.type(0.0), stats.size // 2
    for i in range(i0, i1):
        row = view_at(x, i * n, (n,))
        center = row[0] if centered else zero
        rest = _distance(row, center, lanes) if centered else zero
        rho = x.dtype.type(1.0 / math.sqrt(_spread(row, center, rest, lanes) + eps))
        stats[i], stats[m + i] = rest, rho
        _normalise(row, gamma, beta, center, rest, rho, view_at(y, i * n, (n,)))


@kernel
def layernorm_forward(x, gamma, beta, eps, centered, stats, y):
    """Normalise each row.

    x: (m, n). gamma, beta: (n,). eps: float. centered: bool, layer normalisation or RMS alone. stats: (2, m), wholly
    overwritten, for backward: the mean's distance from the row's first element, and ρ. y: (m, n), wholly overwritten; may be x
    unless backward is to follow.
    """
    m, n = x.shape
    rows = tile_rows(n)
    flat_x, flat_y, flat_stats = x.reshape(m * n), y.reshape(m * n), stats.reshape(2 * m)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _forward_rows(flat_x, gamma, beta, eps, centered, first, min(m, first + rows), flat_stats, flat_y)


@apart
def _add_gradients(piece, gradient, gamma, center, rest, rho, plain, weighted):
    """The terms of Σ d and Σ d x̂."""
    for lane in range(piece.size):
        d = gamma[lane] * gradient[lane]
        plain[lane] += d
        weighted[lane] += d * (((piece[lane] - center) - rest) * rho)


@apart
def _add_parameters(x, dy, center, rest, rho, dgamma, dbeta):
    for j in range(x.size):
        dgamma[j] += np.float64(dy[j] * (((x[j] - center) - rest) * rho))
        dbeta[j] += np.float64(dy[j])


@apart
def _gradient(x, dy, gamma, center, rest, rho, mean, slope, dx):
    for j in range(gamma.size):
        dx[j] = rho * ((gamma[j] * dy[j] - mean) - (((x[j] - center) - rest) * rho) * slope)


@apart
def _backward_rows(dy, x, gamma, centered, i0, i1, stats, dgamma, dbeta, dx):
    plain, weighted, n, zero, m = _lanes(x), _lanes(x), gamma.size, x.dtype.type(0.0), stats.size // 2
    for j in range(n):
        dgamma[j] = 0.0
        dbeta[j] = 0.0
    for i in range(i0, i1):
        row, gradient = view_at(x, i * n, (n,)), view_at(dy, i * n, (n,))
        center, rest, rho = row[0] if centered else zero, stats[i], stats[m + i]
        _clear(plain)
        _clear(weighted)
        for j in range(0, n, _LANES):
            size = min(_LANES, n - j)
            _add_gradients(
                view_at(row, j, (size,)), view_at(gradient, j, (size,)), view_at(gamma, j, (size,)), center, rest, rho, plain,
                weighted,
            )  # fmt: skip
        mean = _total(plain) / x.dtype.type(n) if centered else zero
        slope = _total(weighted) / x.dtype.type(n)
        _add_parameters(row, gradient, center, rest, rho, dgamma, dbeta)
        _gradient(row, gradient, gamma, center, rest, rho, mean, slope, view_at(dx, i * n, (n,)))


@kernel
def layernorm_backward(dy, x, gamma, centered, stats, partials, dgamma, dbeta, dx):
    """The gradients of `layernorm_forward`.

    dy, x: (m, n). gamma: (n,). centered, stats: as in forward. partials: scratch (row_chunks(m), 2, n) float64.
    dgamma, dbeta: (n,), wholly overwritten. dx: (m, n), wholly overwritten; may be dy.
    """
    m, n = x.shape
    chunks = row_chunks(m)
    flat_x, flat_dy, flat_dx, flat_stats = x.reshape(m * n), dy.reshape(m * n), dx.reshape(m * n), stats.reshape(2 * m)
    for chunk in prange(chunks):
        c = np.intp(chunk)
        _backward_rows(
            flat_dy, flat_x, gamma, centered, m * c // chunks, m * (c + 1) // chunks, flat_stats, partials[c, 0], partials[c, 1],
            flat_dx,
        )  # fmt: skip
    for c in range(1, chunks):
        for s in range(2):
            for j in range(n):
                partials[0, s, j] += partials[c, s, j]
    for j in range(n):
        dgamma[j] = partials[0, 0, j]
        dbeta[j] = partials[0, 1, j]
