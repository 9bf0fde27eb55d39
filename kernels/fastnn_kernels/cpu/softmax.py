"""Softmax and its logarithm along the rows of a matrix, and their derivatives from the output.

    softmax       y = e^(x - max x) / Σ e^(x - max x)            dx = y (dy - Σ dy y)
    log-softmax   y = (x - max x) - log Σ e^(x - max x)          dx = dy - eʸ Σ dy

No exponential can overflow. A row with NaN, with +∞ or of -∞ alone becomes NaN; -∞ beside others gets probability 0.

Rows of few columns are turned, some of them at a time, so that every loop runs over rows side by side and vectorises; a longer
row is folded into lanes, and these in halves (`_softmax`). Loops of a length that the compiler knows would be unrolled.

Source: Goodfellow, Bengio and Courville, "Deep Learning" (2016), 4.1 and 6.2.2.
"""

import numpy as np
from numba import prange

from .._jit import apart, kernel
from ._math import decay, exp, log
from ._rows import tile_rows
from ._softmax import add, exponentials, less_top, sum_of, top_of
from ._views import on_stack, view_at

__all__ = ["log_softmax_backward", "log_softmax_forward", "softmax_backward", "softmax_forward"]

_NARROW, _ROWS = 32, 64  # at most so many columns, and rows side by side, in the turned form
_LANES, _HALVES = 32, (16, 8, 4, 2, 1)  # of longer rows
_turned, _side_by_side, _lanes = on_stack(_NARROW * _ROWS), on_stack(_ROWS), on_stack(_LANES)


# all of a length that is known when it runs, so that they vectorise


@apart
def _scale(y, factor):
    for i in range(y.size):
        y[i] *= factor


@apart
def _products(a, b, out):
    for i in range(out.size):
        out[i] = a[i] * b[i]


@apart
def _add_exponentials(piece, sums):
    for i in range(piece.size):
        sums[i] += decay(piece[i])


@apart
def _add_products(a, b, sums):
    for i in range(a.size):
        sums[i] += a[i] * b[i]


@apart
def _keep_larger(piece, tops):
    for i in range(piece.size):
        tops[i] = piece[i] if piece[i] > tops[i] else tops[i]


@apart
def _subtract(y, values):
    for i in range(y.size):
        y[i] -= values[i]


@apart
def _divide(y, values):
    for i in range(y.size):
        y[i] *= y.dtype.type(1.0) / values[i]


@apart
def _logarithms(values):
    for i in range(values.size):
        values[i] = log(values[i])


@apart
def _softmax_slopes(dy, y, total, dx):
    for i in range(dx.size):
        dx[i] = y[i] * (dy[i] - total)


@apart
def _log_softmax_slopes(dy, y, total, dx):
    for i in range(dx.size):
        dx[i] = dy[i] - exp(y[i]) * total


@apart
def _softmax_slopes_aside(dy, y, totals):
    for i in range(y.size):
        y[i] = y[i] * (dy[i] - totals[i])


@apart
def _log_softmax_slopes_aside(dy, y, totals):
    for i in range(y.size):
        y[i] = dy[i] - exp(y[i]) * totals[i]


# rows of few columns


@apart
def _turn(x, k, t, rows):
    """Rows of x as columns of t."""
    for r in range(rows):
        for j in range(k):
            t[j * rows + r] = x[r * k + j]


@apart
def _turn_back(t, rows, x, k):
    for r in range(rows):
        for j in range(k):
            x[r * k + j] = t[j * rows + r]


@apart
def _narrow(x, k, rows, logarithm, y):
    t, top, total = _turned(x), _side_by_side(x), view_at(_side_by_side(x), 0, (rows,))
    _turn(x, k, t, rows)
    for r in range(rows):
        top[r], total[r] = t[r], x.dtype.type(0.0)
    for j in range(1, k):
        _keep_larger(view_at(t, j * rows, (rows,)), top)
    for j in range(k):
        _subtract(view_at(t, j * rows, (rows,)), top)
    if logarithm:
        for j in range(k):
            _add_exponentials(view_at(t, j * rows, (rows,)), total)
        _logarithms(total)
        for j in range(k):
            _subtract(view_at(t, j * rows, (rows,)), total)
    else:
        exponentials(t, 0, k * rows)
        for j in range(k):
            add(view_at(t, j * rows, (rows,)), total)
        for j in range(k):
            _divide(view_at(t, j * rows, (rows,)), total)
    _turn_back(t, rows, y, k)


@apart
def _narrow_backward(dy, y, k, rows, logarithm, dx):
    t, slopes, total = _turned(dy), _turned(dy), _side_by_side(dy)
    _turn(dy, k, t, rows)
    _turn(y, k, slopes, rows)
    for r in range(rows):
        total[r] = dy.dtype.type(0.0)
    for j in range(k):
        column, aside = view_at(t, j * rows, (rows,)), view_at(slopes, j * rows, (rows,))
        if logarithm:
            add(column, total)
        else:
            _add_products(column, aside, total)
    for j in range(k):
        column, aside = view_at(t, j * rows, (rows,)), view_at(slopes, j * rows, (rows,))
        if logarithm:
            _log_softmax_slopes_aside(column, aside, total)
        else:
            _softmax_slopes_aside(column, aside, total)
    _turn_back(slopes, rows, dx, k)


# longer rows


@apart
def _sum_of_exponentials(y):
    lanes = _lanes(y)
    for lane in range(_LANES):
        lanes[lane] = y.dtype.type(0.0)
    for j in range(0, y.size, _LANES):
        _add_exponentials(view_at(y, j, (min(_LANES, y.size - j),)), lanes)
    for width in _HALVES:
        add(view_at(lanes, width, (width,)), lanes)
    return lanes[0]


@apart
def _long(x, logarithm, y):
    less_top(x, top_of(x, 0, x.size), y)
    if logarithm:
        less_top(y, log(_sum_of_exponentials(y)), y)
    else:
        exponentials(y, 0, y.size)
        _scale(y, y.dtype.type(1.0) / sum_of(y, 0, y.size))


@apart
def _long_backward(dy, y, logarithm, dx):
    if logarithm:
        _log_softmax_slopes(dy, y, sum_of(dy, 0, dy.size), dx)
    else:
        _products(dy, y, dx)
        _softmax_slopes(dy, y, sum_of(dx, 0, dx.size), dx)


@apart
def _rows_forward(x, k, i0, i1, logarithm, y):
    if k <= _NARROW:
        size = (i1 - i0) * k
        _narrow(view_at(x, i0 * k, (size,)), k, i1 - i0, logarithm, view_at(y, i0 * k, (size,)))
    else:
        for i in range(i0, i1):
            _long(view_at(x, i * k, (k,)), logarithm, view_at(y, i * k, (k,)))


@apart
def _rows_backward(dy, y, k, i0, i1, logarithm, dx):
    if k <= _NARROW:
        first, size = i0 * k, (i1 - i0) * k
        _narrow_backward(
            view_at(dy, first, (size,)), view_at(y, first, (size,)), k, i1 - i0, logarithm, view_at(dx, first, (size,))
        )
    else:
        for i in range(i0, i1):
            _long_backward(view_at(dy, i * k, (k,)), view_at(y, i * k, (k,)), logarithm, view_at(dx, i * k, (k,)))


@kernel
def softmax_forward(x, y):
    """The softmax of each row. x: (m, k) float. y: (m, k), wholly overwritten; may be x."""
    m, k = x.shape
    rows = _ROWS if k <= _NARROW else tile_rows(k)
    x_, y_ = x.reshape(m * k), y.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _rows_forward(x_, k, first, min(m, first + rows), False, y_)


@kernel
def softmax_backward(dy, y, dx):
    """The gradient from the output. dy, y: (m, k) float. dx: (m, k), wholly overwritten."""
    m, k = y.shape
    rows = _ROWS if k <= _NARROW else tile_rows(k)
    dy_, y_, dx_ = dy.reshape(m * k), y.reshape(m * k), dx.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _rows_backward(dy_, y_, k, first, min(m, first + rows), False, dx_)


@kernel
def log_softmax_forward(x, y):
    """The logarithm of the softmax of each row. x: (m, k) float. y: (m, k), wholly overwritten; may be x."""
    m, k = x.shape
    rows = _ROWS if k <= _NARROW else tile_rows(k)
    x_, y_ = x.reshape(m * k), y.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _rows_forward(x_, k, first, min(m, first + rows), True, y_)


@kernel
def log_softmax_backward(dy, y, dx):
    """The gradient from the output. dy, y: (m, k) float. dx: (m, k), wholly overwritten."""
    m, k = y.shape
    rows = _ROWS if k <= _NARROW else tile_rows(k)
    dy_, y_, dx_ = dy.reshape(m * k), y.reshape(m * k), dx.reshape(m * k)
    for tile in prange((m + rows - 1) // rows):
        first = np.intp(tile) * rows
        _rows_backward(dy_, y_, k, first, min(m, first + rows), True, dx_)
