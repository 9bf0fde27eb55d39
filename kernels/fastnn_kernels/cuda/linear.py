"""A fully connected layer: see `cpu.linear` for the formulas.

Products of CuPy's arrays are cuBLAS's, in full float32 unless CuPy is told otherwise (CUPY_TF32=1); bias and activation are
one pass over the result. (nvmath-python's product has them as an epilogue, but returns an array of its own, and copying
that to where it belongs reads and writes as much as the pass.) Other arrays, which are the simulator's, go through a tiled
product of our own. `scratch` is not used.
"""

import numpy as np

from ._sums import add_columns
from ._target import SIMULATED, TILE_COLUMNS, TILE_ROWS, cuda, cupy, groups, is_cupy, kernel, scalar
from .activations import IDENTITY, activate

__all__ = ["linear_backward", "linear_forward", "scratch_size"]

_TILE = 2 if SIMULATED else 16


def scratch_size():
    """None: the row of scratch that the CPU's kernels need is empty here."""
    return 0


@kernel
def _tiled_product(a, b, turned_a, turned_b, add, out):
    """out = a·b, or out += a·b; `turned` says that a matrix stands there as its transpose. Sums are float64's."""
    left = cuda.shared.array((_TILE, _TILE), np.float64)
    right = cuda.shared.array((_TILE, _TILE), np.float64)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    i, j = cuda.blockIdx.y * _TILE + row, cuda.blockIdx.x * _TILE + column
    m, n = out.shape
    k = a.shape[0] if turned_a else a.shape[1]
    total = 0.0
    for first in range(0, k, _TILE):
        p, q = first + column, first + row
        left[row, column] = 0.0
        right[row, column] = 0.0
        if i < m and p < k:
            left[row, column] = a[p, i] if turned_a else a[i, p]
        if j < n and q < k:
            right[row, column] = b[j, q] if turned_b else b[q, j]
        cuda.syncthreads()
        for t in range(_TILE):
            total += left[row, t] * right[t, column]
        cuda.syncthreads()
    if i < m and j < n:
        out[i, j] = out[i, j] + total if add else total


def _product(a, b, turned_a, turned_b, add, out):
    if is_cupy(a):
        cupy.cublas.gemm("T" if turned_a else "N", "T" if turned_b else "N", a, b, out, 1.0, 1.0 if add else 0.0)
    else:
        m, n = out.shape
        _tiled_product((groups(n, _TILE), groups(m, _TILE)), (_TILE, _TILE), a, b, turned_a, turned_b, add, out)


@kernel
def _epilogue(y, bias, kind, slope):
    """y = f(y + b), in place."""
    n = y.shape[1]
    column = cuda.blockIdx.x * TILE_COLUMNS + cuda.threadIdx.x
    if column < n:
        shift = bias[column] if bias.size else y.dtype.type(0.0)
        first = cuda.blockIdx.y * (4 * TILE_ROWS) + cuda.threadIdx.y
        for i in range(first, min(y.shape[0], first + 4 * TILE_ROWS), TILE_ROWS):
            y[i, column] = activate(y, y[i, column] + shift, kind, slope)


@kernel
def _add_rows(dz, accumulate, dbias):
    """dbias = Σ over rows of dz, or dbias +=."""
    sums = cuda.shared.array((TILE_ROWS, TILE_COLUMNS), np.float64)
    column, row = cuda.threadIdx.x, cuda.threadIdx.y
    m, n = dz.shape
    j = cuda.blockIdx.x * TILE_COLUMNS + column
    total = 0.0
    if j < n:
        for i in range(row, m, TILE_ROWS):
            total += np.float64(dz[i, j])
    sums[row, column] = total
    add_columns(sums, column, row)
    if row == 0 and j < n:
        dbias[j] = dbias[j] + sums[0, column] if accumulate else sums[0, column]


def linear_forward(x, weight, bias, kind, slope, scratch, y):
    """y = f(x·W + b). x: (m, n_in). weight: (n_in, n_out). bias: (n_out,), or (0,) for none. y: (m, n_out), apart from all."""
    _product(x, weight, False, False, False, y)
    if bias.size or kind != IDENTITY:
        m, n = y.shape
        grid = groups(n, TILE_COLUMNS), groups(m, 4 * TILE_ROWS)
        _epilogue(grid, (TILE_COLUMNS, TILE_ROWS), y, bias, kind, scalar(y, slope))


def linear_backward(dz, x, weight, accumulate, scratch, dweight, dbias, dx):
    """dW = xᵀ·dz, db = Σ over rows of dz, dx = dz·Wᵀ; or dW += and db +=. dbias (0,) and dx (0, 0) for none."""
    _product(x, dz, True, False, bool(accumulate), dweight)
    if dbias.size:
        _add_rows(groups(dz.shape[1], TILE_COLUMNS), (TILE_COLUMNS, TILE_ROWS), dz, bool(accumulate), dbias)
    if dx.size:
        _product(dz, weight, False, True, False, dx)
