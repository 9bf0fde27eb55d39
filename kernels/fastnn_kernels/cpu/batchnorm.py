"""Batch normalisation over the rows of a matrix, with the activation and the dropout that follow it.

    training:  μ = mean of x,  σ² = mean of (x - μ)²                  (over the m rows, for each column)
               running = (1 - momentum) · running + momentum · batch     (the variance with m/(m-1), if `unbiased`)
    use:       μ, σ² = the running statistics
    both:      y = γ · (x - μ) · ρ + β,   ρ = 1 / √(σ² + ε)

    out  = dropout(f(y)), where an activation f and dropout are asked for; backward starts from dy = dout · dropout' · f'

    dβ = Σ dy      dγ = Σ dy · x̂,  x̂ = (x - μ) · ρ
    dx = γ · ρ · (dy - dβ/m - x̂ · dγ/m)  through the batch's statistics;   dx = γ · ρ · dy  through the running ones

Source: S. Ioffe and C. Szegedy, "Batch normalization", ICML 2015.

The statistics are taken in one read of x: in blocks of 64 rows, sums and sums of squares of deviations from a shift, in float64,
which are merged as T. F. Chan, G. H. Golub and R. J. LeVeque show in "Updating formulae and a pairwise algorithm for computing
sample variances" (1979). The shift is the mean of what came before in the chunk, at first its first row. So nothing cancels: if
it lies δ from a block's mean, Σ (x - shift)² is some 64 δ² and rounded accordingly, but the sum of squared deviations is at
least some δ²/2, since what the shift was made of counts too. That leaves 1e-14 of the variance in the worst case, a first row far
off, in float64. `stats` (3, n) holds what backward needs: μ, what rounding μ to the dtype left over, and ρ. Without the
second row float32 data of mean 1e4 and deviation 1 would come out with a mean of up to 5e-4.

The second pass goes over tiles of whole rows that fit in the L1 cache, each one contiguous piece that starts at a multiple of
4 elements, as `dropout.dropout_segment` wants it: activation and dropout are applied to a tile that is still there.
"""

import math

import numpy as np
from numba import prange

from .._jit import apart, kernel
from ._rows import fetch_rows, is_far, row_chunks, tile_rows
from .activations import IDENTITY, activate, activation_backward_segment, copy
from .dropout import dropout_segment, dropout_threshold, relu_dropout_backward_segment

__all__ = ["batchnorm_backward", "batchnorm_forward", "batchnorm_inference"]

_BLOCK_ROWS = 64
_AHEAD = 8  # rows that are asked for early, where x is not in cache
_PIECE = 128  # columns between two such requests: of 64 cache lines at once some are dropped (20 GB/s on one core, not 30)
_STRIP = 256


@apart
def _strips(n):
    return (n + _STRIP - 1) // _STRIP


# Workers on four rows take the rows as arguments: LLVM may then hold them to be apart, and checks for no overlaps, which would be
# half of the time of short rows, and most of the compilation's.


@apart
def _add_four(x0, x1, x2, x3, shift, sums, squares):
    for j in range(sums.size):
        center = shift[j]
        d0, d1 = np.float64(x0[j]) - center, np.float64(x1[j]) - center
        d2, d3 = np.float64(x2[j]) - center, np.float64(x3[j]) - center
        sums[j] += (d0 + d1) + (d2 + d3)
        squares[j] = squares[j] + d0 * d0 + d1 * d1 + d2 * d2 + d3 * d3


@apart
def _add_one(x, shift, sums, squares):
    for j in range(sums.size):
        d = np.float64(x[j]) - shift[j]
        sums[j] += d
        squares[j] += d * d


@apart
def _chunk_moments(x, i0, i1, j0, j1, far, moments):
    """Mean and sum of squared deviations of x[i0:i1, j0:j1], into rows 0 and 1 of moments (4, n). far: x is not in cache."""
    mean, m2, sums, squares = moments[0, j0:j1], moments[1, j0:j1], moments[2, j0:j1], moments[3, j0:j1]
    width = j1 - j0
    piece = _PIECE if far else width
    first = x[i0, j0:j1]
    for j in range(width):
        mean[j] = first[j]
        m2[j] = 0.0
    for b0 in range(i0, i1, _BLOCK_ROWS):
        b1 = min(i1, b0 + _BLOCK_ROWS)
        for j in range(width):
            sums[j] = 0.0
            squares[j] = 0.0
        fours = b1 - (b1 - b0) % 4
        for i in range(b0, fours, 4):
            for k in range(j0, j1, piece):
                e = min(j1, k + piece)
                if far:
                    fetch_rows(x, i + _AHEAD, i + _AHEAD + 4, k, e)
                part = slice(k - j0, e - j0)
                _add_four(x[i, k:e], x[i + 1, k:e], x[i + 2, k:e], x[i + 3, k:e], mean[part], sums[part], squares[part])
        for i in range(fours, b1):
            _add_one(x[i, j0:j1], mean, sums, squares)
        _add_block(mean, m2, b0 - i0, sums, squares, b1 - b0)


@apart
def _add_block(mean, m2, count, sums, squares, rows):
    """Chan's formula for a block whose sums are of deviations from `mean`: M2 of the block is squares - sums²/rows."""
    share = 1.0 / (count + rows)
    for j in range(mean.size):
        m2[j] += squares[j] - sums[j] * sums[j] * share
        mean[j] += sums[j] * share


@apart
def _merge(mean, m2, count, other_mean, other_m2, other_count):
    """Chan's formula, column by column, into mean and m2."""
    total = count + other_count
    share = other_count / total
    weight = count * share
    for j in range(mean.size):
        delta = other_mean[j] - mean[j]
        mean[j] += delta * share
        m2[j] += other_m2[j] + delta * delta * weight


@apart
def _finish_statistics(partials, m, eps, momentum, unbiased, running_mean, running_var, stats):
    """Merge the chunks in order, update the running statistics, and write stats."""
    chunks = partials.shape[0]
    mean, m2 = partials[0, 0], partials[0, 1]
    for c in range(1, chunks):
        first = m * c // chunks
        _merge(mean, m2, first, partials[c, 0], partials[c, 1], m * (c + 1) // chunks - first)
    bessel = m / (m - 1.0) if unbiased else 1.0
    for j in range(mean.size):
        var = m2[j] / m
        stats[0, j] = mean[j]
        stats[1, j] = mean[j] - np.float64(stats[0, j])
        stats[2, j] = 1.0 / math.sqrt(var + eps)
        if running_mean.size > 0:
            running_mean[j] = (1.0 - momentum) * running_mean[j] + momentum * mean[j]
            running_var[j] = (1.0 - momentum) * running_var[j] + momentum * (var * bessel)


@apart
def _normalise_four(x0, x1, x2, x3, gamma, beta, mean, rest, rho, y0, y1, y2, y3):
    for j in range(gamma.size):
        center = mean[j]
        scale = gamma[j] * rho[j]
        shift = beta[j] - rest[j] * scale
        y0[j] = (x0[j] - center) * scale + shift
        y1[j] = (x1[j] - center) * scale + shift
        y2[j] = (x2[j] - center) * scale + shift
        y3[j] = (x3[j] - center) * scale + shift


@apart
def _normalise_row(x, gamma, beta, mean, rest, rho, y):
    for j in range(gamma.size):
        scale = gamma[j] * rho[j]
        y[j] = (x[j] - mean[j]) * scale + (beta[j] - rest[j] * scale)


@apart
def _normalise_tile(x, gamma, beta, stats, i0, i1, y):
    fours = i1 - (i1 - i0) % 4
    for i in range(i0, fours, 4):
        _normalise_four(
            x[i], x[i + 1], x[i + 2], x[i + 3], gamma, beta, stats[0], stats[1], stats[2], y[i], y[i + 1], y[i + 2], y[i + 3]
        )
    for i in range(fours, i1):
        _normalise_row(x[i], gamma, beta, stats[0], stats[1], stats[2], y[i])


@kernel
def batchnorm_forward(
    x, gamma, beta, eps, momentum, unbiased, kind, slope, p, seed, step, stream, partials, running_mean, running_var, stats, y
):
    """Batch normalisation in training, then an activation and dropout.

    x: (m, n), m >= 2. gamma, beta: (n,). eps, momentum: float. unbiased: bool, of the running variance. kind, slope: the
    activation (see `activations`), IDENTITY for none. p, seed, step, stream: dropout's (see `dropout`), p = 0 for none.
    partials: scratch (row_chunks(m), 4, n) float64. running_mean, running_var: (n,), updated, or (0,) for none.
    stats: (3, n), wholly overwritten: μ, its rounding error, ρ. y: (m, n), wholly overwritten; may be x.
    """
    m, n = x.shape
    chunks, strips, rows, far = row_chunks(m), _strips(n), tile_rows(n), is_far(x)
    for task in prange(chunks * strips):
        c, j0 = np.intp(task) // strips, np.intp(task) % strips * _STRIP
        _chunk_moments(x, m * c // chunks, m * (c + 1) // chunks, j0, min(n, j0 + _STRIP), far, partials[c])
    _finish_statistics(partials[:chunks], m, eps, momentum, unbiased, running_mean, running_var, stats)
    threshold, scale = dropout_threshold(p), x.dtype.type(1.0 / (1.0 - p))
    flat = y.reshape(y.size)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        end = min(m, first + rows)
        _normalise_tile(x, gamma, beta, stats, first, end, y)
        piece = flat[first * n : end * n]
        activate(piece, kind, slope)
        if p > 0.0:
            dropout_segment(piece, threshold, scale, seed, first * n, step, stream, piece)


@kernel
def batchnorm_inference(x, gamma, beta, running_mean, running_var, eps, kind, slope, stats, y):
    """Batch normalisation in use, by the running statistics, then an activation.

    x: (m, n). gamma, beta, running_mean, running_var: (n,). eps: float. kind, slope: the activation, as in training.
    stats: (3, n), wholly overwritten: μ, 0, ρ. y: (m, n), wholly overwritten; may be x.
    """
    m, n = x.shape
    rows = tile_rows(n)
    for j in range(n):
        stats[0, j] = running_mean[j]
        stats[1, j] = 0.0
        stats[2, j] = 1.0 / math.sqrt(running_var[j] + eps)
    flat = y.reshape(y.size)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        end = min(m, first + rows)
        _normalise_tile(x, gamma, beta, stats, first, end, y)
        activate(flat[first * n : end * n], kind, slope)


@apart
def _derivative_rows(dy, y, kind, slope, p, i0, i1, j0, j1, dz):
    """What comes through dropout and the activation to rows of the normalised matrix."""
    scale, n = dy.dtype.type(1.0 / (1.0 - p)), dy.shape[1]
    width, rows = (j1 - j0, i1 - i0) if j1 - j0 < n else ((i1 - i0) * n, 1)  # whole rows are one piece
    flat_dy, flat_y, flat_dz = dy.reshape(dy.size), y.reshape(y.size), dz.reshape(dz.size)
    for i in range(rows):
        first = (i0 + i) * n + j0
        end = first + width
        if p > 0.0:
            relu_dropout_backward_segment(flat_dy[first:end], flat_y[first:end], scale, flat_dz[first:end])
        else:
            activation_backward_segment(flat_dy[first:end], flat_y[first:end], kind, slope, flat_dz[first:end])


@apart
def _add_four_products(x0, x1, x2, x3, g0, g1, g2, g3, mean, rest, plain, weighted):
    for j in range(mean.size):
        center = np.float64(mean[j]) + np.float64(rest[j])
        d0, d1, d2, d3 = np.float64(g0[j]), np.float64(g1[j]), np.float64(g2[j]), np.float64(g3[j])
        plain[j] += (d0 + d1) + (d2 + d3)
        weighted[j] = weighted[j] + d0 * (x0[j] - center) + d1 * (x1[j] - center) + d2 * (x2[j] - center) + d3 * (x3[j] - center)


@apart
def _add_product(x, g, mean, rest, plain, weighted):
    for j in range(mean.size):
        center = np.float64(mean[j]) + np.float64(rest[j])
        d = np.float64(g[j])
        plain[j] += d
        weighted[j] += d * (x[j] - center)


@apart
def _chunk_sums(dy, x, stats, i0, i1, j0, j1, far, sums):
    """Σ dy and Σ dy · (x - μ) of x[i0:i1, j0:j1], into rows 0 and 1 of sums (2, n)."""
    mean, rest = stats[0, j0:j1], stats[1, j0:j1]
    plain, weighted = sums[0, j0:j1], sums[1, j0:j1]
    for j in range(j1 - j0):
        plain[j] = 0.0
        weighted[j] = 0.0
    fours = i1 - (i1 - i0) % 4
    piece = _PIECE // 2 if far else j1 - j0
    for i in range(i0, fours, 4):
        for k in range(j0, j1, piece):
            e = min(j1, k + piece)
            if far:
                fetch_rows(x, i + _AHEAD, i + _AHEAD + 4, k, e)
                fetch_rows(dy, i + _AHEAD, i + _AHEAD + 4, k, e)
            part = slice(k - j0, e - j0)
            _add_four_products(
                x[i, k:e], x[i + 1, k:e], x[i + 2, k:e], x[i + 3, k:e],
                dy[i, k:e], dy[i + 1, k:e], dy[i + 2, k:e], dy[i + 3, k:e], mean[part], rest[part], plain[part], weighted[part],
            )  # fmt: skip
    for i in range(fours, i1):
        _add_product(x[i, j0:j1], dy[i, j0:j1], mean, rest, plain, weighted)


@apart
def _gradient_four(x0, x1, x2, x3, gamma, mean, rest, rho, dgamma, dbeta, share, d0, d1, d2, d3):
    for j in range(gamma.size):
        center, scale = mean[j], gamma[j] * rho[j]
        # share is 0 in use, where a sum that is not finite must not reach the other rows
        slope = dgamma[j] * rho[j] * share if share > 0 else share
        shift = dbeta[j] * share - rest[j] * slope if share > 0 else share
        d0[j] = scale * (d0[j] - shift - (x0[j] - center) * slope)
        d1[j] = scale * (d1[j] - shift - (x1[j] - center) * slope)
        d2[j] = scale * (d2[j] - shift - (x2[j] - center) * slope)
        d3[j] = scale * (d3[j] - shift - (x3[j] - center) * slope)


@apart
def _gradient_row(x, gamma, mean, rest, rho, dgamma, dbeta, share, d):
    for j in range(gamma.size):
        slope = dgamma[j] * rho[j] * share if share > 0 else share
        shift = dbeta[j] * share - rest[j] * slope if share > 0 else share
        d[j] = gamma[j] * rho[j] * (d[j] - shift - (x[j] - mean[j]) * slope)


@apart
def _gradient_tile(dz, x, gamma, stats, dgamma, dbeta, share, i0, i1, far, dx):
    n = gamma.size
    if dz.ctypes.data != dx.ctypes.data:
        copy(dz.reshape(dz.size)[i0 * n : i1 * n], dx.reshape(dx.size)[i0 * n : i1 * n])
    fours = i1 - (i1 - i0) % 4
    for i in range(i0, fours, 4):
        if far:
            fetch_rows(x, i + _AHEAD, i + _AHEAD + 4, 0, n)
        _gradient_four(
            x[i], x[i + 1], x[i + 2], x[i + 3], gamma, stats[0], stats[1], stats[2], dgamma, dbeta, share,
            dx[i], dx[i + 1], dx[i + 2], dx[i + 3],
        )  # fmt: skip
    for i in range(fours, i1):
        _gradient_row(x[i], gamma, stats[0], stats[1], stats[2], dgamma, dbeta, share, dx[i])


@kernel
def batchnorm_backward(dy, x, y, gamma, stats, training, kind, slope, p, partials, dgamma, dbeta, dx):
    """The gradients of either forward, from its stats and, where there was an activation, its output.

    dy, x: (m, n). y: (m, n), or (0, 0) where kind is IDENTITY. gamma: (n,). stats: (3, n) from forward. training: bool,
    whether the statistics were the batch's. kind, slope, p: as in forward; p > 0 with RELU alone. partials: scratch
    (row_chunks(m), 2, n) float64. dgamma, dbeta: (n,), wholly overwritten. dx: (m, n), wholly overwritten; may be dy.
    """
    m, n = x.shape
    chunks, strips, rows, far = row_chunks(m), _strips(n), tile_rows(n), is_far(x)
    plain = kind == IDENTITY
    dz = dy if plain else dx
    for task in prange(chunks * strips):
        c, j0 = np.intp(task) // strips, np.intp(task) % strips * _STRIP
        i0, i1, j1 = m * c // chunks, m * (c + 1) // chunks, min(n, j0 + _STRIP)
        if not plain:
            _derivative_rows(dy, y, kind, slope, p, i0, i1, j0, j1, dx)
        _chunk_sums(dz, x, stats, i0, i1, j0, j1, far, partials[c])
    for c in range(1, chunks):
        for s in range(2):
            for j in range(n):
                partials[0, s, j] += partials[c, s, j]
    for j in range(n):
        dbeta[j] = partials[0, 0, j]
        dgamma[j] = partials[0, 1, j] * stats[2, j]
    share = x.dtype.type(1.0 / m if training else 0.0)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _gradient_tile(dz, x, gamma, stats, dgamma, dbeta, share, first, min(m, first + rows), far, dx)
