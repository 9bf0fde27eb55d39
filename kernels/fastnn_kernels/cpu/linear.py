"""A fully connected layer: product, bias and activation over one output, and the three gradients.

    y  = f(x·W + b)
    dz = dy · f'                    (`activations.activation_backward`, where there is an activation)
    dx = dz·Wᵀ        dW = xᵀ·dz        db = Σ over rows of dz

x (m, n_in), W (n_in, n_out), b (n_out,), y and dz (m, n_out). `scratch` is (pieces, scratch_size()) of the same dtype, with
as many rows as threads are to share the work, one in the serial build; the bits do not depend on their number, and what it holds
before and after is of no meaning.

The optimiser's update is a pass of its own. Adam in the product's epilogue, which never writes dW and asks early for weights and
moments, took 7.5 to 8.9 ms for 256 rows of 2048 and 2048 outputs on two cores, one after the other 7.4 to 8.5; 329 and 305 µs
for 128 rows of 784 and 512: it reads in runs of 512 bytes, and one core's plain stream takes all of the memory's bandwidth.

Source: any text on backpropagation, e.g. Goodfellow, Bengio and Courville, "Deep Learning" (2016), section 6.5.
"""

import numpy as np
from numba import prange

from .._jit import apart, kernel, worker
from .activations import IDENTITY, activate
from .gemm import product_piece

__all__ = ["linear_backward", "linear_forward"]


@worker
def _forward_piece(piece, x, weight, bias, kind, slope, scratch, y):
    (m, k), n = x.shape, weight.shape[1]
    first = bias.ctypes.data if bias.size > 0 else 0
    row, row_end, column, column_end = product_piece(
        piece, scratch.shape[0], m, n, k, x.ctypes.data, k, 1, weight.ctypes.data, n, 1, first, 0, scratch[piece],
        y.ctypes.data,
    )  # fmt: skip
    if kind != IDENTITY:
        if column_end - column == n:  # one loop, not one a row: 0.4 of 1.4 µs for 32 rows of 64
            activate(y.reshape(m * n)[row * n : row_end * n], kind, slope)
        else:
            for i in range(row, row_end):
                activate(y[i, column:column_end], kind, slope)


@kernel
def linear_forward(x, weight, bias, kind, slope, scratch, y):
    """y = f(x·W + b).

    x: (m, n_in). weight: (n_in, n_out). bias: (n_out,), or (0,) for none. kind, slope: the activation's number and
    parameter (see `activations`). scratch: see above. y: (m, n_out), wholly overwritten; may alias nothing.
    """
    for piece in prange(scratch.shape[0]):
        _forward_piece(np.intp(piece), x, weight, bias, kind, slope, scratch, y)


@apart
def _add_rows(dz, column, column_end, sums):
    """sums += Σ over rows of dz[:, column:column_end]; an element's bits do not depend on the columns beside it."""
    m = dz.shape[0]
    fours = m - m % 4
    for i in range(0, fours, 4):
        r0, r1 = dz[i, column:column_end], dz[i + 1, column:column_end]
        r2, r3 = dz[i + 2, column:column_end], dz[i + 3, column:column_end]
        for j in range(sums.size):
            sums[j] += (r0[j] + r1[j]) + (r2[j] + r3[j])
    for i in range(fours, m):
        row = dz[i, column:column_end]
        for j in range(sums.size):
            sums[j] += row[j]


@worker
def _backward_piece(piece, dz, x, weight, accumulate, scratch, dweight, dbias, dx):
    (m, n_in), n_out = x.shape, dz.shape[1]
    pieces, room = scratch.shape[0], scratch[piece]
    first = dweight.ctypes.data if accumulate else 0
    row, _, column, column_end = product_piece(
        piece, pieces, n_in, n_out, m, x.ctypes.data, 1, n_in, dz.ctypes.data, n_out, 1, first, n_out, room,
        dweight.ctypes.data,
    )  # fmt: skip
    if row == 0 and dbias.size > 0:
        sums = dbias[column:column_end]
        if not accumulate:
            for j in range(sums.size):
                sums[j] = 0.0
        _add_rows(dz, column, column_end, sums)
    if dx.size > 0:
        product_piece(
            piece, pieces, m, n_in, n_out, dz.ctypes.data, n_out, 1, weight.ctypes.data, 1, n_out, 0, 0, room,
            dx.ctypes.data,
        )  # fmt: skip


@kernel
def linear_backward(dz, x, weight, accumulate, scratch, dweight, dbias, dx):
    """dW = xᵀ·dz, db = Σ over rows of dz, dx = dz·Wᵀ; or dW += and db +=.

    dz: (m, n_out). x: (m, n_in). weight: (n_in, n_out). accumulate: bool. scratch: see above. dweight: (n_in, n_out) and
    dbias: (n_out,), wholly overwritten, or added to. dx: (m, n_in), wholly overwritten. dbias (0,) and dx (0, 0) for none.
    """
    for piece in prange(scratch.shape[0]):
        _backward_piece(np.intp(piece), dz, x, weight, accumulate, scratch, dweight, dbias, dx)
