"""Softmax and its logarithm along rows, and their derivatives from the output: see `cpu.softmax` for the formulas.

Some threads of a block take a row together; sums over a row are float64's, in shared memory.
"""

import math

import numpy as np

from ._rows import first_largest, row_grid
from ._sums import add_lanes
from ._target import BLOCK, cuda, kernel

__all__ = ["log_softmax_backward", "log_softmax_forward", "softmax_backward", "softmax_forward"]


@kernel
def _forward(x, logarithm, y):
    sums = cuda.shared.array(BLOCK, np.float64)
    places = cuda.shared.array(BLOCK, np.int32)
    lane, width = cuda.threadIdx.x, cuda.blockDim.x
    place = cuda.threadIdx.y * width + lane
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, k = x.shape
    best = first_largest(x, i, lane, width, place, places)
    top, total = x.dtype.type(0.0), 0.0
    if i < m:
        top = x[i, best]  # read before the sum's barrier: y may be x
        for j in range(lane, k, width):
            total += np.float64(math.exp(x[i, j] - top))
    total = add_lanes(total, sums, place, lane, width)
    if i < m:
        log_sum, share = x.dtype.type(math.log(total)), x.dtype.type(1.0 / total)
        for j in range(lane, k, width):
            y[i, j] = (x[i, j] - top) - log_sum if logarithm else math.exp(x[i, j] - top) * share


@kernel
def _backward(dy, y, logarithm, dx):
    sums = cuda.shared.array(BLOCK, np.float64)
    lane, width = cuda.threadIdx.x, cuda.blockDim.x
    place = cuda.threadIdx.y * width + lane
    i = cuda.blockIdx.x * cuda.blockDim.y + cuda.threadIdx.y
    m, k = y.shape
    total = 0.0
    if i < m:
        for j in range(lane, k, width):
            total += np.float64(dy[i, j] if logarithm else dy[i, j] * y[i, j])
    total = add_lanes(total, sums, place, lane, width)
    if i < m:
        whole = y.dtype.type(total)
        for j in range(lane, k, width):
            dx[i, j] = dy[i, j] - math.exp(y[i, j]) * whole if logarithm else y[i, j] * (dy[i, j] - whole)


def softmax_forward(x, y):
    """The softmax of each row. x, y: (m, k); y may be x."""
    _forward(*row_grid(*x.shape), x, False, y)


def softmax_backward(dy, y, dx):
    """The gradient from the output. All (m, k)."""
    _backward(*row_grid(*y.shape), dy, y, False, dx)


def log_softmax_forward(x, y):
    """The logarithm of the softmax of each row. x, y: (m, k); y may be x."""
    _forward(*row_grid(*x.shape), x, True, y)


def log_softmax_backward(dy, y, dx):
    """The gradient from the output. All (m, k)."""
    _backward(*row_grid(*y.shape), dy, y, True, dx)
