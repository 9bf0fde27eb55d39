"""A fully connected layer: product, bias and activation in one pass over the output, and the three gradients.

    y  = f(x·W + b)
    dz = dy · f'                    (`activations.activation_backward`, where there is an activation)
    dx = dz·Wᵀ        dW = xᵀ·dz        db = Σ over rows of dz

x (m, n_in), W (n_in, n_out), b (n_out,), y and dz (m, n_out). `packed` is scratch of n_in · n_out elements of the same
dtype (m · n_out for dW), `partials` scratch of `row_chunks(m)` rows; what they hold before and after is of no meaning.

Source: any text on backpropagation, e.g. Goodfellow, Bengio and Courville, "Deep Learning" (2016), section 6.5.
"""

import numpy as np
from numba import prange

from .._jit import kernel, worker
from ._rows import row_chunks
from .activations import IDENTITY, activation_segment
from .gemm import pack_panel, panels, product_tile, tile_bounds, tiles

__all__ = ["linear_backward_bias", "linear_backward_input", "linear_backward_weight", "linear_forward"]


@worker
def _forward_tile(x, packed, bias, kind, slope, tile, y):
    i0, i1, j0, j1 = tile_bounds(tile, y.shape[0], y.shape[1])
    for i in range(i0, i1):
        row = y[i, j0:j1]
        if bias.size > 0:
            first = bias[j0:j1]
            for j in range(row.size):
                row[j] = first[j]
        else:
            for j in range(row.size):
                row[j] = 0.0
    product_tile(x, packed, i0, i1, j0, j1, y)
    if kind != IDENTITY:
        for i in range(i0, i1):
            activation_segment(y[i, j0:j1], kind, slope, y[i, j0:j1])


@worker
def _plain_tile(a, packed, accumulate, tile, c):
    i0, i1, j0, j1 = tile_bounds(tile, c.shape[0], c.shape[1])
    if not accumulate:
        for i in range(i0, i1):
            row = c[i, j0:j1]
            for j in range(row.size):
                row[j] = 0.0
    product_tile(a, packed, i0, i1, j0, j1, c)


@kernel
def linear_forward(x, weight, bias, kind, slope, packed, y):
    """y = f(x·W + b).

    x: (m, n_in). weight: (n_in, n_out). bias: (n_out,), or (0,) for none. kind, slope: the activation's number and
    parameter (see `activations`). packed: scratch (n_in · n_out,). y: (m, n_out), wholly overwritten; may alias nothing.
    """
    for panel in prange(panels(weight.shape[1])):
        pack_panel(weight, np.intp(panel), packed)
    for tile in prange(tiles(y.shape[0], y.shape[1])):
        _forward_tile(x, packed, bias, kind, slope, np.intp(tile), y)


@kernel
def linear_backward_input(dz, weight, packed, dx):
    """dx = dz·Wᵀ.

    dz: (m, n_out). weight: (n_in, n_out). packed: scratch (n_in · n_out,). dx: (m, n_in), wholly overwritten.
    """
    transposed = weight.T
    for panel in prange(panels(transposed.shape[1])):
        pack_panel(transposed, np.intp(panel), packed)
    for tile in prange(tiles(dx.shape[0], dx.shape[1])):
        _plain_tile(dz, packed, False, np.intp(tile), dx)


@kernel
def linear_backward_weight(x, dz, accumulate, packed, dweight):
    """dW = xᵀ·dz, or dW += xᵀ·dz.

    x: (m, n_in). dz: (m, n_out). accumulate: bool. packed: scratch (m · n_out,).
    dweight: (n_in, n_out), wholly overwritten, or added to.
    """
    transposed = x.T
    for panel in prange(panels(dz.shape[1])):
        pack_panel(dz, np.intp(panel), packed)
    for tile in prange(tiles(dweight.shape[0], dweight.shape[1])):
        _plain_tile(transposed, packed, accumulate, np.intp(tile), dweight)


@worker
def _column_sums(dz, i0, i1, sums):
    for j in range(sums.size):
        sums[j] = 0.0
    fours = i1 - (i1 - i0) % 4
    for i in range(i0, fours, 4):
        r0, r1, r2, r3 = dz[i], dz[i + 1], dz[i + 2], dz[i + 3]
        for j in range(sums.size):
            sums[j] += (r0[j] + r1[j]) + (r2[j] + r3[j])
    for i in range(fours, i1):
        row = dz[i]
        for j in range(sums.size):
            sums[j] += row[j]


@kernel
def linear_backward_bias(dz, accumulate, partials, dbias):
    """db = Σ over rows of dz, or db += that.

    dz: (m, n_out). accumulate: bool. partials: scratch (row_chunks(m), n_out) of the same dtype.
    dbias: (n_out,), wholly overwritten, or added to.
    """
    m = dz.shape[0]
    chunks = row_chunks(m)
    for chunk in prange(chunks):
        c = np.intp(chunk)
        _column_sums(dz, m * c // chunks, m * (c + 1) // chunks, partials[c])
    if not accumulate:
        for j in range(dbias.size):
            dbias[j] = 0.0
    for c in range(chunks):
        row = partials[c]
        for j in range(dbias.size):
            dbias[j] += row[j]
