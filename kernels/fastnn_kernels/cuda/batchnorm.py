"""Batch normalisation with the activation and the dropout that follow it: see `cpu.batchnorm` for the formulas.

Three kernels either way. Blocks add up chunks of rows, each thread a column; one more merges the chunks and writes what there is
one of for each column; the last goes over the elements, four in a row a thread, which is one block of random words.

Sums are float64's, of x less a value that stands in the same rows: the first of the chunk, and for the chunks the first one's
mean. The squares of n such numbers are at most n + 1 times those of the deviations from the mean, so that at most log₂(n + 1)
bits of float64's 53 go in Σd² - (Σd)²/n, whatever the mean.
"""

import math

import numpy as np

from ._sums import add_columns
from ._target import BLOCK, SIMULATED, TILE_COLUMNS, TILE_ROWS, cuda, groups, kernel, scalar
from .activations import IDENTITY, activate, derivative
from .dropout import dropout_threshold, thinned
from .random import philox

__all__ = ["batchnorm_backward", "batchnorm_forward", "batchnorm_inference", "row_chunks"]

_CHUNK_ROWS, _MAX_CHUNKS = (16, 4) if SIMULATED else (64, 128)
_TILE = TILE_COLUMNS, TILE_ROWS


def row_chunks(m):
    """Into how many chunks a reduction over m rows is cut."""
    return max(1, min(_MAX_CHUNKS, m // _CHUNK_ROWS))


@kernel
def _chunk_moments(x, partials):
    """Mean and sum of squared deviations of each chunk, into rows 0 and 1 of partials[c]."""
    sums = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    squares = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    m, n = x.shape
    c, chunks = cuda.blockIdx.y, cuda.gridDim.y
    j = cuda.blockIdx.x * TILE_COLUMNS + column
    begin, end = m * c // chunks, m * (c + 1) // chunks
    shift, total, square = 0.0, 0.0, 0.0
    if j < n:
        shift = np.float64(x[begin, j])
        for i in range(begin + row, end, TILE_ROWS):
            d = np.float64(x[i, j]) - shift
            total += d
            square += d * d
    sums[row, column] = total
    squares[row, column] = square
    add_columns(sums, column, row)
    add_columns(squares, column, row)
    if row == 0 and j < n:
        rest = sums[0, column] / (end - begin)
        m2 = squares[0, column] - sums[0, column] * rest
        partials[c, 0, j] = shift + rest
        partials[c, 1, j] = 0.0 if m2 < 0.0 else m2


@kernel
def _finish_statistics(partials, chunks, m, eps, momentum, unbiased, running_mean, running_var, stats):
    """Merge the chunks, update the running statistics, and write stats."""
    sums = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    squares = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    n = stats.shape[1]
    j = cuda.blockIdx.x * TILE_COLUMNS + column
    shift, total, square = 0.0, 0.0, 0.0
    if j < n:
        shift = partials[0, 0, j]
        for c in range(row, chunks, TILE_ROWS):
            count = m * (c + 1) // chunks - m * c // chunks
            d = partials[c, 0, j] - shift
            total += count * d
            square += partials[c, 1, j] + count * d * d
    sums[row, column] = total
    squares[row, column] = square
    add_columns(sums, column, row)
    add_columns(squares, column, row)
    if row == 0 and j < n:
        rest = sums[0, column] / m
        mean = shift + rest
        m2 = squares[0, column] - sums[0, column] * rest
        var = (0.0 if m2 < 0.0 else m2) / m
        stats[0, j] = mean
        stats[1, j] = mean - np.float64(stats[0, j])
        stats[2, j] = 1.0 / math.sqrt(var + eps)
        if running_mean.size > 0:
            bessel = m / (m - 1.0) if unbiased else 1.0
            running_mean[j] = (1.0 - momentum) * running_mean[j] + momentum * mean
            running_var[j] = (1.0 - momentum) * running_var[j] + momentum * (var * bessel)


@kernel
def _running_statistics(running_mean, running_var, eps, stats):
    j = cuda.grid(1)
    if j < running_mean.size:
        stats[0, j] = running_mean[j]
        stats[1, j] = 0.0
        stats[2, j] = 1.0 / math.sqrt(np.float64(running_var[j]) + eps)


@kernel
def _normalise(x, gamma, beta, stats, kind, slope, threshold, keep, seed, step, stream, y):
    """Elements 4t to 4t + 3 of the flat x; none is dropped where the threshold is 0."""
    block = cuda.grid(1)
    n, size = gamma.size, x.size
    e = 4 * block
    if e < size:
        w0, w1, w2, w3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
        if threshold > np.uint64(0):
            w0, w1, w2, w3 = philox(seed, np.uint64(block), step, stream)
        j = e % n
        x0 = x[e]
        x1 = x[e + 1] if e + 1 < size else x0
        x2 = x[e + 2] if e + 2 < size else x0
        x3 = x[e + 3] if e + 3 < size else x0
        for w in range(4):
            if e + w < size:
                value = x0 if w == 0 else (x1 if w == 1 else (x2 if w == 2 else x3))
                word = w0 if w == 0 else (w1 if w == 1 else (w2 if w == 2 else w3))
                scale = gamma[j] * stats[2, j]
                z = (value - stats[0, j]) * scale + (beta[j] - stats[1, j] * scale)
                y[e + w] = thinned(x, activate(x, z, kind, slope), word, threshold, keep)
                j = j + 1 if j + 1 < n else 0


@kernel
def _derivative_sums(dy, x, y, stats, kind, slope, dropped, scale, partials, dx):
    """What comes through dropout and the activation, into dx; Σ dy and Σ dy · (x - μ) of each chunk, into partials[c]."""
    plain = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    weighted = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    m, n = x.shape
    c, chunks = cuda.blockIdx.y, cuda.gridDim.y
    j = cuda.blockIdx.x * TILE_COLUMNS + column
    begin, end = m * c // chunks, m * (c + 1) // chunks
    total, product = 0.0, 0.0
    if j < n:
        center = np.float64(stats[0, j]) + np.float64(stats[1, j])
        for i in range(begin + row, end, TILE_ROWS):
            d = dy[i, j]
            if kind != IDENTITY:
                d = derivative(dy, d, y[i, j], kind, slope)
                if dropped:  # after ReLU: what was dropped is 0, and has got no gradient
                    d = d * scale
                dx[i, j] = d
            total += np.float64(d)
            product += np.float64(d) * (np.float64(x[i, j]) - center)
    plain[row, column] = total
    weighted[row, column] = product
    add_columns(plain, column, row)
    add_columns(weighted, column, row)
    if row == 0 and j < n:
        partials[c, 0, j] = plain[0, column]
        partials[c, 1, j] = weighted[0, column]


@kernel
def _finish_sums(partials, chunks, stats, dgamma, dbeta):
    plain = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    weighted = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    n = dgamma.size
    j = cuda.blockIdx.x * TILE_COLUMNS + column
    total, product = 0.0, 0.0
    if j < n:
        for c in range(row, chunks, TILE_ROWS):
            total += partials[c, 0, j]
            product += partials[c, 1, j]
    plain[row, column] = total
    weighted[row, column] = product
    add_columns(plain, column, row)
    add_columns(weighted, column, row)
    if row == 0 and j < n:
        dbeta[j] = plain[0, column]
        dgamma[j] = weighted[0, column] * np.float64(stats[2, j])


@kernel
def _gradient(dz, x, gamma, stats, dgamma, dbeta, share, dx):
    """Elements 4t to 4t + 3. share: 1/m, or 0 in use, where a sum that is not finite must not reach the other rows."""
    n, size = gamma.size, x.size
    e = 4 * cuda.grid(1)
    if e < size:
        j = e % n
        x0, d0 = x[e], dz[e]
        x1, d1 = (x[e + 1], dz[e + 1]) if e + 1 < size else (x0, d0)
        x2, d2 = (x[e + 2], dz[e + 2]) if e + 2 < size else (x0, d0)
        x3, d3 = (x[e + 3], dz[e + 3]) if e + 3 < size else (x0, d0)
        for w in range(4):
            if e + w < size:
                value = x0 if w == 0 else (x1 if w == 1 else (x2 if w == 2 else x3))
                d = d0 if w == 0 else (d1 if w == 1 else (d2 if w == 2 else d3))
                rho = stats[2, j]
                scale = gamma[j] * rho
                if share > x.dtype.type(0.0):
                    slope = dgamma[j] * rho * share
                    d = d - (dbeta[j] * share - stats[1, j] * slope) - (value - stats[0, j]) * slope
                dx[e + w] = scale * d
                j = j + 1 if j + 1 < n else 0


def _apply(x, gamma, beta, stats, kind, slope, p, seed, step, stream, y):
    threshold = dropout_threshold(p) if p > 0.0 else np.uint64(0)
    _normalise(
        groups(x.size, 4 * BLOCK), BLOCK, x.reshape(-1), gamma, beta, stats, kind, scalar(x, slope), threshold,
        scalar(x, 1.0 / (1.0 - p)), np.uint64(seed), np.uint64(step), np.uint64(stream), y.reshape(-1),
    )  # fmt: skip


def batchnorm_forward(
    x, gamma, beta, eps, momentum, unbiased, kind, slope, p, seed, step, stream, partials, running_mean, running_var, stats, y
):
    """Batch normalisation in training, then an activation and dropout; arguments as the CPU's."""
    m, n = x.shape
    chunks, columns = row_chunks(m), groups(n, TILE_COLUMNS)
    _chunk_moments((columns, chunks), _TILE, x, partials)
    rule = float(eps), float(momentum), bool(unbiased)
    _finish_statistics(columns, _TILE, partials, chunks, m, *rule, running_mean, running_var, stats)
    _apply(x, gamma, beta, stats, kind, slope, p, seed, step, stream, y)


def batchnorm_inference(x, gamma, beta, running_mean, running_var, eps, kind, slope, stats, y):
    """Batch normalisation in use, by the running statistics, then an activation."""
    _running_statistics(groups(x.shape[1], BLOCK), BLOCK, running_mean, running_var, float(eps), stats)
    _apply(x, gamma, beta, stats, kind, slope, 0.0, 0, 0, 0, y)


def batchnorm_backward(dy, x, y, gamma, stats, training, kind, slope, p, partials, dgamma, dbeta, dx):
    """The gradients of either forward, from its stats and, where there was an activation, its output. dx may be dy."""
    m, n = x.shape
    chunks, columns = row_chunks(m), groups(n, TILE_COLUMNS)
    scale = scalar(x, 1.0 / (1.0 - p))
    _derivative_sums((columns, chunks), _TILE, dy, x, y, stats, kind, scalar(x, slope), p > 0.0, scale, partials, dx)
    _finish_sums(columns, _TILE, partials, chunks, stats, dgamma, dbeta)
    dz = dy if kind == IDENTITY else dx
    share = scalar(x, 1.0 / m if training else 0.0)
    _gradient(groups(x.size, 4 * BLOCK), BLOCK, dz.reshape(-1), x.reshape(-1), gamma, stats, dgamma, dbeta, share, dx.reshape(-1))
