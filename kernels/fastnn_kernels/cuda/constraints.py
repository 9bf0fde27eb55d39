"""What is done to weights after the update: see `cpu.constraints` for the formulas."""

import math

import numpy as np

from ._sums import add_columns
from ._target import BLOCK, TILE_COLUMNS, TILE_ROWS, cuda, groups, kernel, scalar

__all__ = ["limit_column_norms", "soft_threshold"]


@kernel
def _threshold(t, w):
    i = cuda.grid(1)
    if i < w.size:
        zero, value = w.dtype.type(0.0), w[i]
        shrunk = abs(value) - t
        w[i] = zero if shrunk <= zero else math.copysign(shrunk, value)


@kernel
def _factors(largest, w, factors):
    """What each column is multiplied by; a block goes down some columns."""
    sums = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    m, n = w.shape
    j = cuda.blockIdx.x * TILE_COLUMNS + column
    total = 0.0
    if j < n:
        for i in range(row, m, TILE_ROWS):
            total += np.float64(w[i, j]) * np.float64(w[i, j])
    sums[row, column] = total
    add_columns(sums, column, row)
    if row == 0 and j < n:
        norm = math.sqrt(sums[0, column])
        factors[j] = largest / norm if norm > largest else 1.0


@kernel
def _scale(factors, w):
    e = cuda.grid(1)
    if e < w.size:
        w[e] = np.float64(w[e]) * factors[e % factors.size]


def soft_threshold(threshold, weights):
    """Move weights towards zero, and those within the threshold onto it. weights: (size,), updated."""
    _threshold(groups(weights.size, BLOCK), BLOCK, scalar(weights, threshold), weights)


def limit_column_norms(largest, sums, weights):
    """Scale columns down to a norm of at most `largest`. sums: scratch (n,) float64. weights: (m, n), updated."""
    _factors(groups(weights.shape[1], TILE_COLUMNS), (TILE_COLUMNS, TILE_ROWS), float(largest), weights, sums)
    _scale(groups(weights.size, BLOCK), BLOCK, sums, weights.reshape(-1))
