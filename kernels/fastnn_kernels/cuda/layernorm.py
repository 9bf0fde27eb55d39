"""Normalisation of each row by itself, by mean and variance or by the root mean square: see `cpu.layernorm` for the formulas.

Some threads of a block take a row together. Forward reads it three times: its sum gives the center, and the sums of the
differences from it correct that center and give the variance. Backward has blocks that add up chunks of rows, each thread a
column, one more kernel that merges the chunks, and one that goes over the rows. Sums are float64's, in shared memory.
"""

import math

import numpy as np

from ._rows import row_grid
from ._sums import add_columns, add_lanes
from ._target import BLOCK, TILE_COLUMNS, TILE_ROWS, cuda, groups, kernel
from .batchnorm import row_chunks

__all__ = ["layernorm_backward", "layernorm_chunks", "layernorm_forward"]

_TILE = TILE_COLUMNS, TILE_ROWS


def layernorm_chunks(m):
    """Into how many chunks backward's sums over m rows are cut, each with a row of partial sums."""
    return row_chunks(m)


@kernel
def _forward(x, gamma, beta, eps, centered, stats, y):
    sums = cuda.shared.array(BLOCK, np.float64)
    lane, width = cuda.threadIdx.x, cuda.blockDim.x
    place = cuda.threadIdx.y * width + lane
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, n = x.shape
    center, rest = x.dtype.type(0.0), 0.0
    if centered:
        total = 0.0
        if i < m:
            for j in range(lane, n, width):
                total += np.float64(x[i, j])
        center = x.dtype.type(add_lanes(total, sums, place, lane, width) / n)
    total, squares = 0.0, 0.0
    if i < m:
        for j in range(lane, n, width):
            d = np.float64(x[i, j] - center)
            total += d
            squares += d * d
    if centered:
        rest = add_lanes(total, sums, place, lane, width) / n
    var = add_lanes(squares, sums, place, lane, width) / n - rest * rest
    if i < m:
        rho = 1.0 / math.sqrt((0.0 if var < 0.0 else var) + eps)
        if lane == 0:
            stats[0, i] = center
            stats[1, i] = rest
            stats[2, i] = rho
        scale, shift = x.dtype.type(rho), x.dtype.type(rest * rho)
        for j in range(lane, n, width):
            y[i, j] = ((x[i, j] - center) * scale - shift) * gamma[j] + beta[j]


@kernel
def _chunk_sums(dy, x, stats, partials):
    """Σ dy and Σ dy · x̂ of each chunk, into rows 0 and 1 of partials[c]."""
    plain = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    weighted = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    m, n = x.shape
    c, chunks = cuda.blockIdx.y, cuda.gridDim.y
    j = cuda.blockIdx.x * TILE_COLUMNS + column
    total, product = 0.0, 0.0
    if j < n:
        for i in range(m * c // chunks + row, m * (c + 1) // chunks, TILE_ROWS):
            d, rho = dy[i, j], stats[2, i]
            total += np.float64(d)
            product += np.float64(d * ((x[i, j] - stats[0, i]) * rho - stats[1, i] * rho))
    plain[row, column] = total
    weighted[row, column] = product
    add_columns(plain, column, row)
    add_columns(weighted, column, row)
    if row == 0 and j < n:
        partials[c, 0, j] = plain[0, column]
        partials[c, 1, j] = weighted[0, column]


@kernel
def _finish_sums(partials, chunks, dgamma, dbeta):
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
        dgamma[j] = weighted[0, column]


@kernel
def _gradient(dy, x, gamma, stats, centered, dx):
    sums = cuda.shared.array(BLOCK, np.float64)
    lane, width = cuda.threadIdx.x, cuda.blockDim.x
    place = cuda.threadIdx.y * width + lane
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, n = x.shape
    total, product = 0.0, 0.0
    if i < m:
        center = stats[0, i]
        for j in range(lane, n, width):
            g = np.float64(dy[i, j] * gamma[j])
            total += g
            product += g * np.float64(x[i, j] - center)
    mean = 0.0
    if centered:
        mean = add_lanes(total, sums, place, lane, width) / n
    product = add_lanes(product, sums, place, lane, width)
    if i < m:
        center, rest, rho = stats[0, i], np.float64(stats[1, i]), np.float64(stats[2, i])
        whole = (product / n - rest * mean) * rho * rho
        scale, slope, shift = x.dtype.type(rho), x.dtype.type(whole), x.dtype.type(mean - rest * whole)
        for j in range(lane, n, width):
            dx[i, j] = scale * (dy[i, j] * gamma[j] - shift - (x[i, j] - center) * slope)


def layernorm_forward(x, gamma, beta, eps, centered, stats, y):
    """Normalisation of each row. x: (m, n). gamma, beta: (n,). stats: (3, m): center, what is missing to the mean, ρ.

    y: (m, n); may be x.
    """
    _forward(*row_grid(*x.shape), x, gamma, beta, float(eps), bool(centered), stats, y)


def layernorm_backward(dy, x, gamma, stats, centered, partials, dgamma, dbeta, dx):
    """The gradients of `layernorm_forward`, from its stats. partials: (layernorm_chunks(m), 2, n) float64. dx may be dy."""
    m, n = x.shape
    chunks, columns = layernorm_chunks(m), groups(n, TILE_COLUMNS)
    _chunk_sums((columns, chunks), _TILE, dy, x, stats, partials)
    _finish_sums(columns, _TILE, partials, chunks, dgamma, dbeta)
    _gradient(*row_grid(m, n), dy, x, gamma, stats, bool(centered), dx)
